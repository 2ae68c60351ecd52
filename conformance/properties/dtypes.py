"""Dtypes and shapes of targets and weights: what labels, soft targets and weights may come as, alone and beside an option."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.cases import Batch, lay_out
from conformance.judging import Judgement, compare, decide
from conformance.properties.options import ask_over_axis, expect_reduced, has_gradient
from conformance.properties.relations import Judge, as_usual
from conformance.trial import Answer, Trial, float64

LABEL_DTYPES = ("uint8", "int8", "int16", "int32", "int64")
ACCEPTED = {
    "any": LABEL_DTYPES,
    "int64": ("int64",),
    "int64_uint8": ("int64", "uint8"),
    "int32_int64": ("int32", "int64"),
    "not_int16": ("uint8", "int8", "int32", "int64"),
}
"""The dtypes of labels that are no error, by the alternatives of ``label_dtype``."""
TARGET_DTYPES = ("float16", "float32", "float64")
FEW = ("uint8", "int32", "float16")
"""The dtypes that are asked with the classes on another axis, and beside options where each is a program to compile: one of
soft targets, the one that could lose digits, and two of labels, as few libraries take the same."""
WEIGHTS = ("class_weight", "pos_weight", "sample_weight")
GRID = 16
"""Targets and weights are multiples of 1/16: exact in every dtype."""


def label_dtypes(trial: Trial, batch: Batch, *, judge: Judge = as_usual) -> list[Judgement]:
    """Labels of every integer dtype give the same loss and gradient; the semantics says which dtypes are an error instead."""
    judgements = []
    for dtype in LABEL_DTYPES:
        answer = trial.ask(replace(batch, target=batch.target.astype(dtype)))
        if dtype in ACCEPTED[trial.semantics.label_dtype]:
            judgements += judge(trial, batch, answer, f"for {dtype} labels")
        else:
            judgements.append(_error(batch, answer, f"value for {dtype} labels"))
    return judgements


def label_column(trial: Trial, batch: Batch, *, judge: Judge = as_usual) -> list[Judgement]:
    """Labels of shape (rows, 1) are an error; the semantics may say that they count as (rows,)."""
    answer = trial.ask(replace(batch, target=batch.target[:, None].copy()))
    if trial.semantics.label_column == "error":
        return [_error(batch, answer, "value for a column of labels")]
    if trial.semantics.label_column == "every_pair":
        return _own_label(trial, batch, answer)
    return judge(trial, batch, _without_column(batch, answer), "for a column of labels")


def target_dtypes(trial: Trial, batch: Batch, *, judge: Judge = as_usual) -> list[Judgement]:
    """Targets of another floating dtype than the prediction give the loss of their numbers; the semantics may say: an error."""
    exact, judgements = _exact_targets(trial, batch), []
    for dtype in TARGET_DTYPES:
        answer = trial.ask(replace(batch, target=exact.astype(dtype)))
        if dtype == trial.dtype or trial.semantics.mixed_dtype == "value":
            as_given = replace(batch, target=exact.astype(batch.dtype))
            judgements += judge(trial, as_given, answer, f"for {dtype} targets")
        else:
            judgements.append(_error(batch, answer, f"value for {dtype} targets"))
    return judgements


def labels_under_options(
    trial: Trial, batch: Batch, *, reductions: Sequence[str] = (), dtypes: Sequence[str] = LABEL_DTYPES
) -> list[Judgement]:
    """Beside each option too, and on another class axis, labels of every integer dtype give what int64 ones give.

    So they do under each reduction. A dtype that does not hold the labels is not asked.
    """
    if not _takes(trial, batch):
        return []
    judgements = []
    for dtype in _other(trial, batch, dtypes, "int64"):
        if np.array_equal(batch.target.astype(dtype), batch.target):
            accepts = dtype in ACCEPTED[trial.semantics.label_dtype]
            asked = replace(batch, target=batch.target.astype(dtype))
            judgements += _given(trial, batch, asked, reductions, accepts=accepts, words=f"for {dtype} labels")
    return judgements


def column_under_options(trial: Trial, batch: Batch, *, reductions: Sequence[str] = ()) -> list[Judgement]:
    """Beside each option too labels of shape (rows, 1) are an error; the semantics may say that they count as (rows,).

    So it is under each reduction. Where they make losses of every pair, what is made of those is another question.
    """
    if not _takes(trial, batch):
        return []
    column, reductions = replace(batch, target=batch.target[:, None].copy()), reductions or trial.reductions_under_options
    if trial.semantics.label_column != "every_pair" or "none" not in reductions:
        accepts, words = trial.semantics.label_column != "error", "for a column of labels"
        return _given(trial, batch, column, reductions, accepts=accepts, words=words)
    return _own_label(trial, batch, trial.ask(column))


def targets_under_options(
    trial: Trial, batch: Batch, *, reductions: Sequence[str] = (), dtypes: Sequence[str] = TARGET_DTYPES
) -> list[Judgement]:
    """Beside each option too, and on another class axis, targets of another floating dtype give the loss of their numbers.

    So they do under each reduction. The semantics may say that they are an error.
    """
    if not _takes(trial, batch):
        return []
    exact, accepts = _exact_targets(trial, batch), trial.semantics.mixed_dtype == "value"
    usual, judgements = replace(batch, target=exact.astype(batch.dtype)), []
    for dtype in _other(trial, batch, dtypes, trial.dtype):
        asked = replace(batch, target=exact.astype(dtype))
        judgements += _given(trial, usual, asked, reductions, accepts=accepts, words=f"for {dtype} targets")
    return judgements


def weight_dtypes(
    trial: Trial, batch: Batch, *, reductions: Sequence[str] = (), dtypes: Sequence[str] = TARGET_DTYPES
) -> list[Judgement]:
    """Weights of another floating dtype than the prediction weigh as their numbers; the semantics may say: an error.

    So they do under each reduction.
    """
    if not _takes(trial, batch):
        return []
    name = next(name for name in WEIGHTS if name in batch.options.given)
    exact = np.floor(batch.options.given[name].astype(np.float64) * GRID) / GRID

    def weighed(dtype: str) -> Batch:
        weights: Any = np.array(exact, dtype)
        return replace(batch, options=replace(batch.options, **{name: weights}))

    usual, accepts, judgements = weighed(batch.dtype), trial.semantics.weight_dtype == "value", []
    for dtype in _other(trial, batch, dtypes, trial.dtype):
        words = f"for {name} of {dtype}"
        judgements += _given(trial, usual, weighed(dtype), reductions, accepts=accepts, words=words)
    return judgements


def targets_of_means(trial: Trial, batch: Batch) -> list[Judgement]:
    """A mean that is given alone takes labels of int32, soft targets of float16, and labels in a column as losses do.

    So it does with the column beside each option. Each is a model of its own to compile: so of the dtypes the one is asked
    that many tables of labels have, and the one that could lose digits, and both alone.
    """
    if not _takes(trial, batch):
        return []
    column = column_under_options(trial, batch) if trial.loss.target == "index" else []
    if batch.options.given:
        return column
    if trial.loss.target == "index":
        return [*labels_under_options(trial, batch, dtypes=("int32",)), *column]
    return targets_under_options(trial, batch, dtypes=("float16",))


def _takes(trial: Trial, batch: Batch) -> bool:
    """Tell whether a binding takes what a batch is asked with."""
    axis = ("class_axis",) if _is_on_axis(trial, batch) else ()
    return trial.binding.takes([*batch.options.given, *axis])


def _is_on_axis(trial: Trial, batch: Batch) -> bool:
    """Tell whether a batch is asked with the classes on another axis: without options, of what gives losses."""
    return not batch.options.given and "none" in trial.binding.reductions


def _other(trial: Trial, batch: Batch, dtypes: Sequence[str], usual: str) -> list[str]:
    """Return the dtypes that are not the usual one, or the `FEW` of them."""
    few = not batch.options.given or trial.framework.sparing
    return [dtype for dtype in dtypes if dtype != usual and (dtype in FEW or not few)]


def _given(
    trial: Trial, usual: Batch, asked: Batch, reductions: Sequence[str], *, accepts: bool, words: str
) -> list[Judgement]:
    """Judge what is asked: under each reduction an error, or where it is accepted what is expected of the usual batch."""
    judgements = []
    for reduction in reductions or trial.reductions_under_options:
        if _is_on_axis(trial, usual):
            answer = ask_over_axis(trial, asked, 1, reduction)
        else:
            answer = trial.ask(asked, reduction=reduction)
        answer = _without_column(usual, answer)
        under = words if reduction == "none" else f"{words} under {reduction}"
        if not accepts:
            judgements.append(_error(usual, answer, f"value {under}"))
        elif reduction == "none":
            judgements += as_usual(trial, usual, answer, under)
        else:
            judgements += _as_usual_mean(trial, usual, answer, reduction, under)
    return judgements


def _exact_targets(trial: Trial, batch: Batch) -> NDArray[np.float64]:
    """Return targets on the grid; what rounding down takes from a distribution is given to its largest class."""
    exact = np.floor(batch.target.astype(np.float64) * GRID) / GRID
    if trial.loss.target == "soft":
        exact[np.arange(batch.rows), batch.target.argmax(-1)] += 1 - exact.sum(-1)
    return lay_out(exact, "rowwise")


def _as_usual_mean(trial: Trial, batch: Batch, answer: Answer, reduction: str, words: str) -> list[Judgement]:
    value, bound, gradient, slack = expect_reduced(trial, batch, reduction)
    judged = [compare(batch, answer, "value", value, bound, name=f"value {words}")]
    if has_gradient(trial, answer) and not np.isnan(value):
        judged.append(compare(batch, answer, "gradient", gradient, slack, name=f"gradient {words}"))
    return judged


def _without_column(batch: Batch, answer: Answer) -> Answer:
    """Return losses that came in a column, as their labels did, in the shape of the rows."""
    value, column = answer.outcome.value, (batch.rows, 1)
    if value is None or batch.target.ndim != 1 or not value.shape == answer.call.target.shape == column:
        return answer
    return replace(answer, outcome=replace(answer.outcome, value=value[:, 0]))


def _own_label(trial: Trial, batch: Batch, answer: Answer) -> list[Judgement]:
    """Judge the losses of every pair of a row and a label: those of each row and its own label are what it asked for."""
    value = answer.outcome.value
    if value is None or value.shape != (batch.rows, batch.rows):
        return [_error(batch, answer, "value for a column of labels")]
    own = replace(answer, outcome=replace(answer.outcome, value=np.diagonal(value)))
    return [compare(batch, own, "value", *trial.expect(batch).of("value"), name="value of a row and its own label")]


def _error(batch: Batch, answer: Answer, name: str) -> Judgement:
    error = answer.outcome.error
    return decide(bool(error), batch, answer, name, error or float64(answer.outcome.value), "an error")
