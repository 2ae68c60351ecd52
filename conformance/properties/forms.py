"""Forms: a loss as function, operation, class, metric and compiled model."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from adapters.binding import Binding
from conformance.cases import Batch
from conformance.judging import Judgement, agree, compare
from conformance.properties.options import expect_reduced, has_gradient, poisoned
from conformance.properties.relations import with_arrays
from conformance.tables import activated
from conformance.trial import Answer, Trial, float64
from reference.losses import LOSSES
from reference.precision import PRECISIONS

GUARDED = {
    "log_of_zero": "clip_1e-7",
    "probability_sum": "renormalised",
    "focal_base": "guarded",
    "divergence_guard": "clip_both_1e-7",
}
"""What a form may do to probabilities though its documentation does not say so."""


OF_PROBABILITIES = {
    "sigmoid_cross_entropy_with_logits": "binary_cross_entropy",
    "softmax_cross_entropy_with_logits": "categorical_cross_entropy",
    "sparse_softmax_cross_entropy_with_logits": "sparse_categorical_cross_entropy",
}
"""The losses of logits that are losses of the sigmoid or softmax of them."""


def reduced_alone(trial: Trial, batch: Batch) -> list[Judgement]:
    """A form that gives a mean alone, as a metric or a compiled model, gives that of the losses, and its gradient."""
    if not trial.binding.takes(batch.options.given):
        return []
    judgements = []
    for reduction in trial.binding.reductions:
        answer = trial.ask(batch, reduction=reduction)
        value, bound, gradient, slack = expect_reduced(trial, batch, reduction)
        if not _overflows(trial, batch):
            judgements.append(compare(batch, answer, "value", value, bound, name=f"value under {reduction}"))
        if has_gradient(trial, answer) and not np.isnan(value):
            judgements.append(compare(batch, answer, "gradient", gradient, slack, name=f"gradient under {reduction}"))
    return judgements


def dropped_alone(trial: Trial, batch: Batch) -> list[Judgement]:
    """In a mean that is given alone masked and ignored rows add nothing, whatever they hold."""
    if not trial.binding.takes(batch.options.given):
        return []
    return [judged for held in poisoned(trial, batch) for judged in reduced_alone(trial, held)]


def forms_agree(trial: Trial, batch: Batch) -> list[Judgement]:
    """Function, operation, metric and compiled model of a loss give what its class gives, each within its bounds."""
    other = _class_of(trial)
    if other is None or not (trial.binding.takes(batch.options.given) and other.takes(batch.options.given)):
        return []
    computed = trial.binding.semantics.computation_dtype
    if trial.dtype != "float32" and computed != other.semantics.computation_dtype:
        return []  # they round the prediction, and what guards it, to different dtypes
    trial = trial.under(replace(trial.semantics, computation_dtype=computed))
    mode = trial.framework.modes[0] if trial.binding.mode else trial.mode
    partner = replace(trial, binding=other, mode=mode, semantics=other.semantics, grade=other.grade)
    judgements = []
    for reduction in trial.binding.reductions:
        answer, wanted = (one.ask(batch, reduction=reduction) for one in (trial, partner))
        bound, slack = _bounds(partner, batch, reduction, alike=mode == trial.mode)
        if reduction != "none" or trial.semantics.loss_shape == partner.semantics.loss_shape:
            own_bound, own_slack = _bounds(trial, batch, reduction, alike=mode == trial.mode)
        else:
            answer, own_bound, own_slack = _row_means(answer), bound, slack
        judgements.append(agree(batch, answer, wanted, "value", bound + own_bound, name=f"value under {reduction}"))
        if has_gradient(trial, answer):
            judgements.append(agree(batch, answer, wanted, "gradient", slack + own_slack, name=f"gradient under {reduction}"))
    return judgements


def of_activation(trial: Trial, batch: Batch) -> list[Judgement]:
    """A loss of probabilities that a sigmoid or softmax has returned is the loss of those numbers, wherever they come from."""
    reduction = trial.binding.least_reduced
    if trial.semantics.activation_output == "logits":
        answer, (value, bound, gradient, slack) = trial.ask(batch, reduction=reduction), _expected(trial, batch, reduction)
        return [compare(batch, answer, "value", value, bound), compare(batch, answer, "gradient", gradient, slack)]
    numbers = activated(batch, OF_PROBABILITIES[batch.loss])
    return [] if numbers is None else _of_numbers(trial, batch, numbers, reduction)


def _of_numbers(trial: Trial, batch: Batch, numbers: Batch, reduction: str) -> list[Judgement]:
    """Judge a loss over an activation that has returned numbers, all of them 0 or 1, by the loss of the numbers.

    There the slope of the activation is exactly 0, and so is that of the whole wherever that of the loss is finite.
    """
    answer, (value, bound, slope) = trial.ask(batch, reduction=reduction), _loss_of_numbers(trial, numbers, reduction)
    judgements = [compare(batch, answer, "value", value, np.where(np.isfinite(value), bound, 0.0))]
    if has_gradient(trial, answer):
        flat = np.zeros(batch.prediction.shape)
        judged = compare(batch, answer, "gradient", flat, flat)
        judgements.append(replace(judged, ratio=np.where(np.isfinite(slope).all(-1), judged.ratio, 0.0)))
    return judgements


def _loss_of_numbers(trial: Trial, numbers: Batch, reduction: str) -> tuple[NDArray, NDArray, NDArray]:
    """Return a loss of probabilities with its bound and its gradient.

    It is what the API answers that a composition applies to an activation; of one that is not bound, or has losses of another
    shape, what the reference says.
    """
    for other in trial.siblings:
        alike = reduction in other.reductions and other.semantics.loss_shape == trial.semantics.loss_shape
        if other.loss == numbers.loss and other.api == trial.binding.outer and alike:
            plain = replace(trial, binding=other, semantics=other.semantics, grade=other.grade)
            bound, _ = _bounds(plain, numbers, reduction, alike=False)
            value, gradient = (float64(plain.ask(numbers, reduction=reduction).array(name)) for name in ("value", "gradient"))
            return value, bound, gradient
    plain = replace(trial, binding=replace(trial.binding, loss=numbers.loss), grade=LOSSES[numbers.loss].default_grade)
    value, bound, gradient, _ = _expected(plain, numbers, reduction)
    return value, bound, gradient


def _class_of(trial: Trial) -> Binding | None:
    """Return the form of the loss that has every reduction of this one, and more."""
    own = set(trial.binding.reductions)
    return next((b for b in trial.siblings if b.loss == trial.binding.loss and own < set(b.reductions)), None)


def _expected(trial: Trial, batch: Batch, reduction: str) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Return value, bound, gradient and its bound, reduced or not."""
    if reduction != "none":
        return expect_reduced(trial, batch, reduction)
    expected = trial.expect(batch)
    return *expected.of("value"), *expected.of("gradient")


