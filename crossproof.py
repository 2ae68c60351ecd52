"""The front door: the command line of Crossproof."""

import os
import shlex
import sys
from collections.abc import Sequence
from glob import glob, has_magic
from pathlib import Path

import click
import msgspec

# The rooms are imported from the checkout, wherever the command is run from.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from reports.gate import INCOMPLETE

ROOT = Path(__file__).resolve().parent
USAGE = 2
"""The exit code of wrong usage; the others are those of the gate."""


class Refusal(click.ClickException):
    """Wrong usage: one sentence, exit code 2, no traceback."""

    exit_code = USAGE

    def show(self, file: object = None) -> None:
        """Print the sentence."""
        click.echo(f"crossproof: {self.message}", err=True)


def _choose(kind: str, name: str, known: Sequence[str]) -> str:
    if name not in known:
        there = f"use one of {', '.join(known)}" if known else "it has none"
        raise Refusal(f"there is no {kind} {name!r}: {there}")
    return name


class Commands(click.Group):
    """The commands; one that is interrupted, or whose reader has gone, is incomplete."""

    def invoke(self, context: click.Context) -> object:
        """Run the command that the arguments name."""
        try:
            return super().invoke(context)
        except KeyboardInterrupt:
            click.echo("crossproof: interrupted", err=True)
            sys.exit(INCOMPLETE)
        except OSError as error:
            if error.filename is not None:  # what is printed has none
                raise
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python tries again as it ends, and exits with 120
            if isinstance(error, BrokenPipeError):
                sys.exit(INCOMPLETE)
            raise Refusal(f"the output cannot be written ({error.strerror}): send it to another place") from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Crossproof: does this framework's cross-entropy compute what the mathematics says?"""


@main.command()
@click.option(
    "--adapter",
    required=True,
    help="pytorch, tensorflow, jax, keras-tensorflow, keras-jax, keras-torch, or the path of your own adapter file.",
)
@click.option("--device", default="cpu", show_default=True, help="Where to run: cpu, cuda.")
@click.option("--profile", default="default", show_default=True, help="How much to ask: quick, default, thorough.")
@click.option("--loss", default="", help="Ask about one loss only.")
@click.option("--question", default="", help="Ask one question only, by the id that a finding prints.")
@click.option(
    "--results",
    "path",
    default="",
    help="The result file to write [results/ADAPTER.jsonl; of a part results/selected/ADAPTER.jsonl].",
)
@click.argument("pytest_arguments", nargs=-1, type=click.UNPROCESSED)
def run(
    adapter: str, device: str, profile: str, loss: str, question: str, path: str, pytest_arguments: tuple[str, ...]
) -> None:
    """Put the questions to one framework and write its result file. What follows -- goes to pytest."""
    from adapters.loading import AdapterError, load
    from conformance.engine import questions
    from conformance.expectations import ExpectationError, load_expectations
    from conformance.profiles import PROFILES
    from reference.losses import LOSSES

    _choose("profile", profile, list(PROFILES))
    if loss:
        _choose("loss", loss, list(LOSSES))
    try:
        loaded = load(adapter)
        load_expectations(loaded.name, {})
    except (AdapterError, ExpectationError) as error:
        raise Refusal(str(error)) from error
    _choose("device", device, list(loaded.framework.devices()))
    if not questions(loaded, loss=loss, question=question):
        what = repr(question) if question else f"about the loss {loss!r}"
        raise Refusal(f"{adapter} has no question {what}: take the id from a finding, or leave the option out")
    selection = shlex.join([*(f"--{k}={v}" for k, v in (("loss", loss), ("question", question)) if v), *pytest_arguments])
    folder = ROOT / "results" / ("selected" if loss or question else "")
    target = Path(path or folder / f"{loaded.name}.jsonl").absolute()
    options = {
        "adapter": adapter, "device": device, "profile": profile, "loss": loss,
        "question": question, "results": target, "selection": selection,
    }  # fmt: skip
    _refuse_unwritable(target)
    words = [f"--crossproof-{name}={value}" for name, value in options.items()]
    modules = ["test_questions.py"] if loss or question else ["test_questions.py", "test_misuse.py"]
    sys.exit(_run_pytest([*words, *(str(ROOT / "conformance" / module) for module in modules)], pytest_arguments, target))


