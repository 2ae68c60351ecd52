r"""Error bounds of the negative log-likelihood and of the Kullback-Leibler divergence in its sound forms.

Notation: q and t the probabilities of prediction and target, lq = \|log q\|, lt = \|log t\|, d = \|log t - log q\|, n classes;
u and v the unit roundoffs of the elements and of the accumulator, lam the smallest normal number, A(w) the additions that count
in a sum (`bounds_rounding.rounding_of_sum`). By first-order rounding analysis (Higham 2002, chapters 2 to 4). A logarithm that
is given has no error of its own: c_l is 0 for it. Where q is near t the terms of the divergence cancel: the bounds are on their
scale, and far above roundoff times the divergence. They hold for probabilities that are 0 or normal numbers.
"""

import numpy as np
from numpy.typing import NDArray

from reference.bounds_rounding import EXP_ERROR, LOG_ERROR, rounding_of_sum
from reference.doubledouble import Array
from reference.precision import Precision
from reference.probability import clip_bounds
from reference.semantics import Semantics

Parts = tuple[Array, Array, Array]
"""The bounds of value, gradient and target gradient."""


def likelihood_bounds(value: Array, gradient: Array, precision: Precision) -> tuple[Array, Array]:
    """Return the bounds of -x_j and its gradient -1: no operation rounds, so lam, for what may be flushed to zero."""
    return np.full_like(value, precision.smallest), np.full_like(gradient, precision.smallest)


def divergence_bounds(probabilities: Array, targets: Array, form: str, semantics: Semantics, precision: Precision) -> Parts:
    r"""Return the bounds for probabilities on either side.

    Value, each term:

    - quotient, t log(t / q): u t [1 + (c_l + 1) d]
    - difference, t (log t - log q): u t [c_l (lt + lq) + 2 d]
    - terms, t log t - t log q: u t [(c_l + 1) (lt + lq) + d]

    and for their sum v A(t d) sum t d + 2 (n + 1) lam more; 2 lam for a term alone.

    Gradient -t / q: 5 u t / q + 2 lam: the chain rule of the quotient has five operations.

    Target gradient log(t / q) + 1 by the chain rule, whose 1 is t / t with its roundings:

    - quotient: u [5 + c_l d + \|g\|] + 2 lam
    - difference, terms: u [c_l (lt + lq) + r + 2 + \|g\|] + 2 lam; r = d for the difference and lt + lq + 1 for terms

    Where both are clipped to [1e-7, 1] these hold for the clipped ones. Outside the clip a gradient is exactly 0, and at its
    boundaries, where the derivatives of the two sides differ, the bound is wider by the jump.
    """
    u, q, t = precision.u, probabilities, targets
    clipped = semantics.divergence_guard == "clip_both_1e-7"
    low, _ = clip_bounds(precision)
    if clipped:
        q, t = np.clip(q, low, 1.0), np.clip(t, low, 1.0)
    log_t, log_q = np.log(t), np.log(q)
    distance = _product(t, np.abs(log_t - log_q))
    lengths = _product(t, np.abs(log_t)) + _product(t, np.abs(log_q))
    terms = {
        "quotient": u * (t + (LOG_ERROR + 1) * distance),
        "difference": u * (LOG_ERROR * lengths + 2 * distance),
        "terms": u * ((LOG_ERROR + 1) * lengths + distance),
    }[form]
    own = np.where(t == 0, 0.0, t / q)
    gradient = 5 * u * own + 2 * precision.smallest
    slope = np.abs(log_t - log_q + 1)
    size = np.abs(log_t) + np.abs(log_q)
    target_gradient = {
        "quotient": 5 + LOG_ERROR * np.abs(log_t - log_q),
        "difference": LOG_ERROR * size + np.abs(log_t - log_q) + 2,
        "terms": (LOG_ERROR + 1) * size + 3,
    }[form]
    target_gradient = u * (target_gradient + slope) + 2 * precision.smallest
    if clipped:
        gradient = _at_clip(gradient, own, probabilities, low)
        target_gradient = _at_clip(target_gradient, slope, targets, low)
    return _summed(terms, distance, semantics, precision), gradient, _at_zero(target_gradient, targets, precision)


