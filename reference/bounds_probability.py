r"""Error bounds of cross-entropy on probabilities, under every guard of log 0.

Notation: lp = -log p and lq = -log(1 - p), guarded as the semantics say, u and v the unit roundoffs of the elements and of the
accumulator, lam the smallest normal number, A(w) the additions that count in a sum (`bounds_rounding.rounding_of_sum`).
By first-order rounding analysis (Higham 2002, chapters 2 to 4). Bounds hold for probabilities that are 0 or normal numbers:
a subnormal one may be flushed to zero on the way in, and its logarithm is then another.
"""

import numpy as np
from numpy.typing import NDArray

from reference.bounds_rounding import LOG_ERROR, RECIPROCAL_ERROR, rounding_of_sum
from reference.bounds_softmax import probability_error, softmax_rows, softmax_value_bound
from reference.doubledouble import Array
from reference.losses import Grade
from reference.precision import Precision
from reference.probability import FLOOR, clip_bounds
from reference.semantics import Semantics

_SOFTMAX_OF_LOGS = Grade("plain", "log_softmax")


def binary_bounds(
    probabilities: Array,
    targets: Array,
    value: Array,
    gradient: Array,
    grade: Grade,
    semantics: Semantics,
    precision: Precision,
    *,
    roundings: int = 0,
) -> tuple[Array, Array, Array]:
    r"""Return the bounds of the value, the gradient and the target gradient, elementwise, each plus 2 lam.

    Value l: u [(c_l + 2) (t lp + (1 - t) lq) + l] for log1p(-p); log(1 - p) rounds 1 - p where p < 1/2 (above it is exact)
    and adds u (1 - t) there. A guard that adds 1e-7 rounds both arguments once more, + u.

    Gradient: separate, -t / p + (1 - t) / (1 - p): u [3 t / p + 4 (1 - t) / (1 - p) + 2 \|g\|]; added 1e-7, one more
    rounding of each term. Joint, (p - t) / (p (1 - p)), with or without its floor of 1e-12, whose denominator is
    continuous there: 5 u \|g\|. A term whose logarithm is floored, and all of it outside the clip, is exactly 0, and at the
    boundary itself, where the derivatives of the two sides differ, the bound is wider by the jump.

    Target gradient log(1 - p) - log p: each logarithm with its own errors, u [c_l (lp + lq) + \|g\|], and u where log(1 - p)
    or an added 1e-7 round their arguments as in the value.

    Targets that are themselves rounded k times (``roundings``: smoothed) are off by k u t, and so is 1 - t: k u t (lp + lq)
    more in the value, and k u t (1 / p + 1 / (1 - p)) in the gradient.
    """
    u, guard = precision.u, semantics.log_of_zero
    low, high = clip_bounds(precision)
    p = np.clip(probabilities, low, high) if guard.startswith("clip") else probabilities
    added = low if guard.endswith("add_1e-7") else 0.0
    here, there = np.abs(targets), np.abs(1 - targets)
    lp, lq = np.abs(np.log(p + added)), np.abs(np.log(1 - p + added) if added else np.log1p(-p))
    if guard == "floor_100":
        lp, lq = np.minimum(lp, FLOOR), np.minimum(lq, FLOOR)
    rounded = np.full_like(p, 1.0 if added else 0.0)
    complement = rounded + ((p < 0.5) if grade.value == "log" or added else 0.0)
    weighted = _product(here, lp) + _product(there, lq)
    value_bound = u * ((LOG_ERROR + 2) * weighted + np.abs(value) + here * rounded + there * complement)
    if semantics.gradient_at_guard == "floored_1e-12":
        gradient_bound = 5 * u * np.abs(gradient)
    else:
        gradient_bound = _binary_gradient_bound(probabilities, p, here, there, added, gradient, grade, guard, precision)
    if roundings:
        value_bound = value_bound + roundings * u * (_product(here, lp) + _product(here, lq))
        off = roundings * u * (_quotient(here, p + added) + _quotient(here, 1 - p + added))
        outside = (probabilities < low) | (probabilities > high) if guard.startswith("clip") else False
        gradient_bound = gradient_bound + np.where(outside, 0.0, off)
    if semantics.target_gradient == "zero_at_zero":
        lp, lq = np.where(targets == 0, 0.0, lp), np.where(targets == 1, 0.0, lq)
    target_bound = u * (LOG_ERROR * (lp + lq) + np.abs(lp - lq) + rounded + complement)
    flushed = 2 * precision.smallest
    return value_bound + flushed, gradient_bound + flushed, target_bound + flushed


