"""Softmax cross-entropy on logits: the exact value and closed-form gradients."""

from types import ModuleType
from typing import Any

import numpy as np

from reference.doubledouble import Array

Arithmetic = ModuleType
"""`reference.doubledouble` or `reference.plain`: each formula is written once and evaluated in either."""
Number = Any
"""What the arithmetic computes with: a double-double pair, or an array."""

LIFT = 512
"""Exponentials are carried times 2^512, so that results down to the smallest subnormal keep every digit."""
LOWER = -64
"""Distances to the largest logit are multiplied times 2^-64, so that logits of 1e308 do not overflow on the way."""
FAR = 1500.0
"""Beyond this distance an exponential is 0 even times 2^512."""


def softmax_cross_entropy(logits: Array, targets: Array, am: Arithmetic, *, scaled: bool = True) -> tuple[Array, Array, Array]:
    r"""Return the softmax cross-entropy of each row, and its gradients with respect to logits and targets.

    .. math:: l = -\sum_k t_k \log p_k, \quad p = \operatorname{softmax}(x), \quad
              \partial l / \partial x = T p - t, \quad \partial l / \partial t_k = -\log p_k, \quad T = \sum_k t_k

    A class with logit -inf is masked: p = 0, and 0 log 0 = 0. A row with a NaN, a +inf or nothing but -inf is NaN.

    Args:
        logits: (rows, classes), any float64 but for the special values above.
        targets: (rows, classes), finite, of any sum and sign; ``|t| < 2^400``.
        am: `reference.doubledouble`, or `reference.plain` to judge float32 and below.
        scaled: with False the gradient is p - t, the derivative only where T = 1.

    Returns:
        value (rows,), gradient (rows, classes), target gradient (rows, classes): float64, in double-double errors below
        2 ulp; a gradient that cancels (T p near t) errs by at most 2 (ulp(g) + 2^-20 u (T p + |t|)).

    Source: Goodfellow, Bengio and Courville, Deep Learning (2016), section 6.2.2.3; Blanchard, Higham and Higham,
    "Accurately computing the log-sum-exp and softmax functions", IMA J. Numer. Anal. 41(4) (2021).
    """
    if logits.shape[-1] == 0:
        return np.zeros(logits.shape[0]), logits.copy(), targets.copy()
    undefined = ~np.isfinite(logits.max(-1)) | ~np.isfinite(targets).all(-1)
    x = np.where(undefined[:, None], 0.0, logits)
    t = np.where(undefined[:, None], 0.0, targets)
    pivot = np.arange(x.shape[-1]) == x.argmax(-1)[:, None]
    masked = np.isneginf(x)
    distance = _distance(x, masked, am)
    near = am.select(am.high(distance) < FAR, distance, am.exactly(np.full_like(x, FAR)))
    others = am.select(masked | pivot, am.exactly(np.zeros_like(x)), am.exp_scaled(am.negate(near), LIFT))
    rest, weight = am.total(others), am.total(am.exactly(t))
    log_total = log1p_lifted(rest, am)

    value = _value(distance, t, weight, log_total, am)
    slope_weight = weight if scaled else am.exactly(np.ones_like(am.high(weight)))
    gradient = _gradient(others, rest, t, slope_weight, pivot, am)
    target_gradient = _target_gradient(distance, log_total, am)
    value = np.where((masked & (t != 0)).any(-1), np.where(((t > 0) & masked).any(-1), np.inf, -np.inf), value)
    target_gradient[masked] = np.inf
    for result in (value, gradient, target_gradient):
        result[undefined] = np.nan
    return value, gradient, target_gradient


def _column(rows: Array) -> Array:
    return rows[:, None]


def _distance(x: Array, masked: np.ndarray, am: Arithmetic) -> Number:
    """Return max(x) - x exactly; 0 for a masked class, inf where it overflows."""
    largest = x.max(-1, keepdims=True)
    distance = am.two_sum(np.broadcast_to(largest, x.shape), np.where(masked, -largest, -x))
    return am.select(np.isfinite(am.high(distance)), distance, am.exactly(am.high(distance)))


def log1p_lifted(rest: Number, am: Arithmetic) -> Number:
    """Return 2^512 log(1 + s) for s = rest / 2^512; below 2^-200 it is s to double-double precision."""
    tiny = am.high(rest) < 2.0 ** (LIFT - 200)
    s = am.scale(am.select(tiny, am.exactly(np.ones_like(am.high(rest))), rest), -LIFT)
    return am.select(tiny, rest, am.scale(am.log1p(s), LIFT))


def join(linear: Number, lowered: np.ndarray, lifted: Number, am: Arithmetic) -> Array:
    """Return linear + lifted without their scales, rounded once: 2^-64 for `linear` where lowered, 2^512 for all else."""
    nothing = am.exactly(np.zeros_like(am.high(lifted)))
    small = am.add(am.select(lowered, nothing, linear), lifted)
    large = am.scale(am.select(lowered, linear, nothing), -LOWER)
    both = am.high(am.add(large, am.scale(small, -LIFT)))
    return np.where(lowered, np.where(np.isfinite(both), both, am.high(large)), np.ldexp(am.high(small), -LIFT))


def is_large(product: Array) -> np.ndarray:
    """Return where a product of a distance and a target is carried lowered, because lifted it would overflow."""
    return ~(np.abs(product) < 2.0**400)


def _value(distance: Number, t: Array, weight: Number, log_total: Number, am: Arithmetic) -> Array:
    """Return sum t d + T log(1 + s)."""
    finite = np.isfinite(am.high(distance))
    near = am.select(finite, distance, am.exactly(np.zeros_like(t)))
    lowered = np.asarray(is_large(am.high(near) * t).any(-1))
    exponent = np.where(lowered, LOWER, LIFT)[:, None]
    linear = am.total(am.multiply_scaled(near, am.exactly(t), exponent))
    value = join(linear, lowered, am.multiply(log_total, weight), am)
    return np.where((~finite & (t != 0)).any(-1), np.inf, value)


def _target_gradient(distance: Number, log_total: Number, am: Arithmetic) -> Array:
    """Return d + log(1 + s)."""
    lowered = is_large(am.high(distance))
    linear = am.select(lowered, am.scale(distance, LOWER), am.scale(distance, LIFT))
    return join(linear, lowered, am.each(lambda part: np.broadcast_to(part[:, None], lowered.shape), log_total), am)


def _gradient(others: Number, rest: Number, t: Array, weight: Number, pivot: np.ndarray, am: Arithmetic) -> Array:
    """Return T p - t; at the pivot (T - t) - T s / (1 + s), which does not cancel where p is close to one."""
    one = am.exactly(np.ones_like(am.high(rest)))
    total = am.each(_column, am.add(one, am.scale(rest, -LIFT)))
    numerator = am.select(pivot, am.each(_column, am.negate(rest)), others)
    everyone = am.each(_column, weight)
    constant = am.add(am.select(pivot, everyone, am.exactly(np.zeros_like(t))), am.exactly(-t))
    share = am.multiply(am.divide(numerator, total), everyone)
    return np.ldexp(am.high(am.add(share, am.scale(constant, LIFT))), -LIFT)