def _refuse_unwritable(target: Path) -> None:
    """See that a result can be written; that of an earlier run stays until the first question is put."""
    is_new = not target.exists()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.open("ab").close()
        if is_new:
            target.unlink()
    except OSError as error:
        raise Refusal(f"{target} cannot be written ({error.strerror}): give --results another path") from error


def _run_pytest(options: list[str], pytest_arguments: tuple[str, ...], target: Path) -> int:
    """Run pytest in this process and return the gate's exit code for its result file."""
    import pytest

    from conformance.launching import ArgumentError, run_pytest

    try:
        code, is_written = run_pytest(options, pytest_arguments)
    except ArgumentError as error:
        raise Refusal(str(error)) from error
    if code == pytest.ExitCode.USAGE_ERROR:
        return USAGE
    if not is_written:
        earlier = f"; {target} is of an earlier run" if target.exists() else ""
        click.echo(f"crossproof: nothing ran{earlier}; check what follows --", err=True)
        return INCOMPLETE
    return _conclude(target)


def _conclude(target: Path) -> int:
    """Print what a run found and where its time went; return the gate's exit code."""
    from reports.gate import AS_EXPECTED, NEWS, gate, has_news, is_finished_part
    from reports.printing import Output
    from reports.results import read_results
    from reports.summary import terminal_summary

    results, problems = read_results([target])
    code, reasons = gate(results, problems, [])
    console = Output()
    console.print(terminal_summary(results))
    for result in results:
        if (footer := result.footer) is not None:
            console.print(
                f"{footer.rows:,} rows in {footer.wall_seconds:.1f} s; imports {footer.import_seconds:.1f} s, "
                f"framework {footer.framework_seconds:.1f} s, compilation {footer.compile_seconds:.1f} s, "
                f"suite {footer.suite_seconds:.1f} s"
            )
    console.print(f"results: {target}")
    if not problems and all(is_finished_part(result) for result in results):
        console.print("this was a part of the questions: the gate needs a whole run")
        return NEWS if any(has_news(result) for result in results) else AS_EXPECTED
    for reason in reasons:
        console.print(reason)
    return code


REQUIRE = click.option("--require", multiple=True, help="An adapter whose result must be there; may be repeated.")
FILES = click.argument("files", nargs=-1)


@main.command()
@FILES
@REQUIRE
@click.option("--output", help="The HTML file to write [results/report.html].")
def report(files: tuple[str, ...], require: tuple[str, ...], output: str | None) -> None:
    """Merge result files into one HTML report, and apply the gate."""
    from reports.gate import gate
    from reports.html import render
    from reports.merge import merge
    from reports.results import read_results

    names = _existing(files)
    target = ROOT / "results" / "report.html" if output is None else _page(output, names)
    results, problems = read_results(names)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(render(results, problems, require), encoding="utf-8")
        target.with_suffix(".json").write_bytes(msgspec.json.encode(merge(results, problems, require)))
    except OSError as error:
        raise Refusal(f"{target} cannot be written ({error.strerror}): give --output another path") from error
    click.echo(f"report: {target}")
    _finish(*gate(results, problems, require))


def _page(output: str, names: list[str]) -> Path:
    """Return the path of the page, if it is none that belongs to something else."""
    target, reason = Path(output), ""
    if not output:
        reason = "'' is no name"
    elif target.suffix == ".json":
        reason = f"{target} is where the JSON beside the report goes"
    elif target.resolve() in {Path(name).resolve() for name in names}:
        reason = f"{target} is one of the result files"
    elif target.suffix == ".jsonl":
        reason = f"{target} has the name of a result file"
    if reason:
        raise Refusal(f"{reason}: give --output a name that ends in .html")
    return target


