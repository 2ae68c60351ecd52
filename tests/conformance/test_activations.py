"""The output of an activation: the loss of the numbers conforms, that of the logits is told apart, and nothing else passes."""

from dataclasses import replace

import numpy as np
import pytest

from adapters.binding import Binding
from adapters.framework import Call, Loss, Outcome
from adapters.loading import Adapter
from adapters.pytorch import framework
from conformance.clauses import clauses_of
from conformance.engine import Examination, answer, questions
from conformance.expectations import Expectation, Expectations, Observed
from conformance.profiles import PROFILES
from conformance.properties.forms import OF_PROBABILITIES
from conformance.tables import activated, saturated, table
from conformance.trial import Trial
from reference.losses import DTYPES, LOSSES
from reference.semantics import Semantics
from reports.record import Record
from tests.conformance.activation_mutants import (
    ACTIVATION_MUTANTS,
    ACTIVATION_TWINS,
    PLAIN,
    RECOVERING,
    binary_of_sigmoid,
    gradient_of_logits,
    other_activation,
)
from tests.conformance.asking import expectation

ACTIVATION = 74
TAKES_LOGITS = Observed(choice={"activation_output": "logits"})


def records(binding: Binding, entries: tuple[Expectation, ...] = (), using=framework) -> list[Record]:
    """Return what is said of one binding beside the plain losses."""
    adapter = Adapter("activations", "activations", using, (*PLAIN, binding))
    examination = Examination(adapter, "cpu", PROFILES["default"], Expectations(entries, {}))
    asked = [question for question in questions(adapter) if question.clause.number == ACTIVATION]
    assert {question.binding for question in asked} == {binding}, "plain losses are asked nothing of activations"
    return [answer(examination, question).record for question in asked]


def verdicts(binding: Binding, entries: tuple[Expectation, ...] = (), using=framework) -> list[str]:
    return [record.verdict for record in records(binding, entries, using)]


def entry(binding: Binding) -> tuple[Expectation, ...]:
    return (expectation(binding.api, ACTIVATION, observed=TAKES_LOGITS, undocumented=True),)


def named(bindings: tuple[Binding, ...]):
    return pytest.mark.parametrize("binding", bindings, ids=lambda binding: binding.api)


@named(ACTIVATION_TWINS)
def test_loss_of_the_numbers_conforms(binding: Binding) -> None:
    assert verdicts(binding) == ["conforms"] * len(DTYPES)


@named(ACTIVATION_TWINS)
def test_loss_of_the_numbers_is_not_that_of_the_logits(binding: Binding) -> None:
    assert verdicts(binding, entry(binding)) == ["fixed"] * len(DTYPES)


def test_reference_says_what_a_loss_that_is_not_bound_returns() -> None:
    unbound = replace(binary_of_sigmoid, api="another over sigmoid")
    assert verdicts(unbound) == ["documented divergence"] * len(DTYPES)
    assert verdicts(replace(unbound, semantics=Semantics())) == ["defect"] * len(DTYPES), "a floor that nobody documents"


@named(RECOVERING)
def test_loss_of_the_logits_is_told_apart_and_named_by_its_choice(binding: Binding) -> None:
    assert verdicts(binding) == ["defect"] * len(DTYPES)
    assert verdicts(binding, entry(binding)) == ["undocumented divergence"] * len(DTYPES)
    documented = replace(binding, semantics=Semantics(activation_output="logits"))
    assert verdicts(documented) == ["documented divergence"] * len(DTYPES)


@named(ACTIVATION_MUTANTS)
def test_mutant_is_caught_and_no_choice_excuses_it(binding: Binding) -> None:
    assert verdicts(binding) == ["defect"] * len(DTYPES)
    assert verdicts(binding, entry(binding)) == ["changed"] * len(DTYPES)


def test_wrong_gradient_alone_is_seen() -> None:
    findings = [record.finding for record in records(gradient_of_logits)]
    assert [finding.quantity for finding in findings if finding] == ["gradient"] * len(DTYPES)


def test_a_finding_is_shown_where_the_activation_returns_0_and_1() -> None:
    (finding, _) = [record.finding for record in records(other_activation)]
    assert finding is not None and "1000." in finding.prediction


class Compiling(type(framework)):  # type: ignore[misc]
    """PyTorch in a second mode, in which a sigmoid is remembered."""

    modes = ("eager", "compiled")

    def run(self, loss: Loss, call: Call, *, key: object, mode: str, device: str) -> Outcome:
        """Run a loss of the logits in the other mode."""
        remembered = RECOVERING[0].function if mode == "compiled" and call.prediction.min() < 0 else loss
        return super().run(remembered, call, key=key, mode="eager", device=device)


def test_what_takes_logits_only_where_it_is_compiled_is_told_apart() -> None:
    found = {(r.mode, r.dtype): r.verdict for r in records(binary_of_sigmoid, using=Compiling())}
    assert found == {
        ("eager", "float32"): "conforms",
        ("eager", "float64"): "conforms",
        ("compiled", "float32"): "defect",
    }


def test_only_a_composition_over_an_activation_is_asked() -> None:
    for binding in (binary_of_sigmoid, replace(binary_of_sigmoid, api="plain"), replace(binary_of_sigmoid, textbook=False)):
        asked = [clause.number for clause in clauses_of(binding)]
        assert (ACTIVATION in asked) == (binding is binary_of_sigmoid)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OF_PROBABILITIES)
def test_saturated_logits_have_a_sigmoid_or_softmax_of_0_and_1(name: str, dtype: str) -> None:
    (batch,) = saturated(LOSSES[name], dtype)
    numbers = activated(batch, OF_PROBABILITIES[name])
    assert numbers is not None and numbers.dtype == dtype
    right = np.array(batch.regimes) == "right"
    assert set(batch.regimes) == {"right", "wrong"}
    if batch.target.ndim == 1:
        here = numbers.prediction[np.arange(batch.rows), batch.target]
        np.testing.assert_array_equal(here, right)
    else:
        np.testing.assert_array_equal((numbers.prediction == batch.target).all(-1), right)


@pytest.mark.parametrize("logit", [0.0, 1.0, 20.0, -20.0, -700.0])
def test_what_an_activation_rounds_is_not_judged(logit: float) -> None:
    batch = table("sigmoid_cross_entropy_with_logits", "float64", "rounded", [[1000.0, logit]], [[1.0, 1.0]], "rounded")
    assert activated(batch, "binary_cross_entropy") is None


def test_expected_results_are_shared_whatever_is_remembered() -> None:
    (batch,) = saturated(LOSSES["sigmoid_cross_entropy_with_logits"], "float32")
    plain = Trial(binary_of_sigmoid, framework, "eager", "float32", "cpu", grade=binary_of_sigmoid.grade)
    assert plain.expect(batch) is plain.under(Semantics(activation_output="logits")).expect(batch)
