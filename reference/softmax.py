"""Softmax cross-entropy on logits: the exact value and closed-form gradients."""

from types import ModuleType
from typing import Any, NamedTuple

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


class Terms(NamedTuple):
    """What a softmax is made of, for rows of logits: exponentials are relative to the largest, and carried times 2^512."""

    undefined: np.ndarray
    """(rows,): the rows that have no softmax."""
    masked: np.ndarray
    pivot: np.ndarray
    """(rows, classes): the first of the largest logits of each row."""
    targets: Array
    distance: Number
    """(rows, classes): max(x) - x."""
    others: Number
    """(rows, classes): exp(x - max(x)), 0 at the pivot."""
    rest: Number
    """(rows,): their sum."""
    log_total: Number
    """(rows,): log(1 + rest), times 2^512."""


def softmax_terms(logits: Array, targets: Array, am: Arithmetic, *, exact: Number | None = None) -> Terms:
    """Return the terms of rows that have at least one class; ``exact`` are the logits, where float64 has them rounded."""
    undefined = ~np.isfinite(logits.max(-1)) | ~np.isfinite(targets).all(-1)
    x = np.where(undefined[:, None], 0.0, logits)
    t = np.where(undefined[:, None], 0.0, targets)
    pivot = np.arange(x.shape[-1]) == x.argmax(-1)[:, None]
    masked = np.isneginf(x)
    distance = _distance(x, masked, am)
    if exact is not None:
        distance = _exact_distance(exact, pivot, undefined[:, None] | masked, am)
    near = am.select(am.high(distance) < FAR, distance, am.exactly(np.full_like(x, FAR)))
    others = am.select(masked | pivot, am.exactly(np.zeros_like(x)), am.exp_scaled(am.negate(near), LIFT))
    rest = am.total(others)
    return Terms(undefined, masked, pivot, t, distance, others, rest, log1p_lifted(rest, am))


def probabilities_of(terms: Terms, am: Arithmetic) -> tuple[Number, Number]:
    """Return p and 1 - p, each to its own last digit, times 2^512."""
    lifted_one = am.exactly(np.full_like(am.high(terms.rest), 2.0**LIFT))
    one = am.exactly(np.ones_like(am.high(terms.rest)))
    total = am.each(_column, am.add(one, am.scale(terms.rest, -LIFT)))
    lifted_total = am.each(_column, am.add(lifted_one, terms.rest))
    own = am.select(terms.pivot, am.each(_column, lifted_one), terms.others)
    without = am.select(terms.pivot, am.each(_column, terms.rest), am.add(lifted_total, am.negate(terms.others)))
    return am.divide(own, total), am.divide(without, total)


