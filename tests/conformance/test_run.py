"""A run writes one result file: the same every time, readable if it is killed, replaced by the next run."""

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from conformance.engine import questions
from conformance.plugin import key_of
from conformance.run import SUITE_VERSION, Writer
from crossproof import ROOT
from reports.gate import INCOMPLETE, NEWS, gate
from reports.record import Header, Record
from reports.results import ResultFile, read_results
from tests.command import TINY, broken, run_command, write_adapter
from tests.reports.synthetic import make_footer, make_header, make_record, write_lines

TIMES = ("started", "import_seconds", "framework_seconds", "compile_seconds", "suite_seconds", "wall_seconds")


def run(adapter: Path, target: Path, *words: str, profile: str = "quick") -> subprocess.CompletedProcess[str]:
    return run_command("run", "--adapter", adapter, "--profile", profile, "--results", target, *words)


def read(path: Path) -> ResultFile:
    results, problems = read_results([path])
    assert problems == []
    return results[0]


def without_times(path: Path) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    return [{key: value for key, value in line.items() if key not in TIMES} for line in lines]


@pytest.fixture(scope="module")
def two_losses(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, subprocess.CompletedProcess[str]]:
    """An adapter with a sound loss and one with an error, its result, and what was printed."""
    folder = tmp_path_factory.mktemp("run")
    sound = broken("value = value + 0", "sound")
    adapter = write_adapter(folder / "own.py", sound + broken("value = value * 1.0001", "off [a/b]"))
    return adapter, folder / "first.jsonl", run(adapter, folder / "first.jsonl")


def test_run_writes_a_record_for_each_question_in_their_order(two_losses) -> None:
    from adapters.loading import load

    adapter, target, process = two_losses
    result = read(target)
    asked = questions(load(str(adapter)))
    found = [(r.loss, r.api, r.mode, r.dtype, r.clause) for r in result.records]
    assert found == [(q.binding.loss, q.binding.api, q.mode, q.dtype, q.clause.id(q.binding.loss)) for q in asked]
    assert result.header.questions == len(asked) and result.header.suite_version == SUITE_VERSION
    assert result.footer is not None and result.footer.complete and result.footer.rows > 0
    assert process.returncode == NEWS and "Traceback" not in process.stdout + process.stderr
    assert {record.verdict for record in result.records if record.api == "sound"} == {"conforms", "unsupported"}


@pytest.mark.parametrize("words", [(), ("--", "-n", "2", "--dist", "loadgroup")], ids=["serially", "two workers"])
def test_two_runs_write_the_same_file_but_for_the_times(two_losses, words: tuple[str, ...], tmp_path: Path) -> None:
    adapter, first, _ = two_losses
    process = run(adapter, tmp_path / "second.jsonl", *words)
    assert process.returncode == NEWS
    assert without_times(tmp_path / "second.jsonl") == without_times(first)


def test_questions_of_one_loss_share_a_worker(tmp_path: Path) -> None:
    note = f"open({str(tmp_path / 'pids')!r}, 'a').write(f'{{os.getpid()}} ')"
    adapter = write_adapter(tmp_path / "own.py", broken(note, "one") + broken(note, "other"), head="import os\n")
    run(adapter, tmp_path / "own.jsonl", "--", "-n", "2", "--dist", "loadgroup")
    calls = (tmp_path / "pids").read_text().split()
    assert len(calls) > 50 and len(set(calls)) == 1


def test_finding_repeats_by_its_command(two_losses, tmp_path: Path) -> None:
    _, first, _ = two_losses
    record = next(record for record in read(first).records if record.finding)
    assert record.finding is not None
    python, script, *words = shlex.split(record.finding.command)
    assert (python, script) == ("python", "crossproof.py")
    process = run_command(*words, "--results", tmp_path / "again.jsonl")
    again = read(tmp_path / "again.jsonl")
    assert again.records == [record]
    assert again.header.selection == f"'--question={record.clause}/off [a/b]/eager/float32'"
    assert process.returncode == NEWS and again.footer is not None and not again.footer.complete


