"""The specification that is printed: whole, each thing once, and who picks what as the bindings declare it."""

import msgspec
import pytest
from markdown_it import MarkdownIt
from msgspec.structs import replace

from conformance.clauses import CLAUSES
from conformance.run import all_clauses, describe_specification
from reference.losses import LOSSES
from reference.options import OPTIONS, REDUCTIONS
from reference.semantics import CHOICE_POINTS
from reports.coverage import Covered
from reports.html import render
from reports.record import BindingInfo, ClauseInfo, Verdict
from reports.specification import Pick, make_picks, merge_specifications, number_clauses, with_picks, write_specification
from tests.reports.synthetic import make_file, make_finding, make_header, make_record, make_run

WHOLE = describe_specification(all_clauses())


def plain(text: str) -> str:
    """Return a text without marks of code, on one line."""
    return " ".join(text.replace("`", "").split())


def rendered(markdown: str) -> str:
    """Return what a reader of the Markdown sees."""
    tokens = MarkdownIt().parse(markdown)
    children = [child for token in tokens for child in token.children or []]
    return plain("".join(child.content or " " for child in children))


def binding(api: str, page: str = "", **semantics: str) -> BindingInfo:
    return BindingInfo("binary_cross_entropy", api, "", [], semantics, "log", "separate", page, False, reductions=["none"])


def declared(name: str, *bindings: BindingInfo):
    return make_file(name=f"{name}.jsonl", header=make_header(name, bindings=list(bindings)))


def test_the_specification_says_all_that_the_suite_asks_and_knows():
    text = rendered(write_specification(with_picks(WHOLE, [])))
    for loss in LOSSES.values():
        assert plain(f"{loss.name} ({loss.prefix}): {loss.formula}; prediction: {loss.prediction}") in text
    for clause in CLAUSES:
        assert f"{clause.number} {clause.title}" in text and plain(clause.sentence) in text
    for point in CHOICE_POINTS:
        assert plain(point.question) in text
        assert all(plain(f"{name}: {formula}") in text for name, formula in point.alternatives.items())
    assert all(plain(f"{name}: {meaning}") in text for name, meaning in (OPTIONS | REDUCTIONS).items())


def test_without_results_it_says_where_who_picks_what_comes_from():
    assert "crossproof.py run" in write_specification(with_picks(WHOLE, []))
    assert "crossproof.py run" not in write_specification(with_picks(WHOLE, [declared("a", binding("x", masked_class="nan"))]))


def test_who_picks_what_is_grouped_by_page_and_files():
    one = declared("a", binding("x", "https://p", masked_class="nan"), binding("y", "https://p", masked_class="nan"))
    two = declared("b", binding("x", "https://p", masked_class="nan"), binding("z"))
    assert make_picks([one, two]) == {
        "masked_class": {"nan": [Pick(["x"], ["a", "b"], "https://p"), Pick(["y"], ["a"], "https://p")]}
    }


def shows(api: str, verdict: Verdict = "undocumented divergence", saturates: str = "", got: str = "nan", **choices: str):
    finding = make_finding(prediction="[0. 1.]", target="[1. 0.]", options="gamma = 3", got=got, expected="inf")
    record = make_record(verdict, api=api, clause="BINARY-9", saturates=saturates, finding=finding, choices=choices)
    return replace(record, loss="binary_cross_entropy")


def test_what_is_picked_without_documentation_stands_apart():
    header = make_header("a", bindings=[binding("x", "https://p", masked_class="nan"), binding("y", "https://p")])
    records = [shows("x", "documented divergence", masked_class="nan"), shows("y", masked_class="nan", small_loss="absolute")]
    specification = with_picks(WHOLE, [make_file(*records, name="a.jsonl", header=header)])
    stated, silent = specification.picks["masked_class"]["nan"]
    assert (stated.apis, stated.documented, stated.documentation) == (["x"], True, "https://p")
    assert (silent.apis, silent.documented, silent.documentation) == (["y"], False, "")
    text = write_specification(specification)
    assert "  - a: `x` <https://p>\n    - BINARY-9: value nan for inf at [0. 1.], [1. 0.], gamma = 3\n" in text
    assert "  - a: not documented: `y`\n    - BINARY-9: value nan for inf at [0. 1.], [1. 0.], gamma = 3\n" in text
    assert [pick.apis for pick in specification.picks["small_loss"]["absolute"]] == [["y"]]


def test_an_alternative_beside_the_documented_one_is_not_documented():
    header = make_header("a", bindings=[binding("x", "https://p", masked_class="nan")])
    picks = make_picks([make_file(shows("x", masked_class="nan_gradient"), name="a.jsonl", header=header)])
    assert {name: found[0].documented for name, found in picks["masked_class"].items()} == {"nan": True, "nan_gradient": False}


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (
            shows("x", masked_class="nan", got="nan" * 9),
            shows("x", saturates="from [17] on", masked_class="nan", small_loss="absolute"),
        ),
        (shows("x", saturates="from [17] on, far away", masked_class="nan"), shows("x", masked_class="nan")),
        (shows("x", masked_class="nan"), shows("x", masked_class="nan", got="nan nan")),
        (shows("x", masked_class="nan"), replace(shows("x", masked_class="nan"), finding=None)),
    ],
    ids=["one choice", "where it begins", "short", "shown"],
)
def test_the_case_that_is_shown_is_the_one_that_is_read_most_easily(better, worse):
    for records in ((better, worse), (worse, better)):
        (pick,) = make_picks([make_file(*records)])["masked_class"]["nan"]
        assert pick.example and (pick.example.got, pick.example.begins) == (better.finding.got, better.saturates)
        assert pick.example.words.startswith("BINARY-9: from [17] on" if better.saturates else "BINARY-9: value nan")


