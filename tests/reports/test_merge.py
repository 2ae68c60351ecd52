"""Merging: what becomes one row, one column, one finding, and in which order."""

import msgspec

from reports.merge import (
    Merged,
    all_clauses,
    clause_order,
    count_verdicts,
    make_causes,
    make_cells,
    make_clause_rows,
    merge,
    name_columns,
    worst_by_clause,
)
from reports.record import ClauseInfo, Verdict
from tests.reports.synthetic import APIS, make_file, make_finding, make_header, make_record, make_run


def test_columns_are_named_by_file_and_told_apart_by_folder():
    files = [make_file(name=name) for name in ("x/pytorch.jsonl", "y/pytorch.jsonl", "y/jax.jsonl")]
    assert name_columns(files) == ["x/pytorch", "y/pytorch", "jax"]


def test_a_cell_has_the_worst_verdict_and_there_the_worst_error():
    records = [make_record(worst=1e30), make_record("known defect", worst=5.0), make_record("known defect", worst="nan")]
    files = [make_file(*records)]
    (cell,) = make_cells(files, worst_by_clause(files))
    assert cell.worst is records[2]
    assert cell.counts == {"conforms": 1, "known defect": 2}


def test_the_matrix_is_worst_first():
    records = [make_record(verdict, api=verdict) for verdict in ("conforms", "fixed", "crash", "known defect", "defect")]
    files = [make_file(*records)]
    assert [cell.api for cell in make_cells(files, worst_by_clause(files))] == [
        "crash",
        "defect",
        "fixed",
        "known defect",
        "conforms",
    ]


def test_findings_are_grouped_over_modes_and_dtypes():
    same = [make_record("defect", mode=mode) for mode in ("eager", "compile")]
    other = make_record("defect", dtype="float64", worst=0.5, finding=make_finding(expected="1e-17"))
    (cause,) = make_causes([make_file(*same, other)])
    (group,) = cause.groups
    assert [variant.where for variant in group.variants] == ["float32 eager, compile", "float64 eager"]
    assert len(group.records) == 3


def test_the_worst_answer_of_a_group_comes_first():
    mild, bad = (make_record("defect", worst=worst, finding=make_finding(got=str(worst))) for worst in (2.0, 3.0))
    ((group,),) = [cause.groups for cause in make_causes([make_file(mild, bad)])]
    assert group.worst is bad


def test_findings_that_differ_in_api_clause_column_or_reason_stay_apart():
    records = [make_record("defect"), make_record("defect", api="x"), make_record("defect", clause="SPARSE-2")]
    causes = make_causes([make_file(*records, make_record("defect", reason="r")), make_file(make_record("defect"))])
    assert sorted(len(cause.groups) for cause in causes) == [1, 4]


def test_regimes_add_up():
    records = [make_record("defect", mode=mode, regimes={"offset": 2, mode: 1}) for mode in ("eager", "compile")]
    ((group,),) = [cause.groups for cause in make_causes([make_file(*records)])]
    assert group.regimes == {"offset": 4, "eager": 1, "compile": 1}


def test_what_conforms_is_no_finding():
    assert make_causes([make_file(make_record(), make_record("unsupported"), make_record("not run"))]) == []


def test_causes_come_worst_verdict_first():
    verdicts: tuple[Verdict, ...] = (
        "documented divergence", "undocumented divergence", "known defect", "fixed", "changed", "defect", "crash",
    )  # fmt: skip
    causes = make_causes([make_file(*(make_record(verdict) for verdict in verdicts))])
    assert [cause.verdict for cause in causes] == [
        "crash",
        "defect",
        "changed",
        "fixed",
        "known defect",
        "undocumented divergence",
        "documented divergence",
    ]


def test_files_that_agree_share_a_clause_row():
    alike = [make_file(make_record()), make_file(make_record(worst=0.1))]
    assert [row.columns for row in make_clause_rows(worst_by_clause([*alike, make_file(make_record("defect"))]))] == [
        (2,),
        (0, 1),
    ]


def test_clauses_are_in_the_order_of_their_numbers():
    assert sorted(["SPARSE-10", "SPARSE-2", "BINARY-3"], key=clause_order) == ["BINARY-3", "SPARSE-2", "SPARSE-10"]


def test_a_clause_that_two_specifications_word_differently_is_kept_twice():
    headers = [make_header(clauses=[ClauseInfo("SPARSE-1", "Value", sentence)]) for sentence in ("old", "old", "new")]
    assert len(all_clauses([make_file(header=header) for header in headers])) == 2


def test_merged_data_holds_everything():
    runs = [make_run(adapter) for adapter in APIS]
    merged = msgspec.json.decode(msgspec.json.encode(merge(runs, ["a problem"])), type=Merged)
    assert merged.exit_code == 3 and merged.problems == ["a problem"]
    assert [file.name for file in merged.files] == list(APIS)
    assert [file.records for file in merged.files] == [run.records for run in runs]
    assert merged.verdicts == count_verdicts(runs)
