"""Textbook compositions in executable form: what a logarithm may return of a probability that was rounded to the dtype first.

The probability is known to a few roundings, so what follows from it is a range of numbers, with an infinity or NaN beside it
where the probability may have become 0 or 1, and nothing but those where it has: as wide as the composition itself is vague.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from conformance.judging import Judgement
from conformance.trial import Trial
from reference.bounds_rounding import EXP_ERROR, LOG_ERROR
from reference.bounds_softmax import probability_error, softmax_rows
from reference.options import one_hot_targets
from reference.precision import PRECISIONS, Precision
from reference.probability import FLOOR, SMALLEST_DENOMINATOR, clip_bounds

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

ROUNDINGS = 8
"""At least the products, quotients and differences of any of the formulas below."""


@dataclass(frozen=True)
class Range:
    """What each number may be: from ``low`` to ``high`` (none if low > high), +inf if ``up``, -inf if ``down``, or ``nan``."""

    low: Array
    high: Array
    nan: Mask
    up: Mask
    down: Mask

    def holds(self, got: Array) -> Mask:
        """Tell which numbers are within."""
        special = (np.isnan(got) & self.nan) | (np.isposinf(got) & self.up) | (np.isneginf(got) & self.down)
        return special | (np.isfinite(got) & (got >= self.low) & (got <= self.high))

    def only_nan(self, where: Mask) -> "Range":
        """Return the range with NaN alone left in some places."""
        low, high = np.where(where, np.inf, self.low), np.where(where, -np.inf, self.high)
        return Range(low, high, self.nan | where, self.up & ~where, self.down & ~where)

    def sum(self, precision: Precision) -> "Range":
        """Return the range of the sum over the last axis."""
        empty = self.low > self.high
        low, high = np.where(empty, 0.0, self.low), np.where(empty, 0.0, self.high)
        slack = self.low.shape[-1] * precision.u * np.maximum(np.abs(low), np.abs(high)).sum(-1)
        nothing, up, down, nan = (np.asarray(mask.any(-1)) for mask in (empty, self.up, self.down, self.nan))
        whole = Range(
            np.where(nothing, np.inf, low.sum(-1) - slack),
            np.where(nothing, -np.inf, high.sum(-1) + slack),
            nan | (up & down),
            up,
            down,
        )
        return whole.only_nan(np.asarray((empty & ~self.up & ~self.down).any(-1)))

    def times(self, factor: ArrayLike) -> "Range":
        """Return the range of the product with a factor that is not 0."""
        factor = np.asarray(factor)
        one, other = self.low * factor, self.high * factor
        turned = factor < 0
        up, down = np.where(turned, self.down, self.up), np.where(turned, self.up, self.down)
        return Range(np.where(turned, other, one), np.where(turned, one, other), self.nan, up, down)


@dataclass(frozen=True)
class Rounded:
    """A probability as the dtype may hold it: from ``low`` to ``high``, 0 where it ``vanishes``, surely where ``vanished``."""

    low: Array
    high: Array
    vanishes: Mask
    vanished: Mask


def _range(low: Array, high: Array, *, nan: ArrayLike = False, up: ArrayLike = False, down: ArrayLike = False) -> Range:
    masks = (np.broadcast_to(np.asarray(mask, bool), low.shape) for mask in (nan, up, down))
    return Range(low, high, *masks)


def composed(name: str, trial: Trial, judgement: Judgement) -> Mask:
    """Tell which violating rows of a judgement hold what a composition of `COMPOSITIONS` computes of what was asked."""
    call, got, holds = judgement.call, judgement.got, np.zeros(judgement.ratio.size, bool)
    asked = judgement.quantity.partition(" for ")[0]  # "value for uint8 labels"
    quantity = "gradient" if asked == "sum of the gradient" else asked
    if isinstance(got, str) or call.reduction != "none" or quantity not in ("value", "gradient", "target gradient"):
        return holds
    if got.ndim == 0 or not len(got) == len(call.prediction) == holds.size:
        return holds
    rows = judgement.violating
    precision, x = PRECISIONS[trial.precision], call.prediction[rows].astype(np.float64)
    target, got = call.target[rows], got[rows]
    cotangent = None if call.cotangent is None else call.cotangent[rows]
    with np.errstate(all="ignore"):
        target = target[:, 0] if target.dtype.kind in "iu" and target.ndim == x.ndim else target
        found = COMPOSITIONS[name](x, target, quantity, precision)
        if trial.semantics.loss_shape == "row_mean":
            found = (found.sum(precision) if quantity == "value" else found).times(1 / x.shape[-1])
        if cotangent is not None:
            found = found.times(cotangent[..., None] if cotangent.ndim < x.ndim else cotangent)
        if asked != quantity:
            found = found.sum(precision)
        if found.low.shape == got.shape:
            holds[rows] = found.holds(got).reshape(len(got), -1).all(-1)
        return holds


def _rounded(p: Array, error: Array, precision: Precision) -> Rounded:
    """Return a probability with its absolute error; below the smallest normal number it is a multiple of the smallest, or 0."""
    least = float(np.finfo(precision.name).smallest_subnormal)
    low, high = p - error - 2 * least, p + error + 2 * least
    return Rounded(np.maximum(low, least), np.maximum(high, least), low < precision.smallest, p + error < 0.5 * least)


def _log(a: Rounded, precision: Precision) -> Range:
    """Return the range of -log a: +inf where a is 0."""
    low, high = -np.log(a.high), -np.log(a.low)
    slack = (LOG_ERROR + 2) * precision.u
    low, high = low - slack * np.abs(low), high + slack * np.abs(high)
    return _range(np.where(a.vanished, np.inf, low), np.where(a.vanished, -np.inf, high), up=a.vanishes)


def _weighted(weight: Array, log: Range, a: Rounded) -> Range:
    """Return the range of weight * -log a, in which 0 * inf is NaN."""
    nothing = weight == 0
    low, high = np.where(nothing, 0.0, weight * log.low), np.where(nothing, 0.0, weight * log.high)
    return _range(low, high, nan=nothing & a.vanishes, up=log.up & ~nothing).only_nan(nothing & a.vanished)


def _stack(*ranges: Range) -> Range:
    """Return the ranges side by side on a new last axis."""
    return Range(*(np.stack([getattr(r, name) for r in ranges], -1) for name in ("low", "high", "nan", "up", "down")))


# Sigmoid: p and q = 1 - p, elementwise.


def _outcomes(x: Array, precision: Precision) -> tuple[Rounded, Rounded]:
    """Return sigmoid(x) as the dtype may hold it, and one minus that.

    1 / (1 + exp(-x)) is off by u p (c_e (1 - p) + 3), counted twice because what is computed here is rounded as well. Its
    complement is rounded once more, here and there; it is a multiple of u, and 0 where it is below u / 4.
    """
    u = precision.u
    small = np.exp(-np.abs(x))
    near, far = small / (1 + small), 1 / (1 + small)
    p, q = np.where(x >= 0, far, near), np.where(x >= 0, near, far)
    error = 2 * u * p * (EXP_ERROR * q + 3)
    low, high, none = q - error - 3 * u * q, q + error + 3 * u * q, q < u / 4
    there = Rounded(np.where(none, 0.0, np.maximum(low, u)), np.where(none, 0.0, np.maximum(high, u)), low < u, none)
    return _rounded(p, error, precision), there


def _log_of_sigmoid(x: Array, targets: NDArray, quantity: str, precision: Precision) -> Range:
    """-t log p - (1 - t) log(1 - p), p = sigmoid(x): NaN and infinities where p or 1 - p is 0."""
    t = targets.astype(np.float64)
    here, there = _outcomes(x, precision)
    if quantity == "gradient":
        return _slope(here, there, t, precision.u)
    logs = _log(here, precision), _log(there, precision)
    if quantity == "target gradient":
        return _stack(logs[0], logs[1].times(-1)).sum(precision)
    return _stack(_weighted(t, logs[0], here), _weighted(1 - t, logs[1], there)).sum(precision)


def _slope(here: Rounded, there: Rounded, t: Array, u: float) -> Range:
    """Return the range of (-t / p + (1 - t) / q) p q: NaN where p or q is 0, 0 where p q is, -inf where t / p overflows."""
    low, high = (1 - t) * here.low - t * there.high, (1 - t) * here.high - t * there.low
    low, high = np.where(here.vanishes, np.minimum(low, 0), low), np.where(here.vanishes, np.maximum(high, 0), high)
    slack = ROUNDINGS * u * ((1 - t) * here.high + t * there.high)
    nan, overflows = here.vanishes | there.vanishes, here.vanishes & (t > 0)
    return _range(low - slack, high + slack, nan=nan, down=overflows).only_nan(here.vanished | there.vanished)


def _floored_log_of_sigmoid(x: Array, targets: NDArray, quantity: str, precision: Precision) -> Range:
    """The same with max(log p, -100), max(log1p(-p), -100), and the gradient (p - t) / max(p (1 - p), 1e-12) in p."""
    t = targets.astype(np.float64)
    here, there = _outcomes(x, precision)
    if quantity == "gradient":
        return _floored_slope(here, there, t, precision)
    if quantity == "target gradient":
        return _log_of_sigmoid(x, targets, quantity, precision)
    terms = []
    for weight, a in ((t, here), (1 - t, there)):
        log = _log(replace(a, vanished=np.zeros(x.shape, bool)), precision)
        low, high = np.where(a.vanished, FLOOR, log.low), np.where(a.vanishes, FLOOR, log.high)
        terms.append(_range(weight * np.minimum(low, FLOOR), weight * np.minimum(high, FLOOR)))
    return _stack(*terms).sum(precision)


def _floored_slope(here: Rounded, there: Rounded, t: Array, precision: Precision) -> Range:
    """Return the range of (p - t) p q / max(p q, 1e-12)."""
    least = np.where(here.vanishes | there.vanishes, 0.0, here.low * there.low)
    shares = [np.minimum(1.0, spread / SMALLEST_DENOMINATOR) for spread in (least, here.high * there.high)]
    ends = np.stack([(p - t) * share for p in (here.low, here.high) for share in shares])
    slack = ROUNDINGS * precision.u * np.abs(ends).max(0) + 2 * precision.smallest
    return _range(ends.min(0) - slack, ends.max(0) + slack)


def _clipped_log_of_sigmoid(x: Array, targets: NDArray, quantity: str, precision: Precision) -> Range:
    """The same with p clipped to [1e-7, 1 - 1e-7] before the logarithms, and no gradient outside."""
    t = targets.astype(np.float64)
    here, there = _outcomes(x, precision)
    first, last = clip_bounds(precision)
    never = np.zeros(x.shape, bool)
    p = Rounded(np.clip(here.low, first, last), np.clip(here.high, first, last), never, never)
    low, high = (np.clip(end, 1 - last, 1 - first) for end in (there.low, there.high))
    rounding = 2 * precision.u  # of 1 - p, which others than log1p(-p) have, here and there
    q = Rounded(low * (1 - rounding), high * (1 + rounding), never, never)
    if quantity == "gradient":
        slope = _slope(p, q, t, precision.u)
        perhaps = (here.low < first) | (there.low < 1 - last)
        surely = (here.high < first) | (there.high < 1 - last)
        low, high = (
            np.where(perhaps, np.minimum(slope.low, 0), slope.low),
            np.where(perhaps, np.maximum(slope.high, 0), slope.high),
        )
        return _range(np.where(surely, 0.0, low), np.where(surely, 0.0, high))
    logs = _log(p, precision), _log(q, precision)
    if quantity == "target gradient":
        return _stack(logs[0], logs[1].times(-1)).sum(precision)
    return _stack(_weighted(t, logs[0], p), _weighted(1 - t, logs[1], q)).sum(precision)


def _softmax_taken_for_sigmoid(x: Array, targets: NDArray, quantity: str, precision: Precision) -> Range:
    """1/2 (max(x, 0) - x t + log1p(exp(-|x|)) + log 2), as IEEE arithmetic has it.

    It is the mean of two sigmoid cross-entropies, of the logits x and 0 with t and 1 - t, where softmax(x, 0) is meant.
    """
    t, u = targets.astype(np.float64), precision.u
    p = np.where(x >= 0, 1 / (1 + np.exp(-np.abs(x))), np.exp(-np.abs(x)) / (1 + np.exp(-np.abs(x))))
    found, size = {
        "value": (np.maximum(x, 0) - x * t + np.log1p(np.exp(-np.abs(x))) + np.log(2), np.abs(x) + 1),
        "gradient": (p - t, p + t),
        "target gradient": (-x, np.abs(x)),
    }[quantity]
    slack = ROUNDINGS * u * np.where(np.isfinite(found), size, 0.0) + 2 * precision.smallest
    return (
        _range(found - slack, found + slack, up=np.isposinf(found), down=np.isneginf(found))
        .only_nan(np.isnan(found))
        .times(0.5)
    )


# Softmax: p_k, row by row.


def _log_of_softmax(x: Array, targets: NDArray, quantity: str, precision: Precision) -> Range:
    """-sum_k t_k log p_k, p = softmax(x), or -log p_j for a label j: NaN and infinities where a p_k is 0."""
    hard = targets.ndim < x.ndim
    t = one_hot_targets(targets, x.shape[-1]) if hard else targets.astype(np.float64)
    rows = softmax_rows(x, precision)
    p = _rounded(rows.p, 2 * probability_error(rows, "quotient", precision), precision)  # twice: p is rounded here as well
    undefined = ~np.isfinite(x.max(-1))
    if quantity == "gradient":
        return _softmax_slope(p, t, precision).only_nan(undefined[:, None] & np.ones(x.shape, bool))
    log = _log(p, precision)
    if quantity == "target gradient":
        return log
    counted = _weighted(t, log, p)
    if hard:  # the other classes are not looked at
        counted = _range(np.where(t > 0, log.low, 0.0), np.where(t > 0, log.high, 0.0), up=log.up & (t > 0))
    return counted.sum(precision).only_nan(undefined)


def _softmax_slope(p: Rounded, t: Array, precision: Precision) -> Range:
    """Return the range of p_i (g_i - sum_k g_k p_k), g = -t / p: NaN in the whole row where any p_k is 0.

    Where p_k may be flushed, so may g_k p_k = -t_k; where t_k / p_k overflows before, the row has infinities.
    """
    total, lost = t.sum(-1, keepdims=True), np.where(p.vanishes, t, 0.0).sum(-1, keepdims=True)
    low, high = p.low * (total - lost) - t, p.high * total - np.where(p.vanishes, 0.0, t)
    slack = ROUNDINGS * precision.u * (p.high * total + t) + 2 * precision.smallest
    nan, overflows = p.vanishes.any(-1, keepdims=True), lost > 0
    found = _range(low - slack, high + slack, nan=nan, up=overflows, down=overflows)
    return found.only_nan(np.broadcast_to(p.vanished.any(-1, keepdims=True), t.shape))


def _clipped_log_of_softmax(x: Array, targets: NDArray, quantity: str, precision: Precision) -> Range:
    """The same with p divided by its sum, 1 but for roundings, and clipped to [1e-7, 1 - 1e-7]: no gradient outside."""
    hard = targets.ndim < x.ndim
    t = one_hot_targets(targets, x.shape[-1]) if hard else targets.astype(np.float64)
    undefined = ~np.isfinite(x.max(-1))
    here, p, perhaps, surely = _clipped_softmax(x, precision)
    if quantity == "gradient":
        most, least = np.where(surely, 0.0, t), np.where(perhaps, 0.0, t)
        low = here.low * least.sum(-1, keepdims=True) - most
        high = here.high * most.sum(-1, keepdims=True) - least
        slack = ROUNDINGS * precision.u * (here.high * most.sum(-1, keepdims=True) + most) + 2 * precision.smallest
        return _range(low - slack, high + slack).only_nan(undefined[:, None] & np.ones(x.shape, bool))
    log = _log(p, precision)
    return log if quantity == "target gradient" else _weighted(t, log, p).sum(precision).only_nan(undefined)


def _clipped_softmax(x: Array, precision: Precision) -> tuple[Rounded, Rounded, Mask, Mask]:
    """Return softmax(x), the same clipped to [1e-7, 1 - 1e-7], and where it perhaps and surely was outside."""
    rows, never = softmax_rows(x, precision), np.zeros(x.shape, bool)
    error = 2 * probability_error(rows, "quotient", precision) + ROUNDINGS * precision.u * rows.p
    here, (first, last) = _rounded(rows.p, error, precision), clip_bounds(precision)
    clipped = Rounded(np.clip(here.low, first, last), np.clip(here.high, first, last), never, never)
    return here, clipped, (here.low < first) | (here.high > last), (here.high < first) | (here.low > last)


def _clipped_softmax_over_sum(x: Array, labels: NDArray, quantity: str, precision: Precision) -> Range:
    """-log(c_j / sum c), c the clipped softmax: softmax cross-entropy of log c, which divides what was clipped by its sum.

    The gradient is a_i - p_i sum_k a_k, a = c / sum c - t inside of the clip and 0 outside.
    """
    t = one_hot_targets(labels, x.shape[-1])
    here, c, perhaps, surely = _clipped_softmax(x, precision)
    low, high = (end.sum(-1, keepdims=True) for end in (c.low, c.high))
    if quantity == "value":
        log = _weighted(t, _log(c, precision), c)
        slack = ROUNDINGS * precision.u * (1 + log.high.sum(-1))
        return _range(log.low.sum(-1) + np.log(low[:, 0]) - slack, log.high.sum(-1) + np.log(high[:, 0]) + slack)
    least, most = c.low / high - t, c.high / low - t
    least, most = np.where(perhaps, np.minimum(least, 0), least), np.where(perhaps, np.maximum(most, 0), most)
    least, most = np.where(surely, 0.0, least), np.where(surely, 0.0, most)
    sums = [end.sum(-1, keepdims=True) for end in (least, most)]
    products = np.stack([p * total for p in (here.low, here.high) for total in sums])
    slack = ROUNDINGS * precision.u * (np.abs(least) + here.high * (1 + t.sum(-1, keepdims=True))) + 2 * precision.smallest
    return _range(least - products.max(0) - slack, most - products.min(0) + slack)


COMPOSITIONS: dict[str, Callable[[Array, NDArray, str, Precision], Range]] = {
    "log_of_sigmoid": _log_of_sigmoid,
    "floored_log_of_sigmoid": _floored_log_of_sigmoid,
    "clipped_log_of_sigmoid": _clipped_log_of_sigmoid,
    "softmax_taken_for_sigmoid": _softmax_taken_for_sigmoid,
    "log_of_softmax": _log_of_softmax,
    "clipped_log_of_softmax": _clipped_log_of_softmax,
    "clipped_softmax_over_sum": _clipped_softmax_over_sum,
}
"""(logits, targets, quantity, dtype) -> the range of that quantity, by the name of the composition."""
