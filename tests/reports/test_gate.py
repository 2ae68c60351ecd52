"""The gate: each way to fail, alone and together."""

from dataclasses import replace

import pytest

from reports.gate import gate
from reports.record import FAILING, VERDICTS, Answers
from tests.reports.synthetic import make_file, make_header, make_record

GOOD = make_file(
    make_record(),
    make_record("known defect"),
    make_record("undocumented divergence"),
    make_record("documented divergence"),
    make_record("unsupported"),
)


def test_a_run_as_expected_passes():
    assert gate([GOOD], [], ["pytorch"]) == (0, [])


@pytest.mark.parametrize("verdict", VERDICTS)
def test_only_news_fails(verdict):
    code, reasons = gate([make_file(make_record(), make_record(verdict))], [], [])
    assert code == (1 if verdict in FAILING else 0)
    assert len(reasons) == code


def test_the_reason_counts_the_verdict_and_names_the_first_question():
    file = make_file(make_record(), make_record("defect", clause="SPARSE-7"), make_record("defect"))
    assert gate([file], [], [])[1] == [
        "pytorch.jsonl has 2 new defects, the first at SPARSE-7 float32 eager torch.nn.functional.cross_entropy."
    ]


def test_a_stale_expectation_fails():
    code, reasons = gate([make_file(make_record(), stale=["entry 3"])], [], [])
    assert code == 1 and "entry 3" in reasons[0]


def backend(name, got, **changes):
    """Return the file of a backend that answers a number within 0.25."""
    record = make_record(**{"answers": Answers([got, "nan"], [0.25, 0.0]), **changes})
    return make_file(record, name=f"{name}.jsonl", header=make_header(name))


def test_backends_that_answer_alike_pass():
    assert gate([backend("a", 1.0), backend("b", 1.5), backend("c", 1.25)], [], []) == (0, [])


@pytest.mark.parametrize("got", [1.51, "nan", "inf"])
def test_backends_with_one_account_and_two_answers_fail(got):
    code, reasons = gate([backend("a", 1.0), backend("b", 0.75), backend("c", got)], [], [])
    assert code == 1
    assert reasons[0] == "a.jsonl and c.jsonl disagree at SPARSE-1 float32 eager torch.nn.functional.cross_entropy."
    assert len(reasons) == 2


def test_backends_whose_expectations_tell_them_apart_pass():
    listed = backend("b", 9.0, verdict="known defect", reason="the loss is clipped")
    assert gate([backend("a", 1.0), listed, backend("c", 1.0, dtype="float64")], [], []) == (0, [])


def test_an_idle_documented_choice_fails():
    code, reasons = gate([make_file(make_record(), idle=["nll: mean_of_nothing = zero"])], [], [])
    assert code == 1
    assert reasons == ["pytorch.jsonl has an idle documented choice, which no answer shows: nll: mean_of_nothing = zero."]


INCOMPLETE = {
    "no result": ([], [], []),
    "no records": ([make_file()], [], []),
    "no answer": ([make_file(make_record("not run"), make_record("unsupported"))], [], []),
    "required adapter": ([GOOD], [], ["pytorch", "jax"]),
    "no footer": ([replace(GOOD, footer=None)], [], []),
    "incomplete": ([make_file(make_record(), complete=False)], [], []),
    "problem": ([GOOD], ["x.jsonl, line 3: the line is malformed; run the suite again"], []),
}


@pytest.mark.parametrize("case", INCOMPLETE)
def test_what_is_incomplete_is_never_green(case):
    code, reasons = gate(*INCOMPLETE[case])
    assert code == 3 and len(reasons) == 1


def test_incomplete_outranks_news_and_the_reasons_are_worst_first():
    news = make_file(make_record("fixed"), make_record("crash"), name="a.jsonl", header=make_header("a"), complete=False)
    code, reasons = gate([news], ["b.jsonl, line 1: the file is empty; run the suite again"], ["c"])
    assert code == 3
    assert [reason.split(",")[0][:26] for reason in reasons] == [
        "There is no result file of",
        "b.jsonl",
        "a.jsonl says that its run ",
        "a.jsonl has 1 crash",
        "a.jsonl has 1 fixed result",
    ]