@pytest.mark.parametrize(
    ("words", "clauses", "verdict", "code"),
    [
        (("-k", "SPARSE-CATEGORICAL-20"), ["SPARSE-CATEGORICAL-20"] * 2, "defect", NEWS),
        (("-k", "off and SPARSE-CATEGORICAL-1", "-x"), ["SPARSE-CATEGORICAL-1"], "defect", INCOMPLETE),
        (("-k", "sparse_categorical and CATEGORICAL-31 and sound"), ["SPARSE-CATEGORICAL-31"], "conforms", 0),
        (("-k", "CATEGORICAL-28"), ["SPARSE-CATEGORICAL-28"] * 2, "unsupported", INCOMPLETE),
    ],
)
def test_what_follows_the_dashes_selects(two_losses, words, clauses, verdict: str, code: int, tmp_path: Path) -> None:
    adapter, _, _ = two_losses
    process = run(adapter, tmp_path / "some.jsonl", "--", *words)
    result = read(tmp_path / "some.jsonl")
    assert [record.clause for record in result.records] == clauses
    assert result.records[-1].verdict == verdict
    assert result.header.selection == shlex.join(words)
    assert result.footer is not None and not result.footer.complete and result.footer.stale == []
    assert process.returncode == code
    assert gate([result], [], [])[0] == INCOMPLETE


def test_first_failure_ends_a_run_that_says_so(two_losses, tmp_path: Path) -> None:
    adapter, first, _ = two_losses
    process = run(adapter, tmp_path / "some.jsonl", "--", "--exitfirst")
    result, whole = read(tmp_path / "some.jsonl"), read(first)
    failing = [record.verdict for record in whole.records].index("defect")
    assert result.records == whole.records[: failing + 1]
    assert result.header.questions == len(whole.records)
    assert result.footer is not None and not result.footer.complete
    assert process.returncode == INCOMPLETE


def test_selection_that_leaves_nothing_out_is_none(two_losses, tmp_path: Path) -> None:
    adapter, first, _ = two_losses
    run(adapter, tmp_path / "all.jsonl", "--", "-k", "sparse")
    assert without_times(tmp_path / "all.jsonl") == without_times(first)


def test_killed_run_keeps_what_it_recorded_and_the_next_replaces_it(tmp_path: Path) -> None:
    marker = tmp_path / "here"
    adapter = write_adapter(
        tmp_path / "killed.py",
        broken("value = value + 0", "first") + broken("die()", "second"),
        head=f"import os, signal\ndef die():\n    os.path.exists({str(marker)!r}) or os.kill(os.getpid(), signal.SIGKILL)\n",
    )
    target = tmp_path / "killed.jsonl"
    process = run(adapter, target)
    assert process.returncode == -signal.SIGKILL
    results, problems = read_results([target])
    (result,) = results
    assert problems == [] and result.footer is None
    assert {record.api for record in result.records} == {"first"} and len(result.records) == result.header.questions / 2
    assert gate(results, problems, [])[0] == INCOMPLETE
    marker.touch()
    run(adapter, target)
    assert read(target).footer is not None and len(read(target).records) == result.header.questions


@pytest.mark.parametrize("words", [(), ("--", "-n", "1", "--max-worker-restart", "0")], ids=["serially", "a worker"])
def test_run_that_dies_at_its_first_question_leaves_nothing_of_an_earlier_one(words: tuple[str, ...], tmp_path: Path) -> None:
    body = broken("os.kill(os.getpid(), signal.SIGKILL)", "dying")
    adapter = write_adapter(tmp_path / "dying.py", body, head="import os, signal\n")
    target = write_lines(tmp_path / "a.jsonl", make_header(), make_record(verdict="conforms", finding=None), make_footer(1))
    process = run(adapter, target, *words)
    results, problems = read_results([target])
    assert problems == [] and results[0].header.adapter == "dying"
    assert gate(results, problems, [])[0] == INCOMPLETE
    assert process.returncode == (INCOMPLETE if words else -signal.SIGKILL)


