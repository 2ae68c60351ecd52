r"""Error bounds of linear cross-entropy: the rounding of the logits pushed through the softmax, and that of three products.

Notation: x = H W^T + b the logits, p their softmax, t the one-hot labels, j a label, g = p - t, c the upstream gradients;
u the unit roundoff, lam the smallest normal number. By the analysis of dot products (Higham 2002, section 3.1): a sum of n
products errs by at most n u times the sum of their magnitudes, in any order, with or without fused multiply-add. Matrix
products add serially within their blocks, so no smaller multiple is safe.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reference.bounds_softmax import sparse_softmax_bounds
from reference.doubledouble import Array
from reference.linear import LinearEvaluation
from reference.losses import Grade
from reference.precision import PRECISIONS, Precision

PLAIN = Grade("plain", "log_softmax")
"""How the softmax of the logits is computed."""


@dataclass(frozen=True, eq=False)
class LinearBounds:
    """The largest error of each part of `reference.linear.LinearEvaluation`, absolute and finite; 0 where that is not."""

    value: Array
    hidden: Array
    weight: Array
    bias: Array


def linear_bounds(
    hidden: NDArray,
    weight: NDArray,
    bias: NDArray | None,
    labels: NDArray,
    evaluation: LinearEvaluation,
    *,
    cotangent: Array | None = None,
    grade: Grade = PLAIN,
    precision: str,
) -> LinearBounds:
    r"""Return the error bounds of losses and gradients, for results whose softmax is computed by the forms of ``grade``.

    - logits: delta = (F + 1) u (\|H\| \|W\|^T + \|b\|), F features
    - losses: the bound of the softmax at the true logits, and log(1 + sum_{k != j} p_k expm1(delta_k + delta_j)), at most
      max(delta_k + delta_j): how far the logits can move log(1 + sum exp(x_k - x_j)); exact, not of first order
    - g: the bound of the softmax, and e_i = p_i expm1(delta_i + D) with D = log(1 + sum p_k expm1(delta_k)) the shift of
      log sum exp(x); at most 1, and at the label at most the sum of the others, as g sums to zero
    - a gradient, a sum over n of c g y for y a hidden state, a weight or 1: the errors of g times \|c y\|, and
      (n + 3) u sum \|c g y\|, for n products, their sum, and the rounding of c and of its product; n lam (1 + max \|c y\|), as
      products and g may be flushed to zero

    Raises:
        KeyError: unknown precision.
    """
    limits, u = PRECISIONS[precision], PRECISIONS[precision].u
    h, w = np.abs(np.asarray(hidden, np.float64)), np.abs(np.asarray(weight, np.float64))
    b = np.zeros(len(w)) if bias is None else np.abs(np.asarray(bias, np.float64))
    c = np.ones(len(h)) if cotangent is None else np.abs(cotangent)
    with np.errstate(all="ignore"):
        x = evaluation.logits
        at_label = np.arange(len(w)) == labels[:, None]
        delta = (h.shape[1] + 1) * u * (h @ w.T + b)
        p, without = _softmax(x, at_label)
        slope = np.where(at_label, -without[:, None], p)
        own, own_slope = sparse_softmax_bounds(x, labels, evaluation.value, slope, grade, limits)
        value = own + _moved_loss(p, delta, at_label)
        error = own_slope + _moved_slope(p, delta, at_label)
        size = c[:, None] * np.abs(slope)
        error = np.where(c[:, None] == 0, 0.0, c[:, None] * error)
        return LinearBounds(
            _finite(value, evaluation.value, precision),
            _finite(_product_bound(error, size, w.T, c.max(initial=0.0), limits), evaluation.hidden, precision),
            _finite(_product_bound(error.T, size.T, h.T, c.max(initial=0.0), limits), evaluation.weight, precision),
            _finite(
                _product_bound(error.T, size.T, np.ones((1, len(h))), c.max(initial=0.0), limits)[:, 0],
                evaluation.bias,
                precision,
            ),
        )


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
    shift = np.minimum(np.log1p((p * np.expm1(np.minimum(delta, 700.0))).sum(-1)), delta.max(-1))
    each = np.minimum(p * np.expm1(np.minimum(delta + shift[:, None], 700.0)), 1.0)
    others = np.where(at_label, 0.0, each).sum(-1)[:, None]
    return np.where(at_label, np.minimum(each, others), each)


def _product_bound(error: Array, size: Array, factor: Array, most: float, limits: Precision) -> Array:
    """Return the bound of a matrix product: of g with ``error`` and ``size`` (rows, n), and ``factor`` (columns, n)."""
    n = factor.shape[-1]
    flushed = n * limits.smallest * (1 + most * factor.max(initial=0.0))
    return error @ factor.T + (n + 3) * limits.u * (size @ factor.T) + flushed


def _finite(bound: Array, expected: Array, precision: str) -> Array:
    """Return ``bound``, in float64 with the rounding of what is expected; 0 where that is a special value."""
    finite = np.isfinite(expected)
    if precision == "float64":
        bound = bound + 0.5 * np.spacing(np.where(finite, np.abs(expected), 0.0))
    return np.where(finite, bound, 0.0)
