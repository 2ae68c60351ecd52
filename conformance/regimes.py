"""Regimes: named families of input values, each a function that fills rows with numbers of one kind."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Fill = Callable[[np.random.Generator, int, int, Array], tuple[Array, NDArray[np.intp]]]
"""(generator, rows, classes, limits of the dtype) -> predictions (rows, classes) and the label of each row.

The limits are (smallest subnormal, smallest normal, largest, unit roundoff) of the dtype under test.
"""


@dataclass(frozen=True)
class Regime:
    """One family.

    ``smooth`` families fill all mantissas evenly with losses of order one: there the errors of a sound loss average out.
    """

    name: str
    fill: Fill
    smooth: bool = False


def _random_labels(rng: np.random.Generator, rows: int, classes: int) -> NDArray[np.intp]:
    return rng.integers(0, classes, rows).astype(np.intp)


def _normal(scale: float) -> Fill:
    def fill(rng: np.random.Generator, rows: int, classes: int, limits: Array) -> tuple[Array, NDArray[np.intp]]:
        return rng.normal(size=(rows, classes)) * scale, _random_labels(rng, rows, classes)

    return fill


def _log_uniform(rng: np.random.Generator, rows: int, classes: int, limits: Array) -> tuple[Array, NDArray[np.intp]]:
    size = 10.0 ** rng.uniform(-4, 4, (rows, classes))
    return size * rng.choice([-1.0, 1.0], (rows, classes)), _random_labels(rng, rows, classes)


def _confident_right(rng: np.random.Generator, rows: int, classes: int, limits: Array) -> tuple[Array, NDArray[np.intp]]:
    labels = _random_labels(rng, rows, classes)
    x = rng.normal(size=(rows, classes))
    x[np.arange(rows), labels] += rng.uniform(5, 60, rows)
    return x, labels


def _confident_wrong(rng: np.random.Generator, rows: int, classes: int, limits: Array) -> tuple[Array, NDArray[np.intp]]:
    x, labels = _confident_right(rng, rows, classes, limits)
    return x, (labels + 1) % classes


def _subnormal(rng: np.random.Generator, rows: int, classes: int, limits: Array) -> tuple[Array, NDArray[np.intp]]:
    """Logits so far below the largest that their exponentials are subnormal; every second label is one of those."""
    largest = _random_labels(rng, rows, classes)
    low, high = np.log(limits[0]), np.log(limits[1])
    x = rng.uniform(low, high + 10, (rows, classes))
    x[np.arange(rows), largest] = 0.0
    return x, (largest + np.arange(rows) % 2) % classes


def _masked(rng: np.random.Generator, rows: int, classes: int, limits: Array) -> tuple[Array, NDArray[np.intp]]:
    """Some classes at -inf, never the label."""
    x, labels = rng.normal(size=(rows, classes)) * 3, _random_labels(rng, rows, classes)
    away = rng.random((rows, classes)) < 0.4
    away[np.arange(rows), labels] = False
    return np.where(away, -np.inf, x), labels


def _offset(rng: np.random.Generator, rows: int, classes: int, limits: Array) -> tuple[Array, NDArray[np.intp]]:
    """A common offset up to 1e8 that cancels in the differences."""
    x = rng.normal(size=(rows, classes)) * 3
    return x + 10.0 ** rng.uniform(0, 8, (rows, 1)) * rng.choice([-1.0, 1.0], (rows, 1)), _random_labels(rng, rows, classes)


def _ties(rng: np.random.Generator, rows: int, classes: int, limits: Array) -> tuple[Array, NDArray[np.intp]]:
    """A few distinct values, the largest shared."""
    return rng.choice([-2.0, 0.5, 3.0], (rows, classes)), _random_labels(rng, rows, classes)


def _near_ties(rng: np.random.Generator, rows: int, classes: int, limits: Array) -> tuple[Array, NDArray[np.intp]]:
    x = rng.normal(size=(rows, 1)) * (1 + limits[3] * rng.integers(-4, 5, (rows, classes)))
    return x, _random_labels(rng, rows, classes)


def _flat_tail(rng: np.random.Generator, rows: int, classes: int, limits: Array) -> tuple[Array, NDArray[np.intp]]:
    """One class ahead of many equal ones: what a sum loses, it loses each time."""
    labels = _random_labels(rng, rows, classes)
    x = np.broadcast_to(-rng.uniform(0, 12, (rows, 1)), (rows, classes)).copy()
    x[np.arange(rows), labels] = 0.0
    return x, labels


def _ascending(rng: np.random.Generator, rows: int, classes: int, limits: Array) -> tuple[Array, NDArray[np.intp]]:
    """Each class above the last: the running maximum of an online softmax moves at every step."""
    return np.arange(classes) * rng.uniform(0.01, 1, (rows, 1)), _random_labels(rng, rows, classes)


def _huge(rng: np.random.Generator, rows: int, classes: int, limits: Array) -> tuple[Array, NDArray[np.intp]]:
    """Logits up to a quarter of the largest finite number."""
    size = 10.0 ** rng.uniform(4, np.log10(limits[2]) - 0.61, (rows, classes))
    return size * rng.choice([-1.0, 1.0], (rows, classes)), _random_labels(rng, rows, classes)


def _tiny(rng: np.random.Generator, rows: int, classes: int, limits: Array) -> tuple[Array, NDArray[np.intp]]:
    """Logits down to the subnormal ones."""
    size = 10.0 ** rng.uniform(np.log10(limits[0]) + 1, -4, (rows, classes))
    return size * rng.choice([-1.0, 1.0], (rows, classes)), _random_labels(rng, rows, classes)


def _zeros(rng: np.random.Generator, rows: int, classes: int, limits: Array) -> tuple[Array, NDArray[np.intp]]:
    """Logits of 0 and -0 among ordinary ones: the kink of max(x, 0)."""
    x = rng.normal(size=(rows, classes))
    kind = rng.integers(0, 3, (rows, classes))
    return np.where(kind == 0, 0.0, np.where(kind == 1, -0.0, x)), _random_labels(rng, rows, classes)


def _distribution(concentration: float) -> Fill:
    def fill(rng: np.random.Generator, rows: int, classes: int, limits: Array) -> tuple[Array, NDArray[np.intp]]:
        return simplex(rng, rows, classes, concentration), _random_labels(rng, rows, classes)

    return fill


def simplex(rng: np.random.Generator, rows: int, classes: int, concentration: float) -> Array:
    """Return rows of positive numbers that sum to one: a Dirichlet distribution without its exact zeros."""
    weight = rng.gamma(concentration, size=(rows, classes)) + 1e-30
    return weight / weight.sum(-1, keepdims=True)


def _improbable(rng: np.random.Generator, rows: int, classes: int, limits: Array) -> tuple[Array, NDArray[np.intp]]:
    """The label's probability far below the rest, down to the smallest normal number."""
    labels = _random_labels(rng, rows, classes)
    p = simplex(rng, rows, classes, 1.0)
    p[np.arange(rows), labels] = 10.0 ** rng.uniform(np.log10(limits[1]), -3, rows)
    return p, labels


