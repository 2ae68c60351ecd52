"""How verdicts and errors are written, on the page and in the terminal."""

from reports.record import MisuseOutcome, Number, Verdict

SYMBOLS: dict[Verdict, str] = {
    "crash": "‼",
    "defect": "✗",
    "changed": "Δ",
    "fixed": "↑",
    "known defect": "!",
    "undocumented divergence": "≢",
    "documented divergence": "≠",
    "not run": "○",
    "unsupported": "–",  # noqa: RUF001
    "conforms": "✓",
}
"""What stands for a verdict beside its colour."""

MEANINGS: dict[Verdict, str] = {
    "crash": "the framework died, or raised what no expectation lists",
    "defect": "breaks a clause, and nothing explains it",
    "changed": "does something else than its expectation lists",
    "fixed": "what its expectation lists no longer happens: delete it",
    "known defect": "breaks a clause as an expectation lists",
    "undocumented divergence": "picks another alternative of a choice point, as an expectation lists; its page is silent",
    "documented divergence": "differs from the mathematics as its documentation says",
    "not run": "not asked in this run",
    "unsupported": "the API does not have it",
    "conforms": "within the derived bound",
}


OUTCOMES: dict[MisuseOutcome, str] = {
    "silently wrong": "another number in the shape of the loss, without a word",
    "wrong shape": "no result that could be the loss; a mean over it hides that",
    "wrong with a warning": "another number, and a warning",
    "crash": "the process died, or the measurement",
    "raises": "an error: nothing goes wrong unseen",
    "harmless": "within the bound of the right loss",
}
"""What becomes of data that are not an API's own."""


def format_error(error: Number) -> str:
    """Return an error with three digits, short: "0.93", "172", "1.73e7", "∞", "NaN". Only 1 is "1": beside it digits decide."""
    if isinstance(error, str):
        return {"nan": "NaN", "inf": "∞", "-inf": "-∞"}[error]
    if 0.995 <= error < 1.005:
        return f"{error:.7g}"
    if error == 0 or 0.001 <= abs(error) < 100:
        return f"{error:.3g}"
    if 100 <= abs(error) < 10_000:
        return f"{error:,.0f}"
    mantissa, _, exponent = f"{error:.2e}".partition("e")
    return f"{float(mantissa):g}e{int(exponent)}"
