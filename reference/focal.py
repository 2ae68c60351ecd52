"""Focal cross-entropy of independent outcomes: the exact value and closed-form gradients, on probabilities and on logits."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reference.doubledouble import Array
from reference.precision import Precision
from reference.probability import (
    above_floor,
    binary_logarithms,
    clip_bounds,
    complement,
    floored_gradient,
    quotient,
    weighted,
    where_or_zero,
)
from reference.semantics import Semantics
from reference.softmax import FAR, LIFT, LOWER, Arithmetic, Number, is_large, log1p_lifted

_NEAR_ZERO = 2.0**-400
"""Below it 1 / p is carried times 2^-700."""
_WIDE = 2.0**300
"""Logits from here on are carried times 2^-64."""
_LOG_LIFT = 2.0**-300
"""The logarithm of a base below it is taken of the lifted base, and 512 log 2 subtracted."""
_SERIES = 2.0**-35
"""Below it tanh(z / 2) is z / 2 - z^3 / 24."""


def binary_focal_cross_entropy(
    probabilities: Array,
    targets: Array,
    alpha: float | None,
    gamma: float,
    semantics: Semantics,
    precision: Precision,
    am: Arithmetic,
) -> tuple[Array, Array, Array]:
    r"""Return the focal cross-entropy of each element, and its gradients with respect to probabilities and targets.

    .. math:: l = w Q^\gamma c, \quad c = -t \log p - (1 - t) \log(1 - p), \quad Q = t (1 - p) + (1 - t) p,

    with w = alpha t + (1 - alpha) (1 - t), w = alpha, or 1 without alpha, and

    .. math:: \partial l / \partial p = w (Q^\gamma \partial c / \partial p + \gamma Q^{\gamma - 1} (1 - 2 t) c), \quad
              \partial l / \partial t = w' Q^\gamma c + w (Q^\gamma \log((1 - p) / p) + \gamma Q^{\gamma - 1} (1 - 2 p) c).

    Q = 1 - p_t is linear in soft targets, as all frameworks have it. The guard of log 0 acts in c; in Q only where
    ``semantics.focal_base`` is "guarded", and then as far as it clips. At a certain and right prediction value and gradient
    are their limits: 0 for gamma > 0.

    Args:
        probabilities: any shape, in [0, 1].
        targets: the same shape, in [0, 1].
        alpha: between 0 and 1; None: none.
        gamma: not negative.
        semantics: the guard of log 0, the gradient of c there, what it guards, and what alpha multiplies.
        precision: the dtype that is judged.
        am: `reference.doubledouble`, or `reference.plain` to judge float32.

    Returns:
        value, gradient, target gradient, of the shape of the probabilities: float64, in double-double errors below 2 ulp; where
        the terms of a gradient cancel, below 2 (ulp + 2^-20 u S), S the sum of their sizes.

    Source: Lin, Goyal, Girshick, He and Dollar, "Focal loss for dense object detection", ICCV (2017), equation 5.
    """
    undefined = np.isnan(probabilities) | ~np.isfinite(targets)
    p, t = np.where(undefined, 0.5, probabilities), np.where(undefined, 0.0, targets)
    guard = semantics.log_of_zero
    logs = binary_logarithms(p, guard, precision, am)
    positive, negative = am.exactly(t), complement(t, am)
    weight, weight_slope = _outcome_weight(t, alpha, semantics, am)
    entropy, infinite = _entropy(positive, negative, logs.log_here, logs.log_there, am)
    guarded_base = semantics.focal_base == "guarded" and guard.startswith("clip")
    chance = np.clip(p, *clip_bounds(precision)) if guarded_base else p
    falls = complement(chance, am)
    base = am.add(am.multiply(positive, am.scale(falls, LIFT)), am.multiply(negative, am.scale(am.exactly(chance), LIFT)))
    power, slope = lifted_power(base, gamma, am), _power_slope(base, gamma, am)

    value = am.multiply_scaled(power, am.multiply(weight, entropy), np.zeros(t.shape, np.intp))
    value = np.where(infinite, np.where(am.high(weight) == 0, 0.0, np.inf), np.ldexp(am.high(value), -LIFT))

    floored = semantics.gradient_at_guard == "floored_1e-12"
    steep = (t != 0) | (guard.endswith("1e-7") and gamma < 1)
    down = np.where((p < _NEAR_ZERO) & steep & (not floored), 700, 0)
    falling = quotient(positive, am.scale(logs.here, down), am)
    rising = am.scale(quotient(negative, logs.there, am), -down)
    if guard == "floor_100":
        falling = where_or_zero(above_floor(logs.log_here, am), falling, am)
        rising = where_or_zero(above_floor(logs.log_there, am), rising, am)
    rough = np.where(logs.inside, am.high(rising) - am.high(falling), 0.0)
    own = where_or_zero(logs.inside & np.isfinite(rough), am.add(rising, am.negate(falling)), am)
    if floored:
        own, rough = floored_gradient(p, t, am), np.zeros_like(p)
    turn = am.add(negative, am.negate(positive))
    if guarded_base:
        turn = where_or_zero(logs.inside, turn, am)
    through = am.multiply_scaled(slope, am.multiply(entropy, turn), _unlifted_slope(gamma) - down)
    gradient = am.add(am.multiply_scaled(power, own, np.zeros(t.shape, np.intp)), through)
    gradient = np.ldexp(am.high(am.multiply(weight, gradient)), down - LIFT)
    vertical = (am.high(base) == 0) & (0 < gamma < 1) & (am.high(entropy) != 0)
    gradient = np.where(vertical, np.copysign(np.inf, am.high(turn)) * (am.high(turn) != 0), gradient)
    gradient = np.where(np.isinf(rough), rough, gradient)

    log_here, log_there = logs.log_here, logs.log_there
    if semantics.target_gradient == "zero_at_zero":
        log_here, log_there = where_or_zero(t != 0, log_here, am), where_or_zero(t != 1, log_there, am)
    opposed = am.high(log_here) - am.high(log_there)
    difference = where_or_zero(np.isfinite(opposed), am.add(log_here, am.negate(log_there)), am)
    steady = am.add(am.multiply(weight_slope, entropy), am.multiply(weight, difference))
    tilt = am.multiply(weight, am.multiply(entropy, am.add(falls, am.negate(am.exactly(chance)))))
    moving = am.multiply_scaled(slope, tilt, _unlifted_slope(gamma) - down)
    target_gradient = am.add(am.multiply_scaled(power, steady, -down), moving)
    target_gradient = np.where(np.isinf(opposed), opposed, np.ldexp(am.high(target_gradient), down - LIFT))
    value, gradient, target_gradient = (np.where(undefined, np.nan, part) for part in (value, gradient, target_gradient))
    return value, gradient, target_gradient


def _entropy(
    positive: Number, negative: Number, log_here: Number, log_there: Number, am: Arithmetic
) -> tuple[Number, np.ndarray]:
    """Return -t log p - (1 - t) log(1 - p), and where it is infinite; 0 stands there."""
    here, there = weighted(positive, log_here, am), weighted(negative, log_there, am)
    infinite = ~np.isfinite(am.high(here) + am.high(there))
    return where_or_zero(
        ~infinite, am.add(where_or_zero(~infinite, here, am), where_or_zero(~infinite, there, am)), am
    ), infinite


def _outcome_weight(t: Array, alpha: float | None, semantics: Semantics, am: Arithmetic) -> tuple[Number, Number]:
    """Return what alpha makes of each outcome, and its derivative with respect to the target."""
    share = am.exactly(np.full_like(t, 1.0 if alpha is None else alpha))
    if alpha is None or semantics.focal_alpha == "uniform":
        return share, am.exactly(np.zeros_like(t))
    rest = complement(np.full_like(t, alpha), am)
    weight = am.add(am.multiply(share, am.exactly(t)), am.multiply(rest, complement(t, am)))
    return weight, am.add(share, am.negate(rest))


def lifted_power(base: Number, exponent: float, am: Arithmetic, lift: int = LIFT) -> Number:
    """Return 2^lift base^exponent of a base that comes times 2^512; 0 to the 0 is 1, and a negative base has none."""
    whole = am.high(base)
    usable = (whole > 0) & np.isfinite(whole)
    logarithm = log_of_lifted(am.select(usable, base, am.exactly(np.full_like(whole, 2.0**LIFT))), am)
    power = exp_lifted(logarithm, exponent, am, lift)
    at_zero = 2.0**lift if exponent == 0 else 0.0
    return am.select(usable, power, am.exactly(np.where(whole == 0, at_zero, np.nan)))


def log_of_lifted(base: Number, am: Arithmetic) -> Number:
    """Return the logarithm of a positive base that comes times 2^512."""
    tiny = am.high(base) < _LOG_LIFT * 2.0**LIFT
    logarithm = am.log(am.select(tiny, base, am.scale(base, -LIFT)))
    lift = am.log(am.exactly(np.full_like(am.high(base), 2.0**LIFT)))
    return am.add(logarithm, am.negate(where_or_zero(tiny, lift, am)))


def exp_lifted(logarithm: Number, exponent: float, am: Arithmetic, lift: int = LIFT) -> Number:
    """Return 2^lift exp(exponent logarithm): 0 where that is below exp(-1500), infinite above exp(1500)."""
    power = am.multiply(am.exactly(np.full_like(am.high(logarithm), exponent)), logarithm)
    near = am.high(power) > -FAR
    power = am.select(am.high(power) < FAR, power, am.exactly(np.full_like(am.high(power), FAR)))
    return where_or_zero(near, am.exp_scaled(where_or_zero(near, power, am), lift), am)


def _power_slope(base: Number, gamma: float, am: Arithmetic) -> Number:
    """Return gamma Q^(gamma - 1) times 2^512, times 2^-512 where it may be large; 0 where it is infinite."""
    if gamma == 0:
        return am.exactly(np.zeros_like(am.high(base)))
    power = lifted_power(base, gamma - 1, am, LIFT if gamma >= 1 else -LIFT)
    return am.multiply(am.exactly(np.full_like(am.high(base), gamma)), power)


def _unlifted_slope(gamma: float) -> int:
    """Return the exponent that brings a product with `_power_slope` to 2^512."""
    return 0 if gamma >= 1 or gamma == 0 else 2 * LIFT


def binary_focal_cross_entropy_with_logits(
    logits: Array,
    targets: Array,
    alpha: float | None,
    gamma: float,
    semantics: Semantics,
    precision: Precision,
    am: Arithmetic,
) -> tuple[Array, Array, Array]:
    r"""Return `binary_focal_cross_entropy` of p = sigmoid(x) for each logit x, and its gradients; see there.

    .. math:: \partial l / \partial x = w (Q^\gamma (p - t) + \gamma Q^{\gamma - 1} (1 - 2 t) p (1 - p) c)

    A clip of probabilities, where ``semantics.log_of_zero`` names it, acts in c alone and takes p - t to 0 outside. At
    x = +-inf value and gradients are their limits.

    Args:
        logits: any shape.
        targets: the same shape, in [0, 1].
        alpha: between 0 and 1; None: none.
        gamma: not negative.
        semantics: what alpha multiplies, and whether sigmoid(x) is clipped.
        precision: the dtype that is judged, in which a clip is held.
        am: `reference.doubledouble`, or `reference.plain` to judge float32.

    Returns:
        as `binary_focal_cross_entropy`.
    """
    undefined, infinite = np.isnan(logits) | ~np.isfinite(targets), np.isinf(logits)
    x = np.where(undefined, 0.0, np.where(infinite, np.copysign(FAR, logits), logits))
    t = np.where(undefined, 0.0, targets)
    side = _side_of(x, t, am)
    clips = semantics.log_of_zero.startswith("clip")
    if clips:
        side = _clipped(side, t, precision, am)
    power, (weight, weight_slope) = exp_lifted(side.log_base, gamma, am), _outcome_weight(t, alpha, semantics, am)
    unlift = np.full(t.shape, -LIFT)
    value = am.multiply_scaled(power, am.multiply(weight, side.entropy), unlift)
    value = np.ldexp(am.high(value), -side.scale)

    ratio = _ratio(where_or_zero(side.scale == LIFT, side.entropy, am), side.base, am)
    turn = am.add(am.scale(side.against, 1), am.exactly(np.full_like(t, -1.0)))  # 2 A - 1
    certain = am.high(side.against) == 0  # there Q is sigmoid(-z)
    share = am.select(certain, side.entropy, am.multiply(side.near, ratio))
    through = am.multiply(share, am.multiply(side.far, turn))
    slope = am.add(side.slope, am.multiply(am.exactly(np.full_like(t, gamma)), through))
    gradient = np.ldexp(am.high(am.multiply_scaled(power, am.multiply(weight, slope), unlift)), -LIFT)
    gradient = np.where(side.rises, gradient, -gradient)

    ratio = where_or_zero(~(certain & side.fixed), ratio, am)
    steady, scale = _steady_target_slope(side, ratio, gamma, weight, weight_slope, am)
    target_gradient = np.ldexp(am.high(am.multiply_scaled(power, steady, unlift)), -scale)
    if clips:
        moving = _clipped_target_slope(side, gamma, weight, am)
        target_gradient = target_gradient + np.where(certain & side.fixed, np.where(side.rises, -moving, moving), 0.0)
    else:
        nothing = (am.high(side.against) == 0) | (am.high(weight) == 0)
        value = np.where(infinite, np.where(nothing, 0.0, np.inf), value)
        target_gradient = np.where(infinite & (target_gradient != 0), np.copysign(np.inf, target_gradient), target_gradient)
        target_gradient = np.where(infinite & nothing & (gamma > 0), 0.0, target_gradient)
    value, gradient, target_gradient = (np.where(undefined, np.nan, part) for part in (value, gradient, target_gradient))
    return value, gradient, target_gradient


class _Side(NamedTuple):
    """A logit x as its size z and the side it speaks for; A is the target mass that it speaks against.

    ``near`` and ``far``, sigmoid(-z) and sigmoid(z), are such that the entropy c = A z + log(1 + exp(-z)) has the slope
    A - sigmoid(-z), away from 0, and Q = A sigmoid(z) + (1 - A) sigmoid(-z) the slope (2 A - 1) sigmoid(z) sigmoid(-z).
    """

    size: Array
    rises: np.ndarray
    against: Number
    near: Number
    """times 2^512."""
    far: Number
    base: Number
    """Q, times 2^512."""
    log_base: Number
    entropy: Number
    """c, times 2^scale."""
    scale: NDArray[np.intp]
    slope: Number
    """A - sigmoid(-z), times 2^512."""
    opposed: Number
    """The derivative of c with respect to A: z."""
    fixed: np.ndarray
    """Where a clip keeps c from falling with Q."""


def _side_of(x: Array, t: Array, am: Arithmetic) -> _Side:
    size, rises = np.abs(x), x > 0
    positive, negative = am.exactly(t), complement(t, am)
    against, along = am.select(rises, negative, positive), am.select(rises, positive, negative)
    small = am.exp_scaled(am.exactly(-np.minimum(size, FAR)), LIFT)
    one = am.exactly(np.ones_like(t))
    one_plus = am.add(one, am.scale(small, -LIFT))
    near, far = am.divide(small, one_plus), am.divide(one, one_plus)
    base = am.divide(am.add(am.scale(against, LIFT), am.multiply(along, small)), one_plus)
    logarithm = log1p_lifted(small, am)
    # A certain target may have a Q that is 0 even times 2^512, but its logarithm is -z.
    log_base = am.negate(am.add(am.exactly(np.minimum(size, _WIDE)), am.scale(logarithm, -LIFT)))
    usable = am.high(against) > 0
    log_base = am.select(usable, log_of_lifted(am.select(usable, base, am.scale(one, LIFT)), am), log_base)
    wide = is_large(size * am.high(against))
    scale = np.where(wide, LOWER, LIFT)
    entropy = am.add(am.multiply_scaled(am.exactly(size), against, scale), where_or_zero(~wide, logarithm, am))
    slope = am.add(am.scale(against, LIFT), am.negate(near))
    return _Side(
        size, rises, against, near, far, base, log_base, entropy, scale, slope, am.exactly(size), np.zeros(t.shape, np.bool_)
    )


def _clipped(side: _Side, t: Array, precision: Precision, am: Arithmetic) -> _Side:
    """Return the side with sigmoid(x) clipped where its logarithm is taken."""
    low, high = clip_bounds(precision)
    far = am.high(side.far)
    outside = np.where(side.rises, far > high, np.ldexp(am.high(side.near), -LIFT) < low)
    logs = binary_logarithms(np.where(side.rises, high, low), "none", precision, am)
    fixed, _ = _entropy(am.exactly(t), complement(t, am), logs.log_here, logs.log_there, am)
    opposed = am.add(logs.log_there, am.negate(logs.log_here))
    opposed = am.select(side.rises, opposed, am.negate(opposed))
    return side._replace(
        entropy=am.select(outside, am.scale(fixed, LIFT), side.entropy),
        scale=np.where(outside, LIFT, side.scale),
        slope=where_or_zero(~outside, side.slope, am),
        opposed=am.select(outside, opposed, side.opposed),
        fixed=outside,
    )


def _ratio(entropy: Number, base: Number, am: Arithmetic) -> Number:
    """Return c / Q of the lifted two, and its limit 1 where Q is 0."""
    usable = am.high(base) > 0
    one = am.exactly(np.full_like(am.high(base), 2.0**LIFT))
    return am.divide(am.select(usable, entropy, one), am.select(usable, base, one))


def _steady_target_slope(
    side: _Side, ratio: Number, gamma: float, weight: Number, weight_slope: Number, am: Arithmetic
) -> tuple[Number, NDArray[np.intp]]:
    """Return w' c + w (dc / dt + gamma c / Q dQ / dt) times 2^scale, and the scale."""
    scale = np.where(side.size >= _WIDE, LOWER, LIFT)
    entropy = am.scale(side.entropy, scale - side.scale)
    wide = side.scale == LOWER
    ratio = am.scale(ratio, scale)
    ratio = am.select(
        wide, am.divide(entropy, am.select(wide, am.scale(side.base, -LIFT), am.exactly(np.ones_like(side.size)))), ratio
    )
    factor, unlift = am.exactly(np.full_like(side.size, gamma)), np.full(scale.shape, -LIFT)
    moving = am.multiply(factor, am.multiply_scaled(ratio, _tilt(side, am), unlift))
    rising = am.multiply(weight, am.add(am.scale(side.opposed, scale), moving))
    rising = am.select(side.rises, am.negate(rising), rising)
    return am.add(am.multiply(weight_slope, entropy), rising), scale


def _tilt(side: _Side, am: Arithmetic) -> Number:
    """Return sigmoid(z) - sigmoid(-z) = tanh(z / 2), times 2^512."""
    series = am.add(am.exactly(np.ldexp(side.size, LIFT - 1)), am.exactly(np.ldexp(-(side.size**3) / 24, LIFT)))
    return am.select(side.size < _SERIES, series, am.add(am.scale(side.far, LIFT), am.negate(side.near)))


def _clipped_target_slope(side: _Side, gamma: float, weight: Number, am: Arithmetic) -> Array:
    """Return w gamma Q^(gamma - 1) c tanh(z / 2), which may overflow: a clipped c does not fall with Q."""
    lift = LIFT if gamma >= 1 else -LIFT
    entropy = am.multiply_scaled(am.multiply(weight, _tilt(side, am)), side.entropy, -LIFT - side.scale)
    power = exp_lifted(side.log_base, gamma - 1, am, lift)
    overflows = ~(am.high(power) < 2.0**900)
    product = am.multiply(
        am.exactly(np.full_like(side.size, gamma)), am.multiply(where_or_zero(~overflows, power, am), entropy)
    )
    return np.where(overflows & (gamma > 0), np.inf, np.ldexp(am.high(product), -lift))
