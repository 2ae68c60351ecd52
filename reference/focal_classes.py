"""Focal and generalised cross-entropy over classes: the exact value and closed-form gradients."""

from typing import NamedTuple

import numpy as np

from reference.doubledouble import Array
from reference.focal import exp_lifted, lifted_power
from reference.precision import Precision
from reference.probability import (
    above_floor,
    clip_bounds,
    complement,
    guarded,
    negative_log,
    normalised,
    quotient,
    through_normalisation,
    total_of,
    weighted,
    where_or_zero,
)
from reference.semantics import Semantics
from reference.softmax import LIFT, LOWER, WIDE, Arithmetic, Number, Terms, is_large, probabilities_of, softmax_terms


class _Arguments(NamedTuple):
    """What a loss is a function of, after the guard of log 0 and the renormalisation that the semantics names."""

    argument: Number
    logarithm: Number
    """Minus the logarithm of the argument."""
    inside: np.ndarray
    """Where the argument has the derivative 1 with respect to the probability."""
    share: Number
    """The probability, renormalised if it is."""
    sums: Number | None
    """The sum of what was renormalised."""
    without: Number
    """1 - share, exact to its last digit; 1 - argument where it is renormalised afterwards; times 2^512."""


def _arguments_of(p: Array, semantics: Semantics, precision: Precision, am: Arithmetic) -> _Arguments:
    share, sums, guard = am.exactly(p), None, semantics.log_of_zero
    if semantics.probability_sum == "renormalised":
        share, sums = normalised(share, am)
    argument, inside = guarded(share, guard, precision, am)
    without = am.scale(complement(p, am) if sums is None else _others_share(am.exactly(p), sums, am), LIFT)
    if semantics.probability_sum == "renormalised_after_guard":
        guarded_p = argument
        argument, sums = normalised(guarded_p, am)
        without = am.scale(_others_share(guarded_p, sums, am), LIFT)
        share = argument
    logarithm = negative_log(argument, guard, am)
    if guard == "floor_100":
        inside = inside & above_floor(logarithm, am)
    return _Arguments(argument, logarithm, inside, share, sums, without)


def _others_share(p: Number, sums: Number, am: Arithmetic) -> Number:
    """Return 1 - p / P as the sum of the others over P."""
    whole = am.high(p)
    pivot = np.arange(whole.shape[-1]) == whole.argmax(-1)[:, None]
    rest = am.total(where_or_zero(~pivot, p, am))
    rest = am.each(lambda part: part[:, None] + np.zeros_like(whole), rest)
    return am.divide(am.select(pivot, rest, am.add(sums, am.negate(p))), sums)


def _carried_back(slope: Number, kept: Number, parts: _Arguments, p: Array, semantics: Semantics, am: Arithmetic) -> Array:
    """Return the gradient with respect to the probabilities as given.

    Args:
        slope: minus the derivative with respect to what the loss is a function of, 0 outside a clip.
        kept: slope times that.
        parts: what the loss is a function of.
        p: the probabilities.
        semantics: whether they are renormalised.
        am: the arithmetic.
    """
    if parts.sums is None:
        return -am.high(slope)
    gradient = through_normalisation(slope, kept, parts.sums, p, am)
    return np.where(parts.inside, gradient, 0.0) if semantics.probability_sum == "renormalised_after_guard" else gradient


