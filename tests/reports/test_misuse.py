"""The table of wrong helpers, from a result file to the page: every line kept, the worst first, what to call instead."""

import json

import jsonschema
import msgspec
import pytest

from reports.gate import gate
from reports.html import render
from reports.merge import Merged, merge
from reports.record import MISUSE_OUTCOMES, MisuseOutcome
from reports.results import ResultFile, encode, read_results
from reports.schema import make_schema
from reports.sections import make_wrong_helpers
from reports.wording import OUTCOMES
from tests.reports.page import Page
from tests.reports.synthetic import (
    make_data_kind,
    make_file,
    make_footer,
    make_header,
    make_misuse,
    make_record,
    make_run,
    write_lines,
)

VALIDATOR = jsonschema.Draft202012Validator(json.loads(make_schema()))
RAISED = {"got": "", "expected": "", "factor": None, "message": "IndexError: Target 1 is out of bounds."}


def measured(*misuses, adapter="pytorch", kinds=None) -> ResultFile:
    """Return a whole result file with some misuses."""
    header = make_header(adapter, data_kinds=[make_data_kind()] if kinds is None else kinds)
    file = make_file(make_record(), header=header, name=f"{adapter}.jsonl")
    file.misuses.extend(misuses)
    return file


@pytest.mark.parametrize("misuse", [make_misuse(), make_misuse(factor="nan"), make_misuse("raises", **RAISED)])
def test_a_line_follows_the_schema_and_survives_the_disk(misuse, tmp_path):
    VALIDATOR.validate(json.loads(encode(misuse)))
    path = write_lines(tmp_path / "a.jsonl", make_header(), make_record(), misuse, make_footer(1))
    (result,), problems = read_results([path])
    assert problems == [] and result.misuses == [misuse] and len(result.records) == 1


@pytest.mark.parametrize(("field", "value"), [("outcome", "fine"), ("factor", "big"), ("data", None), ("api", 1)])
def test_a_wrong_line_is_refused(field, value, tmp_path):
    line = json.loads(encode(make_misuse())) | {field: value}
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(line)
    path = write_lines(tmp_path / "a.jsonl", make_header(), make_record())
    path.write_bytes(path.read_bytes() + json.dumps(line).encode() + b"\n" + encode(make_footer(1)) + b"\n")
    (result,), (problem,) = read_results([path])
    assert f"{path}, line 3: the line is malformed" in problem and result.misuses == []


@pytest.mark.parametrize("outcome", MISUSE_OUTCOMES)
def test_no_misuse_moves_the_gate(outcome: MisuseOutcome):
    assert gate([measured(make_misuse(outcome))], [], []) == gate([measured()], [], []) == (0, [])


def test_merged_data_has_every_misuse():
    files = [measured(make_misuse(), make_misuse("raises", **RAISED)), measured(adapter="jax")]
    merged = msgspec.json.decode(msgspec.json.encode(merge(files, [])), type=Merged)
    assert [file.misuses for file in merged.files] == [file.misuses for file in files]
    assert [file.header.data_kinds for file in merged.files] == [[make_data_kind()]] * 2


def test_the_worst_comes_first_and_what_shows_comes_last():
    factors = ["nan", 1.5, 0.0, "inf", 0.01, -30.0]
    misuses = [make_misuse("raises", **RAISED), make_misuse("harmless", factor=1.0), make_misuse("wrong shape", factor=9.0)]
    misuses += [make_misuse(factor=factor, loss=f"loss {factor}") for factor in factors]
    (table,) = make_wrong_helpers([measured(*misuses)])
    assert [row.worst.factor for row in table.rows] == [0.0, 0.01, -30.0, 1.5, "nan", "inf", 9.0, None, 1.0]
    assert table.counts == [{"silently wrong": 6, "wrong shape": 1, "raises": 1, "harmless": 1}]


def test_what_is_alike_shares_a_row():
    shapes = [make_misuse("wrong shape", factor=factor) for factor in (2.0, 3.0, 3.001)]
    numbers = [make_misuse(factor=4.001), make_misuse(factor=4.002, api="other"), make_misuse(factor=4.2, api="worst")]
    raising = [make_misuse("raises", **RAISED), make_misuse("raises", **RAISED | {"message": "m"}, loss="another")]
    (table,) = make_wrong_helpers([measured(*shapes, *numbers), measured(numbers[0], *raising, adapter="jax")])
    number, shape, raises = table.rows
    assert number.worst is numbers[2] and number.apis == {0: ["worst", "other", numbers[0].api], 1: [numbers[0].api]}
    assert list(number.factors.values()) == [4.2, 4.002]
    assert list(shape.factors.values()) == [3.001, 2.0] and len(shape.apis[0]) == 3
    assert len(raises.apis[1]) == 2 and raises.factors == {}


def test_columns_with_the_same_names_are_named_together():
    files = [measured(make_misuse(), adapter=adapter) for adapter in ("pytorch", "jax")] + [measured(make_misuse(api="x"))]
    (table,) = make_wrong_helpers(files)
    assert table.rows[0].callers == [([0, 1], [make_misuse().api]), ([2], ["x"])]


@pytest.mark.parametrize(
    ("right", "loss", "api"),
    [
        ("categorical_cross_entropy", "binary_cross_entropy", "torch.nn.functional.cross_entropy over log"),
        ("negative_log_likelihood", "binary_cross_entropy", "torch.nn.functional.binary_cross_entropy"),
        ("", "sigmoid_cross_entropy_with_logits", "torch.nn.functional.binary_cross_entropy_with_logits"),
        ("", "unheard of", ""),
    ],
)
def test_the_lesson_names_the_api_of_the_right_loss_else_of_the_one_that_is_meant(right, loss, api):
    (table,) = make_wrong_helpers([measured(kinds=[make_data_kind(right=right, loss=loss)])])
    assert table.instead == [api]


def test_two_cases_of_one_name_stay_apart():
    files = [measured(make_misuse(), kinds=[make_data_kind(case=case)]) for case in "ab"]
    assert [[len(row.apis) for row in table.rows] for table in make_wrong_helpers(files)] == [[1], [1]]


def test_the_page_says_what_happened_and_what_to_call():
    misuses = [make_misuse(), make_misuse("raises", **RAISED), make_misuse("wrong shape", got="shape (7, 7)", factor=2.0)]
    page = Page(html := render([measured(*misuses)], []))
    for said in ("1 silently wrong", "1 wrong shape", "1 raises", "[-2.8332133]", "[4.1399376e-08]", "\u00d7 -6.84e7"):
        assert said in page.text
    for said in (str(RAISED["message"]), make_data_kind().case, make_data_kind().lesson, "shape (7, 7)", *OUTCOMES.values()):
        assert said in page.text
    assert "<p>Call <code>torch.nn.functional.cross_entropy</code>." in html
    assert html.index('class="o-silently-wrong"><td>') < html.index('class="o-wrong-shape"><td>')
    assert html.index('class="o-wrong-shape"><td>') < html.index('class="o-raises"><td>')
    assert "#wrong-helpers" in page.attributes("href") and "wrong-helpers" in page.attributes("id")


def test_a_page_without_a_measurement_has_no_such_section():
    assert "wrong-helpers" not in render([make_run("jax")], [])
