"""The forms of one loss: what gives a mean alone is judged by it, and a form that differs from the class is told apart."""

from dataclasses import replace

import numpy as np
import pytest

from adapters.binding import Binding, implements
from adapters.loading import Adapter
from adapters.pytorch import framework
from conformance.clauses import clauses_of
from conformance.engine import Examination, answer, questions
from conformance.expectations import Expectations
from conformance.profiles import PROFILES
from reports.record import FAILING
from tests.conformance.form_mutants import (
    FORM_MUTANTS,
    FORM_TWINS,
    counts_ignored,
    masked_targets_times_zero,
    reads_masked_labels,
    trains_twice_on_weights,
    without_reduction,
)
from tests.conformance.option_twins import softmax, softmax_loss
from tests.conformance.twins import LOSES_SMALL, SOFTMAX

NEUTRAL, LENGTH, MEANS, AGREEMENT, DROPPED, AXIS, AXIS_UNDER_OPTIONS, TARGETS = 48, 54, 57, 58, 59, 70, 72, 89


def verdicts(bindings: tuple[Binding, ...], number: int) -> dict[str, list[str]]:
    """Return the verdicts of one clause by API."""
    adapter = Adapter("forms", "forms", framework, bindings)
    examination = Examination(adapter, "cpu", PROFILES["default"], Expectations((), {}))
    found: dict[str, list[str]] = {}
    for question in questions(adapter):
        if question.clause.number == number:
            found.setdefault(question.binding.api, []).append(answer(examination, question).record.verdict)
    return found


def test_what_gives_a_mean_alone_is_asked_for_nothing_else() -> None:
    for binding in FORM_TWINS:
        assert binding.reductions == ("mean",) and "reduction" not in binding.options
        of_axis = [AXIS, AXIS_UNDER_OPTIONS] if "class_axis" in binding.options else []
        assert [clause.number for clause in clauses_of(binding)] == [NEUTRAL, LENGTH, MEANS, DROPPED, *of_axis, TARGETS]


def test_sound_means_conform() -> None:
    for number in (NEUTRAL, MEANS):
        assert verdicts(FORM_TWINS, number) == {twin.api: ["conforms"] * len(framework.dtypes) for twin in FORM_TWINS}
    for number in (LENGTH, DROPPED, TARGETS):
        assert verdicts(FORM_TWINS, number) == {twin.api: ["conforms"] for twin in FORM_TWINS}
    over_axis = [twin.api for twin in FORM_TWINS if "class_axis" in twin.options]
    assert verdicts(FORM_TWINS, AXIS) == {api: ["conforms"] * len(framework.dtypes) for api in over_axis} and over_axis
    assert verdicts(FORM_TWINS, AXIS_UNDER_OPTIONS) == {api: ["conforms"] for api in over_axis}


@pytest.mark.parametrize("mutant", FORM_MUTANTS, ids=lambda binding: binding.api)
def test_mutant_is_caught(mutant: Binding) -> None:
    found = [
        verdict
        for number in (MEANS, DROPPED, AXIS, TARGETS)
        for asked in verdicts((mutant,), number).values()
        for verdict in asked
    ]
    assert set(found) & FAILING


@pytest.mark.parametrize("mutant", [counts_ignored, trains_twice_on_weights], ids=lambda binding: binding.api)
def test_a_weight_of_one_that_changes_a_mean_or_its_gradient_is_caught(mutant: Binding) -> None:
    (found,) = verdicts((mutant,), NEUTRAL).values()
    assert set(found) & FAILING


@pytest.mark.parametrize("mutant", [reads_masked_labels, masked_targets_times_zero], ids=lambda binding: binding.api)
def test_what_masked_rows_have_for_targets_does_not_matter(mutant: Binding) -> None:
    assert verdicts((mutant,), MEANS) == {mutant.api: ["conforms"] * len(framework.dtypes)}
    (found,) = verdicts((mutant,), DROPPED).values()
    assert set(found) <= FAILING