def categorical_focal_cross_entropy(
    probabilities: Array,
    targets: Array,
    alpha: float | None,
    gamma: float,
    semantics: Semantics,
    precision: Precision,
    am: Arithmetic,
) -> tuple[Array, Array, Array]:
    r"""Return the focal cross-entropy of each row, and its gradients with respect to probabilities and targets.

    .. math:: l = -\alpha \sum_k t_k (1 - p_k)^\gamma \log p_k, \quad
              \partial l / \partial p_k = -\alpha t_k ((1 - p_k)^\gamma / p_k - \gamma (1 - p_k)^{\gamma - 1} \log p_k), \quad
              \partial l / \partial t_k = -\alpha (1 - p_k)^\gamma \log p_k

    under the guard of log 0 and the renormalisation that ``semantics`` names. The guard acts in the logarithm; in 1 - p only
    where ``semantics.focal_base`` is "guarded", and then as far as it clips. A certain and right class has the limits 0 for
    gamma > 0. NaN gives NaN in that row alone.

    Args:
        probabilities: (rows, classes), in [0, 1]; they need not sum to one.
        targets: (rows, classes), finite.
        alpha: not negative; None: 1.
        gamma: not negative.
        semantics: the guard of log 0 and what it guards, and whether probabilities are renormalised.
        precision: the dtype that is judged.
        am: `reference.doubledouble`, or `reference.plain` to judge float32.

    Returns:
        value (rows,), gradient (rows, classes), target gradient (rows, classes): float64, in double-double errors below 2 ulp;
        a gradient through a renormalisation cancels, and errs by at most 2 (ulp + 2^-20 u S), S the sum of the sizes of its
        terms.

    Source: Lin, Goyal, Girshick, He and Dollar, "Focal loss for dense object detection", ICCV (2017), section 3.2.
    """
    undefined = np.asarray(np.isnan(probabilities).any(-1) | ~np.isfinite(targets).all(-1))
    p, t = np.where(undefined[:, None], 0.5, probabilities), np.where(undefined[:, None], 0.0, targets)
    parts = _arguments_of(p, semantics, precision, am)
    without, moves = _focal_base(parts, semantics, precision, am)
    scale = am.exactly(np.full_like(p, 1.0 if alpha is None else alpha))
    term = am.multiply(scale, am.scale(lifted_power(without, gamma, am), -LIFT))
    each, weight = weighted(term, parts.logarithm, am), am.multiply(am.exactly(t), term)
    value = total_of(weighted(am.exactly(t), each, am), am)

    within = np.ones_like(parts.inside) if semantics.probability_sum == "renormalised_after_guard" else parts.inside
    own = where_or_zero(within, quotient(weight, parts.argument, am), am)
    through = weighted(am.multiply(am.exactly(t), scale), _base_slope(without, parts.logarithm, gamma, am), am)
    through = where_or_zero(moves, through, am)
    kept = where_or_zero(within, weight, am)
    if semantics.log_of_zero.endswith("add_1e-7"):
        kept = am.multiply(kept, am.divide(parts.share, parts.argument))
    slope = _sum_of_positive(own, through, am)
    gradient = _carried_back(slope, am.add(kept, weighted(parts.share, through, am)), parts, p, semantics, am)
    target_gradient = am.high(each).copy()
    if semantics.target_gradient == "zero_at_zero":
        target_gradient[t == 0] = 0.0
    results = value, gradient, target_gradient
    for result in results:
        result[undefined] = np.nan
    return results


def _focal_base(parts: _Arguments, semantics: Semantics, precision: Precision, am: Arithmetic) -> tuple[Number, np.ndarray]:
    """Return 1 - p times 2^512, of the clipped p where that is meant, and where it has a derivative."""
    everywhere = np.ones(parts.inside.shape, np.bool_)
    guards = semantics.focal_base == "guarded" and semantics.log_of_zero.startswith("clip")
    if not guards or semantics.probability_sum == "renormalised_after_guard":
        return parts.without, everywhere
    share = am.high(parts.share)
    clipped = np.clip(share, *clip_bounds(precision))
    inside = share == clipped
    return am.select(inside, parts.without, am.scale(complement(clipped, am), LIFT)), inside


