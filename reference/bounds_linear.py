r"""Error bounds of linear cross-entropy: the rounding of the logits pushed through the softmax, and that of three products.

Notation: x = H W^T + b the logits, p their softmax, t the targets, T their sum, j a label, g = T p - t, c the upstream
gradients; u the unit roundoff, lam the smallest normal number. By the analysis of dot products (Higham 2002, section 3.1): a
sum of n products errs by at most n u times the sum of their magnitudes, in any order, with or without fused multiply-add.
Matrix products add serially within their blocks, so no smaller multiple is safe.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reference.bounds_softmax import softmax_bounds, sparse_softmax_bounds
from reference.doubledouble import Array
from reference.linear import LinearEvaluation
from reference.losses import Grade
from reference.precision import PRECISIONS, Precision

PLAIN = Grade("plain", "log_softmax")
"""How the softmax of the logits is computed."""


@dataclass(frozen=True, eq=False)
class LinearBounds:
    """The largest error of each part of `reference.linear.LinearEvaluation`, absolute and finite; 0 where that is not.

    ``targets`` is None at labels.
    """

    value: Array
    hidden: Array
    weight: Array
    bias: Array
    targets: Array | None


def linear_bounds(
    hidden: NDArray,
    weight: NDArray,
    bias: NDArray | None,
    target: NDArray,
    evaluation: LinearEvaluation,
    *,
    cotangent: Array | None = None,
    grade: Grade = PLAIN,
    scaled: bool = True,
    precision: str,
    target_roundings: int = 0,
    factor_roundings: float = 1.0,
) -> LinearBounds:
    r"""Return the error bounds of losses and gradients, for results whose softmax is computed by the forms of ``grade``.

    - logits: delta = (F + 1) u (\|H\| \|W\|^T + \|b\|), F features
    - losses at labels: the bound of the softmax at the true logits, and log(1 + sum_{k != j} p_k expm1(delta_k + delta_j)), at
      most max(delta_k + delta_j): how far the logits can move log(1 + sum exp(x_k - x_j)); exact, not of first order
    - losses at soft targets: that of the softmax, and sum \|t_k\| delta_k + T D, with D = log(1 + sum p_k expm1(delta_k)) the
      most that log sum exp(x) can move: downward it moves by sum p_k delta_k at most, which by Jensen's inequality is less
    - gradients with respect to soft targets, -log p_k: that of the softmax, and delta_k + D
    - g: the bound of the softmax, and e_i = T p_i expm1(delta_i + D), at most T; at a label at most the sum of the others, as g
      sums to zero; p - t (not ``scaled``) has 1 in place of T
    - a gradient, a sum over n of c g y for y a hidden state, a weight or 1: the errors of g times \|c y\|, and
      (n + 2) u sum \|c g y\|, for n products and their sum, and u more for each rounding of c, ``factor_roundings``;
      n lam (1 + max \|c y\|), as products and g may be flushed to zero
    - the form "apart" sums the products of p and those of t apart, and takes the one from the other: T p + \|t\| has the place
      of \|g\| in the sum

    ``target_roundings`` counts those of the targets on the way. ``scaled`` is that of `reference.linear.linear_cross_entropy`.

    Raises:
        KeyError: unknown precision.
    """
    limits, u = PRECISIONS[precision], PRECISIONS[precision].u
    h, w = np.abs(np.asarray(hidden, np.float64)), np.abs(np.asarray(weight, np.float64))
    b = np.zeros(len(w)) if bias is None else np.abs(np.asarray(bias, np.float64))
    c = np.ones(len(h)) if cotangent is None else np.abs(cotangent)
    parts = evaluation.hidden, evaluation.weight, evaluation.bias
    if not len(h):
        targets = None if evaluation.targets is None else np.zeros(evaluation.targets.shape)
        nothing = [np.zeros(part.shape) for part in parts]
        return LinearBounds(np.zeros(0), nothing[0], nothing[1], nothing[2], targets)
    form = Grade(grade.value, "quotient") if grade.gradient == "apart" else grade
    with np.errstate(all="ignore"):
        delta = (h.shape[1] + 1) * u * (h @ w.T + b)
        how = limits, target_roundings, grade.gradient == "apart", scaled
        value, error, size, targets = _of_softmax(evaluation, target, delta, form, *how)
        dropped = c[:, None] == 0
        error, size = (np.where(dropped, 0.0, c[:, None] * part) for part in (error, size))
        factors = (w.T, h.T, np.ones((1, len(h))))
        products = [
            _product_bound(left, of, factor, c.max(initial=0.0), limits, factor_roundings)
            for left, of, factor in zip((error, error.T, error.T), (size, size.T, size.T), factors, strict=True)
        ]
        products[2] = products[2][:, 0]
        value = _finite(value, evaluation.value, precision)
        of_targets = None if evaluation.targets is None else _finite(targets, evaluation.targets, precision)
        finite = [_finite(bound, part, precision) for bound, part in zip(products, parts, strict=True)]
        return LinearBounds(value, finite[0], finite[1], finite[2], of_targets)


def _of_softmax(
    evaluation: LinearEvaluation,
    target: NDArray,
    delta: Array,
    form: Grade,
    limits: Precision,
    roundings: int,
    apart: bool,
    scaled: bool,
) -> tuple[Array, Array, Array, Array]:
    """Return the bounds of losses (rows,) and of g, the size of the terms of g, and the bounds of -log p (rows, classes)."""
    x = evaluation.logits
    if target.ndim == 1:
        at_label = np.arange(x.shape[1]) == target[:, None]
        p, without = _softmax(x, at_label)
        slope = np.where(at_label, -without[:, None], p)
        own, own_slope = sparse_softmax_bounds(x, target, evaluation.value, slope, form, limits)
        value, error = own + _moved_loss(p, delta, at_label), own_slope + _moved_slope(p, delta, at_label)
        return value, error, p + at_label if apart else np.abs(slope), delta + _shift(p, delta)[:, None]
    p, _ = _softmax(x, np.zeros(x.shape, np.bool_))
    whole, shift = np.abs(target).sum(-1)[:, None], _shift(p, delta)[:, None]
    factor = whole if scaled else 1.0
    slope = factor * p - target
    bounds = softmax_bounds(x, target, slope, form, limits, scaled=scaled, roundings=roundings)
    value = bounds[0] + (np.abs(target) * delta).sum(-1) + (whole * shift)[:, 0]
    error = bounds[1] + factor * _moved_slope(p, delta, np.zeros(x.shape, np.bool_))
    return value, error, factor * p + np.abs(target) if apart else np.abs(slope), bounds[2] + delta + shift


def _softmax(x: Array, at_label: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Return the probabilities (rows, classes), and the sum (rows,) of all but that of the label."""
    exponential = np.exp(x - x.max(-1, keepdims=True))
    p = exponential / exponential.sum(-1, keepdims=True)
    return p, np.where(at_label, 0.0, p).sum(-1)


