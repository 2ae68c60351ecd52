"""Expectations are strict both ways, hold under their conditions only, and are refused where they say nothing."""

from pathlib import Path

import pytest

from conformance.drafting import draft
from conformance.expectations import ExpectationError, Observed, load_expectations
from reports.record import FAILING
from tests.conformance import asking
from tests.conformance.asking import LOSS, ask, expectation


def verdict(binding, *entries, number: int = 1, **settings) -> str:
    (record,) = ask(binding, number, entries=entries, **settings)
    assert (record.verdict in FAILING) == (record.verdict in ("defect", "crash", "changed", "fixed"))
    return record.verdict


def test_unlisted_defect_is_news() -> None:
    assert verdict(asking.inaccurate) == "defect"


def test_listed_defect_is_known() -> None:
    (record,) = ask(asking.inaccurate, 1, entries=(expectation("inaccurate", 1),))
    assert (record.verdict, record.reason, record.upstream) == ("known defect", "inaccurate is known", "https://example.org/1")
    assert record.finding is not None and record.kinds == ["inaccurate"]


@pytest.mark.parametrize("got", ["nan", "inf", "zero", "error", "other"])
def test_listed_defect_that_shows_otherwise_has_changed(got: str) -> None:
    (record,) = ask(asking.inaccurate, 1, entries=(expectation("inaccurate", 1, observed=Observed(got=(got,))),))
    assert (record.verdict, record.reason) == ("changed", "no longer as listed: inaccurate is known")


def test_kind_that_is_listed_beside_the_right_one_is_known_only_if_one_of_them_is_seen() -> None:
    assert (
        verdict(asking.inaccurate, expectation("inaccurate", 1, observed=Observed(got=("inaccurate", "nan")))) == "known defect"
    )
    assert verdict(asking.nan, expectation("nan", 1, observed=Observed(got=("inaccurate", "inf")))) == "changed"


def test_listed_defect_that_no_longer_happens_is_fixed() -> None:
    (record,) = ask(asking.sound, 1, entries=(expectation("sound", 1),))
    assert record.verdict == "fixed"
    assert record.reason == "listed as a known defect, but it no longer happens: sound is known"


def test_listed_defect_that_is_now_documented_is_fixed() -> None:
    assert verdict(asking.documented, expectation("documented", 17, observed=Observed(got=("other",))), number=17) == "fixed"


def test_choice_that_is_listed_explains() -> None:
    assert (
        verdict(asking.wrapping, expectation("wrapping", 17, observed=Observed(choice={"negative_index": "wrap"})), number=17)
        == "known defect"
    )
    assert (
        verdict(asking.wrapping, expectation("wrapping", 17, observed=Observed(choice={"negative_index": "zero"})), number=17)
        == "changed"
    )


def test_regimes_that_are_listed_are_the_only_ones() -> None:
    (record,) = ask(asking.nan, 1)
    seen = tuple(record.regimes)
    assert len(seen) >= 2
    assert verdict(asking.nan, expectation("nan", 1, observed=Observed(got=("nan",), regimes=seen))) == "known defect"
    assert verdict(asking.nan, expectation("nan", 1, observed=Observed(got=("nan",), regimes=seen[:1]))) == "changed"


def test_entry_that_is_not_needed_has_changed() -> None:
    needed = expectation("inaccurate", 1)
    needless = expectation("inaccurate", 1, observed=Observed(choice={"negative_index": "wrap"}))
    assert verdict(asking.inaccurate, needed, needless) == "changed"


@pytest.mark.parametrize(
    ("conditions", "holds"),
    [
        ({"dtypes": ("float32",)}, True),
        ({"dtypes": ("float64", "float16")}, False),
        ({"modes": ("eager",)}, True),
        ({"modes": ("jit",)}, False),
        ({"devices": ("cpu",)}, True),
        ({"devices": ("cuda",)}, False),
        ({"loss": LOSS}, True),
        ({"loss": "sparse_*"}, True),
        ({"loss": "softmax_*"}, False),
        ({"versions": "numpy>=2,<3"}, True),
        ({"versions": "numpy==2.4.*"}, True),
        ({"versions": "numpy<2"}, False),
        ({"versions": "torch>=2"}, False),
    ],
)
def test_condition_is_kept(conditions, holds: bool) -> None:
    assert verdict(asking.inaccurate, expectation("inaccurate", 1, **conditions)) == ("known defect" if holds else "defect")


