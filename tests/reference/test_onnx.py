"""The reference against data that no one here made: the expected outputs of ONNX's own node tests.

All 104 node tests of SoftmaxCrossEntropyLoss (68) and NegativeLogLikelihoodLoss (36) are compared; none is left out. Half of
them, ``*_expanded``, pose the same inputs and outputs for another graph. The class axis of ONNX is the second one. Weights
and ``ignore_index`` are applied here, to losses of the reference without reduction.

ONNX computes its expected outputs in float32 as log(exp(x - max x) / sum): what it may err by is the bound of the plain form
plus what that form does not do: the exponential of the class itself, a quotient, and a logarithm that scales with the loss.

The inputs of the NegativeLogLikelihoodLoss tests are numbers in [0, 1), not logarithms of probabilities. Their
exponentials, lowered by one, stand in for probabilities: -log exp(x - 1) = 1 - x.
"""

import warnings
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from reference import bounds_rounding
from reference.bounds import Bounds, bound_ratio, error_bounds, reduced_bound
from reference.evaluate import evaluate
from reference.losses import Grade
from reference.options import one_hot_targets
from reference.precision import PRECISIONS

SPARSE = "sparse_softmax_cross_entropy_with_logits"
UNIT = PRECISIONS["float32"].u
SMALLEST = PRECISIONS["float32"].smallest
COUNTS = {"test_sce": 68, "test_nllloss": 36}


@dataclass(frozen=True)
class NodeTest:
    """One node test, the class axis last; ``log_prob`` is an output that some have."""

    name: str
    x: NDArray
    labels: NDArray
    weight: NDArray | None
    expected: NDArray
    log_prob: NDArray | None
    reduction: str
    ignore_index: int | None


@dataclass(frozen=True)
class Bounded:
    """Numbers and what float32 may err by."""

    value: NDArray
    bound: NDArray


@cache
def node_tests(prefix: str) -> tuple[NodeTest, ...]:
    """Return ONNX's node tests whose names begin with ``prefix``; an expanded one has the attributes of its original."""
    found = {case.name: case for case in _all_node_tests() if case.name.startswith(prefix)}
    return tuple(_node_test(case, found[name.removesuffix("_expanded")].model.graph.node[0]) for name, case in found.items())


@cache
def _all_node_tests() -> list[Any]:
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the other operators' tests overflow on purpose
        return collect_testcases(None)


def _node_test(case: Any, node: Any) -> NodeTest:
    from onnx.helper import get_attribute_value

    attributes = {attribute.name: get_attribute_value(attribute) for attribute in node.attribute}
    (x, labels, *weight), (expected, *log_prob) = case.data_sets[0]
    return NodeTest(
        case.name,
        np.moveaxis(x, 1, -1),
        labels,
        weight[0] if weight else None,
        expected,
        np.moveaxis(log_prob[0], 1, -1) if log_prob else None,
        attributes["reduction"].decode(),
        attributes.get("ignore_index"),
    )


def _kept(test: NodeTest) -> tuple[NDArray, NDArray]:
    """Return which labels count, and labels that are all in range."""
    kept = np.ones(test.labels.shape, bool) if test.ignore_index is None else test.labels != test.ignore_index
    return kept, np.where(kept, test.labels, 0)


def _log_softmax_losses(x: NDArray, labels: NDArray) -> Bounded:
    """Return the losses, and the bound of log(exp(x - max x) / sum) in float32."""
    truth = evaluate(SPARSE, x, labels)
    plain = error_bounds(SPARSE, x, labels, truth, grade=Grade("plain", "log_softmax"), precision="float32").value
    own = bounds_rounding.EXP_ERROR + 1 + (bounds_rounding.LOG_ERROR - 1) * truth.value
    return Bounded(truth.value, plain + UNIT * own)


def _picked_losses(x: NDArray, labels: NDArray) -> Bounded:
    """Return -x at the labels; exact in float32, and in float64 but for the exponential that the reference is given."""
    probabilities = np.exp(x.astype(np.float64) - 1)
    losses = evaluate("sparse_categorical_cross_entropy", probabilities, labels).value
    roundings = bounds_rounding.EXP_ERROR + 4  # x - 1, its return, and the 2 ulp of the reference, of numbers up to 1
    return Bounded(losses - 1, np.full(losses.shape, roundings * PRECISIONS["float64"].u))


