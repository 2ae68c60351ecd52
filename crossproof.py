"""The front door: the command line of Crossproof."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click

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


def _narrowing(selection: str, pytest_arguments: tuple[str, ...]) -> str:
    """Return what was selected, empty if it was everything: -n, -q, -v and their like leave nothing out."""
    harmless = ("-n", "-q", "-v", "--junitxml", "--dist", "--color", "--durations", "-p", "--tb", "-r")
    words = iter(pytest_arguments)
    for word in words:
        if not word.startswith(harmless):
            continue
        if word in ("-n", "--junitxml", "--dist", "-p", "--durations"):
            next(words, None)
    narrowing = ("-k", "-x", "--lf", "--last-failed", "--ff", "--sw", "--maxfail", "--deselect", "-m", "--co", "--collect-only")
    hits = any(word.startswith(narrowing) for word in pytest_arguments)
    return selection if hits or "--loss" in selection or "--question" in selection else ""


def _run_pytest(options: list[str], pytest_arguments: tuple[str, ...], target: Path) -> int:
    """Run pytest in this process and return the gate's exit code for its result file."""
    import pytest

    from reports.gate import gate
    from reports.results import read_results

    target.unlink(missing_ok=True)
    where = [f"--rootdir={ROOT}", f"--config-file={ROOT / 'pyproject.toml'}", "-p", "conformance.plugin"]
    code = pytest.main([str(ROOT / "conformance" / "test_questions.py"), *where, *options, "-q", *pytest_arguments])
    if code == pytest.ExitCode.USAGE_ERROR:
        return USAGE
    if not target.exists():
        click.echo("crossproof: nothing ran; check what follows --", err=True)
        return INCOMPLETE
    results, problems = read_results([target])
    exit_code, reasons = gate(results, problems, [])
    for reason in reasons:
        click.echo(reason)
    return exit_code


if __name__ == "__main__":
    main()
