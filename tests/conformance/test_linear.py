"""Linear cross-entropy at soft targets: what its batches hold, and two bindings of one API held against each other."""

import numpy as np
import pytest

from adapters.binding import Binding
from adapters.loading import Adapter
from adapters.pytorch import framework
from conformance.cases import draw_cases, fill
from conformance.engine import Examination, answer, questions
from conformance.expectations import Expectations
from conformance.profiles import PROFILES
from reference.evaluate import evaluate
from reference.losses import DTYPES
from reports.record import Record
from tests.conformance.linear_mutants import linear, soft, sound, sound_soft


@linear(api="both")
def at_labels(hidden, labels, *, linear_weight, linear_bias=None, reduction, **given):
    return sound(hidden, labels, linear_weight, linear_bias, reduction, **given)


@soft(api="both")
def at_soft_targets(hidden, targets, *, linear_weight, linear_bias=None, reduction, **given):
    return sound_soft(hidden, targets, linear_weight, linear_bias, reduction, **given)


@soft(api="both")
def doubled_mean(hidden, targets, *, linear_weight, linear_bias=None, reduction, **given):
    return sound_soft(hidden, targets, linear_weight, linear_bias, reduction, **given) * (1 + (reduction == "mean"))


@soft(api="both")
def doubled_gradient_of_bias(hidden, targets, *, linear_weight, linear_bias=None, reduction, **given):
    twice = None if linear_bias is None else 2 * linear_bias - linear_bias.detach()
    return sound_soft(hidden, targets, linear_weight, twice, reduction, **given)


@soft(api="both")
def raising(hidden, targets, *, linear_weight, linear_bias=None, reduction, **given):
    raise TypeError("no kernel")


def ask_one_hot(asked: Binding, sibling: Binding) -> Record:
    adapter = Adapter("both", "both", framework, (asked, sibling))
    examination = Examination(adapter, "cpu", PROFILES["quick"], Expectations((), {}))
    (question,) = [q for q in questions(adapter) if q.binding is asked and q.clause.number == 81]
    return answer(examination, question).record


@pytest.mark.parametrize(("asked", "sibling"), [(at_labels, at_soft_targets), (at_soft_targets, at_labels)])
def test_two_sound_forms_of_one_api_are_one_at_labels(asked: Binding, sibling: Binding) -> None:
    assert ask_one_hot(asked, sibling).verdict == "conforms"


@pytest.mark.parametrize(
    ("sibling", "quantity", "verdict"),
    [
        (doubled_mean, "value under mean", "defect"),
        (doubled_gradient_of_bias, "gradient of linear_bias under none", "defect"),
        (raising, "value under none", "crash"),
    ],
)
def test_a_form_that_differs_is_found_by_the_other(sibling: Binding, quantity: str, verdict: str) -> None:
    record = ask_one_hot(at_labels, sibling)
    assert record.finding is not None and (record.verdict, record.finding.quantity) == (verdict, quantity)


def test_a_mean_under_class_weights_is_held_against_the_other_too() -> None:
    assert {"class_weight=spread", "normal"} <= set(ask_one_hot(at_labels, doubled_mean).regimes)
    assert {"class_weight=spread", "normal"} <= set(ask_one_hot(at_labels, doubled_gradient_of_bias).regimes)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_fourth_soft_target_is_what_the_hidden_states_say(dtype: str) -> None:
    case = next(case for case in draw_cases(at_soft_targets.loss, PROFILES["quick"]) if case.regimes == ("normal",))
    batch = fill(case, dtype)
    slope = evaluate(batch.loss, batch.prediction, batch.target, options=batch.options, precision=dtype).gradient
    close = np.arange(batch.rows) // 3 % 4 == 3
    assert np.abs(slope[close]).max() < 64 * np.finfo(dtype).eps < np.abs(slope[~close]).min()