def _probable(rng: np.random.Generator, rows: int, classes: int, limits: Array) -> tuple[Array, NDArray[np.intp]]:
    """The label's probability close to one: small losses."""
    labels = _random_labels(rng, rows, classes)
    rest = 10.0 ** rng.uniform(np.log10(limits[3]) + 0.5, -2, (rows, 1))
    p = simplex(rng, rows, classes, 1.0) * rest
    p[np.arange(rows), labels] = 1 - rest[:, 0]
    return p, labels


def _uniform(rng: np.random.Generator, rows: int, classes: int, limits: Array) -> tuple[Array, NDArray[np.intp]]:
    return rng.uniform(0.01, 0.99, (rows, classes)), _random_labels(rng, rows, classes)


def _near_zero(rng: np.random.Generator, rows: int, classes: int, limits: Array) -> tuple[Array, NDArray[np.intp]]:
    return 10.0 ** rng.uniform(np.log10(limits[1]), -2, (rows, classes)), _random_labels(rng, rows, classes)


def _near_one(rng: np.random.Generator, rows: int, classes: int, limits: Array) -> tuple[Array, NDArray[np.intp]]:
    return 1 - 10.0 ** rng.uniform(np.log10(limits[3]) + 0.5, -2, (rows, classes)), _random_labels(rng, rows, classes)