@main.command()
@FILES
@REQUIRE
def gate(files: tuple[str, ...], require: tuple[str, ...]) -> None:
    """Judge result files: 0 as expected, 1 news, 3 incomplete."""
    from reports.gate import gate as judge
    from reports.results import read_results

    results, problems = read_results(_existing(files))
    _finish(*judge(results, problems, require))


def _existing(files: tuple[str, ...]) -> list[str]:
    """Return the files that were named; by default all results of this checkout. A pattern that no shell has expanded is."""
    if not files:
        return sorted(str(path) for path in (ROOT / "results").glob("*.jsonl"))
    literal = [Path(name).exists() or not has_magic(name) for name in files]
    expanded = [[name] if plain else sorted(glob(name)) for name, plain in zip(files, literal, strict=True)]
    return [name for names in expanded for name in names]


def _finish(code: int, reasons: list[str]) -> None:
    for reason in reasons:
        click.echo(reason)
    sys.exit(code)


FORMAT = click.option(
    "--format", "form", default="text", show_default=True, help="text (Markdown where it is piped), markdown, json."
)


@main.command()
@FILES
@FORMAT
def spec(files: tuple[str, ...], form: str) -> None:
    """Print the specification, and who picks what.

    Who picks what is in result files, by default those of this checkout.
    """
    from conformance.run import all_clauses, describe_specification
    from reports.printing import FORMATS, print_document
    from reports.results import read_results
    from reports.specification import with_picks, write_specification

    _choose("format", form, FORMATS)
    results, problems = read_results(_existing(files))
    specification = with_picks(describe_specification(all_clauses()), results)
    print_document(write_specification(specification), specification, form)
    _tell(problems)


@main.command()
@click.argument("loss")
@FILES
@click.option("--option", "options", multiple=True, help="An option that the call must take; may be repeated.")
@click.option("--reduction", default="", help="The reduction that the call must have.")
@FORMAT
def equivalents(loss: str, files: tuple[str, ...], options: tuple[str, ...], reduction: str, form: str) -> None:
    """Print how each framework computes a loss, with verdicts.

    The verdicts are those of result files, by default those of this checkout. The best call comes first.
    """
    from reference.losses import LOSSES
    from reference.options import REDUCTIONS, options_of
    from reports.equivalents import find_equivalents, write_equivalents
    from reports.printing import FORMATS, print_document
    from reports.results import read_results

    _choose("format", form, FORMATS)
    spec = LOSSES[_choose("loss", loss, list(LOSSES))]
    for option in options:
        _choose(f"option of {loss}", option, options_of(spec))
    if reduction:
        _choose("reduction", reduction, list(REDUCTIONS))
    results, problems = read_results(_existing(files))
    if not results:
        problems.append("there is no result: run `python crossproof.py run --adapter pytorch` or `python -m tox` first")
    else:
        found = find_equivalents(results, loss, options, reduction)
        print_document(write_equivalents(found, loss, spec.formula, options, reduction), found, form)
    _tell(problems)


def _tell(problems: list[str]) -> None:
    """Say what is wrong with the result files, beside what was printed; with any it is incomplete."""
    for problem in problems:
        click.echo(f"crossproof: {problem}", err=True)
    sys.exit(INCOMPLETE if problems else 0)


@main.command()
@click.argument("file")
def expect(file: str) -> None:
    """Draft expectation entries for what a result file has unlisted.

    The reason and the upstream address are left for a person to write.
    """
    from conformance.drafting import draft
    from reports.results import read_results

    results, problems = read_results([file])
    if problems or not results:
        raise Refusal(problems[0] if problems else f"{file} holds no result")
    click.echo(draft(results[0].records))


if __name__ == "__main__":
    main()
