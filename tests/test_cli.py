"""The command line: each wrong use is one sentence and an exit code, never a traceback."""

import json
import os
import re
from pathlib import Path

import click
import pytest

from crossproof import ROOT, USAGE, main
from reference.semantics import CHOICE_POINTS
from reports.gate import INCOMPLETE
from reports.record import Line
from reports.results import encode, read_results
from tests.command import TINY, broken, invoke, run_command, write_adapter
from tests.reports.synthetic import make_footer, make_header, make_record, write_lines

LOSS = "sparse_softmax_cross_entropy_with_logits"


def refused(*words: object) -> str:
    """Return the one sentence of a refusal."""
    result = invoke(*words)
    assert result.exit_code == USAGE and isinstance(result.exception, SystemExit)
    (line,) = result.stderr.splitlines()
    assert result.stdout == "" and line.startswith("crossproof: ")
    return line.removeprefix("crossproof: ")


def whole(adapter: str = "pytorch") -> list[Line]:
    return [make_header(adapter=adapter, processor="Zilog Z80"), make_record(verdict="conforms", finding=None), make_footer(1)]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--adapter", "caffe"], "there is no adapter 'caffe': use one of pytorch, tensorflow, jax, keras-tensorflow,"),
        (["--adapter", TINY, "--device", "tpu"], "there is no device 'tpu': use one of cpu"),
        (["--adapter", TINY, "--profile", "slow"], "there is no profile 'slow': use one of quick, default, thorough"),
        (["--adapter", TINY, "--loss", "hinge"], "there is no loss 'hinge': use one of binary_cross_entropy, categorical"),
        (["--adapter", TINY, "--loss", "binary_cross_entropy"], "has no question about the loss 'binary_cross_entropy'"),
        (["--adapter", TINY, "--question", "SPARSE-99/x"], "has no question 'SPARSE-99/x': take the id from a finding"),
        (["--adapter", "nowhere.py"], "nowhere.py is not a file: give --adapter the path of a Python file"),
    ],
)
def test_unknown_name_lists_those_that_exist(words: list[object], sentence: str, tmp_path: Path) -> None:
    assert sentence in refused("run", "--results", tmp_path / "a.jsonl", *words)
    assert not (tmp_path / "a.jsonl").exists()


