"""Settings: the values that options are given in cases, each by a printed name."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.losses import Loss
from reference.options import EPSILON, GAMMA, Q

Given = tuple[Any, NDArray, NDArray]
"""The value of an option, and prediction and target where it needs others than were drawn."""
Give = Callable[[Loss, np.random.Generator, NDArray, NDArray, NDArray], Given]
"""(loss, generator, prediction, target, labels) -> what is given; arrays have the dtype of the prediction."""


@dataclass(frozen=True)
class Setting:
    """One value of one option: "class_weight=spread".

    ``neutral`` tells for which losses it means the same as not giving the option to a binding, and takes the way through the
    code that the option takes. A number that an option has where it is not given is the one of the reference: a binding
    passes it to an API that has another.
    """

    option: str
    name: str
    give: Give
    neutral: Callable[[Loss], bool] = lambda loss: False

    @property
    def id(self) -> str:
        """The printed name."""
        return f"{self.option}={self.name}"


def _always(loss: Loss) -> bool:
    return True


def _over_classes(loss: Loss) -> bool:
    return loss.has_classes


def _number(value: float) -> Give:
    return lambda loss, generator, prediction, target, labels: (value, prediction, target)


def _array(make: Callable[[np.random.Generator, int, int], NDArray]) -> Give:
    """Give an array made for (rows, classes), in the dtype of the prediction unless it is of booleans."""

    def give(loss: Loss, generator: np.random.Generator, prediction: NDArray, target: NDArray, labels: NDArray) -> Given:
        array = make(generator, *prediction.shape)
        return (array if array.dtype == np.bool_ else array.astype(prediction.dtype)), prediction, target

    return give


def _spread(generator: np.random.Generator, count: int) -> NDArray:
    return generator.uniform(0.25, 4, count)


def _with_zeros(generator: np.random.Generator, count: int) -> NDArray:
    return np.where(np.arange(count) % 3 == 1, 0.0, _spread(generator, count))


def _some_rows(generator: np.random.Generator, rows: int, classes: int) -> NDArray:
    """Leave four rows of seven; regimes come in turns of one, three or five, so none of them is masked as a whole."""
    return np.arange(rows) * 3 % 7 < 4


def _where(loss: Loss, generator: np.random.Generator, prediction: NDArray, target: NDArray, labels: NDArray) -> Given:
    """Take away classes but never the label, nor, of a softmax, what bears the whole of a soft target.

    The targets of a softmax are then those of the classes that are left; the terms of other losses stand alone.
    """
    there = generator.random(prediction.shape) < 0.6
    there[np.arange(len(labels)), labels] = True
    if target.ndim < prediction.ndim or loss.prediction != "logit":
        return there, prediction, target
    bearing = target.argmax(-1)
    there[np.arange(len(labels)), bearing] = True
    left = np.where(there, target, 0)
    return there, prediction, (left / left.sum(-1, keepdims=True)).astype(target.dtype)


def _ignored(index: int, share: float) -> Give:
    """Ignore a label that a share of the rows is given.

    A negative one is no class, though -1 is the last class where labels wrap.
    """

    def give(loss: Loss, generator: np.random.Generator, prediction: NDArray, target: NDArray, labels: NDArray) -> Given:
        return index, prediction, np.where(generator.random(len(target)) < share, index, target)

    return give


SETTINGS: dict[str, Setting] = {
    setting.id: setting
    for setting in (
        Setting("class_weight", "spread", _array(lambda g, rows, classes: _spread(g, classes))),
        Setting("class_weight", "with-zeros", _array(lambda g, rows, classes: _with_zeros(g, classes))),
        Setting("class_weight", "ones", _array(lambda g, rows, classes: np.ones(classes)), neutral=_always),
        Setting("pos_weight", "scalar", _array(lambda g, rows, classes: np.array(3.0))),
        Setting("pos_weight", "spread", _array(lambda g, rows, classes: _spread(g, classes))),
        Setting("pos_weight", "of-rows", _array(lambda g, rows, classes: _spread(g, rows)[:, None])),
        Setting("pos_weight", "of-one", _array(lambda g, rows, classes: np.array([3.0]))),
        Setting("pos_weight", "in-a-row", _array(lambda g, rows, classes: _spread(g, classes)[None])),
        Setting("pos_weight", "of-each", _array(lambda g, rows, classes: g.uniform(0.25, 4, (rows, classes)))),
        Setting("pos_weight", "zeros", _array(lambda g, rows, classes: np.zeros(classes))),
        Setting("pos_weight", "ones", _array(lambda g, rows, classes: np.ones(classes)), neutral=_always),
        Setting("sample_weight", "spread", _array(lambda g, rows, classes: _spread(g, rows))),
        Setting("sample_weight", "with-zeros", _array(lambda g, rows, classes: _with_zeros(g, rows))),
        Setting("sample_weight", "zeros", _array(lambda g, rows, classes: np.zeros(rows))),
        Setting("sample_weight", "ones", _array(lambda g, rows, classes: np.ones(rows)), neutral=_always),
        Setting("mask", "some", _array(_some_rows)),
        Setting("mask", "none-left", _array(lambda g, rows, classes: np.zeros(rows, np.bool_))),
        Setting("mask", "all-left", _array(lambda g, rows, classes: np.ones(rows, np.bool_)), neutral=_always),
        Setting("where", "some", _where),
        Setting("where", "all-there", _array(lambda g, rows, classes: np.ones((rows, classes), np.bool_)), neutral=_always),
        Setting("ignore_index", "-100", _ignored(-100, 0.3)),
        Setting("ignore_index", "0", _ignored(0, 0.3)),
        Setting("ignore_index", "-1", _ignored(-1, 0.3)),
        Setting("ignore_index", "255", _ignored(255, 0.3)),
        Setting("ignore_index", "all", _ignored(-100, 1.0)),
        Setting("ignore_index", "absent", _ignored(-100, 0.0), neutral=_always),
        Setting("label_smoothing", "0.1", _number(0.1)),
        Setting("label_smoothing", "1", _number(1.0)),
        Setting("label_smoothing", "0", _number(0.0), neutral=_always),
        Setting("alpha", "0.25", _number(0.25)),
        Setting("alpha", "0.9", _number(0.9)),
        Setting("alpha", "1", _number(1.0), neutral=_over_classes),
        Setting("gamma", "0.5", _number(0.5)),
        Setting("gamma", "5", _number(5.0)),
        Setting("gamma", "0", _number(0.0)),
        Setting("gamma", "2", _number(GAMMA), neutral=_always),
        Setting("epsilon", "1", _number(1.0)),
        Setting("epsilon", "-0.5", _number(-0.5)),
        Setting("epsilon", "0", _number(0.0)),
        Setting("epsilon", "2", _number(EPSILON), neutral=_always),
        Setting("q", "0.7", _number(0.7)),
        Setting("q", "0.01", _number(0.01)),
        Setting("q", "0.99", _number(0.99)),
        Setting("q", "0.5", _number(Q), neutral=_always),
        Setting("soft_cap", "30", _number(30.0)),
        Setting("soft_cap", "2", _number(2.0)),
        Setting("z_loss", "0.0001", _number(1e-4)),
        Setting("z_loss", "1", _number(1.0)),
        Setting("z_loss", "0", _number(0.0), neutral=_always),
    )
}
"""Every setting, by its printed name; the first of an option is one that has an effect."""


def settings_of(option: str) -> tuple[Setting, ...]:
    """Return the settings of one option."""
    return tuple(setting for setting in SETTINGS.values() if setting.option == option)


def combinations_of(loss: Loss) -> list[tuple[Setting, ...]]:
    """Return what is given together: every setting alone, then each pair of options, the second in two settings."""
    alone = [(setting,) for option in loss.options for setting in settings_of(option)]
    pairs = []
    for one, other in combinations(loss.options, 2):
        pairs += [(settings_of(one)[0], setting) for setting in settings_of(other)[:2] if not setting.neutral(loss)]
    return [*alone, *pairs]


def neutral_pairs_of(loss: Loss) -> list[tuple[Setting, Setting]]:
    """Return each option in its first setting, beside each neutral setting of another."""
    return [
        (settings_of(one)[0], setting)
        for one in loss.options
        for other in loss.options
        if other != one
        for setting in settings_of(other)
        if setting.neutral(loss)
    ]
