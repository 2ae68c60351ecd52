r"""Error bounds of focal and generalised cross-entropy over classes.

Notation: t, p, the number n of classes, lp = -log p and Q = 1 - p of each class, T = sum \|t\|, the power g (gamma), u and
v the unit roundoffs of the elements and of the accumulator, lam the smallest normal number, A(w) the additions that count in a
sum (`bounds_rounding.rounding_of_sum`). Products of factors and powers of Q are bounded as in `bounds_focal`: not to first
order.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reference.bounds_focal import Near, focal_powers, is_rounded, scalar, times
from reference.bounds_rounding import EXP_ERROR, EXPM1_ERROR, LOG_ERROR, POWER_ERROR, rounding_of_sum
from reference.bounds_softmax import probability_error, sigma_of, softmax_rows
from reference.doubledouble import Array
from reference.losses import Grade
from reference.precision import Precision
from reference.probability import FLOOR, clip_bounds
from reference.semantics import Semantics


class _Arguments(NamedTuple):
    """What a loss is a function of: as `focal_classes` has it, with the relative error of the argument and of the share."""

    argument: Array
    share: Array
    off: Array
    """(rows, 1): the relative error of the share."""
    sums: Array
    """(rows, 1): what probabilities are divided by, 1 if they are not."""
    inside: NDArray[np.bool_]
    edge: NDArray[np.bool_]
    """Where the share may be on either side of a clip."""
    moved: Array
    """The absolute error that the argument gives to its logarithm."""
    logarithm: Near
    without: Near


def _arguments_of(p: Array, semantics: Semantics, precision: Precision) -> _Arguments:
    u, v, guard = precision.u, precision.v, semantics.log_of_zero
    low, high = clip_bounds(precision)
    clips, added = guard.startswith("clip"), low if guard.endswith("add_1e-7") else 0.0
    sums, off, share = np.ones((len(p), 1)), np.zeros((len(p), 1)), p
    inside, edge = np.ones(p.shape, np.bool_), np.zeros(p.shape, np.bool_)
    if semantics.probability_sum == "renormalised":
        share, sums, off = _normalised(p, u, v)
    if clips:
        inside = (share >= low) & (share <= high)
        edge = (np.abs(share - low) <= (off + u) * low) | (np.abs(share - high) <= (off + u) * high)
    argument = (np.clip(share, low, high) if clips else share) + added
    whole = share
    if semantics.probability_sum == "renormalised_after_guard":
        argument, sums, off = _normalised(argument, u, v)
        whole = share = argument
    elif semantics.focal_base == "guarded" and clips:
        whole = np.clip(share, low, high)
    size = np.abs(np.log(argument))
    if guard == "floor_100":
        inside, edge, size = size < FLOOR, np.abs(size - FLOOR) <= LOG_ERROR * u * FLOOR, np.minimum(size, FLOOR)
    moved = off + (u if added else 0.0)
    logarithm, rest = Near(size, LOG_ERROR * u * size + moved), 1 - whole
    return _Arguments(argument, share, off, sums, inside, edge, moved, logarithm, Near(rest, off * whole + u * rest))


def _normalised(p: Array, u: float, v: float) -> tuple[Array, Array, Array]:
    sums = p.sum(-1)
    off = 2 * u + rounding_of_sum(p, sums, v) / sums
    return p / sums[:, None], sums[:, None], off[:, None]


def _carried_back(
    slope: Near, kept: Near, gradient: Array, parts: _Arguments, semantics: Semantics, precision: Precision
) -> Array:
    """Return the bound of the gradient with respect to the probabilities as given.

    Through a division by P the slopes s_i become (sum s_k q_k - s_i) / P, in which the common sum of what is ``kept`` errs by
    its terms, by v A(s q) and by a few roundings.
    """
    u, bound = precision.u, slope.error + precision.u * np.abs(gradient)
    if semantics.probability_sum != "as_given":
        mean = kept.size.sum(-1)
        common = kept.error.sum(-1) + rounding_of_sum(kept.size, mean, precision.v)
        common = common[:, None] + mean[:, None] * (parts.off + 6 * u)
        bound = (slope.error + slope.size * (parts.off + 3 * u) + common) / parts.sums + u * np.abs(gradient)
        if semantics.probability_sum == "renormalised_after_guard" and semantics.log_of_zero.startswith("clip"):
            bound = np.where(
                parts.inside | parts.edge, bound + np.where(parts.edge, (slope.size + mean[:, None]) / parts.sums, 0.0), 0.0
            )
    return bound + 4 * precision.smallest


def _summed(weight: Array, term: Near, precision: Precision, roundings: int) -> Array:
    r"""Return the bound of sum \|t\| term, each product rounded, T (n + 1) lam included."""
    each = np.where(weight == 0, 0.0, weight * term.size)
    total, error = each.sum(-1), np.where(weight == 0, 0.0, weight * term.error).sum(-1)
    flushed = (1 + weight.sum(-1)) * (weight.shape[-1] + 1) * precision.smallest
    return error + (2 + roundings) * precision.u * total + rounding_of_sum(each, total, precision.v) + flushed


def categorical_focal_bounds(
    probabilities: Array,
    targets: Array,
    gradient: Array,
    alpha: float | None,
    gamma: float,
    semantics: Semantics,
    precision: Precision,
    *,
    roundings: int = 0,
) -> tuple[Array, Array, Array]:
    r"""Return the bounds of the value (rows,), the gradient and the target gradient (rows, n).

    - lp errs by c_l u lp and the error of its argument, as in `bounds_probability.categorical_bounds`; Q by u Q and, of a
      renormalised p, by the error of that
    - each term alpha Q^g lp: the product of its factors, and 2 u for its multiplications; the value: their sum
    - gradient: alpha t (Q^g / p + g Q^(g-1) lp), each term the product of its factors with 5 u and 7 u; carried back through a
      renormalisation
    """
    u, weight = precision.u, np.abs(targets)
    parts = _arguments_of(probabilities, semantics, precision)
    scale = scalar(1.0) if alpha is None else scalar(alpha, u * alpha)
    focal, steep = focal_powers(parts.without, gamma, precision)
    focal = times(scale, focal)
    term = times(focal, parts.logarithm)
    term = Near(term.size, term.error + 2 * u * term.size)
    value = _summed(weight, term, precision, roundings)

    kept = Near(weight * focal.size, weight * (focal.error + focal.size * (parts.off + (5 + roundings) * u)))
    kept = _within_clip(kept, parts)
    through = times(scale, steep, parts.logarithm)
    through = Near(_product(weight, through.size), _product(weight, through.error + (6 + roundings) * u * through.size))
    if semantics.focal_base == "guarded" and semantics.log_of_zero.startswith("clip"):
        through = _within_clip(through, parts)
    slope = Near(_quotient(kept.size, parts.argument) + through.size, _quotient(kept.error, parts.argument) + through.error)
    back = (
        parts.share / np.where(parts.argument > 0, parts.argument, 1.0) if semantics.log_of_zero.endswith("add_1e-7") else 1.0
    )
    kept = Near(
        kept.size * back + _product(parts.share, through.size), kept.error * back + _product(parts.share, through.error)
    )
    return value, _carried_back(slope, kept, gradient, parts, semantics, precision), term.error + 2 * precision.smallest


def _within_clip(slope: Near, parts: _Arguments) -> Near:
    """Return a slope that is exactly 0 outside a clip, and off by the jump where that may be on either side."""
    size, error = np.where(parts.inside, slope.size, 0.0), np.where(parts.inside, slope.error, 0.0)
    return Near(size, error + np.where(parts.edge, slope.size + slope.error, 0.0))


def _jump(slope: Near, edge: NDArray[np.bool_], u: float) -> Array:
    """Return what a slope that may be 0 or not is off by: itself with its error and its roundings."""
    return np.where(edge, (1 + 8 * u) * (slope.size + slope.error), 0.0)


def _product(weight: Array, term: Array) -> Array:
    """Return weight * term, with 0 * inf = 0."""
    return np.where(weight == 0, 0.0, weight * term)


def _quotient(weight: Array, p: Array) -> Array:
    """Return weight / p, with 0 / 0 = 0."""
    return np.where(weight == 0, 0.0, weight / p)


def generalized_bounds(
    probabilities: Array,
    targets: Array,
    gradient: Array,
    q: float,
    grade: Grade,
    semantics: Semantics,
    precision: Precision,
    *,
    roundings: int = 0,
) -> tuple[Array, Array, Array]:
    r"""Return the bounds of the value (rows,), the gradient and the target gradient (rows, n).

    - power, (1 - p^q) / q: p^q errs by c_pow u and the relative error of p, as an absolute error of (1 - p^q): u [c_pow
      p^q + 3 (1 - p^q)] / q
    - expm1, -expm1(q log p) / q: u (c_l + c_x + 3) of itself, c_x the error of expm1
    - gradient t p^(q-1): u (c_pow + 4), and u \|log p\| where the dtype has to round q - 1; as much in p^q where it rounds q
    """
    u, weight = precision.u, np.abs(targets)
    parts = _arguments_of(probabilities, semantics, precision)
    size, off = parts.logarithm.size, parts.moved
    length = np.where(np.isfinite(size), size, 0.0)
    far, steeper = ((length if is_rounded(q, less, precision) else 0.0 * length) for less in (0, 1))
    root = np.exp(-q * size)
    lost = -np.expm1(-q * size) / q
    if grade.value == "power":
        error = root * (POWER_ERROR * u / q + off + u * far) + 3 * u * lost
    else:
        error = (LOG_ERROR + EXPM1_ERROR + 3) * u * lost + root * off
    term = Near(lost, error + (2 * u * lost if is_rounded(q, 0, precision) else 0.0))
    steep = _product(weight, np.exp((1 - q) * size))
    slope = _within_clip(Near(steep, steep * (u * (POWER_ERROR + 4 + roundings + steeper) + off)), parts)
    kept = Near(_product(slope.size, parts.share), _product(slope.error, parts.share))
    value = _summed(weight, term, precision, roundings)
    bound = _carried_back(slope, kept, gradient, parts, semantics, precision)
    return value, bound, term.error + 2 * precision.smallest


def softmax_focal_bounds(
    logits: Array,
    targets: Array,
    gradient: Array,
    alpha: float | None,
    gamma: float,
    grade: Grade,
    semantics: Semantics,
    precision: Precision,
    *,
    roundings: int = 0,
) -> tuple[Array, Array, Array]:
    r"""Return the bounds of the value (rows,), the gradient and the target gradient (rows, n).

    With l_i = -log p_i, its errors and those of p_i by form as in `bounds_softmax`:

    - Q = 1 - p errs by the error of p and u Q; the log1p form is -expm1(-l), of p times the error of l and c_x u Q
    - the value: each term alpha Q^g l the product of its factors
    - gradient s_i - p_i sum s_k, s_k = alpha t_k (Q^g + g Q^(g-1) p l): the errors of the s, p_i times the sum of theirs and
      v A(s), and four roundings of each; what log_softmax and the softmax of automatic differentiation do. The difference
      at the label is not relative to 1 - p
    - the log_quotient form: u (c_e + 2 + c_l l) more in l, and five roundings more of each s

    Where ``semantics.log_of_zero`` clips p, l is that of the clipped p with the error of p, and where p may be on either side
    the slope is off by the jump.
    """
    u, weight, n = precision.u, np.abs(targets), targets.shape[-1]
    rows, quotient = softmax_rows(logits, precision), grade.value == "log_quotient"
    size = 4.0 * rows.quarter_distance + rows.log_total[:, None]
    error = 4.0 * u * rows.quarter_distance + u * size + (sigma_of(rows, grade.value) + (n + 1) * precision.smallest)[:, None]
    if quotient:
        error = error + u * (EXP_ERROR + 2) + LOG_ERROR * u * size
    of_p = probability_error(rows, grade.gradient, precision)
    pivot = rows.quarter_distance == 0
    rest = np.where(pivot, np.maximum(-np.expm1(-rows.log_total)[:, None], 0.0), 1 - rows.p)
    without = Near(rest, _product(rows.p, error) + EXPM1_ERROR * u * rest if grade.value == "log1p" else of_p + u * rest)
    logarithm, inside, edge = Near(size, error), np.ones(size.shape, np.bool_), np.zeros(size.shape, np.bool_)
    base, moves = without, inside
    if semantics.log_of_zero.startswith("clip"):
        low, high = clip_bounds(precision)
        p = np.clip(rows.p, low, high)
        inside, slack = p == rows.p, of_p + 3 * u * rows.p
        edge = (np.abs(rows.p - low) <= slack) | (np.abs(rows.p - high) <= slack)
        logarithm = Near(-np.log(p), LOG_ERROR * u * -np.log(p) + np.where(inside | edge, slack / p, 0.0))
        if semantics.focal_base == "guarded":
            base, moves = Near(np.where(inside, rest, 1 - p), np.where(inside | edge, without.error + 3 * u, u)), inside
    scale = scalar(1.0) if alpha is None else scalar(alpha, u * alpha)
    focal, steep = focal_powers(base, gamma, precision)
    focal = times(scale, focal)
    term = times(focal, logarithm)
    term = Near(term.size, term.error + 2 * u * term.size)
    value = _summed(weight, term, precision, roundings)

    # Beyond 1e6 p is 0, and l may overflow.
    steep = times(scale, steep, Near(np.minimum(logarithm.size, 1e6), np.minimum(logarithm.error, 1e6)), Near(rows.p, of_p))
    own = Near(np.where(inside, focal.size, 0.0), np.where(inside, focal.error, 0.0) + _jump(focal, edge, u))
    jump = _jump(steep, edge, u) if moves is inside and edge.any() else 0.0
    steep = Near(np.where(moves, steep.size, 0.0), np.where(moves, steep.error, 0.0) + jump)
    slope = weight * (own.size + steep.size)
    each = weight * (own.error + steep.error + u * (4 * own.size + 7 * steep.size)) + roundings * u * slope
    each = each + (5 * u * slope if quotient else 0.0)
    total = slope.sum(-1)
    common = each.sum(-1) + rounding_of_sum(slope, total, precision.v) + u * total
    bound = (
        each
        + times(Near(rows.p, of_p), Near(total[:, None], common[:, None])).error
        + 2 * u * (slope + rows.p * total[:, None])
    )
    return (
        value,
        bound + u * np.abs(gradient) + (2 * precision.smallest * (1 + total))[:, None],
        term.error + 2 * precision.smallest,
    )