@pytest.mark.parametrize(("api", "holds"), [("inacc*", True), ("inaccurate", True), ("accurate", False), ("INACCURATE", False)])
def test_api_is_a_pattern(api: str, holds: bool) -> None:
    assert verdict(asking.inaccurate, expectation(api, 1)) == ("known defect" if holds else "defect")


def test_other_clauses_are_not_covered() -> None:
    assert verdict(asking.inaccurate, expectation("inaccurate", 2)) == "defect"


ENTRY = '[[expect]]\napi = ["x"]\nclauses = [1]\nobserved = {got = ["nan"]}\nreason = "r"\nupstream = "https://example.org"\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("conformance.expectations.FOLDER", tmp_path)
    return tmp_path


def test_file_is_read(folder: Path) -> None:
    (folder / "own.toml").write_text(ENTRY + ENTRY.replace('"x"', '"y"') + 'versions = "numpy>1"\n')
    found = load_expectations("own", {"numpy": "2"})
    assert [entry.api for entry in found.entries] == [("x",), ("y",)] and found.version_holds("numpy>1")


def test_adapter_without_a_file_has_no_entries(folder: Path) -> None:
    assert load_expectations("own", {}).entries == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[expect", "own.toml: "),
        ("expect = 3\n", "own.toml: "),
        ("\xff".encode("latin-1"), "own.toml: "),
        (ENTRY.replace('reason = "r"\n', ""), "missing required field `reason`"),
        (ENTRY + 'colour = "red"\n', "unknown field `colour`"),
        (ENTRY.replace("[1]", '["one"]'), "Expected `int`"),
        (ENTRY.replace('got = ["nan"]', 'gott = ["nan"]'), "unknown field `gott`"),
        (ENTRY.replace('{got = ["nan"]}', "{}"), "entry 2: observed is empty; name a choice, a form, or what is got"),
        (ENTRY.replace('["nan"]', '["nan", "odd"]'), "entry 2: got has 'odd'; use error, nan, inf, zero, inaccurate, other"),
        (ENTRY.replace('"r"', '""'), "entry 2: give a reason"),
        (
            ENTRY.replace("https://example.org", "somewhere"),
            'entry 2: give a reason, and upstream as an https address or "not found',
        ),
        (ENTRY.replace('got = ["nan"]', 'choice = {mask = "nan"}'), "entry 2: "),
        (
            ENTRY.replace('got = ["nan"]', 'choice = {masked_class = "odd"}'),
            "entry 2: masked_class='odd' is not an alternative",
        ),
        (ENTRY.replace('got = ["nan"]', 'value_form = "best"'), "entry 2: 'best' is no form; use one of "),
        (ENTRY.replace('got = ["nan"]', 'gradient_form = "best"'), "entry 2: 'best' is no form; use one of "),
        (ENTRY + 'versions = "numpy > two"\n', "entry 2: "),
    ],
)
def test_malformed_file_is_refused_in_a_sentence(text: str | bytes, words: str, folder: Path) -> None:
    content = text if isinstance(text, bytes) else text.encode()
    (folder / "own.toml").write_bytes(ENTRY.encode() + content if content.startswith(b"[[expect]]") else content)
    with pytest.raises(ExpectationError) as caught:
        load_expectations("own", {})
    assert str(caught.value).startswith(str(folder / "own.toml")) and words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_draft_is_refused_until_a_person_has_completed_it_and_then_explains(folder: Path) -> None:
    text = draft([*ask(asking.inaccurate, 1, 5), *ask(asking.sound), *ask(asking.nan, 1)])
    (folder / "own.toml").write_text(text)
    with pytest.raises(ExpectationError, match="entry 1: give a reason"):
        load_expectations("own", {})
    (folder / "own.toml").write_text(
        text.replace('reason = ""', 'reason = "r"').replace('upstream = ""', 'upstream = "not found upstream"')
    )
    entries = load_expectations("own", {}).entries
    assert [record.verdict for record in ask(asking.inaccurate, 1, 5, entries=entries)] == ["known defect"] * 2
    assert verdict(asking.nan, *entries) == "known defect"


def test_expectations_of_the_suite_can_be_read() -> None:
    from adapters.loading import REQUIREMENTS

    for name in REQUIREMENTS:
        load_expectations(name, {})
