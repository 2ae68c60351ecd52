"""Sigmoid cross-entropy on logits: the exact value and closed-form gradients."""

import numpy as np

from reference.doubledouble import Array
from reference.softmax import FAR, LIFT, LOWER, Arithmetic, is_large, join, log1p_lifted


def sigmoid_cross_entropy(logits: Array, targets: Array, am: Arithmetic) -> tuple[Array, Array, Array]:
    r"""Return the sigmoid cross-entropy of each element, and its gradients with respect to logits and targets.

    .. math:: l = t \log(1 + e^{-x}) + (1 - t) \log(1 + e^x), \quad
              \partial l / \partial x = \sigma(x) - t, \quad \partial l / \partial t = -x

    At x = +-inf the value is the limit: 0 if the target is wholly on that side, else +inf (-inf for a target beyond [0, 1]).
    NaN in either argument gives NaN in that element alone.

    Args:
        logits: any shape.
        targets: the same shape, finite; ``|t| < 2^400``.
        am: `reference.doubledouble`, or `reference.plain` to judge float32 and below.

    Returns:
        value, gradient, target gradient, of the shape of the logits: float64, in double-double errors below 2 ulp; a
        gradient that cancels (sigmoid(x) near t) errs by at most 2 (ulp(g) + 2^-20 u (sigmoid(x) + |t|)).

    Source: Bishop, Pattern Recognition and Machine Learning (2006), section 4.3.2.
    """
    undefined = np.isnan(logits) | ~np.isfinite(targets)
    infinite = np.isinf(logits)
    x = np.where(undefined | infinite, 0.0, logits)
    t = np.where(undefined, 0.0, targets)
    one_minus_t = am.two_sum(np.ones_like(t), -t)
    against = am.select(x > 0, one_minus_t, am.exactly(t))  # the target mass on the side the logit speaks against

    size = np.abs(x)
    small = am.exp_scaled(am.exactly(-np.minimum(size, FAR)), LIFT)
    lowered = is_large(size * am.high(against))
    linear = am.multiply_scaled(am.exactly(size), against, np.where(lowered, LOWER, LIFT))
    value = join(linear, lowered, log1p_lifted(small, am), am)

    share = am.divide(small, am.add(am.exactly(np.ones_like(x)), am.scale(small, -LIFT)))
    far = am.high(am.add(am.scale(against, LIFT), am.negate(share)))  # |g|: the mass against, less sigmoid(-|x|)
    gradient = np.ldexp(np.where(x > 0, far, -far), -LIFT)

    wrong = am.high(am.select(logits > 0, one_minus_t, am.exactly(t)))
    limit = np.where(wrong == 0, 0.0, np.where(wrong > 0, np.inf, -np.inf))
    value = np.where(infinite, limit, value)
    gradient = np.where(infinite, np.where(logits > 0, am.high(one_minus_t), -t), gradient)
    value, gradient, target_gradient = (np.where(undefined, np.nan, part) for part in (value, gradient, -logits))
    return value, gradient, target_gradient
