r"""Error bounds of what is added to softmax cross-entropy: the term of a poly loss, a z-loss, and the soft cap of the logits.

Notation as in `bounds_softmax`.
"""

import numpy as np
from numpy.typing import NDArray

from reference.bounds_focal import Near, times
from reference.bounds_rounding import EXPM1_ERROR, TANH_ERROR, rounding_of_sum
from reference.bounds_softmax import SoftmaxRows, probability_error, softmax_bounds, softmax_rows, sparse_softmax_bounds
from reference.doubledouble import Array
from reference.losses import Grade
from reference.options import Options, one_hot_targets
from reference.precision import Precision


def poly_bounds(
    logits: Array,
    targets: Array,
    value: Array,
    gradient: Array,
    epsilon: float,
    grade: Grade,
    precision: Precision,
    *,
    roundings: int = 0,
) -> tuple[Array, Array, Array]:
    r"""Return the bounds of the value (rows,), the gradient and the target gradient (rows, n) of a poly loss.

    Beside those of `bounds_softmax.softmax_bounds`, with dp_k the error of p_k, E = \|epsilon\| and m = sum \|t_k\| p_k:

    - 1 - p errs by dp + u (1 - p); the log1p form is -expm1(-l), with p times the error of l and c_x u (1 - p). The value has
      E times the sum of \|t_k\| times that, 2 u and v A of its terms, and u of the term and of the sum
    - gradient epsilon p_i (m - t_i): E [dp_i (\|t_i\| + m) + p_i (sum \|t_k\| dp_k + v A(t p) m) + 5 u p_i (\|t_i\| + m)]
    - target gradient: E times the error of 1 - p_k, 2 u of it and u of the sum
    """
    u, weight, size = precision.u, np.abs(targets), abs(epsilon)
    base = softmax_bounds(logits, targets, gradient, grade, precision, scaled=True, roundings=roundings)
    rows = softmax_rows(logits, precision)
    of_p = probability_error(rows, grade.gradient, precision)
    rest = np.where(rows.quarter_distance == 0, np.maximum(-np.expm1(-rows.log_total)[:, None], 0.0), 1 - rows.p)
    off = rows.p * base[2] + EXPM1_ERROR * u * rest if grade.value == "log1p" else of_p + u * rest
    terms = weight * rest
    added = terms.sum(-1)
    of_value = (weight * off).sum(-1) + (2 + roundings) * u * added + rounding_of_sum(terms, added, precision.v)
    mass = weight * rows.p
    mean = mass.sum(-1)
    common = (weight * of_p).sum(-1) + rounding_of_sum(mass, mean, precision.v)
    slope = of_p * (weight + mean[:, None]) + rows.p * common[:, None] + (5 + roundings) * u * rows.p * (weight + mean[:, None])
    logarithm = 4.0 * rows.quarter_distance + rows.log_total[:, None]
    return (
        base[0] + size * (of_value + 2 * u * added) + u * np.abs(value),
        base[1] + size * slope + u * np.abs(gradient),
        base[2] + size * (off + 2 * u * rest) + u * (logarithm + size * rest),
    )


