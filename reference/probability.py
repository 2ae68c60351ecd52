"""Cross-entropy on probabilities: the exact value and closed-form gradients, under every guard of log 0."""

from typing import NamedTuple

import numpy as np

from reference.doubledouble import Array
from reference.precision import Precision
from reference.semantics import Semantics
from reference.softmax import Arithmetic, Number

EPSILON = 1e-7
FLOOR = 100.0
SMALLEST_DENOMINATOR = float(np.float32(1e-12))
"""PyTorch holds the constant in float32, whatever the dtype of the loss."""
LARGE = 2.0**900
"""Beyond it quotients are taken in plain float64: double-double products would overflow."""


def binary_cross_entropy(
    probabilities: Array, targets: Array, semantics: Semantics, precision: Precision, am: Arithmetic
) -> tuple[Array, Array, Array]:
    r"""Return the binary cross-entropy of each element, and its gradients with respect to probabilities and targets.

    .. math:: l = -t \log p - (1 - t) \log(1 - p), \quad \partial l / \partial p = -t / p + (1 - t) / (1 - p), \quad
              \partial l / \partial t = \log(1 - p) - \log p

    with 0 log 0 = 0, under the guard of log 0 that ``semantics.log_of_zero`` names (a guard of 1e-7 is rounded to the
    dtype of ``precision``, as an implementation would). NaN gives NaN in that element alone.

    Args:
        probabilities: any shape, in [0, 1].
        targets: the same shape, finite.
        semantics: the guard of log 0, and the gradient there.
        precision: the dtype that is judged.
        am: `reference.doubledouble`, or `reference.plain` to judge float32.

    Returns:
        value, gradient, target gradient, of the shape of the probabilities: float64, in double-double errors below 2 ulp;
        where the two terms of a gradient cancel (p near t), below 2 (ulp(g) + 2^-20 u (t / p + (1 - t) / (1 - p))).

    Source: Bishop, Pattern Recognition and Machine Learning (2006), equation 4.90.
    """
    guard, one_minus_t = semantics.log_of_zero, complement(targets, am)
    here, there, log_here, log_there, inside = binary_logarithms(probabilities, guard, precision, am)
    value = sum_of(weighted(am.exactly(targets), log_here, am), weighted(one_minus_t, log_there, am), am)
    if semantics.gradient_at_guard == "floored_1e-12":
        gradient = am.high(floored_gradient(probabilities, targets, am))
    else:
        falling = am.negate(quotient(am.exactly(targets), here, am))
        rising = quotient(one_minus_t, there, am)
        if guard == "floor_100":
            falling, rising = (
                where_or_zero(above_floor(log_here, am), falling, am),
                where_or_zero(above_floor(log_there, am), rising, am),
            )
        gradient = np.where(inside, sum_of(falling, rising, am), 0.0)
    if semantics.target_gradient == "zero_at_zero":
        log_here, log_there = where_or_zero(targets != 0, log_here, am), where_or_zero(targets != 1, log_there, am)
    target_gradient = sum_of(log_here, am.negate(log_there), am)
    undefined = np.isnan(probabilities) | np.isnan(targets)
    value, gradient, target_gradient = (np.where(undefined, np.nan, part) for part in (value, gradient, target_gradient))
    return value, gradient, target_gradient


class BinaryLogarithms(NamedTuple):
    """The arguments of log p and log(1 - p) under a guard of log 0, minus the logarithms, and where p is within a clip."""

    here: Number
    there: Number
    log_here: Number
    log_there: Number
    inside: np.ndarray


def binary_logarithms(p: Array, guard: str, precision: Precision, am: Arithmetic) -> BinaryLogarithms:
    """Return the logarithms of p and of 1 - p under a guard."""
    here, inside = guarded(am.exactly(p), guard, precision, am)
    if guard.startswith("clip"):
        there = complement(np.clip(p, *clip_bounds(precision)), am)
        if guard.endswith("add_1e-7"):
            there, _ = guarded(there, "add_1e-7", precision, am)
    else:
        there, _ = guarded(complement(p, am), guard, precision, am)
    log_there = negative_log(there, guard, am) if guard.endswith("1e-7") else negative_log_complement(p, guard, am)
    return BinaryLogarithms(here, there, negative_log(here, guard, am), log_there, inside)


