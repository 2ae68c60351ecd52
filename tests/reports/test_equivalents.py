"""Equivalents: which calls compute a loss, in which order, and what the last run said of each."""

import pytest
from msgspec.structs import replace

from reports.equivalents import Equivalents, find_equivalents, write_equivalents
from reports.record import BindingInfo, ClauseInfo, Record, Verdict
from tests.reports.synthetic import make_file, make_header, make_record

LOSS = "sparse_softmax_cross_entropy_with_logits"


def binding(api: str, *options: str, source: str = "def f(x): ...", **changes: object) -> BindingInfo:
    made = BindingInfo(LOSS, api, source, list(options), {}, "plain", "quotient", "https://page", False)
    return replace(made, **{"reductions": ["none"], **changes})


def record(api: str, verdict: Verdict = "conforms", clause: str = "SPARSE-1", **changes: object) -> Record:
    return make_record(verdict, api=api, clause=clause, **changes)


def found(
    bindings: list[BindingInfo], records: list[Record], *options: str, reduction: str = "", **header: object
) -> Equivalents:
    file = make_file(*records, header=replace(make_header(bindings=bindings), **header))
    (framework,) = find_equivalents([file], LOSS, options, reduction)
    return framework


def written(bindings: list[BindingInfo], records: list[Record], *options: str, reduction: str = "") -> str:
    return write_equivalents([found(bindings, records, *options, reduction=reduction)], LOSS, "-log p", options, reduction)


def order(bindings: list[BindingInfo], records: list[Record], *options: str, reduction: str = "") -> list[str]:
    return [call.binding.api for call in found(bindings, records, *options, reduction=reduction).calls]


LONG = "def f(x):\n    return x"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (binding("z", "class_weight", source=LONG), binding("a")),
        (binding("z", "class_weight", textbook=True), binding("a")),
        (binding("z", "class_weight", source=LONG), binding("a", "class_weight", composition=True)),
        (binding("z", "class_weight", source=LONG, composition=True), binding("a", "class_weight", textbook=True)),
        (binding("z", "class_weight"), binding("a", "class_weight", source=LONG)),
    ],
    ids=["what takes the option", "even a textbook one", "public before composed", "textbook last", "shorter"],
)
def test_the_best_call_comes_first(first: BindingInfo, second: BindingInfo) -> None:
    records = [record("a"), record("z")]
    assert order([first, second], records, "class_weight") == order([second, first], records, "class_weight") == ["z", "a"]


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ("conforms", "documented divergence"), ("documented divergence", "undocumented divergence"),
        ("undocumented divergence", "known defect"), ("known defect", "defect"), ("unsupported", "known defect"),
        ("defect", "not run"),
    ],
)  # fmt: skip
def test_what_conforms_comes_before_what_diverges(better: Verdict, worse: Verdict) -> None:
    records = [record("z"), record("z", better, "SPARSE-2"), record("a", worse, "SPARSE-2")]
    records += [record("a")] if worse != "not run" else []
    assert order([binding("a"), binding("z", source=LONG)], records) == ["z", "a"]


def test_a_clause_counts_once_by_its_worst_verdict() -> None:
    records = [record("a", dtype="float64"), record("a", "known defect"), record("a", clause="SPARSE-2")]
    (call,) = found([binding("a")], [*records, record("other", "defect"), record("a", "defect", loss="other")]).calls
    assert (call.verdict, call.counts) == ("known defect", {"known defect": 1, "conforms": 1})


def test_a_clause_about_another_option_does_not_count() -> None:
    clauses = [ClauseInfo("SPARSE-34", "class_weight", ""), ClauseInfo("SPARSE-40", "label_smoothing", "")]
    records = [record("a", "defect", "SPARSE-34"), record("a", "documented divergence", "SPARSE-40"), record("a")]
    for option, verdict in (("class_weight", "defect"), ("label_smoothing", "documented divergence")):
        (call,) = found([binding("a", option)], records, option, clauses=clauses).calls
        assert call.verdict == verdict and sum(call.counts.values()) == 2
    assert found([binding("a")], records, clauses=clauses).calls[0].verdict == "conforms"


