"""Linear cross-entropy: hidden states times a weight matrix, then softmax cross-entropy at labels or soft targets."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reference import doubledouble, plain
from reference.doubledouble import Array
from reference.options import one_hot_targets
from reference.softmax import (
    LIFT,
    Arithmetic,
    Number,
    gradient_of_terms,
    softmax_terms,
    target_gradient_of_terms,
    value_of_terms,
)

BLOCK = 1 << 20
"""Products that are summed at a time."""


@dataclass(frozen=True, eq=False)
class LinearEvaluation:
    """The losses of a batch, and the gradients of their weighted sum with respect to each argument, in its shape.

    But ``targets``: the gradient of each loss alone with respect to its soft targets; None at labels.
    """

    value: Array
    hidden: Array
    weight: Array
    bias: Array
    targets: Array | None
    logits: Array


def linear_cross_entropy(
    hidden: NDArray,
    weight: NDArray,
    bias: NDArray | None,
    target: NDArray,
    *,
    cotangent: Array | None = None,
    scaled: bool = True,
    precision: str = "float64",
) -> LinearEvaluation:
    r"""Return the softmax cross-entropy of the logits H W^T + b at labels or soft targets, and its gradients.

    .. math:: x = H W^T + b, \quad l_i = -\sum_k t_{ik} \log \operatorname{softmax}(x_i)_k, \quad
              G = \operatorname{diag}(c) (T p - t), \quad \partial / \partial H = G W, \quad
              \partial / \partial W = G^T H, \quad \partial / \partial b = G^T 1, \quad
              \partial l_i / \partial t_{ik} = -\log p_{ik}

    the gradients of sum c_i l_i, with p = softmax(x), t the one-hot labels or the targets, and T their sum. A row of logits
    that is not finite has a loss and a gradient of NaN, which reach the gradients of weight and bias unless its c is 0.

    Args:
        hidden: H, (rows, features); magnitudes below 2^200, as those of weight and bias.
        weight: W, (classes, features).
        bias: b, (classes,); None: none.
        target: labels (rows,), integers from 0 to classes - 1, or targets (rows, classes).
        cotangent: c, (rows,): 1 / rows for a mean, 0 for an ignored row, times the class weight of its label; ones if None.
        scaled: with False G has p - t in place of T p - t, the derivative only where T = 1.
        precision: "float64" for double-double arithmetic, another for plain float64, which judges float32.

    Returns:
        losses (rows,), gradients and logits: float64; in double-double losses below 2 ulp beside an error of 2^-90 of
        sum abs(h w), gradients with respect to targets likewise, and the others below 2 (ulp + 2^-20 u S), S the sum of the
        magnitudes of their terms: at soft targets T p and t count apart.

    Raises:
        ValueError: shapes that do not belong together.
        IndexError: a label out of range.

    Source: `reference.softmax.softmax_cross_entropy`; Wijmans et al., "Cut Your Losses in Large-Vocabulary Language Models",
    ICLR (2025).
    """
    h, w = np.asarray(hidden, np.float64), np.asarray(weight, np.float64)
    b = np.zeros(len(w)) if bias is None else np.asarray(bias, np.float64)
    _check(h, w, b, target)
    targets = one_hot_targets(target, len(w)) if target.ndim == 1 else np.asarray(target, np.float64)
    c = np.ones(len(h)) if cotangent is None else np.asarray(cotangent, np.float64)
    am: Arithmetic = doubledouble if precision == "float64" else plain
    with np.errstate(all="ignore"):
        logits = am.add(_matrix_product(am.exactly(h), w, am), am.exactly(np.broadcast_to(b, (len(h), len(w)))))
        value, slope, target_slope = _softmax(logits, targets, am, scaled=scaled)
        slope = am.multiply(slope, am.exactly(np.broadcast_to(c[:, None], am.high(slope).shape)))
        slope = am.select((c == 0)[:, None], am.exactly(np.zeros_like(am.high(slope))), slope)
        backward = am.each(np.transpose, slope)
        of_hidden, of_weight = _matrix_product(slope, w.T, am), _matrix_product(backward, h.T, am)
        gradients = [np.ldexp(am.high(gradient), -LIFT) for gradient in (of_hidden, of_weight, am.total(backward))]
        of_targets = target_slope if target.ndim == 2 else None
        return LinearEvaluation(value, gradients[0], gradients[1], gradients[2], of_targets, am.high(logits))


def _check(h: Array, w: Array, b: Array, target: NDArray) -> None:
    shapes = ((*h.shape[:1],), (*h.shape[:1], *w.shape[:1]))
    if h.ndim != 2 or w.ndim != 2 or h.shape[1] != w.shape[1] or b.shape != w.shape[:1] or target.shape not in shapes:
        raise ValueError(
            f"hidden {h.shape}, weight {w.shape}, bias {b.shape} and target {target.shape} do not belong together: they must "
            "be (rows, features), (classes, features), (classes,) and (rows,) or (rows, classes)"
        )
    outside = (target < 0) | (target >= len(w))
    if target.ndim == 1 and outside.any():
        raise IndexError(f"label {target[outside][0]} is out of range for {len(w)} classes: use 0 to {len(w) - 1}")


def _matrix_product(a: Number, b: Array, am: Arithmetic) -> Number:
    """Return a b^T of (rows, n) and (columns, n), some rows of a at a time."""
    step = max(1, BLOCK // max(1, b.size))
    rows = len(am.high(a))
    parts = []
    for start in range(0, max(1, rows), step):
        block = am.each(lambda part, start=start: np.repeat(part[start : start + step, None], len(b), 1), a)
        parts.append(am.total(am.multiply(block, am.exactly(np.broadcast_to(b, am.high(block).shape)))))
    if am is plain:
        return np.concatenate(parts)
    return doubledouble.DD(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _softmax(logits: Number, targets: Array, am: Arithmetic, *, scaled: bool) -> tuple[Array, Number, Array]:
    """Return -sum t log p, T p - t times 2^512, and -log p."""
    terms = softmax_terms(am.high(logits), targets, am, exact=logits)
    weight = am.total(am.exactly(terms.targets))
    value = value_of_terms(terms.distance, terms.targets, am.multiply(terms.log_total, weight), am)
    undefined = am.exactly(np.full_like(terms.targets, np.nan))
    everyone = weight if scaled else am.exactly(np.ones_like(am.high(weight)))
    slope = am.select(terms.undefined[:, None], undefined, gradient_of_terms(terms, everyone, am))
    logarithm = am.each(lambda part: np.broadcast_to(part[:, None], terms.targets.shape), terms.log_total)
    target_slope = np.where(terms.undefined[:, None], np.nan, target_gradient_of_terms(terms.distance, logarithm, am))
    return np.where(terms.undefined, np.nan, value), slope, target_slope