def _base_slope(without: Number, logarithm: Number, gamma: float, am: Arithmetic) -> Number:
    """Return -gamma (1 - p)^(gamma - 1) log p, which is 0 at a certain and right class unless gamma is 1 or less."""
    if gamma == 0:
        return am.exactly(np.zeros_like(am.high(without)))
    power = lifted_power(without, gamma - 1, am, 0)
    slope = weighted(am.multiply(am.exactly(np.full_like(am.high(without), gamma)), power), logarithm, am)
    vertical = (am.high(without) == 0) & (gamma < 1) & (am.high(logarithm) != 0)
    return am.select(vertical, am.exactly(np.full(vertical.shape, np.inf)), slope)


def _sum_of_positive(a: Number, b: Number, am: Arithmetic) -> Number:
    """Return a + b, which may be infinite."""
    rough = am.high(a) + am.high(b)
    finite = np.isfinite(rough)
    return am.select(finite, am.add(where_or_zero(finite, a, am), where_or_zero(finite, b, am)), am.exactly(rough))


def generalized_cross_entropy(
    probabilities: Array, targets: Array, q: float, semantics: Semantics, precision: Precision, am: Arithmetic
) -> tuple[Array, Array, Array]:
    r"""Return the generalised cross-entropy of each row, and its gradients with respect to probabilities and targets.

    .. math:: l = \sum_k t_k (1 - p_k^q) / q, \quad \partial l / \partial p_k = -t_k p_k^{q - 1}, \quad
              \partial l / \partial t_k = (1 - p_k^q) / q

    under the guard of log 0 and the renormalisation that ``semantics`` names: p^q = exp(q log p). It goes from
    cross-entropy (q to 0) to the mean absolute error (q = 1). NaN gives NaN in that row alone.

    Args:
        probabilities: (rows, classes), in [0, 1]; they need not sum to one.
        targets: (rows, classes), finite.
        q: above 0, up to 1.
        semantics: the guard of log 0, and whether probabilities are renormalised.
        precision: the dtype that is judged.
        am: `reference.doubledouble`, or `reference.plain` to judge float32.

    Returns:
        value (rows,), gradient (rows, classes), target gradient (rows, classes): float64, in double-double errors below 2 ulp;
        a gradient through a renormalisation cancels, and errs by at most 2 (ulp + 2^-20 u S), S the sum of the sizes of its
        terms.

    Source: Zhang and Sabuncu, "Generalized cross entropy loss for training deep neural networks with noisy labels",
    NeurIPS (2018), equation 6.
    """
    undefined = np.asarray(np.isnan(probabilities).any(-1) | ~np.isfinite(targets).all(-1))
    p, t = np.where(undefined[:, None], 0.5, probabilities), np.where(undefined[:, None], 0.0, targets)
    parts = _arguments_of(p, semantics, precision, am)
    exponent = am.exactly(np.full_like(p, q))
    finite = np.isfinite(am.high(parts.logarithm))
    logarithm = where_or_zero(finite, parts.logarithm, am)
    lost = am.negate(am.expm1(am.negate(am.multiply(exponent, logarithm))))  # 1 - p^q
    each = am.divide(am.select(finite, lost, am.exactly(np.ones_like(p))), exponent)
    value = am.high(am.total(am.multiply(am.exactly(t), each)))
    rest = complement(np.full_like(p, q), am)
    steep = am.select(
        finite, am.exp_scaled(am.multiply(rest, logarithm), 0), am.exactly(np.full_like(p, np.inf if q < 1 else 1.0))
    )
    within = np.ones_like(parts.inside) if semantics.probability_sum == "renormalised_after_guard" else parts.inside
    slope = where_or_zero(within, weighted(am.exactly(t), steep, am), am)
    gradient = _carried_back(slope, weighted(slope, parts.share, am), parts, p, semantics, am)
    results = value, gradient, am.high(each).copy()
    for result in results:
        result[undefined] = np.nan
    return results


