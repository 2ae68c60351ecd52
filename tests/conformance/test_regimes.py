"""Each regime holds what its name says, in both dtypes; and in each of them a loss that is twice too large is caught."""

from collections.abc import Callable
from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray

from adapters.binding import Binding, implements
from adapters.framework import Call, Framework, Outcome
from conformance.cases import Case, fill, regime_names
from conformance.properties.accuracy import value
from conformance.regimes import _CLASSES, _ELEMENTS, _LOGITS, MASKED, Regime, limits, regimes_for
from conformance.trial import Trial
from reference.evaluate import evaluate
from reference.losses import LOSSES, Grade
from reference.options import Options

ROWS, CLASSES = 400, 10
DTYPES = ("float32", "float64")
REGIMES: tuple[Regime, ...] = (*_LOGITS, *_CLASSES, *_ELEMENTS, MASKED)


class Sample:
    """Rows of one regime in one dtype, as float64."""

    def __init__(self, regime: Regime, dtype: str, classes: int = CLASSES) -> None:
        self.dtype = dtype
        self.smallest, self.normal, self.largest, self.unit = limits(dtype)
        x, self.labels = regime.fill(np.random.default_rng(5), ROWS, classes, limits(dtype))
        self.x: NDArray[np.float64] = x.astype(dtype).astype(np.float64)

    @property
    def at_label(self) -> NDArray[np.float64]:
        return self.x[np.arange(ROWS), self.labels]

    @property
    def others(self) -> NDArray[np.float64]:
        away = np.arange(self.x.shape[1]) != self.labels[:, None]
        return self.x[away].reshape(ROWS, -1)

    @property
    def magnitude(self) -> NDArray[np.float64]:
        return np.abs(self.x)


def has_scale(scale: float) -> Callable[[Sample], bool]:
    quartile = 0.6745
    return lambda s: bool(0.9 < np.median(s.magnitude) / (quartile * scale) < 1.1 and np.median(np.ptp(s.x, -1)) > scale)


def is_distribution(s: Sample) -> bool:
    return bool((s.x >= 0).all() and (np.abs(s.x.sum(-1) - 1) <= CLASSES * s.unit).all())


def subnormal_exponentials(s: Sample) -> bool:
    with np.errstate(under="ignore"):
        weight = np.exp((s.x - s.x.max(-1, keepdims=True)).astype(s.dtype)).astype(np.float64)
    return bool(((weight > 0) & (weight < s.normal)).any(-1).mean() > 0.9 and (s.x.max(-1) == 0).all())


def shared_largest(s: Sample) -> bool:
    return len(np.unique(s.x)) == 3 and bool(((s.x == s.x.max(-1, keepdims=True)).sum(-1) > 1).mean() > 0.8)


def nearly_tied(s: Sample) -> bool:
    spread = np.ptp(s.x, -1) / s.magnitude.max(-1)
    return bool((spread <= 10 * s.unit).all() and (spread > 0).mean() > 0.9)


def cancelling_offset(s: Sample) -> bool:
    middle = np.abs(np.median(s.x, -1))
    return bool((np.ptp(s.x, -1) <= 40).all() and middle.max() > 1e7 and np.median(middle) > 1e3 and middle.max() < 1.1e8)


def signed_zeros(s: Sample) -> bool:
    negative = np.signbit(s.x) & (s.x == 0)
    return bool(negative.any() and ((s.x == 0) & ~negative).any() and (s.x != 0).any())


