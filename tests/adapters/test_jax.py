"""The JAX adapter: what it runs is what users write, and its outcomes say what happened."""

import inspect
import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adapters import jax as adapter
from adapters.binding import Binding
from adapters.framework import Call
from reference.bounds import error_bounds
from reference.evaluate import evaluate
from reference.losses import FOUNDING_TABLE, LOSSES

BINDINGS = [value for value in vars(adapter).values() if isinstance(value, Binding) and value.loss in FOUNDING_TABLE]
"""Those of the six losses, for which there are worked examples."""
NAMES = [f"{binding.loss}-{binding.api}" for binding in BINDINGS]

ROWS = [[0.2, 0.8], [0.7, 0.3], [0.5, 0.5]]
WORKED = {
    "binary_cross_entropy": (ROWS, [[0, 1], [1, 0], [1, 0.25]]),
    "categorical_cross_entropy": (ROWS, [[0, 1], [1, 0], [0.75, 0.25]]),
    "sparse_categorical_cross_entropy": (ROWS, [1, 0, 0]),
    "sigmoid_cross_entropy_with_logits": (
        [[0.2, 0.2, 0.2, 0.2, 0.2], [0.3, 0.3, 0.2, 0.1, 0.1]],
        [[0, 0, 0, 1, 0], [1, 0, 0, 0, 0]],
    ),
    "softmax_cross_entropy_with_logits": (ROWS, [[0, 1], [1, 0], [1, 0]]),
    "sparse_softmax_cross_entropy_with_logits": (ROWS, [1, 0, 0]),
}


def worked(loss, dtype):
    prediction, target = WORKED[loss]
    return np.array(prediction, dtype), np.array(target, np.int64 if LOSSES[loss].target == "index" else dtype)


def run(loss, call, key):
    return adapter.framework.run(loss, call, key=key, mode="jit", device="cpu")


def log_softmax_loss(logits, targets):
    return -jnp.sum(targets * jax.nn.log_softmax(logits), axis=-1)


@jax.custom_jvp
def fails_when_it_runs(logits):
    return jax.pure_callback(lambda x: [][0], jax.ShapeDtypeStruct(logits.shape, logits.dtype), logits)


fails_when_it_runs.defjvp(lambda primals, tangents: (fails_when_it_runs(*primals), tangents[0]))


def unreduced(binding) -> dict[str, str]:
    """Return what asks a binding for the losses themselves."""
    return {"reduction": "none"} if "reduction" in binding.options else {}


@pytest.mark.parametrize("dtype", adapter.framework.dtypes)
@pytest.mark.parametrize("binding", BINDINGS, ids=NAMES)
def test_worked_examples_are_within_the_bounds(binding, dtype):
    prediction, target = worked(binding.loss, dtype)
    outcome = run(partial(binding.function, **unreduced(binding)), Call(prediction, target), (binding.loss, binding.api))
    assert outcome.error == ""
    assert outcome.dtype == outcome.gradient.dtype == dtype
    assert not outcome.modified

    truth = evaluate(binding.loss, prediction, target, precision=dtype)
    bounds = error_bounds(
        binding.loss, prediction, target, truth, grade=binding.grade, semantics=binding.semantics, precision=dtype
    )
    assert np.all(np.abs(outcome.value - truth.value) <= bounds.value)
    assert np.all(np.abs(outcome.gradient - truth.gradient) <= bounds.gradient)
    if LOSSES[binding.loss].target == "index":
        assert outcome.target_gradient is None
    else:
        assert np.all(np.abs(outcome.target_gradient - truth.target_gradient) <= bounds.target_gradient)


@pytest.mark.parametrize("binding", BINDINGS, ids=NAMES)
def test_the_printed_source_runs_with_its_imports_alone(binding):
    names: dict = {}
    exec("\n".join([*binding.imports, binding.source]), names)
    loss = partial(names[binding.function.__name__], **unreduced(binding))
    value = jax.eval_shape(loss, *worked(binding.loss, "float32"))
    assert value.dtype == "float32"