def floored_gradient(p: Array, t: Array, am: Arithmetic) -> Number:
    """Return (p - t) / max(p (1 - p), 1e-12)."""
    spread = am.multiply(am.exactly(p), complement(p, am))
    spread = am.select(am.high(spread) < SMALLEST_DENOMINATOR, am.exactly(np.full_like(p, SMALLEST_DENOMINATOR)), spread)
    return am.divide(am.two_sum(p, -t), spread)


def categorical_cross_entropy(
    probabilities: Array, targets: Array, semantics: Semantics, precision: Precision, am: Arithmetic
) -> tuple[Array, Array, Array]:
    r"""Return the categorical cross-entropy of each row, and its gradients with respect to probabilities and targets.

    .. math:: l = -\sum_k t_k \log p_k, \quad \partial l / \partial p_k = -t_k / p_k, \quad
              \partial l / \partial t_k = -\log p_k

    with 0 log 0 = 0, under the guard of log 0 and the renormalisation that ``semantics`` names; each has its own gradient by
    the chain rule. NaN gives NaN in that row alone.

    Args:
        probabilities: (rows, classes), in [0, 1]; they need not sum to one.
        targets: (rows, classes), finite.
        semantics: the guard of log 0, and whether probabilities are renormalised.
        precision: the dtype that is judged.
        am: `reference.doubledouble`, or `reference.plain` to judge float32.

    Returns:
        value (rows,), gradient (rows, classes), target gradient (rows, classes): float64, in double-double errors below 2 ulp.

    Source: Bishop, Pattern Recognition and Machine Learning (2006), equation 4.108.
    """
    undefined = np.isnan(probabilities).any(-1) | np.isnan(targets).any(-1)
    t, p = am.exactly(targets), am.exactly(probabilities)
    before, after = (semantics.probability_sum == name for name in ("renormalised", "renormalised_after_guard"))
    if before:
        p, sums = normalised(p, am)
    argument, inside = guarded(p, semantics.log_of_zero, precision, am)
    if after:
        argument, sums = normalised(argument, am)
    log_p = negative_log(argument, semantics.log_of_zero, am)
    if semantics.log_of_zero == "floor_100":
        inside = inside & above_floor(log_p, am)
    value = total_of(weighted(t, log_p, am), am)
    slope = quotient(t, argument, am)
    if before:
        kept = am.multiply(t, am.divide(p, argument)) if semantics.log_of_zero.endswith("add_1e-7") else t
        gradient = through_normalisation(
            where_or_zero(inside, slope, am), where_or_zero(inside, kept, am), sums, probabilities, am
        )
    elif after:
        gradient = np.where(inside, through_normalisation(slope, t, sums, probabilities, am), 0.0)
    else:
        gradient = np.where(inside, -am.high(slope), 0.0)
    target_gradient = am.high(log_p).copy()
    if semantics.target_gradient == "zero_at_zero":
        target_gradient[targets == 0] = 0.0
    results = value, gradient, target_gradient
    for result in results:
        result[undefined] = np.nan
    return results


def normalised(p: Number, am: Arithmetic) -> tuple[Number, Number]:
    """Return p / P and P, the sum of the row."""
    sums = am.each(lambda part: part[:, None] + np.zeros_like(am.high(p)), am.total(p))
    return am.divide(p, sums), sums


def through_normalisation(slope: Number, kept: Number, sums: Number, p: Array, am: Arithmetic) -> Array:
    """Return (sum_k h_k - h_i / q_i) / P: the slope h / q with respect to q = p / P carried back to p.

    Args:
        slope: h / q.
        kept: h, the target as far as the guard of the logarithm lets it through.
        sums: P.
        p: as given.
        am: the arithmetic.
    """
    far = np.abs(am.high(slope)) >= LARGE  # no guard is active there, and h / (q P) is t / p
    mean = am.each(lambda part: part[:, None] + np.zeros_like(p), am.total(kept))
    result = am.high(quotient(am.add(mean, am.negate(where_or_zero(~far, slope, am))), sums, am))
    return np.where(far, -am.high(kept) / p, result)


def where_or_zero(condition: np.ndarray, a: Number, am: Arithmetic) -> Number:
    """Return a where the condition holds, else 0."""
    return am.select(condition, a, am.exactly(np.zeros(condition.shape)))


def complement(p: Array, am: Arithmetic) -> Number:
    """Return 1 - p exactly."""
    return am.two_sum(np.ones_like(p), -p)


