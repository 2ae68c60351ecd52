"""Settings: a neutral one changes nothing, and any other so much that an API which leaves it out is caught."""

from dataclasses import replace

import numpy as np
import pytest

from conformance.cases import Batch, fill, neutral_pair_cases, option_cases, parse_case
from conformance.settings import SETTINGS
from reference.bounds import bound_ratio, error_bounds
from reference.evaluate import evaluate
from reference.losses import LOSSES, Grade
from reference.options import Options

DTYPE = "float32"


def without(batch: Batch, option: str) -> Batch:
    return replace(batch, options=Options(**{name: v for name, v in batch.options.given.items() if name != option}))


def differs(batch: Batch, other: Batch) -> bool:
    """Tell whether losses or gradients of another batch are beyond the bounds of those of a batch, or cannot be had."""
    spec = LOSSES[batch.loss]
    how = {"options": batch.options, "precision": DTYPE}
    truth = evaluate(batch.loss, batch.prediction, batch.target, **how)
    grade = Grade(spec.value_forms[0], spec.gradient_forms[0])
    bounds = error_bounds(batch.loss, batch.prediction, batch.target, truth, grade=grade, **how)
    try:
        others = evaluate(batch.loss, other.prediction, other.target, options=other.options, precision=DTYPE)
    except IndexError:  # the label to ignore is no class
        return True
    pairs = ((others.value, truth.value, bounds.value), (others.gradient, truth.gradient, bounds.gradient))
    return any((bound_ratio(*pair, precision=DTYPE) > 1).any() for pair in pairs)


def cases() -> list[str]:
    return [case.id for loss in LOSSES for case in (*option_cases(loss), *neutral_pair_cases(loss))]


@pytest.mark.parametrize("case", cases())
def test_every_setting_of_a_case_has_an_effect_unless_it_is_neutral(case: str) -> None:
    batch = fill(parse_case(case), DTYPE)
    for setting in (SETTINGS[name] for name in parse_case(case).settings):
        assert differs(batch, without(batch, setting.option)) != setting.neutral, setting.id