def _binary_gradient_bound(
    given: Array,
    p: Array,
    here: Array,
    there: Array,
    added: float,
    gradient: Array,
    grade: Grade,
    guard: str,
    precision: Precision,
) -> Array:
    u, size, once_more = precision.u, np.abs(gradient), 1 if added else 0
    falling, rising, kink = _quotient(here, p + added), _quotient(there, 1 - p + added), np.zeros_like(size)
    if guard == "floor_100":
        (falling, lost), (rising, gained) = _floored_slope(falling, -np.log(p), u), _floored_slope(rising, -np.log1p(-p), u)
        kink = lost + gained
    separate = (3 + once_more) * u * falling + (4 + once_more) * u * rising + 2 * u * size
    bound = (5 * u * size if grade.gradient == "joint" else separate) + kink
    if guard.startswith("clip"):
        low, high = clip_bounds(precision)
        bound = np.where((given < low) | (given > high), 0.0, bound)
        bound = np.where(_at_clip(given, precision, u), bound + falling + rising, bound)
    return bound


def _floored_slope(slope: Array, log: Array, u: float) -> tuple[Array, Array]:
    """Return the slope where ``log``, of the error c_l u, may be below the floor of 100, and where it may be above it too."""
    slack = LOG_ERROR * u * FLOOR
    return np.where(log < FLOOR + slack, slope, 0.0), np.where(np.abs(log - FLOOR) <= slack, slope, 0.0)


def categorical_bounds(
    probabilities: Array,
    targets: Array,
    gradient: Array,
    semantics: Semantics,
    precision: Precision,
    *,
    hard: bool,
    roundings: int = 0,
) -> tuple[Array, Array, Array]:
    r"""Return the bounds of the value (rows,), the gradient and the target gradient (rows, n).

    With W = sum \|t\| lp and T = sum \|t\|, P = sum p:

    - value: (c_l + 2) u W + v A(W) W, + (1 + T) (n + 1) lam; a single term (``hard``) has no product: (c_l + 1) u l.
      An argument of the logarithm that is rounded once, as by adding 1e-7, moves it by u: + T u. Renormalised p / P
      moves it by the division and the sum, + T (2 u + v A(p)).
    - gradient -t / p: 4 u \|t\| / p + u \|g\| + 2 (1 + T) lam. Renormalised, T / P - t / p: the error of the common T / P is
      added, (T / P) (v A(p) + v A(t) + 6 u). Outside a clip -t / p is exactly 0; at its boundary the jump is added, for a
      renormalised row in every class.
    - target gradient -log p: c_l u lp + 2 lam, and the same error of the argument as in the value.
    - targets that are themselves rounded k times (``roundings``: smoothed, or weighted by class) add k u W to the value and
      k u \|t\| / p to the gradient, with k u T / P for a renormalised row.

    Guarded first and then renormalised is computed as softmax of the guarded logarithms; see `_softmax_of_logs_bounds`.
    """
    if semantics.probability_sum == "renormalised_after_guard":
        return _softmax_of_logs_bounds(probabilities, targets, gradient, semantics, precision)
    u, v, guard = precision.u, precision.v, semantics.log_of_zero
    weight, n = np.abs(targets), targets.shape[-1]
    total = weight.sum(-1)
    renormalised = semantics.probability_sum == "renormalised"
    sums = probabilities.sum(-1) if renormalised else np.ones(len(total))
    share = probabilities / sums[:, None] if renormalised else probabilities
    of_sum = rounding_of_sum(probabilities, sums, v) / sums if renormalised else np.zeros_like(sums)
    argument = _guarded(share, guard, precision)
    lp = _guarded_log(argument, guard)

    once_more = 1.0 if guard.endswith("add_1e-7") else 0.0
    shift = once_more * u + (2 * u + of_sum if renormalised else of_sum)
    terms = _product(weight, lp)
    whole = terms.sum(-1)
    flushed = precision.smallest * (1 + total)
    value = (
        (LOG_ERROR + (1 if hard else 2) + roundings) * u * whole
        + rounding_of_sum(terms, whole, v)
        + total * shift
        + flushed * (n + 1)
    )

    own = _quotient(weight, argument * sums[:, None])
    if guard == "floor_100":
        own = np.where(lp >= FLOOR, 0.0, own)  # the derivative of the floor is exactly 0
    slope = (4 + once_more + roundings) * u * own
    if once_more:
        slope = slope + of_sum[:, None] * own  # 1e-7 keeps the error of P in the argument from cancelling that of the divisor
    if guard.startswith("clip"):
        slope = _clipped_slope(slope, own, share, total / sums if renormalised else None, u + of_sum, precision)
    if renormalised:
        of_total = rounding_of_sum(weight, total, v) + total * (of_sum + (6 + roundings) * u)
        slope = slope + (of_total / sums)[:, None]
    slope = slope + u * np.abs(gradient) + 2 * flushed[:, None]
    return value, slope, LOG_ERROR * u * lp + (shift + 2 * precision.smallest)[:, None]


