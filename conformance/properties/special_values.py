"""Special values: masked classes, infinities, NaN, certainty, ties, single classes, empty batches, labels out of range."""

from dataclasses import replace

import numpy as np

from conformance.cases import Batch
from conformance.judging import Judgement, compare, decide
from conformance.properties.accuracy import within_bound
from conformance.trial import Trial, float64
from reference.reductions import of_nothing

REDUCTIONS = ("sum", "mean")


def value_and_gradient(trial: Trial, batch: Batch) -> list[Judgement]:
    """Value and gradient are those of the reference, special values included."""
    answer, expected = trial.ask(batch), trial.expect(batch)
    return [compare(batch, answer, quantity, *expected.of(quantity)) for quantity in ("value", "gradient")]


def masked_classes(trial: Trial, batch: Batch) -> list[Judgement]:
    """A class of probability zero and target zero adds nothing to the loss, and its gradient is finite."""
    return value_and_gradient(trial, batch)


def infinite_logits(trial: Trial, batch: Batch) -> list[Judgement]:
    """At a logit of +-inf the loss is its limit, 0 on the right side and +inf on the wrong one; a row all -inf is NaN."""
    return value_and_gradient(trial, batch)


def certainty(trial: Trial, batch: Batch) -> list[Judgement]:
    """At probabilities of exactly 0 and 1 the loss is 0 where the target agrees and +inf where it does not."""
    return value_and_gradient(trial, batch)


def zeros_and_ties(trial: Trial, batch: Batch) -> list[Judgement]:
    """Logits of 0 and -0 and equal logits have the loss and the gradient of the smooth function there."""
    return value_and_gradient(trial, batch)


def single_class(trial: Trial, batch: Batch) -> list[Judgement]:
    """A single class is certain: its loss is zero, and on logits its gradient too."""
    return value_and_gradient(trial, batch)


def unnormalised_targets(trial: Trial, batch: Batch) -> list[Judgement]:
    """Targets that do not sum to one weigh the loss by their sum T, and its gradient: T p - t on logits."""
    return value_and_gradient(trial, batch)


def improper_probabilities(trial: Trial, batch: Batch) -> list[Judgement]:
    """Probabilities that do not sum to one are used as they are."""
    return value_and_gradient(trial, batch)


def masked_labels(trial: Trial, batch: Batch) -> list[Judgement]:
    """A label of probability zero costs +inf."""
    return [within_bound(trial, batch, "value")]


def not_numbers(trial: Trial, batch: Batch) -> list[Judgement]:
    """NaN in a row makes the loss of that row NaN, and every sum and mean over it, and changes no other row."""
    value, gradient = value_and_gradient(trial, batch)
    if not isinstance(gradient.got, str):
        # Whether the gradient of a NaN loss is NaN throughout its row is nobody's contract.
        gradient = replace(gradient, ratio=np.where(np.isnan(batch.prediction).any(-1), 0.0, gradient.ratio))
    judgements = [value, gradient]
    for reduction in REDUCTIONS if "reduction" in trial.binding.options else ():
        answer = trial.ask(batch, reduction=reduction)
        nan, none = np.array(np.nan), np.zeros(())
        judgements.append(compare(batch, answer, "value", nan, none, name=f"value under {reduction}"))
    return judgements


def positive_infinity(trial: Trial, batch: Batch) -> list[Judgement]:
    """A softmax row with a logit of +inf is undefined: its loss is NaN or infinite, never an ordinary number."""
    judgement = within_bound(trial, batch, "value")
    if isinstance(judgement.got, str):
        return [judgement]
    undefined = np.isposinf(batch.prediction).any(-1)
    ratio = np.where(undefined, np.where(np.isfinite(judgement.got), np.inf, 0.0), judgement.ratio)
    return [replace(judgement, ratio=ratio)]


def empty_batch(trial: Trial, batch: Batch) -> list[Judgement]:
    """An empty batch has no losses, the sum 0, and the mean that the semantics names."""
    total, mean = of_nothing(trial.semantics)
    wanted = {"none": trial.expect(batch).truth.value, "sum": total, "mean": mean}
    judgements = []
    for reduction in wanted if "reduction" in trial.binding.options else ("none",):
        answer = trial.ask(batch, reduction=reduction)
        truth = wanted[reduction]
        judgements.append(compare(batch, answer, "value", truth, np.zeros_like(truth), name=f"value under {reduction}"))
        if not answer.outcome.error:
            shape, name = batch.prediction.shape, f"gradient under {reduction}"
            trouble = answer.trouble("gradient", shape)
            judgements.append(
                decide(not trouble, batch, answer, name, trouble or f"an array of shape {shape}", f"an array of shape {shape}")
            )
    return judgements


def labels_outside(trial: Trial, batch: Batch) -> list[Judgement]:
    """A label out of range does what the semantics names: the mathematics has no such loss, so it is an error."""
    answer = trial.ask(batch)
    try:
        expected = trial.expect(batch)
    except IndexError:
        error = answer.outcome.error
        return [decide(bool(error), batch, answer, "value", error or float64(answer.outcome.value), "an error")]
    return [compare(batch, answer, quantity, *expected.of(quantity)) for quantity in ("value", "gradient")]