def softmax_bounds_with_terms(
    logits: Array,
    targets: NDArray,
    value: Array,
    options: Options,
    grade: Grade,
    precision: Precision,
    *,
    scaled: bool,
    roundings: int,
) -> tuple[Array, ...]:
    r"""Return the bounds of softmax cross-entropy with a z-loss or a soft cap, at soft targets or labels.

    A soft cap c moves each logit y = c tanh(x / c) by delta_i = (c_t + 3) u \|y_i\|, c_t the error of tanh, and log S by D =
    sum p_i delta_i at most. Beside the bounds at y, the value has sum \|t_k\| delta_k + T D, the gradient g_i of y has
    T p_i (delta_i + D), and that of x, g_i (1 - tanh^2): the product of its factors, with 1 - tanh^2 off by u (2 c_t + 4)
    tanh^2 + u (1 - tanh^2), and 3 u; the target gradient delta_k + D.

    A z-loss adds z s^2, s = log sum exp(x) = a + L, with ds = u \|s\| + sigma + D: \|z\| (2 \|s\| ds + ds^2) + 3 u z s^2 and
    u of the sum in the value; in the gradient 2 \|z\| times the product of s and p, with 5 u, and u of the sum. But for the
    quotient form that p is exp(x - s), off by the factor exp(u (2 \|s\| + \|x\|)), and by 1 at most: not of first order where
    an offset is large.
    """
    u, x, slope = precision.u, logits, None
    moved = np.zeros_like(logits)
    if options.soft_cap is not None:
        ratio = np.where(np.isneginf(logits), 0.0, np.tanh(logits / options.soft_cap))
        x = np.where(
            np.isneginf(logits) & (np.ones_like(logits, np.bool_) if options.where is None else ~options.where),
            -np.inf,
            options.soft_cap * np.tanh(logits / options.soft_cap),
        )
        moved = np.where(np.isfinite(x), (TANH_ERROR + 3) * u * np.abs(x), 0.0)
        flat = np.where(np.isfinite(x), 1 / np.cosh(np.minimum(np.abs(logits / options.soft_cap), 700)) ** 2, 0.0)
        slope = Near(flat, u * ((2 * TANH_ERROR + 4) * ratio**2 + flat))
    dense = targets if targets.ndim == x.ndim else one_hot_targets(targets, x.shape[-1])
    rows = softmax_rows(x, precision)
    weight = np.abs(dense)
    total = weight.sum(-1)
    own = (total[:, None] if scaled else 1.0) * rows.p - dense
    if targets.ndim == x.ndim:
        bounds = list(softmax_bounds(x, dense, own, grade, precision, scaled=scaled, roundings=roundings))
    else:
        bounds = list(sparse_softmax_bounds(x, targets, value, own, grade, precision))
    common = (rows.p * moved).sum(-1)
    bounds[0] = bounds[0] + (weight * moved).sum(-1) + total * common
    of_p = probability_error(rows, grade.gradient, precision) + rows.p * (moved + common[:, None])
    bounds[1] = bounds[1] + (total[:, None] if scaled else 1.0) * rows.p * (moved + common[:, None])
    if len(bounds) == 3:
        bounds[2] = bounds[2] + moved + common[:, None]
    size = np.abs(own)
    if options.z_loss is not None:
        size, bounds = _with_z_loss(size, bounds, rows, of_p, common, value, abs(options.z_loss), grade.gradient, precision)
    if slope is not None:
        through = times(Near(size, bounds[1]), slope)
        bounds[1] = through.error + 3 * u * through.size + 2 * precision.smallest
    return tuple(bounds)


def _with_z_loss(
    size: Array,
    bounds: list[Array],
    rows: SoftmaxRows,
    of_p: Array,
    common: Array,
    value: Array,
    z: float,
    form: str,
    precision: Precision,
) -> tuple[Array, list[Array]]:
    """Return the size of the gradient and the bounds with those of z s^2 added."""
    u, s = precision.u, np.abs(4.0 * (rows.quarter_largest + 0.25 * rows.log_total))
    off = u * s + rows.plain_sigma + common
    added = (z * s) * s
    bounds[0] = bounds[0] + (z * off) * (2 * s + off) + 3 * u * added + u * np.abs(value) + precision.smallest
    if form != "quotient":
        offset = np.abs(rows.quarter_largest + 0.25 * rows.log_total)[:, None]
        moved = 4.0 * u * (2 * offset + np.abs(rows.quarter_largest[:, None] - rows.quarter_distance))
        of_p = np.minimum(of_p + (rows.p + of_p) * np.expm1(np.minimum(moved, 700.0)), 1.0)
    steep = times(Near(2 * z * s[:, None], 2 * z * off[:, None]), Near(rows.p, of_p))
    bounds[1] = bounds[1] + steep.error + 5 * u * steep.size + u * size + precision.smallest
    return size + steep.size, bounds
