"""Losses on log-probabilities, and the Kullback-Leibler divergence: the exact value and closed-form gradients.

With probabilities q of the prediction and t of the target, KL(t||q) = sum t log(t / q) = H(t, q) - H(t): the cross-entropy
less the entropy of the targets. Prediction and target may each be given as probabilities or as their logarithms.
"""

import numpy as np

from reference.doubledouble import Array
from reference.precision import Precision
from reference.probability import LARGE, clip_bounds
from reference.semantics import Semantics
from reference.softmax import FAR, LIFT, Arithmetic, Number

Parts = tuple[Array, Array, Array]
"""Value, gradient, target gradient."""


def negative_log_likelihood(log_probabilities: Array, targets: Array) -> Parts:
    r"""Return the negative log-likelihood of each row, and its gradients with respect to log-probabilities and targets.

    .. math:: l = -\sum_k t_k x_k, \quad \partial l / \partial x_k = -t_k, \quad \partial l / \partial t_k = -x_k

    with 0 * inf = 0; for one-hot targets, -x_j, no operation rounds. NaN gives NaN in that row alone.

    Args:
        log_probabilities: (rows, classes); they need not be normalised.
        targets: (rows, classes), one-hot.

    Returns:
        value (rows,), gradient (rows, classes), target gradient (rows, classes): float64, exact.

    Source: Bishop, Pattern Recognition and Machine Learning (2006), equation 4.108.
    """
    undefined = _with_nan(log_probabilities, targets)
    value = np.where(targets == 0, 0.0, -targets * log_probabilities).sum(-1)
    return _undefined(undefined, value, -targets, -log_probabilities)


def kl_divergence(probabilities: Array, targets: Array, semantics: Semantics, precision: Precision, am: Arithmetic) -> Parts:
    r"""Return the Kullback-Leibler divergence of each row, and its gradients with respect to prediction and target.

    .. math:: l = \sum_k t_k \log(t_k / q_k), \quad \partial l / \partial q_k = -t_k / q_k, \quad
              \partial l / \partial t_k = \log(t_k / q_k) + 1

    with 0 log 0 = 0. The guard ``semantics.divergence_guard`` clips both q and t to [1e-7, 1], as the dtype of ``precision``
    holds them. NaN gives NaN in that row alone.

    Args:
        probabilities: q, (rows, classes), in [0, 1]; they need not sum to one.
        targets: t, the same shape, in [0, 1].
        semantics: the guard, the target gradient at 0, and whether a loss is a row or a term.
        precision: the dtype that is judged.
        am: `reference.doubledouble`, or `reference.plain` to judge float32.

    Returns:
        value (rows,) or, term by term, (rows, classes); gradient and target gradient (rows, classes): float64. The terms
        cancel where q is near t: in double-double errors are below 2 (ulp + 2^-20 u S), S = sum t (abs(log t) + abs(log q))
        for the value and abs(log t) + abs(log q) + 1 for the target gradient; below 2 ulp for the gradient.

    Source: Kullback and Leibler, "On Information and Sufficiency", Ann. Math. Statist. 22(1) (1951).
    """
    undefined = _with_nan(probabilities, targets)
    q, t = probabilities, targets
    inside = target_inside = np.ones_like(q, np.bool_)
    if semantics.divergence_guard == "clip_both_1e-7":
        low, _ = clip_bounds(precision)
        inside, target_inside = (probabilities >= low) & (probabilities <= 1), (targets >= low) & (targets <= 1)
        q, t = np.clip(probabilities, low, 1.0), np.clip(targets, low, 1.0)
    ratio = _difference(_log(t, am), _log(q, am), am)
    value = _summed(_product(am.exactly(t), ratio, am), semantics, am)
    gradient = np.where(inside, -_quotient(t, q, am), 0.0)
    slope = _difference(ratio, am.exactly(np.full_like(t, -1.0)), am)
    return _undefined(undefined, value, gradient, np.where(target_inside, _at_zero(slope, targets == 0, semantics, am), 0.0))


def kl_divergence_of_log_probabilities(log_probabilities: Array, targets: Array, semantics: Semantics, am: Arithmetic) -> Parts:
    r"""Return the Kullback-Leibler divergence of each row of log-probabilities x, and its gradients.

    .. math:: l = \sum_k t_k (\log t_k - x_k), \quad \partial l / \partial x_k = -t_k, \quad
              \partial l / \partial t_k = \log t_k - x_k + 1

    Arguments, results and source as for `kl_divergence` with log q = x; the gradient is exact.
    """
    x = log_probabilities
    undefined = _with_nan(x, targets)
    ratio = _difference(_log(targets, am), am.exactly(x), am)
    value = _summed(_product(am.exactly(targets), ratio, am), semantics, am)
    slope = _difference(ratio, am.exactly(np.full_like(x, -1.0)), am)
    return _undefined(undefined, value, -targets, _at_zero(slope, targets == 0, semantics, am))