@pytest.mark.parametrize("path", ["folder", "file/below.jsonl", "/proc/nothing.jsonl"])
def test_result_that_cannot_be_written_is_refused(path: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    sentence = refused("run", "--adapter", TINY, "--results", tmp_path / path)
    assert re.fullmatch(rf"{re.escape(str(tmp_path / path))} cannot be written \(.+\): give --results another path", sentence)


@pytest.mark.parametrize("path", ["folder", "file/report.html", "/proc/report.html"])
def test_report_that_cannot_be_written_is_refused(path: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    results = write_lines(tmp_path / "a.jsonl", *whole())
    sentence = refused("report", results, "--output", tmp_path / path)
    assert sentence.startswith(f"{tmp_path / path} cannot be written (") and sentence.endswith("): give --output another path")


def test_report_does_not_take_the_place_of_its_own_json(tmp_path: Path) -> None:
    results = write_lines(tmp_path / "a.jsonl", *whole())
    assert "give --output a name that ends in .html" in refused("report", results, "--output", tmp_path / "a.json")


@pytest.mark.parametrize(("name", "reason"), [("", "'' is no name"), ("r.jsonl", "r.jsonl has the name of a result file")])
def test_report_has_a_name_of_its_own(name: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crossproof.ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)
    results = write_lines(tmp_path / "a.jsonl", *whole())
    assert refused("report", results, "--output", name) == f"{reason}: give --output a name that ends in .html"
    assert list(tmp_path.iterdir()) == [results]


@pytest.mark.parametrize("name", ["a.jsonl", "a.txt"])
def test_report_does_not_replace_what_it_reads(name: str, tmp_path: Path) -> None:
    results = write_lines(tmp_path / name, *whole())
    before = results.read_bytes()
    assert "is one of the result files" in refused("report", results, "--output", results)
    assert results.read_bytes() == before


def test_adapter_that_breaks_names_its_line(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("x = 1\nx.y\n")
    assert refused("run", "--adapter", tmp_path / "own.py") == (
        f"{tmp_path}/own.py, line 2: AttributeError: 'int' object has no attribute 'y'"
    )


def test_expectations_that_are_malformed_name_the_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tiny.toml").write_text('[[expect]]\napi = ["x"]\nclauses = [1]\nobserved = {}\nreason = "r"\nupstream = ""\n')
    monkeypatch.setattr("conformance.expectations.FOLDER", tmp_path)
    assert refused("run", "--adapter", TINY).startswith(f"{tmp_path}/tiny.toml, entry 1: observed is empty")


DAMAGED = {
    "missing": (None, "No such file or directory"),
    "empty": (b"", "line 1: the file is empty"),
    "foreign": (b"<html>\n", "line 1: not a result file of this suite"),
    "foreign JSON": (b'{"kind": "record"}\n', "line 1: not a result file of this suite"),
    "no version": (encode(make_header(specification_version="one")) + b"\n", "line 1: 'one' is no version of"),
    "binary": (bytes(range(256)), "line 1: not a result file of this suite"),
}


@pytest.mark.parametrize("command", ["gate", "report"])
@pytest.mark.parametrize(("content", "words"), DAMAGED.values(), ids=DAMAGED)
def test_damaged_file_is_named_and_the_others_are_read(command: str, content: bytes | None, words: str, tmp_path: Path) -> None:
    bad, good = tmp_path / "bad.jsonl", write_lines(tmp_path / "good.jsonl", *whole())
    if content is not None:
        bad.write_bytes(content)
    output = ["--output", tmp_path / "report.html"] if command == "report" else []
    result = invoke(command, bad, good, *output)
    assert result.exit_code == INCOMPLETE and "Traceback" not in result.output
    (line,) = [line for line in result.output.splitlines() if str(bad) in line]
    assert words in line
    assert not output or "Zilog Z80" in (tmp_path / "report.html").read_text()


def test_truncated_file_names_its_line(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", *whole())
    path.write_bytes(path.read_bytes()[:-20])
    result = invoke("gate", path)
    assert result.exit_code == INCOMPLETE and f"{path}, line 3: the line is cut short" in result.output


def test_required_result_that_is_missing_is_incomplete(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", *whole())
    assert invoke("gate", path, "--require", "pytorch").exit_code == 0
    result = invoke("gate", path, "--require", "pytorch", "--require", "jax")
    assert (result.exit_code, result.output) == (INCOMPLETE, "There is no result file of the required adapter jax.\n")


def test_pattern_that_no_shell_has_expanded_is_expanded(tmp_path: Path) -> None:
    write_lines(tmp_path / "a.jsonl", *whole())
    write_lines(tmp_path / "b.jsonl", *whole("jax"))
    assert invoke("gate", tmp_path / "*.jsonl", "--require", "pytorch", "--require", "jax").exit_code == 0
    nothing = invoke("gate", tmp_path / "*.json")
    assert (nothing.exit_code, nothing.output) == (INCOMPLETE, "There is no result; run the suite first.\n")


def test_file_with_a_name_like_a_pattern_is_read(tmp_path: Path) -> None:
    assert invoke("gate", write_lines(tmp_path / "a[1].jsonl", *whole())).exit_code == 0


def test_without_files_all_results_of_the_checkout_are_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crossproof.ROOT", tmp_path)
    assert invoke("gate").exit_code == INCOMPLETE
    (tmp_path / "results").mkdir()
    write_lines(tmp_path / "results" / "a.jsonl", *whole())
    assert invoke("gate").exit_code == 0
    assert invoke("report").exit_code == 0 and (tmp_path / "results" / "report.html").exists()


def test_gate_says_in_a_code_what_the_records_say(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", make_header(), make_record(verdict="defect"), make_footer(1))
    assert invoke("gate", path).exit_code == 1


@pytest.mark.parametrize("words", [["nothing"], ["run"], ["run", "--adapter", TINY, "--fast"], ["expect"], []])
def test_wrong_words_are_refused(words: list[object]) -> None:
    result = invoke(*words)
    assert result.exit_code == USAGE and "Usage: " in result.stderr and "Traceback" not in result.output


@pytest.mark.parametrize("command", ["", *main.commands])
def test_help_says_everything_in_whole_sentences(command: str) -> None:
    result = invoke(*command.split(), "--help")
    assert result.exit_code == 0
    assert not [line for line in result.output.splitlines()[1:] if line.endswith("...")]
    options = (
        [parameter for parameter in main.commands[command].params if isinstance(parameter, click.Option)] if command else []
    )
    assert all(option.help for option in options)


def test_expect_drafts_what_is_not_listed(tmp_path: Path) -> None:
    records = [make_record(verdict="defect", kinds=["nan"]), make_record(verdict="known defect", api="listed", kinds=["inf"])]
    result = invoke("expect", write_lines(tmp_path / "a.jsonl", make_header(), *records, make_footer(2)))
    assert result.exit_code == 0 and 'observed = {got = ["nan"]}' in result.output and "listed" not in result.output


@pytest.mark.parametrize("content", [None, b"", b"x\n"])
def test_expect_refuses_what_is_no_result(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "a.jsonl").write_bytes(content)
    assert refused("expect", tmp_path / "a.jsonl").startswith(f"{tmp_path}/a.jsonl")


def test_spec_prints_the_specification_and_who_picks_what(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crossproof.ROOT", tmp_path)
    alone = invoke("spec")
    path = write_lines(tmp_path / "a.jsonl", *whole())
    picked = invoke("spec", path)
    assert (alone.exit_code, alone.stderr, picked.exit_code, picked.stderr) == (0, "", 0, "")
    assert alone.stdout.startswith("# Specification\n") and "run `python crossproof.py run" in alone.stdout
    assert "- `absolute`: log(1 + s)" in picked.stdout and "  - a: `torch.nn.functional.cross_entropy`" in picked.stdout


def test_spec_and_equivalents_print_data(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", *whole())
    assert len(json.loads(invoke("spec", path, "--format", "json").stdout)["choice_points"]) == len(CHOICE_POINTS)
    (framework,) = json.loads(invoke("equivalents", LOSS, path, "--format", "json").stdout)
    assert framework["calls"][0]["verdict"] == "conforms" and framework["calls"][0]["binding"]["loss"] == LOSS


def test_equivalents_print_the_calls_of_each_result(tmp_path: Path) -> None:
    files = [write_lines(tmp_path / f"{name}.jsonl", *whole(name)) for name in ("pytorch", "jax")]
    result = invoke("equivalents", LOSS, *files, "--reduction", "mean")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "## pytorch: " in result.stdout and "### `torch.nn.functional.cross_entropy`: conforms" in result.stdout
    assert "## jax: " in result.stdout and "```python\nimport torch\n" in result.stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["hinge"], "there is no loss 'hinge': use one of binary_cross_entropy, categorical_cross_entropy, "),
        (["binary_cross_entropy", "--option", "gamma"], "there is no option of binary_cross_entropy 'gamma': use one of "),
        (["binary_cross_entropy", "--option", "class_axis"], "there is no option of binary_cross_entropy 'class_axis': use"),
        (["soft_margin", "--option", "gamma"], "there is no option of soft_margin 'gamma': it has none"),
        (["binary_cross_entropy", "--reduction", "median"], "there is no reduction 'median': use one of none, sum, mean, "),
        (["binary_cross_entropy", "--format", "pdf"], "there is no format 'pdf': use one of text, markdown, json"),
    ],
)
def test_equivalents_of_nothing_list_what_there_is(words: list[str], sentence: str) -> None:
    assert sentence in refused("equivalents", *words)


def test_equivalents_without_a_result_say_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crossproof.ROOT", tmp_path)
    result = invoke("equivalents", LOSS)
    assert (result.exit_code, result.stdout) == (INCOMPLETE, "")
    assert "there is no result: run `python crossproof.py run --adapter pytorch` or `python -m tox` first" in result.stderr


@pytest.mark.parametrize("words", [["spec"], ["equivalents", "binary_cross_entropy"]])
def test_damaged_file_is_told_beside_what_is_printed(words: list[str], tmp_path: Path) -> None:
    bad, good = tmp_path / "bad.jsonl", write_lines(tmp_path / "good.jsonl", *whole())
    bad.write_bytes(b"")
    result = invoke(*words, bad, good)
    assert result.exit_code == INCOMPLETE and "bad.jsonl, line 1: the file is empty" in result.stderr
    assert re.search(r"^(  - |## )good: ", result.stdout, flags=re.MULTILINE)


def test_interrupt_is_incomplete(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(paths: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("reports.results.read_results", interrupt)
    result = invoke("gate", "a.jsonl")
    assert (result.exit_code, result.output) == (INCOMPLETE, "crossproof: interrupted\n")


PRINTING = [
    ["spec", "FILE"],
    ["spec", "FILE", "--format", "json"],
    ["equivalents", LOSS, "FILE"],
    ["gate", "FILE"],
    ["report", "FILE", "--output", "FILE.html"],
    ["expect", "FILE"],
    ["run", "--adapter", str(TINY), "--profile", "quick", "--results", "FILE.new", "--", "-k", "CATEGORICAL-31"],
]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device")
@pytest.mark.parametrize("words", PRINTING, ids=lambda words: words[0])
def test_output_that_cannot_be_written_is_refused(words: list[str], tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", make_header(), make_record(verdict="defect"), make_footer(1))
    with open("/dev/full", "w") as full:
        process = run_command(*(word.replace("FILE", str(path)) for word in words), stdout=full.fileno())
    assert (process.returncode, process.stderr) == (
        USAGE,
        "crossproof: the output cannot be written (No space left on device): send it to another place\n",
    )


@pytest.mark.parametrize("words", PRINTING, ids=lambda words: words[0])
def test_reader_that_has_gone_is_no_news(words: list[str], tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", make_header(), make_record(verdict="defect"), make_footer(1))
    reader, writer = os.pipe()
    os.close(reader)
    process = run_command(*(word.replace("FILE", str(path)) for word in words), stdout=writer)
    os.close(writer)
    assert (process.returncode, process.stderr) == (INCOMPLETE, "")


def test_reader_that_goes_before_the_summary_is_no_news_either(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", make_header(), make_record(), make_footer(1))
    code = (
        "import sys, crossproof\nfrom pathlib import Path\n"
        "crossproof._run_pytest = lambda options, arguments, target: crossproof._conclude(target)\n"
        f"crossproof.main(['run', '--adapter', {str(TINY)!r}, '--results', {str(path)!r}])"
    )
    reader, writer = os.pipe()
    os.close(reader)
    process = run_command(code=code, cwd=ROOT, stdout=writer)
    os.close(writer)
    assert (process.returncode, process.stderr) == (INCOMPLETE, "")


def test_error_of_a_file_that_nobody_foresaw_is_not_taken_for_one_of_the_output(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(paths: object) -> None:
        raise PermissionError(13, "Permission denied", "somewhere")

    monkeypatch.setattr("reports.results.read_results", fail)
    assert isinstance(invoke("gate", "a.jsonl").exception, PermissionError)


def test_run_by_path_from_another_directory(tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text("raise ImportError('shadowed')\n")
    write_adapter(tmp_path / "torch.py", broken("pass", "mine"))
    words = ("run", "--adapter", "torch.py", "--profile", "quick", "--results", "deep/a.jsonl", "--", "-n", "1")
    process = run_command(*words, cwd=tmp_path)
    results, problems = read_results([tmp_path / "deep" / "a.jsonl"])
    assert (process.returncode, problems, process.stderr) == (0, [], "")
    assert results[0].header.adapter == "torch" and results[0].footer is not None and results[0].footer.complete


def test_dashes_alone_are_fine(tmp_path: Path) -> None:
    assert run_command("run", "--adapter", TINY, "--profile", "quick", "--results", tmp_path / "a.jsonl", "--").returncode == 0


@pytest.mark.parametrize(
    ("words", "code"),
    [(["--no-such-option"], USAGE), (["nowhere.py"], USAGE), (["-k", "nothing-like-this"], INCOMPLETE), (["--co"], INCOMPLETE)],
)
def test_words_that_pytest_refuses(words: list[str], code: int, tmp_path: Path) -> None:
    process = run_command("run", "--adapter", TINY, "--profile", "quick", "--results", tmp_path / "a.jsonl", "--", *words)
    assert process.returncode == code and "Traceback" not in process.stdout + process.stderr
    assert not (tmp_path / "a.jsonl").exists() and "earlier run" not in process.stderr


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--no-such-option"], USAGE),
        (["nowhere.py"], USAGE),
        (["-k", "nothing-like-this"], INCOMPLETE),
        (["-n", "1", "-k", "nothing-like-this"], INCOMPLETE),
        (["--co"], INCOMPLETE),
        (["--fixtures"], INCOMPLETE),
        (["--help"], INCOMPLETE),
    ],
)
def test_run_that_puts_no_question_leaves_an_earlier_result_and_is_not_judged_by_it(
    words: list[str], code: int, tmp_path: Path
) -> None:
    path = write_lines(tmp_path / "a.jsonl", *whole())
    before = path.read_bytes(), path.stat().st_mtime_ns
    process = run_command("run", "--adapter", TINY, "--profile", "quick", "--results", path, "--", *words)
    assert process.returncode == code and (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert code == USAGE or f"nothing ran; {path} is of an earlier run; check what follows --\n" in process.stderr


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--nonsense"], "unrecognized arguments: --nonsense"),
        (["-n", "two"], "argument -n/--numprocesses: invalid parse_numprocesses value: 'two'"),
        (["-p", "nowhere"], """Error importing plugin "nowhere": No module named 'nowhere'"""),
    ],
)
def test_what_pytest_does_not_take_is_refused_in_one_sentence(words: list[str], reason: str, tmp_path: Path) -> None:
    process = run_command("run", "--adapter", TINY, "--results", tmp_path / "a.jsonl", "--", *words)
    assert (process.returncode, process.stdout) == (USAGE, "")
    assert process.stderr == (
        f"crossproof: pytest does not take what follows -- ({reason}): `python -m pytest --help` lists its options\n"
    )


def test_missing_framework_says_what_to_install(tmp_path: Path) -> None:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); sys.modules['torch'] = None; from crossproof import main; main()"
    process = run_command("run", "--adapter", "pytorch", "--results", tmp_path / "a.jsonl", code=code)
    assert process.returncode == USAGE and process.stdout == ""
    assert process.stderr == (
        "crossproof: the adapter 'pytorch' needs a package that is not installed (torch): "
        "run `python -m pip install -r requirements/pytorch.txt`\n"
    )


def test_gate_report_and_equivalents_need_no_framework(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", *whole())
    blocked = "; ".join(f"sys.modules[{name!r}] = None" for name in ("torch", "tensorflow", "jax", "hypothesis", "pytest"))
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); {blocked}; from crossproof import main; main()"
    for words in (["report", path, "--output", tmp_path / "report.html"], ["equivalents", LOSS, path]):
        process = run_command(*words, code=code)
        assert (process.returncode, process.stderr) == (0, "")
