"""Special values: masked classes, infinities, NaN, certainty, ties, single classes, empty batches, labels out of range."""

from dataclasses import replace

import numpy as np

from adapters.framework import Call
from conformance.cases import Batch
from conformance.judging import Judgement, compare, decide, refuse
from conformance.properties.accuracy import gradient, value
from conformance.trial import Trial, float64


def value_and_gradient(trial: Trial, batch: Batch) -> list[Judgement]:
    """Value and gradient are those of the reference, special values included."""
    return [*value(trial, batch), *gradient(trial, batch)]


def not_numbers(trial: Trial, batch: Batch) -> list[Judgement]:
    """NaN in a row makes the loss of that row NaN, and every sum and mean over it, and changes no other row."""
    holds_nan = np.isnan(batch.prediction).any(-1)
    judgements = []
    for judgement in value_and_gradient(trial, batch):
        # Whether the gradient of a NaN loss is NaN throughout its row is nobody's contract.
        ratio = np.where(holds_nan, 0.0, judgement.ratio) if judgement.quantity == "gradient" else judgement.ratio
        judgements.append(judgement if isinstance(judgement.got, str) else replace(judgement, ratio=ratio))
    for reduction in ("sum", "mean") if "reduction" in trial.binding.options else ():
        outcome = trial.call(batch.prediction, batch.target, reduction=reduction)
        call = Call(batch.prediction, batch.target, reduction)
        nan, none = np.array(np.nan), np.zeros(())
        judgements.append(
            compare(batch, f"value under {reduction}", outcome, outcome.value, nan, none, call=call, precision=trial.precision)
        )
    return judgements


def positive_infinity(trial: Trial, batch: Batch) -> list[Judgement]:
    """A softmax row with a logit of +inf is undefined: its loss is NaN or infinite, never an ordinary number."""
    judgement = value(trial, batch)[0]
    if isinstance(judgement.got, str):
        return [judgement]
    hit = np.isposinf(batch.prediction).any(-1)
    ratio = np.where(hit, np.where(np.isfinite(judgement.got), np.inf, 0.0), judgement.ratio)
    return [Judgement(batch, "value", ratio, judgement.got, judgement.expected, judgement.call)]


def empty_batch(trial: Trial, batch: Batch) -> list[Judgement]:
    """An empty batch has no losses, the sum 0, and the mean that the semantics names."""
    expected = trial.expect(batch)
    judgements = []
    means = {"nan": np.nan, "zero": 0.0}
    wanted = {"none": expected.truth.value, "sum": np.zeros(()), "mean": np.array(means[trial.semantics.mean_of_nothing])}
    for reduction in wanted if "reduction" in trial.binding.options else ("none",):
        outcome = trial.call(batch.prediction, batch.target, reduction=reduction)
        call = Call(batch.prediction, batch.target, reduction)
        quantity = f"value under {reduction}"
        judgement = compare(
            batch, quantity, outcome, outcome.value, wanted[reduction], np.zeros_like(wanted[reduction]), call=call, precision=trial.precision
        )
        judgements.append(judgement)
        if not outcome.error:
            shape = None if outcome.gradient is None else outcome.gradient.shape
            holds = shape == batch.prediction.shape
            judgements.append(decide(holds, batch, f"gradient under {reduction}", f"shape {shape}", f"shape {batch.prediction.shape}", call))
    return judgements


def labels_outside(trial: Trial, batch: Batch) -> list[Judgement]:
    """A label out of range does what the semantics names: the mathematics has no such loss, so it is an error."""
    call = Call(batch.prediction, batch.target)
    outcome = trial.call(batch.prediction, batch.target)
    try:
        expected = trial.expect(batch)
    except IndexError:
        got = outcome.error if outcome.error else float64(outcome.value)
        return [decide(bool(outcome.error), batch, "value", got, "an error", call)]
    if outcome.error:
        return [refuse(batch, "value", f"raises {outcome.error}", expected.truth.value, call)]
    truth, bounds = expected.truth, expected.bounds
    return [
        compare(batch, "value", outcome, outcome.value, truth.value, bounds.value, call=call, precision=trial.precision),
        compare(batch, "gradient", outcome, outcome.gradient, truth.gradient, bounds.gradient, call=call, precision=trial.precision),
    ]


def masked_labels(trial: Trial, batch: Batch) -> list[Judgement]:
    """A label of probability zero costs +inf."""
    return value(trial, batch)

