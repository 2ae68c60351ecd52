"""Shrinking: from a batch that violates a clause to the smallest case a person can read."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

from conformance.cases import Batch, lay_out
from conformance.clauses import Clause
from conformance.expectations import kinds_of
from conformance.judging import Judgement
from conformance.trial import Trial
from reference.losses import Loss
from reference.options import classes_of, one_hot_targets, rows_of

FEW = 64
"""A batch of more numbers than this is not rounded: nobody reads it."""

Attempt = Callable[[Batch], Judgement | None]


def shrink(trial: Trial, clause: Clause, judgement: Judgement) -> Judgement:
    """Return a judgement of the same kind on fewer rows, fewer classes and fewer digits."""
    if clause.of_whole:
        return judgement
    kind = kinds_of(judgement)[judgement.witness]

    def attempt(batch: Batch) -> Judgement | None:
        """Ask the clause of a smaller batch; None if the failure is gone, is another one, or cannot be judged."""
        try:
            answers = (clause.reduce or clause.ask)(trial, batch)
        except ArithmeticError:  # rounded to a number whose bound overflows
            return None
        for answer in answers:
            if answer.quantity == judgement.quantity and answer.violating.any() and kinds_of(answer)[answer.witness] == kind:
                return answer
        return None

    smallest = judgement
    for candidates in (_fewest, _fewer_rows, _fewer_classes, _fewer_digits):
        smallest = _first(candidates(trial.loss, smallest), attempt) or smallest
    return smallest


def _first(candidates: Iterator[Batch], attempt: Attempt) -> Judgement | None:
    for batch in candidates:
        if found := attempt(batch):
            return found
    return None


def _take(batch: Batch, rows: NDArray | list[int]) -> Batch:
    return replace(
        batch,
        prediction=lay_out(batch.prediction[rows], "rowwise"),
        target=lay_out(batch.target[rows], "rowwise"),
        labels=batch.labels[rows],
        regimes=tuple(batch.regimes[row] for row in rows),
        options=rows_of(batch.options, rows),
    )


def _fewest(loss: Loss, judgement: Judgement) -> Iterator[Batch]:
    """Yield the witness row with two classes or one outcome at once: each shape on the way is a program to a compiler."""
    if judgement.batch.rows < 2:
        return
    row = [judgement.witness]
    got, expected = (
        array[row] if isinstance(array, np.ndarray) and array.shape[:1] == (judgement.batch.rows,) else array
        for array in (judgement.got, judgement.expected)
    )
    alone = replace(judgement, batch=_take(judgement.batch, row), got=got, expected=expected)
    yield from takewhile(lambda batch: batch.prediction.shape[-1] <= 2, _fewer_classes(loss, alone))


def _fewer_rows(loss: Loss, judgement: Judgement) -> Iterator[Batch]:
    """Yield the witness row alone, then the first two rows of the batch, then four times as many each time."""
    batch = judgement.batch
    if batch.rows < 2:
        return
    yield _take(batch, [judgement.witness])
    count = 2
    while count < batch.rows:
        yield _take(batch, list(range(count)))
        count *= 4


def _fewer_classes(loss: Loss, judgement: Judgement) -> Iterator[Batch]:
    """Yield the first row with two classes, with three, with more; then all classes but the label equal."""
    batch = judgement.batch
    classes = batch.prediction.shape[-1]
    # An ignored class would be another one among fewer.
    if batch.rows != 1 or classes < 2 or loss.parameters or "ignore_index" in batch.options.given:
        return
    if not loss.has_classes:
        for column in _worst_columns(judgement)[:4]:
            yield _of_classes(batch, [column], batch.target[..., [column]])
        return
    row, label = batch.prediction[0].astype(np.float64), int(batch.labels[0])
    if not 0 <= label < classes:
        yield _of_classes(batch, [0, 1], np.minimum(batch.target, 2))
        return
    if classes > 2 and loss.prediction == "probability" and not batch.options.given:
        yield _labelled(loss, batch, np.array([row[label], 1 - row[label]]), 0)
    orders = [np.lexsort((-row, np.isfinite(row))).tolist(), _worst_columns(judgement)]
    count = 2
    while count < classes:
        for order in orders:
            kept = sorted([label, *[column for column in order if column != label][: count - 1]])
            yield _labelled(loss, replace(batch, options=classes_of(batch.options, kept)), row[kept], kept.index(label))
        count = count + 1 if count < 3 else count * 8
    level = np.where(np.arange(classes) == label, row, np.median(np.delete(row, label)))
    yield _labelled(loss, batch, level, label)


def _of_classes(batch: Batch, columns: list[int], target: NDArray) -> Batch:
    """Return some columns of a batch, with another target."""
    return replace(
        batch,
        id=_reduced(batch.id),
        prediction=lay_out(batch.prediction[:, columns], "rowwise"),
        target=lay_out(target, "rowwise"),
        options=classes_of(batch.options, columns),
    )


def _reduced(case: str) -> str:
    return case if case.endswith(" reduced") else f"{case} reduced"


def _worst_columns(judgement: Judgement) -> list[int]:
    """Return the columns of the first row by the size of their error."""
    if isinstance(judgement.got, str) or isinstance(judgement.expected, str) or judgement.got.ndim < 2:
        return list(range(judgement.batch.prediction.shape[-1]))
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.abs(judgement.got[0] - judgement.expected[0]) / (np.abs(judgement.expected[0]) + 1e-300)
    return [int(k) for k in np.argsort(-np.where(np.isnan(error), np.inf, error), kind="stable")]


def _labelled(loss: Loss, batch: Batch, row: NDArray, label: int) -> Batch:
    """Return the batch with one row, and a hard target."""
    target = np.array([label]) if loss.target == "index" else one_hot_targets(np.array([label]), len(row))
    return replace(
        batch,
        id=_reduced(batch.id),
        prediction=lay_out(row[None].astype(batch.dtype), "rowwise"),
        target=lay_out(target.astype(batch.target.dtype), "rowwise"),
        labels=np.array([label]),
        regimes=batch.regimes[:1],
    )


def _fewer_digits(loss: Loss, judgement: Judgement) -> Iterator[Batch]:
    """Yield the batch with its numbers rounded to one significant digit, then to more."""
    batch = judgement.batch
    if batch.prediction.size > FEW:
        return
    for digits in (1, 2, 3, 4, 6):
        prediction = lay_out(_rounded(batch.prediction, digits), "rowwise")
        target = batch.target if loss.target == "index" else lay_out(_rounded(batch.target, digits), "rowwise")
        yield replace(batch, id=_reduced(batch.id), prediction=prediction, target=target)


def _rounded(array: NDArray, digits: int) -> NDArray:
    text = [f"{float(v):.{digits - 1}e}" for v in array.ravel()]
    return np.array([float(v) for v in text]).reshape(array.shape).astype(array.dtype)
