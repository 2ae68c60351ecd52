"""What choice points mean where they are read outside of the reference: in trials, reductions and empty batches."""

import numpy as np
import pytest

from adapters.binding import Binding, implements
from adapters.framework import Call, Loss, Outcome
from conformance.cases import Batch, draw_cases, fill
from conformance.profiles import PROFILES
from conformance.properties.interface import reductions
from conformance.properties.special_values import empty_batch
from conformance.tables import empty, table
from conformance.trial import Trial
from reference.losses import LOSSES
from reference.precision import PRECISIONS
from reference.semantics import Semantics
from tests.conformance.tiny import Tiny

SIGMOID = "sigmoid_cross_entropy_with_logits"
BINARY = "binary_cross_entropy"
PASSED_THROUGH = Semantics(computation_dtype="float32_result")


class _Plain(Tiny):
    """NumPy, whose losses return value and gradient; an upstream gradient is a number, of a reduced loss."""

    def run(self, loss: Loss, call: Call, *, key: object, mode: str, device: str) -> Outcome:
        value, gradient = loss(call.prediction, call.target)
        upstream = 1.0 if call.cotangent is None else float(call.cotangent)
        return Outcome(value, upstream * gradient, None, str(value.dtype))


@implements(SIGMOID, api="float64 through float32", options=("reduction",))
def through_float32(x, t, *, reduction):
    value = (np.maximum(x, 0) - x * t + np.log1p(np.exp(-np.abs(x)))).astype(np.float32)
    gradient = 1 / (1 + np.exp(-x)) - t
    if reduction == "none":
        return value.astype(x.dtype), gradient
    share = np.float32(1 if reduction == "sum" else 1 / value.size)
    return (value.sum() * share).astype(x.dtype), gradient * share


@implements(BINARY, api="nothing is an array", options=("reduction",))
def nothing_is_an_array(p, t, *, reduction):
    return (np.zeros(p.shape, p.dtype) if reduction == "none" else np.zeros(0, p.dtype)), p


def trial(binding: Binding, dtype: str, semantics: Semantics) -> Trial:
    return Trial(binding, _Plain(), "eager", dtype, "cpu", semantics=semantics, grade=binding.grade)


def logits(rows: list[list[float]]) -> Batch:
    return table(SIGMOID, "float64", "semantics", rows, np.zeros((len(rows), len(rows[0]))), "given")


def test_loss_that_passes_through_float32_is_bounded_by_its_roundoff_and_its_range() -> None:
    batch = logits([[1.0, 30.0, 1e39]])
    plain = trial(through_float32, "float64", Semantics()).expect(batch)
    passed = trial(through_float32, "float64", PASSED_THROUGH).expect(batch)
    u = PRECISIONS["float32"].u
    growth = (passed.bounds.value - plain.bounds.value)[0, :2] / plain.truth.value[0, :2]
    assert ((growth > 0.99 * u) & (growth < 1.01 * u)).all()
    assert plain.truth.value[0, 2] == 1e39 and passed.truth.value[0, 2] == np.inf and passed.bounds.value[0, 2] == 0
    np.testing.assert_array_equal(passed.truth.gradient, plain.truth.gradient)


@pytest.mark.parametrize(("semantics", "holds"), [(PASSED_THROUGH, True), (Semantics(), False)])
def test_reductions_of_losses_that_pass_through_float32_are_those_of_float32(semantics: Semantics, holds: bool) -> None:
    batch = logits(np.random.default_rng(1).normal(size=(7, 3)).tolist())
    judgements = reductions(trial(through_float32, "float64", semantics), batch)
    assert all(not judgement.violating.any() for judgement in judgements) == holds


def test_mean_of_a_row_whose_sum_overflows_may_be_infinite() -> None:
    largest = PRECISIONS["float32"].largest
    batch = table(SIGMOID, "float32", "huge", [[0.4 * largest] * 3, [0.2 * largest] * 3], np.zeros((2, 3)), "huge")
    expected = trial(through_float32, "float32", Semantics(loss_shape="row_mean")).expect(batch)
    assert np.isfinite(expected.truth.value).all()
    assert (expected.truth.value + expected.bounds.value >= PRECISIONS["float32"].overflow).tolist() == [True, False]


@pytest.mark.parametrize(("alternative", "holds"), [("empty", True), ("zero", False), ("nan", False)])
def test_sum_and_mean_of_nothing_may_be_arrays_without_entries(alternative: str, holds: bool) -> None:
    (batch,) = empty(LOSSES[BINARY], "float32")
    judgements = empty_batch(trial(nothing_is_an_array, "float32", Semantics(mean_of_nothing=alternative)), batch)
    assert all(not judgement.violating.any() for judgement in judgements) == holds


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_target_is_subnormal_in_float32(dtype: str) -> None:
    for case in draw_cases("softmax_cross_entropy_with_logits", PROFILES["quick"]):
        targets = np.abs(fill(case, dtype).target.astype(np.float64))
        assert not ((targets > 0) & (targets < PRECISIONS["float32"].smallest)).any()
