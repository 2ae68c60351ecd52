"""Reductions: what becomes of the losses of a batch, and what a mean divides them by."""

import numpy as np

from reference.evaluate import Evaluation
from reference.semantics import Semantics


def divisor(evaluation: Evaluation, reduction: str, semantics: Semantics) -> float:
    """Return what ``reduction`` divides the sum of the losses by; `reference.options.REDUCTIONS` and `mean_divisor` say what.

    Raises:
        ValueError: "none", which does not sum, or no reduction at all.
    """
    each = evaluation.value.size / max(len(evaluation.value), 1)  # independent outcomes: losses in a row
    rows = len(evaluation.value)
    weight = np.ones(rows) if evaluation.weight is None else evaluation.weight
    counts = weight if weight.ndim == 1 else weight.sum(-1)
    kept = np.ones(rows, np.bool_) if evaluation.kept is None else evaluation.kept
    divisors = {
        "sum_of_weights": weight.sum() * each,
        "rows": rows * each,
        "kept_rows": kept.sum() * each,
    }
    named = {
        "sum": 1.0,
        "mean": divisors[semantics.mean_divisor],
        "weighted_mean": divisors["sum_of_weights"],
        "nonzero_mean": np.count_nonzero(counts) * each,
        "batchmean": rows,
    }
    if reduction not in named:
        raise ValueError(f"{reduction!r} is no reduction that sums: use one of {', '.join(named)}")
    return float(named[reduction])


def reduced(evaluation: Evaluation, reduction: str, semantics: Semantics) -> tuple[float, float]:
    """Return the reduced loss, and the factor that its gradient has beside that of the sum.

    Over a batch without rows a mean is what ``semantics.mean_of_nothing`` says, NaN or 0, and over one without weight what
    ``semantics.mean_of_no_weight`` says; its gradient is 0.

    Raises:
        ValueError: no reduction that sums.
    """
    by = divisor(evaluation, reduction, semantics)
    if by == 0 and not evaluation.value.size:
        return (np.nan if semantics.mean_of_nothing == "nan" else 0.0), 0.0
    if by == 0 and evaluation.value.size:
        return (np.nan if semantics.mean_of_no_weight == "nan" else 0.0), 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        return float(evaluation.value.sum() / by), 1.0 / by
