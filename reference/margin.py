"""Margin losses on logits: the exact value and closed-form gradients."""

import numpy as np

from reference.doubledouble import Array
from reference.probability import LARGE
from reference.softmax import FAR, LIFT, LOWER, Arithmetic, Number, is_large, join, log1p_lifted


def soft_margin(logits: Array, signs: Array, am: Arithmetic) -> tuple[Array, Array, Array]:
    r"""Return the soft margin loss of each element, and its gradients with respect to logits and labels.

    .. math:: l = \log(1 + e^{-y x}), \quad \partial l / \partial x = -y \sigma(-y x), \quad
              \partial l / \partial y = -x \sigma(-y x)

    It is sigmoid cross-entropy with the target (1 + y) / 2. At y x = +-inf all three are their limits. NaN in either argument
    gives NaN in that element alone.

    Args:
        logits: any shape.
        signs: y, the same shape: -1 or 1; the formula holds for any finite number below 2^400.
        am: `reference.doubledouble`, or `reference.plain` to judge float32.

    Returns:
        value, gradient, target gradient, of the shape of the logits: float64, in double-double errors below 2 ulp.

    Source: Hastie, Tibshirani and Friedman, The Elements of Statistical Learning, 2nd edition (2009), section 10.6.
    """
    product = logits * signs
    undefined = np.isnan(product) | np.isinf(signs)
    infinite = np.isinf(product) & ~undefined
    x, y = (np.where(undefined | infinite, 0.0, part) for part in (logits, signs))
    margin = _exact_product(x, y, am)
    negative = am.high(margin) < 0
    size = am.select(negative, am.negate(margin), margin)
    near = am.select(am.high(size) < FAR, size, am.exactly(np.full_like(x, FAR)))
    small = am.exp_scaled(am.negate(near), LIFT)
    lowered = negative & is_large(am.high(size))
    linear = am.select(lowered, am.scale(size, LOWER), am.scale(am.select(lowered, am.exactly(np.zeros_like(x)), size), LIFT))
    linear = am.select(negative, linear, am.exactly(np.zeros_like(x)))
    value = join(linear, lowered, log1p_lifted(small, am), am)

    one = am.exactly(np.ones_like(x))
    share = am.divide(am.select(negative, am.scale(one, LIFT), small), am.add(one, am.scale(small, -LIFT)))  # sigmoid(-y x)
    results = value, _weighted_share(share, y, am), _weighted_share(share, x, am)
    right = product > 0
    limits = np.where(right, 0.0, np.inf), np.where(right, 0.0, -signs), np.where(right, 0.0, -logits)
    value, gradient, target_gradient = (
        np.where(undefined, np.nan, np.where(infinite, limit, result)) for limit, result in zip(limits, results, strict=True)
    )
    return value, gradient, target_gradient


def _exact_product(x: Array, y: Array, am: Arithmetic) -> Number:
    """Return x y; a product by one is exact, and beyond 2^900 the exponential of the loss is 0 or infinite."""
    usable = (np.abs(x) < LARGE) & (np.abs(x * y) < LARGE) & (np.abs(y) != 1)
    exact = am.multiply(am.exactly(np.where(usable, x, 0.0)), am.exactly(np.where(usable, y, 0.0)))
    return am.select(usable, exact, am.exactly(x * y))


def _weighted_share(share: Number, weight: Array, am: Arithmetic) -> Array:
    """Return -2^-512 share * weight; where the weight is large the share is 0 or 1."""
    large = is_large(weight)
    product = am.high(am.multiply(share, am.exactly(np.where(large, 0.0, weight))))
    return -np.where(large, np.ldexp(am.high(share), -LIFT) * weight, np.ldexp(product, -LIFT))


def multilabel_soft_margin(
    outcomes: tuple[Array, Array, Array], class_weight: Array | None, am: Arithmetic
) -> tuple[Array, Array, Array]:
    r"""Return the multi-label soft margin loss of each row, and its gradients with respect to logits and targets.

    .. math:: l = \frac{1}{n} \sum_k w_k l_k, \quad l_k = -t_k \log \sigma(x_k) - (1 - t_k) \log \sigma(-x_k)

    the weighted mean of the sigmoid cross-entropies l_k of n outcomes; its gradients are theirs times w_k / n.

    Args:
        outcomes: l and its two gradients, each (rows, n), as `reference.sigmoid.sigmoid_cross_entropy` returns them.
        class_weight: w, (n,), none of them negative; ones if None.
        am: `reference.doubledouble`, or `reference.plain` to judge float32.

    Returns:
        value (rows,), gradient (rows, n), target gradient (rows, n): float64, in double-double errors below 2 ulp where those
        of the outcomes are below 1/2. NaN gives NaN in the value of its row.

    Source: Zhang and Zhou, "A Review on Multi-Label Learning Algorithms", IEEE TKDE 26(8) (2014).
    """
    losses, *slopes = outcomes
    weight = np.ones(losses.shape[-1]) if class_weight is None else class_weight
    large = (losses > LARGE).any(-1)
    parts = np.ldexp(losses, np.where(large, LOWER, 0)[:, None])
    finite = np.isfinite(parts)
    terms = am.multiply(am.exactly(np.where(finite, parts, 0.0)), am.exactly(np.broadcast_to(weight, parts.shape)))
    whole = am.total(terms)
    mean = am.high(am.divide(whole, am.exactly(np.full(large.shape, float(len(weight))))))
    special = np.where(finite, 0.0, np.where((weight == 0) & ~np.isnan(parts), 0.0, parts)).sum(-1)
    value = np.ldexp(mean, np.where(large, -LOWER, 0)) + special
    gradient, target_gradient = (_share(slope, weight, am) for slope in slopes)
    return value, gradient, target_gradient


def _share(slope: Array, weight: Array, am: Arithmetic) -> Array:
    """Return w slope / n, infinities included; that of a weight of 0 is 0."""
    usable = np.abs(slope) < LARGE
    product = am.multiply(am.exactly(np.where(usable, slope, 0.0)), am.exactly(np.broadcast_to(weight, slope.shape)))
    exact = am.high(am.divide(product, am.exactly(np.full_like(slope, float(len(weight))))))
    return np.where(usable, exact, np.where(np.isnan(slope) | (weight != 0), slope / len(weight) * weight, 0.0))
