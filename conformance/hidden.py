"""Hidden states: regimes of a matrix product that makes logits, and what they are filled with."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Filled = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.intp]]
"""Hidden states (rows, features), matrix (classes, features), bias (classes,), and the label of each row."""


@dataclass(frozen=True)
class HiddenRegime:
    """One family: normal numbers of these scales; ``offset`` is common to the bias of all classes.

    ``label`` is any class, the likeliest or the least likely. ``cancelling``: the two halves of the features nearly cancel.
    ``tied``: every second row of the matrix is 0, and the bias too.
    """

    hidden: float = 1.0
    weight: float = 1.0
    bias: float = 1.0
    offset: float = 0.0
    label: Literal["any", "right", "wrong"] = "any"
    cancelling: bool = False
    tied: bool = False


HIDDEN: dict[str, HiddenRegime] = {
    "normal": HiddenRegime(),
    "scale-10": HiddenRegime(hidden=3, weight=3),
    "scale-100": HiddenRegime(hidden=10, weight=10),
    "confident-right": HiddenRegime(hidden=4, weight=4, label="right"),
    "confident-wrong": HiddenRegime(hidden=4, weight=4, label="wrong"),
    "offset": HiddenRegime(offset=1e4),
    "cancelling": HiddenRegime(hidden=30, cancelling=True),
    "ties": HiddenRegime(bias=0, tied=True),
    "tiny": HiddenRegime(hidden=1e-6, weight=1e-6, bias=0),
}
"""The regimes of hidden states, by name; a batch is of one, as its rows share a matrix."""


def features_of(classes: int) -> int:
    """Return how many features go with a number of classes: one with three, fewer than there are classes."""
    return max(1, min(16, classes - 2))


def fill_hidden(name: str, generator: np.random.Generator, rows: int, classes: int) -> Filled:
    """Return the numbers of a regime."""
    regime, features = HIDDEN[name], features_of(classes)
    hidden = generator.normal(size=(rows, features)) * regime.hidden
    weight = generator.normal(size=(classes, features)) * regime.weight / np.sqrt(features)
    bias = generator.normal(size=classes) * regime.bias + regime.offset
    if regime.cancelling:
        half = features // 2
        weight[:, half : 2 * half] = weight[:, :half]
        hidden[:, half : 2 * half] = -hidden[:, :half] + 1e-3 * generator.normal(size=(rows, half))
    if regime.tied:
        weight[::2] = 0.0
    logits = hidden @ weight.T + bias
    labels = {"any": generator.integers(0, classes, rows), "right": logits.argmax(-1), "wrong": logits.argmin(-1)}
    return hidden, weight, bias, labels[regime.label].astype(np.intp)
