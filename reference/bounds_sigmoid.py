r"""Error bounds of sigmoid cross-entropy in its sound forms.

Notation: sp(x) = log(1 + e^x) = max(x, 0) + l1 with l1 = log1p(exp(-\|x\|)), sg = sigmoid, u the unit roundoff, lam the
smallest normal number. By first-order rounding analysis (Higham 2002, chapters 2 and 3).
"""

import numpy as np

from reference.bounds_rounding import EXP_ERROR, LOG1P_ERROR
from reference.doubledouble import Array
from reference.losses import Grade
from reference.precision import Precision


def sigmoid_bounds(
    logits: Array, targets: Array, value: Array, gradient: Array, grade: Grade, precision: Precision
) -> tuple[Array, Array, Array]:
    r"""Return the bounds of the value, the gradient and the target gradient, elementwise, each plus 4 lam.

    Value l:

    - split, (1 - t) x - log sigmoid(x): u [2 \|(1 - t) x\| + (c_1 + c_e + 3) sp(-x) + l]
    - fold, max(x, 0) - x t + l1: u [\|x t\| where t is not 0 or 1 + \|max(x, 0) - x t\| + (c_1 + c_e) l1 + l]
    - pair, t sp(-x) + (1 - t) sp(x): u [(c_1 + c_e + 3) (t sp(-x) + (1 - t) sp(x)) + l]

    Gradient g = sg(x) - t:

    - auto, autodiff of split: u [(1 - t) + (c_e + 4) sg(-x) + 2 \|g\|]; of fold, where an upstream gradient multiplies the
      terms of max(x, 0) - x t apart: u t more where t is not 0 or 1
    - direct, sigmoid(x) - t: u [(c_e + 3) sg(x) + 2 \|g\|]
    - pair, (1 - t) sg(x) - t sg(-x): u [(c_e + 4) (t sg(-x) + (1 - t) sg(x)) + 2 \|g\|]
    - lse, the same with sg(x) = exp(x - sp(x)): pair + u (t sg(-x) + (1 - t) sg(x)) [\|x\| + (2 + c_1 + c_e) l1]: exp magnifies
      the error of its argument, that is of the logarithm in sp(x), (c_1 + c_e) l1, and of the two roundings of sp(x) and of
      the difference, which is -sp(-x): sp(x) + sp(-x) = \|x\| + 2 l1

    Target gradient -x: split and fold multiply x by one, u \|x\|; pair subtracts sp(x) from sp(-x), of which each is known
    relative to itself, also as log1p(exp(x)): u [(c_1 + c_e + 1) (sp(x) + sp(-x)) + \|x\|].

    At x = +-inf every form that has a value is exact there: no term of \|x\| counts.
    """
    u, logarithm = precision.u, LOG1P_ERROR + EXP_ERROR
    size = np.abs(logits)
    small = np.exp(-size)
    l1 = np.log1p(small)
    near, far = small / (1 + small), 1 / (1 + small)  # sigmoid(-|x|), sigmoid(|x|)
    size[np.isinf(size)] = 0.0
    positive = logits > 0
    rise, fall = np.where(positive, size, 0.0), np.where(positive, 0.0, size)  # max(x, 0), max(-x, 0)
    up, down = np.where(positive, far, near), np.where(positive, near, far)  # sigmoid(x), sigmoid(-x)
    here, there = np.abs(targets), np.abs(1 - targets)
    flushed = 4 * precision.smallest

    soft = np.where((targets == 0) | (targets == 1), 0.0, here)
    if grade.value == "split":
        terms = 2 * u * there * size + (logarithm + 3) * u * (fall + l1)
    elif grade.value == "fold":
        terms = u * soft * size + u * np.where(positive, there, here) * size + logarithm * u * l1
    else:
        terms = (logarithm + 3) * u * (here * (fall + l1) + there * (rise + l1))
    value_bound = terms + u * np.abs(value) + flushed

    if grade.gradient == "auto":
        slopes = there + (EXP_ERROR + 4) * down + (soft if grade.value == "fold" else 0.0)
    elif grade.gradient == "direct":
        slopes = (EXP_ERROR + 3) * up
    else:
        slopes = (EXP_ERROR + 4) * (here * down + there * up)
    gradient_bound = u * slopes + 2 * u * np.abs(gradient) + flushed
    if grade.gradient == "lse":
        gradient_bound = gradient_bound + (here * down + there * up) * (u * size + (2 + logarithm) * u * l1)

    target_bound = u * size + flushed
    if grade.value == "pair":
        target_bound = target_bound + (logarithm + 1) * u * (size + 2 * l1)
    return value_bound, gradient_bound, target_bound