def categorical_focal_cross_entropy_with_logits(
    logits: Array,
    targets: Array,
    alpha: float | None,
    gamma: float,
    semantics: Semantics,
    precision: Precision,
    am: Arithmetic,
) -> tuple[Array, Array, Array]:
    r"""Return `categorical_focal_cross_entropy` of p = softmax(x) for each row x of logits, and its gradients; see there.

    .. math:: \partial l / \partial x_i = s_i (1 - p_i) - p_i \sum_{k \ne i} s_k, \quad
              s_k = -\alpha t_k (1 - p_k)^\gamma (1 - \gamma p_k \log(p_k) / (1 - p_k))

    A clip of probabilities, where ``semantics.log_of_zero`` names it, acts as it does there. A class with logit -inf is
    masked: p = 0, and 0 log 0 = 0. A row with a NaN, a +inf or nothing but -inf is NaN.

    Args:
        logits: (rows, classes), any float64 but for the special values above.
        targets: (rows, classes), finite.
        alpha: not negative; None: 1.
        gamma: not negative.
        semantics: whether softmax(x) is clipped, in the logarithm or in 1 - p as well.
        precision: the dtype that is judged, in which a clip is held.
        am: `reference.doubledouble`, or `reference.plain` to judge float32.

    Returns:
        value (rows,), gradient (rows, classes), target gradient (rows, classes): float64, in double-double errors below 2 ulp;
        a gradient that cancels errs by at most 2 (ulp + 2^-20 u S), S the sum of the sizes of its terms.
    """
    if logits.shape[-1] == 0:
        return np.zeros(logits.shape[0]), logits.copy(), targets.copy()
    terms = softmax_terms(logits, targets, am)
    t, masked = terms.targets, terms.masked
    p, without = probabilities_of(terms, am)
    near, scale = _log_of_softmax(terms, am)
    base, own, moves = without, np.ones(t.shape, np.bool_), np.ones(t.shape, np.bool_)
    if semantics.log_of_zero.startswith("clip"):
        share = np.ldexp(am.high(p), -LIFT)
        clipped = np.clip(share, *clip_bounds(precision))
        own = (share == clipped) & ~masked
        fixed = am.scale(negative_log(am.exactly(clipped), "none", am), LIFT)
        near, scale, masked = am.select(own, near, fixed), np.where(own, scale, LIFT), np.zeros_like(masked)
        if semantics.focal_base == "guarded":
            base, moves = am.select(own, without, am.scale(complement(clipped, am), LIFT)), own
    factor = am.exactly(np.full_like(t, 1.0 if alpha is None else alpha))
    power, share = lifted_power(base, gamma, am), _share_of_rest(terms, am)
    if semantics.log_of_zero.startswith("clip") and semantics.focal_base == "as_given":
        log_rest, share = _without_pivot(logits, terms, am)
        power = am.select(terms.pivot, exp_lifted(log_rest, gamma, am), power)
    power = am.multiply(factor, power)
    each = am.multiply_scaled(power, near, np.full(t.shape, -LIFT))  # times 2^scale

    row_scale = np.where(((scale == LOWER) & (t != 0)).any(-1), LOWER, LIFT)
    part = am.multiply_scaled(each, am.exactly(t), row_scale[:, None] - scale)
    value = np.ldexp(am.high(am.total(where_or_zero(t != 0, part, am))), -row_scale)

    near = am.multiply(am.exactly(np.full_like(t, gamma)), where_or_zero(moves & (scale == LIFT), near, am))
    slope = am.multiply(am.multiply(am.exactly(t), power), _own_slopes(terms, own, p, base, near, am))
    everyone = am.each(lambda part: part[:, None] + np.zeros_like(t), am.total(slope))
    unlift = np.full(t.shape, -LIFT)
    gradient = am.multiply_scaled(p, am.add(everyone, am.negate(slope)), unlift)
    gradient = am.add(gradient, am.negate(am.multiply_scaled(slope, without, unlift)))
    pivotal = am.multiply_scaled(am.multiply_scaled(am.multiply(am.exactly(t), power), near, unlift), p, unlift)
    gradient = np.ldexp(am.high(am.add(gradient, _through_pivot(terms, pivotal, share, am))), -LIFT)

    target_gradient = np.ldexp(am.high(each), -scale)
    lost = masked & (am.high(factor) != 0)
    value = np.where((lost & (t != 0)).any(-1), np.where(((t > 0) & lost).any(-1), np.inf, -np.inf), value)
    target_gradient[lost] = np.inf
    results = value, gradient, target_gradient
    for result in results:
        result[terms.undefined] = np.nan
    return results