def divergence_of_logs_bounds(
    log_probabilities: Array, targets: Array, form: str, semantics: Semantics, precision: Precision
) -> Parts:
    r"""Return the bounds for log-probabilities x and target probabilities: those of `divergence_bounds` with lq = \|x\| given.

    - value: difference u t [c_l lt + 2 d]; terms u t [(c_l + 1) lt + lq + d]
    - gradient -t: exact, lam for what may be flushed to zero
    - target gradient: u [c_l lt + r + 2 + \|g\|] + 2 lam
    """
    u, t = precision.u, targets
    log_t, x = np.log(t), np.where(np.isfinite(log_probabilities), log_probabilities, 0.0)
    distance = _product(t, np.abs(log_t - x))
    length = _product(t, np.abs(log_t))
    if form == "difference":
        terms, size = u * (LOG_ERROR * length + 2 * distance), np.abs(log_t - x)
    else:
        terms, size = u * ((LOG_ERROR + 1) * length + _product(t, np.abs(x)) + distance), np.abs(log_t) + np.abs(x) + 1
    slope = u * (LOG_ERROR * np.abs(log_t) + size + 2 + np.abs(log_t - x + 1)) + 2 * precision.smallest
    value = _summed(terms, distance, semantics, precision)
    return value, np.full_like(t, precision.smallest), _at_zero(slope, targets, precision)


def divergence_with_log_targets_bounds(
    log_probabilities: Array, log_targets: Array, semantics: Semantics, precision: Precision
) -> Parts:
    r"""Return the bounds for log-probabilities x and y on either side, with t = exp(y) and d = \|y - x\|.

    - value, each term: u t (c_e + 2) d + d lam, as t may be flushed to zero; the sum as in `divergence_bounds`
    - gradient -t: c_e u t + 2 lam
    - target gradient t (y - x + 1) = t (y - x) + t: u [(c_e + 1) \|g\| + 2 t d] + (2 + d) lam
    """
    u, lam = precision.u, precision.smallest
    t = np.exp(log_targets)
    x, y = (np.where(np.isfinite(part), part, 0.0) for part in (log_probabilities, log_targets))
    distance = np.where(np.isneginf(log_targets), 0.0, np.abs(y - x))
    terms = u * (EXP_ERROR + 2) * t * distance + lam * distance
    slope = u * ((EXP_ERROR + 1) * np.abs(t * (y - x + 1)) + 2 * t * distance) + (2 + distance) * lam
    value = _summed(terms, t * distance, semantics, precision)
    return value, EXP_ERROR * u * t + 2 * lam, slope


def _summed(terms: Array, sizes: Array, semantics: Semantics, precision: Precision) -> Array:
    """Return the bound of the sum of terms with the bounds ``terms`` and the magnitudes ``sizes``, or those of the terms."""
    if semantics.loss_shape == "term":
        return terms + 2 * precision.smallest
    flushed = 2 * (terms.shape[-1] + 1) * precision.smallest
    return terms.sum(-1) + rounding_of_sum(sizes, sizes.sum(-1), precision.v) + flushed


def _at_zero(bound: Array, targets: NDArray, precision: Precision) -> Array:
    """Return the bound of a target gradient; where the target is 0 it is infinite, NaN or exactly 0."""
    return np.where((targets == 0) & ~np.isfinite(bound), precision.smallest, bound)


def _at_clip(bound: Array, jump: Array, given: Array, low: float) -> Array:
    """Return the bound of a slope under a clip to [low, 1]: 0 outside, and wider by the jump at the boundaries."""
    bound = np.where((given < low) | (given > 1), 0.0, bound)
    return np.where((given == low) | (given == 1), bound + jump, bound)


def _product(weight: Array, term: Array) -> Array:
    """Return weight * term, with 0 * inf = 0."""
    return np.where(weight == 0, 0.0, weight * term)
