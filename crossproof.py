"""The front door: the command line of Crossproof."""

import sys
from collections.abc import Sequence
from glob import glob, has_magic
from pathlib import Path

import click
import msgspec

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))  # the rooms are imported from the checkout, wherever the command is run from

USAGE, INCOMPLETE = 2, 3


class Refusal(click.ClickException):
    """Wrong usage: one sentence, exit code 2, no traceback."""

    exit_code = USAGE

    def show(self, file: object = None) -> None:
        """Print the sentence."""
        click.echo(f"crossproof: {self.message}", err=True)


def _choose(kind: str, name: str, known: Sequence[str]) -> str:
    if name not in known:
        raise Refusal(f"there is no {kind} {name!r}: use one of {', '.join(known)}")
    return name


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Crossproof: does this framework's cross-entropy compute what the mathematics says?"""


@main.command(context_settings={"ignore_unknown_options": False})
@click.option("--adapter", required=True, help="pytorch, tensorflow, jax, or the path of your own adapter file.")
@click.option("--device", default="cpu", show_default=True, help="Where to run: cpu, cuda.")
@click.option("--profile", default="default", show_default=True, help="How much to ask: quick, default, thorough.")
@click.option("--loss", default="", help="Ask about one loss only.")
@click.option("--question", default="", help="Ask one question only, by the id that a finding prints.")
@click.option("--results", "path", default="", help="The result file to write [results/ADAPTER.jsonl].")
@click.argument("pytest_arguments", nargs=-1, type=click.UNPROCESSED)
def run(adapter: str, device: str, profile: str, loss: str, question: str, path: str, pytest_arguments: tuple[str, ...]) -> None:
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
        raise Refusal(f"{adapter} has no question {question or loss!r}: take the id from a finding, or leave the option out")
    selection = " ".join([*(f"--{k} {v}" for k, v in (("loss", loss), ("question", question)) if v), *pytest_arguments])
    narrow = "-selected" if loss or question else ""
    target = Path(path or ROOT / "results" / f"{loaded.name}{narrow}.jsonl").absolute()
    options = {
        "adapter": adapter, "device": device, "profile": profile, "loss": loss,
        "question": question, "results": target, "selection": _narrowing(selection, pytest_arguments),
    }  # fmt: skip
    sys.exit(_run_pytest([f"--crossproof-{name}={value}" for name, value in options.items()], pytest_arguments, target))


NARROWING = ("-k", "-x", "-m", "--lf", "--last-failed", "--ff", "--sw", "--maxfail", "--deselect", "--co", "--exitfirst")
"""The pytest arguments that can leave questions out."""


def _narrowing(selection: str, pytest_arguments: tuple[str, ...]) -> str:
    """Return what was selected; empty if nothing can have been left out."""
    narrow = any(word.startswith(NARROWING) for word in pytest_arguments)
    return selection if narrow or selection.startswith(("--loss", "--question")) else ""


def _run_pytest(options: list[str], pytest_arguments: tuple[str, ...], target: Path) -> int:
    """Run pytest in this process and return the gate's exit code for its result file."""
    import pytest

    target.unlink(missing_ok=True)
    where = [f"--rootdir={ROOT}", f"--config-file={ROOT / 'pyproject.toml'}", "-p", "conformance.plugin"]
    questions = str(ROOT / "conformance" / "test_questions.py")
    code = pytest.main([questions, *where, *options, "-q", "--no-summary", *pytest_arguments])
    if code == pytest.ExitCode.USAGE_ERROR:
        return USAGE
    if not target.exists():
        click.echo("crossproof: nothing ran; check what follows --", err=True)
        return INCOMPLETE
    return _conclude(target)


def _conclude(target: Path) -> int:
    """Print what a run found and where its time went; return the gate's exit code."""
    from rich.console import Console

    from reports.gate import gate
    from reports.results import read_results
    from reports.summary import terminal_summary

    results, problems = read_results([target])
    code, reasons = gate(results, problems, [])
    console = Console(soft_wrap=True)
    console.print(terminal_summary(results))
    for result in results:
        if (footer := result.footer) is not None:
            console.print(
                f"{footer.rows:,} rows in {footer.wall_seconds:.1f} s: framework {footer.framework_seconds:.1f} s, "
                f"compilation {footer.compile_seconds:.1f} s, suite {footer.suite_seconds:.1f} s"
            )
    console.print(f"results: {target}")
    for reason in reasons:
        console.print(reason)
    return code


REQUIRE = click.option("--require", multiple=True, help="An adapter whose result must be there; may be repeated.")
FILES = click.argument("files", nargs=-1)


@main.command()
@FILES
@REQUIRE
@click.option("--output", default="", help="The HTML file to write [results/report.html].")
def report(files: tuple[str, ...], require: tuple[str, ...], output: str) -> None:
    """Merge result files into one HTML report, and apply the gate."""
    from reports.gate import gate
    from reports.html import render
    from reports.merge import merge
    from reports.results import read_results

    target = Path(output) if output else ROOT / "results" / "report.html"
    results, problems = read_results(_existing(files))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(render(results, problems, require), encoding="utf-8")
        target.with_suffix(".json").write_bytes(msgspec.json.encode(merge(results, problems, require)))
    except OSError as error:
        raise Refusal(f"{target} cannot be written ({error.strerror}): give --output another path") from error
    click.echo(f"report: {target}")
    _finish(*gate(results, problems, require))


@main.command()
@FILES
@REQUIRE
def gate(files: tuple[str, ...], require: tuple[str, ...]) -> None:
    """Say in an exit code what the result files say: 0 as expected, 1 news, 3 incomplete."""
    from reports.gate import gate as judge
    from reports.results import read_results

    results, problems = read_results(_existing(files))
    _finish(*judge(results, problems, require))


def _existing(files: tuple[str, ...]) -> list[str]:
    """Return the files that were named; by default all results of this checkout. A pattern that no shell has expanded is."""
    if not files:
        return sorted(str(path) for path in (ROOT / "results").glob("*.jsonl"))
    expanded = [sorted(glob(name)) or ([] if has_magic(name) else [name]) for name in files]
    return [name for names in expanded for name in names]


def _finish(code: int, reasons: list[str]) -> None:
    for reason in reasons:
        click.echo(reason)
    sys.exit(code)


@main.command()
@click.argument("file")
def expect(file: str) -> None:
    """Print expectation entries for what a result file has that is not listed, to be completed by hand."""
    from conformance.drafting import draft
    from reports.results import read_results

    results, problems = read_results([file])
    if problems or not results:
        raise Refusal(problems[0] if problems else f"{file} holds no result")
    click.echo(draft(results[0].records))


if __name__ == "__main__":
    main()
