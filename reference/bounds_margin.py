r"""Error bounds of the margin losses in their sound forms.

Notation: z = y x, sp(x) = log(1 + e^x), l1 = log1p(exp(-\|z\|)), sg = sigmoid, u and v the unit roundoffs of the elements and
of the accumulator, lam the smallest normal number. By first-order rounding analysis (Higham 2002, chapters 2 to 4).
"""

import numpy as np

from reference.bounds_rounding import EXP_ERROR, LOG1P_ERROR, RECIPROCAL_ERROR, rounding_of_sum
from reference.bounds_sigmoid import sigmoid_bounds
from reference.doubledouble import Array
from reference.losses import Grade
from reference.precision import Precision


def soft_margin_bounds(
    logits: Array, signs: Array, value: Array, gradient: Array, grade: Grade, precision: Precision
) -> tuple[Array, Array, Array]:
    r"""Return the bounds of the value, the gradient and the target gradient, elementwise.

    - value l, log1p(exp(-z)) or max(-z, 0) + log1p(exp(-\|z\|)): u [(c_1 + 1) l + c_e sg(-z)] + 2 lam
    - gradient g = -y sg(-z), with sg a reciprocal of exponentials: (c_e + c_r + 2) u \|g\| + 2 (1 + \|y\|) lam; the lse form
      exp(-z - sp(-z)) adds \|g\| [min(u \|z\|, l1) + u (2 + c_1 + c_e) l1]: as in `bounds_sigmoid`, but a sum of \|z\| and l1
      loses at most the smaller one, so that huge logits are exact
    - target gradient -x sg(-z): one product more, (c_e + c_r + 3) u \|x sg(-z)\| + 2 (1 + \|x\|) lam, and the same for lse

    A label other than -1 and 1 rounds z, which moves l by u \|z\| sg(-z) and the slopes by u \|z\| of themselves.
    """
    u, lam = precision.u, precision.smallest
    margin = logits * signs
    size = np.where(np.isfinite(margin), np.abs(margin), 0.0)
    small = np.exp(-np.abs(margin))
    share = np.where(margin > 0, small, 1.0) / (1 + small)
    rounded = np.where(np.abs(signs) == 1, 0.0, size)
    value_bound = (LOG1P_ERROR + 1) * u * np.abs(value) + u * (EXP_ERROR + rounded) * share + 2 * lam
    relative = u * (EXP_ERROR + RECIPROCAL_ERROR + 2 + rounded)
    if grade.gradient == "lse":
        smaller = np.log1p(small)
        relative = relative + np.minimum(u * size, smaller) + (2 + LOG1P_ERROR + EXP_ERROR) * u * smaller
    gradient_bound = relative * np.abs(gradient) + 2 * (1 + np.abs(signs)) * lam
    target_bound = (relative + u) * (np.abs(logits) * share) + 2 * (1 + np.abs(logits)) * lam
    return value_bound, gradient_bound, target_bound


def multilabel_bounds(
    logits: Array,
    targets: Array,
    class_weight: Array | None,
    grade: Grade,
    precision: Precision,
) -> tuple[Array, Array, Array]:
    r"""Return the bounds of the value (rows,), the gradient and the target gradient (rows, n) of a mean over n outcomes.

    With the bounds b_k of the losses l_k, g_k and h_k of their gradients (`bounds_sigmoid.sigmoid_bounds`), weights w_k,
    r = 1 for weights and 0 without, and W = sum w_k \|l_k\|:

    - value: [sum w_k b_k + r u W + v A(w l) W + n lam] / n + 2 v W / n + lam. Where W is beyond the largest number the sum
      may overflow before its division: the largest number.
    - gradient: w_k g_k / n + (2 + r) u [w_k \|g\| / n + w_k (t sg(-x) + (1 - t) sg(x)) / n] + 4 lam: 1 / n and the weight are
      rounded and multiply the two terms before they cancel
    - target gradient: w_k h_k / n + (2 + r) u w_k (sp(x) + sp(-x)) / n + 4 lam
    """
    u, lam, n = precision.u, precision.smallest, logits.shape[-1]
    weight = np.ones(n) if class_weight is None else class_weight
    roundings = 0 if class_weight is None else 1
    size = np.where(np.isfinite(logits), np.abs(logits), 0.0)
    small = np.exp(-np.abs(logits))
    here, there = np.abs(targets), np.abs(1 - targets)
    losses = np.where(logits > 0, there, here) * size + np.log1p(small)
    up = np.where(logits > 0, 1.0, small) / (1 + small)
    slope = np.abs((1 - targets) * up - targets * (1 - up))
    bounds = sigmoid_bounds(logits, targets, losses, slope, grade, precision)
    # Halved until their sum cannot overflow: a power of two, which is exact.
    down = 2.0 ** -np.ceil(np.log2(n)) if n else 1.0
    sizes, errors = weight * (losses * down), weight * (bounds[0] * down)
    whole = sizes.sum(-1)
    value = errors.sum(-1) + roundings * u * whole + rounding_of_sum(sizes, whole, precision.v) + n * lam * down
    value = (value + 2 * precision.v * whole) / (n * down) + lam
    largest = np.nextafter(precision.largest, 0.0)  # what is added to a bound must not make it infinite
    with np.errstate(over="ignore"):
        value = np.where(whole / down >= min(precision.overflow, precision.largest), largest, value)
    share, more = weight / n, (2 + roundings) * u
    pair = here * (1 - up) + there * up
    slope_bound = share * (bounds[1] + more * (slope + pair)) + 4 * lam
    return value, slope_bound, share * (bounds[2] + more * (size + 2 * np.log1p(small))) + 4 * lam
