r"""Error bounds of softmax cross-entropy in its sound forms.

Notation, for one row of n logits: a = max x, k its class, d_i = a - x_i, e_i = exp(-d_i), s = sum_{i != k} e_i,
S = 1 + s, L = log S, p_i = e_i / S, q = s / S, l_i = d_i + L = -log p_i, H = sum p_i d_i; u and v the unit roundoffs of the
elements and of the accumulator, lam the smallest normal number (results below it may be flushed to zero);
A(w) the additions that count in a sum, `bounds_rounding.rounding_of_sum`.

The error of log S, absolute:

- log1p form, log1p(s): sigma = u [c_l L + H + c_e q] + v sum_{i != k} min(q, p_i / v)
- plain form, log(1 + s): sigma = u [c_l L + H + c_e q] + v A(p)

Here u H is the rounding of the differences seen through exp, u c_e q the error of exp (that of the largest class is
exact), v A that of the sum (Blanchard, Higham and Higham 2021, section 4; Higham 2002, chapter 4).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reference.bounds_rounding import EXP_ERROR, LOG_ERROR, rounding_of_others, rounding_of_sum
from reference.doubledouble import Array
from reference.losses import Grade
from reference.precision import Precision


@dataclass(frozen=True)
class SoftmaxRows:
    """The notation above for many rows. Lengths carry a quarter of their size, so that logits of 1e308 do not overflow."""

    quarter_distance: Array
    """(rows, n): d / 4, and 0 for a masked class: no term of it counts."""
    p: Array
    p_distance: Array
    """(rows, n): p d / 4."""
    quarter_largest: Array
    """(rows,): a / 4."""
    log_total: Array
    """(rows,): L."""
    plain_sigma: Array
    log1p_sigma: Array


def softmax_rows(logits: Array, precision: Precision) -> SoftmaxRows:
    """Return the notation above for ``logits`` (rows, n); a row that has no softmax counts as a row of zeros."""
    u, v = precision.u, precision.v
    each, pivot = np.arange(len(logits)), logits.argmax(-1)
    largest = logits[each, pivot]
    undefined = ~np.isfinite(largest)
    if undefined.any():
        logits = np.where(undefined[:, None], 0.0, logits)
        largest = np.where(undefined, 0.0, largest)
    quarter_largest = 0.25 * largest
    distance = quarter_largest[:, None] - 0.25 * logits
    exponential = np.exp(-4.0 * distance)
    distance[np.isinf(distance)] = 0.0
    # The pivot stays apart: beside its 1, a sum of others below 1e-16 would be lost, and the bound with it.
    exponential[each, pivot] = 0.0
    rest = exponential.sum(-1)
    total = 1.0 + rest
    p = exponential
    p /= total[:, None]
    q = rest / total
    plain_loss = rounding_of_others(p, np.full_like(q, v), v)
    log1p_loss = rounding_of_others(p, v * q, v)
    p[each, pivot] = 1.0 / total
    p_distance = p * distance
    log_total = np.log1p(rest)
    common = u * (LOG_ERROR * log_total + 4.0 * p_distance.sum(-1) + EXP_ERROR * q)
    return SoftmaxRows(distance, p, p_distance, quarter_largest, log_total, common + plain_loss, common + log1p_loss)


def sparse_softmax_bounds(
    logits: Array, labels: NDArray, value: Array, gradient: Array, grade: Grade, precision: Precision
) -> tuple[Array, Array]:
    r"""Return the bounds of the value (rows,) and the gradient (rows, n) of softmax cross-entropy at index targets.

    Value, with j the label and l the loss:

    - plain, log1p: u (d_j + l) + sigma + (n + 1) lam, with the sigma of the form
    - lse, (a + L) - x_j: u (\|a + L\| + l) + plain sigma + (n + 1) lam
    - log_quotient, -log(e_j / S): that of plain + u (c_e + 2 + c_l l): the relative error of p_j, its division or product
      with 1 / S included, and that of the logarithm; beyond it where p_j underflows

    Gradient: u p_i [d_i + l_i + c_e + 1] + p_i plain sigma + u \|g_i\| + 2 lam + n lam p_i; the quotient form drops l_i,
    the lse form adds u p_i (2 \|a + L\| + \|x_i\|). The log_quotient form, p_i (1 - t_i / p_i) by the chain rule, adds 5 u p_i
    to the quotient form, and 5 u at the label: two divisions, two products and a difference.
    """
    rows, u, lam = softmax_rows(logits, precision), precision.u, precision.smallest
    if grade.value == "lse":
        length = np.abs(rows.quarter_largest + 0.25 * rows.log_total)
    else:
        length = rows.quarter_distance[np.arange(len(logits)), labels]
    value_bound = 4.0 * u * length + u * np.abs(value) + sigma_of(rows, grade.value) + (logits.shape[-1] + 1) * lam
    if grade.value == "log_quotient":
        value_bound = value_bound + u * (EXP_ERROR + 2) + LOG_ERROR * u * np.abs(value)
    slope = probability_error(rows, grade.gradient, precision) + (u * np.abs(gradient) + 2 * lam)
    if grade.gradient == "log_quotient":
        slope = slope + 5 * u * rows.p
        slope[np.arange(len(logits)), labels] += 5 * u
    return value_bound, slope


def softmax_bounds(
    logits: Array,
    targets: Array,
    gradient: Array,
    grade: Grade,
    precision: Precision,
    *,
    scaled: bool,
    roundings: int = 0,
) -> tuple[Array, Array, Array]:
    r"""Return the bounds of the value (rows,), the gradient and the target gradient (rows, n) at soft targets.

    With T = sum \|t\|, W_k = \|t_k\| l_k, W = sum W_k:

    - value: u [sum \|t_k\| d_k + 2 W] + v A(W) W + T sigma + (1 + T) (n + 1) lam; the lse form has T \|a + L\| in place of
      sum \|t_k\| d_k, as each difference (a + L) - x_k starts from a rounded a + L
    - gradient T p - t: T (u p_i [d_i + l_i + c_e + 1] + p_i plain sigma + n lam p_i) + T p_i (u + v A(t)) + 2 u \|g_i\|
      + 2 (1 + T) lam, with the terms of the other forms as in `sparse_softmax_bounds`; p - t (not ``scaled``) has 1 in
      place of the first T and no error of T
    - target gradient -log p_k = d_k + L: the value at the label k, u (d_k + l_k) + sigma + (n + 1) lam: the rounding of
      d_k, of the sum l_k, and the error of L; the lse form has \|a + L\| in place of d_k
    - the log_quotient form adds u (c_e + 2 + c_l l_k) to each log p_k, in the value times \|t_k\|, and to the gradient
      5 u (T p_i + \|t_i\|)
    - targets that are themselves rounded k times (``roundings``: smoothed, or weighted by class) add k u W to the value and
      k u (T p_i + \|t_i\|) to the gradient, without T p_i where it is not ``scaled``
    """
    rows, u, lam = softmax_rows(logits, precision), precision.u, precision.smallest
    weight = np.abs(targets)
    total = weight.sum(-1)
    sigma, flushed = sigma_of(rows, grade.value), (logits.shape[-1] + 1) * lam
    value = softmax_value_bound(rows, weight, total, grade.value, precision, roundings=roundings)

    slope = probability_error(rows, grade.gradient, precision)
    if scaled:
        of_total = u * total + rounding_of_sum(weight, total, precision.v)
        slope = total[:, None] * slope + rows.p * of_total[:, None]
    slope = slope + 2 * u * np.abs(gradient) + (2 * lam * (1 + total))[:, None]
    if grade.gradient == "log_quotient":
        slope = slope + 5 * u * (total[:, None] * rows.p + weight)
    if roundings:
        slope = slope + roundings * u * (weight + (total[:, None] * rows.p if scaled else 0.0))

    length = 4.0 * u * rows.quarter_distance
    constant = u * rows.log_total + sigma + flushed
    if grade.value == "lse":
        constant = constant + 4.0 * u * np.abs(rows.quarter_largest + 0.25 * rows.log_total)
    else:
        length = 2.0 * length
    if grade.value == "log_quotient":
        length = (1 + 0.5 * LOG_ERROR) * length  # u (d + l) has been 2 u d + u L: c_l u d more
        constant = constant + u * (EXP_ERROR + 2 + LOG_ERROR * rows.log_total)
    return value, slope, length + constant[:, None]


def softmax_value_bound(
    rows: SoftmaxRows, weight: Array, total: Array, form: str, precision: Precision, *, roundings: int = 0
) -> Array:
    """Return the value's bound of `softmax_bounds` for the weights abs(t) and their sum."""
    u, n = precision.u, weight.shape[-1]
    if form == "lse":
        lengths = total * np.abs(rows.quarter_largest + 0.25 * rows.log_total)
    else:
        lengths = (weight * rows.quarter_distance).sum(-1)
    terms = weight * (rows.quarter_distance + 0.25 * rows.log_total[:, None])
    whole = terms.sum(-1)
    rounding = 4.0 * (u * lengths + (2 + roundings) * u * whole + rounding_of_sum(terms, whole, precision.v))
    if form == "log_quotient":
        rounding = rounding + u * (EXP_ERROR + 2) * total + 4.0 * u * LOG_ERROR * whole
    return rounding + total * sigma_of(rows, form) + (1 + total) * (n + 1) * precision.smallest


def probability_error(rows: SoftmaxRows, form: str, precision: Precision) -> Array:
    r"""Return the bound of p_i (rows, n): u p_i [d_i + l_i + c_e + 1] + p_i plain sigma + n lam p_i, by gradient form."""
    u = precision.u
    per_row = u * (EXP_ERROR + 1) + rows.plain_sigma + rows.p.shape[-1] * precision.smallest
    if form in ("quotient", "log_quotient"):
        return rows.p * per_row[:, None] + 4.0 * u * rows.p_distance
    error = rows.p * (per_row + u * rows.log_total)[:, None] + 8.0 * u * rows.p_distance
    if form == "lse":
        logit = np.abs(rows.quarter_largest[:, None] - rows.quarter_distance)
        offset = np.abs(rows.quarter_largest + 0.25 * rows.log_total)
        error = error + 4.0 * u * rows.p * (2 * offset[:, None] + logit)
    return error


def sigma_of(rows: SoftmaxRows, form: str) -> Array:
    """Return the error of log S (rows,) by form: everywhere that of the plain form, but in the log1p form."""
    return rows.log1p_sigma if form == "log1p" else rows.plain_sigma
