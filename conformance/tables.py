"""Hand-written batches: the special values, ladders and worked examples that no draw would hit."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from conformance.cases import Batch, lay_out
from conformance.profiles import SMALL, TEN
from conformance.regimes import targets_in_form
from reference.losses import LOSSES, Loss
from reference.options import Options, one_hot_targets

Rows = list[tuple[str, ArrayLike, ArrayLike]]

GUARDED = ("kl_divergence", "binary_focal_cross_entropy", "categorical_focal_cross_entropy")
"""The losses beyond the founding table that are infinite at a probability of 0, which implementations guard against."""

LADDER = 64
"""Rows of a ladder; the shape (64, 2) is one of the shape buckets."""


def table(loss: str, dtype: str, name: str, prediction: ArrayLike, target: ArrayLike, names: Sequence[str] | str) -> Batch:
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
    t = t if spec.target == "index" else targets_in_form(spec.target, t)
    regimes = (names,) * len(x) if isinstance(names, str) else tuple(names)
    return Batch(f"{loss}/table/{name}", loss, dtype, lay_out(x, "rowwise"), lay_out(t, "rowwise"), labels, regimes)


def small(loss: Loss, dtype: str, name: str, rows: Rows) -> Batch:
    """Return a table of the shape bucket `SMALL`: the rows given, then ordinary neighbours.

    Each row is (regime, prediction, target); a number for a row of independent outcomes stands for all of them.
    """
    good, label = ([0.2, 0.5, 0.3], 1) if loss.has_classes else ([0.25, 0.5, 0.75], 1.0)
    rows = [*rows, *[("neighbour", good, label)] * (SMALL[0] - len(rows))]
    prediction = np.array([np.broadcast_to(x, SMALL[1]) for _, x, _ in rows], np.float64)
    if loss.has_classes and all(isinstance(t, int) for _, _, t in rows):
        target = np.array([t for _, _, t in rows])
    elif loss.has_classes:
        target = np.array([np.eye(SMALL[1])[t] if isinstance(t, int) else t for _, _, t in rows])
    else:
        target = np.array([np.broadcast_to(t, SMALL[1]) for _, _, t in rows], np.float64)
    return table(loss.name, dtype, name, prediction, target, [regime for regime, _, _ in rows])


def masked_classes(spec: Loss, dtype: str) -> list[Batch]:
    """Return rows with classes of probability zero, none of them the label."""
    if spec.prediction == "probability":
        return [small(spec, dtype, "masked", [("one masked", [0.25, 0.75, 0.0], 0), ("two masked", [1.0, 0.0, 0.0], 0)])]
    away = -np.inf
    rows: Rows = [
        ("one masked", [1.0, 0.0, away], 0),
        ("two masked", [1.0, away, away], 0),
        ("ties and masked", [1.0, 1.0, away], 0),
    ]
    tile = np.tile(np.r_[np.full(8, away), 1.0, 0.5], (TEN[0], 1))  # what a blockwise softmax meets first is all masked
    leading = table(spec.name, dtype, "masked-tile", tile, np.full(TEN[0], 9), "eight masked")
    return [small(spec, dtype, "masked", rows), leading]


def masked_labels(spec: Loss, dtype: str) -> list[Batch]:
    """Return a row whose label itself has probability zero: the loss is +inf."""
    row = [-np.inf, 0.5, 1.0] if spec.prediction == "logit" else [0.0, 0.25, 0.75]
    return [small(spec, dtype, "masked-label", [("label masked", row, 0)])]


def not_numbers(spec: Loss, dtype: str) -> list[Batch]:
    """Return a batch in which rows hold a NaN: at the label, what an index loss must look at, and on logits elsewhere too."""
    rows: Rows = [("neighbour", [0.1, 0.1, 0.8], 2), ("nan", [0.2, np.nan, 0.3], 1), ("neighbour", [0.6, 0.3, 0.1], 0)]
    if not spec.has_classes:
        rows = [(regime, x, t) for regime, x, _ in rows for t in ((1.0, 0.0) if regime == "nan" else (1.0,))]
    elif spec.prediction == "logit":
        rows.append(("nan", [np.nan, 0.2, 0.3], 1))
    return [small(spec, dtype, "nan", rows)]


def infinities(spec: Loss, dtype: str) -> list[Batch]:
    """Return logits of +-inf: each side of a sigmoid with each target; a row of nothing but -inf for a softmax."""
    if spec.has_classes:
        return [small(spec, dtype, "all-masked", [("all masked", [-np.inf] * 3, 0)])]
    rows: Rows = [
        ("+inf right", np.inf, 1.0),
        ("+inf wrong", np.inf, 0.0),
        ("-inf wrong", -np.inf, 1.0),
        ("-inf right", -np.inf, 0.0),
    ]
    return [small(spec, dtype, "infinite", rows)]


def positive_infinity(spec: Loss, dtype: str) -> list[Batch]:
    """Return a softmax row with a logit of +inf, among ordinary ones."""
    return [small(spec, dtype, "plus-infinity", [("+inf", [np.inf, 0.0, 1.0], 1)])]


def certain(spec: Loss, dtype: str) -> list[Batch]:
    """Return probabilities of exactly 0 and 1, with the right target and with the wrong one."""
    if spec.has_classes:
        rows: Rows = [("right", [1.0, 0.0, 0.0], 0), ("right", [0.0, 1.0, 0.0], 1), ("wrong", [0.0, 1.0, 0.0], 0)]
        return [small(spec, dtype, "certain", rows)]
    rows = [("p=0 right", 0.0, 0.0), ("p=1 right", 1.0, 1.0), ("p=0 wrong", 0.0, 1.0), ("p=1 wrong", 1.0, 0.0)]
    return [small(spec, dtype, "certain", rows)]


def saturated(spec: Loss, dtype: str) -> list[Batch]:
    """Return logits so far apart that their sigmoid or softmax is exactly 0 and 1 in every dtype, right and wrong."""
    rows: Rows = [("right", 1000.0, 1.0), ("right", -1000.0, 0.0), ("wrong", 1000.0, 0.0), ("wrong", -1000.0, 1.0)]
    if spec.has_classes:
        rows = [
            ("right", [1000.0, 0.0, -1000.0], 0),
            ("wrong", [1000.0, 0.0, -1000.0], 1),
            ("wrong", [-1000.0, 0.0, 1000.0], 0),
        ]
    return [small(spec, dtype, "saturated", (rows * SMALL[0])[: SMALL[0]])]


def activated(batch: Batch, loss: str) -> Batch | None:
    """Return the sigmoid or softmax of logits for a loss that takes those; None if any of it is rounded, not just 0 or 1."""
    x = batch.prediction.astype(np.float64)
    with np.errstate(over="ignore"):
        weight = np.exp(x - x.max(-1, keepdims=True)) if LOSSES[loss].has_classes else np.exp(-x)
    p = weight / weight.sum(-1, keepdims=True) if LOSSES[loss].has_classes else 1 / (1 + weight)
    numbers = lay_out(p.astype(batch.dtype), "rowwise")
    return replace(batch, loss=loss, prediction=numbers) if np.isin(p, (0.0, 1.0)).all() else None


def zeros_and_ties(spec: Loss, dtype: str) -> list[Batch]:
    """Return logits of 0 and -0, and rows of equal logits."""
    if not spec.has_classes:
        return [small(spec, dtype, "zeros", [(str(x), x, t) for t in (0.0, 1.0, 0.25) for x in (0.0, -0.0)])]
    rows: Rows = [
        ("0", [0.0, 0.0, 0.0], 0),
        ("-0", [-0.0, 0.0, -0.0], 1),
        ("all tie", [5.0, 5.0, 5.0], 2),
        ("two tie", [7.0, 7.0, 1.0], 1),
        ("all tie", [-3e4, -3e4, -3e4], 0),
    ]
    return [small(spec, dtype, "ties", rows)]


def single_class(spec: Loss, dtype: str) -> list[Batch]:
    """Return rows of one class: its probability is one and the loss zero."""
    column = [[3.5], [-2.0], [0.0]] if spec.prediction == "logit" else [[1.0], [1.0], [1.0]]
    return [table(spec.name, dtype, "single-class", column, [0, 0, 0], "single class")]


def one_row(spec: Loss, dtype: str) -> list[Batch]:
    """Return a batch of a single row: two classes, or one outcome. Findings come down to that shape too."""
    if spec.has_classes:
        return [table(spec.name, dtype, "one-row", [[0.25, 0.75]], [1], "alone")]
    return [table(spec.name, dtype, "one-row", [[0.25]], [[1.0]], "alone")]


def empty(spec: Loss, dtype: str) -> list[Batch]:
    """Return a batch without rows."""
    target: NDArray = np.zeros((0,), np.int64) if spec.target == "index" else np.zeros((0, 3))
    return [table(spec.name, dtype, "empty", np.zeros((0, 3)), target, ())]


def labels_outside(spec: Loss, dtype: str, label: int) -> list[Batch]:
    """Return a batch with a label out of range: -1, or the number of classes."""
    return [small(spec, dtype, f"label-{label}", [(f"label {label}", [0.1, 0.1, 0.8], label)])]


def labels_that_wrap(spec: Loss, dtype: str) -> list[Batch]:
    """Return labels that are equal to one that is ignored modulo 256 alone: a conversion to eight bits takes them for it."""
    if "ignore_index" not in spec.options:
        return []
    labels, classes = np.array([156, 255, 3]), 257
    row = np.arange(classes) % 3 - 1.0 if spec.prediction == "logit" else np.full(classes, 1 / classes)
    prediction = np.tile(np.log(row) if spec.prediction == "log-probability" else row, (len(labels), 1))
    return [
        replace(
            table(spec.name, dtype, f"ignored-{index}", prediction, labels, f"ignore_index={index} of 257 classes"),
            options=Options(ignore_index=index),
        )
        for index in (-100, -1)
    ]


def unnormalised(spec: Loss, dtype: str) -> list[Batch]:
    """Return targets that sum to 2, to 1/2 and to 0."""
    x = [0.5, -1.0, 2.0] if spec.prediction == "logit" else [0.25, 0.25, 0.5]
    rows: Rows = [("sum 2", x, [1.0, 1.0, 0.0]), ("sum 1/2", x, [0.25, 0.0, 0.25]), ("sum 0", x, [0.0, 0.0, 0.0])]
    return [small(spec, dtype, "unnormalised", rows)]


def improper(spec: Loss, dtype: str) -> list[Batch]:
    """Return probabilities that sum to 1/2 and to 3/2."""
    return [small(spec, dtype, "improper", [("sum 1/2", [0.125, 0.25, 0.125], 0), ("sum 3/2", [0.5, 0.75, 0.25], 1)])]


def backends(spec: Loss, dtype: str) -> list[Batch]:
    """Return what the backends of a library are compared on: rows where their ways of computing a loss could part."""
    logit = spec.prediction == "logit"
    rows: Rows
    if not spec.has_classes:
        numbers = [30.0, -30.0, 0.0, 1e4] if logit else [1e-4, 0.0, 1.0, 0.5]
        rows = [(f"{x:g}", x, t) for x, t in zip(numbers, [0.25, 1.0, 0.0, 0.5], strict=True)]
    elif spec.target == "soft" and logit:
        rows = [("confident", [30.0, -30.0, 0.0], [0.0, 0.5, 0.5]), ("sum 2", [0.5, -1.0, 2.0], [1.0, 1.0, 0.0])]
    elif logit:
        rows = [("confident", [30.0, -30.0, 0.0], 1), ("tie", [0.0, 0.0, 0.0], 2)]
    else:
        rows = [("sum 2", [0.5, 1.5, 0.0], 0), ("right", [0.0, 1.0, 0.0], 1), ("wrong", [0.0, 1.0, 0.0], 0)]
    return [small(spec, dtype, "backends", rows)]


def worked(spec: Loss, dtype: str) -> list[Batch]:
    """Return the worked examples that users start from."""
    if spec.name == "sigmoid_cross_entropy_with_logits":
        logits = [[0.2, 0.2, 0.2, 0.2, 0.2], [0.3, 0.3, 0.2, 0.1, 0.1]]
        return [table(spec.name, dtype, "worked", logits, np.array([[0.0, 0, 0, 1, 0], [1, 0, 0, 0, 0]]), "worked example")]
    rows = np.arange(LADDER) % 3  # repeated to fill a shape bucket
    pairs_of_logits = np.array([[0.2, 0.8], [0.7, 0.3], [0.5, 0.5]])
    return [table(spec.name, dtype, "worked", pairs_of_logits[rows], np.array([1, 0, 0])[rows], "worked example")]


def _steps(span: tuple[float, float]) -> NDArray:
    return np.linspace(float(span[0]), float(span[1]), LADDER)


def small_ladder(spec: Loss, dtype: str, span: tuple[float, float] | None = None) -> Batch:
    """Return a ladder of ever smaller losses: logits [z, 0] or a probability 1 - 10^-z of what happens."""
    last = -np.log(float(np.finfo(dtype).smallest_normal))
    if spec.prediction == "logit":
        z = _steps(span or (last / LADDER, last * 0.99))
        x = np.stack([z, 0 * z], -1) if spec.has_classes else np.stack([z, -z], -1)
    else:
        z = _steps(span or (0.1, last / np.log(10) * 0.99))
        small = 10.0**-z
        # 1 - p is exact down to the roundoff and 1 below it; a small p itself goes on to the smallest number
        x = np.stack([1 - small, small], -1)
    other = -1.0 if spec.target == "sign" else 0.0
    target = np.zeros(LADDER, np.int64) if spec.has_classes else np.tile([1.0, other], (LADDER, 1))
    return table(spec.name, dtype, "small-ladder", x, target, [f"{step:.6g}" for step in z])


def large_ladder(spec: Loss, dtype: str, span: tuple[float, float] | None = None) -> Batch:
    """Return a ladder of ever larger losses: logits [-z, 0], or a probability 10^-z of what happens."""
    info = np.finfo(dtype)
    if spec.prediction == "logit":
        z = _steps(span or (0.0, np.log10(float(info.max)) - 0.61))
        x = np.stack([-(10.0**z), 0 * z], -1) if spec.has_classes else np.stack([-(10.0**z), 10.0**z], -1)
    else:
        z = _steps(span or (0.1, -np.log10(float(info.smallest_normal)) * 0.99))
        x = np.stack([10.0**-z, 1 - 10.0**-z], -1)
    target = np.zeros(LADDER, np.int64) if spec.has_classes else np.tile([1.0, 0.0], (LADDER, 1))
    return table(spec.name, dtype, "large-ladder", x, target, [f"{step:.6g}" for step in z])


def grid(spec: Loss, dtype: str) -> list[Batch]:
    """Return logits that are small multiples of a power of two in each row, so that shifting them is exact."""
    generator = np.random.default_rng(7)
    steps = 2.0 ** np.round(np.linspace(-12, 5, LADDER))
    base = generator.integers(-32, 33, (LADDER, 10)) * steps[:, None]
    labels = generator.integers(0, 10, LADDER)
    return [table(spec.name, dtype, "grid", base, labels, [f"grid {float(step)!r}" for step in steps])]


def pairs(spec: Loss, dtype: str) -> list[Batch]:
    """Return two logits a row on a grid on which their difference is exact, or the logits of a sigmoid.

    A third of the differences are so large that the exponential of their negative underflows.
    """
    generator = np.random.default_rng(11)
    logits = generator.integers(-512, 513, (LADDER, 2)) * (0.25 if dtype == "float32" else 2.0)
    if spec.has_classes:
        return [table(spec.name, dtype, "pairs", logits, generator.integers(0, 2, LADDER), "two classes")]
    return [table(spec.name, dtype, "pairs", logits, generator.integers(0, 3, (LADDER, 2)) / 2, "two outcomes")]


def linear(
    spec: Loss, dtype: str, name: str, hidden: ArrayLike, weight: ArrayLike, bias: ArrayLike | None, labels: ArrayLike
) -> Batch:
    """Return a batch of the given hidden states, matrix, bias (None: none) and labels.

    A soft target has 3/4 at the label, and 1/4 at the class after it.
    """
    x, w = (np.asarray(array, np.float64).astype(dtype) for array in (hidden, weight))
    options = Options(linear_weight=w, linear_bias=None if bias is None else np.asarray(bias, np.float64).astype(dtype))
    target = picked = np.asarray(labels, np.int64)
    if spec.target != "index":
        target = (0.75 * one_hot_targets(picked, len(w)) + 0.25 * one_hot_targets((picked + 1) % len(w), len(w))).astype(dtype)
    x, target, picked = (lay_out(array, "rowwise") for array in (x, target, picked))
    return Batch(f"{spec.name}/table/{name}", spec.name, dtype, x, target, picked, (name,) * len(x), options)


_HIDDEN = [[0.5, -1.0], [2.0, 0.25], [-0.75, 1.5], [0.0, 0.0]]
_MATRIX = [[1.0, -0.5], [0.25, 2.0], [-1.5, 0.75]]
_BIAS = [0.5, -0.25, 0.0]
_CLASSES_OF_ROWS = [0, 2, 1, 1]


def linear_edges(spec: Loss, dtype: str) -> list[Batch]:
    """Return a matrix of one class, one of zeros, and an ordinary one without bias."""
    return [
        linear(spec, dtype, "one class", _HIDDEN, _MATRIX[:1], _BIAS[:1], [0, 0, 0, 0]),
        linear(spec, dtype, "zeros", _HIDDEN, np.zeros((3, 2)), _BIAS, _CLASSES_OF_ROWS),
        linear(spec, dtype, "no bias", _HIDDEN, _MATRIX, None, _CLASSES_OF_ROWS),
    ]


def linear_labels(spec: Loss, dtype: str) -> list[Batch]:
    """Return a batch with the label -1, and one with the number of classes."""
    return [linear(spec, dtype, f"label {label}", _HIDDEN, _MATRIX, _BIAS, [0, label, 1, 1]) for label in (-1, 3)]


def linear_unnormalised(spec: Loss, dtype: str) -> list[Batch]:
    """Return soft targets that sum to 2, 1/2, 0 and 1."""
    batch = linear(spec, dtype, "sums", _HIDDEN, _MATRIX, _BIAS, _CLASSES_OF_ROWS)
    targets = np.array([[1.0, 1.0, 0.0], [0.25, 0.0, 0.25], [0.0, 0.0, 0.0], [0.25, 0.25, 0.5]], dtype)
    return [replace(batch, target=lay_out(targets, "rowwise"), regimes=("sum 2", "sum 1/2", "sum 0", "sum 1"))]


def linear_empty(spec: Loss, dtype: str) -> list[Batch]:
    """Return a batch without rows."""
    return [linear(spec, dtype, "empty", np.zeros((0, 2)), _MATRIX, _BIAS, [])]