def kl_divergence_with_log_targets(log_probabilities: Array, log_targets: Array, semantics: Semantics, am: Arithmetic) -> Parts:
    r"""Return the Kullback-Leibler divergence of each row of log-probabilities x and y, and its gradients.

    .. math:: l = \sum_k e^{y_k} (y_k - x_k), \quad \partial l / \partial x_k = -e^{y_k}, \quad
              \partial l / \partial y_k = e^{y_k} (y_k - x_k + 1)

    A target log-probability of -inf adds nothing. Arguments, results and source as for `kl_divergence` with log q = x and
    log t = y <= 0; the gradient errs by less than 2 ulp.
    """
    x, y = log_probabilities, log_targets
    undefined = _with_nan(x, y)
    absent = np.isneginf(y)
    near = np.where(absent | (y < -FAR) | undefined, -FAR, y)
    weight = am.exp_scaled(am.exactly(near), LIFT)
    weight = am.select(absent, am.exactly(np.zeros_like(y)), weight)
    ratio = _difference(am.exactly(np.where(absent, 0.0, y)), am.exactly(x), am)
    value = _summed(_lowered(weight, ratio, am), semantics, am)
    slope = _lowered(weight, _difference(ratio, am.exactly(np.full_like(x, -1.0)), am), am)
    gradient = -am.high(weight) * 2.0**-LIFT
    return _undefined(undefined, value, gradient, _at_zero(slope, absent, semantics, am))


def _with_nan(prediction: Array, targets: Array) -> np.ndarray:
    """Tell which terms have a NaN."""
    return np.isnan(prediction) | np.isnan(targets)


def _undefined(terms: np.ndarray, value: Array, gradient: Array, target_gradient: Array) -> Parts:
    """Put NaN into the rows that have one, of the losses of terms into these."""
    rows = np.asarray(terms.any(-1))
    column = rows[:, None]
    return (
        np.where(rows if value.ndim == 1 else terms, np.nan, value),
        np.where(column, np.nan, gradient),
        np.where(column, np.nan, target_gradient),
    )


def _at_zero(slope: Number, absent: np.ndarray, semantics: Semantics, am: Arithmetic) -> Array:
    """Return the target gradient, with what the semantics says where the target probability is 0."""
    picked = {"zero_at_zero": 0.0, "nan_at_zero": np.nan}.get(semantics.target_gradient)
    whole = am.high(slope)
    return whole if picked is None else np.where(absent, picked, whole)


def _log(p: Array, am: Arithmetic) -> Number:
    """Return log p; -inf at 0, NaN below it."""
    usable = (p > 0) & np.isfinite(p)
    special = np.where(p == 0, -np.inf, np.where(p == np.inf, np.inf, np.nan))
    return am.select(usable, am.log(am.exactly(np.where(usable, p, 1.0))), am.exactly(special))


def _difference(a: Number, b: Number, am: Arithmetic) -> Number:
    """Return a - b, infinities included."""
    rough = am.high(a) - am.high(b)
    exact = am.add(a, am.negate(b))
    return am.select(np.isfinite(rough), exact, am.exactly(rough))


def _product(weight: Number, term: Number, am: Arithmetic) -> Number:
    """Return weight * term with 0 * inf = 0; in plain float64 where the term is beyond 2^900."""
    size = np.abs(am.high(term))
    rough = np.where(am.high(weight) == 0, 0.0, am.high(weight) * am.high(term))
    usable = (size < LARGE) & (am.high(weight) != 0)
    nothing = am.exactly(np.zeros_like(size))
    return am.select(
        usable, am.multiply(am.select(usable, weight, nothing), am.select(usable, term, nothing)), am.exactly(rough)
    )


def _lowered(weight: Number, term: Number, am: Arithmetic) -> Number:
    """Return 2^-512 weight * term with 0 * inf = 0."""
    whole = am.high(term)
    finite, nothing = np.isfinite(whole), am.exactly(np.zeros_like(whole))
    exponent = np.full(whole.shape, -LIFT)
    product = am.multiply_scaled(weight, am.select(finite, term, nothing), exponent)
    return am.select(finite | (am.high(weight) == 0), product, am.exactly(whole))


def _quotient(t: Array, q: Array, am: Arithmetic) -> Array:
    """Return t / q, 0 where t is 0; in plain float64 where it or 1 / q is beyond 2^900."""
    plain = np.where(t == 0, 0.0, t / q)
    usable = (np.abs(plain) < LARGE) & (np.abs(q) > 1 / LARGE)
    exact = am.divide(am.exactly(np.where(usable, t, 1.0)), am.exactly(np.where(usable, q, 1.0)))
    return np.where(usable, am.high(exact), plain)


def _summed(terms: Number, semantics: Semantics, am: Arithmetic) -> Array:
    """Return the sum over the last axis, infinities and NaN included, or the terms themselves."""
    whole = am.high(terms)
    if semantics.loss_shape == "term":
        return whole
    finite = np.isfinite(whole)
    exact = am.high(am.total(am.select(finite, terms, am.exactly(np.zeros_like(whole)))))
    return np.where(finite.all(-1), exact, np.where(finite, 0.0, whole).sum(-1))