def guarded(p: Number, guard: str, precision: Precision, am: Arithmetic) -> tuple[Number, np.ndarray]:
    """Return the argument of the logarithm in place of ``p``, and where its derivative with respect to ``p`` is one."""
    low, high = clip_bounds(precision)
    whole = am.high(p)
    inside = np.ones(whole.shape, bool)
    if guard.startswith("clip"):
        inside = (whole >= low) & (whole <= high)
        p, inside = am.select(inside, p, am.exactly(np.clip(whole, low, high))), inside | np.isnan(whole)
    if guard.endswith("add_1e-7"):
        p = am.add(p, am.exactly(np.full_like(whole, low)))
    return p, inside


def clip_bounds(precision: Precision) -> tuple[float, float]:
    """Return 1e-7 and 1 - 1e-7 as the dtype holds them."""
    kind = np.dtype(precision.name).type
    return float(kind(EPSILON)), float(kind(1) - kind(EPSILON))


def negative_log(p: Number, guard: str, am: Arithmetic) -> Number:
    """Return -log p, at most 100 where that is the guard; +inf at 0, NaN below it or at NaN."""
    whole = am.high(p)
    usable = (whole > 0) & np.isfinite(whole)
    result = am.negate(am.log(am.select(usable, p, am.exactly(np.ones_like(whole)))))
    special = np.where(whole == 0, np.inf, np.where(whole == np.inf, -np.inf, np.nan))
    return _floored(am.select(usable, result, am.exactly(special)), guard, am)


def negative_log_complement(p: Array, guard: str, am: Arithmetic) -> Number:
    """Return -log(1 - p) without rounding 1 - p, at most 100 where that is the guard; +inf at 1, NaN above it or at NaN."""
    usable = (p < 1) & np.isfinite(p)
    result = am.negate(am.log1p(am.exactly(np.where(usable, -p, 0.0))))
    special = np.where(p == 1, np.inf, np.where(p == -np.inf, -np.inf, np.nan))
    return _floored(am.select(usable, result, am.exactly(special)), guard, am)


def above_floor(log: Number, am: Arithmetic) -> np.ndarray:
    """Tell where a floor of -100 leaves the logarithm as it is, given -log p."""
    return ~(am.high(log) >= FLOOR)


def _floored(log: Number, guard: str, am: Arithmetic) -> Number:
    if guard == "floor_100":
        log = am.select(am.high(log) > FLOOR, am.exactly(np.full_like(am.high(log), FLOOR)), log)
    return log


def weighted(weight: Number, term: Number, am: Arithmetic) -> Number:
    """Return weight * term with 0 * inf = 0: a target of 0 takes its term out whatever it holds, save NaN."""
    finite = np.isfinite(am.high(term))
    nothing = am.exactly(np.zeros_like(am.high(term)))
    product = am.multiply(weight, am.select(finite, term, nothing))
    product = am.select(finite, product, am.exactly(am.high(weight) * am.high(term)))
    return am.select((am.high(weight) == 0) & ~np.isnan(am.high(term)), nothing, product)


def sum_of(a: Number, b: Number, am: Arithmetic) -> Array:
    """Return a + b, infinities included."""
    exact, rough = am.high(am.add(a, b)), am.high(a) + am.high(b)
    return np.where(np.isfinite(rough), exact, rough)


def total_of(terms: Number, am: Arithmetic) -> Array:
    """Return the sum over the last axis, infinities and NaN included."""
    whole = am.high(terms)
    finite = np.isfinite(whole)
    exact = am.high(am.total(am.select(finite, terms, am.exactly(np.zeros_like(whole)))))
    return np.where(finite.all(-1), exact, np.where(finite, 0.0, whole).sum(-1))


def quotient(weight: Number, p: Number, am: Arithmetic) -> Number:
    """Return weight / p; 0 where the weight is 0, an infinity at p = 0."""
    plain = am.high(weight) / am.high(p)
    usable = (np.abs(plain) < LARGE) & (np.abs(am.high(p)) > 1 / LARGE)
    one = am.exactly(np.ones_like(plain))
    result = am.divide(am.select(usable, weight, one), am.select(usable, p, one))
    result = am.select(usable, result, am.exactly(plain))
    return am.select((am.high(weight) == 0) & ~np.isnan(am.high(p)), am.exactly(np.zeros_like(plain)), result)
