"""A finding ends as a case that a person can read, and as the same failure."""

import ast
import re
from dataclasses import replace

import numpy as np
import pytest

from adapters import pytorch
from adapters.binding import Binding, implements
from conformance.expectations import KINDS
from conformance.profiles import SMALL, TEN
from conformance.shrink import _rounded
from reference.losses import Grade
from reports.record import Finding
from tests.conformance import asking
from tests.conformance.asking import ask
from tests.conformance.form_mutants import counts_ignored, masked_nan_times_zero, masked_times_zero, rounded_mean
from tests.conformance.option_mutants import class_weight_not_in_gradient, normalised_class_weights
from tests.conformance.tiny import log_loss


def finding_of(binding: Binding, number: int) -> Finding:
    (record,) = ask(binding, number)
    assert record.finding is not None, record
    return record.finding


def numbers_in(text: str) -> list[str]:
    return re.findall(r"-?\d[\d.]*(?:e[-+]?\d+)?", text)


def rows_asked(found: Finding) -> int:
    """Return the number of rows that the reproducer of a finding asks."""
    assigned = [node for node in ast.parse(found.reproducer).body if isinstance(node, ast.Assign)]
    (prediction,) = [node.value for node in assigned if ast.unparse(node.targets[0]) == "prediction"]
    return len(eval(ast.unparse(prediction), {"np": np}))


def array_in(text: str) -> np.ndarray:
    return np.array(ast.literal_eval(re.sub(r"(?<=\d)\.(?=[,\]])", ".0", text)))


def digits(number: str) -> int:
    """Return how many significant digits a printed number has."""
    return len(number.partition("e")[0].replace(".", "").strip("-0"))


@pytest.mark.parametrize(
    ("binding", "clause"),
    [
        (asking.clipped, 1),
        (asking.clipped, 2),
        (asking.inaccurate, 1),
        (asking.nan, 1),
        (asking.nan, 7),
        (asking.unshifted, 1),
        (asking.unshifted, 2),
        (asking.unshifted, 7),
    ],
    ids=lambda item: getattr(item, "api", item),
)
def test_case_is_small(binding: Binding, clause: int) -> None:
    found = finding_of(binding, clause)
    prediction, target = array_in(found.prediction), array_in(found.target)
    assert prediction.shape[0] == target.shape[0] == 1
    assert prediction.shape[1] <= 3
    assert sum(digits(number) for number in numbers_in(found.prediction)) <= 2 * prediction.size
    assert max(len(number) for number in numbers_in(found.prediction)) <= 6
    assert found.error_over_bound == "inf" or float(found.error_over_bound) > 1


@implements("sparse_categorical_cross_entropy", api="two failures")
def two_failures(p, labels):
    """Far off above 5 with three classes and more, slightly off elsewhere: the first must not shrink to the second."""
    value, gradient = log_loss(p, labels)
    return np.where((value > 5) & (p.shape[1] > 2), np.float32(np.inf), value * np.float32(1.001)), gradient


def test_failure_stays_the_same_kind() -> None:
    found = finding_of(two_failures, 1)
    assert "inf" in found.got and "inf" not in found.expected
    assert found.error_over_bound == "inf" and len(numbers_in(found.prediction)) == 3


@implements("sparse_categorical_cross_entropy", api="many rows")
def many_rows(p, labels):
    value, gradient = log_loss(p, labels)
    return value + np.float32(len(p) > 20), gradient


@implements("sparse_categorical_cross_entropy", api="many classes")
def many_classes(p, labels):
    value, gradient = log_loss(p, labels)
    return value + np.float32(p.shape[1] > 4), gradient


def test_failure_that_needs_many_rows_keeps_them() -> None:
    (record,) = ask(many_rows, 1)
    assert record.verdict == "defect" and record.finding is not None
    assert 20 < rows_asked(record.finding) <= 64


def test_failure_that_needs_many_classes_keeps_them() -> None:
    found = finding_of(many_classes, 1)
    assert 4 < len(numbers_in(found.prediction)) <= 10


@implements("sparse_softmax_cross_entropy_with_logits", api="kept digits", grade=Grade("lse", "lse"))
def kept_digits(x, labels):
    """Wrong where no logit is a short number."""
    value, gradient = asking._softmax_loss(x, labels, lambda x: x.max(-1, keepdims=True))
    short = (x == np.round(x, 1)).any(-1)
    return np.where(short, value, value + 1), gradient


def test_digits_that_the_failure_needs_are_kept() -> None:
    found = finding_of(kept_digits, 1)
    assert all(digits(number) >= 2 for number in numbers_in(found.prediction))


@implements("sparse_categorical_cross_entropy", api="no other axis", options=("class_axis",))
def no_other_axis(p, labels, *, class_axis=-1):
    if class_axis != -1:
        raise ValueError("only the last axis holds classes")
    return log_loss(p, labels)