def test_what_goes_wrong_under_a_pair_that_was_not_asked_for_does_not_count() -> None:
    asked, other = "class_weight=spread+label_smoothing=0.1", "class_weight=spread+ignore_index=0"
    named = {"class_weight": "", "label_smoothing": "", "ignore_index": ""}
    for regimes, verdict in (
        ({asked: 3}, "known defect"),
        ({other: 3}, "conforms"),
        ({asked: 3, other: 3}, "known defect"),
        ({"p=0 right": 3}, "known defect"),
        ({}, "known defect"),
    ):
        records = [record("a"), record("a", "known defect", "SPARSE-46", regimes=regimes)]
        (call,) = found([binding("a")], records, "class_weight", "label_smoothing", options=named).calls
        assert call.verdict == verdict, regimes


def test_a_call_that_takes_two_options_one_at_a_time_does_not_take_both() -> None:
    one_at_a_time = binding("z", "class_weight", "sample_weight", apart=["class_weight", "sample_weight"])
    both = binding("a", "class_weight", "sample_weight", source=LONG)
    assert order([one_at_a_time, both], [record("a"), record("z")], "class_weight", "sample_weight") == ["a", "z"]
    (_, refusing) = found([one_at_a_time, both], [], "class_weight", "sample_weight").calls
    assert refusing.lacks == ["class_weight beside sample_weight"]
    (call,) = found([one_at_a_time], [], "class_weight").calls
    assert not call.lacks


def test_what_diverges_is_told_by_reason() -> None:
    records = [
        record("a", "known defect", "SPARSE-10", reason="the reason", upstream="https://thread"),
        record("a", "known defect", "SPARSE-5", reason="the reason", upstream="https://thread"),
        record("a", "documented divergence", "SPARSE-2", reason="documented: masked_class = nan", upstream="https://page"),
        record("a", "defect", "SPARSE-3"),
    ]
    lines = [line for line in written([binding("a")], records).splitlines() if line.startswith("- ")]
    assert lines == [
        "- SPARSE-3, defect: a small loss keeps its digits",
        "- SPARSE-5, SPARSE-10, known defect: the reason <https://thread>",
        "- SPARSE-2, documented divergence: masked_class = nan",
    ]


def test_the_source_is_whole_and_only_of_what_takes_all() -> None:
    bindings = [binding("a", "class_weight", source=LONG, imports=["import torch"]), binding("b", source="def b(): ...")]
    text = written(bindings, [record("a"), record("b")], "class_weight", reduction="none")
    assert "# `sparse_softmax_cross_entropy_with_logits` with `class_weight` and reduction `none`\n" in text
    assert "### `a`: conforms\n\nClauses: 1 conforms. <https://page>\n" in text
    assert f"```python\nimport torch\n\n\n{LONG}\n```" in text
    assert "def b()" not in text and "- `b` lacks class_weight" in text


def test_a_reduction_that_a_call_does_not_have_is_lacking() -> None:
    bindings = [binding("a"), binding("b", reductions=["none", "mean"])]
    text = written(bindings, [record("a"), record("b")], reduction="mean")
    assert "### `b`" in text and "- `a` lacks reduction mean" in text


@pytest.mark.parametrize(
    ("bindings", "sentence"),
    [
        ([binding("c", "class_weight", composition=True)], "the shortest composition that conforms is `c`."),
        ([binding("d", "class_weight", composition=True)], "no composition for it conforms in every clause"),
        ([binding("p")], "and there is no checked composition for it."),
    ],
)
def test_without_a_public_api_a_composition_is_named(bindings: list[BindingInfo], sentence: str) -> None:
    records = [record("c"), record("d", "known defect"), record("p")]
    text = written(bindings, records, "class_weight")
    assert "No public API that is asked takes `class_weight`" in text and sentence in text
    assert "No public API" not in written([*bindings, binding("p2", "class_weight")], records, "class_weight")


def test_compositions_are_marked() -> None:
    text = written([binding("c", composition=True), binding("t", composition=True, textbook=True)], [record("c"), record("t")])
    assert "### `c`: composition, conforms" in text and "### `t`: textbook composition, conforms" in text


def test_a_framework_without_the_loss_says_so() -> None:
    assert "It has no call of this loss in these results." in written([], [])


def test_a_call_that_was_not_asked_is_not_run() -> None:
    assert "### `a`: not run\n\nClauses: none was asked." in written([binding("a")], [])


def test_control_characters_of_a_file_do_not_reach_the_terminal() -> None:
    bad = binding("a\x1b[2J", source="def f():\x1b[2J\n    ...", documentation="https://p\x07", imports=["import x\x1b"])
    text = written([bad], [record(bad.api, "defect", reason="r\x1b[31m", upstream="u\x1b")])
    assert not {character for character in text if not character.isprintable()} - {"\n"}
