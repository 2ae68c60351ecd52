"""Forms: a loss as function, operation, class, metric and compiled model."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from adapters.binding import Binding
from conformance.cases import Batch
from conformance.judging import Judgement, compare, decide
from conformance.properties.accounts import (
    Account,
    account_of,
    expected_of,
    fullest_form,
    fullest_form_over_axis,
    same,
    with_truth_of,
)
from conformance.properties.options import ask_over_axis, expect_reduced, has_gradient, poisoned
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
    """Function, class, metric and compiled model of a loss give what its fullest form gives, each within its bounds.

    So they do under each option and pair that both take, and each reduction that both have. Where their pages state different
    things, the two are as far apart as what is stated; where they compute in different dtypes, float32 alone is asked.
    """
    other = fullest_form(trial.binding, trial.siblings)
    return [judged for partner, name in _partners(trial, other, batch) for judged in _forms_agree(trial, partner, batch, name)]


def forms_agree_over_axis(trial: Trial, batch: Batch) -> list[Judgement]:
    """With the classes on the second axis too the forms of a loss that take it agree, or both refuse it.

    So they do under each option and pair that both take, and each reduction that both have.
    """
    other = fullest_form_over_axis(trial.binding, trial.siblings)
    return [
        judged for partner, name in _partners(trial, other, batch) for judged in _forms_agree(trial, partner, batch, name, 1)
    ]


def _partners(trial: Trial, other: Binding | None, batch: Batch) -> list[tuple[Trial, str]]:
    """Return another form beside each reduction that both have; nothing where one does not take the options."""
    given = batch.options.given
    if other is None or not (trial.binding.takes(given) and other.takes(given)):
        return []
    computed = trial.binding.semantics.computation_dtype
    if trial.dtype != "float32" and computed != other.semantics.computation_dtype:
        return []  # they round the prediction, and what guards it, to different dtypes
    mode = trial.framework.modes[0] if trial.binding.mode else trial.mode
    partner = replace(trial, binding=other, mode=mode, semantics=other.semantics, grade=other.grade)
    return [(partner, name) for name in trial.binding.reductions if name in other.reductions]


def of_activation(trial: Trial, batch: Batch) -> list[Judgement]:
    """A loss of probabilities that a sigmoid or softmax has returned is the loss of those numbers, wherever they come from."""
    reduction = trial.binding.least_reduced
    if trial.semantics.activation_output == "logits":
        told = account_of(trial, batch, reduction)
        return [compare(batch, told.answer, quantity, *sides) for quantity, sides in told.quantities.items()]
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
            told = _account(plain, numbers, reduction, "another", None)
            value, gradient = (float64(told.answer.array(name)) for name in ("value", "gradient"))
            return value, told.bound, gradient
    plain = replace(trial, binding=replace(trial.binding, loss=numbers.loss), grade=LOSSES[numbers.loss].default_grade)
    return expected_of(plain, numbers, reduction)[:3]


def _forms_agree(trial: Trial, partner: Trial, batch: Batch, reduction: str, axis: int | None = None) -> list[Judgement]:
    """Judge one form against another: they give the same, or what their pages state, or both refuse."""
    asked, stated = (
        trial.under(replace(semantics, computation_dtype=trial.binding.semantics.computation_dtype))
        for semantics in (trial.semantics, trial.binding.semantics)
    )
    if reduction == "none" and trial.binding.semantics.loss_shape != partner.semantics.loss_shape:
        asked, stated, partner = (one.under(replace(one.semantics, loss_shape="row_mean")) for one in (asked, stated, partner))
    own, other = (_account(one, batch, reduction, mode, axis) for one, mode in ((asked, partner.mode), (partner, trial.mode)))
    where = f"under {reduction}" if axis is None else f"under {reduction} over axis {axis}"
    if own.answer.outcome.error and other.answer.outcome.error:
        return [decide(True, batch, own.answer, f"value {where}", "an error", "an error")]
    judged = same(batch, own, with_truth_of(other, own), where)
    if any(judgement.violates for judgement in judged):
        own = with_truth_of(own, account_of(stated, batch, reduction, own.answer))
        as_stated = same(batch, own, other, where)
        judged = judged if any(judgement.violates for judgement in as_stated) else as_stated
    return judged


def _account(trial: Trial, batch: Batch, reduction: str, mode: str, axis: int | None) -> Account:
    """Return the account of a form beside another that runs in a mode; of losses of outcomes, where they are wanted, the means.

    Forms that do not run alike, in one mode, round otherwise whatever they compute, be it documented or not: for them the
    wider ones of the bounds as documented and of those under a guard.
    """
    answer = trial.ask(batch, reduction=reduction) if axis is None else ask_over_axis(trial, batch, axis, reduction)
    if reduction == "none" and trial.semantics.loss_shape == "row_mean":
        answer = _row_means(answer)
    own = account_of(trial, batch, reduction, answer)
    if trial.mode == mode:
        return own
    guarded = account_of(trial.under(replace(trial.semantics, **GUARDED)), batch, reduction, answer)
    return replace(own, bound=np.fmax(own.bound, guarded.bound), slack=np.fmax(own.slack, guarded.slack))


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
