"""Settings: a neutral one changes nothing, and any other so much that an API without it is caught."""

from dataclasses import replace
from typing import Any

import pytest

from conformance.cases import Batch, Case, fill, neutral_pair_cases, option_cases
from conformance.settings import SETTINGS, settings_of
from reference.bounds import bound_ratio, error_bounds
from reference.evaluate import evaluate
from reference.losses import LOSSES
from reference.options import Options

DTYPE = "float32"


def differs(batch: Batch, other: Batch) -> bool:
    """Tell whether losses or gradients of another batch are beyond the bounds of those of a batch, or cannot be had."""
    spec = LOSSES[batch.loss]
    how: dict[str, Any] = {"options": batch.options, "precision": DTYPE}
    truth = evaluate(batch.loss, batch.prediction, batch.target, **how)
    bounds = error_bounds(batch.loss, batch.prediction, batch.target, truth, grade=spec.default_grade, **how)
    try:
        others = evaluate(batch.loss, other.prediction, other.target, options=other.options, precision=DTYPE)
    except IndexError:  # the label to ignore is no class
        return True
    pairs = ((others.value, truth.value, bounds.value), (others.gradient, truth.gradient, bounds.gradient))
    return any(bool((bound_ratio(*pair, precision=DTYPE) > 1).any()) for pair in pairs)


def has_effect(case: Case, setting: str) -> bool:
    """Tell whether an API that leaves out one of the settings of a case breaks a bound."""
    batch = fill(case, DTYPE)
    left = {name: value for name, value in batch.options.given.items() if name != SETTINGS[setting].option}
    return differs(batch, replace(batch, options=Options(**left)))


@pytest.mark.parametrize("loss", LOSSES)
def test_a_setting_alone_has_an_effect_unless_it_is_neutral(loss: str) -> None:
    alone = [(case, case.settings[0]) for case in option_cases(loss) if len(case.settings) == 1]
    without = {setting for case, setting in alone if not has_effect(case, setting)}
    assert without == {setting for _, setting in alone if SETTINGS[setting].neutral(LOSSES[loss])}


@pytest.mark.parametrize("loss", LOSSES)
def test_every_option_has_a_neutral_setting_where_one_means_its_absence(loss: str) -> None:
    spec = LOSSES[loss]
    neutral = {option for option in spec.options if any(setting.neutral(spec) for setting in settings_of(option))}
    without = {"alpha"} if not spec.has_classes else set()  # 1 - alpha weighs the negative outcome: no alpha leaves both
    assert neutral == set(spec.options) - without - {"soft_cap"}  # c tanh(x / c) is x for no c


@pytest.mark.parametrize("loss", LOSSES)
def test_both_options_of_a_pair_have_an_effect_in_one_of_its_cases(loss: str) -> None:
    shown: dict[tuple[str, ...], set[str]] = {}
    for case in option_cases(loss):
        if len(case.settings) == 2:
            pair = tuple(SETTINGS[name].option for name in case.settings)
            shown.setdefault(pair, set()).update(SETTINGS[name].option for name in case.settings if has_effect(case, name))
    assert {pair: set(pair) for pair in shown} == shown


@pytest.mark.parametrize("loss", LOSSES)
def test_a_neutral_option_beside_another_has_none_and_the_other_has(loss: str) -> None:
    for case in neutral_pair_cases(loss):
        other, neutral = case.settings
        assert has_effect(case, other) and not has_effect(case, neutral), case.id
