"""Accuracy: value and gradients within their derived bounds, unbiased, and where they stop following the mathematics."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from adapters.framework import Call
from conformance.cases import Batch
from conformance.judging import Judgement, accept, by_row, compare, refuse
from conformance.tables import LADDER, large_ladder, small_ladder
from conformance.trial import Trial, float64
from reference.losses import Grade
from reference.precision import PRECISIONS

BIAS_LIMIT = 0.5
"""Mean signed error in roundoffs of the result: sound losses stay below 0.06, one that is off by 3e-7 reaches 5 (float32)."""
BIAS_ROWS = 1000
"""Fewer rows do not tell a bias from chance."""
RELATIVE = 16
"""A row counts for bias if its bound is below this many roundoffs of the result: there the loss promises digits."""


def value(trial: Trial, batch: Batch) -> list[Judgement]:
    """The loss is within its derived bound."""
    expected = trial.expect(batch)
    outcome = trial.call(batch.prediction, batch.target)
    call = Call(batch.prediction, batch.target)
    return [
        compare(batch, "value", outcome, outcome.value, expected.truth.value, expected.bounds.value, call=call, precision=expected.precision)
    ]


def gradient(trial: Trial, batch: Batch) -> list[Judgement]:
    """The gradient with respect to the prediction is within its derived bound."""
    expected = trial.expect(batch)
    outcome = trial.call(batch.prediction, batch.target)
    call = Call(batch.prediction, batch.target)
    return [
        compare(batch, "gradient", outcome, outcome.gradient, expected.truth.gradient, expected.bounds.gradient, call=call, precision=expected.precision)
    ]


def target_gradient(trial: Trial, batch: Batch) -> list[Judgement]:
    """The gradient with respect to soft targets is within its derived bound."""
    expected = trial.expect(batch)
    outcome = trial.call(batch.prediction, batch.target)
    call = Call(batch.prediction, batch.target)
    if trial.semantics.target_gradient == "none" and not outcome.error:
        if outcome.target_gradient is None or not outcome.target_gradient.any():
            return [accept(batch, "target gradient", "none", "none", call)]
        return [refuse(batch, "target gradient", outcome.target_gradient, "none", call)]
    truth, bound = expected.truth.target_gradient, expected.bounds.target_gradient
    assert truth is not None and bound is not None
    return [compare(batch, "target gradient", outcome, outcome.target_gradient, truth, bound, call=call, precision=expected.precision)]


def finite(trial: Trial, batch: Batch) -> list[Judgement]:
    """Where the true loss and gradient are finite numbers of the dtype, so are those returned."""
    expected = trial.expect(batch)
    outcome = trial.call(batch.prediction, batch.target)
    call = Call(batch.prediction, batch.target)
    if outcome.error:
        return [refuse(batch, "value", f"raises {outcome.error}", expected.truth.value, call)]
    pairs = (
        ("value", outcome.value, expected.truth.value, expected.bounds.value),
        ("gradient", outcome.gradient, expected.truth.gradient, expected.bounds.gradient),
    )
    judgements = []
    for quantity, got, truth, bound in pairs:
        if got is None or got.shape != truth.shape:
            judgements.append(refuse(batch, quantity, "nothing of the right shape", truth, call))
            continue
        largest = PRECISIONS[expected.precision].largest
        wrong = ~np.isfinite(float64(got)) & (np.abs(truth) + bound < largest)
        judgements.append(Judgement(batch, quantity, by_row(np.where(wrong, np.inf, 0.0), batch.rows), float64(got), truth, call))
    return judgements


def unbiased(trial: Trial, batch: Batch) -> list[Judgement]:
    """Over a thousand rows and more of one regime the errors of value and gradient average out."""
    expected = trial.expect(batch)
    outcome = trial.call(batch.prediction, batch.target)
    call = Call(batch.prediction, batch.target)
    if outcome.error:
        return [refuse(batch, "value", f"raises {outcome.error}", expected.truth.value, call)]
    judgements = []
    for quantity, got, truth, bound in (
        ("value", outcome.value, expected.truth.value, expected.bounds.value),
        ("gradient", outcome.gradient, expected.truth.gradient, expected.bounds.gradient),
    ):
        if got is None or got.shape != truth.shape:
            judgements.append(refuse(batch, quantity, "nothing of the right shape", truth, call))
            continue
        bias, count = _bias(float64(got), truth, bound, expected.precision)
        ratio = np.full(batch.rows, abs(bias) / BIAS_LIMIT if count >= BIAS_ROWS else 0.0)
        note = f"the mean error of {count} {quantity}s is {bias:+.3g} roundoffs, and at most {BIAS_LIMIT} is chance"
        judgements.append(Judgement(batch, quantity, ratio, float64(got), truth, call, note))
    return judgements


def _bias(got: NDArray, truth: NDArray, bound: NDArray, precision: str) -> tuple[float, int]:
    """Return the mean error in roundoffs of the result, away from zero positive, and how many entries it is over."""
    u, smallest = PRECISIONS[precision].u, PRECISIONS[precision].smallest
    size = np.abs(truth)
    counted = np.isfinite(truth) & np.isfinite(got) & (size > smallest / u) & (bound < RELATIVE * u * size)
    if not counted.any():
        return 0.0, 0
    error = (got[counted] - truth[counted]) * np.sign(truth[counted]) / (u * size[counted])
    return float(error.mean()), int(counted.sum())


def small_value(trial: Trial, batch: Batch) -> list[Judgement]:
    """The loss is within the bound of the form that keeps the digits of small losses."""
    if trial.semantics.small_loss == "relative":
        trial = trial.under(trial.semantics, Grade(trial.loss.relative_form, trial.grade.gradient))
    return value(trial, batch)


def small_losses(trial: Trial, batch: Batch) -> list[Judgement]:
    """A loss far below one keeps its digits down to the smallest normal number."""
    return [_saturation(trial, batch, small_value, small_ladder)]


def large_losses(trial: Trial, batch: Batch) -> list[Judgement]:
    """A large loss follows the mathematics as far as the dtype reaches."""
    return [_saturation(trial, batch, value, large_ladder)]


def _saturation(
    trial: Trial, batch: Batch, ask: Callable[[Trial, Batch], list[Judgement]], ladder: Callable[..., Batch]
) -> Judgement:
    """Judge a ladder, and say at which step the loss leaves its bound, found to four digits by climbing finer ladders."""
    judgement = ask(trial, batch)[0]
    if not judgement.violating.any() or isinstance(judgement.got, str):
        return judgement
    finest = judgement
    for _ in range(2):
        first = int(np.argmax(finest.violating))
        steps = [float(step) for step in finest.batch.regimes]
        span = (steps[max(first - 1, 0)], steps[first])
        finer = ask(trial, ladder(trial.loss, trial.dtype, span))[0]
        if not finer.violating.any():
            break
        finest = finer
    return Judgement(
        batch, judgement.quantity, judgement.ratio, judgement.got, judgement.expected, judgement.call, _where(finest, judgement)
    )


def _where(finest: Judgement, whole: Judgement) -> str:
    """Say where the loss leaves the mathematics, and what it returns at the end of the ladder."""
    first = int(np.argmax(finest.violating))
    x = finest.batch.prediction[first].tolist()
    assert not isinstance(finest.got, str) and not isinstance(finest.expected, str)
    assert not isinstance(whole.got, str) and not isinstance(whole.expected, str)
    place = f"from {'[' + ', '.join(f'{v:.4g}' for v in x) + ']'} on"
    got, true = _most_wrong(finest.got[first], finest.expected[first])
    end, far = _most_wrong(whole.got[LADDER - 1], whole.expected[LADDER - 1])
    return f"{place} it returns {got:.6g} where the loss is {true:.6g}; at the end of the ladder {end:.6g} for {far:.6g}"


def _most_wrong(got: NDArray, expected: NDArray) -> tuple[float, float]:
    """Return the outcome of a row that is furthest off, relative to its loss."""
    got, expected = np.atleast_1d(got), np.atleast_1d(expected)
    with np.errstate(all="ignore"):
        error = np.where(got == expected, 0.0, np.abs(got - expected) / np.abs(expected))
    column = int(np.argmax(np.where(np.isnan(error), np.inf, error)))
    return float(got[column]), float(expected[column])
