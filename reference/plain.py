"""Plain float64 arithmetic under the names of `reference.doubledouble`: the fast judge of float32 and below.

Each formula of the reference is written once, against these names, and evaluated by either module. In plain float64
its errors stay below 2^-43 of the result, or of the terms where a gradient cancels against soft targets (sigmoid(x) and
t, T p and t): two millionths of a float32 roundoff.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from reference.doubledouble import Array


def exactly(x: Array) -> Array:
    """Return ``x``."""
    return x


def high(a: Array) -> Array:
    """Return ``a``."""
    return a


def each(function: Callable[[Array], Array], a: Array) -> Array:
    """Return ``function(a)``."""
    return function(a)


def two_sum(a: Array, b: Array) -> Array:
    """Return ``a + b``."""
    return a + b


add = two_sum


def negate(a: Array) -> Array:
    """Return ``-a``."""
    return -a


def multiply(a: Array, b: Array) -> Array:
    """Return ``a * b``."""
    return a * b


def divide(a: Array, b: Array) -> Array:
    """Return ``a / b``."""
    return a / b


def scale(a: Array, exponent: int) -> Array:
    """Return ``a * 2^exponent``."""
    return a * 2.0**exponent


def multiply_scaled(a: Array, b: Array, exponent: NDArray[np.integer]) -> Array:
    """Return ``a * b * 2^exponent``, whose factors may be far apart."""
    mantissa, size = np.frexp(a)
    return np.ldexp(mantissa * b, size + exponent)


def total(a: Array) -> Array:
    """Return the sum over the last axis."""
    return a.sum(-1)


def select(condition: np.ndarray, a: Array, b: Array) -> Array:
    """Return ``a`` where the condition holds and ``b`` elsewhere; one of the two itself where it is nowhere mixed."""
    if condition.shape == a.shape == b.shape:
        if condition.all():
            return a
        if not condition.any():
            return b
    return np.where(condition, a, b)


def exp_scaled(x: Array, exponent: int) -> Array:
    """Return ``exp(x) * 2^exponent``."""
    return np.exp(x) * 2.0**exponent


def expm1(x: Array) -> Array:
    """Return ``exp(x) - 1``."""
    return np.expm1(x)


def log1p(x: Array) -> Array:
    """Return ``log(1 + x)``."""
    return np.log1p(x)


def log(x: Array) -> Array:
    """Return ``log(x)``."""
    return np.log(x)
