"""Error bounds: how far the result of each sound form of a loss may be from the truth, on the very input it was given.

The formulas stand with the losses they belong to, in the modules `bounds_*` beside this one; here they are chosen by the
loss and its grade, and carried through options, reductions and upstream gradients. The constants are the errors of
elementary functions and the caps on sums in `bounds_rounding`, and `SUM_CAP`, that of a sum over a batch.

Most formulas follow from first-order rounding analysis. Where that does not hold, as for powers of numbers near 0 in focal
losses and for logits that are themselves sums in linear losses, the module says what its bound follows from.

Sources: N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd edition, SIAM (2002); P. Blanchard,
D. J. Higham and N. J. Higham, "Accurately computing the log-sum-exp and softmax functions", IMA J. Numer. Anal. 41(4) (2021).
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reference.bounds_divergence import (
    divergence_bounds,
    divergence_of_logs_bounds,
    divergence_with_log_targets_bounds,
    likelihood_bounds,
)
from reference.bounds_focal import binary_focal_bounds, sigmoid_focal_bounds
from reference.bounds_focal_classes import categorical_focal_bounds, generalized_bounds, softmax_focal_bounds
from reference.bounds_linear import LinearBounds, linear_bounds
from reference.bounds_margin import multilabel_bounds, soft_margin_bounds
from reference.bounds_probability import binary_bounds, categorical_bounds
from reference.bounds_sigmoid import sigmoid_bounds
from reference.bounds_softmax import softmax_bounds, sparse_softmax_bounds
from reference.bounds_softmax_terms import poly_bounds, softmax_bounds_with_terms
from reference.doubledouble import Array
from reference.evaluate import Evaluation, Upstream, linear_problem
from reference.losses import LOSSES, Grade, Loss
from reference.options import (
    EPSILON,
    GAMMA,
    NONE,
    REDUCTIONS,
    Options,
    Problem,
    Q,
    labels_in_range,
    one_hot_targets,
    plain_problem,
)
from reference.precision import PRECISIONS, Precision
from reference.semantics import MATHEMATICAL, Semantics

BLOCK = 32768
"""Elements at a time: what the temporaries keep in cache."""

SUM_CAP = 128.0
"""A blocked sum over a batch loses at most 128 + log2 N roundoffs."""


@dataclass(frozen=True, eq=False)
class Bounds:
    """The largest error of a sound form; each array has the shape of its counterpart in `reference.evaluate.Evaluation`.

    Bounds are absolute, finite and not negative. Where the expected value is NaN or infinite the bound is 0.
    """

    value: Array
    gradient: Array
    target_gradient: Array | None
    linear: LinearBounds | None = None


def error_bounds(
    loss: str,
    prediction: NDArray,
    target: NDArray,
    evaluation: Evaluation,
    *,
    options: Options = NONE,
    grade: Grade,
    semantics: Semantics = MATHEMATICAL,
    precision: str,
    upstream: Upstream | None = None,
) -> Bounds:
    """Return the error bounds of the forms that ``grade`` names, for results without reduction.

    Args:
        loss: a name in `reference.losses.LOSSES`.
        prediction: as for `reference.evaluate.evaluate`.
        target: as for `reference.evaluate.evaluate`.
        evaluation: what `reference.evaluate.evaluate` returned for these under the same options and semantics.
        options: those given, as for `reference.evaluate.evaluate`.
        grade: the forms that value and gradient are computed by, of those that the loss has.
        semantics: the alternative at every choice point.
        precision: the dtype that the loss is computed in, by NumPy's name.
        upstream: as for `reference.evaluate.evaluate`.

    Raises:
        KeyError: unknown loss or precision.
        ValueError: a form that the loss does not have.
    """
    spec = LOSSES[loss]
    for form, known in ((grade.value, spec.value_forms), (grade.gradient, spec.gradient_forms)):
        if form not in known:
            raise ValueError(f"{form!r} is not a sound form of {loss}: use one of {', '.join(known)}")
    x, t = np.asarray(prediction, np.float64), np.asarray(target)
    if evaluation.linear is not None:
        return _linear(spec, x, t, evaluation, options, grade, semantics, precision, upstream)
    if x.size == 0:
        nothing = None if evaluation.target_gradient is None else np.zeros(evaluation.target_gradient.shape)
        return Bounds(np.zeros(evaluation.value.shape), np.zeros(x.shape), nothing)
    if evaluation.plain is None:
        return _plain_bounds(spec, x, t, evaluation, options, grade, semantics, precision, 0)
    problem = plain_problem(spec, x, t, options, semantics)
    roundings = problem.roundings + (_roundings_of_both(precision) - 1 if problem.roundings else 0)
    plain = _plain_bounds(
        spec, problem.prediction, problem.target, evaluation.plain, options, grade, semantics, precision, roundings
    )
    return _weighed(plain, evaluation.plain, evaluation, problem, precision)


def _linear(
    spec: Loss,
    x: Array,
    t: NDArray,
    evaluation: Evaluation,
    options: Options,
    grade: Grade,
    semantics: Semantics,
    precision: str,
    upstream: Upstream | None,
) -> Bounds:
    problem, upstream = linear_problem(spec, x, t, options, semantics, upstream)
    truth = evaluation.linear
    assert truth is not None and options.linear_weight is not None  # what makes it a loss of hidden states
    bounds = linear_bounds(
        problem.prediction,
        options.linear_weight,
        options.linear_bias,
        problem.target,
        truth,
        cotangent=problem.factor * upstream.rows,
        grade=grade,
        scaled=semantics.unnormalised_gradient == "scaled",
        precision=precision,
        target_roundings=problem.roundings + (_roundings_of_both(precision) - 1 if problem.roundings else 0),
        factor_roundings=(1 + upstream.roundings) * _roundings_of_both(precision),
    )
    value = scaled_gradient_bound(truth.value, bounds.value, problem.factor, precision=precision)
    value[problem.dropped] = 0.0
    if evaluation.target_gradient is None or truth.targets is None or bounds.targets is None:
        return Bounds(value, bounds.hidden, None, bounds)
    slope = problem.slope * upstream.rows[:, None]
    # The roundings of the targets' weights and of the upstream gradient, beside those of one factor and its product.
    more = problem.roundings + upstream.roundings * _roundings_of_both(precision)
    own = bounds.targets + more * PRECISIONS[precision].u * np.abs(np.nan_to_num(truth.targets, posinf=0, neginf=0))
    return Bounds(value, bounds.hidden, scaled_gradient_bound(truth.targets, own, slope, precision=precision), bounds)


def _weighed(plain: Bounds, truth: Evaluation, weighed: Evaluation, problem: Problem, precision: str) -> Bounds:
    """Return the bounds of a problem with its rows and targets weighed, as `scaled_gradient_bound` has it; 0 where dropped."""
    factor = problem.factor[:, None]
    value = scaled_gradient_bound(
        truth.value, plain.value, problem.factor if truth.value.ndim == 1 else factor, precision=precision
    )
    gradient = scaled_gradient_bound(truth.gradient, plain.gradient, factor, precision=precision)
    target_gradient = None
    if weighed.target_gradient is not None and plain.target_gradient is not None:
        assert truth.target_gradient is not None
        # Those of targets that are smoothed or weighted on the way.
        more = problem.roundings * PRECISIONS[precision].u * np.abs(np.nan_to_num(truth.target_gradient, posinf=0, neginf=0))
        target_gradient = scaled_gradient_bound(
            truth.target_gradient, plain.target_gradient + more, problem.slope, precision=precision
        )
    for bound in (value, gradient, target_gradient):
        if bound is not None:
            bound[problem.dropped] = 0.0
    return Bounds(value, gradient, target_gradient)


def _plain_bounds(
    spec: Loss,
    x: Array,
    t: NDArray,
    evaluation: Evaluation,
    options: Options,
    grade: Grade,
    semantics: Semantics,
    precision: str,
    roundings: int,
) -> Bounds:
    """Return the bounds of a problem without weights, whose targets have been rounded on the way."""
    exact = _exact_labels(t, x.shape[-1], semantics) if t.ndim < x.ndim else None
    rows = _by_row(spec, x, t, evaluation, semantics)
    form = BOUNDS[spec.name]
    with np.errstate(all="ignore"):  # special values take part in the arithmetic; their bounds are dropped at its end
        blocks = [slice(None)] if options.given else _blocks(rows[0])
        x, t, value, gradient = rows
        how = _Computation(options, grade, semantics, PRECISIONS[precision], roundings)
        parts = [form(x[block], t[block], value[block], gradient[block], how) for block in blocks]
    joined = parts[0] if len(parts) == 1 else [np.concatenate(column) for column in zip(*parts, strict=True)]
    target_gradient = evaluation.target_gradient
    return Bounds(
        _judged(joined[0], evaluation.value, precision, exact),
        _judged(joined[1], evaluation.gradient, precision, exact),
        None if target_gradient is None else _judged(joined[2], target_gradient, precision, None),
    )


def _by_row(spec: Loss, x: Array, t: NDArray, truth: Evaluation, semantics: Semantics) -> list[Array]:
    """Return predictions, targets, values and gradients with one leading axis, the class axis last."""
    shape = (-1, x.shape[-1] if x.ndim else 1)
    if t.ndim == x.ndim:
        t = t.astype(np.float64, copy=False).reshape(shape)
    else:
        t = np.clip(labels_in_range(t.ravel(), x.shape[-1], semantics), 0, x.shape[-1] - 1)
    value = truth.value.ravel() if truth.value.ndim < x.ndim else truth.value.reshape(shape)
    return [x.reshape(shape), t, value, truth.gradient.reshape(shape)]


def _exact_labels(labels: NDArray, classes: int, semantics: Semantics) -> NDArray[np.bool_] | None:
    """Tell where a label out of range gives a gradient of exactly 0; None where none can."""
    points, exact = (semantics.negative_index, semantics.index_too_large), ("zero", "nan_zero")
    if not set(points) & set(exact):
        return None
    zero = np.zeros(labels.shape, np.bool_)
    for outside, picked in zip((labels < 0, labels >= classes), points, strict=True):
        zero |= outside & (picked in exact)
    return zero


def _blocks(rows: Array) -> Iterator[slice]:
    """Yield slices of rows that hold about `BLOCK` elements each."""
    step = max(1, BLOCK * len(rows) // rows.size)
    for start in range(0, len(rows), step):
        yield slice(start, start + step)


@dataclass(frozen=True, eq=False)
class _Computation:
    """How a loss is computed: its options, its forms, what it means, in which dtype, on targets rounded how often."""

    options: Options
    grade: Grade
    semantics: Semantics
    precision: Precision
    roundings: int


def _binary(x: Array, t: Array, value: Array, gradient: Array, how: _Computation) -> tuple[Array, ...]:
    return binary_bounds(x, t, value, gradient, how.grade, how.semantics, how.precision, roundings=how.roundings)


def _categorical(x: Array, t: NDArray, value: Array, gradient: Array, how: _Computation) -> tuple[Array, ...]:
    hard = t.ndim < x.ndim
    t = one_hot_targets(t, x.shape[-1]) if hard else t
    return categorical_bounds(x, t, gradient, how.semantics, how.precision, hard=hard, roundings=how.roundings)


def _sigmoid(x: Array, t: Array, value: Array, gradient: Array, how: _Computation) -> tuple[Array, ...]:
    weight = how.options.pos_weight
    return sigmoid_bounds(x, t, value, gradient, how.grade, how.precision, positive_weight=weight, roundings=how.roundings)


def _softmax(x: Array, t: NDArray, value: Array, gradient: Array, how: _Computation) -> tuple[Array, ...]:
    scaled = how.semantics.unnormalised_gradient == "scaled"
    if how.options.z_loss is not None or how.options.soft_cap is not None:
        return softmax_bounds_with_terms(
            x, t, value, how.options, how.grade, how.precision, scaled=scaled, roundings=how.roundings
        )
    if t.ndim < x.ndim:
        return sparse_softmax_bounds(x, t, value, gradient, how.grade, how.precision)
    return softmax_bounds(x, t, gradient, how.grade, how.precision, scaled=scaled, roundings=how.roundings)


def _likelihood(x: Array, t: NDArray, value: Array, gradient: Array, how: _Computation) -> tuple[Array, ...]:
    return likelihood_bounds(value, gradient, how.precision)


def _divergence(x: Array, t: Array, value: Array, gradient: Array, how: _Computation) -> tuple[Array, ...]:
    return divergence_bounds(x, t, how.grade.value, how.semantics, how.precision)


def _divergence_of_logs(x: Array, t: Array, value: Array, gradient: Array, how: _Computation) -> tuple[Array, ...]:
    return divergence_of_logs_bounds(x, t, how.grade.value, how.semantics, how.precision)


def _divergence_with_log_targets(x: Array, t: Array, value: Array, gradient: Array, how: _Computation) -> tuple[Array, ...]:
    return divergence_with_log_targets_bounds(x, t, how.semantics, how.precision)


def _soft_margin(x: Array, t: Array, value: Array, gradient: Array, how: _Computation) -> tuple[Array, ...]:
    return soft_margin_bounds(x, t, value, gradient, how.grade, how.precision)


def _multilabel(x: Array, t: Array, value: Array, gradient: Array, how: _Computation) -> tuple[Array, ...]:
    return multilabel_bounds(x, t, how.options.class_weight, how.grade, how.precision)


def _binary_focal(x: Array, t: NDArray, value: Array, gradient: Array, how: _Computation) -> tuple[Array, ...]:
    return binary_focal_bounds(
        x, t, value, gradient, how.options.alpha, _gamma(how), how.grade, how.semantics, how.precision, roundings=how.roundings
    )


def _sigmoid_focal(x: Array, t: NDArray, value: Array, gradient: Array, how: _Computation) -> tuple[Array, ...]:
    return sigmoid_focal_bounds(
        x, t, value, gradient, how.options.alpha, _gamma(how), how.grade, how.semantics, how.precision, roundings=how.roundings
    )


def _categorical_focal(x: Array, t: NDArray, value: Array, gradient: Array, how: _Computation) -> tuple[Array, ...]:
    return categorical_focal_bounds(
        x, t, gradient, how.options.alpha, _gamma(how), how.semantics, how.precision, roundings=how.roundings
    )


def _softmax_focal(x: Array, t: NDArray, value: Array, gradient: Array, how: _Computation) -> tuple[Array, ...]:
    return softmax_focal_bounds(
        x, t, gradient, how.options.alpha, _gamma(how), how.grade, how.semantics, how.precision, roundings=how.roundings
    )


def _gamma(how: _Computation) -> float:
    return GAMMA if how.options.gamma is None else how.options.gamma


def _poly(x: Array, t: NDArray, value: Array, gradient: Array, how: _Computation) -> tuple[Array, ...]:
    epsilon = EPSILON if how.options.epsilon is None else how.options.epsilon
    return poly_bounds(x, t, value, gradient, epsilon, how.grade, how.precision, roundings=how.roundings)


def _generalized(x: Array, t: NDArray, value: Array, gradient: Array, how: _Computation) -> tuple[Array, ...]:
    t = one_hot_targets(t, x.shape[-1]) if t.ndim < x.ndim else t
    q = Q if how.options.q is None else how.options.q
    return generalized_bounds(x, t, gradient, q, how.grade, how.semantics, how.precision, roundings=how.roundings)


BOUNDS: dict[str, Callable[[Array, NDArray, Array, Array, _Computation], tuple[Array, ...]]] = {
    "binary_cross_entropy": _binary,
    "categorical_cross_entropy": _categorical,
    "sparse_categorical_cross_entropy": _categorical,
    "sigmoid_cross_entropy_with_logits": _sigmoid,
    "softmax_cross_entropy_with_logits": _softmax,
    "sparse_softmax_cross_entropy_with_logits": _softmax,
    "negative_log_likelihood": _likelihood,
    "kl_divergence": _divergence,
    "kl_divergence_of_log_probabilities": _divergence_of_logs,
    "kl_divergence_with_log_targets": _divergence_with_log_targets,
    "soft_margin": _soft_margin,
    "multilabel_soft_margin": _multilabel,
    "binary_focal_cross_entropy": _binary_focal,
    "binary_focal_cross_entropy_with_logits": _sigmoid_focal,
    "categorical_focal_cross_entropy": _categorical_focal,
    "categorical_focal_cross_entropy_with_logits": _softmax_focal,
    "poly_loss_cross_entropy": _poly,
    "generalized_cross_entropy": _generalized,
}
"""The bounds of each loss, on rows: (prediction, target, value, gradient, how) -> value, gradient, target gradient."""


def _judged(bound: Array, expected: Array, precision: str, exact: NDArray[np.bool_] | None) -> Array:
    """Return ``bound`` in the shape of ``expected``; 0 where that is a special value or a row is ``exact``.

    The expected value is itself rounded to float64: half an ulp of it, which only a float64 result can tell from its own error.
    """
    finite = np.isfinite(expected)
    bound, everywhere = bound.reshape(expected.shape), finite.all()
    if precision == "float64":
        bound = bound + 0.5 * np.spacing(np.abs(expected if everywhere else np.where(finite, expected, 0.0)))
    bound = np.asarray(bound, order="C") if everywhere else np.where(finite, bound, 0.0)
    if exact is not None:
        bound[exact] = 0.0
    return bound


def reduced_bound(
    values: ArrayLike,
    bounds: Bounds,
    *,
    reduction: str,
    precision: str,
    divisor: float | None = None,
    weight: Array | None = None,
) -> float:
    r"""Return the error bound of a reduction of N losses l_i with the bounds b_i = ``bounds.value``: their sum, or a mean.

    - sum: sum b_i + v A_N sum \|l_i\| + N lam, A_N = min(sum_{i != largest} min(1, \|l_i\| / (v sum \|l\|)), 128 + log2 N)
    - all others, the sum over a ``divisor`` D, N unless given: that over D, + 2 v \|mean\| + lam for the division; where D is
      the sum of ``weight``, v A(weight) \|mean\| more

    N lam and lam: partial sums and a quotient below the smallest normal number may be flushed to zero. In float64 the expected
    sum or mean has the same roundings as the result, so both terms of v count twice. Computed on values scaled by a power of
    two, so that a finite mean has a finite bound. 0 for N = 0 and for values that are not all finite.

    Raises:
        ValueError: "none", or a reduction that is not in `reference.options.REDUCTIONS`.

    Source: Higham 2002, sections 4.2 and 4.3.
    """
    if reduction not in REDUCTIONS or reduction == "none":
        raise ValueError(f"{reduction!r} is not a reduction that has a bound: use one of {', '.join(list(REDUCTIONS)[1:])}")
    losses, errors = np.ravel(np.asarray(values, np.float64)), np.ravel(bounds.value)
    count, limits = losses.size, PRECISIONS[precision]
    if count == 0 or not np.isfinite(losses).all():
        return 0.0
    down = 2.0 ** -math.ceil(math.log2(count))
    sizes = np.abs(losses) * down
    whole = float(sizes.sum())
    unit = limits.v * whole
    lost = float(np.minimum(sizes, unit).sum()) - min(unit, float(sizes.max()))
    lost = min(max(lost, 0.0), unit * (SUM_CAP + math.log2(count)))
    judges = _roundings_of_both(precision)
    bound = float((errors * down).sum()) + judges * lost + count * down * limits.smallest
    if reduction == "sum":
        return bound / down
    by = (count if divisor is None else divisor) * down
    if by == 0:
        return 0.0
    mean = abs(float((losses * down).sum()) / by)
    return bound / by + judges * (2 + additions(weight, precision)) * limits.v * mean + limits.smallest


def reduced_gradient_bound(
    gradient: ArrayLike, bound: ArrayLike, factor: float, *, weight: Array | None, precision: str
) -> Array:
    r"""Return the error bound of a gradient under a sum or mean, ``factor`` times the gradient of the losses.

    That of `scaled_gradient_bound`, and v A(weight) \|factor gradient\| more, where the factor is one over a sum of weights.
    """
    slack = scaled_gradient_bound(gradient, bound, factor, precision=precision)
    lost = _roundings_of_both(precision) * PRECISIONS[precision].v * additions(weight, precision)
    with np.errstate(over="ignore", invalid="ignore"):
        size = np.abs(np.asarray(gradient, np.float64) * factor)
    return slack + np.where(np.isfinite(size), lost * size, 0.0)


def underflow_of_mean(loss: str, quantity: str, prediction: ArrayLike, target: ArrayLike, *, precision: str) -> Array | float:
    r"""Return what the bound of a gradient is wider by where the loss is part of a mean: 2 lam / p, or 2 lam \|x\|.

    The factor 1 / N comes from above, and reaches the target, or sg(-y x), first: their product underflows below lam. Then
    it is divided by p, in the gradient with respect to probabilities (by p and 1 - p of two outcomes), or multiplied by x, in
    that with respect to the signs of a margin, and with it what was lost. A target of 0 loses nothing.
    """
    spec, lam = LOSSES[loss], PRECISIONS[precision].smallest
    x, t = np.abs(np.asarray(prediction, np.float64)), np.asarray(target)
    if spec.prediction == "probability" and quantity == "gradient":
        t = one_hot_targets(t, x.shape[-1]) if spec.target == "index" else t
        lost = np.divide(2 * lam, x, out=np.zeros_like(x), where=(x > 0) & (t != 0))
        there = (x < 1) & (t != 1) & (not spec.has_classes)
        return np.maximum(lost, np.divide(2 * lam, np.abs(1 - x), out=np.zeros_like(x), where=there))
    return 2 * lam * x if spec.target == "sign" and quantity == "target gradient" else 0.0


def additions(weight: Array | None, precision: str) -> float:
    """Return A(w), the additions that count in a sum of weights."""
    v = PRECISIONS[precision].v
    if weight is None or not weight.any():
        return 0.0
    unit = v * float(weight.sum())
    return min(float(np.minimum(weight, unit).sum()) / unit, SUM_CAP + math.log2(weight.size))


def _roundings_of_both(precision: str) -> int:
    """Return how often a rounding counts: twice in float64, where the expected result has it too."""
    return 2 if precision == "float64" else 1


def scaled_gradient_bound(gradient: ArrayLike, bound: ArrayLike, factor: ArrayLike, *, precision: str) -> Array:
    r"""Return the error bound of ``factor * gradient``: \|factor\| bound + 2 u \|factor gradient\| + 2 lam.

    ``factor`` is an upstream gradient, one over the number of losses in a mean, or their product; it broadcasts. 2 u: the
    factor is rounded once and so is the product; in float64 those of the expected product count as well. A factor of 0 makes
    an exact 0. Where the scaled gradient is not finite the bound is 0.
    """
    limits = PRECISIONS[precision]
    g, b, c = (np.asarray(a, np.float64) for a in (gradient, bound, factor))
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.abs(c * g)
        result = np.abs(c) * b + 2 * _roundings_of_both(precision) * limits.u * scaled + 2 * limits.smallest * (c != 0)
        finite = np.isfinite(scaled)
    return np.asarray(result, order="C") if finite.all() else np.where(finite, result, 0.0)


def bound_ratio(got: ArrayLike, expected: ArrayLike, bound: ArrayLike, *, precision: str) -> Array:
    """Return error over bound, elementwise: up to 1 the result is within its bound, above it is not.

    NaN answers NaN, and an infinity the same infinity: ratio 0; anything else there: inf. For a finite expected value the
    ratio is abs(got - expected) / bound, with 0 / 0 = 0 and x / 0 = inf; the sign of zero plays no part. An infinity of the
    right sign is ratio 0 where abs(expected) + bound reaches the overflow of the dtype, and inf otherwise.

    Raises:
        ArithmeticError: a bound that is not finite, or is negative, where the expected value is finite: nothing can be judged.
    """
    results, truth, allowed = (np.asarray(a, np.float64) for a in (got, expected, bound))
    with np.errstate(all="ignore"):
        ratio = np.asarray(np.abs(results - truth) / allowed)
    if ratio.max(initial=0.0) < np.inf and allowed.min(initial=1.0) > 0 and allowed.max(initial=0.0) < np.inf:
        return ratio  # nothing infinite, NaN or without an error: most calls
    finite = np.isfinite(truth)
    bad = finite & ~((allowed >= 0) & (allowed < np.inf))
    if bad.any():
        found = np.broadcast_to(allowed, bad.shape)[bad][0]
        raise ArithmeticError(
            f"an error bound is {found}: it must be finite and not negative where the expected value is finite"
        )
    with np.errstate(all="ignore"):
        error = np.abs(results - truth)
        ratio = np.where(error == 0, 0.0, error / allowed)
        ratio = np.where(np.isfinite(error), ratio, np.inf)
        if np.isfinite(results).all() and finite.all():
            return ratio
        overflows = np.abs(truth) + allowed >= PRECISIONS[precision].overflow
    rounded_up = np.isinf(results) & (np.sign(results) == np.sign(truth)) & overflows
    same = np.where(np.isnan(truth), np.isnan(results), results == truth)
    return np.where(np.where(finite, rounded_up, same), 0.0, np.where(finite, ratio, np.inf))