def _clipped_slope(
    slope: Array, own: Array, share: Array, common: Array | None, relative: Array, precision: Precision
) -> Array:
    """Return the bound of -t / p under the clip: 0 outside, and wider by the jump at the boundary itself.

    ``common`` is T / P of a renormalised row, in which the jump of one class reaches them all: the slope of each contains
    the mean of p_k h_k.
    """
    low, high = clip_bounds(precision)
    slope = np.where((share < low) | (share > high), 0.0, slope)
    kink = _at_clip(share, precision, relative[:, None])
    if not kink.any():
        return slope
    slope = np.where(kink, slope + own, slope)
    if common is not None:
        slope = slope + np.where(kink, own * share, 0.0).sum(-1)[:, None]
    return slope


def _softmax_of_logs_bounds(
    probabilities: Array, targets: Array, gradient: Array, semantics: Semantics, precision: Precision
) -> tuple[Array, Array, Array]:
    r"""Return the bounds of softmax cross-entropy of x = log p', p' the guarded probabilities: what renormalises p' to p'/P'.

    Each x_i has an error of delta_i = c_l u \|x_i\|, and u more where 1e-7 was added. It moves log S by at most
    D = sum (p'_i / P') delta_i, so beside the bounds of `bounds_softmax` there is

    - value: sum \|t_k\| delta_k + T D, with T = sum \|t\|; target gradient: delta_k + D
    - gradient, h_i / p'_i with h = T p'/P' - t the gradient of the softmax: the bound of h_i, in which p'_i / P' moves by
      delta_i + D, times the reciprocal of p'_i, u ((c_r + 1) \|g_i\| + \|t_i\| / p'_i)
    """
    u, v, guard = precision.u, precision.v, semantics.log_of_zero
    weight = np.abs(targets)
    total = weight.sum(-1)
    argument = _guarded(probabilities, guard, precision)
    logs = _guarded_log(argument, guard)
    usable = np.isfinite(logs)
    rows = softmax_rows(np.where(usable, -logs, -np.inf), precision)
    delta = np.where(usable, LOG_ERROR * u * np.abs(logs) + (u if guard.endswith("add_1e-7") else 0.0), 0.0)
    common = (rows.p * delta).sum(-1)
    value = softmax_value_bound(rows, weight, total, _SOFTMAX_OF_LOGS.value, precision)
    value = value + (weight * delta).sum(-1) + total * common

    error = probability_error(rows, _SOFTMAX_OF_LOGS.gradient, precision) + rows.p * (delta + common[:, None])
    error = total[:, None] * error + rows.p * (u * total + rounding_of_sum(weight, total, v))[:, None]
    own = _quotient(weight, argument)
    error = error + 2 * (1 + total[:, None]) * precision.smallest
    slope = error / np.maximum(argument, precision.smallest) + (RECIPROCAL_ERROR + 1) * u * np.abs(gradient) + u * own
    if guard.startswith("clip"):
        jump = np.abs(rows.p * total[:, None] - targets) / argument
        low, high = clip_bounds(precision)
        slope = np.where((probabilities < low) | (probabilities > high), 0.0, slope)
        slope = np.where(_at_clip(probabilities, precision, u), slope + jump, slope)
    slope = slope + 2 * precision.smallest
    constant = common + u * rows.log_total + rows.plain_sigma + (targets.shape[-1] + 1) * precision.smallest
    return value, slope, delta + 8.0 * u * rows.quarter_distance + constant[:, None]


def _guarded(p: Array, guard: str, precision: Precision) -> Array:
    """Return the argument of the logarithm in place of ``p``."""
    low, high = clip_bounds(precision)
    if guard.startswith("clip"):
        p = np.clip(p, low, high)
    return p + low if guard.endswith("add_1e-7") else p


def _guarded_log(argument: Array, guard: str) -> Array:
    """Return abs(log p), floored where that is the guard."""
    size = np.abs(np.log(argument))
    return np.minimum(size, FLOOR) if guard == "floor_100" else size


def _at_clip(p: Array, precision: Precision, relative: Array | float) -> NDArray[np.bool_]:
    """Tell where ``p``, known to the relative error given, may lie on either side of a clip at 1e-7 or 1 - 1e-7."""
    low, high = clip_bounds(precision)
    return (np.abs(p - low) <= relative * low) | (np.abs(p - high) <= relative * high)


def _product(weight: Array, term: Array) -> Array:
    """Return weight * term, with 0 * inf = 0."""
    return np.where(weight == 0, 0.0, weight * term)


def _quotient(weight: Array, p: Array) -> Array:
    """Return weight / p, with 0 / 0 = 0."""
    return np.where(weight == 0, 0.0, weight / p)