def _bounds(trial: Trial, batch: Batch, reduction: str, *, alike: bool) -> tuple[NDArray, NDArray]:
    """Return the bounds of value and gradient as documented.

    Forms that do not run alike, in one mode, round otherwise whatever they compute, be it documented or not: for them the
    wider ones of these bounds and of those under a guard.
    """
    _, bound, _, slack = _expected(trial, batch, reduction)
    if alike:
        return bound, slack
    _, other, _, other_slack = _expected(trial.under(replace(trial.semantics, **GUARDED)), batch, reduction)
    return np.fmax(bound, other), np.fmax(slack, other_slack)


def _overflows(trial: Trial, batch: Batch) -> bool:
    """Tell whether the sum of the losses overflows on the way to their mean: then an infinity is sound."""
    with np.errstate(over="ignore"):
        return bool(np.abs(trial.expect(batch).truth.value).sum() >= PRECISIONS[trial.outer_precision].overflow)


def _row_means(answer: Answer) -> Answer:
    """Return losses of outcomes as their means over the rows, in float64, and the gradients of those."""
    value, gradient = answer.outcome.value, answer.outcome.gradient
    if value is None or value.ndim < 2 or gradient is None:
        return answer
    return with_arrays(answer, float64(value).mean(-1), float64(gradient) / value.shape[-1])