def test_mean_that_takes_weights_of_any_length_is_caught() -> None:
    @softmax(api="mutant: cuts class weights", **without_reduction(SOFTMAX))
    def cuts(logits, targets, *, class_weight=None, **given):
        weights = {} if class_weight is None else {"class_weight": class_weight[: logits.shape[-1]]}
        return softmax_loss(logits, targets, "mean", {**given, **weights})

    assert verdicts((cuts,), LENGTH) == {cuts.api: ["defect"]}


@softmax(api="keras.losses.Sound", semantics=LOSES_SMALL)
def sound_class(logits, targets, *, reduction, **given):
    return softmax_loss(logits, targets, reduction, given)


@implements(SOFTMAX, api="keras.losses.sound", options=("label_smoothing",), semantics=LOSES_SMALL)
def sound_function(logits, targets, **given):
    return softmax_loss(logits, targets, "none", given)


@implements(SOFTMAX, api="keras.losses.other", options=("label_smoothing",), semantics=LOSES_SMALL)
def other_function(logits, targets, *, label_smoothing=0.0):
    """Smooths twice as much as its class."""
    return softmax_loss(logits, targets, "none", {"label_smoothing": min(2 * label_smoothing, 1.0)})


@implements(SOFTMAX, api="keras.Model.sound", options=("sample_weight",), reductions=("mean",), semantics=LOSES_SMALL)
def sound_model(logits, targets, **given):
    return softmax_loss(logits, targets, "mean", given)


@implements(SOFTMAX, api="keras.Model.other", options=("sample_weight",), reductions=("mean",), semantics=LOSES_SMALL)
def other_model(logits, targets, *, sample_weight=None):
    """Forgets the weights."""
    return softmax_loss(logits, targets, "mean", {})


def test_a_form_that_differs_from_its_class_is_told_apart() -> None:
    forms = (sound_class, sound_function, other_function, sound_model, other_model)
    found = verdicts(forms, AGREEMENT)
    assert sound_class.api not in found, "the class is what the others are held against"
    assert found.pop(sound_function.api) == found.pop(sound_model.api) == ["conforms"]
    assert found == {form.api: ["defect"] for form in (other_function, other_model)}


def test_a_form_alone_has_nothing_to_agree_with() -> None:
    assert verdicts((sound_function,), AGREEMENT) == {sound_function.api: ["not run"]}


def test_a_mode_of_its_own_is_the_only_one() -> None:
    @implements(SOFTMAX, api="by itself", reductions=("mean",), mode="model")
    def by_itself(logits, targets):
        return np.float64(0), None

    adapter = Adapter("forms", "forms", framework, (by_itself,))
    assert {question.mode for question in questions(adapter)} == {"model"}


def test_options_apart_are_not_given_together() -> None:
    @softmax(api="mutant: refuses a pair", apart=("sample_weight", "class_weight"), **without_reduction(SOFTMAX))
    def refuses_the_pair(logits, targets, **given):
        if {"sample_weight", "class_weight"} <= given.keys():
            raise ValueError("one of the two")
        return softmax_loss(logits, targets, "mean", given)

    assert verdicts((refuses_the_pair,), MEANS) == {refuses_the_pair.api: ["conforms"] * len(framework.dtypes)}
    assert set(verdicts((replace(refuses_the_pair, apart=()),), MEANS)[refuses_the_pair.api]) <= FAILING


def test_options_that_are_handed_on_alone_are_not_given_together() -> None:
    @softmax(api="mutant: refuses a pair", alone=("label_smoothing",), **without_reduction(SOFTMAX))
    def refuses_the_pair(logits, targets, **given):
        if "label_smoothing" in given and len(given) > 1:
            raise ValueError("smoothing alone")
        return softmax_loss(logits, targets, "mean", given)

    assert refuses_the_pair.takes(("label_smoothing",)) and refuses_the_pair.takes(("mask", "sample_weight"))
    for number in (NEUTRAL, MEANS):
        assert verdicts((refuses_the_pair,), number) == {refuses_the_pair.api: ["conforms"] * len(framework.dtypes)}
    assert set(verdicts((replace(refuses_the_pair, alone=()),), MEANS)[refuses_the_pair.api]) <= FAILING
