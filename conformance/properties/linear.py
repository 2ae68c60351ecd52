"""Hidden states: losses of the logits that a matrix and a bias make of them, and the gradients with respect to all of these."""

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.cases import Batch, lay_out
from conformance.judging import Judgement, agree, compare, decide, refuse
from conformance.properties import accuracy, dtypes
from conformance.properties.accounts import fullest_form
from conformance.properties.interface import UPSTREAM
from conformance.properties.options import soft_beside_ignored, without_neutral
from conformance.properties.relations import ONE_HOT_PAIRS, gap
from conformance.properties.special_values import labels_outside
from conformance.trial import Answer, Trial, float64
from reference.bounds import Bounds, additions, bound_ratio, error_bounds, reduced_bound
from reference.evaluate import Evaluation, Upstream, evaluate
from reference.losses import LOSSES, Grade
from reference.options import PARAMETERS, one_hot_targets
from reference.reductions import divisor, of_nothing, reduced
from reference.semantics import Semantics


def losses(trial: Trial, batch: Batch) -> list[Judgement]:
    """Every loss is that of the logits h W^T + b, whose rounding is part of its bound."""
    answer, expected = trial.ask(batch), trial.expect(batch)
    return [compare(batch, answer, "value", *expected.of("value"))]


def gradients(trial: Trial, batch: Batch) -> list[Judgement]:
    """The gradients with respect to hidden states, matrix and bias are (p - t) W, (p - t)^T h and the sum of p - t.

    That with respect to soft targets is -log p, if they have one. So they are under an upstream gradient that differs from row
    to row.
    """
    generator = np.random.default_rng(3)
    factors = (generator.uniform(1, 4, batch.rows) * generator.choice([-1.0, 1.0], batch.rows)).astype(batch.dtype)
    plain, scaled = trial.ask(batch), trial.ask(batch, cotangent=factors)
    constant = trial.loss.target == "soft" and trial.semantics.target_gradient == "none"
    return [
        *(accuracy.target_gradient(trial, batch) if constant else []),
        *_slopes(trial, batch, plain, Upstream(np.ones(batch.rows)), ""),
        *_slopes(trial, batch, scaled, Upstream(factors.astype(np.float64)), " under an upstream gradient"),
    ]


def reductions(trial: Trial, batch: Batch) -> list[Judgement]:
    """Sum and mean are those of the losses, and so are all gradients."""
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


def unnormalised(trial: Trial, batch: Batch) -> list[Judgement]:
    """Soft targets that do not sum to one weigh the loss by their sum T, and in gradients T p - t has the place of p - t."""
    return edges(trial, batch)


def labels_beyond(trial: Trial, batch: Batch) -> list[Judgement]:
    """A label that is no class is an error, or has the loss that the semantics names."""
    return labels_outside(trial, batch)[:1]


def empty_batch(trial: Trial, batch: Batch) -> list[Judgement]:
    """A batch without rows has no losses, the sum 0, the mean that the semantics names, and gradients of 0 where it sums."""
    total, mean = of_nothing(trial.semantics)
    wanted = {"none": np.zeros(0), "sum": total, "mean": mean}
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
    shapes |= {"target gradient": batch.target.shape} if _has_target_gradient(trial, first) else {}
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


def forms_agree(trial: Trial, batch: Batch) -> list[Judgement]:
    """The public forms of one loss give what its fullest form gives: losses, each reduction that both have, and all gradients.

    So they do under each option and pair that both take; each form may err by its bounds.
    """
    other, given = fullest_form(trial.binding, trial.siblings), batch.options.given
    if other is None or not (trial.binding.takes(given) and other.takes(given)):
        return []
    partner = replace(trial, binding=other, semantics=other.semantics, grade=other.grade)
    shared = [name for name in trial.binding.reductions if name in other.reductions]
    return [judged for name in shared for judged in _held_against(trial, partner, batch, name)]