def _log_of_softmax(terms: Terms, am: Arithmetic) -> tuple[Number, np.ndarray]:
    """Return -log p times 2^scale, and the scale; 0 for a masked class, and inf where it overflows."""
    wide = is_large(am.high(terms.distance))
    scale = np.where(wide, LOWER, LIFT)
    logarithm = am.each(lambda part: part[:, None] + np.zeros(wide.shape), terms.log_total)
    return am.add(am.scale(terms.distance, scale), where_or_zero(~wide, logarithm, am)), scale


def _share_of_rest(terms: Terms, am: Arithmetic) -> Number:
    """Return p_i / (1 - p) of the pivot's p, times 2^512; 0 where that is 0."""
    rest = am.each(lambda part: part[:, None] + np.zeros(terms.pivot.shape), terms.rest)
    usable = am.high(rest) > 0
    share = am.divide(terms.others, am.select(usable, rest, am.exactly(np.ones(usable.shape))))
    return am.scale(where_or_zero(usable, share, am), LIFT)


def _without_pivot(logits: Array, terms: Terms, am: Arithmetic) -> tuple[Number, Number]:
    """Return log(1 - p) of the pivot and `_share_of_rest`, whose 1 - p may be 0 even times 2^512: a clipped log p is not."""
    others = np.where(terms.pivot | terms.undefined[:, None], -np.inf, logits)
    rest = softmax_terms(others, terms.targets, am)
    distance = am.total(am.select(rest.pivot & ~rest.undefined[:, None], terms.distance, am.exactly(np.zeros(others.shape))))
    distance = am.select(rest.undefined | ~(am.high(distance) < WIDE), am.exactly(np.full(len(others), WIDE)), distance)
    logarithm = am.add(am.scale(am.add(rest.log_total, am.negate(terms.log_total)), -LIFT), am.negate(distance))
    share, _ = probabilities_of(rest, am)
    share = am.select(rest.undefined[:, None] | rest.masked, am.exactly(np.zeros(others.shape)), share)
    return am.each(lambda part: part[:, None] + np.zeros(others.shape), logarithm), share


def _own_slopes(terms: Terms, own: np.ndarray, p: Number, base: Number, near: Number, am: Arithmetic) -> Number:
    """Return 1 - gamma p log(p) / (1 - p), but 1 at the pivot, whose 1 - p may be 0; without the 1 where p is clipped."""
    usable = ~terms.pivot & (am.high(base) > 0)
    one = am.exactly(np.full(own.shape, 2.0**LIFT))
    ratio = am.divide(am.select(usable, near, one), am.select(usable, base, one))
    ratio = am.multiply_scaled(p, where_or_zero(usable, ratio, am), np.full(own.shape, -LIFT))
    return am.add(where_or_zero(own, am.exactly(np.ones(own.shape)), am), ratio)


def _through_pivot(terms: Terms, slope: Number, share: Number, am: Arithmetic) -> Number:
    """Return the gradient through the pivot's 1 - p, given t (1 - p)^gamma gamma p log(p) and each p_i / (1 - p)."""
    slope = am.total(where_or_zero(terms.pivot, slope, am))
    slope = am.each(lambda part: part[:, None] + np.zeros(terms.pivot.shape), slope)
    others = am.multiply_scaled(slope, share, np.full(terms.pivot.shape, -LIFT))
    return am.select(terms.pivot, am.negate(slope), others)