def softmax_cross_entropy(
    logits: Array,
    targets: Array,
    am: Arithmetic,
    *,
    scaled: bool = True,
    epsilon: float | None = None,
    z_loss: float | None = None,
    soft_cap: float | None = None,
    there: np.ndarray | None = None,
) -> tuple[Array, Array, Array]:
    r"""Return the softmax cross-entropy of each row, and its gradients with respect to logits and targets.

    .. math:: l = -\sum_k t_k \log p_k, \quad p = \operatorname{softmax}(x), \quad
              \partial l / \partial x = T p - t, \quad \partial l / \partial t_k = -\log p_k, \quad T = \sum_k t_k

    A class with logit -inf is masked: p = 0, and 0 log 0 = 0. A row with a NaN, a +inf or nothing but -inf is NaN. A distance
    max(x) - x beyond the largest float64 counts as infinite, as that of the logits [1.5e308, -1.5e308] does: the target
    gradient there is inf, and so is the value if the target there, of whatever size and sign, is not 0.

    A poly loss adds epsilon sum t_k (1 - p_k), with the gradients epsilon p_i (m - t_i), m = sum t_k p_k, and
    epsilon (1 - p_k). A z-loss adds z s^2, s = log sum exp(x), with the gradient 2 z s p. A soft cap puts c tanh(x / c) in
    place of x, so that +-inf counts as +-c, and multiplies gradients by 1 - tanh(x / c)^2.

    Args:
        logits: (rows, classes), any float64 but for the special values above.
        targets: (rows, classes), finite, of any sum and sign; ``|t| < 2^400``.
        am: `reference.doubledouble`, or `reference.plain` to judge float32 and below.
        scaled: with False the gradient is p - t, the derivative only where T = 1.
        epsilon: of a poly loss.
        z_loss: z.
        soft_cap: c, positive.
        there: (rows, classes) of booleans, the classes that a soft cap does not bring back from -inf; None: all.

    Returns:
        value (rows,), gradient (rows, classes), target gradient (rows, classes): float64, in double-double errors below
        2 ulp; a gradient that cancels (T p near t) errs by at most 2 (ulp(g) + 2^-20 u (T p + |t|)), and where epsilon, z or s
        is negative the terms of the value count in the same way.

    Source: Goodfellow, Bengio and Courville, Deep Learning (2016), section 6.2.2.3; Blanchard, Higham and Higham,
    "Accurately computing the log-sum-exp and softmax functions", IMA J. Numer. Anal. 41(4) (2021); Leng et al., "PolyLoss",
    ICLR (2022); Chowdhery et al., "PaLM", JMLR 24 (2023), section 5, for the z-loss; Gemma Team, "Gemma 2",
    arXiv:2408.00118 (2024), for the soft cap.
    """
    if logits.shape[-1] == 0:
        return np.zeros(logits.shape[0]), logits.copy(), targets.copy()
    capped, slope = None, None
    if soft_cap is not None:
        capped, slope = _capped(logits, soft_cap, am)
        gone = False if there is None else ~there
        logits = np.where(np.isnan(logits), np.nan, np.where(gone, -np.inf, am.high(capped)))
    terms = softmax_terms(logits, targets, am, exact=capped)
    masked, t, log_total = terms.masked, terms.targets, terms.log_total
    weight = am.total(am.exactly(t))
    value_part = am.multiply(log_total, weight)
    gradient = gradient_of_terms(terms, weight if scaled else _ones_like(weight, am), am)
    target_part = am.each(lambda part: np.broadcast_to(part[:, None], masked.shape), log_total)
    if epsilon is not None:
        without, change = _poly(terms, epsilon, am)
        value_part = am.add(value_part, am.total(am.multiply(am.exactly(t), without)))
        gradient, target_part = am.add(gradient, change), am.add(target_part, without)
    log_sum = None if z_loss is None else _log_sum(logits, terms, am) if capped is None else _log_sum_of(capped, terms, am)
    if z_loss is not None:
        value_part, gradient = _with_z_loss(value_part, gradient, log_sum, terms, z_loss, am)
    if slope is not None:
        gradient = am.multiply_scaled(gradient, slope, np.full(masked.shape, -LIFT))
    value, gradient = value_of_terms(terms.distance, t, value_part, am), am.high(gradient) * 2.0**-LIFT
    target_gradient = target_gradient_of_terms(terms.distance, target_part, am)
    if z_loss is not None:
        value, gradient = _with_wide_z_loss(value, gradient, am.high(log_sum), terms, z_loss, am)
    value = np.where((masked & (t != 0)).any(-1), np.where(((t > 0) & masked).any(-1), np.inf, -np.inf), value)
    target_gradient[masked] = np.inf
    for result in (value, gradient, target_gradient):
        result[terms.undefined] = np.nan
    return value, gradient, target_gradient


def _column(rows: Array) -> Array:
    return rows[:, None]


def _distance(x: Array, masked: np.ndarray, am: Arithmetic) -> Number:
    """Return max(x) - x exactly; 0 for a masked class, inf where it overflows."""
    largest = x.max(-1, keepdims=True)
    distance = am.two_sum(np.broadcast_to(largest, x.shape), np.where(masked, -largest, -x))
    return am.select(np.isfinite(am.high(distance)), distance, am.exactly(am.high(distance)))


def _exact_distance(x: Number, pivot: np.ndarray, without: np.ndarray, am: Arithmetic) -> Number:
    """Return the pivot's logit less each logit; 0 ``without`` one."""
    nothing = am.exactly(np.zeros(pivot.shape))
    largest = am.total(am.select(pivot & ~without, x, nothing))
    distance = am.add(am.each(lambda part: part[:, None] + np.zeros(pivot.shape), largest), am.negate(x))
    return am.select(without, nothing, distance)


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
    return np.where(lowered, np.where(np.isfinite(both), both, am.high(large)), am.high(small) * 2.0**-LIFT)


def is_large(product: Array) -> np.ndarray:
    """Return where a product of a distance and a target is carried lowered, because lifted it would overflow."""
    return ~(np.abs(product) < 2.0**400)


def value_of_terms(distance: Number, t: Array, logarithm: Number, am: Arithmetic) -> Array:
    """Return sum t d + T log(1 + s)."""
    finite = np.isfinite(am.high(distance))
    near = am.select(finite, distance, am.exactly(np.zeros_like(t)))
    lowered = np.asarray(is_large(am.high(near) * t).any(-1))
    exponent = np.where(lowered, LOWER, LIFT)[:, None]
    linear = am.total(am.multiply_scaled(near, am.exactly(t), exponent))
    value = join(linear, lowered, logarithm, am)
    return np.where((~finite & (t != 0)).any(-1), np.inf, value)


def target_gradient_of_terms(distance: Number, logarithm: Number, am: Arithmetic) -> Array:
    """Return d + log(1 + s)."""
    lowered = is_large(am.high(distance))
    linear = am.select(lowered, am.scale(distance, LOWER), am.scale(distance, LIFT))
    return join(linear, lowered, logarithm, am)


