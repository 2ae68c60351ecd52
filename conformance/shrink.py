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
from conformance.regimes import targets_in_form
from conformance.trial import Trial
from reference.losses import Loss
from reference.options import classes_of, one_hot_targets, rows_of

FEW = 64
"""A batch of more numbers than this is not rounded: nobody reads it."""

SIMPLE = {"logit": (1.0, 0.0), "probability": (0.75, 0.25), "log-probability": (np.log(0.75), np.log(0.25))}
"""What a failure that any numbers show is shown on."""

SUSPECTS = 16
"""Of so many rows each is tried, alone or beside a dropped one, where any may be the cause."""

Attempt = Callable[[Batch], Judgement | None]


def shrink(trial: Trial, clause: Clause, judgement: Judgement) -> Judgement:
    """Return a judgement of the same kind on fewer rows, fewer classes and fewer digits."""
    if clause.of_whole:
        return judgement
    kind = kinds_of(judgement)[judgement.witness]
    ask = clause.reduce(judgement) if clause.reduce else clause.ask

    def attempt(batch: Batch) -> Judgement | None:
        """Ask the clause of a smaller batch; None if the failure is gone, is another one, or cannot be judged."""
        try:
            answers = ask(trial, batch)
        except ArithmeticError:  # rounded to a number whose bound overflows
            return None
        for answer in answers:
            if answer.quantity == judgement.quantity and answer.violates and kinds_of(answer)[answer.witness] == kind:
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
    """Yield one row and then two with two classes or one outcome at once: each shape on the way is a program to a compiler.

    Any row may be the cause of what is one number for all.
    """
    batch, rows = judgement.batch, judgement.batch.rows
    if rows < 2 or loss.parameters:
        return
    has_rows = _has_rows(judgement)
    if not _is_of_both(judgement):
        yield from _simple(loss, _take(batch, [judgement.witness]))
        for row in [judgement.witness] if has_rows else range(min(rows, SUSPECTS)):
            alone = _of_row(judgement, row)
            yield from takewhile(lambda batch: batch.prediction.shape[-1] <= 2, _fewer_classes(loss, alone))
            yield from _least_likely(loss, alone.batch)
    for pair in _left_and_dropped(_dropped(batch)):
        yield from _two_classes(loss, _take(batch, pair))
    if not has_rows:
        yield from _two_classes(loss, _take(batch, [0, 1]))


def _has_rows(judgement: Judgement) -> bool:
    """Tell whether a judgement is about a number, or more, for each row; not about one for all."""
    return isinstance(judgement.got, np.ndarray) and judgement.got.shape[:1] == (judgement.batch.rows,)


def _is_of_both(judgement: Judgement) -> bool:
    """Tell whether a judgement is about one number for rows of which some are dropped and others are left.

    It takes one row of each kind to show what befalls such a number; a single one, a program to a compiler, is not asked.
    """
    return not _has_rows(judgement) and len(set(_dropped(judgement.batch).tolist())) == 2


def _least_likely(loss: Loss, batch: Batch) -> Iterator[Batch]:
    """Yield a row of logits and a soft target with two classes, the likeliest and the least likely, and this one right.

    What befalls the least likely class shows in a soft target, though not where the likeliest one is right.
    """
    row = batch.prediction[0].astype(np.float64)
    if loss.target != "soft" or loss.prediction != "logit" or not loss.has_classes or np.count_nonzero(batch.target) < 2:
        return
    kept = sorted({int(row.argmax()), int(row.argmin())})
    if len(kept) == 2 and np.isfinite(row).all():
        fewer = replace(batch, options=classes_of(batch.options, kept))
        yield _labelled(loss, fewer, row[kept], kept.index(int(row.argmin())))


def _left_and_dropped(dropped: NDArray[np.bool_]) -> Iterator[list[int]]:
    """Yield the first row that is left with each dropped one, then the others that are left with the first of these."""
    left, gone = (np.flatnonzero(rows)[:SUSPECTS].tolist() for rows in (~dropped, dropped))
    if left and gone:
        yield from ([left[0], row] for row in gone)
        yield from ([row, gone[0]] for row in left[1:])


def _simple(loss: Loss, batch: Batch) -> Iterator[Batch]:
    """Yield a row of short numbers, the first of two classes right, or one outcome that comes true."""
    row = np.array(SIMPLE[loss.prediction])
    if not loss.has_classes:
        alone = _of_classes(batch, [0], targets_in_form(loss.target, np.ones((1, 1), batch.target.dtype)))
        yield replace(alone, prediction=lay_out(row[None, :1].astype(batch.dtype), "rowwise"))
    elif 0 <= batch.labels[0] < batch.prediction.shape[-1] and "ignore_index" not in batch.options.given:
        yield _labelled(loss, replace(batch, options=classes_of(batch.options, [0, 1])), row, 0)


def _of_row(judgement: Judgement, row: int) -> Judgement:
    """Return what a judgement says of one row."""
    got, expected = (
        array[[row]] if isinstance(array, np.ndarray) and array.shape[:1] == (judgement.batch.rows,) else array
        for array in (judgement.got, judgement.expected)
    )
    return replace(judgement, batch=_take(judgement.batch, [row]), got=got, expected=expected)


def _dropped(batch: Batch) -> NDArray[np.bool_]:
    """Tell which rows a mask or an ignored label takes away."""
    given = batch.options.given
    if "mask" in given:
        return ~given["mask"]
    ignores = "ignore_index" in given and batch.target.ndim == 1
    return batch.target == given["ignore_index"] if ignores else np.zeros(batch.rows, np.bool_)


def _two_classes(loss: Loss, batch: Batch) -> Iterator[Batch]:
    """Yield a batch of two rows with two classes and hard targets, or with one outcome; ignored labels stay."""
    if not loss.has_classes:
        yield _of_classes(batch, [0], batch.target[..., [0]])
        return
    ignored = batch.options.given.get("ignore_index")
    columns = [k for k in dict.fromkeys([*batch.labels.tolist(), 0, 1]) if 0 <= k < batch.prediction.shape[-1]][:2]
    if len(columns) < 2 or ignored in (0, 1) or not set(batch.labels.tolist()) <= set(columns):
        return
    labels = np.searchsorted(sorted(columns), batch.labels)
    if loss.target == "index":
        target = labels if ignored is None else np.where(batch.target == ignored, ignored, labels)
    else:
        target = targets_in_form(loss.target, one_hot_targets(labels, 2))
    yield replace(_of_classes(batch, sorted(columns), target.astype(batch.target.dtype)), labels=labels)


def _fewer_rows(loss: Loss, judgement: Judgement) -> Iterator[Batch]:
    """Yield the witness row alone, then the first eight rows of the batch, then eight times as many, up to half."""
    batch = judgement.batch
    if batch.rows < 2 or (batch.rows == 2 and _is_of_both(judgement)):
        return
    yield _take(batch, [judgement.witness])
    count = 8
    while 2 * count <= batch.rows:
        yield _take(batch, list(range(count)))
        count *= 8


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
    hard = one_hot_targets(np.array([label]), len(row))
    target = np.array([label]) if loss.target == "index" else targets_in_form(loss.target, hard)
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
