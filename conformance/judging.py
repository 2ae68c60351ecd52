"""Judgements: an outcome held against what is expected of it, row by row, in units of the derived bound."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adapters.framework import Call, Outcome
from conformance.cases import Batch
from conformance.trial import float64
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

    @property
    def violating(self) -> NDArray[np.bool_]:
        """Which rows violate the clause."""
        return ~(self.ratio <= 1)

    @property
    def witness(self) -> int:
        """The first row that is worst."""
        return int(np.argmax(np.where(np.isnan(self.ratio), np.inf, self.ratio))) if self.ratio.size else 0


def compare(
    batch: Batch,
    quantity: str,
    outcome: Outcome,
    got: NDArray | None,
    expected: NDArray,
    bound: NDArray,
    *,
    call: Call,
    precision: str,
    note: str = "",
) -> Judgement:
    """Judge an array that should equal ``expected`` within ``bound``; both have one entry or row for each row of the batch."""
    if outcome.error:
        return refuse(batch, quantity, f"raises {outcome.error}", expected, call)
    if got is None:
        return refuse(batch, quantity, "nothing", expected, call)
    if got.shape != expected.shape:
        return refuse(batch, quantity, f"an array of shape {got.shape}", expected, call)
    ratio = bound_ratio(float64(got), expected, bound, precision=precision)
    return Judgement(batch, quantity, by_row(ratio, batch.rows), float64(got), expected, call, note)


def by_row(ratio: NDArray, rows: int) -> NDArray:
    """Return the largest entry of each row; a single number stands for all rows."""
    ratio = np.where(np.isnan(ratio), np.inf, ratio)
    if ratio.ndim == 0 or ratio.size == 0:
        return np.full(max(rows, 1), ratio.max(initial=0.0))
    return ratio.reshape(len(ratio), -1).max(-1, initial=0.0)


def refuse(batch: Batch, quantity: str, got: NDArray | str, expected: NDArray | str, call: Call, note: str = "") -> Judgement:
    """Judge something that no bound excuses: every row violates the clause."""
    return Judgement(batch, quantity, np.full(max(batch.rows, 1), np.inf), got, expected, call, note)


def accept(batch: Batch, quantity: str, got: NDArray | str, expected: NDArray | str, call: Call, note: str = "") -> Judgement:
    """Judge something that is as it should be, with no error to measure."""
    return Judgement(batch, quantity, np.zeros(max(batch.rows, 1)), got, expected, call, note)


def decide(
    holds: bool, batch: Batch, quantity: str, got: NDArray | str, expected: NDArray | str, call: Call
) -> Judgement:
    """Judge a yes or no."""
    return (accept if holds else refuse)(batch, quantity, got, expected, call)
