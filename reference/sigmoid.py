"""Sigmoid cross-entropy on logits: the exact value and closed-form gradients."""

import numpy as np

from reference.doubledouble import Array
from reference.softmax import FAR, LIFT, LOWER, Arithmetic, Number, is_large, join, log1p_lifted


def sigmoid_cross_entropy(
    logits: Array, targets: Array, am: Arithmetic, *, positive_weight: Array | None = None
) -> tuple[Array, Array, Array]:
    r"""Return the sigmoid cross-entropy of each element, and its gradients with respect to logits and targets.

    .. math:: l = w t \log(1 + e^{-x}) + (1 - t) \log(1 + e^x), \quad
              \partial l / \partial x = (1 - t) \sigma(x) - w t \sigma(-x), \quad
              \partial l / \partial t = w \log(1 + e^{-x}) - \log(1 + e^x)

    and w = 1 unless there is a ``positive_weight``: then the gradients are sigma(x) - t and -x.

    At x = +-inf the value is the limit: 0 if the target is wholly on that side, else +inf (-inf for a target beyond [0, 1]).
    NaN in either argument gives NaN in that element alone.

    Args:
        logits: any shape.
        targets: the same shape, finite; ``|t| < 2^400``.
        am: `reference.doubledouble`, or `reference.plain` to judge float32 and below.
        positive_weight: w, broadcasts to the logits; ``0 <= w < 2^400``.

    Returns:
        value, gradient, target gradient, of the shape of the logits: float64, in double-double errors below 2 ulp; a
        gradient that cancels (sigmoid(x) near t) errs by at most 2 (ulp(g) + 2^-20 u (sigmoid(x) + |t|)).

    Source: Bishop, Pattern Recognition and Machine Learning (2006), section 4.3.2.
    """
    undefined = np.isnan(logits) | ~np.isfinite(targets)
    infinite = np.isinf(logits)
    x = np.where(undefined | infinite, 0.0, logits)
    t = np.where(undefined, 0.0, targets)
    negative = am.two_sum(np.ones_like(t), -t)
    positive, mass = am.exactly(t), None
    if positive_weight is not None:
        weight = am.exactly(np.broadcast_to(positive_weight, x.shape) + 0.0)
        positive = am.multiply(weight, positive)
        mass = am.add(positive, negative)
    against = am.select(x > 0, negative, positive)  # the target mass on the side the logit speaks against

    size = np.abs(x)
    small = am.exp_scaled(am.exactly(-np.minimum(size, FAR)), LIFT)
    lowered = is_large(size * am.high(against))
    linear = am.multiply_scaled(am.exactly(size), against, np.where(lowered, LOWER, LIFT))
    logarithm = log1p_lifted(small, am)
    value = join(linear, lowered, logarithm if mass is None else am.multiply(logarithm, mass), am)

    share = am.divide(small, am.add(am.exactly(np.ones_like(x)), am.scale(small, -LIFT)))
    share = share if mass is None else am.multiply(share, mass)
    far = am.high(am.add(am.scale(against, LIFT), am.negate(share)))  # |g|: the mass against, less its share sigmoid(-|x|)
    gradient = np.where(x > 0, far, -far) * 2.0**-LIFT
    slope = -logits if positive_weight is None else _weighted_target_gradient(x, weight, logarithm, am)

    wrong = am.high(am.select(logits > 0, negative, positive))
    limit = np.where(wrong == 0, 0.0, np.where(wrong > 0, np.inf, -np.inf))
    value = np.where(infinite, limit, value)
    gradient = np.where(infinite, np.where(logits > 0, am.high(negative), -am.high(positive)), gradient)
    slope = np.where(infinite, -logits, slope)
    if positive_weight is not None:
        slope = np.where(infinite & (logits < 0) & (am.high(weight) == 0), 0.0, slope)
    value, gradient, target_gradient = (np.where(undefined, np.nan, part) for part in (value, gradient, slope))
    return value, gradient, target_gradient


def _weighted_target_gradient(x: Array, weight: Number, logarithm: Number, am: Arithmetic) -> Array:
    """Return w log(1 + e^-x) - log(1 + e^x) = w max(-x, 0) - max(x, 0) + (w - 1) log(1 + e^-|x|)."""
    excess = am.add(weight, am.exactly(np.full_like(x, -1.0)))
    side = am.select(x > 0, am.exactly(np.full_like(x, -1.0)), weight)
    size = np.abs(x)
    lowered = is_large(size * am.high(side))
    linear = am.multiply_scaled(am.exactly(size), side, np.where(lowered, LOWER, LIFT))
    return join(linear, lowered, am.multiply(logarithm, excess), am)