def gradient_of_terms(terms: Terms, weight: Number, am: Arithmetic) -> Number:
    """Return T p - t, times 2^512; at the pivot (T - t) - T s / (1 + s), which does not cancel where p is close to one."""
    one = am.exactly(np.ones_like(am.high(terms.rest)))
    total = am.each(_column, am.add(one, am.scale(terms.rest, -LIFT)))
    numerator = am.select(terms.pivot, am.each(_column, am.negate(terms.rest)), terms.others)
    everyone = am.each(_column, weight)
    constant = am.select(terms.pivot, everyone, am.exactly(np.zeros_like(terms.targets)))
    constant = am.add(constant, am.exactly(-terms.targets))
    share = am.multiply(am.divide(numerator, total), everyone)
    return am.add(share, am.scale(constant, LIFT))


def _ones_like(a: Number, am: Arithmetic) -> Number:
    return am.exactly(np.ones_like(am.high(a)))


def _poly(terms: Terms, epsilon: float, am: Arithmetic) -> tuple[Number, Number]:
    """Return epsilon (1 - p) and epsilon p_i (m - t_i), times 2^512; m - t_i is the sum of the others less t_i (1 - p_i)."""
    p, without = probabilities_of(terms, am)
    t = am.exactly(terms.targets)
    each = am.multiply(t, p)
    everyone = am.each(lambda part: part[:, None] + np.zeros_like(terms.targets), am.total(each))
    rest = am.add(am.add(everyone, am.negate(each)), am.negate(am.multiply(t, without)))
    factor = am.exactly(np.full_like(terms.targets, epsilon))
    change = am.multiply_scaled(p, rest, np.full(terms.targets.shape, -LIFT))
    return am.multiply(factor, without), am.multiply(factor, change)


WIDE = 2.0**200
"""From here on the square of log sum exp(x) is taken in plain float64: beside it nothing else counts."""


def _log_sum(x: Array, terms: Terms, am: Arithmetic) -> Number:
    """Return log sum exp(x)."""
    return am.add(am.exactly(np.where(terms.undefined, 0.0, x.max(-1))), am.scale(terms.log_total, -LIFT))


def _log_sum_of(x: Number, terms: Terms, am: Arithmetic) -> Number:
    """Return log sum exp(x) of logits that are not float64 numbers."""
    largest = am.total(am.select(terms.pivot & ~terms.undefined[:, None], x, am.exactly(np.zeros(terms.pivot.shape))))
    return am.add(largest, am.scale(terms.log_total, -LIFT))


def _with_z_loss(
    value: Number, gradient: Number, log_sum: Number, terms: Terms, z: float, am: Arithmetic
) -> tuple[Number, Number]:
    """Return the lifted value with z s^2 added, and the lifted gradient with 2 z s p, where s is not wide."""
    s = am.select(np.abs(am.high(log_sum)) < WIDE, log_sum, am.exactly(np.zeros_like(am.high(log_sum))))
    weighed = am.multiply(s, am.exactly(np.full_like(am.high(s), z)))
    p, _ = probabilities_of(terms, am)
    change = am.multiply(p, am.each(_column, am.scale(weighed, 1)))
    return am.add(value, am.scale(am.multiply(weighed, s), LIFT)), am.add(gradient, change)


def _with_wide_z_loss(value: Array, gradient: Array, s: Array, terms: Terms, z: float, am: Arithmetic) -> tuple[Array, Array]:
    """Return value and gradient with the same added where s is wide."""
    s = np.where(np.abs(s) < WIDE, 0.0, s)
    if not s.any():
        return value, gradient
    p = np.ldexp(am.high(probabilities_of(terms, am)[0]), -LIFT)
    return value + z * s * s, gradient + 2 * (z * s[:, None]) * p


def _capped(x: Array, cap: float, am: Arithmetic) -> tuple[Number, Number]:
    """Return c tanh(x / c), and its derivative times 2^512; beyond 1000 c the one is c, the other 0."""
    inside = np.where(np.isnan(x), 0.0, np.clip(x, -1000 * cap, 1000 * cap))
    size = am.divide(am.exactly(np.abs(inside)), am.exactly(np.full_like(x, cap)))
    twice = am.negate(am.scale(size, 1))
    two = am.exactly(np.full_like(x, 2.0))
    lost = am.expm1(am.select(am.high(twice) > -700, twice, am.exactly(np.full_like(x, -700.0))))  # -(1 - exp(-2 x / c))
    over = am.add(two, lost)
    capped = am.multiply(am.divide(am.negate(lost), over), am.exactly(np.full_like(x, cap)))
    far = am.high(twice) < -FAR
    small = am.exp_scaled(am.select(far, am.exactly(np.full_like(x, -FAR)), twice), LIFT)
    slope = am.divide(am.scale(small, 2), am.multiply(over, over))
    return am.select(inside < 0, am.negate(capped), capped), slope
