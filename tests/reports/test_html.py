"""The page: whole, self-contained, small, and inert whatever the result files hold."""

import hashlib
import re
from dataclasses import replace

import msgspec
import pytest

from reports.findings import BETWEEN_PARTS
from reports.html import PAGE_SIZE, TEMPLATES, breakable, link, make_headline, render, split_api
from reports.record import MISUSE_OUTCOMES, VERDICTS, Answers, CertificateLine, Record
from reports.results import ResultFile
from reports.wording import format_error
from tests.reports.page import Page, unpacked
from tests.reports.synthetic import APIS, make_data_kind, make_file, make_finding, make_misuse, make_record, make_run

RUNS = [make_run(adapter) for adapter in APIS]


def poison(item, text):
    """Return a struct with the text in place of every string that its type leaves free."""
    if isinstance(item, msgspec.Struct):
        fixed = {"verdict", "outcome"} | ({"quantity"} if isinstance(item, CertificateLine) else set())
        free = [name for name in item.__struct_fields__ if name not in fixed]
        return msgspec.structs.replace(item, **{name: poison(getattr(item, name), text) for name in free})
    if isinstance(item, list):
        return [poison(part, text) for part in item]
    if isinstance(item, dict):
        return {f"{text} {key}": poison(value, text) for key, value in item.items()}
    return f"{text} {item}" if isinstance(item, str) else item


def poisoned_file(text: str) -> ResultFile:
    """Return a file with every verdict, in which every string is the text."""
    records: list[Record] = [
        make_record(verdict, saturates="s", reason=reason, upstream="u", regimes={"offset": 1})
        for verdict in VERDICTS
        for reason in ("", "r")
    ]
    file = make_file(*records, stale=["stale"])
    misuses = [make_misuse(outcome, factor=-0.5) for outcome in MISUSE_OUTCOMES] + [
        make_misuse("raises", message="m", factor=None)
    ]
    header = msgspec.structs.replace(file.header, data_kinds=[make_data_kind()])
    bare = {
        "header": poison(header, text),
        "records": [poison(record, text) for record in records],
        "misuses": [poison(misuse, text) for misuse in misuses],
    }
    return replace(file, **bare, footer=poison(file.footer, text))


@pytest.mark.parametrize(
    "runs", [RUNS, RUNS[:1], [make_run("jax", news=False)], [], [make_file()], [replace(RUNS[0], footer=None)]]
)
def test_the_page_is_well_formed_and_its_links_lead_somewhere(runs):
    page = Page(unpacked(render(runs, [])))
    anchors = page.attributes("id")
    assert page.open == []
    assert len(anchors) == len(set(anchors))
    assert {target[1:] for target in page.attributes("href") if target.startswith("#")} <= set(anchors)


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "</script><script>alert(1)</script>",
        "</pre></details><img src=x onerror=alert(1)>",
        '" onmouseover="alert(1)" x=\'',
        "' onfocus='alert(1)' autofocus='",
        "javascript:alert(1)",
        "{{ 7 * 7 }}{% raw %}",
        "<!-- ",
    ],
)
def test_nothing_in_a_result_file_comes_alive(text):
    html = render([poisoned_file(text)], [f"{text} problem"], [text])
    page, clean = Page(html), Page(render([poisoned_file("clean")], ["clean problem"], ["clean"]))
    assert [tag for tag, _ in page.elements if tag != "wbr"] == [tag for tag, _ in clean.elements if tag != "wbr"]
    assert {name for _, attributes in page.elements for name in attributes} == {
        name for _, attributes in clean.elements for name in attributes
    }
    assert page.texts["script"] == [(TEMPLATES / "report.js").read_text()]
    assert all(target.startswith("#") or target.startswith("https://") for target in page.attributes("href"))
    assert " ".join(text.split()) in page.text.replace("\u200b", "")


def test_every_attribute_is_quoted():
    for template in TEMPLATES.glob("*.j2"):
        assert not re.search(r"=\{[{%]", re.sub(r"<script>.*", "", template.read_text(encoding="utf-8"))), template.name


def test_only_web_addresses_become_links():
    schemes = "javascript:alert(1) javascript://a.org/%0aalert(1) JaVaScRiPt:x data:text/html,x ftp://c.org //d.org https:["
    text = f"https://a.org/1 {schemes} http://b.org"
    assert Page(str(link(text))).attributes("href") == ["https://a.org/1", "http://b.org"]
    assert "javascript:alert" in Page(str(link(text))).text