def _held_against(trial: Trial, partner: Trial, batch: Batch, reduction: str) -> list[Judgement]:
    """Judge one form against another, number by number."""
    cotangent = None if reduction == "none" else np.asarray(UPSTREAM, batch.dtype)
    answer, wanted = (one.ask(batch, reduction=reduction, cotangent=cotangent) for one in (trial, partner))
    own, other = (_expected(one, batch, answer, reduction) for one in (trial, partner))
    judgements = []
    for quantity in [quantity for quantity in own if quantity in other]:
        (truth, slack), (there, more) = own[quantity], other[quantity]
        name, bound, apart = f"{_name(quantity)} under {reduction}", slack + more, gap(truth, there)
        if trouble := wanted.trouble(quantity, bound.shape):
            judgements.append(refuse(batch, answer, name, trouble, "the same answer"))
        elif quantity in answer.call.parameters:
            judgements.append(_one_for_all(batch, answer, quantity, float64(wanted.array(quantity)) + apart, bound, name))
        else:
            judgements.append(agree(batch, answer, wanted, quantity, bound, apart=apart, name=name))
    return judgements


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


def hard_is_one_hot(trial: Trial, batch: Batch) -> list[Judgement]:
    """A label and its one-hot vector give the same loss and the same gradients, with and without the options that both take.

    So they do under each reduction that both have.
    """
    other_loss = ONE_HOT_PAIRS[trial.binding.loss]
    other = next((b for b in trial.siblings if b.loss == other_loss and b.api == trial.binding.api), None)
    given = set(batch.options.given) - set(trial.loss.parameters)
    taken = given <= set(LOSSES[other_loss].options) if other is None else other.takes(batch.options.given)
    if not (taken and trial.binding.takes(batch.options.given)):
        return []
    hard, twin = (_at_labels(batch, loss) for loss in (batch.loss, other_loss))
    there = None if other is None else replace(trial, binding=other, grade=other.grade)
    return [
        judged
        for reduction in trial.binding.reductions
        if other is None or reduction in other.reductions
        for judged in _same_at_labels(trial, hard, there, twin, reduction)
    ]


def _at_labels(batch: Batch, loss: str) -> Batch:
    """Return a batch with its labels for targets, as they are or one-hot."""
    labels = batch.labels.astype(np.int64)
    target = labels
    if LOSSES[loss].target != "index":
        target = one_hot_targets(labels, len(batch.options.given["linear_weight"])).astype(batch.dtype)
    return replace(batch, id=f"hard {batch.id.removeprefix('hard ')}", loss=loss, target=lay_out(target, "rowwise"))


def _same_at_labels(trial: Trial, hard: Batch, there: Trial | None, twin: Batch, reduction: str) -> list[Judgement]:
    """Judge an answer against that of another binding at the same labels, or else against what is expected there.

    Two answers are as far apart as their truths, and may err by their bounds together.
    """
    cotangent = None if reduction == "none" else np.asarray(UPSTREAM, hard.dtype)
    answer = trial.ask(hard, reduction=reduction, cotangent=cotangent)
    expected = _expected(trial, hard, answer, reduction)
    other = None if there is None else there.ask(twin, reduction=reduction, cotangent=cotangent)
    expected_there = _expected(there or trial, twin, other or answer, reduction)
    judgements = []
    for quantity in [quantity for quantity in expected if quantity in expected_there]:
        (own, bound), (truth, other_bound) = expected[quantity], expected_there[quantity]
        name = f"{_name(quantity)} under {reduction}"
        if other is None:
            judgements.append(_judged(hard, answer, quantity, truth, bound, name))
        elif trouble := other.trouble(quantity, truth.shape):
            judgements.append(refuse(hard, other, name, trouble, "the same answer"))
        else:
            wanted = float64(other.array(quantity)) + gap(own, truth)
            judgements.append(_judged(hard, answer, quantity, wanted, bound + other_bound, name))
    return judgements


def label_kinds(trial: Trial, batch: Batch) -> list[Judgement]:
    """Labels of every integer dtype give the same loss and gradients, and labels of shape (rows, 1) are an error.

    The semantics says which dtypes are an error instead, or that a column of labels counts as (rows,).
    """
    return [
        *dtypes.label_dtypes(trial, batch, judge=as_usual),
        *dtypes.label_column(trial, batch, judge=as_usual),
    ]


def target_dtypes(trial: Trial, batch: Batch) -> list[Judgement]:
    """Soft targets of another floating dtype give the loss and gradients of their numbers; the semantics may say: an error."""
    return dtypes.target_dtypes(trial, batch, judge=as_usual)


def beside_ignored(trial: Trial, batch: Batch) -> list[Judgement]:
    """Soft targets name no label to ignore: with one that is ignored they are an error, or as they are without it."""
    return soft_beside_ignored(trial, batch, judge=as_usual)