def test_who_picks_what_stands_below_its_alternative():
    lines = write_specification(with_picks(WHOLE, [declared("a", binding("x", "https://p", masked_class="nan"))])).splitlines()
    number = lines.index("  - a: `x` <https://p>")
    assert lines[number - 1].startswith("- `nan`: 0 * -inf = NaN")
    assert sum("`x`" in line for line in lines) == 1


def test_an_alternative_that_the_specification_does_not_have_is_not_lost():
    text = write_specification(with_picks(WHOLE, [declared("a", binding("x", masked_class="odd"))]))
    assert "- `odd`: no alternative of this specification\n  - a: `x`" in text


def test_a_sentence_that_losses_share_stands_once():
    clauses = [
        ClauseInfo("B-10", "t", "s"),
        ClauseInfo("A-2", "t", "s"),
        ClauseInfo("B-2", "t", "s"),
        ClauseInfo("C-2", "t", "o"),
    ]
    assert [(clause.number, clause.ids) for clause in number_clauses(clauses)] == [
        ("2", ["A-2", "B-2"]),
        ("2", ["C-2"]),
        ("10", ["B-10"]),
    ]


def test_a_clause_of_some_losses_names_them():
    of_all = [ClauseInfo(f"{loss.prefix}-1", "all", "s") for loss in LOSSES.values()]
    of_some = [ClauseInfo("SOFTMAX-2", "some", "s"), ClauseInfo("SPARSE-2", "some", "s")]
    text = write_specification(with_picks(replace(WHOLE, clauses=of_all + of_some), []))
    assert "- **1 all**: s" in text and "- **2 some** (SOFTMAX, SPARSE): s" in text


def test_headers_merge_to_what_each_of_them_says():
    merged = merge_specifications([make_run("pytorch"), make_run("jax")])
    header = make_header()
    assert (merged.losses, merged.signatures, merged.options) == (header.losses, header.signatures, header.options)
    assert len(merged.clauses) == len(header.clauses) and merged.choice_points == header.choice_points


def test_the_data_are_what_the_text_is_written_from():
    specification = with_picks(WHOLE, [make_run("jax")])
    again = msgspec.json.decode(msgspec.json.encode(specification), type=type(specification))
    assert write_specification(again) == write_specification(specification)


def test_what_bindings_cover_is_counted_by_file():
    one = replace(binding("x"), options=["mask", "reduction"], reductions=["none", "sum"])
    two = replace(binding("y"), options=["reduction", "mask", "pos_weight"], reductions=["none", "mean"])
    specification = with_picks(WHOLE, [declared("a", one, two), declared("b", binding("z"))])
    assert specification.coverage["binary_cross_entropy"]["a"] == Covered(2, ["mask", "pos_weight"], ["none", "sum", "mean"])
    cells = "2: mask, pos_weight; reductions none, sum, mean | 1: no option; reductions none"
    assert f"| `binary_cross_entropy` | {cells} |" in write_specification(specification)


def test_a_loss_that_a_file_does_not_have_is_shown_by_a_dash():
    specification = with_picks(WHOLE, [declared("a", binding("x"))])
    coverage = specification.coverage
    assert "| `softmax_cross_entropy_with_logits` | - |" in write_specification(specification)
    assert (
        coverage["binary_cross_entropy"] == {"a": Covered(1, [], ["none"])}
        and coverage["softmax_cross_entropy_with_logits"] == {}
    )
    assert "Coverage" not in write_specification(with_picks(WHOLE, []))


def test_control_characters_of_a_file_do_not_reach_the_terminal():
    text = write_specification(with_picks(WHOLE, [declared("a", binding("x\x1b[2J", "https://p\x07", masked_class="n\x1b"))]))
    assert not {character for character in text if not character.isprintable()} - {"\n"}


@pytest.mark.parametrize("said", ["w_k, of class k", "every loss", "BINARY; prediction logit, target soft"])
def test_the_report_has_it_too(said):
    assert said in render([make_run("pytorch")], [])


def test_the_report_says_who_picks_what_with_the_page():
    html = render([declared("a", binding("x", "https://example.org/page", masked_class="nan"))], [])
    alternative = html.partition("<dd>0 * -inf = NaN")[2].partition("</dd>")[0]
    assert 'href="https://example.org/page"' in alternative and "x" in alternative


def test_the_report_says_what_is_picked_without_documentation():
    header = make_header("a", bindings=[binding("library.x")])
    html = render([make_file(shows("library.x", masked_class="nan"), name="a.jsonl", header=header)], [])
    table = html.partition('<section id="semantics">')[2].partition("</table>")[0]
    assert 'title="0 * -inf = NaN">(nan)</code>' in table
    alternative = html.partition("<dd>0 * -inf = NaN")[2].partition("</dd>")[0]
    assert "not documented: library.<wbr>x" in alternative and "BINARY-9: value nan for inf at [0. 1.]" in alternative
