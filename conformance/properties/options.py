"""Options: value and gradients under every option and pair of options, and the relations between calls that differ in one."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.cases import Batch, lay_out
from conformance.judging import Judgement, agree, compare, decide
from conformance.properties.relations import ONE_HOT_PAIRS, Judge, as_usual, both_agree, with_arrays
from conformance.settings import SETTINGS
from conformance.trial import Answer, Trial, float64
from reference.bounds import reduced_bound, reduced_gradient_bound
from reference.losses import DTYPES, LOSSES
from reference.options import Options, one_hot_targets
from reference.reductions import divisor, reduced

UNUSED_LABEL = -100
"""What PyTorch ignores unless told otherwise."""


def under_options(trial: Trial, batch: Batch, *, reductions: Sequence[str] = ()) -> list[Judgement]:
    """Under an option value and gradients are those that its meaning states, and so are those of every reduction.

    What is given as an option is left as it is.
    """
    if not trial.binding.takes(batch.options.given):
        return []
    reductions = reductions or trial.reductions_under_options
    losses = _unreduced(trial, batch) if "none" in reductions else []
    return [*losses, *(judged for name in reductions if name != "none" for judged in _reduced(trial, batch, name))]


def _unreduced(trial: Trial, batch: Batch) -> list[Judgement]:
    """Judge losses and their gradients."""
    expected, answer = trial.expect(batch), trial.ask(batch)
    quantities = ["value", "gradient"]
    if expected.truth.target_gradient is not None and trial.semantics.target_gradient != "none":
        quantities.append("target gradient")
    return [
        *_left_alone(batch, answer),
        *(compare(batch, answer, quantity, *expected.of(quantity)) for quantity in quantities),
    ]


def whatever_they_hold(trial: Trial, batch: Batch, *, reductions: Sequence[str] = ()) -> list[Judgement]:
    """Masked and ignored rows add nothing and have a gradient of 0, whatever they hold: it is as if they were not there."""
    if not trial.binding.takes(batch.options.given):
        return []
    return [judged for held in poisoned(trial, batch) for judged in under_options(trial, held, reductions=reductions)]


def poisoned(trial: Trial, batch: Batch) -> list[Batch]:
    """Return a batch with NaN, and on logits infinities too, in the rows that its options drop.

    Where a mask drops them, also one with targets of NaN, or labels that are no class, in the masked rows. What holds such
    things already is returned as it is.
    """
    kept = trial.expect(batch).truth.kept
    assert kept is not None  # this is asked of cases that drop rows
    masked = ~batch.options.given.get("mask", np.ones(batch.rows, np.bool_))
    target = _held_for_targets(batch)
    odd = np.isin(batch.target, target) if batch.target.ndim == 1 else ~np.isfinite(batch.target).all(-1)
    if not np.isfinite(batch.prediction[~kept]).all() or (odd & masked).any():
        return [batch]
    kinds = [np.nan, np.inf, -np.inf] if trial.loss.prediction == "logit" else [np.nan]
    prediction = _where(kept, batch.prediction, np.resize(kinds, batch.rows))
    held = [replace(batch, prediction=prediction)]
    return [*held, replace(batch, target=_where(~masked, batch.target, target))] if masked.any() else held


def _held_for_targets(batch: Batch) -> NDArray:
    """Return what masked rows are given for a target: NaN, or for a label -1 and the number of classes in turns."""
    kinds = [-1, batch.prediction.shape[-1]] if batch.target.ndim == 1 else [np.nan]
    return np.resize(kinds, batch.rows)


def _where(rows: NDArray, array: NDArray, other: NDArray) -> NDArray:
    """Return an array with other numbers in the rows that are not named, one for each row."""
    spread = (slice(None), *[None] * (array.ndim - 1))
    return lay_out(np.where(rows[spread], array, other[spread]).astype(array.dtype), "rowwise")


def neutral(trial: Trial, batch: Batch, *, reductions: Sequence[str] = ()) -> list[Judgement]:
    """An option with its neutral value gives what the call without it gives, alone and beside another option.

    So it does under each reduction.
    """
    if not trial.binding.takes(batch.options.given):
        return []
    plain = without_neutral(batch)
    return [
        judged
        for reduction in reductions or trial.reductions_under_options
        for judged in _same_without(trial, batch, plain, reduction)
    ]


def _same_without(trial: Trial, batch: Batch, plain: Batch, reduction: str) -> list[Judgement]:
    """Judge what a call gives against what it gives without an option: value and, where there is one, gradient."""
    with_it, without = (trial.ask(one, reduction=reduction) for one in (batch, plain))
    if reduction == "none":
        return both_agree(batch, with_it, without, trial.expect(plain))
    value, bound, _, slack = expect_reduced(trial, plain, reduction)
    judged = [agree(batch, with_it, without, "value", 2 * bound, name=f"value under {reduction}")]
    if has_gradient(trial, without) and not np.isnan(value):
        judged.append(agree(batch, with_it, without, "gradient", 2 * slack, name=f"gradient under {reduction}"))
    return judged


def has_gradient(trial: Trial, answer: Answer) -> bool:
    """Tell whether a gradient is owed: by all but what has a mode of its own and returns none in it."""
    return answer.outcome.gradient is not None or not trial.binding.mode


def without_neutral(batch: Batch) -> Batch:
    """Return a batch without those of its options that have a neutral value."""
    settings = [SETTINGS[name] for name in batch.regimes[0].split("+")]
    neutral = {setting.option for setting in settings if setting.neutral(LOSSES[batch.loss])}
    left = {name: value for name, value in batch.options.given.items() if name not in neutral}
    return replace(batch, options=Options(**left))


def soft_beside_ignored(trial: Trial, batch: Batch, *, judge: Judge = as_usual) -> list[Judgement]:
    """Soft targets name no label to ignore: with one that is ignored they are an error, or as they are without it."""
    classes = classes_in(trial, batch)
    soft = ((3 * one_hot_targets(batch.labels, classes) + 1 / classes) / 4).astype(batch.dtype)
    case, loss = f"soft {batch.id.removeprefix('soft ')}", ONE_HOT_PAIRS[trial.binding.loss]
    dense = replace(batch, id=case, loss=loss, target=lay_out(soft, "rowwise"))
    judgements = []
    for index in (UNUSED_LABEL, 0):
        answer = trial.call(dense.prediction, dense.target, options=replace(batch.options, ignore_index=index))
        if answer.outcome.error:
            judgements.append(decide(True, dense, answer, f"value beside {index}", answer.outcome.error, "an error"))
        else:
            judgements += judge(trial, dense, answer, f"beside {index}")
    return judgements


def wrong_length(trial: Trial, batch: Batch, *, names: Sequence[str] = ()) -> list[Judgement]:
    """Weights of the wrong length are an error: of one too many, and of one too few where that is not one for all."""
    rows, classes = batch.rows, classes_in(trial, batch)
    lengths = {"class_weight": classes, "pos_weight": classes, "sample_weight": rows, "mask": rows}
    judgements = []
    for name in names or sorted(set(lengths) & set(trial.binding.options)):
        for length, words in ((lengths[name] + 1, "one too many"), (lengths[name] - 1, "one too few")):
            if length < 2:
                continue
            weights: Any = np.ones(length, np.bool_ if name == "mask" else batch.dtype)
            weighed = replace(batch, options=replace(batch.options, **{name: weights}))
            answer = trial.ask(weighed, reduction=trial.binding.least_reduced)
            error = answer.outcome.error
            got = error or float64(answer.outcome.value)
            judgements.append(decide(bool(error), batch, answer, f"value for {name} with {words}", got, "an error"))
    return judgements


def classes_in(trial: Trial, batch: Batch) -> int:
    """Return the number of classes: of hidden states that of their logits."""
    return len(batch.options.given["linear_weight"]) if trial.loss.parameters else batch.prediction.shape[-1]


def class_axis(trial: Trial, batch: Batch, *, axes: Sequence[int] = (), reductions: Sequence[str] = ()) -> list[Judgement]:
    """With the classes on another axis, and rows in several dimensions, losses and gradients are those of the rows.

    So are reduced losses. The semantics may say that the second axis alone may hold the classes.
    """
    if not trial.binding.takes(batch.options.given):
        return []
    axes, reductions = (
        axes or ((1,) if batch.options.given else _class_axes(trial)),
        reductions or trial.reductions_under_options,
    )
    judgements = []
    for axis in axes:
        for reduction in reductions[:1] if axis in MIDDLE else reductions:
            over_axis = _losses_over_axis if reduction == "none" else partial(_reduced_over_axis, reduction=reduction)
            judgements += over_axis(trial, batch, axis)
    return judgements


def _losses_over_axis(trial: Trial, batch: Batch, axis: int) -> list[Judgement]:
    """Judge losses and gradients, brought into the order of the rows."""
    rows, expected = ask_over_axis(trial, batch, axis, "none"), trial.expect(batch)
    return [
        compare(batch, rows, quantity, *expected.of(quantity), name=f"{quantity} over axis {axis}")
        for quantity in ("value", "gradient")
    ]


def _reduced_over_axis(trial: Trial, batch: Batch, axis: int, reduction: str) -> list[Judgement]:
    """Judge a reduced loss with the classes on an axis, and its gradient where it has one: they are those of the rows."""
    answer, under = ask_over_axis(trial, batch, axis, reduction), f"under {reduction} over axis {axis}"
    value, bound, gradient, slack = expect_reduced(trial, batch, reduction)
    judged = [compare(batch, answer, "value", value, bound, name=f"value {under}")]
    if has_gradient(trial, answer) and not np.isnan(value):
        judged.append(compare(batch, answer, "gradient", gradient, slack, name=f"gradient {under}"))
    return judged


def ask_over_axis(trial: Trial, batch: Batch, axis: int, reduction: str) -> Answer:
    """Return the answer with the classes on an axis, its arrays in the order of the rows."""
    moved = on_axis(batch, axis)
    answer = trial.ask(moved, reduction=reduction, class_axis=axis)
    value, gradient = answer.outcome.value, answer.outcome.gradient
    if value is not None and value.shape == tuple(np.delete(moved.prediction.shape, axis)):
        value = value.reshape(batch.rows)
    if gradient is not None and gradient.shape == moved.prediction.shape:
        gradient = np.moveaxis(gradient, axis, -1).reshape(batch.prediction.shape)
    return with_arrays(answer, value, gradient)


MIDDLE = (2, -2)
"""One axis of four by its two numbers. What a reduction does to rows in several dimensions shows on the other axes."""


def _class_axes(trial: Trial) -> tuple[int, ...]:
    """Return the axes that may hold the classes, beside the last; what an axis means is asked in full in one dtype."""
    if trial.semantics.class_axis == "second":
        return (1,)
    return (1, 0, *MIDDLE) if trial.dtype == DTYPES[0] else (1, 0)


def on_axis(batch: Batch, axis: int) -> Batch:
    """Return a batch with the classes on an axis: the rows in three dimensions around it, or in one after it."""
    rows = batch.rows
    # A finding comes down to a single row.
    sides = (rows,) if axis == 0 else (2, 3, rows // 6) if rows % 6 == 0 else (rows, 1, 1)

    def moved(array: NDArray) -> NDArray:
        spread = array.reshape(*sides, *array.shape[1:])
        return lay_out(np.moveaxis(spread, -1, axis) if array.ndim > 1 else spread, "rowwise")

    given = dict(batch.options.given)
    given.update({name: moved(given[name]) for name in ("sample_weight", "mask", "where") if name in given})
    return replace(batch, prediction=moved(batch.prediction), target=moved(batch.target), options=Options(**given))


def expect_reduced(trial: Trial, batch: Batch, reduction: str) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Return a reduced loss and its bound, its gradient and the bound of that."""
    expected, precision = trial.expect(batch), trial.outer_precision
    truth, bounds = expected.truth, expected.bounds
    value, factor = reduced(truth, reduction, trial.semantics)
    by = divisor(truth, reduction, trial.semantics)
    bound = reduced_bound(truth.value, bounds, reduction=reduction, precision=precision, divisor=by, weight=truth.weight)
    slack = reduced_gradient_bound(truth.gradient, bounds.gradient, factor, weight=truth.weight, precision=precision)
    return np.asarray(value), np.asarray(bound), truth.gradient * factor, slack


def _reduced(trial: Trial, batch: Batch, reduction: str) -> list[Judgement]:
    """Judge a reduced loss and its gradient."""
    answer = trial.ask(batch, reduction=reduction)
    value, bound, gradient, slack = expect_reduced(trial, batch, reduction)
    judged = _left_alone(batch, answer)
    judged.append(compare(batch, answer, "value", value, bound, name=f"value under {reduction}"))
    if np.isnan(value) and divisor(trial.expect(batch).truth, reduction, trial.semantics) == 0:
        return judged  # whether the gradient of a NaN loss is NaN is nobody's contract
    return [*judged, compare(batch, answer, "gradient", gradient, slack, name=f"gradient under {reduction}")]


def _left_alone(batch: Batch, answer: Answer) -> list[Judgement]:
    """Judge a call that wrote into its arguments; nothing where it did not."""
    if not answer.outcome.modified:
        return []
    return [decide(False, batch, answer, "arguments", "changed by the call", "as they were")]