def _moved_loss(p: Array, delta: Array, at_label: NDArray[np.bool_]) -> Array:
    """Return log(1 + sum_{k != j} p_k expm1(delta_k + delta_j)), at most the largest of those sums."""
    moved = delta + delta[at_label][:, None]
    grown = np.log1p(np.where(at_label, 0.0, p * np.expm1(moved)).sum(-1))
    return np.minimum(np.where(np.isnan(grown), np.inf, grown), moved.max(-1))


def _moved_slope(p: Array, delta: Array, at_label: NDArray[np.bool_]) -> Array:
    """Return p_i expm1(delta_i + D), at most 1; at the label at most the sum of the others."""
    each = np.minimum(p * np.expm1(np.minimum(delta + _shift(p, delta)[:, None], 700.0)), 1.0)
    others = np.where(at_label, 0.0, each).sum(-1)[:, None]
    return np.where(at_label, np.minimum(each, others), each)


def _shift(p: Array, delta: Array) -> Array:
    """Return D, at most the largest of delta."""
    return np.minimum(np.log1p((p * np.expm1(np.minimum(delta, 700.0))).sum(-1)), delta.max(-1))


def _product_bound(error: Array, size: Array, factor: Array, most: float, limits: Precision, roundings: float) -> Array:
    """Return the bound of a matrix product: of g with ``error`` and ``size`` (rows, n), and ``factor`` (columns, n)."""
    n = factor.shape[-1]
    flushed = n * limits.smallest * (1 + most * factor.max(initial=0.0))
    return error @ factor.T + (n + 2 + roundings) * limits.u * (size @ factor.T) + flushed


def _finite(bound: Array, expected: Array, precision: str) -> Array:
    """Return ``bound``, in float64 with the rounding of what is expected; 0 where that is a special value."""
    finite = np.isfinite(expected)
    if precision == "float64":
        bound = bound + 0.5 * np.spacing(np.where(finite, np.abs(expected), 0.0))
    return np.where(finite, bound, 0.0)
