"""Reductions: what becomes of the losses of a batch, and what a mean divides them by."""

import numpy as np

from reference.doubledouble import Array
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


def of_nothing(semantics: Semantics) -> tuple[Array, Array]:
    """Return the sum and the mean of a batch without rows: numbers, or empty, as ``semantics.mean_of_nothing`` says."""
    total, mean = {"nan": (0.0, np.nan), "zero": (0.0, 0.0), "empty": ([], [])}[semantics.mean_of_nothing]
    return np.array(total), np.array(mean)


def reduced(evaluation: Evaluation, reduction: str, semantics: Semantics) -> tuple[float, float]:
    """Return the reduced loss, and the factor that its gradient has beside that of the sum.

    Over a batch without weight the mean is what ``semantics.mean_of_no_weight`` says, NaN or 0, and its gradient 0.

    Raises:
        ValueError: no reduction that sums, or a batch without rows: of that `of_nothing` has the sum and the mean.
    """
    if not evaluation.value.size:
        raise ValueError("a batch without rows is not reduced to a number under every semantics: use `of_nothing`")
    by = divisor(evaluation, reduction, semantics)
    if by == 0:
        return (np.nan if semantics.mean_of_no_weight == "nan" else 0.0), 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        return float(evaluation.value.sum() / by), 1.0 / by
