r"""Error bounds of focal cross-entropy of independent outcomes, on probabilities and on logits.

Notation: the loss w Q^g c of `reference.focal`, with the entropy c, Q = 1 - p_t and the power g (gamma), u the unit roundoff,
lam the smallest normal number.

The bound of a product of factors x_k, each with the error e_k, is the product of (\|x_k\| + e_k) less that of \|x_k\|, and a
power of Q is bounded by its values at Q + dQ and Q - dQ. Neither is of first order: where Q is below u a slope of Q^g
means nothing, and for g < 1 it has no bound.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from reference import plain
from reference.bounds_probability import binary_bounds
from reference.bounds_rounding import EXP_ERROR, LOG1P_ERROR, LOG_ERROR, POWER_ERROR
from reference.bounds_sigmoid import sigmoid_bounds
from reference.doubledouble import Array
from reference.losses import Grade
from reference.precision import Precision
from reference.probability import FLOOR, binary_cross_entropy, clip_bounds
from reference.semantics import Semantics
from reference.sigmoid import sigmoid_cross_entropy

LARGE = 2.0**1000
"""An entropy or a slope beyond it counts as that much where it is multiplied: an implementation overflows there."""


class Near(NamedTuple):
    """A number of a known size, not negative, and the error with which it is computed."""

    size: Array
    error: Array


def scalar(size: float, error: float = 0.0) -> Near:
    """Return one number for all."""
    return Near(np.asarray(size, np.float64), np.asarray(error, np.float64))


def times(*factors: Near) -> Near:
    """Return the product of numbers that err each on its own."""
    size, error = factors[0]
    for other in factors[1:]:
        error = np.where(error == 0, 0.0, error * (other.size + other.error)) + np.where(size == 0, 0.0, size * other.error)
        size = product(size, other.size)
    return Near(size, error)


def product(a: Array, b: Array) -> Array:
    """Return a b, and 0 where either is 0, whatever the other is."""
    return np.where((a == 0) | (b == 0), 0.0, a * b)


def _capped(size: Array, error: Array) -> Near:
    return Near(np.minimum(size, LARGE), np.minimum(error, LARGE))


def is_rounded(value: float, less: int, precision: Precision) -> bool:
    """Tell whether a dtype has to round a number, or what is left of it when ``less`` is taken away."""
    kind = np.dtype(precision.name).type
    return Fraction(value) - less != Fraction(float(kind(value) - kind(less)))


def power(base: Near, exponent: float, precision: Precision, *, inexact: bool = False) -> Near:
    r"""Return base^exponent: max(hi^g - Q^g, Q^g - lo^g) with hi, lo = Q +- dQ, and c_pow u hi^g + lam.

    An exponent that the dtype has to round, ``inexact``, costs u g \|log Q\| more.

    A negative power of a number that may come out as 0 is bounded as far as it does not: what one minus a number below 1
    leaves is 0 or at least u. A size of 0 then stands for the limit of what the power is multiplied with.
    """
    size, error = np.asarray(base.size), np.asarray(base.error)
    if exponent == 0:
        return Near(np.ones_like(size), np.zeros_like(size))
    known = np.where(size > 0, size, 1.0)
    exact, ratio = known**exponent, np.minimum(error / known, 1.0)
    least = np.log1p(-ratio)
    if exponent < 0:
        least = np.maximum(least, np.log(precision.u / known))
    up = np.where(error <= known, exact * np.expm1(exponent * np.log1p(ratio)), (known + error) ** exponent - exact)
    down = exact * np.expm1(exponent * least)
    moved = np.maximum(np.abs(up), np.maximum(down, 0.0) if exponent < 0 else np.abs(down))
    at_zero = np.maximum(error, precision.u) ** exponent if exponent < 0 else error**exponent
    moved = np.where(size > 0, moved, np.where((error > 0) | (exponent < 0), at_zero, 0.0))
    exact = np.where(size > 0, exact, 0.0)
    rounded = np.abs(exponent * np.log(known)) if inexact else 0.0
    return Near(exact, moved + precision.u * (POWER_ERROR + rounded) * (exact + moved) + precision.smallest)


def outcome_weight(t: Array, alpha: float | None, semantics: Semantics, precision: Precision) -> tuple[Near, Near]:
    """Return what alpha makes of each outcome and its derivative with respect to the target, as they are computed.

    alpha and 1 - alpha are rounded once, their products once more where the target is soft, and 1 - t and the sum.
    """
    u = precision.u
    if alpha is None:
        return Near(np.ones_like(t), np.zeros_like(t)), Near(np.zeros_like(t), np.zeros_like(t))
    if semantics.focal_alpha == "uniform":
        return Near(np.full_like(t, alpha), np.full_like(t, u * alpha)), Near(np.zeros_like(t), np.zeros_like(t))
    soft = np.where((t == 0) | (t == 1), 0.0, 1.0)
    here, there = alpha * np.abs(t), (1 - alpha) * np.abs(1 - t)
    error = u * ((1 + soft) * here + (2 + 2 * soft) * there + soft * (here + there))
    slope = abs(2 * alpha - 1)
    return Near(here + there, error), Near(np.full_like(t, slope), np.full_like(t, u * (alpha + 2 * (1 - alpha) + slope)))


class _Factors(NamedTuple):
    """What the bounds of value and gradients are made of; derivatives are with respect to the prediction."""

    weight: Near
    weight_slope: Near
    power: Near
    entropy: Near
    entropy_slope: Near
    entropy_pieces: Array
    """The sum of the sizes of the terms of that derivative, which are multiplied apart."""
    through: Near
    """gamma Q^(gamma - 1) c dQ / d prediction."""
    opposed: Near
    """dc / dt."""
    tilted: Near
    """gamma Q^(gamma - 1) c dQ / dt."""


def _bounds_of(parts: _Factors, value: Array, gradient: Array, precision: Precision) -> tuple[Array, Array, Array]:
    """Return the bounds: of each product of factors, of the roundings of its multiplications, and of the sums."""
    u, flushed = precision.u, 4 * precision.smallest
    weighed = times(parts.weight, parts.power)
    of_value = times(weighed, parts.entropy)
    value_bound = of_value.error + 2 * u * np.abs(value) + flushed

    own, through = times(weighed, parts.entropy_slope), times(parts.weight, parts.through)
    pieces = product(weighed.size, parts.entropy_pieces)
    gradient_bound = own.error + through.error + 2 * u * pieces + 5 * u * through.size + u * np.abs(gradient)
    gradient_bound = gradient_bound + flushed * (1 + parts.entropy_pieces)

    steady, moved = times(parts.weight_slope, parts.power, parts.entropy), times(weighed, parts.opposed)
    tilted = times(parts.weight, parts.tilted)
    target_bound = steady.error + moved.error + tilted.error + 4 * u * steady.size + 4 * u * moved.size + 7 * u * tilted.size
    return value_bound, gradient_bound, target_bound + flushed


def binary_focal_bounds(
    probabilities: Array,
    targets: Array,
    value: Array,
    gradient: Array,
    alpha: float | None,
    gamma: float,
    grade: Grade,
    semantics: Semantics,
    precision: Precision,
    *,
    roundings: int = 0,
) -> tuple[Array, Array, Array]:
    r"""Return the bounds of the value, the gradient and the target gradient, elementwise.

    c and its derivatives err as `bounds_probability.binary_bounds` has it under the forms of the grade; "sum" is "log1p" with
    Q = t (1 - p) + (1 - t) p computed as such, 4 u Q. The other forms subtract p_t = t p + (1 - t) (1 - p) from one:
    dQ = u [t p + (3 of soft targets, else 1) (1 - t) (1 - p) + p_t + Q], where a product with t of 0 or 1 is exact and
    so is its sum. The derivative of p_t with respect to p is the difference of 1 - t and t, with two roundings of each, and
    so is that with respect to t.
    """
    u, p, guard = precision.u, probabilities, semantics.log_of_zero
    form = Grade("log1p" if grade.value == "sum" else grade.value, grade.gradient)
    entropy, slope, opposed = binary_cross_entropy(p, targets, semantics, precision, plain)
    errors = binary_bounds(p, targets, entropy, slope, form, semantics, precision, roundings=roundings)
    low, high = clip_bounds(precision)
    outside = (p < low) | (p > high) if guard.startswith("clip") else np.zeros(p.shape, np.bool_)
    guarded_base = semantics.focal_base == "guarded" and guard.startswith("clip")
    chance = np.clip(p, low, high) if guarded_base else p
    pieces = np.abs(slope)
    if form.gradient == "separate" and semantics.gradient_at_guard == "exact":
        added = low if guard.endswith("add_1e-7") else 0.0
        falling, rising = np.clip(p, low, high) if guard.startswith("clip") else p, 1 - p
        pieces = np.where(targets == 0, 0.0, targets / (falling + added)) + np.where(
            targets == 1, 0.0, (1 - targets) / (rising + added)
        )
        if guard == "floor_100":
            outside = np.where(targets > 0.5, -np.log(p), -np.log1p(-p)) >= FLOOR
        pieces = np.where(outside, 0.0, pieces)
    base = _base_of_probability(chance, targets, grade.value, precision, roundings)
    turn = Near(np.abs(1 - 2 * targets), (2 + roundings) * u * np.where((targets == 0) | (targets == 1), 0.0, 1.0))
    if guarded_base:
        edge = (np.abs(p - low) <= u * low) | (np.abs(p - high) <= u * high)
        turn = Near(np.where(outside, 0.0, turn.size), np.where(edge, 1.0, np.where(outside, 0.0, turn.error)))
    weight, weight_slope = outcome_weight(targets, alpha, semantics, precision)
    focal, steep = focal_powers(base, gamma, precision)
    steep = times(steep, Near(entropy, errors[0]))
    factors = _Factors(
        weight,
        weight_slope,
        focal,
        Near(entropy, errors[0]),
        _capped(np.abs(slope), errors[1]),
        np.minimum(pieces, LARGE),
        times(steep, turn),
        Near(np.abs(opposed), errors[2]),
        times(steep, Near(np.abs(1 - 2 * chance), np.full_like(p, 2 * u))),
    )
    return _bounds_of(factors, value, gradient, precision)


def focal_powers(base: Near, gamma: float, precision: Precision) -> tuple[Near, Near]:
    """Return Q^gamma and gamma Q^(gamma - 1)."""
    whole = power(base, gamma, precision, inexact=is_rounded(gamma, 0, precision))
    if gamma == 0:
        return whole, Near(np.zeros_like(base.size), np.zeros_like(base.size))
    slope = power(base, gamma - 1, precision, inexact=is_rounded(gamma, 1, precision))
    return whole, times(scalar(gamma, precision.u * gamma), slope)


def _base_of_probability(p: Array, t: Array, form: str, precision: Precision, roundings: int) -> Near:
    u, q, rest = precision.u, 1 - p, 1 - t
    base = t * q + rest * p
    if form == "sum":
        return Near(base, u * (4 * base + roundings * t))
    soft = np.where((t == 0) | (t == 1), 0.0, 1.0)
    error = u * (soft * t * p + (1 + 2 * soft) * np.abs(rest) * q + soft * (t * p + rest * q) + base)
    return Near(base, error + roundings * u * t)


def sigmoid_focal_bounds(
    logits: Array,
    targets: Array,
    value: Array,
    gradient: Array,
    alpha: float | None,
    gamma: float,
    grade: Grade,
    semantics: Semantics,
    precision: Precision,
    *,
    roundings: int = 0,
) -> tuple[Array, Array, Array]:
    r"""Return the bounds of the value, the gradient and the target gradient, elementwise.

    c and its derivatives err as `bounds_sigmoid.sigmoid_bounds` has it under the forms of the grade, those of "log_space" as
    under "pair" and "lse". p = sigmoid(x) errs by (c_e + 3) u p.

    - split, fold, pair: Q = 1 - p_t, dQ = \|1 - 2 t\| (c_e + 3) u p and the roundings of `binary_focal_bounds`. The derivative
      p (1 - p) errs by u p (c_e + 3 + 2 (1 - p)): the error of p is not small beside 1 - p. Where 1 - p is below u / 8, p comes
      out as 1, and 1 - p is the error of both.
    - log_space: Q^g = exp(g log Q), log Q = log(t e^(log q) + (1 - t) e^(log p)) with log p = -log(1 + e^-x), relative to
      the larger. With l1 = log(1 + e^-\|x\|) and the shares s_1 = (1 - t) p / Q and s_2 = t q / Q, log Q errs by
      d = u [sum s_i (\|log p_i\| + (c_1 + c_e) l1)], and where both shares count by
      u [(\|x\| + c_e) min(s_1, s_2) + 3 + c_l \|log Q + l1\| + \|log Q\|] more; Q^g by the factor exp(g (d + u \|log Q\|)) and
      c_e u. The derivative s_1 q - s_2 p errs by u (s_1 q + s_2 p) [\|x\| + (2 + c_1 + c_e) l1 + c_e + 6], and \|x\| + c_e + 4
      more where both count.

    Where ``semantics.log_of_zero`` clips p, c is that of `binary_focal_bounds` with p as it errs, u (c_e + 3) (t + (1 - t)
    p / (1 - p)) more in c, and wherever p may be at either side of the clip the derivative is off by the jump.
    """
    u, soft = precision.u, np.where((targets == 0) | (targets == 1), 0.0, 1.0)
    finite = np.where(np.isfinite(logits), logits, np.where(np.isnan(logits), 0.0, np.copysign(1e6, logits)))
    size = np.minimum(np.abs(finite), 1e6)  # farther out every exponential is 0
    small = np.exp(-size)
    l1, near, far = np.log1p(small), small / (1 + small), 1 / (1 + small)
    rises = finite > 0
    p, q = np.where(rises, far, near), np.where(rises, near, far)
    base = np.abs(targets) * q + np.abs(1 - targets) * p
    in_logs = grade.value == "log_space", grade.gradient == "log_space"
    form = Grade("pair" if in_logs[0] else grade.value, "lse" if in_logs[1] else grade.gradient)
    entropy, slope, opposed = sigmoid_cross_entropy(finite, targets, plain)
    errors = sigmoid_bounds(finite, targets, entropy, slope, form, precision, roundings=roundings)
    pieces = np.abs(targets) * q + np.abs(1 - targets) * p if form.gradient in ("pair", "lse") else np.abs(slope)
    parts = [Near(entropy, errors[0]), Near(np.abs(slope), errors[1]), Near(np.abs(opposed), errors[2])]
    if semantics.log_of_zero.startswith("clip"):
        parts = _clipped_parts(p, q, targets, precision, roundings)
        pieces = parts[1].size

    certain = q < u / 8  # there p comes out as 1
    of_p = np.where(certain, q, (EXP_ERROR + 3) * u * p)
    of_spread = np.where(certain, q, u * p * (EXP_ERROR + 3 + 2 * q))
    subtracted = _base_of_probability(p, targets, "log", precision, roundings)
    subtracted = Near(base, subtracted.error + np.abs(1 - 2 * targets) * of_p)
    if any(in_logs):
        first, log_base, logs = _log_space(finite, targets, p, q, l1, base, precision, roundings)
        in_log_space = _powers_in_logs(log_base, logs, gamma, precision)
    if not all(in_logs):
        powers, steep = focal_powers(subtracted, gamma, precision)
    powers = in_log_space if in_logs[0] else powers
    weight, weight_slope = outcome_weight(targets, alpha, semantics, precision)
    capped = _capped(*parts[0])
    if in_logs[1]:
        lost = base < precision.smallest  # there c / Q is 1, and c may have been flushed to zero
        known = np.where(lost, 1.0, base)
        ratio = Near(np.where(lost, 1.0, capped.size / known), np.where(lost, 1.0, capped.error / known))
        focal = times(scalar(gamma, u * gamma), in_log_space)
        slack = size + (2 + LOG1P_ERROR + EXP_ERROR) * l1 + EXP_ERROR + 6 + soft * (size + EXP_ERROR + 4)
        turn = Near(np.abs(first * q - (1 - first) * p), u * (first * q + (1 - first) * p) * slack)
        through, tilted = times(focal, capped, turn), times(focal, ratio, Near(np.abs(1 - 2 * p), u * slack + logs))
    else:
        steep = times(steep, capped)
        signs = Near(np.abs(1 - 2 * targets), (2 + roundings) * u * soft)
        through = times(steep, signs, Near(p * q, of_spread))
        tilted = times(steep, Near(np.abs(1 - 2 * p), 2 * u + 2 * of_p))
    factors = _Factors(weight, weight_slope, powers, parts[0], parts[1], pieces, through, parts[2], tilted)
    return _bounds_of(factors, value, gradient, precision)


def _log_space(
    x: Array, t: Array, p: Array, q: Array, l1: Array, base: Array, precision: Precision, roundings: int
) -> tuple[Array, Array, Array]:
    """Return the share s_1, log Q, and its error as the logarithm of a sum of exponentials."""
    size, u = np.minimum(np.abs(x), 1e6), precision.u
    soft = np.where((t == 0) | (t == 1), 0.0, 1.0)
    known = np.where(base > 0, base, 1.0)
    first = np.where(base > 0, np.abs(1 - t) * p / known, np.where(t == 0, 1.0, 0.0))
    second = 1 - first
    log_p, log_q = np.where(x < 0, size, 0.0) + l1, np.where(x > 0, size, 0.0) + l1
    logarithm = LOG1P_ERROR + EXP_ERROR
    error = first * (log_p + logarithm * l1) + second * (log_q + logarithm * l1)
    log_base = np.where(base > 0, np.log(known), -size)
    both = (size + EXP_ERROR) * np.minimum(first, second) + 3 + LOG_ERROR * np.abs(log_base + l1) + np.abs(log_base)
    return first, log_base, u * (error + soft * both + roundings * np.where(soft > 0, t / known, 0.0))


def _powers_in_logs(log_base: Array, error: Array, gamma: float, precision: Precision) -> Near:
    """Return exp(g log Q), whose logarithm has the error given."""
    u, size = precision.u, np.exp(gamma * log_base)
    moved = np.expm1(np.minimum(gamma * (error + u * np.abs(log_base)), 1.0))
    return Near(size, size * (moved + EXP_ERROR * u * (1 + moved)) + precision.smallest)


def _clipped_parts(p: Array, q: Array, t: Array, precision: Precision, roundings: int) -> list[Near]:
    """Return the entropy of the clipped sigmoid(x), and its derivatives with respect to logit and target."""
    u, (low, high) = precision.u, clip_bounds(precision)
    clips = Semantics(log_of_zero="clip_1e-7")
    entropy, slope, opposed = binary_cross_entropy(p, t, clips, precision, plain)
    errors = binary_bounds(p, t, entropy, slope, Grade("log", "separate"), clips, precision, roundings=roundings)
    off = (EXP_ERROR + 3) * u
    rest = np.maximum(q, 1 - high)
    edge = (np.abs(p - low) <= (off + u) * low) | (np.abs(q - (1 - high)) <= off + u)
    value = errors[0] + np.where((p < low) & ~edge | (q < 1 - high) & ~edge, 0.0, off * (t + np.abs(1 - t) * p / rest))
    own = np.where((p < low) | (p > high), 0.0, np.abs(p - t))
    jump = np.where(edge, t * q + np.abs(1 - t) * p, 0.0)
    inside = np.where(own > 0, u * (t * (EXP_ERROR + 3 + 8 * q) + 8 * np.abs(1 - t) * p), 0.0)
    both = errors[2] + off * (1 + p / rest)
    return [Near(entropy, value), Near(own, jump + inside), Near(np.abs(opposed), both)]