def test_worker_that_dies_leaves_a_crash(tmp_path: Path) -> None:
    die = "value = value if labels.size != 0 else os._exit(7)"
    adapter = write_adapter(tmp_path / "dying.py", broken(die, "dying"), head="import os\n")
    process = run(adapter, tmp_path / "dying.jsonl", "--", "-n", "1")
    result = read(tmp_path / "dying.jsonl")
    verdicts = {record.clause: record for record in result.records if record.verdict == "crash"}
    assert list(verdicts) == ["SPARSE-CATEGORICAL-16"]
    assert "crashed while running" in verdicts["SPARSE-CATEGORICAL-16"].reason
    assert result.footer is not None and result.footer.complete
    assert process.returncode == NEWS


def test_worker_that_hangs_leaves_a_crash(tmp_path: Path) -> None:
    hang = "_ = time.sleep(60) if labels.size == 0 else 0"
    adapter = write_adapter(tmp_path / "hanging.py", broken(hang, "hanging"), head="import time\n")
    process = run(adapter, tmp_path / "h.jsonl", "--", "-n", "1", "-o", "faulthandler_timeout=2", "-k", "CATEGORICAL-16")
    result = read(tmp_path / "h.jsonl")
    assert [record.verdict for record in result.records] == ["crash"]
    assert process.returncode == NEWS


def test_process_that_hangs_ends(tmp_path: Path) -> None:
    hang = "_ = time.sleep(60) if labels.size == 0 else 0"
    adapter = write_adapter(tmp_path / "hanging.py", broken(hang, "hanging"), head="import time\n")
    words = ["run", "--adapter", str(adapter), "--profile", "quick", "--results", str(tmp_path / "h.jsonl")]
    start = f"import crossproof\nfrom conformance import plugin\nplugin.HANG = 1\ncrossproof.main({words!r})"
    process = run_command(code=start, cwd=ROOT)
    assert "Timeout" in process.stderr and "in hanging" in process.stderr
    assert process.returncode == 1
    results, problems = read_results([tmp_path / "h.jsonl"])
    assert gate(results, problems, [])[0] == INCOMPLETE


@pytest.mark.parametrize("error", ["SystemExit(0)", "BaseException('odd')"])
def test_binding_that_raises_anything_is_a_crash(error: str, tmp_path: Path) -> None:
    adapter = write_adapter(tmp_path / "odd.py", broken(f"raise {error}", "odd"))
    process = run(adapter, tmp_path / "odd.jsonl", "--", "-k", "CATEGORICAL-1/")
    (record,) = read(tmp_path / "odd.jsonl").records
    assert record.verdict == "crash"
    assert error.partition("(")[0] in (record.reason or str(record.finding))
    assert "Traceback" not in process.stderr


@pytest.mark.parametrize("words", [(), ("--", "-k", "CATEGORICAL-1")], ids=["whole", "part"])
def test_interrupted_run_is_incomplete(words: tuple[str, ...], tmp_path: Path) -> None:
    adapter = write_adapter(tmp_path / "stop.py", broken("value = value + 0", "a") + broken("raise KeyboardInterrupt", "b"))
    process = run(adapter, tmp_path / "stop.jsonl", *words)
    result = read(tmp_path / "stop.jsonl")
    assert process.returncode == INCOMPLETE and "Traceback" not in process.stderr
    assert result.footer is not None and not result.footer.complete and {r.api for r in result.records} == {"a"}


