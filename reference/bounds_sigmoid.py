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
    logits: Array,
    targets: Array,
    value: Array,
    gradient: Array,
    grade: Grade,
    precision: Precision,
    *,
    positive_weight: Array | None = None,
    roundings: int = 0,
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

    A positive weight w counts the positive outcome w times, so that t becomes w t beside sp(-x) and sg(-x). Split and fold
    compute (1 - t) x + m sp(-x) with m = 1 + (w - 1) t, and their gradients m sg(x) - w t or (1 - t) - m sg(-x): m errs by
    2 u \|w - 1\| t, and counts for each sp and sg there. Pair and its gradients round w t once more.

    Targets that are themselves rounded k times (``roundings``: smoothed) add k u t (w sp(-x) + sp(x)) to the value and
    k u t (w sg(-x) + sg(x)) to the gradient.

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
    here, there, mass = np.abs(targets), np.abs(1 - targets), np.ones_like(size)
    soft, once_more, of_mass = np.where((targets == 0) | (targets == 1), 0.0, here), 0, np.zeros_like(size)
    if positive_weight is not None:
        of_mass = 2 * np.abs(positive_weight - 1) * here
        here, mass, once_more = positive_weight * here, 1 + np.abs(positive_weight - 1) * here, 1
    flushed = 4 * precision.smallest * (1 if positive_weight is None else 1 + positive_weight)

    if grade.value == "split":
        terms = 2 * u * there * size + u * ((logarithm + 3) * mass + of_mass) * (fall + l1)
    elif grade.value == "fold" and not once_more:
        terms = u * soft * size + u * np.where(positive, there, here) * size + logarithm * u * l1
    elif grade.value == "fold":
        terms = 2 * u * there * size + u * ((logarithm + 3) * mass + of_mass) * (fall + l1)
    else:
        terms = (logarithm + 3 + once_more) * u * (here * (fall + l1) + there * (rise + l1))
    value_bound = terms + u * np.abs(value) + flushed

    if grade.gradient == "auto":
        slopes = there + ((EXP_ERROR + 4) * mass + of_mass) * down + (soft if grade.value == "fold" else 0.0)
    elif grade.gradient == "direct":
        slopes = ((EXP_ERROR + 3) * mass + of_mass) * up + once_more * here
    else:
        slopes = (EXP_ERROR + 4 + once_more) * (here * down + there * up)
    gradient_bound = u * slopes + 2 * u * np.abs(gradient) + flushed
    if grade.gradient == "lse":
        gradient_bound = gradient_bound + (here * down + there * up) * (u * size + (2 + logarithm) * u * l1)

    target_bound = u * size + flushed
    if positive_weight is not None:
        each = positive_weight * (fall + l1) + rise + l1
        target_bound = 2 * u * size + (logarithm + 3) * u * (each + np.abs(positive_weight - 1) * (fall + l1)) + flushed
    elif grade.value == "pair":
        target_bound = target_bound + (logarithm + 1) * u * (size + 2 * l1)
    if roundings:
        weight = 1.0 if positive_weight is None else positive_weight
        value_bound = value_bound + roundings * u * np.abs(targets) * (weight * (fall + l1) + rise + l1)
        gradient_bound = gradient_bound + roundings * u * np.abs(targets) * (weight * down + up)
    return value_bound, gradient_bound, target_bound
