"""Judgements: an answer held against what is expected of it, row by row, in units of the derived bound."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from adapters.framework import Call
from conformance.cases import Batch
from conformance.trial import Answer, float64
from reference.bounds import bound_ratio


@dataclass(frozen=True, eq=False)
class Judgement:
    """One quantity of one batch, judged.

    ``ratio`` (rows,) is the largest error over bound of each row: above 1 the row violates the clause; inf where no error
    is allowed. ``got`` and ``expected`` have a row each, or are the words for what cannot be an array ("an error").
    ``call`` is what was asked. ``note`` is more to say of it.
    """

    batch: Batch
    quantity: str
    ratio: NDArray[np.float64]
    got: NDArray | str
    expected: NDArray | str
    call: Call
    note: str = ""

    @cached_property
    def violating(self) -> NDArray[np.bool_]:
        """Which rows violate the clause."""
        return ~(self.ratio <= 1)

    @cached_property
    def worst(self) -> float:
        """The largest ratio; 0 where there is no row."""
        return float(self.ratio.max(initial=0.0))

    @property
    def violates(self) -> bool:
        """Whether any row violates the clause."""
        return not self.worst <= 1

    @property
    def witness(self) -> int:
        """The first row that is worst."""
        return int(np.argmax(np.where(np.isnan(self.ratio), np.inf, self.ratio))) if self.ratio.size else 0


def compare(batch: Batch, answer: Answer, quantity: str, expected: NDArray, bound: NDArray, *, name: str = "") -> Judgement:
    """Judge a quantity of an answer that should equal ``expected`` within ``bound``; ``name`` is what to call it."""
    name = name or quantity
    if trouble := answer.trouble(quantity, expected.shape):
        return refuse(batch, answer, name, trouble, expected)
    got = float64(answer.array(quantity))
    ratio = bound_ratio(got, expected, bound, precision=answer.precision)
    return Judgement(batch, name, by_row(ratio, batch.rows), got, expected, answer.call)


def agree(
    batch: Batch,
    answer: Answer,
    other: Answer,
    quantity: str,
    bound: NDArray,
    *,
    apart: NDArray | float = 0.0,
    name: str = "",
) -> Judgement:
    """Judge a quantity of an answer against the same of another one, within ``bound`` where that is finite.

    ``apart`` is how far the two truths lie apart.
    """
    if trouble := other.trouble(quantity, bound.shape):
        return refuse(batch, answer, name or quantity, trouble, "the same answer")
    expected = float64(other.array(quantity)) + apart
    return compare(batch, answer, quantity, expected, np.where(np.isfinite(expected), bound, 0.0), name=name)


def by_row(ratio: NDArray, rows: int) -> NDArray:
    """Return the largest entry of each row; a single number stands for all rows."""
    if ratio.ndim == 0 or ratio.size == 0:
        worst = np.full(max(rows, 1), ratio.max(initial=0.0))
    else:
        worst = ratio if ratio.ndim == 1 else ratio.reshape(len(ratio), -1).max(-1, initial=0.0)
    nan = np.isnan(worst)
    return np.where(nan, np.inf, worst) if nan.any() else worst  # a NaN is the largest of its row


def refuse(batch: Batch, answer: Answer, name: str, got: NDArray | str, expected: NDArray | str) -> Judgement:
    """Judge something that no bound excuses: every row violates the clause."""
    return Judgement(batch, name, np.full(max(batch.rows, 1), np.inf), got, expected, answer.call)


def decide(holds: bool, batch: Batch, answer: Answer, name: str, got: NDArray | str, expected: NDArray | str) -> Judgement:
    """Judge a yes or no."""
    ratio = np.full(max(batch.rows, 1), 0.0 if holds else np.inf)
    return Judgement(batch, name, ratio, got, expected, answer.call)
