"""Expectations are strict both ways, hold under their conditions only, and are refused where they say nothing."""

import math
from pathlib import Path

import pytest

from conformance.drafting import around, draft
from conformance.expectations import ExpectationError, Observed, load_expectations
from conformance.profiles import PROFILES
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


@pytest.mark.parametrize("got", [("inaccurate", "nan"), ("inf", "nan")])
def test_kind_that_is_listed_and_not_seen_has_changed(got: tuple[str, ...]) -> None:
    for binding in (asking.inaccurate, asking.nan):
        regimes = tuple(ask(binding, 1)[0].regimes)
        assert verdict(binding, expectation(binding.api, 1, observed=Observed(got=got, regimes=regimes))) == "changed"


def test_listed_defect_that_no_longer_happens_is_fixed() -> None:
    (record,) = ask(asking.sound, 1, entries=(expectation("sound", 1),))
    assert record.verdict == "fixed"
    assert record.reason == "listed, but it no longer happens: sound is known"


def test_profile_of_few_cases_need_not_show_all_that_is_listed() -> None:
    (record,) = ask(asking.nan, 1)
    more = expectation("nan", 1, observed=Observed(got=("nan", "inf"), regimes=(*record.regimes, "zeros")))
    less = expectation("nan", 1, observed=Observed(got=("inf",), regimes=tuple(record.regimes)))
    few = PROFILES["quick"]
    assert [ask(asking.nan, 1, entries=(entry,), profile=few)[0].verdict for entry in (more, less)] == [
        "known defect",
        "changed",
    ]
    assert ask(asking.nan, 1, entries=(more,))[0].verdict == "changed"
    assert ask(asking.sound, 1, entries=(expectation("sound", 1),), profile=few)[0].verdict == "conforms"


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


def test_regimes_that_are_listed_are_those_that_are_seen() -> None:
    (record,) = ask(asking.nan, 1)
    seen = tuple(record.regimes)
    assert len(seen) >= 2
    for regimes, expected in ((seen, "known defect"), (seen[:1], "changed"), ((*seen, "zeros"), "changed"), ((), "changed")):
        observed = Observed(got=("nan",), regimes=regimes)
        assert verdict(asking.nan, expectation("nan", 1, observed=observed)) == expected


def test_wrong_numbers_that_are_wrong_by_another_amount_have_changed() -> None:
    (record,) = ask(asking.inaccurate, 1)
    seen, low = tuple(record.regimes), float(record.typical)
    for error, expected in (
        ((low / 2, low * 2), "known defect"),
        ((low * 1.01, low * 4), "changed"),
        ((low / 4, low * 0.99), "changed"),
    ):
        observed = Observed(got=("inaccurate",), regimes=seen, error=error)
        (record,) = ask(asking.inaccurate, 1, entries=(expectation("inaccurate", 1, observed=observed),))
        assert record.verdict == expected
    assert f"as wrong numbers are off by {low:.2g} of themselves, and not by" in record.reason


def test_typical_error_is_the_geometric_mean_over_the_rows_that_are_wrong() -> None:
    (answered,) = ask(asking.inaccurate, 1)
    assert 1e-3 / 16 < float(answered.typical) < 1e-3  # a loss that is 1.001 times what it should be, with bounds of a few u
    assert [float(record.typical) for record in ask(asking.nan, 1)] == [0.0]


def test_draft_says_how_far_wrong_numbers_are_off() -> None:
    assert around([961.0]) == [400.0, 2000.0]
    assert around([42.7, 128_000.0]) == [20.0, 300_000.0]
    assert around([math.inf]) == [math.inf, math.inf]
    (record,) = ask(asking.inaccurate, 1)
    low, high = around([float(record.typical)])
    assert f"error = [{low}, {high}]" in draft([record])


def test_entries_explain_together_and_only_together() -> None:
    (record,) = ask(asking.wrapping_badly, 17)
    slope = expectation("wrapping badly", 17, observed=Observed(got=("inaccurate",), regimes=tuple(record.regimes)))
    label = expectation("wrapping badly", 17, observed=Observed(choice={"negative_index": "wrap"}))
    assert verdict(asking.wrapping_badly, label, slope, number=17) == "known defect"
    for entry in (label, slope):
        assert verdict(asking.wrapping_badly, entry, number=17) == "changed"


