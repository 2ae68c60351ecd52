"""A hard label is its one-hot under every reduction and over every axis: pairs that part there are told, sound ones are not."""

import pytest

from adapters.binding import Binding, implements
from adapters.loading import Adapter
from adapters.pytorch import framework
from conformance.engine import Examination, answer, questions
from conformance.expectations import Expectations
from conformance.profiles import PROFILES
from conformance.properties.one_hot import soft_form
from reports.record import FAILING, Record
from tests.conformance.one_hot_mutants import MOVED_MUTANTS, MOVED_TWINS, REDUCED_MUTANTS, REDUCED_TWINS, Pair

LOSSES, OPTIONS, REDUCED, MOVED = 21, 49, 76, 77
SPARSE, SOFTMAX = "sparse_softmax_cross_entropy_with_logits", "softmax_cross_entropy_with_logits"


def records(pair: Pair, number: int) -> list[Record]:
    """Return the records of one clause on labels."""
    adapter = Adapter("pair", "pair", framework, (pair.hard, pair.soft))
    examination = Examination(adapter, "cpu", PROFILES["default"], Expectations((), {}))
    return [answer(examination, one).record for one in questions(adapter, loss=SPARSE) if one.clause.number == number]


@pytest.mark.parametrize("twin", REDUCED_TWINS + MOVED_TWINS, ids=lambda pair: pair.api)
def test_sound_pairs_agree(twin: Pair) -> None:
    found = [record for number in (REDUCED, MOVED) for record in records(twin, number)]
    assert found and not {record.verdict for record in found} & FAILING


def test_a_mean_that_counts_one_hot_as_rows_is_a_documented_divergence_where_its_page_says_so() -> None:
    (found,) = records(REDUCED_TWINS[1], REDUCED)
    assert (found.verdict, found.reason) == ("documented divergence", "documented: soft_weight_divisor = rows")


@pytest.mark.parametrize("mutant", REDUCED_MUTANTS, ids=lambda pair: pair.api)
def test_pairs_that_part_under_a_reduction_are_told(mutant: Pair) -> None:
    (found,) = records(mutant, REDUCED)
    assert found.verdict == "defect" and found.finding is not None and " under " in found.finding.quantity
    others = [record for number in (LOSSES, OPTIONS) for record in records(mutant, number)]
    assert not {record.verdict for record in others} & FAILING, "their losses agree"


@pytest.mark.parametrize("mutant", MOVED_MUTANTS, ids=lambda pair: pair.api)
def test_pairs_that_part_over_an_axis_are_told(mutant: Pair) -> None:
    (found,) = records(mutant, MOVED)
    assert found.verdict == "defect" and found.finding is not None and "over axis 1" in found.finding.quantity
    others = [record for number in (LOSSES, OPTIONS, REDUCED) for record in records(mutant, number)]
    assert not {record.verdict for record in others} & FAILING, "on the last axis they agree"


def test_what_has_no_form_for_soft_targets_is_not_asked() -> None:
    hard = MOVED_TWINS[0].hard
    adapter = Adapter("alone", "alone", framework, (hard,))
    assert not {REDUCED, MOVED} & {question.clause.number for question in questions(adapter)}


@pytest.mark.parametrize(
    ("hard", "soft"),
    [
        ("torch.nn.CrossEntropyLoss", "torch.nn.CrossEntropyLoss"),
        (
            "keras.losses.SparseCategoricalCrossentropy(from_logits=True)",
            "keras.losses.CategoricalCrossentropy(from_logits=True)",
        ),
        ("keras.ops.sparse_categorical_crossentropy", "keras.ops.categorical_crossentropy"),
        ("tf.nn.sparse_softmax_cross_entropy_with_logits", "tf.nn.softmax_cross_entropy_with_logits"),
        ("optax.losses.softmax_cross_entropy_with_integer_labels", "optax.losses.softmax_cross_entropy"),
    ],
)
def test_the_forms_of_one_api_are_found_by_name(hard: str, soft: str) -> None:
    def named(loss: str, api: str) -> Binding:
        @implements(loss, api=api)
        def of(logits, targets):
            raise NotImplementedError

        return of

    labels, wanted, other = named(SPARSE, hard), named(SOFTMAX, soft), named(SOFTMAX, "log(softmax(x))")
    assert soft_form(labels, (labels, other, wanted)) is wanted
    assert soft_form(labels, (labels, other)) is None