def _half(rng: np.random.Generator, rows: int, classes: int, limits: Array) -> tuple[Array, NDArray[np.intp]]:
    return 0.5 + limits[3] * rng.integers(-8, 9, (rows, classes)), _random_labels(rng, rows, classes)


def _logarithm(fill: Fill) -> Fill:
    def fill_logs(rng: np.random.Generator, rows: int, classes: int, limits: Array) -> tuple[Array, NDArray[np.intp]]:
        p, labels = fill(rng, rows, classes, limits)
        return np.log(p), labels

    return fill_logs


_LOGITS = (
    Regime("normal", _normal(1.0), smooth=True),
    Regime("scale-10", _normal(10.0), smooth=True),
    Regime("scale-100", _normal(100.0), smooth=True),
    Regime("scale-1e4", _normal(1e4), smooth=True),
    Regime("log-uniform", _log_uniform),
    Regime("confident-right", _confident_right),
    Regime("confident-wrong", _confident_wrong, smooth=True),
    Regime("subnormal", _subnormal),
    Regime("offset", _offset),
    Regime("ties", _ties),
    Regime("near-ties", _near_ties),
    Regime("flat-tail", _flat_tail),
    Regime("ascending", _ascending),
    Regime("huge", _huge),
    Regime("tiny", _tiny),
    Regime("zeros", _zeros),
)
_CLASSES = (
    Regime("flat", _distribution(1.0), smooth=True),
    Regime("peaked", _distribution(0.1)),
    Regime("improbable", _improbable, smooth=True),
    Regime("probable", _probable),
)
_LOGARITHMS = tuple(Regime(regime.name, _logarithm(regime.fill), regime.smooth) for regime in _CLASSES)
_ELEMENTS = (
    Regime("uniform", _uniform, smooth=True),
    Regime("near-zero", _near_zero),
    Regime("near-one", _near_one),
    Regime("half", _half),
)
MASKED = Regime("masked", _masked)
"""Classes of probability zero: judged by a clause of its own."""

_GROUPS = {
    "logit": (*_LOGITS, MASKED),
    "log-probability": _LOGARITHMS,
    "classes": _CLASSES,
    "elements": _ELEMENTS,
}
SMALLEST_TARGET = 1e-30
"""What takes the place of a probability of 0 where its logarithm is the target."""


def regimes_for(prediction: str, has_classes: bool) -> dict[str, Regime]:
    """Return the regimes of a kind of prediction, by name; `MASKED` only on request."""
    group = prediction if prediction in _GROUPS else "classes" if has_classes else "elements"
    return {regime.name: regime for regime in _GROUPS[group] if regime is not MASKED}


def targets_in_form(form: str, targets: NDArray) -> NDArray:
    """Return targets that were drawn as probabilities in the form that a loss takes them in.

    The logarithms of probabilities, none of them 0, for "log-probability"; -1 and 1 for "sign"; else as they are.
    """
    if form == "log-probability":
        return np.log(np.maximum(targets, SMALLEST_TARGET))
    return np.where(targets >= 0.5, 1.0, -1.0).astype(targets.dtype) if form == "sign" else targets


@cache
def limits(dtype: str) -> Array:
    """Return smallest subnormal, smallest normal, largest and unit roundoff of a dtype, as float64."""
    info = np.finfo(dtype)
    return np.array([float(v) for v in (info.smallest_subnormal, info.smallest_normal, info.max, info.eps / 2)])