def test_entry_that_is_not_needed_has_changed() -> None:
    needed = expectation("inaccurate", 1)
    needless = expectation("inaccurate", 1, observed=Observed(choice={"negative_index": "wrap"}))
    (record,) = ask(asking.inaccurate, 1, entries=(needed, needless))
    assert record.verdict == "changed"
    assert record.reason == (
        "no longer as listed, as negative_index = wrap explains nothing that the rest does not: "
        "inaccurate is known; inaccurate is known"
    )


@pytest.mark.parametrize(
    "idle", [{"choice": {"mean_of_nothing": "zero"}}, {"value_form": "log"}, {"gradient_form": "separate"}]
)
def test_part_of_an_entry_that_is_not_needed_has_changed(idle) -> None:
    observed = Observed(**{**idle, "choice": {"negative_index": "wrap", **idle.get("choice", {})}})
    (record,) = ask(asking.wrapping, 17, entries=(expectation("wrapping", 17, observed=observed),))
    ((key, value),) = (idle.get("choice") or idle).items()
    assert record.verdict == "changed" and f"as {key} = {value} explains nothing" in record.reason


def test_undocumented_divergence_is_no_defect() -> None:
    wraps = Observed(choice={"negative_index": "wrap"})
    entry = expectation("wrapping", 17, observed=wraps, undocumented=True)
    (record,) = ask(asking.wrapping, 17, entries=(entry,))
    assert (record.verdict, record.reason, record.upstream) == (
        "undocumented divergence",
        "wrapping is known",
        "https://example.org/1",
    )
    assert record.finding is not None and record.verdict not in FAILING


def test_undocumented_divergence_is_strict_both_ways() -> None:
    wraps = expectation("*", 17, observed=Observed(choice={"negative_index": "wrap"}), undocumented=True)
    clamps = expectation("*", 17, observed=Observed(choice={"negative_index": "clamp"}), undocumented=True)
    assert verdict(asking.wrapping, clamps, number=17) == "changed"
    assert verdict(asking.sound, wraps, number=17) == "fixed"
    assert verdict(asking.documented, wraps, number=17) == "fixed"


def test_undocumented_divergence_beside_a_defect_is_a_defect() -> None:
    (record,) = ask(asking.wrapping_badly, 17)
    slope = expectation("wrapping badly", 17, observed=Observed(got=("inaccurate",), regimes=tuple(record.regimes)))
    label = expectation("wrapping badly", 17, observed=Observed(choice={"negative_index": "wrap"}), undocumented=True)
    assert verdict(asking.wrapping_badly, label, slope, number=17) == "known defect"


@pytest.mark.parametrize(
    ("conditions", "holds"),
    [
        ({"dtypes": ("float32",)}, True),
        ({"dtypes": ("float64", "float16")}, False),
        ({"modes": ("eager",)}, True),
        ({"modes": ("jit",)}, False),
        ({"devices": ("cpu",)}, True),
        ({"devices": ("cuda",)}, False),
        ({"profiles": ("quick", "default")}, True),
        ({"profiles": ("thorough",)}, False),
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
        (
            ENTRY.replace('got = ["nan"]', 'composition = "best"'),
            "entry 2: 'best' is no composition; use one of log_of_sigmoid",
        ),
        (ENTRY + "undocumented = true\n", "entry 2: an undocumented divergence is a choice alone, and none of masked_class, "),
        (
            ENTRY.replace('got = ["nan"]', 'choice = {small_loss = "absolute"}') + "undocumented = true\n",
            "entry 2: an undocumented divergence is a choice alone",
        ),
        (ENTRY.replace('got = ["nan"]', 'gradient_form = "best"'), "entry 2: 'best' is no form; use one of "),
        (ENTRY + 'versions = "numpy > two"\n', "entry 2: "),
        (ENTRY + 'profiles = ["slow"]\n', "entry 2: 'slow' is no profile; use quick, default, thorough"),
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
