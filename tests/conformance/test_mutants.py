"""Losses broken on purpose are caught by the default profile; sound ones in every sound form are not."""

from collections.abc import Iterator

import pytest

from adapters.binding import Binding
from adapters.loading import Adapter
from adapters.pytorch import framework
from conformance.engine import Examination, Question, answer, questions
from conformance.expectations import Expectations
from conformance.profiles import PROFILES
from reports.record import FAILING, Record
from tests.conformance.linear_mutants import LINEAR_MUTANTS, LINEAR_TWINS, not_the_same_twice
from tests.conformance.mutants import MUTANTS
from tests.conformance.option_mutants import OPTION_MUTANTS
from tests.conformance.option_twins import OPTION_TWINS
from tests.conformance.twins import TWINS

CAUGHT_FIRST = (30, 31, 28, 16, 8, 10, 32, 24, 14, 5, 6)
"""Clauses that are quick to ask and catch much: a mutant is caught sooner, and what catches it is the same."""


ABOUT_OPTIONS = 34
"""The number of the first clause about options."""


def examine(binding: Binding, dtypes: tuple[str, ...]) -> Iterator[Record]:
    """Ask everything that the default profile asks of one binding alone; about its options first, if it has any."""
    adapter = Adapter("mutants", "mutants", framework, (binding,))
    examination = Examination(adapter, "cpu", PROFILES["default"], Expectations((), {}))
    asked = [question for question in questions(adapter) if question.dtype in dtypes]
    with_options = set(binding.options) > {"reduction"}
    for question in sorted(
        asked, key=lambda question: (with_options and question.clause.number < ABOUT_OPTIONS, _cost(question))
    ):
        yield answer(examination, question).record


def _cost(question: Question) -> int:
    number = question.clause.number
    return CAUGHT_FIRST.index(number) if number in CAUGHT_FIRST else len(CAUGHT_FIRST) + number


@pytest.mark.parametrize("mutant", MUTANTS + OPTION_MUTANTS + LINEAR_MUTANTS, ids=lambda binding: binding.api)
def test_mutant_is_caught(mutant: Binding) -> None:
    caught = next((record for record in examine(mutant, ("float32", "float64")) if record.verdict in FAILING), None)
    assert caught is not None, f"no clause of the default profile catches {mutant.api}"
    assert "could not judge" not in caught.reason
    assert "could not be answered" not in caught.reason


@pytest.mark.parametrize("twin", TWINS + OPTION_TWINS + LINEAR_TWINS, ids=lambda binding: binding.api)
def test_sound_twin_conforms(twin: Binding) -> None:
    news = [f"{r.clause} {r.dtype}: {r.finding}" for r in examine(twin, ("float32", "float64")) if r.verdict in FAILING]
    assert news == []


def test_a_second_call_is_made_where_answers_are_kept() -> None:
    keeping = type("Keeping", (type(framework),), {"keeps_answers": True})()
    adapter = Adapter("keeping", "keeping", keeping, (not_the_same_twice,))
    examination = Examination(adapter, "cpu", PROFILES["default"], Expectations((), {}))
    (found, *_) = [answer(examination, question).record for question in questions(adapter) if question.clause.number == 69]
    assert found.finding is not None and found.finding.quantity == "second value"


def test_there_are_enough_mutants() -> None:
    assert len(MUTANTS) >= 30
    assert len(OPTION_MUTANTS) >= 40
    assert len(LINEAR_MUTANTS) >= 25
