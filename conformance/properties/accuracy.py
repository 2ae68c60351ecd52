"""Accuracy: value and gradients within their derived bounds, unbiased, and where they stop following the mathematics."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from conformance.cases import Batch
from conformance.judging import Judgement, by_row, compare, decide, refuse
from conformance.tables import LADDER, large_ladder, small_ladder
from conformance.trial import Trial, float64
from reference.losses import Grade
from reference.precision import PRECISIONS

BIAS_LIMIT = 0.5
"""Mean signed error in roundoffs of the result: sound losses stay below 0.1, one that is off by 3e-7 reaches 5 (float32)."""
BIAS_ROWS = 1000
"""Fewer rows do not tell a bias from chance."""
RELATIVE = 16
"""A row counts for bias if its bound is below this many roundoffs of the result: there the loss promises digits."""


def within_bound(trial: Trial, batch: Batch, quantity: str) -> Judgement:
    """Judge a quantity against its truth and its derived bound."""
    return compare(batch, trial.ask(batch), quantity, *trial.expect(batch).of(quantity))


def value(trial: Trial, batch: Batch) -> list[Judgement]:
    """The loss is within its derived bound."""
    return [within_bound(trial, batch, "value")]


def worked_examples(trial: Trial, batch: Batch) -> list[Judgement]:
    """The examples that users start from come out as computed by hand."""
    return [within_bound(trial, batch, "value")]


def gradient(trial: Trial, batch: Batch) -> list[Judgement]:
    """The gradient with respect to the prediction is within its derived bound."""
    return [within_bound(trial, batch, "gradient")]


def target_gradient(trial: Trial, batch: Batch) -> list[Judgement]:
    """The gradient with respect to soft targets is within its derived bound."""
    if trial.semantics.target_gradient != "none":
        return [within_bound(trial, batch, "target gradient")]
    answer = trial.ask(batch)
    slope = answer.outcome.target_gradient
    holds = not answer.outcome.error and (slope is None or not slope.any())
    return [decide(holds, batch, answer, "target gradient", "none" if holds else "some", "none")]


def finite(trial: Trial, batch: Batch) -> list[Judgement]:
    """Where the true loss and gradient are finite numbers of the dtype, so are those returned."""
    expected, answer = trial.expect(batch), trial.ask(batch)
    largest = PRECISIONS[expected.precision].largest
    judgements = []
    for quantity in ("value", "gradient"):
        truth, bound = expected.of(quantity)
        if trouble := answer.trouble(quantity, truth.shape):
            judgements.append(refuse(batch, answer, quantity, trouble, truth))
            continue
        got = float64(answer.array(quantity))
        wrong = ~np.isfinite(got)
        if wrong.any():
            wrong &= np.abs(truth) + bound < largest
        ratio = by_row(np.where(wrong, np.inf, 0.0), batch.rows)
        judgements.append(Judgement(batch, quantity, ratio, got, truth, answer.call))
    return judgements


def unbiased(trial: Trial, batch: Batch) -> list[Judgement]:
    """Over a thousand rows and more of one regime the errors of value and gradient average out."""
    expected, answer = trial.expect(batch), trial.ask(batch)
    judgements = []
    for quantity in ("value", "gradient"):
        truth, bound = expected.of(quantity)
        if trouble := answer.trouble(quantity, truth.shape):
            judgements.append(refuse(batch, answer, quantity, trouble, truth))
            continue
        got = float64(answer.array(quantity))
        bias, count = _bias(got, truth, bound, expected.precision)
        if count < BIAS_ROWS:
            continue
        limit = BIAS_LIMIT + _bias_of_mean(trial, batch, expected.precision)
        ratio = np.full(batch.rows, abs(bias) / limit)
        note = f"the mean error of {count} {quantity}s is {bias:+.3g} roundoffs, and at most {limit:.3g} is chance"
        judgements.append(Judgement(batch, quantity, ratio, got, truth, answer.call, note))
    return judgements


def _bias_of_mean(trial: Trial, batch: Batch, precision: str) -> float:
    """Return how many roundoffs 1 / n is off in a dtype, where a loss is the mean of n outcomes: all its errors share that."""
    if not trial.loss.row_mean:
        return 0.0
    outcomes = batch.prediction.shape[-1]
    share = Fraction(float(np.dtype(precision).type(1 / outcomes)))
    return float(abs(share * outcomes - 1)) / PRECISIONS[precision].u


def _bias(got: NDArray, truth: NDArray, bound: NDArray, precision: str) -> tuple[float, int]:
    """Return the mean error in roundoffs of the result, away from zero positive, and how many entries it is over.

    A gradient that has come up to one counts for nothing: it cannot err beyond one, so its errors do not average out.
    """
    u, smallest = PRECISIONS[precision].u, PRECISIONS[precision].smallest
    size = np.abs(truth)
    counted = np.isfinite(truth) & np.isfinite(got) & (size > smallest / u) & (bound < RELATIVE * u * size)
    counted &= np.abs(size - 1) > RELATIVE * u
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
    if not judgement.violates or isinstance(judgement.got, str):
        return judgement
    finest = judgement
    for _ in range(2):
        first = int(np.argmax(finest.violating))
        steps = [float(step) for step in finest.batch.regimes]
        span = (steps[max(first - 1, 0)], steps[first])
        finer = ask(trial, ladder(trial.loss, trial.dtype, span))[0]
        if not finer.violates:
            break
        finest = finer
    return replace(judgement, note=_where(finest, judgement))


def _where(finest: Judgement, whole: Judgement) -> str:
    """Say where the loss leaves the mathematics, and what it returns at the end of the ladder."""
    first = int(np.argmax(finest.violating))
    x = finest.batch.prediction[first].tolist()
    place = f"from {'[' + ', '.join(f'{v:.4g}' for v in x) + ']'} on"
    got, true = _most_wrong(finest, first)
    end, far = _most_wrong(whole, LADDER - 1)
    return f"{place} it returns {got:.6g} where the loss is {true:.6g}; at the end of the ladder {end:.6g} for {far:.6g}"


def _most_wrong(judgement: Judgement, row: int) -> tuple[float, float]:
    """Return got and expected of the outcome of a row that is furthest off, relative to its loss."""
    assert not isinstance(judgement.got, str) and not isinstance(judgement.expected, str)
    got, expected = np.atleast_1d(judgement.got[row]), np.atleast_1d(judgement.expected[row])
    with np.errstate(all="ignore"):
        error = np.where(got == expected, 0.0, np.abs(got - expected) / np.abs(expected))
    column = int(np.argmax(np.where(np.isnan(error), np.inf, error)))
    return float(got[column]), float(expected[column])
