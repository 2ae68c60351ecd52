"""What backends of one library are compared by: the answers that are kept of their bindings, and the bounds of their errors."""

from dataclasses import replace

from adapters.binding import Binding
from adapters.pytorch import framework
from conformance.profiles import PROFILES
from reports.record import Record
from tests.conformance.asking import ask
from tests.conformance.form_mutants import gradient_of_sum, sparse_mean_twin
from tests.conformance.option_twins import sparse_twin

IGNORED, PAIRS, MEANS = 39, 46, 57
ROWS, CLASSES = 15, 3


def records(binding: Binding, number: int) -> dict[str, Record]:
    """Return the records of one clause by dtype, of a binding that is taken for one of Keras."""
    named = replace(binding, api="keras.losses.named")
    return {record.dtype: record for record in ask(named, number, using=framework, profile=PROFILES["default"])}


def test_answers_under_an_option_are_those_of_its_first_setting_in_one_dtype() -> None:
    found = records(sparse_twin, IGNORED)
    kept = found["float32"].answers
    assert kept is not None and len(kept.got) == len(kept.bounds) == ROWS + ROWS * CLASSES
    assert all(isinstance(bound, float) and bound < 1e-3 for bound in kept.bounds)
    assert found["float64"].answers is None
    assert all(record.answers is None for record in records(sparse_twin, PAIRS).values())


def test_answers_of_a_mean_alone_are_its_value_and_gradient_without_options_and_under_each() -> None:
    kept = records(sparse_mean_twin, MEANS)["float32"].answers
    asked = 1 + len({"class_weight", "sample_weight", "mask", "where", "ignore_index", "label_smoothing"})
    assert kept is not None and len(kept.got) == asked * (1 + ROWS * CLASSES)


def test_a_number_that_nothing_explains_has_no_bound() -> None:
    kept = records(gradient_of_sum, MEANS)["float32"].answers
    assert kept is not None
    value, *gradient = kept.bounds[: 1 + ROWS * CLASSES]
    assert isinstance(value, float) and value < 1e-3 and "inf" in gradient


def test_no_answers_are_kept_of_what_has_no_other_backend() -> None:
    found = ask(sparse_twin, IGNORED, using=framework, profile=PROFILES["default"])
    assert found and all(record.answers is None for record in found)
