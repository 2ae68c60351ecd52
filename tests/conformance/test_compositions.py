"""A listed composition explains what it computes, and nothing else: each change inside it is seen."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from adapters.binding import Binding, implements
from adapters.pytorch import framework
from conformance.compositions import COMPOSITIONS, Range
from conformance.expectations import Observed
from reference.losses import Grade
from reference.precision import PRECISIONS
from tests.conformance.asking import ask, expectation

SIGMOID, SOFTMAX = "sigmoid_cross_entropy_with_logits", "softmax_cross_entropy_with_logits"
SPARSE = "sparse_softmax_cross_entropy_with_logits"


def _same(value):
    return value


def hooked(tensor, change):
    """Return the tensor with its gradient changed on the way back."""
    tensor = tensor * 1
    if tensor.requires_grad:
        tensor.register_hook(change)
    return tensor


def sigmoid_binding(value: Callable = _same, gradient: Callable = _same) -> Binding:
    """Return log over sigmoid with value and gradient changed."""

    @implements(SIGMOID, api="log(sigmoid(x))", grade=Grade("pair", "pair"))
    def composition(logits, targets):
        p = torch.sigmoid(hooked(logits, gradient))
        return value(-(targets * torch.log(p) + (1 - targets) * torch.log(1 - p)))

    return composition


def softmax_binding(value: Callable = _same, gradient: Callable = _same) -> Binding:
    """Return log over softmax with value and gradient changed."""

    @implements(SOFTMAX, api="log(softmax(x))", grade=Grade("log_quotient", "log_quotient"))
    def composition(logits, targets):
        return value(-(targets * torch.log(torch.softmax(hooked(logits, gradient), -1))).sum(-1))

    return composition


COMPOSED = {"log_of_sigmoid": (sigmoid_binding, (1, 2, 11)), "log_of_softmax": (softmax_binding, (1, 2, 8))}
"""Each composition with clauses that it breaks in float32 and in float64."""

CHANGES: dict[str, tuple[Callable, Callable]] = {
    "NaN has become 0": (torch.nan_to_num, _same),
    "no infinity": (lambda value: value.clamp(max=1e4), _same),
    "negative infinity": (lambda value: torch.where(value.isposinf(), -value, value), _same),
    "a thousandth more than the largest finite": (lambda value: torch.where(value > 12, value * 1.001, value), _same),
    "NaN where it is finite": (lambda value: torch.where(value > 12, torch.nan, value), _same),
    "no gradient in place of NaN": (_same, torch.nan_to_num),
    "a gradient twice as large": (_same, lambda slope: 2 * slope),
    "a gradient of NaN throughout": (_same, lambda slope: torch.full_like(slope, torch.nan)),
}


def verdicts(name: str, binding: Binding) -> set[str]:
    clauses = COMPOSED[name][1]
    entry = expectation(binding.api, *clauses, observed=Observed(composition=name))
    return {record.verdict for record in ask(binding, *clauses, entries=(entry,), using=framework)}


@pytest.mark.parametrize("name", COMPOSED)
def test_composition_explains_itself(name: str) -> None:
    assert verdicts(name, COMPOSED[name][0]()) == {"known defect"}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", COMPOSED)
def test_what_changes_inside_a_composition_is_seen(name: str, change: str) -> None:
    assert "changed" in verdicts(name, COMPOSED[name][0](*CHANGES[change]))


@pytest.mark.parametrize("name", ["floored_log_of_sigmoid", "clipped_log_of_sigmoid"])
def test_composition_does_not_explain_another(name: str) -> None:
    binding, clauses = sigmoid_binding(), (1, 2, 11)
    entry = expectation(binding.api, *clauses, observed=Observed(composition=name))
    assert {record.verdict for record in ask(binding, *clauses, entries=(entry,), using=framework)} == {"changed"}


def clipped_binding(value: Callable = _same, gradient: Callable = _same) -> Binding:
    """Return softmax cross-entropy of the logarithm of a clipped softmax, with value and gradient changed."""

    @implements(SPARSE, api="cross_entropy(log(clamp(softmax(x))))", grade=Grade("log_quotient", "log_quotient"))
    def composition(logits, labels):
        p = torch.softmax(hooked(logits, gradient), -1).clamp(1e-7, 1 - 1e-7)
        return value(torch.nn.functional.cross_entropy(p.log(), labels, reduction="none"))

    return composition


def taken_binding(value: Callable = _same, gradient: Callable = _same) -> Binding:
    """Return a binary loss that takes the logits x and 0 of a softmax for those of a sigmoid, or with a change."""

    @implements(SIGMOID, api="binary_cross_entropy_with_logits([x, 0])", grade=Grade("pair", "pair"))
    def composition(logits, targets):
        x = hooked(logits, gradient)
        losses = torch.nn.functional.binary_cross_entropy_with_logits(x, targets, reduction="none")
        return value((losses + math.log(2)) / 2)

    return composition


FINITE = {"clipped_softmax_over_sum": clipped_binding, "softmax_taken_for_sigmoid": taken_binding}
"""Compositions that are finite wherever the logits are."""

CHANGES_OF_FINITE: dict[str, tuple[Callable, Callable]] = {
    "a thousandth more than the largest": (lambda value: torch.where(value > 12, value * 1.001, value), _same),
    "something left out": (lambda value: value - 1e-7 * torch.clamp(value, 1, 10), _same),
    "NaN for the largest": (lambda value: torch.where(value > 12, torch.nan, value), _same),
    "a gradient twice as large": (_same, lambda slope: 2 * slope),
    "a gradient where there is none": (_same, lambda slope: torch.where(slope == 0, 1.0, slope)),
}


def verdicts_of_finite(binding: Binding, name: str) -> set[str]:
    entry = expectation(binding.api, 1, 2, observed=Observed(composition=name))
    return {record.verdict for record in ask(binding, 1, 2, entries=(entry,), using=framework)}


@pytest.mark.parametrize("name", FINITE)
def test_finite_composition_explains_itself(name: str) -> None:
    assert verdicts_of_finite(FINITE[name](), name) == {"known defect"}


@pytest.mark.parametrize("change", CHANGES_OF_FINITE)
@pytest.mark.parametrize("name", FINITE)
def test_what_changes_in_a_finite_composition_is_seen(name: str, change: str) -> None:
    assert "changed" in verdicts_of_finite(FINITE[name](*CHANGES_OF_FINITE[change]), name)


@pytest.mark.parametrize(
    ("name", "other"),
    [("clipped_softmax_over_sum", "clipped_log_of_softmax"), ("softmax_taken_for_sigmoid", "clipped_log_of_sigmoid")],
)
def test_finite_composition_is_not_another(name: str, other: str) -> None:
    assert "changed" in verdicts_of_finite(FINITE[name](), other)


def ranges(name: str, quantity: str, x: list[float], t: list[float], dtype: str = "float32") -> Range:
    with np.errstate(all="ignore"):
        return COMPOSITIONS[name](np.array([x]), np.array([t]), quantity, PRECISIONS[dtype])


@pytest.mark.parametrize(
    ("name", "quantity", "right", "wrong"),
    [
        ("log_of_sigmoid", "value", [0.6931472, np.inf, np.nan, np.inf], [0.6931, 100.0, 0.0, 120.0]),
        ("log_of_sigmoid", "gradient", [0.5, np.nan, np.nan, np.nan], [-0.5, 1.0, 0.0, np.inf]),
        ("floored_log_of_sigmoid", "value", [0.6931472, 100.0, 0.0, 100.0], [0.6931, np.inf, np.nan, 120.0]),
        ("floored_log_of_sigmoid", "gradient", [0.5, 0.0, 0.0, 0.0], [-0.5, 1.0, np.nan, -1.0]),
        ("clipped_log_of_sigmoid", "value", [0.6931472, 15.942385, 1.1920929e-7, 16.118095], [0.6931, 16.2, 1e-5, 120.0]),
        ("clipped_log_of_sigmoid", "gradient", [0.5, 0.0, 0.0, 0.0], [-0.5, 1.0, np.nan, -1.0]),
        ("softmax_taken_for_sigmoid", "value", [0.6931472, 60.346574, 0.3465736, 60.346574], [0.693, 60.3, 0.0, np.inf]),
        ("softmax_taken_for_sigmoid", "gradient", [0.25, 0.5, 0.0, -0.5], [0.5, 1.0, 0.5, np.nan]),
    ],
)
def test_ranges_hold_what_is_computed(name: str, quantity: str, right: list[float], wrong: list[float]) -> None:
    """At logits of 0, 120, 120 and -120 with the targets 0, 0, 1 and 1."""
    found = ranges(name, quantity, [0.0, 120.0, 120.0, -120.0], [0.0, 0.0, 1.0, 1.0])
    assert found.holds(np.array([right])).all()
    assert not found.holds(np.array([wrong])).any()


def test_range_of_a_sum_is_nan_alone_where_a_term_is() -> None:
    never, always = np.zeros(2, bool), np.ones(2, bool)
    term = Range(np.array([1.0, 2.0]), np.array([1.0, 2.0]), never, never, never)
    total = term.sum(PRECISIONS["float32"])
    assert total.holds(np.array(3.0)) and not total.holds(np.array(3.1)) and not total.holds(np.array(np.nan))
    whole = term.only_nan(np.array([True, False])).sum(PRECISIONS["float32"])
    assert whole.holds(np.array(np.nan)) and not whole.holds(np.array(3.0))
    infinite = Range(np.array([np.inf, 2.0]), np.array([-np.inf, 2.0]), never, np.array([True, False]), never)
    assert infinite.sum(PRECISIONS["float32"]).holds(np.array(np.inf)) and not infinite.sum(PRECISIONS["float32"]).nan
    opposed = Range(term.low, term.high, never, always, np.array([True, False]))
    assert opposed.sum(PRECISIONS["float32"]).nan


def test_range_turns_with_a_negative_factor() -> None:
    no, yes = np.zeros(1, bool), np.ones(1, bool)
    turned = Range(np.array([1.0]), np.array([2.0]), no, yes, no).times(-2.0)
    assert turned.holds(np.array([-3.0])).all() and turned.holds(np.array([-np.inf])).all()
    assert not turned.holds(np.array([3.0])).any() and not turned.holds(np.array([np.inf])).any()