def as_usual(trial: Trial, batch: Batch, answer: Answer, words: str) -> list[Judgement]:
    """Judge value and all gradients of an answer."""
    value = compare(batch, answer, "value", *trial.expect(batch).of("value"), name=f"value {words}")
    return [value, *_slopes(trial, batch, answer, Upstream(np.ones(batch.rows)), f" {words}")]


def _name(quantity: str) -> str:
    return f"gradient of {quantity}" if quantity in PARAMETERS else quantity


def _reduced(trial: Trial, batch: Batch, reduction: str) -> list[Judgement]:
    """Judge a reduced loss, and its gradients under an upstream gradient."""
    answer = trial.ask(batch, reduction=reduction, cotangent=np.asarray(UPSTREAM, batch.dtype))
    return [
        _judged(batch, answer, quantity, truth, bound, f"{_name(quantity)} under {reduction}")
        for quantity, (truth, bound) in _expected(trial, batch, answer, reduction).items()
    ]


Sides = dict[str, tuple[NDArray, NDArray]]
"""Truth and bound of what an answer holds, by quantity or parameter."""


def _expected(trial: Trial, batch: Batch, answer: Answer, reduction: str) -> Sides:
    """Return what is expected of an answer: a loss reduced under `UPSTREAM`, or losses; with all its gradients.

    But for that of the targets where the divisor of a mean holds them too: it has a part of its own there.
    """
    expected = trial.expect(batch)
    truth, precision = expected.truth, trial.outer_precision
    if reduction == "none":
        return {"value": expected.of("value"), **_slopes_of(trial, batch, answer, Upstream(np.ones(batch.rows)))}
    value, factor = reduced(truth, reduction, trial.semantics)
    by = divisor(truth, reduction, trial.semantics)
    bound = reduced_bound(
        truth.value, expected.bounds, reduction=reduction, precision=precision, divisor=by, weight=truth.weight
    )
    whole: Sides = {"value": (np.asarray(value), np.asarray(bound))}
    if by == 0 and np.isnan(value):
        return whole  # whether the gradient of a NaN loss is NaN is nobody's contract
    upstream = Upstream(np.full(batch.rows, UPSTREAM * factor), 1 + additions(truth.weight, precision))
    slopes = _slopes_of(trial, batch, answer, upstream)
    if reduction == "mean" and truth.weight is not None and truth.weight.ndim > 1:
        slopes.pop("target gradient", None)
    return {**whole, **slopes}


def _slopes(trial: Trial, batch: Batch, answer: Answer, upstream: Upstream, under: str) -> list[Judgement]:
    """Judge the gradients with respect to hidden states, soft targets and each parameter."""
    return [
        _judged(batch, answer, quantity, truth, bound, f"{_name(quantity)}{under}")
        for quantity, (truth, bound) in _slopes_of(trial, batch, answer, upstream).items()
    ]


def _slopes_of(trial: Trial, batch: Batch, answer: Answer, upstream: Upstream) -> Sides:
    """Return what is expected of the gradients of an answer."""
    how = batch, trial.semantics, trial.precision, upstream.rows.tobytes(), upstream.roundings
    truth, bounds = _truth(*how), _bounds(trial.grade, *how)
    slopes: Sides = {"gradient": (truth.gradient, bounds.gradient)}
    if truth.target_gradient is not None and bounds.target_gradient is not None and _has_target_gradient(trial, answer):
        slopes["target gradient"] = truth.target_gradient, bounds.target_gradient
    for name in answer.call.parameters:
        field = name.removeprefix("linear_")
        slopes[name] = getattr(truth.linear, field), getattr(bounds.linear, field)
    return slopes


def _has_target_gradient(trial: Trial, answer: Answer) -> bool:
    """Tell whether a call owes a gradient with respect to its targets; one of another dtype would be rounded to that."""
    return answer.call.target.dtype == answer.call.prediction.dtype and trial.semantics.target_gradient != "none"


def _judged(batch: Batch, answer: Answer, quantity: str, truth: NDArray, bound: NDArray, name: str) -> Judgement:
    """Judge a quantity row by row, the gradient of a parameter as a whole."""
    if quantity in PARAMETERS:
        return _one_for_all(batch, answer, quantity, truth, bound, name)
    return compare(batch, answer, quantity, truth, bound, name=name)


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