SAYS: dict[str, Callable[[Sample], bool]] = {
    "normal": has_scale(1),
    "scale-10": has_scale(10),
    "scale-100": has_scale(100),
    "scale-1e4": has_scale(1e4),
    "log-uniform": lambda s: bool(
        s.magnitude.min() < 1e-3
        and s.magnitude.max() > 1e3
        and np.median(s.magnitude) < 5
        and s.magnitude.max() < 1.1e4
        and (s.x < 0).any()
        and (s.x > 0).any()
    ),
    "confident-right": lambda s: bool((s.at_label > s.others.max(-1)).mean() > 0.95 and (s.at_label > 30).any()),
    "confident-wrong": lambda s: bool((s.at_label < s.x.max(-1) - 1).mean() > 0.95 and (s.x.max(-1) > 30).any()),
    "subnormal": subnormal_exponentials,
    "offset": cancelling_offset,
    "ties": shared_largest,
    "near-ties": nearly_tied,
    "flat-tail": lambda s: bool(
        (np.ptp(s.others, -1) == 0).all() and (s.at_label >= s.others[:, 0]).all() and s.others.min() < -9
    ),
    "ascending": lambda s: bool((np.diff(s.x, axis=-1) > 0).all()),
    "huge": lambda s: bool(s.magnitude.max() > s.largest**0.9 and s.magnitude.max() < s.largest / 4),
    "tiny": lambda s: bool(s.magnitude.max() <= 1e-4 and ((s.magnitude > 0) & (s.magnitude < s.normal)).any()),
    "zeros": signed_zeros,
    "masked": lambda s: bool(np.isneginf(s.x).any(-1).mean() > 0.9 and np.isfinite(s.at_label).all()),
    "flat": lambda s: is_distribution(s) and bool(np.median(s.x.max(-1)) < 0.5),
    "peaked": lambda s: is_distribution(s) and bool(np.median(s.x.max(-1)) > 0.5 and s.x.min() < 1e-6),
    "improbable": lambda s: bool(
        (s.at_label <= 1.01e-3).all() and (s.at_label >= s.normal).all() and s.at_label.min() < s.normal**0.9
    ),
    "probable": lambda s: bool(
        (s.at_label >= 0.989).all()
        and s.others.max() < 0.011
        and s.at_label.max() > 1 - 1e3 * s.unit
        and (s.at_label < 1).any()
    ),
    "uniform": lambda s: bool((s.x >= 0.01).all() and (s.x <= 0.99).all() and np.ptp(s.x) > 0.9),
    "near-zero": lambda s: bool((s.x >= s.normal).all() and (s.x <= 0.011).all() and s.x.min() < s.normal**0.9),
    "near-one": lambda s: bool((s.x >= 0.989).all() and (s.x <= 1).all() and s.x[s.x < 1].max() > 1 - 1e3 * s.unit),
    "half": lambda s: bool((np.abs(s.x - 0.5) <= 8 * s.unit).all() and (s.x != 0.5).any() and (s.x == 0.5).any()),
}
"""What the name of each regime promises."""


def test_every_regime_is_checked() -> None:
    assert sorted(SAYS) == sorted(regime.name for regime in REGIMES)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("regime", REGIMES, ids=lambda regime: regime.name)
def test_regime_holds_what_its_name_says(regime: Regime, dtype: str) -> None:
    assert SAYS[regime.name](Sample(regime, dtype))


@pytest.mark.parametrize("name", SAYS)
def test_what_a_name_says_tells_it_from_the_others(name: str) -> None:
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        holding = [regime.name for regime in REGIMES if SAYS[name](Sample(regime, "float32"))]
    assert holding == [name]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("regime", REGIMES, ids=lambda regime: regime.name)
def test_regime_is_finite_and_its_labels_are_classes(regime: Regime, dtype: str) -> None:
    for classes in (1, 2, 3, 1000):
        sample = Sample(regime, dtype, classes)
        assert sample.x.shape == (ROWS, classes) and not np.isnan(sample.x).any() and not np.isposinf(sample.x).any()
        assert np.isfinite(sample.x).all() or regime is MASKED
        assert (sample.labels >= 0).all() and (sample.labels < classes).all()


@pytest.mark.parametrize("regime", _ELEMENTS + _CLASSES, ids=lambda regime: regime.name)
@pytest.mark.parametrize("dtype", DTYPES)
def test_probability_is_one(regime: Regime, dtype: str) -> None:
    sample = Sample(regime, dtype)
    assert (sample.x >= 0).all() and (sample.x <= 1).all()


def test_masked_comes_on_request_only() -> None:
    assert not any(MASKED.name in regimes_for(kind, classes) for kind in ("logit", "probability") for classes in (True, False))


class NumPy:
    """As much of a framework as a value takes: a loss of NumPy arrays, rounded to the dtype of its prediction."""

    keeps_answers = False

    def run(self, loss: Callable[..., NDArray], call: Call, *, key: object, mode: str, device: str) -> Outcome:
        with np.errstate(over="ignore", under="ignore"):
            value = loss(call.prediction, call.target, **call.parameters).astype(call.prediction.dtype)
        return Outcome(value, dtype=value.dtype.name)


def doubled(loss: str) -> Binding:
    @implements(loss, api=f"doubled {loss}")
    def function(prediction, target, **parameters):
        given = Options(**parameters)
        with np.errstate(over="ignore"):
            return 2 * evaluate(loss, prediction, target, options=given, precision=prediction.dtype.name).value

    return function


def regimes_of(binding: Binding) -> list[str]:
    spec = LOSSES[binding.loss]
    masked = [MASKED.name] if spec.has_classes and spec.prediction == "logit" else []
    return [*regime_names(spec), *masked]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("binding", [doubled(loss) for loss in LOSSES], ids=lambda binding: binding.loss)
def test_doubled_loss_violates_in_every_regime(binding: Binding, dtype: str) -> None:
    spec = LOSSES[binding.loss]
    for form in spec.value_forms:
        trial = Trial(binding, cast(Framework, NumPy()), "eager", dtype, "cpu", grade=Grade(form, spec.gradient_forms[0]))
        for regime in regimes_of(binding):
            batch = fill(Case(binding.loss, 24, 7, "rowwise", (regime,), "0000000000000007"), dtype)
            (judgement,) = value(trial, batch)
            assert judgement.violating.any(), f"{regime}, {form}"
