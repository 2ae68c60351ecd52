"""The README and CONTRIBUTING: their commands exist, their links resolve, their examples do what they say."""

import doctest
import importlib.util
import os
import re
import shlex
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import click
import pytest

import crossproof
from adapters.loading import REQUIREMENTS, load
from conformance.engine import questions
from conformance.profiles import PROFILES
from conformance.run import all_clauses, describe_specification, make_header
from reference.losses import FOUNDING_TABLE
from reports.equivalents import find_equivalents, write_equivalents
from reports.gate import AS_EXPECTED, INCOMPLETE, NEWS
from reports.record import VERDICTS
from reports.results import ResultFile
from reports.specification import with_picks, write_specification

ROOT = Path(crossproof.__file__).parent
EXAMPLE = ROOT / "examples" / "my_adapter.py"
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")


def blocks(text, language):
    """Return the contents of the fenced blocks of a language."""
    return re.findall(rf"^ *```{language}\n(.*?)^ *```$", text, flags=re.MULTILINE | re.DOTALL)


def commands():
    """Return each command of the pages as its words."""
    texts = [(ROOT / page).read_text(encoding="utf-8") for page in PAGES]
    lines = [line for text in texts for block in blocks(text, "console") for line in block.splitlines()]
    return [part.strip() for line in lines for part in line.split("&&") if part.strip()]