@implements("sparse_categorical_cross_entropy", api="a little more")
def a_little_more(p, labels):
    value, gradient = log_loss(p, labels)
    return value * np.float32(1 + 2**-22), gradient


def test_refused_class_axis_is_shown_on_one_row() -> None:
    found = finding_of(no_other_axis, 50)
    assert found.got == "raises ValueError: only the last axis holds classes" and found.prediction.count("[") == 2


def test_bias_is_told_of_its_whole_batch() -> None:
    found = finding_of(a_little_more, 4)
    assert "/2048x10/" in found.case and "roundoffs" in found.statement


def test_kinds_of_the_record_are_words_of_the_vocabulary() -> None:
    (record,) = ask(two_failures, 1)
    assert record.kinds == ["inaccurate", "inf"] and set(record.kinds) <= set(KINDS)


@implements("sparse_categorical_cross_entropy", api="more than four rows")
def more_than_four_rows(p, labels):
    value, gradient = log_loss(p, labels)
    return value * (2 if len(p) > 4 else 1), gradient


@pytest.mark.parametrize(("shape", "rows"), [(SMALL, SMALL[0]), (TEN, 8)])
def test_batch_is_cut_to_eight_rows_where_that_is_half_or_less(shape: tuple[int, int], rows: int) -> None:
    """Each cut is a program to a compiler: fifteen rows are as readable as eight."""
    profile = replace(asking.SHOWING_ALL, shapes=(shape,))
    (record,) = ask(more_than_four_rows, 1, profile=profile)
    assert record.finding is not None and rows_asked(record.finding) == rows


@pytest.mark.parametrize(
    ("number", "digits", "rounded"), [(1.2345, 1, 1.0), (1.2345, 3, 1.23), (9.96, 2, 10.0), (-0.04567, 2, -0.046)]
)
def test_rounding_keeps_significant_digits(number: float, digits: int, rounded: float) -> None:
    assert _rounded(np.array([[number]]), digits)[0, 0] == rounded


@pytest.mark.parametrize("number", [0.0, -0.0, np.inf, -np.inf, np.nan])
def test_rounding_keeps_special_values(number: float) -> None:
    array = np.array([[number]], np.float32)
    assert _rounded(array, 1).tobytes() == array.tobytes()


@pytest.mark.parametrize("mutant", [normalised_class_weights, class_weight_not_in_gradient], ids=lambda binding: binding.api)
def test_case_under_class_weights_has_those_of_its_classes(mutant: Binding) -> None:
    found = next(record.finding for record in ask(mutant, 34, using=pytorch.framework) if record.finding)
    assert len(numbers_in(found.prediction)) == len(numbers_in(found.options.partition("class_weight")[2])) <= 3, found


@implements("sparse_categorical_cross_entropy", api="clamped labels")
def clamped_labels(p, labels):
    return log_loss(p, np.clip(labels, 0, p.shape[-1] - 1))


@pytest.mark.parametrize(("clause", "label"), [(17, "[-1]"), (18, "[2]")])
def test_label_out_of_range_is_shown_on_two_classes(clause: int, label: str) -> None:
    found = finding_of(clamped_labels, clause)
    assert len(numbers_in(found.prediction)) == 2 and found.target == label


@pytest.mark.parametrize(
    ("mutant", "clause", "rows"),
    [(masked_times_zero, 59, 2), (masked_nan_times_zero, 59, 2), (rounded_mean, 57, 1), (counts_ignored, 57, 2)],
    ids=lambda item: getattr(item, "api", item),
)
def test_mean_is_shown_on_the_rows_it_needs(mutant: Binding, clause: int, rows: int) -> None:
    """Any row may be the cause, or one that is dropped together with one that is kept."""
    found = next(record.finding for record in ask(mutant, clause, using=pytorch.framework) if record.finding)
    assert len(numbers_in(found.prediction)) <= 2 * rows and found.prediction.count("[") == 1 + rows, found


@implements("softmax_cross_entropy_with_logits", api="clips beside a right answer", grade=Grade("lse", "lse"))
def clips_beside_a_right_answer(x, targets):
    """Clips probabilities where there are two classes, and else in rows alone whose target is mostly the likeliest class."""
    shifted = x - x.max(-1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    clips = (x.argmax(-1) == targets.argmax(-1)) | (x.shape[-1] == 2)
    clipped = np.where(clips[:, None], np.maximum(logs, np.float32(-3)), logs)
    return -(targets * clipped).sum(-1), np.exp(logs) - targets


def test_clipped_class_that_bears_little_of_a_target_bears_all_of_it_in_the_end() -> None:
    """The class that the target is mostly of conforms by itself: two classes show the failure with the other one right."""
    found = finding_of(clips_beside_a_right_answer, 1)
    row, target = array_in(found.prediction), array_in(found.target)
    assert row.shape == (1, 2) and target[0, row[0].argmin()] == 1, found
