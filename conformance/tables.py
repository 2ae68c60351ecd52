"""Hand-written batches: the special values, ladders and worked examples that no draw would hit."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from conformance.cases import Batch, lay_out
from reference.evaluate import one_hot_targets
from reference.losses import LOSSES, Loss

LADDER = 64
"""Rows of a ladder; the shape (64, 2) is one of the shape buckets."""


def table(
    loss: str, dtype: str, name: str, prediction: ArrayLike, target: ArrayLike, names: Sequence[str] | str
) -> Batch:
    """Return a batch of the given numbers; ``names`` are the regimes of its rows.

    Index targets may be given for a loss that takes soft ones: they become one-hot.
    """
    spec = LOSSES[loss]
    x = np.array(prediction, np.float64).astype(dtype)
    t = np.asarray(target)
    labels = t if t.dtype.kind == "i" and t.ndim == 1 else np.zeros(len(x), np.int64)
    if spec.target == "index":
        t = t.astype(np.int64)
    elif t.dtype.kind == "i" and t.ndim == 1 and x.ndim == 2:
        t = one_hot_targets(t, x.shape[-1]).astype(dtype)
    else:
        t = t.astype(dtype)
    regimes = (names,) * len(x) if isinstance(names, str) else tuple(names)
    return Batch(f"{loss}/table/{name}", loss, dtype, lay_out(x, "rowwise"), lay_out(t, "rowwise"), labels, regimes)


def masked_classes(spec: Loss, dtype: str) -> list[Batch]:
    """Return rows with classes of probability zero: one, several, all but the label, the label itself, and all of them."""
    absent = -np.inf if spec.prediction == "logit" else 0.0
    rows: list[tuple[str, list[float]]] = [
        ("one masked", [1.0, 0.0, absent]),
        ("two masked", [1.0, absent, absent]),
        ("ties and masked", [1.0, 1.0, absent]),
    ]
    if spec.prediction == "probability":
        rows = [("one masked", [0.25, 0.75, absent]), ("two masked", [1.0, absent, absent])]
    return [table(spec.name, dtype, "masked", [row for _, row in rows], [0] * len(rows), [name for name, _ in rows])]


def masked_labels(spec: Loss, dtype: str) -> list[Batch]:
    """Return rows whose label itself has probability zero: the loss is +inf."""
    absent, rest = (-np.inf, [0.5, 1.0]) if spec.prediction == "logit" else (0.0, [0.25, 0.75])
    return [table(spec.name, dtype, "masked-label", [[absent, *rest]], [0], "label masked")]


def not_numbers(spec: Loss, dtype: str) -> list[Batch]:
    """Return batches in which one row holds a NaN among rows of ordinary numbers."""
    good = [[0.2, 0.5, 0.3], [0.1, 0.1, 0.8], [0.6, 0.3, 0.1]]
    bad = [[0.2, np.nan, 0.3], *good[1:]]
    first = table(spec.name, dtype, "nan-first", bad, _targets(spec, 3), ["nan", "neighbour", "neighbour"])
    last = table(spec.name, dtype, "nan-last", bad[::-1], _targets(spec, 3), ["neighbour", "neighbour", "nan"])
    return [first, last]


def _targets(spec: Loss, rows: int) -> NDArray:
    """Return hard targets: labels, or ones and zeros for independent outcomes."""
    if spec.has_classes:
        return np.arange(rows) % 3
    return (np.arange(3 * rows).reshape(rows, 3) % 2).astype(float)


def infinities(spec: Loss, dtype: str) -> list[Batch]:
    """Return logits of +-inf: each side of a sigmoid with each target; a row of nothing but -inf for a softmax."""
    if spec.has_classes:
        return [table(spec.name, dtype, "all-masked", [[-np.inf, -np.inf, -np.inf], [0.0, 1.0, 2.0]], [0, 1], ["all masked", "neighbour"])]
    logits = [[np.inf], [np.inf], [-np.inf], [-np.inf], [0.5]]
    targets = np.array([[1.0], [0.0], [1.0], [0.0], [1.0]])
    names = ["+inf right", "+inf wrong", "-inf wrong", "-inf right", "neighbour"]
    return [table(spec.name, dtype, "infinite", logits, targets, names)]


def positive_infinity(spec: Loss, dtype: str) -> list[Batch]:
    """Return a softmax row with a logit of +inf, beside an ordinary one."""
    return [table(spec.name, dtype, "plus-infinity", [[np.inf, 0.0, 1.0], [0.0, 1.0, 2.0]], [1, 1], ["+inf", "neighbour"])]


def certain(spec: Loss, dtype: str) -> list[Batch]:
    """Return probabilities of exactly 0 and 1, with the right target and with the wrong one."""
    if spec.has_classes:
        return [table(spec.name, dtype, "certain", [[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]], [0, 1, 0], ["right", "right", "wrong"])]
    names = ["p=0 right", "p=1 right", "p=0 wrong", "p=1 wrong"]
    return [table(spec.name, dtype, "certain", [[0.0], [1.0], [0.0], [1.0]], np.array([[0.0], [1.0], [1.0], [0.0]]), names)]


def zeros_and_ties(spec: Loss, dtype: str) -> list[Batch]:
    """Return logits of 0 and -0, and rows of equal logits."""
    if not spec.has_classes:
        logits = [[0.0], [-0.0], [0.0], [-0.0], [0.0], [-0.0]]
        targets = np.array([[0.0], [0.0], [1.0], [1.0], [0.25], [0.25]])
        return [table(spec.name, dtype, "zeros", logits, targets, ["0", "-0"] * 3)]
    ties = [[0.0, 0.0, 0.0], [-0.0, 0.0, -0.0], [5.0, 5.0, 5.0], [7.0, 7.0, 1.0], [-3e4, -3e4, -3e4]]
    return [table(spec.name, dtype, "ties", ties, [0, 1, 2, 1, 0], ["0", "-0", "all tie", "two tie", "all tie"])]


def single_class(spec: Loss, dtype: str) -> list[Batch]:
    """Return rows of one class: its probability is one and the loss zero."""
    column = [[3.5], [-2.0], [0.0]] if spec.prediction == "logit" else [[1.0], [1.0], [1.0]]
    return [table(spec.name, dtype, "single-class", column, [0, 0, 0], "single class")]


def empty(spec: Loss, dtype: str) -> list[Batch]:
    """Return a batch without rows."""
    target: NDArray = np.zeros((0,), np.int64) if spec.target == "index" else np.zeros((0, 3))
    return [table(spec.name, dtype, "empty", np.zeros((0, 3)), target, ())]


def labels_outside(spec: Loss, dtype: str, label: int) -> list[Batch]:
    """Return a batch whose second row has a label out of range: -1, or the number of classes."""
    good = [[0.2, 0.5, 0.3], [0.1, 0.1, 0.8]]
    return [table(spec.name, dtype, f"label-{label}", good, [1, label], ["neighbour", f"label {label}"])]


def unnormalised(spec: Loss, dtype: str) -> list[Batch]:
    """Return targets that sum to 2, to 1/2 and to 0."""
    x = [[0.5, -1.0, 2.0]] * 3 if spec.prediction == "logit" else [[0.25, 0.25, 0.5]] * 3
    t = np.array([[1.0, 1.0, 0.0], [0.25, 0.0, 0.25], [0.0, 0.0, 0.0]])
    return [table(spec.name, dtype, "unnormalised", x, t, ["sum 2", "sum 1/2", "sum 0"])]


def improper(spec: Loss, dtype: str) -> list[Batch]:
    """Return probabilities that sum to 1/2 and to 3/2."""
    return [table(spec.name, dtype, "improper", [[0.125, 0.25, 0.125], [0.5, 0.75, 0.25]], [0, 1], ["sum 1/2", "sum 3/2"])]


def worked(spec: Loss, dtype: str) -> list[Batch]:
    """Return the worked examples that users start from."""
    if spec.name == "sigmoid_cross_entropy_with_logits":
        logits = [[0.2, 0.2, 0.2, 0.2, 0.2], [0.3, 0.3, 0.2, 0.1, 0.1]]
        return [table(spec.name, dtype, "worked", logits, np.array([[0.0, 0, 0, 1, 0], [1, 0, 0, 0, 0]]), "worked example")]
    logits = [[0.2, 0.8], [0.7, 0.3], [0.5, 0.5]]
    return [table(spec.name, dtype, "worked", logits, [1, 0, 0], "worked example")]


def small_ladder(spec: Loss, dtype: str, span: tuple[float, float] | None = None) -> Batch:
    """Return a ladder of ever smaller losses: logits [z, 0] or a probability 1 - 10^-z of what happens."""
    last = -np.log(float(np.finfo(dtype).smallest_normal))
    if spec.prediction == "logit":
        z = np.linspace(*(span or (last / LADDER, last * 0.99)), LADDER)
        x = np.stack([z, 0 * z], -1) if spec.has_classes else np.stack([z, -z], -1)
    else:
        z = np.linspace(*(span or (0.1, last / np.log(10) * 0.99)), LADDER)
        small = 10.0**-z
        # 1 - p is exact down to the roundoff and 1 below it; a small p itself goes on to the smallest number
        x = np.stack([1 - small, small], -1)
    target = np.zeros(LADDER, np.int64) if spec.has_classes else np.tile([1.0, 0.0], (LADDER, 1))
    return table(spec.name, dtype, "small-ladder", x, target, [f"{step:.6g}" for step in z])


def large_ladder(spec: Loss, dtype: str, span: tuple[float, float] | None = None) -> Batch:
    """Return a ladder of ever larger losses: logits [-z, 0], or a probability 10^-z of what happens."""
    info = np.finfo(dtype)
    if spec.prediction == "logit":
        z = np.linspace(*(span or (0.0, np.log10(float(info.max)) - 0.61)), LADDER)
        x = np.stack([-(10.0**z), 0 * z], -1) if spec.has_classes else np.stack([-(10.0**z), 10.0**z], -1)
    else:
        z = np.linspace(*(span or (0.1, -np.log10(float(info.smallest_normal)))), LADDER)
        x = np.stack([10.0**-z, 1 - 10.0**-z], -1)
    target = np.zeros(LADDER, np.int64) if spec.has_classes else np.tile([1.0, 0.0], (LADDER, 1))
    return table(spec.name, dtype, "large-ladder", x, target, [f"{step:.6g}" for step in z])


def grid(spec: Loss, dtype: str) -> list[Batch]:
    """Return logits that are small multiples of a power of two in each row, so that shifting them is exact."""
    generator = np.random.default_rng(7)
    steps = 2.0 ** np.round(np.linspace(-12, 5, LADDER))
    base = generator.integers(-32, 33, (LADDER, 10)) * steps[:, None]
    labels = generator.integers(0, 10, LADDER)
    return [table(spec.name, dtype, "grid", base, labels, [f"grid {step:g}" for step in steps])]


def pairs(spec: Loss, dtype: str) -> list[Batch]:
    """Return two logits a row on a grid on which their difference is exact, or the logits of a sigmoid."""
    generator = np.random.default_rng(11)
    logits = generator.integers(-512, 513, (LADDER, 2)) / 16
    if spec.has_classes:
        return [table(spec.name, dtype, "pairs", logits, generator.integers(0, 2, LADDER), "two classes")]
    return [table(spec.name, dtype, "pairs", logits, generator.integers(0, 3, (LADDER, 2)) / 2, "two outcomes")]
