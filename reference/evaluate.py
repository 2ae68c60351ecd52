"""The truth about one loss on one batch: value and gradients under any semantics."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from reference import doubledouble, plain
from reference.divergence import (
    kl_divergence,
    kl_divergence_of_log_probabilities,
    kl_divergence_with_log_targets,
    negative_log_likelihood,
)
from reference.doubledouble import Array
from reference.focal import binary_focal_cross_entropy, binary_focal_cross_entropy_with_logits
from reference.focal_classes import (
    categorical_focal_cross_entropy,
    categorical_focal_cross_entropy_with_logits,
    generalized_cross_entropy,
)
from reference.linear import LinearEvaluation, linear_cross_entropy
from reference.losses import LOSSES, Loss
from reference.margin import multilabel_soft_margin, soft_margin
from reference.options import (
    EPSILON,
    GAMMA,
    NONE,
    Options,
    Problem,
    Q,
    labels_in_range,
    one_hot_targets,
    plain_problem,
    rows_of,
)
from reference.precision import PRECISIONS, Precision
from reference.probability import binary_cross_entropy, categorical_cross_entropy
from reference.semantics import MATHEMATICAL, Semantics
from reference.sigmoid import sigmoid_cross_entropy
from reference.softmax import Arithmetic, softmax_cross_entropy

BLOCK = 8192
"""Elements evaluated at a time: what the temporaries of double-double arithmetic keep in cache."""


Formula = Callable[[Array, Array, Options, Semantics, Precision, Arithmetic], tuple[Array, Array, Array]]
"""(prediction, target, options, semantics, precision, arithmetic) -> value, gradient, target gradient, of rows."""


@dataclass(frozen=True)
class Evaluation:
    """One loss on one batch: ``value`` for each row or element, ``gradient`` for each element of the prediction.

    ``target_gradient`` has the shape of the targets, and is None for index targets. ``weight``, for each row, is how often
    its loss counts in a weighted mean, or the terms that this is the sum of, and ``kept`` whether the row is neither masked nor
    ignored; None where all count once.
    ``plain`` is the evaluation of the plain problem that these come from, None where nothing weighs. ``linear`` has the
    gradients of a loss of hidden states with respect to its parameters.
    """

    value: Array
    gradient: Array
    target_gradient: Array | None
    weight: Array | None = None
    kept: NDArray[np.bool_] | None = None
    plain: "Evaluation | None" = None
    linear: LinearEvaluation | None = None


@dataclass(frozen=True, eq=False)
class Upstream:
    """The upstream gradient of each row, and how many roundings an implementation makes of it, that of its product apart."""

    rows: Array
    roundings: float = 0.0


def evaluate(
    loss: str,
    prediction: NDArray,
    target: NDArray,
    *,
    options: Options = NONE,
    semantics: Semantics = MATHEMATICAL,
    precision: str = "float64",
    upstream: Upstream | None = None,
) -> Evaluation:
    """Return the value of a loss and its closed-form gradients, without reduction.

    Args:
        loss: a name in `reference.losses.LOSSES`.
        prediction: what the loss takes; the class axis, if the loss has one, last; any leading shape.
        target: for index targets integers of the leading shape, otherwise an array of the shape of the prediction; of
            hidden states one of the shape of their logits.
        options: those given, of the loss; with any, prediction and target have a single leading axis.
        semantics: the alternative at every choice point.
        precision: the dtype that is judged, a name in `reference.precision.PRECISIONS`. It rounds the constants of the
            semantics (a guard of 1e-7), and "float64" asks for double-double arithmetic, where plain float64 serves below.
        upstream: for a loss of hidden states, whose gradients with respect to its parameters are sums over rows; ones if None.

    Raises:
        KeyError: unknown loss or precision.
        IndexError: a label out of range, where the semantics says "error", or gives it no class and labels are smoothed
            (of hidden states such a row is as without smoothing).
        ValueError: shapes that do not belong together, labels that are no integers, or an option that the loss does not have
            or that cannot be.
    """
    spec = LOSSES[loss]
    x = np.asarray(prediction, np.float64)
    t = np.asarray(target) if spec.target == "index" else np.asarray(target, np.float64)
    if spec.target == "index" and t.dtype.kind not in "iu":
        raise ValueError(f"{loss}: labels must be integers, the class of each row, and not {t.dtype}")
    if spec.parameters:
        return _evaluate_linear(spec, x, t, options, semantics, precision, upstream)
    wanted = x.shape[:-1] if spec.target == "index" else x.shape
    if t.shape != wanted:
        raise ValueError(f"{loss}: for a prediction of shape {x.shape} the target must have the shape {wanted}, not {t.shape}")
    if not options.given:
        return _evaluate(spec, x, t, options, semantics, PRECISIONS[precision])
    problem = plain_problem(spec, x, t, options, semantics)
    with np.errstate(all="ignore"):
        plain = _evaluate(spec, problem.prediction, problem.target, options, semantics, PRECISIONS[precision])
        return _weighed(plain, problem, semantics, soft=spec.target != "index")


def _weighed(plain: Evaluation, problem: Problem, semantics: Semantics, *, soft: bool) -> Evaluation:
    """Return the evaluation of a problem with rows and targets weighed; dropped rows are multiplied by 0 where they stay."""
    factor = problem.factor[:, None]
    value = plain.value * (problem.factor if plain.value.ndim == 1 else factor)
    gradient = plain.gradient * factor
    target_gradient = None
    if soft and plain.target_gradient is not None:
        target_gradient = np.where(problem.slope == 0, 0.0, plain.target_gradient * problem.slope)
    gone = {"nothing": (value, gradient, target_gradient), "content_gradient": (value,), "content": ()}
    for result in gone[semantics.ignored_row]:
        if result is not None:
            result[problem.dropped] = 0.0
    return Evaluation(value, gradient, target_gradient, problem.weight, ~problem.dropped, plain)


def _evaluate(spec: Loss, x: Array, t: NDArray, options: Options, semantics: Semantics, precision: Precision) -> Evaluation:
    """Return the evaluation of a problem without weights; labels that have become distributions are soft targets."""
    if t.ndim < x.ndim:
        return _evaluate_index(spec, x, t, options, semantics, precision)
    return _evaluate_dense(FORMULAS[spec.name], spec, x, t, options, semantics, precision)


def _evaluate_dense(
    formula: Formula, spec: Loss, x: Array, t: Array, options: Options, semantics: Semantics, precision: Precision
) -> Evaluation:
    classes = x.shape[-1] if x.ndim else 1
    rows_x, rows_t = (a.reshape(-1, classes) if x.size else a.reshape(int(np.prod(x.shape[:-1])), classes) for a in (x, t))
    rows_x, rows_t = np.ascontiguousarray(rows_x), np.ascontiguousarray(rows_t)  # the order of a sum follows the layout
    am: Arithmetic = doubledouble if precision.name == "float64" else plain
    with np.errstate(all="ignore"):  # special values take part in the arithmetic and are put right at its end
        blocks = [slice(None)] if options.given else _blocks(rows_x)  # options may have a value for each row
        parts = [formula(rows_x[block], rows_t[block], options, semantics, precision, am) for block in blocks]
    value, gradient, target_gradient = (np.concatenate(column) for column in zip(*parts, strict=True))
    value = value.reshape(x.shape[:-1] if value.ndim == 1 else x.shape)
    return Evaluation(value, gradient.reshape(x.shape), target_gradient.reshape(x.shape))


def _blocks(rows: Array) -> Iterator[slice]:
    """Yield slices of rows that hold about `BLOCK` elements each; one empty slice for an empty batch."""
    step = max(1, BLOCK // max(1, rows.shape[-1]))
    for start in range(0, max(1, rows.shape[0]), step):
        yield slice(start, start + step)


def _binary(
    x: Array, t: Array, options: Options, semantics: Semantics, precision: Precision, am: Arithmetic
) -> tuple[Array, Array, Array]:
    value, gradient, target_gradient = binary_cross_entropy(x, t, semantics, precision, am)
    return *_at_masked(value, gradient, ((x == 0) & (t == 0)) | ((x == 1) & (t == 1)), semantics), target_gradient


def _categorical(
    x: Array, t: Array, options: Options, semantics: Semantics, precision: Precision, am: Arithmetic
) -> tuple[Array, Array, Array]:
    value, gradient, target_gradient = categorical_cross_entropy(x, t, semantics, precision, am)
    return *_at_masked(value, gradient, (x == 0) & (t == 0), semantics), target_gradient


def _sigmoid(
    x: Array, t: Array, options: Options, semantics: Semantics, precision: Precision, am: Arithmetic
) -> tuple[Array, Array, Array]:
    value, gradient, target_gradient = sigmoid_cross_entropy(x, t, am, positive_weight=options.pos_weight)
    return _at_infinite_logits(value, x, t, semantics), gradient, target_gradient


def _softmax(
    x: Array, t: Array, options: Options, semantics: Semantics, precision: Precision, am: Arithmetic
) -> tuple[Array, Array, Array]:
    value, gradient, target_gradient = softmax_cross_entropy(
        x,
        t,
        am,
        scaled=semantics.unnormalised_gradient == "scaled",
        z_loss=options.z_loss,
        soft_cap=options.soft_cap,
        there=options.where,
    )
    return *_at_masked(value, gradient, _masked(x, t, options), semantics), target_gradient


def _likelihood(
    x: Array, t: Array, options: Options, semantics: Semantics, precision: Precision, am: Arithmetic
) -> tuple[Array, Array, Array]:
    return negative_log_likelihood(x, t)


def _divergence(
    x: Array, t: Array, options: Options, semantics: Semantics, precision: Precision, am: Arithmetic
) -> tuple[Array, Array, Array]:
    value, gradient, target_gradient = kl_divergence(x, t, semantics, precision, am)
    return *_at_masked(value, gradient, (x == 0) & (t == 0), semantics), target_gradient


def _divergence_of_logs(
    x: Array, t: Array, options: Options, semantics: Semantics, precision: Precision, am: Arithmetic
) -> tuple[Array, Array, Array]:
    value, gradient, target_gradient = kl_divergence_of_log_probabilities(x, t, semantics, am)
    there = True if options.where is None else options.where
    return *_at_masked(value, gradient, np.isneginf(x) & (t == 0) & there, semantics), target_gradient


def _divergence_with_log_targets(
    x: Array, t: Array, options: Options, semantics: Semantics, precision: Precision, am: Arithmetic
) -> tuple[Array, Array, Array]:
    value, gradient, target_gradient = kl_divergence_with_log_targets(x, t, semantics, am)
    there = True if options.where is None else options.where
    return *_at_masked(value, gradient, np.isneginf(t) & there, semantics), target_gradient


def _soft_margin(
    x: Array, t: Array, options: Options, semantics: Semantics, precision: Precision, am: Arithmetic
) -> tuple[Array, Array, Array]:
    return soft_margin(x, t, am)


def _multilabel(
    x: Array, t: Array, options: Options, semantics: Semantics, precision: Precision, am: Arithmetic
) -> tuple[Array, Array, Array]:
    return multilabel_soft_margin(_sigmoid(x, t, options, semantics, precision, am), options.class_weight, am)


def _binary_focal(
    x: Array, t: Array, options: Options, semantics: Semantics, precision: Precision, am: Arithmetic
) -> tuple[Array, Array, Array]:
    formula = binary_focal_cross_entropy
    value, gradient, target_gradient = formula(x, t, options.alpha, _gamma(options), semantics, precision, am)
    return *_at_masked(value, gradient, ((x == 0) & (t == 0)) | ((x == 1) & (t == 1)), semantics), target_gradient


def _sigmoid_focal(
    x: Array, t: Array, options: Options, semantics: Semantics, precision: Precision, am: Arithmetic
) -> tuple[Array, Array, Array]:
    formula = binary_focal_cross_entropy_with_logits
    value, gradient, target_gradient = formula(x, t, options.alpha, _gamma(options), semantics, precision, am)
    undefined = np.isnan(_at_infinite_logits(value, x, t, semantics))
    return np.where(undefined, np.nan, value), gradient, target_gradient


def _categorical_focal(
    x: Array, t: Array, options: Options, semantics: Semantics, precision: Precision, am: Arithmetic
) -> tuple[Array, Array, Array]:
    formula = categorical_focal_cross_entropy
    value, gradient, target_gradient = formula(x, t, options.alpha, _gamma(options), semantics, precision, am)
    return *_at_masked(value, gradient, (x == 0) & (t == 0), semantics), target_gradient


def _softmax_focal(
    x: Array, t: Array, options: Options, semantics: Semantics, precision: Precision, am: Arithmetic
) -> tuple[Array, Array, Array]:
    formula = categorical_focal_cross_entropy_with_logits
    value, gradient, target_gradient = formula(x, t, options.alpha, _gamma(options), semantics, precision, am)
    return *_at_masked(value, gradient, _masked(x, t, options), semantics), target_gradient


def _gamma(options: Options) -> float:
    return GAMMA if options.gamma is None else options.gamma


def _poly(
    x: Array, t: Array, options: Options, semantics: Semantics, precision: Precision, am: Arithmetic
) -> tuple[Array, Array, Array]:
    epsilon = EPSILON if options.epsilon is None else options.epsilon
    value, gradient, target_gradient = softmax_cross_entropy(x, t, am, epsilon=epsilon)
    return *_at_masked(value, gradient, _masked(x, t, options), semantics), target_gradient


def _generalized(
    x: Array, t: Array, options: Options, semantics: Semantics, precision: Precision, am: Arithmetic
) -> tuple[Array, Array, Array]:
    return generalized_cross_entropy(x, t, Q if options.q is None else options.q, semantics, precision, am)


FORMULAS: dict[str, Formula] = {
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
"""Each loss on dense targets; one of index targets is evaluated on their one-hot rows."""


def _masked(x: Array, t: Array, options: Options) -> NDArray[np.bool_]:
    """Tell which classes a logit of -inf masks; one that is not there at all is none of them."""
    masked = np.isneginf(x) & (t == 0)
    return masked if options.where is None else masked & options.where


def _at_masked(value: Array, gradient: Array, masked: NDArray[np.bool_], semantics: Semantics) -> tuple[Array, Array]:
    """Put in the NaN that 0 * log 0 or its derivative 0 / 0 makes where an outcome is ``masked``."""
    if semantics.masked_class in ("nan", "nan_both"):
        value = np.where(masked if value.ndim == masked.ndim else masked.any(-1), np.nan, value)
    if semantics.masked_class in ("nan_gradient", "nan_both"):
        gradient = np.where(masked, np.nan, gradient)
    return value, gradient


def _at_infinite_logits(value: Array, x: Array, t: Array, semantics: Semantics) -> Array:
    """Put in what IEEE arithmetic makes of the named formula at x = +-inf."""
    formulas = {
        "limit": value,
        "fold": np.maximum(x, 0) - x * t,
        "split": (1 - t) * x + np.maximum(-x, 0),
        "pair": t * np.maximum(-x, 0) + (1 - t) * np.maximum(x, 0),
    }
    return np.where(np.isinf(x), formulas[semantics.infinite_logit], value)


def _evaluate_index(
    spec: Loss, x: Array, labels: NDArray, options: Options, semantics: Semantics, precision: Precision
) -> Evaluation:
    classes = x.shape[-1]
    one_hot = one_hot_targets(labels_in_range(labels, classes, semantics), classes)
    soft = _evaluate_dense(FORMULAS[spec.name], spec, x, one_hot, options, semantics, precision)
    value, gradient = soft.value.copy(), soft.gradient.copy()
    for outside, picked in ((labels < 0, semantics.negative_index), (labels >= classes, semantics.index_too_large)):
        if not outside.any() or picked not in ("nan", "zero", "nan_value", "nan_zero"):
            continue
        value[outside] = 0.0 if picked == "zero" else np.nan
        if picked == "nan_value":
            gradient[outside] = _gradient_of_no_label(spec, x[outside], rows_of(options, outside), semantics, precision)
        else:
            gradient[outside] = np.nan if picked == "nan" else 0.0
    return Evaluation(value, gradient, None)


def _evaluate_linear(
    spec: Loss,
    hidden: Array,
    target: NDArray,
    options: Options,
    semantics: Semantics,
    precision: str,
    upstream: Upstream | None,
) -> Evaluation:
    problem, upstream = linear_problem(spec, hidden, target, options, semantics, upstream)
    result = linear_cross_entropy(
        problem.prediction,
        np.asarray(options.linear_weight),
        options.linear_bias,
        problem.target,
        cotangent=problem.factor * upstream.rows,
        scaled=semantics.unnormalised_gradient == "scaled",
        precision=precision,
    )
    value, target_gradient = problem.factor * result.value, None
    if spec.target == "index":
        value = np.where(problem.dropped, 0.0, _at_no_label(value, target, result.logits.shape[-1], semantics))
    elif result.targets is not None:
        slope = problem.slope * upstream.rows[:, None]
        target_gradient = np.where(slope == 0, 0.0, result.targets * slope)
    return Evaluation(value, result.hidden, target_gradient, problem.weight, ~problem.dropped, linear=result)


def _at_no_label(value: Array, labels: NDArray, classes: int, semantics: Semantics) -> Array:
    """Put in the losses that the semantics names for labels out of range, where it gives them no class."""
    for outside, picked in ((labels < 0, semantics.negative_index), (labels >= classes, semantics.index_too_large)):
        if picked in ("nan", "zero", "nan_value", "nan_zero"):
            value = np.where(outside, 0.0 if picked == "zero" else np.nan, value)
    return value


def linear_problem(
    spec: Loss, hidden: Array, target: NDArray, options: Options, semantics: Semantics, upstream: Upstream | None
) -> tuple[Problem, Upstream]:
    """Return the plain problem of hidden states, and the upstream gradient of its losses, ones if none is given.

    Raises:
        ValueError: no matrix, or shapes that do not belong together.
        IndexError: a label out of range.
    """
    if options.linear_weight is None:
        raise ValueError(f"{spec.name}: linear_weight is not given: it takes the (classes, features) matrix of the logits")
    rows, classes = len(hidden), len(options.linear_weight)
    wanted = (rows,) if spec.target == "index" else (rows, classes)
    if target.shape != wanted:
        raise ValueError(f"{spec.name}: for {rows} rows and {classes} classes the target must have the shape {wanted}")
    if spec.target == "index":
        ignored = target == options.ignore_index
        target = np.where(ignored, target, labels_in_range(np.where(ignored, 0, target), classes, semantics))
    own = replace(options, linear_weight=None, linear_bias=None)
    problem = plain_problem(spec, np.zeros((rows, classes)), target, own, semantics)
    problem = replace(problem, prediction=np.where(problem.dropped[:, None], 0.0, hidden))
    return problem, upstream or Upstream(np.ones(rows))


def _gradient_of_no_label(spec: Loss, x: Array, options: Options, semantics: Semantics, precision: Precision) -> Array:
    """Return p - t for targets t of 0: the softmax of logits, and 0 for probabilities."""
    unscaled = replace(semantics, unnormalised_gradient="unscaled")
    return _evaluate_dense(FORMULAS[spec.name], spec, x, np.zeros_like(x), options, unscaled, precision).gradient
