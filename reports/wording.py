"""How verdicts and errors are written, on the page and in the terminal."""

from reports.record import Number, Verdict

SYMBOLS: dict[Verdict, str] = {
    "crash": "‼",
    "defect": "✗",
    "changed": "Δ",
    "fixed": "↑",
    "known defect": "!",
    "documented divergence": "≠",
    "not run": "○",
    "unsupported": "–",  # noqa: RUF001
    "conforms": "✓",
}
"""What stands for a verdict beside its colour."""

MEANINGS: dict[Verdict, str] = {
    "crash": "the framework died, or raised what no expectation lists",
    "defect": "breaks a clause, and nothing explains it",
    "changed": "a known defect that now behaves in another way",
    "fixed": "a known defect that no longer happens: delete its expectation",
    "known defect": "breaks a clause as an expectation lists",
    "documented divergence": "differs from the mathematics as its documentation says",
    "not run": "not asked in this run",
    "unsupported": "the API does not have it",
    "conforms": "within the derived bound",
}


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
