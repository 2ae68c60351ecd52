"""Dtypes and shapes of targets: what labels and soft targets may come as."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from conformance.cases import Batch
from conformance.judging import Judgement, compare, decide
from conformance.trial import Answer, Trial, float64

LABEL_DTYPES = ("uint8", "int8", "int16", "int32", "int64")
TARGET_DTYPES = ("float16", "float32", "float64")
GRID = 16
"""Targets are multiples of 1/16: exact in every dtype."""
Judge = Callable[[Trial, Batch, Answer, str], list[Judgement]]
"""(trial, batch, answer, words) -> the judgements of an answer that should be the usual one; ``words`` say to what."""


def as_usual(trial: Trial, batch: Batch, answer: Answer, words: str) -> list[Judgement]:
    """Judge value and gradient of an answer."""
    expected = trial.expect(batch)
    return [
        compare(batch, answer, quantity, *expected.of(quantity), name=f"{quantity} {words}")
        for quantity in ("value", "gradient")
    ]


def label_dtypes(trial: Trial, batch: Batch, *, judge: Judge = as_usual) -> list[Judgement]:
    """Labels of every integer dtype give the same loss and gradient; the semantics says which dtypes are an error instead."""
    accepted = {
        "any": LABEL_DTYPES,
        "int64": ("int64",),
        "int64_uint8": ("int64", "uint8"),
        "int32_int64": ("int32", "int64"),
        "not_int16": ("uint8", "int8", "int32", "int64"),
    }
    judgements = []
    for dtype in LABEL_DTYPES:
        answer = trial.ask(replace(batch, target=batch.target.astype(dtype)))
        if dtype in accepted[trial.semantics.label_dtype]:
            judgements += judge(trial, batch, answer, f"for {dtype} labels")
        else:
            judgements.append(_error(batch, answer, f"value for {dtype} labels"))
    return judgements


def label_column(trial: Trial, batch: Batch, *, judge: Judge = as_usual) -> list[Judgement]:
    """Labels of shape (rows, 1) are an error; the semantics may say that they count as (rows,)."""
    answer = trial.ask(replace(batch, target=batch.target[:, None].copy()))
    if trial.semantics.label_column == "error":
        return [_error(batch, answer, "value for a column of labels")]
    value, expected = answer.outcome.value, trial.expect(batch)
    if trial.semantics.label_column == "every_pair":
        if value is None or value.shape != (batch.rows, batch.rows):
            return [_error(batch, answer, "value for a column of labels")]
        answer = replace(answer, outcome=replace(answer.outcome, value=np.diagonal(value)))
        return [compare(batch, answer, "value", *expected.of("value"), name="value of a row and its own label")]
    if value is not None and value.shape == (batch.rows, 1):
        answer = replace(answer, outcome=replace(answer.outcome, value=value[:, 0]))
    return judge(trial, batch, answer, "for a column of labels")


def target_dtypes(trial: Trial, batch: Batch, *, judge: Judge = as_usual) -> list[Judgement]:
    """Targets of another floating dtype than the prediction give the loss of their numbers; the semantics may say: an error."""
    exact = np.floor(batch.target.astype(np.float64) * GRID) / GRID
    if trial.loss.target == "soft":
        exact[:, 0] += 1 - exact.sum(-1)
    judgements = []
    for dtype in TARGET_DTYPES:
        answer = trial.ask(replace(batch, target=exact.astype(dtype)))
        if dtype == trial.dtype or trial.semantics.mixed_dtype == "value":
            as_given = replace(batch, target=exact.astype(batch.dtype))
            judgements += judge(trial, as_given, answer, f"for {dtype} targets")
        else:
            judgements.append(_error(batch, answer, f"value for {dtype} targets"))
    return judgements


def _error(batch: Batch, answer: Answer, name: str) -> Judgement:
    error = answer.outcome.error
    return decide(bool(error), batch, answer, name, error or float64(answer.outcome.value), "an error")
