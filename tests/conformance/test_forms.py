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
from conformance.properties.accounts import fullest_form
from reference.losses import Grade
from reference.semantics import Semantics
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
from tests.conformance.linear_mutants import as_gradient_of, linear
from tests.conformance.linear_mutants import sound as sound_linear
from tests.conformance.option_twins import (
    SOUND,
    divisor,
    over_axis,
    sigmoid,
    sigmoid_loss,
    softmax,
    softmax_loss,
    softmax_with_axis,
)
from tests.conformance.twins import LOSES_SMALL, SIGMOID, SOFTMAX

NEUTRAL, LENGTH, MEANS, AGREEMENT, DROPPED, AXIS, AXIS_UNDER_OPTIONS, TARGETS = 48, 54, 57, 58, 59, 70, 72, 89
LINEAR_AGREEMENT, AGREEMENT_OVER_AXIS = 78, 79


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


def divisor_of_rows(losses, targets, kept, given):
    """Return the sum of the sample weights of the rows that count."""
    return divisor(losses, targets, kept, {name: value for name, value in given.items() if name != "class_weight"})


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
    assert verdicts((sound_function,), AGREEMENT) == {}


def test_compositions_are_held_against_no_form() -> None:
    @implements(SOFTMAX, api="keras.ops.sum of logs", options=("label_smoothing",), semantics=LOSES_SMALL)
    def composition(logits, targets, *, label_smoothing=0.0):
        return 1.0 * softmax_loss(logits, targets, "none", {"label_smoothing": label_smoothing})

    @implements(SOFTMAX, api="keras.ops.textbook", textbook=True, semantics=LOSES_SMALL)
    def textbook(logits, targets):
        return softmax_loss(logits, targets, "none", {})

    assert verdicts((sound_class, composition, textbook), AGREEMENT) == {}


def test_the_fullest_form_has_most_reductions_and_then_most_options() -> None:
    forms = (sound_model, sound_function, sound_class, other_function)
    assert fullest_form(sound_function, forms) is sound_class
    assert fullest_form(sound_class, forms) is None
    assert fullest_form(other_function, (sound_function, other_function, sound_model)) is sound_function
    assert fullest_form(sound_model, (sound_model, sound_function)) is None, "they have no reduction in common"


def test_forms_may_be_as_far_apart_as_their_pages_state() -> None:
    def by_rows(logits, targets, *, reduction, **given):
        """Counts rows in its mean, whatever the weights of their classes."""
        return softmax_loss(logits, targets, reduction, given, replace(SOUND, divide=divisor_of_rows))

    options, rows = ("reduction", "class_weight", "mask"), replace(LOSES_SMALL, soft_weight_divisor="rows")
    stated = implements(SOFTMAX, api="torch.stated", options=options, semantics=rows)(by_rows)
    silent = implements(SOFTMAX, api="torch.silent", options=options, semantics=LOSES_SMALL)(by_rows)
    found = verdicts((sound_class, stated, silent), AGREEMENT)
    assert found == {"torch.stated": ["conforms"], "torch.silent": ["defect"]}


def test_forms_are_held_against_each_other_over_another_axis() -> None:
    @softmax_with_axis(api="torch.whole")
    def whole(logits, targets, *, reduction, class_axis=-1, **given):
        return over_axis(softmax_loss, logits, targets, reduction, class_axis, given)

    @softmax_with_axis(api="torch.sound", options=("reduction", "class_weight", "class_axis"))
    def sound(logits, targets, *, reduction, class_axis=-1, **given):
        return over_axis(softmax_loss, logits, targets, reduction, class_axis, given)

    @softmax_with_axis(api="torch.unweighted", options=("reduction", "class_weight", "class_axis"))
    def unweighted(logits, targets, *, reduction, class_axis=-1, class_weight=None):
        weights = {} if class_weight is None or class_axis != -1 else {"class_weight": class_weight}
        return over_axis(softmax_loss, logits, targets, reduction, class_axis, weights)

    forms = (whole, sound, unweighted)
    assert verdicts(forms, AGREEMENT) == {sound.api: ["conforms"], unweighted.api: ["conforms"]}
    assert verdicts(forms, AGREEMENT_OVER_AXIS) == {sound.api: ["conforms"], unweighted.api: ["defect"]}


def test_public_forms_of_linear_cross_entropy_are_held_against_each_other() -> None:
    @linear(api="torch.whole")
    def whole(hidden, labels, *, linear_weight, linear_bias=None, reduction, **given):
        return sound_linear(hidden, labels, linear_weight, linear_bias, reduction, **given)

    @linear(api="torch.in_reverse", options=("reduction", "class_weight"))
    def in_reverse(hidden, labels, *, linear_weight, linear_bias=None, reduction, **given):
        return reversed_losses(hidden, labels, linear_weight, linear_bias, reduction, given)

    @linear(api="torch.weighted_slope", options=("reduction", "class_weight"))
    def weighted_slope(hidden, labels, *, linear_weight, linear_bias=None, reduction, **given):
        return unweighted_slope(hidden, labels, linear_weight, linear_bias, reduction, given)

    found = verdicts((whole, in_reverse, weighted_slope), LINEAR_AGREEMENT)
    assert found == {in_reverse.api: ["conforms"], weighted_slope.api: ["defect"]}


def reversed_losses(hidden, labels, weight, bias, reduction, given):
    """Return the losses computed in the opposite order of rows."""
    losses = sound_linear(hidden.flip(0), labels.flip(0), weight, bias, reduction, **given)
    return losses.flip(0) if reduction == "none" else losses


def unweighted_slope(hidden, labels, weight, bias, reduction, given):
    """Return the right losses, with a gradient of the bias that knows no class weights under the sum."""
    losses = sound_linear(hidden, labels, weight, bias, reduction, **given)
    if reduction != "sum" or bias is None:
        return losses
    return as_gradient_of(losses, sound_linear(hidden, labels, weight, bias, reduction))


def test_losses_of_outcomes_are_held_against_means_of_rows() -> None:
    def means_of_rows(logits, targets, reduction, given):
        losses = sigmoid_loss(logits, targets, reduction, given)
        return losses.mean(-1) if reduction == "none" else losses / (logits.shape[-1] if reduction == "sum" else 1)

    @sigmoid(api="keras.losses.Rows", semantics=Semantics(loss_shape="row_mean"))
    def of_rows(logits, targets, *, reduction, **given):
        return means_of_rows(logits, targets, reduction, given)

    @implements(SIGMOID, api="keras.ops.outcomes", options=("label_smoothing",), grade=Grade("pair", "pair"))
    def outcomes(logits, targets, *, label_smoothing=0.0):
        return sigmoid_loss(logits, targets, "none", {"label_smoothing": label_smoothing})

    @implements(SIGMOID, api="keras.ops.halved", options=("label_smoothing",), grade=Grade("pair", "pair"))
    def halved(logits, targets, *, label_smoothing=0.0):
        return sigmoid_loss(logits, targets, "none", {"label_smoothing": label_smoothing / 2})

    assert verdicts((of_rows, outcomes, halved), AGREEMENT) == {outcomes.api: ["conforms"], halved.api: ["defect"]}


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