def table(start):
    """Return the rows of the README's table whose first heading is ``start``, cell by cell."""
    rows = README.partition(f"\n| {start} |")[2].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def anchors(text):
    """Return the anchors of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def run_adapter(path, tmp_path):
    """Put the quick profile to an adapter file; return the exit code and what was printed."""
    results = tmp_path / "results.jsonl"
    command = [sys.executable, ROOT / "crossproof.py", "run", "--adapter", path, "--profile", "quick", "--results", results]
    wide = {**os.environ, "COLUMNS": "1000"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=300, env=wide)
    return done.returncode, done.stdout + done.stderr


def test_example_in_readme_is_the_file():
    assert blocks(README, "python")[-1] == EXAMPLE.read_text(encoding="utf-8")


def test_choice_point_in_readme_is_that_of_the_specification():
    header = make_header(load("jax"), device="cpu", profile=PROFILES["quick"], selection="", questions=1)
    result = ResultFile(Path("jax.jsonl"), header, [], None)
    assert blocks(README, "markdown")[0] in write_specification(with_picks(describe_specification(all_clauses()), [result]))


def test_equivalent_in_readme_is_the_first_of_jax():
    loss = "sigmoid_cross_entropy_with_logits"
    heading, clauses, *divergences, source = blocks(README, "`markdown")[0].split("\n\n", 3)
    header = make_header(load("jax"), device="cpu", profile=PROFILES["quick"], selection="", questions=1)
    printed = write_equivalents(find_equivalents([ResultFile(Path("jax.jsonl"), header, [], None)], loss), loss, "")
    api, verdict = heading.rsplit(": ", 1)
    assert printed.partition("\n### ")[2].startswith(api.removeprefix("### ")) and verdict in VERDICTS
    assert clauses.startswith("Clauses: ") and all(line.startswith("- SIGMOID-") for line in divergences)
    assert source in printed


def test_example_conforms(tmp_path):
    code, printed = run_adapter(EXAMPLE, tmp_path)
    assert code == AS_EXPECTED, printed


def test_example_without_log1p_fails_as_the_readme_says(tmp_path):
    path = tmp_path / EXAMPLE.name
    text = EXAMPLE.read_text(encoding="utf-8")
    assert "torch.log1p(others)" in text
    path.write_text(text.replace("torch.log1p(others)", "torch.log(1 + others)"), encoding="utf-8")
    code, printed = run_adapter(path, tmp_path)
    assert code == NEWS, printed
    defect, clause, _, _ = blocks(README, "text")[0].splitlines()
    assert f"{defect}\n{clause}\n" in printed


def test_examples_of_the_problem_are_measured():
    example = "\n".join(blocks(README, "pycon"))
    test = doctest.DocTestParser().get_doctest(example, {}, "README.md", "README.md", 0)
    assert len(test.examples) >= 5
    assert doctest.DocTestRunner().run(test).failed == 0


def test_table_of_losses_names_calls_of_the_adapters(monkeypatch):
    monkeypatch.setenv("JAX_ENABLE_X64", "1")  # the adapter of Keras sets it for good: not here
    rows = table("Q holds")
    adapters = ("pytorch", "tensorflow", "keras-tensorflow", "jax")
    assert [row[2].strip("`") for row in rows] == list(FOUNDING_TABLE)
    assert {len(row) for row in rows} == {3 + len(adapters)}
    for column, adapter in enumerate(adapters, start=3):
        declared = {(binding.loss, binding.api) for binding in load(adapter).bindings}
        named = [(row[2].strip("`"), row[column].strip("`")) for row in rows]
        assert [pair for pair in named if pair not in declared] == []


def test_tables_of_verdicts_and_exit_codes_are_whole():
    assert {name for row in table("verdict") for name in row[0].split(", ")} == set(VERDICTS)
    assert [int(row[0]) for row in table("exit code")] == [AS_EXPECTED, NEWS, crossproof.USAGE, INCOMPLETE]


@pytest.mark.parametrize("page", PAGES)
def test_links_resolve(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        path, _, anchor = target.partition("#")
        if not path.startswith("https://"):
            linked = ROOT / path if path else ROOT / page
            assert linked.exists(), target
            assert not anchor or anchor in anchors(linked.read_text(encoding="utf-8")), target


def check_crossproof(words):
    """Refuse a command, option, adapter, profile, loss or question that does not exist."""
    command = crossproof.main.commands[words[0]]
    given = command.make_context(words[0], list(words[1:])).params
    adapter, loss = given.get("adapter", ""), given.get("loss", "")
    assert not adapter or adapter in REQUIREMENTS or (ROOT / adapter).is_file()
    assert given.get("profile", "default") in PROFILES
    if adapter:
        assert questions(load(adapter), loss=loss, question=given.get("question", ""))
    for file in given.get("files", ()):
        assert file.startswith("results/")


def check_module(words):
    """Refuse a `python -m` of nothing, a tox environment that does not exist, and a missing requirements file."""
    module, arguments = words[0], words[1:]
    assert module == "tox" or importlib.util.find_spec(module) is not None  # tox runs these tests from outside
    if module == "tox":
        ini = ConfigParser()
        ini.read(ROOT / "tox.ini")
        described = re.findall(r"^\s*([a-z, ]+):", ini["testenv"]["description"], flags=re.MULTILINE)
        known = {name.strip() for names in described for name in names.split(",")}
        assert {arguments[n + 1] for n, word in enumerate(arguments) if word == "-e"} <= known
    if module == "pip":
        assert all((ROOT / arguments[n + 1]).is_file() for n, word in enumerate(arguments) if word == "-r")
    if module == "pytest":
        assert all((ROOT / word.partition("::")[0]).exists() for word in arguments if word.startswith("tests"))


@pytest.mark.parametrize("command", sorted(set(commands())))
def test_command_exists(command):
    words = shlex.split(command)
    if words[:2] == ["python", "crossproof.py"]:
        check_crossproof(words[2:])
    elif words[:2] == ["python", "-m"]:
        check_module(words[2:])
    elif words[0] == "python":
        assert (ROOT / words[1]).is_file()
    else:
        assert words[0] in ("git", "cd", "ruff", "mypy")


@pytest.mark.parametrize("command", ["python crossproof.py judge", "python crossproof.py run --adapters pytorch"])
def test_command_that_does_not_exist_is_noticed(command):
    with pytest.raises((KeyError, click.UsageError)):
        check_crossproof(shlex.split(command)[2:])


def test_picture_of_the_report_is_small():
    assert (ROOT / "docs" / "report.png").stat().st_size < 300_000