def test_value_and_gradient_needs_only_numpy_and_jax():
    names = {"np": np, "jax": jax}
    exec(inspect.getsource(adapter.value_and_gradient), names)
    prediction, target = worked("softmax_cross_entropy_with_logits", "float64")
    value, gradient, target_gradient = names["value_and_gradient"](log_softmax_loss, prediction, target)
    outcome = run(log_softmax_loss, Call(prediction, target), "printed")
    np.testing.assert_array_equal(value, outcome.value)
    np.testing.assert_array_equal(gradient, outcome.gradient)
    np.testing.assert_array_equal(target_gradient, outcome.target_gradient)
    assert value.dtype == gradient.dtype == target_gradient.dtype == "float64"


def test_each_api_is_declared_once_for_a_loss():
    assert len(set(NAMES)) == len(NAMES)
    assert {binding.loss for binding in BINDINGS} >= set(FOUNDING_TABLE)


def test_textbook_compositions_exist_for_every_logit_loss():
    textbook = {binding.loss for binding in BINDINGS if binding.textbook}
    assert textbook == {loss for loss in FOUNDING_TABLE if LOSSES[loss].prediction == "logit"}


def test_a_program_is_compiled_once_for_a_shape():
    traced = []

    def loss(logits, targets):
        traced.append(logits.shape)
        return log_softmax_loss(logits, targets)

    prediction, target = worked("softmax_cross_entropy_with_logits", "float32")
    first = run(loss, Call(prediction, target), "once")
    assert first.compile_seconds > 0
    traced.clear()
    again = run(loss, Call(prediction + 1, target), "once")
    with_cotangent = run(loss, Call(prediction, target, cotangent=np.full(3, 2, "float32")), "once")
    assert again.compile_seconds == with_cotangent.compile_seconds == 0
    assert traced == []
    assert again.seconds > 0

    other_shape = run(loss, Call(prediction[:2], target[:2]), "once")
    other_dtype = run(loss, Call(prediction.astype("float64"), target.astype("float64")), "once")
    assert other_shape.compile_seconds > 0
    assert other_dtype.compile_seconds > 0


@jax.custom_jvp
def has_no_derivative(logits):
    return logits


@has_no_derivative.defjvp
def _refuse(primals, tangents):
    raise TypeError("no derivative")


@pytest.mark.parametrize("mode", adapter.framework.modes)
def test_value_alone_takes_no_derivative(mode):
    name = "softmax_cross_entropy_with_logits"
    prediction, target = worked(name, "float32")

    def ask(**how):
        call = Call(prediction, target, **how)
        return adapter.framework.run(
            lambda x, t: log_softmax_loss(has_no_derivative(x), t), call, key="value alone", mode=mode, device="cpu"
        )

    assert ask().error == "TypeError: no derivative"
    alone = ask(value_only=True)
    truth = evaluate(name, prediction, target, precision="float32")
    bounds = error_bounds(name, prediction, target, truth, grade=adapter.LOG_SOFTMAX, precision="float32")
    assert np.all(np.abs(alone.value - truth.value) <= bounds.value)
    assert (alone.error, alone.gradient, alone.target_gradient) == ("", None, None)


def test_only_the_latest_programs_are_kept(monkeypatch):
    monkeypatch.setattr(adapter, "KEPT", 2)
    framework = adapter.Jax()
    prediction, target = worked("softmax_cross_entropy_with_logits", "float32")

    def compiles(rows):
        call = Call(prediction[:rows], target[:rows])
        return framework.run(log_softmax_loss, call, key="kept", mode="jit", device="cpu").compile_seconds > 0

    assert [compiles(rows) for rows in (1, 2, 1, 3, 2, 1)] == [True, True, False, True, False, True]
    assert len(framework._programs) == len(framework._compiled) == len(framework._ones) == 2


