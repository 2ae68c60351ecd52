"""What the error bounds are made of: the errors of elementary functions and of sums.

Sources: N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd edition, SIAM (2002), chapters 2 to 4;
P. Blanchard, D. J. Higham and N. J. Higham, "Accurately computing the log-sum-exp and softmax functions",
IMA J. Numer. Anal. 41(4) (2021).
"""

import numpy as np
from numpy.typing import NDArray

from reference.doubledouble import Array

EXP_ERROR = 4.0
"""Worst relative error of exp in units of roundoff: 3.4 measured over NumPy, PyTorch, TensorFlow and XLA; CUDA states 2 ulp."""
LOG_ERROR = 5.0
"""Worst relative error of log in units of roundoff: 4.3 measured over the same four."""
LOG1P_ERROR = 5.0
"""Worst relative error of log1p in units of roundoff: 4.8 measured over the same four for positive arguments."""
EXPM1_ERROR = 6.0
"""Worst relative error of expm1 in units of roundoff: 5.8 measured over the same four for negative arguments."""
TANH_ERROR = 8.0
"""Worst relative error of tanh in units of roundoff: 7.4 measured over the same four."""
POWER_ERROR = 4.0
"""Worst relative error of pow in units of roundoff: 3.2 measured over the same four, for exponents from -0.9 to 5."""
RECIPROCAL_ERROR = 4.0
"""Worst relative error of 1 / x in units of roundoff: 3.3 measured in float32 of TensorFlow, which refines an estimate."""


VECTOR_BITS = 256
"""The narrowest vector in which sound code keeps its partial sums: AVX2, or a pair of NEON registers."""


def blocked_cap(terms: int, v: float) -> float:
    """Return the roundoffs that a blocked sum of ``terms`` numbers may lose: 32 + n / lanes.

    A vector has 8 lanes of float32 or 4 of float64, and each adds n / lanes terms one after another; 32 is for the sum of the
    lanes and for blocks. This is looser than the 32 + n/16 that AVX-512 keeps, so that a serial float64 sum shows only in
    rows of more classes. PyTorch with AVX2 comes to 107 roundoffs in a float64 row of one class at 0 among 999 equal ones.
    """
    bits = 32 if v >= 2.0**-24 else 64
    return 32 + terms * bits / VECTOR_BITS


def rounding_of_others(others: NDArray, unit: NDArray, v: float) -> Array:
    """Return a bound of what a sum loses to rounding while it adds ``others`` to its largest term.

    Each addition loses at most ``unit``, the roundoff of the whole sum, and at most the smaller addend (Higham 2002,
    section 4.2): sum_i min(others_i, unit), with `blocked_cap` units at most.

    Args:
        others: (rows, n), non-negative, with 0 in place of the largest term.
        unit: (rows,), the roundoff ``v`` of the accumulator times the sum.
        v: that roundoff.
    """
    lost = np.minimum(others, unit[:, None]).sum(-1)
    return np.minimum(lost, unit * blocked_cap(others.shape[-1], v))


def rounding_of_sum(terms: NDArray, total: NDArray, v: float) -> Array:
    """Return v A(w) W, a bound of what a sum of ``terms`` (rows, n) >= 0 with the sums ``total`` (rows,) loses to rounding.

    A(w) = sum_{i != largest} min(1, w_i / (W v)), as in `rounding_of_others`. The largest term is at least W / n.
    """
    unit, count = v * total, terms.shape[-1]
    lost = np.minimum(terms, unit[:, None]).sum(-1) - unit * min(1.0, 1 / (count * v))
    return np.clip(lost, 0.0, unit * blocked_cap(count, v))
