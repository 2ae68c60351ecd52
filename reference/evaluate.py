"""The truth about one loss on one batch: value and gradients under any semantics."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from reference import doubledouble, plain
from reference.doubledouble import Array
from reference.losses import LOSSES, Loss
from reference.precision import PRECISIONS, Precision
from reference.probability import binary_cross_entropy, categorical_cross_entropy
from reference.semantics import MATHEMATICAL, Semantics
from reference.sigmoid import sigmoid_cross_entropy
from reference.softmax import Arithmetic, softmax_cross_entropy

BLOCK = 16384
"""Elements evaluated at a time: what the temporaries of double-double arithmetic keep in cache."""


@dataclass(frozen=True)
class Evaluation:
    """One loss on one batch: ``value`` for each row or element, ``gradient`` for each element of the prediction.

    ``target_gradient`` has the shape of the targets, and is None for index targets.
    """

    value: Array
    gradient: Array
    target_gradient: Array | None


def evaluate(
    loss: str, prediction: NDArray, target: NDArray, *, semantics: Semantics = MATHEMATICAL, precision: str = "float64"
) -> Evaluation:
    """Return the value of a loss and its closed-form gradients, without reduction.

    Args:
        loss: a name in `reference.losses.LOSSES`.
        prediction: probabilities or logits; the class axis, if the loss has one, last; any leading shape.
        target: for index targets integers of the leading shape, otherwise an array of the shape of the prediction.
        semantics: the alternative at every choice point.
        precision: the dtype that is judged. It rounds the constants of the semantics (a guard of 1e-7), and "float64"
            asks for double-double arithmetic, where plain float64 serves below.

    Raises:
        KeyError: unknown loss.
        IndexError: a label out of range, where the semantics says "error".
        ValueError: shapes that do not belong together.
    """
    spec = LOSSES[loss]
    x = np.asarray(prediction, np.float64)
    if spec.target == "index":
        return _evaluate_index(spec, x, np.asarray(target), semantics, PRECISIONS[precision])
    t = np.asarray(target, np.float64)
    if x.shape != t.shape:
        raise ValueError(f"{loss}: the prediction has shape {x.shape} and the target {t.shape}; they must be equal")
    return _evaluate_dense(spec, x, t, semantics, PRECISIONS[precision])


def _evaluate_dense(spec: Loss, x: Array, t: Array, semantics: Semantics, precision: Precision) -> Evaluation:
    classes = x.shape[-1] if x.ndim else 1
    rows_x, rows_t = (a.reshape(-1, classes) if x.size else a.reshape(int(np.prod(x.shape[:-1])), classes) for a in (x, t))
    with np.errstate(all="ignore"):  # special values take part in the arithmetic and are put right at its end
        parts = [_rows(spec, rows_x[block], rows_t[block], semantics, precision) for block in _blocks(rows_x)]
    value, gradient, target_gradient = (np.concatenate(column) for column in zip(*parts, strict=True))
    value = value.reshape(x.shape[:-1] if spec.has_classes else x.shape)
    return Evaluation(value, gradient.reshape(x.shape), target_gradient.reshape(x.shape))


def _blocks(rows: Array) -> Iterator[slice]:
    """Yield slices of rows that hold about `BLOCK` elements each; one empty slice for an empty batch."""
    step = max(1, BLOCK // max(1, rows.shape[-1]))
    for start in range(0, max(1, rows.shape[0]), step):
        yield slice(start, start + step)


def _rows(spec: Loss, x: Array, t: Array, semantics: Semantics, precision: Precision) -> tuple[Array, Array, Array]:
    am: Arithmetic = doubledouble if precision.name == "float64" else plain
    if spec.name == "binary_cross_entropy":
        value, gradient, target_gradient = binary_cross_entropy(x, t, semantics, precision, am)
        return *_at_masked(value, gradient, ((x == 0) & (t == 0)) | ((x == 1) & (t == 1)), semantics), target_gradient
    if spec.prediction == "probability":
        value, gradient, target_gradient = categorical_cross_entropy(x, t, semantics, precision, am)
        return *_at_masked(value, gradient, (x == 0) & (t == 0), semantics), target_gradient
    if spec.name == "sigmoid_cross_entropy_with_logits":
        value, gradient, target_gradient = sigmoid_cross_entropy(x, t, am)
        return _at_infinite_logits(value, x, t, semantics), gradient, target_gradient
    value, gradient, target_gradient = softmax_cross_entropy(x, t, am, scaled=semantics.unnormalised_gradient == "scaled")
    return *_at_masked(value, gradient, np.isneginf(x) & (t == 0), semantics), target_gradient


def _at_masked(value: Array, gradient: Array, masked: NDArray[np.bool_], semantics: Semantics) -> tuple[Array, Array]:
    """Put in the NaN that 0 * log 0 or its derivative 0 / 0 makes where an outcome is ``masked``."""
    if semantics.masked_class in ("nan", "nan_both"):
        value = np.where(masked if value.ndim == masked.ndim else masked.any(-1), np.nan, value)
    if semantics.masked_class in ("nan_gradient", "nan_both"):
        gradient = np.where(masked, np.nan, gradient)
    return value, gradient


def _at_infinite_logits(value: Array, x: Array, t: Array, semantics: Semantics) -> Array:
    """Put in what IEEE arithmetic makes of the named formula at x = +-inf."""
    formulas = {
        "limit": value,
        "fold": np.maximum(x, 0) - x * t,
        "split": (1 - t) * x + np.maximum(-x, 0),
        "pair": t * np.maximum(-x, 0) + (1 - t) * np.maximum(x, 0),
    }
    return np.where(np.isinf(x), formulas[semantics.infinite_logit], value)


def _evaluate_index(spec: Loss, x: Array, labels: NDArray, semantics: Semantics, precision: Precision) -> Evaluation:
    if labels.shape != x.shape[:-1]:
        raise ValueError(
            f"{spec.name}: the prediction has shape {x.shape}, so the labels need {x.shape[:-1]}, not {labels.shape}"
        )
    classes = x.shape[-1]
    one_hot = one_hot_targets(_labels_in_range(labels, classes, semantics), classes)
    soft = _evaluate_dense(LOSSES[_DENSE[spec.name]], x, one_hot, semantics, precision)
    value, gradient = soft.value.copy(), soft.gradient.copy()
    for outside, picked in ((labels < 0, semantics.negative_index), (labels >= classes, semantics.index_too_large)):
        if not outside.any() or picked not in ("nan", "zero", "nan_value", "nan_zero"):
            continue
        value[outside] = 0.0 if picked == "zero" else np.nan
        if picked == "nan_value":
            gradient[outside] = _gradient_of_no_label(spec, x[outside], semantics, precision)
        else:
            gradient[outside] = np.nan if picked == "nan" else 0.0
    return Evaluation(value, gradient, None)


def _labels_in_range(labels: NDArray, classes: int, semantics: Semantics) -> NDArray:
    """Return a class for every label: the one that the semantics gives to a label out of range, if it gives one.

    Raises:
        IndexError: a label out of range, where that is what it means.
    """
    negative, large = labels < 0, labels >= classes
    wraps = semantics.negative_index == "wrap"
    for outside, wrong in (
        (negative, semantics.negative_index == "error"),
        (labels < -classes, wraps),
        (large, semantics.index_too_large == "error"),
    ):
        if wrong and outside.any():
            first = labels[outside].flat[0]
            raise IndexError(
                f"label {first} is out of range for {classes} classes: use {-classes if wraps else 0} to {classes - 1}"
            )
    wrapped = np.where(negative, labels + classes, labels) if wraps else labels
    return np.clip(wrapped, 0, max(classes - 1, 0))


def _gradient_of_no_label(spec: Loss, x: Array, semantics: Semantics, precision: Precision) -> Array:
    """Return p - t for targets t of 0: the softmax of logits, and 0 for probabilities."""
    unscaled = replace(semantics, unnormalised_gradient="unscaled")
    return _evaluate_dense(LOSSES[_DENSE[spec.name]], x, np.zeros_like(x), unscaled, precision).gradient


_DENSE = {
    "sparse_categorical_cross_entropy": "categorical_cross_entropy",
    "sparse_softmax_cross_entropy_with_logits": "softmax_cross_entropy_with_logits",
}


def one_hot_targets(labels: NDArray, classes: int) -> Array:
    """Return soft targets that put all mass on the labels: shape (*labels.shape, classes)."""
    return (labels[..., None] == np.arange(classes)).astype(np.float64)