def test_expectation_that_meets_no_question_is_stale_and_fails_the_gate(tmp_path: Path) -> None:
    head = '[[expect]]\napi = ["{}"]\nclauses = [1]\nobserved = {{got = ["nan"]}}\n'
    entry = head + 'reason = "r"\nupstream = "not found upstream"\n{}\n'
    texts = [
        ("another", ""),
        ("another", 'versions = "numpy<1"'),
        ("another", 'devices = ["cuda"]'),
        ("another", 'versions = "nunpy>1"'),
    ]
    folder = tmp_path / "expectations"
    folder.mkdir()
    (folder / "tiny.toml").write_text("\n".join(entry.format(*text) for text in texts))
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from pathlib import Path; import conformance.expectations as e; "
        f"e.FOLDER = Path({str(folder)!r}); from crossproof import main; main()"
    )
    words = ("run", "--adapter", TINY, "--profile", "quick", "--results", tmp_path / "tiny.jsonl")
    process = run_command(*words, code=code)
    footer = read(tmp_path / "tiny.jsonl").footer
    assert footer is not None and footer.complete
    assert footer.stale == ["entry 1: another: r", "entry 4: another: r"]
    assert process.returncode == NEWS and "stale" in process.stdout
    process = run_command(*words, "--", "-k", "CATEGORICAL-31", code=code)
    footer = read(tmp_path / "tiny.jsonl").footer
    assert footer is not None and footer.stale == []


def test_documented_choice_that_no_answer_shows_is_idle_and_fails_the_gate(tmp_path: Path) -> None:
    head = "from reference.semantics import Semantics\n"
    body = (
        '@implements("sparse_categorical_cross_entropy", api="own", semantics=Semantics(mean_of_nothing="zero"))\n'
        "def own(p, labels):\n    return log_loss(p, labels)\n"
    )
    process = run(write_adapter(tmp_path / "own.py", body, head=head), tmp_path / "own.jsonl")
    footer = read(tmp_path / "own.jsonl").footer
    assert footer is not None and footer.complete
    assert footer.idle == ["sparse_categorical_cross_entropy, own: the documentation states mean_of_nothing = zero"]
    assert process.returncode == NEWS and "idle" in process.stdout


def test_writer_puts_records_in_the_order_of_the_questions(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "deep" / "a.jsonl", {"a": 0, "b": 1, "c": 2, "d": 3})
    writer.open(make_header())
    records = {name: make_record(api=name) for name in "abcd"}
    writer.take("c", records["c"])
    writer.take("b", records["b"])
    assert lines(writer.path) == []
    writer.take("a", records["a"])
    assert lines(writer.path) == ["a", "b", "c"]
    writer.close(make_footer(0))
    assert lines(writer.path) == ["a", "b", "c"]


def test_writer_keeps_records_that_wait_for_one_that_never_came(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "a.jsonl", {"a": 0, "b": 1, "c": 2})
    writer.open(make_header())
    writer.take("c", make_record(api="c"))
    writer.take("b", make_record(api="b"))
    writer.close(make_footer(0))
    result = read(writer.path)
    assert [record.api for record in result.records] == ["b", "c"]
    assert result.footer is not None and result.footer.records == 2


def lines(path: Path) -> list[str]:
    results, _ = read_results([path])
    assert isinstance(results[0].header, Header)
    assert all(isinstance(record, Record) for record in results[0].records)
    return [record.api for record in results[0].records]


@pytest.mark.parametrize(
    "key", ["a/B-1/torch.nn.X/eager/float32", "a/B-1/f[x] over g[y]/eager/float32", "a/B-1/x@y::z/jit/float64"]
)
@pytest.mark.parametrize("group", ["", "@3"])
def test_key_is_read_from_a_node_id(key: str, group: str) -> None:
    assert key_of(f"conformance/test_questions.py::test_question[{key}]{group}") == key


def test_header_names_the_commit_and_the_processor(two_losses) -> None:
    _, first, _ = two_losses
    header = read(first).header
    asked = subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True, text=True)
    assert header.commit == (asked.stdout.strip() or "unknown")
    assert header.python == sys.version.split()[0]
    assert header.processor.endswith(f"{os.cpu_count()} cores")
    assert header.device == "cpu (NumPy)" and header.adapter == "own" and header.framework == "tiny"
