"""Hidden states: losses of the logits that a matrix and a bias make of them, and the gradients with respect to all three."""

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.cases import Batch, lay_out
from conformance.judging import Judgement, compare, decide, refuse
from conformance.properties.options import without_neutral
from conformance.properties.special_values import labels_outside
from conformance.trial import Answer, Trial, float64
from reference.bounds import Bounds, additions, bound_ratio, error_bounds, reduced_bound
from reference.evaluate import Evaluation, Upstream, evaluate
from reference.losses import Grade
from reference.reductions import divisor, reduced
from reference.semantics import Semantics

UPSTREAM = -2.0
"""The upstream gradient of a reduced loss: neither one nor of its sign, and exact to multiply by."""


def losses(trial: Trial, batch: Batch) -> list[Judgement]:
    """Every loss is that of the logits h W^T + b, whose rounding is part of its bound."""
    answer, expected = trial.ask(batch), trial.expect(batch)
    return [compare(batch, answer, "value", *expected.of("value"))]


def gradients(trial: Trial, batch: Batch) -> list[Judgement]:
    """The gradients with respect to hidden states, matrix and bias are (p - t) W, (p - t)^T h and the sum of p - t.

    So they are under an upstream gradient that differs from row to row.
    """
    generator = np.random.default_rng(3)
    factors = (generator.uniform(1, 4, batch.rows) * generator.choice([-1.0, 1.0], batch.rows)).astype(batch.dtype)
    plain, scaled = trial.ask(batch), trial.ask(batch, cotangent=factors)
    return [
        *_slopes(trial, batch, plain, Upstream(np.ones(batch.rows)), ""),
        *_slopes(trial, batch, scaled, Upstream(factors.astype(np.float64)), " under an upstream gradient"),
    ]


def reductions(trial: Trial, batch: Batch) -> list[Judgement]:
    """Sum and mean are those of the losses, and so are the gradients with respect to hidden states, matrix and bias."""
    return [
        judgement
        for reduction in trial.binding.reductions
        if reduction != "none"
        for judgement in _reduced(trial, batch, reduction)
    ]


def under_options(trial: Trial, batch: Batch) -> list[Judgement]:
    """Under class weights, ignored labels, smoothing and pairs of them, losses and all gradients are those of their meanings.

    So they are under each reduction.
    """
    if not trial.binding.takes(batch.options.given):
        return []
    answer = trial.ask(batch)
    return [
        compare(batch, answer, "value", *trial.expect(batch).of("value")),
        *_slopes(trial, batch, answer, Upstream(np.ones(batch.rows)), ""),
        *reductions(trial, batch),
    ]


def whatever_they_hold(trial: Trial, batch: Batch) -> list[Judgement]:
    """Ignored rows add nothing to loss and gradients, and have a gradient of 0, though they hold NaN or an infinity."""
    if not trial.binding.takes(batch.options.given):
        return []
    kept = trial.expect(batch).truth.kept
    assert kept is not None  # the cases of this clause all drop rows
    poison = np.resize([np.nan, np.inf, -np.inf], batch.rows)[:, None]
    hidden = np.where(kept[:, None], batch.prediction, poison).astype(batch.dtype)
    return under_options(trial, replace(batch, prediction=lay_out(hidden, "rowwise")))


def neutral(trial: Trial, batch: Batch) -> list[Judgement]:
    """Class weights of one, a label that no row has and a smoothing of 0 leave losses and gradients as they are.

    So they do beside another option, and under each reduction.
    """
    if not trial.binding.takes(batch.options.given):
        return []
    plain = without_neutral(batch)
    answer, expected = trial.ask(batch), trial.expect(plain)
    return [
        compare(batch, answer, "value", *expected.of("value")),
        *_slopes(trial, plain, answer, Upstream(np.ones(batch.rows)), ""),
        *reductions(trial, batch),
    ]


def edges(trial: Trial, batch: Batch) -> list[Judgement]:
    """One class is certain, with a loss of 0; a matrix of zeros leaves the bias, and no bias the product alone."""
    return [*losses(trial, batch), *gradients(trial, batch)]


def labels_beyond(trial: Trial, batch: Batch) -> list[Judgement]:
    """A label that is no class is an error, or has the loss that the semantics names."""
    return labels_outside(trial, batch)[:1]


def empty_batch(trial: Trial, batch: Batch) -> list[Judgement]:
    """A batch without rows has no losses, the sum 0, the mean that the semantics names, and gradients of 0 where it sums."""
    mean = {"nan": np.nan, "zero": 0.0}.get(trial.semantics.mean_of_nothing, np.nan)
    wanted = {"none": np.zeros(0), "sum": np.zeros(()), "mean": np.array(mean)}
    judgements = []
    for reduction in trial.binding.reductions:
        answer = trial.ask(batch, reduction=reduction)
        truth = wanted[reduction]
        judgements.append(compare(batch, answer, "value", truth, np.zeros_like(truth), name=f"value under {reduction}"))
        if reduction != "mean" and not answer.outcome.error:
            judgements += _slopes(trial, batch, answer, Upstream(np.ones(0)), f" under {reduction}")
    return judgements