def _reduced(test: NodeTest, losses: Bounded) -> Bounded:
    """Apply weights, ``ignore_index`` and reduction, as float32 would, to losses and bounds."""
    kept, labels = _kept(test)
    weighted = test.weight is not None or test.ignore_index is not None
    weight = kept * (1.0 if test.weight is None else test.weight.astype(np.float64)[labels])
    value = weight * losses.value
    bound = weight * losses.bound + UNIT * np.abs(value) * (test.weight is not None)
    if test.reduction == "none":
        return Bounded(value, bound)
    if test.reduction == "mean" and weighted:
        return _weighted_mean(value, bound, weight)
    reduced = value.sum() if test.reduction == "sum" else value.mean()
    return Bounded(reduced, np.array(_sum_bound(value, bound, test.reduction)))


def _sum_bound(value: NDArray, bound: NDArray, reduction: str = "sum") -> float:
    return reduced_bound(value, Bounds(bound, bound, None), reduction=reduction, precision="float32")


def _weighted_mean(value: NDArray, bound: NDArray, weight: NDArray) -> Bounded:
    """Return sum w l / sum w: both sums and their quotient are rounded."""
    whole, off = weight.sum(), _sum_bound(weight, np.zeros_like(weight))
    mean = value.sum() / whole
    quotient = (_sum_bound(value, bound) + np.abs(mean) * off) / (whole - off)
    return Bounded(mean, quotient * (1 + UNIT) + UNIT * np.abs(mean) + SMALLEST)


def _worst(got: NDArray, reference: Bounded) -> float:
    """Return the largest error of ONNX over its bound."""
    assert got.shape == np.shape(reference.value)
    return float(bound_ratio(got, reference.value, reference.bound, precision="float32").max())


@pytest.mark.parametrize(("prefix", "losses"), [("test_sce", _log_softmax_losses), ("test_nllloss", _picked_losses)])
def test_losses_agree(prefix: str, losses: Any):
    tests = node_tests(prefix)
    assert len(tests) == COUNTS[prefix]
    worst = {test.name: _worst(test.expected, _reduced(test, losses(test.x, _kept(test)[1]))) for test in tests}
    assert {name: ratio for name, ratio in worst.items() if not ratio <= 1} == {}


def test_log_probabilities_agree_with_target_gradients():
    """The gradient of softmax cross-entropy with respect to soft targets is -log p, an output of half of these tests."""
    tests = {test.name: (test.log_prob, test) for test in node_tests("test_sce") if test.log_prob is not None}
    assert len(tests) == 34
    worst = {name: _worst(-log_prob, _negative_log_probabilities(test)) for name, (log_prob, test) in tests.items()}
    assert {name: ratio for name, ratio in worst.items() if not ratio <= 1} == {}


def _negative_log_probabilities(test: NodeTest) -> Bounded:
    each = [_log_softmax_losses(test.x, np.full(test.labels.shape, label)) for label in range(test.x.shape[-1])]
    soft = evaluate("softmax_cross_entropy_with_logits", test.x, one_hot_targets(_kept(test)[1], test.x.shape[-1]))
    return Bounded(np.asarray(soft.target_gradient), np.stack([losses.bound for losses in each], -1))


@pytest.mark.parametrize("off", [1 + 2e-6, 1 - 2e-6])
def test_a_wrong_reference_disagrees(off: float):
    test = next(test for test in node_tests("test_sce") if test.name == "test_sce_none")
    losses = _log_softmax_losses(test.x, test.labels)
    assert _worst(test.expected, Bounded(off * losses.value, losses.bound)) > 1


def test_another_class_axis_disagrees():
    """In the shapes of these tests a class axis left in place would be noticed."""
    test = next(test for test in node_tests("test_nllloss") if test.name == "test_nllloss_NCd1d2")
    swapped = np.flip(test.x, -1)
    assert _worst(test.expected, _picked_losses(swapped, test.labels)) > 1