def test_the_page_asks_nothing_of_the_network():
    page = Page(render(RUNS, []))
    assert not {tag for tag, _ in page.elements} & {"link", "img", "iframe", "object", "embed", "form", "base"}
    assert not page.attributes("src")
    assert "url(" not in render(RUNS, []) and "@import" not in render(RUNS, [])
    (policy,) = [attributes["content"] for tag, attributes in page.elements if "http-equiv" in attributes]
    assert policy and policy.startswith("default-src 'none'") and "script-src 'unsafe-inline'" not in policy


def long_findings(count: int) -> list[ResultFile]:
    """Return a file with findings whose reproducers differ, and fill more than the page when they are not packed."""
    noise = [hashlib.shake_256(bytes([number % 256, number // 256])).hexdigest(300) for number in range(count)]
    findings = [make_finding(reproducer=f"import numpy{BETWEEN_PARTS}{text}{BETWEEN_PARTS}print({text[0]})") for text in noise]
    records = [
        make_record("defect", clause=f"SPARSE-{number // 30}", api=f"api_{number % 30}", worst=9.0, finding=finding)
        for number, finding in enumerate(findings)
    ]
    return [make_file(*records)]


def test_three_whole_frameworks_fit_in_two_megabytes_with_every_finding_and_its_reproducer():
    html = render(RUNS, [])
    assert sum(len(run.records) for run in RUNS) > 4_000
    assert sum(record.finding is not None for run in RUNS for record in run.records) > 450
    assert len(html.encode()) < 2_000_000
    assert "have no room here" not in html
    whole = unpacked(html)
    assert whole.count('class="finding') > 150
    assert whole.count("<summary>Reproducer</summary>") == whole.count('class="finding')


def test_what_does_not_fit_is_packed_with_every_finding_and_every_reproducer():
    html = render(long_findings(1_500), [])
    page = Page(unpacked(html))
    assert len(html.encode()) < PAGE_SIZE < len(unpacked(html).encode())
    assert "Show all 1,500 findings" in html and "have no room here" not in html
    assert 0 < Page(html).attributes("class").count("finding v-defect") < 1_500
    assert page.attributes("class").count("finding v-defect") == 1_500
    assert page.open == [] and len(set(page.attributes("id"))) == len(page.attributes("id"))
    assert {target[1:] for target in page.attributes("href") if target.startswith("#")} <= set(page.attributes("id"))


def test_a_packed_reproducer_is_whole_when_its_parts_are_copied():
    files = long_findings(1_500)
    list_of_all = re.findall(r"<pre>(.*?)</pre>", unpacked(render(files, [])), re.DOTALL)
    listed = [re.findall(r'<span (id|data-same)="([\w-]+)">([^<]*)</span>', text) for text in list_of_all if "<span" in text]
    texts = {name: text for parts in listed for kind, name, text in parts if kind == "id"}
    shared = sum(kind == "data-same" for parts in listed for kind, _, _ in parts)
    assert shared > 1_500 and all(not text for parts in listed for kind, _, text in parts if kind == "data-same")
    assert {BETWEEN_PARTS.join(texts[name] for _, name, _ in parts) for parts in listed} == {
        record.finding.reproducer for file in files for record in file.records if record.finding
    }


def test_findings_that_do_not_fit_even_packed_are_counted_mildest_first():
    html = render(long_findings(6_000), [])
    page = Page(unpacked(html))
    shown = page.attributes("class").count("finding v-defect")
    assert len(html.encode()) < 2_000_000
    assert 1_500 < shown < 6_000 and f"{6_000 - shown:,} findings, the mildest, have no room here" in page.text
    assert f"finding-{shown}" in page.attributes("id")
    assert {target[1:] for target in page.attributes("href") if target.startswith("#")} <= set(page.attributes("id"))


def test_each_finding_has_its_reproducer_unless_it_is_very_long():
    finding = make_finding(reproducer="run")
    records = [make_record("known defect", api=f"a{number}", reason="r", finding=finding) for number in range(2)]
    long = make_record("known defect", api="a2", finding=make_finding(reproducer="long" * 5_001))
    html = render([make_file(*records, long)], [])
    assert html.count("<pre>run</pre>") == 2
    assert html.count("Its reproducer is in <code>report.json</code>") == 1 and "longlong" not in html


def test_the_finding_says_what_it_must():
    finding = make_finding(got="0.125", expected="0.0625")
    record = make_record(
        "known defect",
        reason="the reason",
        upstream="https://example.org/issue",
        regimes={"offset": 3},
        worst=5e4,
        finding=finding,
    )
    text = Page(render([make_file(record)], [])).text
    for said in (finding.statement, finding.got, finding.expected, finding.case, finding.command, finding.prediction):
        assert said in text
    for said in (
        "the reason",
        "https://example.org/issue",
        "offset: 3",
        "1.17e7 ulp, 1.73e7 \u00d7 the bound",
        "SPARSE-1",
    ):
        assert said in text
    assert " ".join(finding.reproducer.split()) in text


def test_the_matrix_leads_to_the_worst_finding():
    records = [make_record("known defect", clause="SPARSE-2"), make_record("crash", worst=9.0), make_record(api="other")]
    records += [
        make_record("crash", api=api, worst=worst, reason="r") for api, worst in (("third", 99.0), (records[1].api, 2.0))
    ]
    page = Page(render([make_file(*records)], []))
    chips = [
        (attributes["class"], attributes["href"])
        for _, attributes in page.elements
        if "chip" in (attributes.get("class") or "")
    ]
    assert chips == [
        ("chip v-crash", "#finding-1"),
        ("chip v-crash", "#finding-3"),
        ("chip v-conforms", "#clause-by-clause"),
    ]


def test_the_rest_of_the_page_says_what_the_files_hold():
    text = Page(unpacked(render(RUNS, []))).text
    header = RUNS[0].header
    for said in (
        header.processor,
        header.platform,
        header.commit,
        "pytorch 2.13.0",
        "framework 31.2, compilers 4.1, suite 20.5",
    ):
        assert said in text
    for said in (*header.losses, *header.losses.values(), header.choice_points[0].question, header.certificate[0].witness):
        assert said in text
    for said in (header.clauses[-1].id, header.clauses[-1].sentence, "returns 0 from a margin of 16.64", "absolute"):
        assert said in text
    assert " ".join(header.bindings[0].source.split()) in text


def test_problems_are_on_the_page():
    assert (
        "x.jsonl, line 1: the file is empty"
        in Page(render([], ["x.jsonl, line 1: the file is empty; run the suite again"])).text
    )


def test_two_files_of_one_environment_are_two_columns():
    page = Page(render([make_file(make_record(), name="a.jsonl"), make_file(make_record(), name="b.jsonl")], []))
    assert page.attributes("data-label") == ["a", "b"]


def test_the_page_is_the_same_each_time():
    assert render(RUNS, []) == render([make_run(adapter) for adapter in APIS], [])


def test_the_headline_is_the_outcome_of_the_gate():
    news = [make_file(make_record("crash"), make_record("defect"), make_record("defect"), make_record("changed"), stale=["x"])]
    assert make_headline(1, news) == "Fails: 1 crash, 2 defects, 1 changed, 1 stale expectation in 4 questions."
    assert make_headline(0, [make_file(make_record())]).startswith("As expected")
    backends = [make_file(make_record(answers=Answers([got], [0.25])), name=f"{got}.jsonl") for got in (1.0, 2.0)]
    assert make_headline(1, backends) == "Fails: 1 disagreement between backends in 2 questions."
    assert make_headline(3, [make_file(make_record())]) == "Incomplete: no failure so far in 1 question."


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (0.0, "0"), (0.9999985, "0.9999985"), (1.0, "1"), (1.00002, "1.00002"),
        (0.934, "0.934"), (17.26, "17.3"), (172.4, "172"),
        (9_999.9, "10,000"), (17_300_000.0, "1.73e7"),
        (4.1e-8, "4.1e-8"), (-31.0, "-31"), ("nan", "NaN"), ("inf", "∞"), ("-inf", "-∞"),
    ],
)  # fmt: skip
def test_an_error_has_three_digits(error, text):
    assert format_error(error) == text


def test_long_names_may_break_and_are_escaped_once():
    assert str(breakable("a.b_c<&")) == "a.<wbr>b_<wbr>c&lt;&amp;"


@pytest.mark.parametrize(
    ("api", "parts"),
    [
        ("torch.nn.functional.nll_loss over torch.log", ("torch.nn.functional.", "nll_loss over torch.log")),
        ("tf.keras.losses.BinaryCrossentropy(from_logits=1.0)", ("tf.keras.losses.", "BinaryCrossentropy(from_logits=1.0)")),
        ("loss", ("", "loss")),
    ],
)
def test_an_api_splits_into_module_and_name(api, parts):
    assert split_api(api) == parts