def interface(trial: Trial, batch: Batch) -> list[Judgement]:
    """Each gradient has the shape and the dtype of its array; the same call gives the same answer, and no input changes."""
    first, second = trial.ask(batch), trial.call(batch.prediction, batch.target, options=batch.options)
    shapes = {"value": (batch.rows,), "gradient": batch.prediction.shape}
    shapes |= {name: array.shape for name, array in first.call.parameters.items()}
    judgements = []
    for quantity, shape in shapes.items():
        one = first.array(quantity)
        got = "nothing" if one is None else f"{one.dtype} {one.shape}"
        wanted = f"{trial.dtype} {shape}"
        judgements.append(decide(got == wanted, batch, first, f"dtype and shape of {_name(quantity)}", got, wanted))
        judgements.append(_same_twice(batch, one, second, quantity))
    modified = first.outcome.modified
    got = "changed by the call" if modified else "as they were"
    return [*judgements, decide(not modified, batch, first, "inputs", got, "as they were")]


def _same_twice(batch: Batch, one: NDArray | None, second: Answer, quantity: str) -> Judgement:
    """Judge a second answer number by number; a difference is shown by its first entry."""
    name, other = f"second {_name(quantity)}", second.array(quantity)
    if one is None or other is None or one.shape != other.shape:
        got = "an answer after none" if one is None else second.trouble(quantity, one.shape)
        return refuse(batch, second, name, got, "the same answer")
    differing = np.flatnonzero(~((one == other) | (np.isnan(one) & np.isnan(other))))
    first = int(differing[0]) if differing.size else 0
    entries = (np.asarray(float64(array).flat[first]) for array in (other, one))
    return decide(not differing.size, batch, second, name, *entries)


def _name(quantity: str) -> str:
    return quantity if quantity in ("value", "gradient") else f"gradient of {quantity}"


def _reduced(trial: Trial, batch: Batch, reduction: str) -> list[Judgement]:
    """Judge a reduced loss, and its gradients under an upstream gradient."""
    expected = trial.expect(batch)
    truth, precision = expected.truth, trial.outer_precision
    value, factor = reduced(truth, reduction, trial.semantics)
    by = divisor(truth, reduction, trial.semantics)
    cotangent = np.asarray(UPSTREAM, batch.dtype)
    answer = trial.ask(batch, reduction=reduction, cotangent=cotangent)
    bound = reduced_bound(
        truth.value, expected.bounds, reduction=reduction, precision=precision, divisor=by, weight=truth.weight
    )
    judged = compare(batch, answer, "value", np.asarray(value), np.asarray(bound), name=f"value under {reduction}")
    if by == 0 and np.isnan(value):
        return [judged]  # whether the gradient of a NaN loss is NaN is nobody's contract
    upstream = Upstream(np.full(batch.rows, UPSTREAM * factor), 1 + additions(truth.weight, precision))
    return [judged, *_slopes(trial, batch, answer, upstream, f" under {reduction}")]


def _slopes(trial: Trial, batch: Batch, answer: Answer, upstream: Upstream, under: str) -> list[Judgement]:
    """Judge the gradients with respect to hidden states and to each parameter."""
    how = batch, trial.semantics, trial.precision, upstream.rows.tobytes(), upstream.roundings
    truth, bounds = _truth(*how), _bounds(trial.grade, *how)
    judgements = [compare(batch, answer, "gradient", truth.gradient, bounds.gradient, name=f"gradient{under}")]
    for name in answer.call.parameters:
        field = name.removeprefix("linear_")
        judgements.append(
            _one_for_all(
                batch, answer, name, getattr(truth.linear, field), getattr(bounds.linear, field), f"gradient of {name}{under}"
            )
        )
    return judgements


@lru_cache(maxsize=1024)
def _truth(batch: Batch, semantics: Semantics, precision: str, rows: bytes, roundings: float) -> Evaluation:
    """Return the truth under an upstream gradient; computed once for all bindings that share it."""
    upstream = Upstream(np.frombuffer(rows), roundings)
    how: dict[str, Any] = {"semantics": semantics, "precision": precision, "upstream": upstream}
    return evaluate(batch.loss, batch.prediction, batch.target, options=batch.options, **how)


@lru_cache(maxsize=1024)
def _bounds(grade: Grade, batch: Batch, semantics: Semantics, precision: str, rows: bytes, roundings: float) -> Bounds:
    truth, upstream = _truth(batch, semantics, precision, rows, roundings), Upstream(np.frombuffer(rows), roundings)
    how: dict[str, Any] = {"semantics": semantics, "precision": precision, "upstream": upstream}
    return error_bounds(batch.loss, batch.prediction, batch.target, truth, options=batch.options, grade=grade, **how)


def _one_for_all(batch: Batch, answer: Answer, parameter: str, expected: NDArray, bound: NDArray, name: str) -> Judgement:
    """Judge the gradient of a parameter by its worst entry: it is a sum over rows, and all of them have a part in it."""
    if trouble := answer.trouble(parameter, expected.shape):
        return refuse(batch, answer, name, trouble, expected)
    got = float64(answer.array(parameter))
    ratio = bound_ratio(got, expected, bound, precision=answer.precision)
    worst = np.unravel_index(int(np.where(np.isnan(ratio), np.inf, ratio).argmax()), ratio.shape)
    one = np.full(max(batch.rows, 1), ratio[worst])
    return Judgement(batch, name, one, np.asarray(got[worst]), np.asarray(expected[worst]), answer.call)
