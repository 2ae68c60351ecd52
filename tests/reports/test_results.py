"""Result files: written and read back, damaged in every way, never trusted."""

import math
import random
from pathlib import Path

import pytest

from reports.record import SPECIFICATION_VERSION, Header, Line, number
from reports.results import PROBLEMS_NAMED, encode, read_results
from tests.reports.synthetic import make_footer, make_header, make_record, make_run, write_lines

LINES: list[Line] = [
    make_header(clauses=[], bindings=[], certificate=[]),
    make_record(),
    make_record("defect", clause="SPARSE-2"),
    make_footer(2),
]


def write(path: Path, *lines: bytes) -> Path:
    path.write_bytes(b"".join(lines))
    return path


def encoded(*lines: Line) -> list[bytes]:
    return [encode(line) + b"\n" for line in lines]


def test_a_file_is_read_as_it_was_written(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", *LINES)
    (result,), problems = read_results([path])
    assert problems == []
    assert [result.header, *result.records, result.footer] == LINES
    assert result.path == path


def test_an_encoded_line_is_one_line_whatever_it_holds():
    assert b"\n" not in encode(make_record(reason="two\nlines\r\u2028"))


@pytest.mark.parametrize(("x", "written"), [(math.nan, "nan"), (math.inf, "inf"), (-math.inf, "-inf"), (1.5, 1.5)])
def test_numbers_that_json_lacks_are_strings(x, written, tmp_path):
    assert number(x) == written
    path = write_lines(tmp_path / "a.jsonl", make_header(), make_record(worst=number(x)), make_footer(1))
    (result,), problems = read_results([path])
    assert problems == [] and result.records[0].worst == written


header, first, second, footer = encoded(*LINES)
DAMAGE = {
    "empty file": ((b"",), "line 1: the file is empty", None),
    "blank line": ((b"\n",), "line 1: the file is empty", None),
    "binary garbage": ((bytes(range(256)) * 9,), "line 1: not a result file", None),
    "foreign JSON": ((b'{"kind": "wheel", "specification_version": "1"}\n',), "line 1: the header is missing", None),
    "foreign text": ((b"<html>\n",), "line 1: not a result file", None),
    "deep nesting": ((b"[" * 200_000,), "line 1: not a result file", None),
    "no header": ((first, second, footer), "line 1: not a result file", None),
    "header of another type": (
        (header.replace(b'"seed":', b'"seed":"x","old":'), first),
        "line 1: the header is malformed",
        None,
    ),
    "malformed line": ((header, b"{]\n", second, footer), "line 2: the line is malformed", 1),
    "wrong type": (
        (header, first.replace(b'"rows":', b'"rows":"x","old":'), second, footer),
        "line 2: the line is malformed",
        1,
    ),
    "unknown verdict": ((header, first.replace(b'"conforms"', b'"fine"'), second, footer), "line 2: the line is malformed", 1),
    "negative rows": ((header, first.replace(b'"rows":', b'"rows":-'), second, footer), "line 2: the line is malformed", 1),
    "number out of range": ((header, first.replace(b'"rows":', b'"rows":9e999'), second, footer), "line 2: the line", 1),
    "not UTF-8": ((header, first.replace(b"SPARSE", b"\xff\xfe"), second, footer), "line 2: the line is malformed", 1),
    "nested line": ((header, b"[" * 200_000 + b"\n", second, footer), "line 2: the line is malformed", 1),
    "truncated last line": ((header, first, second[:-40]), "line 3: the line is cut short", 1),
    "bad last line without its newline": (
        (header, first, second.replace(b'"defect"', b'"great"').rstrip()),
        "line 3: the line is malformed (Invalid enum value 'great' - at `$.verdict`)",
        1,
    ),
    "garbage at the end": ((header, first, b"{]"), "line 3: the line is malformed", 1),
    "second header": ((header, first, header, second, footer), "line 3: a second header", 2),
    "after the footer": ((header, first, second, footer, first), "line 5: the file goes on after its footer", 2),
    "lost record": ((header, first, footer), "line 3: the footer counts 2 records and 1 can be read", 1),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_named_with_its_line_and_the_good_lines_are_kept(damage, tmp_path):
    lines, problem, kept = DAMAGE[damage]
    bad, good = write(tmp_path / "bad.jsonl", *lines), write_lines(tmp_path / "good.jsonl", *LINES)
    results, problems = read_results([bad, good])
    assert problems[0].startswith(f"{bad}, {problem}")
    assert "; " in problems[0] and len(problems[0].splitlines()) == 1
    assert [len(result.records) for result in results] == ([2] if kept is None else [kept, 2])


def test_a_newer_specification_is_named(tmp_path):
    newer = write_lines(tmp_path / "a.jsonl", make_header(specification_version="1.10"), make_record(), make_footer(1))
    results, problems = read_results([newer])
    assert len(results) == 1
    assert problems == [
        f"{newer}, line 1: written for specification 1.10, newer than {SPECIFICATION_VERSION}; update this checkout"
    ]


def test_a_newer_header_that_cannot_be_read_is_called_newer_not_malformed(tmp_path):
    newer = write(tmp_path / "a.jsonl", b'{"kind": "header", "specification_version": "2.0"}\n')
    results, (problem,) = read_results([newer])
    assert results == [] and f"newer than {SPECIFICATION_VERSION};" in problem


def test_versions_compare_by_number(tmp_path, monkeypatch):
    monkeypatch.setattr("reports.results.SPECIFICATION_VERSION", "1.9")
    older, same, newer = (
        write_lines(tmp_path / f"{version}.jsonl", make_header(specification_version=version))
        for version in ("1.8", "1.9.0", "1.10")
    )
    assert [problem.split(",")[0] for problem in read_results([older, same, newer])[1]] == [str(newer)]


@pytest.mark.parametrize("version", ["one", "", "1.", "1..2", "-1", "1.0rc1", "\u0663", "1\n", "9" * 30])
def test_what_is_no_version_of_the_specification_is_refused(version, tmp_path):
    path = write_lines(tmp_path / "a.jsonl", make_header(specification_version=version), make_record(), make_footer(1))
    results, (problem,) = read_results([path])
    assert results == []
    assert problem == f"{path}, line 1: {version[:20]!r} is no version of the specification, as '1' is; run the suite again"


def test_an_older_specification_is_read(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", make_header(specification_version="0.9"), make_record(), make_footer(1))
    assert read_results([path])[1] == []


def test_a_path_that_cannot_be_read_is_a_problem(tmp_path):
    missing, folder = tmp_path / "missing.jsonl", tmp_path
    results, problems = read_results([missing, folder])
    assert results == []
    assert [problem.split(" (")[0] for problem in problems] == [f"{missing}: cannot be read", f"{folder}: cannot be read"]


def test_a_path_given_twice_is_read_once(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", *LINES)
    (tmp_path / "folder").mkdir()
    assert len(read_results([path, tmp_path / "folder" / ".." / "a.jsonl"])[0]) == 1


def test_two_files_of_one_environment_are_both_kept(tmp_path):
    paths = [write_lines(tmp_path / name, *LINES) for name in ("a.jsonl", "b.jsonl")]
    assert [result.path for result in read_results(paths)[0]] == paths


def test_many_problems_are_counted_not_repeated(tmp_path):
    path = write(tmp_path / "a.jsonl", header, *[b"{]\n"] * 1000)
    _, problems = read_results([path])
    assert len(problems) == PROBLEMS_NAMED + 1
    assert problems[-1] == f"{path}, line 7: the first of {1000 - PROBLEMS_NAMED} more problems; run the suite again"


def test_no_damage_raises(tmp_path):
    chance, whole = random.Random(0), b"".join(encoded(*LINES))
    path = tmp_path / "a.jsonl"
    for _ in range(400):
        damaged = bytearray(whole)
        for _ in range(chance.randrange(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        path.write_bytes(damaged[: chance.randrange(len(damaged))])
        for problem in read_results([path])[1]:
            assert problem.startswith(f"{path}, line ") and len(problem.splitlines()) == 1


def test_every_truncation_keeps_the_lines_before_it(tmp_path):
    lines = encoded(*LINES)
    path = tmp_path / "a.jsonl"
    for cut in range(len(lines[0]), sum(map(len, lines[:3]))):
        path.write_bytes(b"".join(lines)[:cut])
        (result,), problems = read_results([path])
        assert isinstance(result.header, Header) and result.footer is None
        assert not problems or "cut short" in problems[0]
        whole_lines = path.read_bytes().count(b"\n")
        assert len(result.records) in (whole_lines - 1, whole_lines)


def test_a_whole_run_survives_the_disk(tmp_path):
    run = make_run("jax")
    path = write_lines(tmp_path / "jax.jsonl", run.header, *run.records)
    (result,), problems = read_results([path])
    assert problems == [] and result.records == run.records