def test_tracing_counts_as_compiling_and_not_as_running():
    def slow_to_trace(logits, targets):
        time.sleep(0.2)
        return log_softmax_loss(logits, targets)

    outcome = run(slow_to_trace, Call(*worked("softmax_cross_entropy_with_logits", "float32")), "slow")
    assert outcome.compile_seconds >= 0.2
    assert outcome.seconds < 0.2


def test_the_cotangent_is_the_upstream_gradient():
    prediction, target = worked("softmax_cross_entropy_with_logits", "float32")
    ones = run(log_softmax_loss, Call(prediction, target), "upstream")
    factors = np.array([2, -4, 0.5], "float32")  # powers of two scale without rounding
    scaled = run(log_softmax_loss, Call(prediction, target, cotangent=factors), "upstream")
    np.testing.assert_array_equal(scaled.value, ones.value)
    np.testing.assert_array_equal(scaled.gradient, ones.gradient * factors[:, None])
    np.testing.assert_array_equal(scaled.target_gradient, ones.target_gradient * factors[:, None])


def test_a_reduction_has_its_own_program_and_is_not_passed_to_the_loss():
    call = worked("softmax_cross_entropy_with_logits", "float32")
    rows = run(log_softmax_loss, Call(*call), "reduced")
    prediction, target = call
    total = run(lambda x, t: log_softmax_loss(x, t).sum(), Call(prediction, target, "sum"), "reduced")
    assert rows.value.shape == (3,)
    assert total.value.shape == ()


@pytest.mark.parametrize(
    ("loss", "error"),
    [
        (lambda x, t: x + jnp.ones(7), "ValueError: Incompatible shapes"),
        (lambda x, t: x[0].item(), "ConcretizationTypeError: "),
        (lambda x, t: [][0], "IndexError: list index out of range"),
        (lambda x, t: fails_when_it_runs(x), "JaxRuntimeError: "),
    ],
)
def test_what_jax_raises_becomes_the_error_of_the_outcome(loss, error):
    outcome = run(loss, Call(*worked("softmax_cross_entropy_with_logits", "float32")), error)
    assert outcome.error.startswith(error)
    assert outcome.value is outcome.gradient is outcome.target_gradient is None
    assert outcome.dtype == ""


def test_labels_reach_the_loss_as_integers_and_have_no_gradient():
    def loss(logits, labels):
        assert labels.dtype == "int64"
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=-1)[:, 0]

    outcome = run(loss, Call(*worked("sparse_softmax_cross_entropy_with_logits", "float32")), "labels")
    assert outcome.error == ""
    assert outcome.target_gradient is None


def test_a_call_that_writes_into_its_arrays_is_reported(monkeypatch):
    def spoil(loss, prediction, target, cotangent, arrays, parameters, jit):
        prediction[0, 0] = -prediction[0, 0]
        return prediction, prediction, None

    monkeypatch.setattr(adapter, "value_and_gradient", spoil)
    prediction, target = worked("softmax_cross_entropy_with_logits", "float32")
    assert run(log_softmax_loss, Call(prediction, target), "spoiled").modified
    assert prediction[0, 0] > 0


@pytest.mark.parametrize("order", ["F", "strided"])
def test_memory_layout_changes_nothing(order):
    prediction, target = worked("softmax_cross_entropy_with_logits", "float32")
    laid_out = np.asfortranarray(prediction) if order == "F" else np.repeat(prediction, 2, axis=-1)[:, ::2]
    plain = run(log_softmax_loss, Call(prediction, target), "layout")
    other = run(log_softmax_loss, Call(laid_out, target), "layout")
    np.testing.assert_array_equal(other.value, plain.value)
    np.testing.assert_array_equal(other.gradient, plain.gradient)


def test_the_cpu_is_always_there():
    assert "cpu" in adapter.framework.devices()
