"""The TensorFlow adapter: what it runs is what users write, and its outcomes say what happened."""

import inspect
import subprocess
import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from adapters import tensorflow as adapter
from adapters.binding import Binding
from adapters.framework import Call
from reference.bounds import Bounds, error_bounds, reduced_bound, scaled_gradient_bound
from reference.evaluate import evaluate
from reference.losses import FOUNDING_TABLE, LOSSES

BINDINGS = [value for value in vars(adapter).values() if isinstance(value, Binding) and value.loss in FOUNDING_TABLE]
NAMES = [f"{binding.loss}-{binding.api}" for binding in BINDINGS]
REDUCING = [binding for binding in BINDINGS if "reduction" in binding.options]

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


def run(loss, call):
    return adapter.framework.run(loss, call, key="", mode="eager", device="cpu")


def reduced(binding, prediction, target, reduction):
    options = {"reduction": reduction} if "reduction" in binding.options else {}
    return binding.function(prediction, target, **options)


def log_softmax_loss(logits, targets):
    return -tf.reduce_sum(targets * tf.nn.log_softmax(logits), axis=-1)


def semantics_of(binding):
    """What is documented, and what the source of Keras does besides: without it no gradient is right."""
    if LOSSES[binding.loss].prediction == "logit" or not binding.api.startswith("tf.keras"):
        return binding.semantics
    sums = {"categorical_cross_entropy": "renormalised", "sparse_categorical_cross_entropy": "renormalised_after_guard"}
    guard = "clip_then_add_1e-7" if binding.api == "tf.keras.backend.binary_crossentropy" else "clip_1e-7"
    return replace(binding.semantics, log_of_zero=guard, probability_sum=sums.get(binding.loss, "as_given"))


def judged_in(binding, dtype):
    """The dtype whose accuracy a binding keeps: tf.compat.v1.losses round every loss to float32."""
    rounds = binding.api.startswith("tf.compat.v1.losses") or binding.semantics.computation_dtype == "float32"
    return "float32" if rounds else dtype


def expected_of(binding, prediction, target, dtype):
    """Value, its bound, gradient and its bound, with the mean over the last axis where that is documented."""
    call = {"semantics": semantics_of(binding), "precision": dtype}
    truth = evaluate(binding.loss, prediction, target, **call)
    bounds = error_bounds(binding.loss, prediction, target, truth, grade=binding.grade, **call)
    if binding.semantics.loss_shape != "row_mean":
        return truth.value, bounds.value, truth.gradient, bounds.gradient
    share = 1.0 / prediction.shape[-1]
    rows = [
        reduced_bound(losses, Bounds(bound, bound, None), reduction="mean", precision=dtype)
        for losses, bound in zip(truth.value, bounds.value, strict=True)
    ]
    slopes = scaled_gradient_bound(truth.gradient, bounds.gradient, share, precision=dtype)
    return truth.value.mean(-1), np.array(rows), truth.gradient * share, slopes


@pytest.mark.parametrize("dtype", adapter.framework.dtypes)
@pytest.mark.parametrize("binding", [b for b in BINDINGS if "of two classes" not in b.api], ids=lambda b: f"{b.loss}-{b.api}")
def test_worked_examples_are_within_the_bounds(binding, dtype):
    prediction, target = worked(binding.loss, dtype)
    outcome = run(lambda x, t: reduced(binding, x, t, "none"), Call(prediction, target))
    assert outcome.error == ""
    assert not outcome.modified
    assert outcome.gradient.dtype == dtype

    precision = judged_in(binding, dtype)
    prediction, target = (a.astype(precision) if a.dtype.kind == "f" else a for a in (prediction, target))
    value, value_bound, gradient, gradient_bound = expected_of(binding, prediction, target, precision)
    assert outcome.value.shape == value.shape
    assert np.all(np.abs(outcome.value - value) <= value_bound)
    assert np.all(np.abs(outcome.gradient - gradient) <= gradient_bound)


@pytest.mark.parametrize("binding", BINDINGS, ids=NAMES)
def test_the_printed_source_runs_with_its_imports_alone(binding):
    names: dict = {}
    exec("\n".join([*binding.imports, binding.source]), names)
    prediction, target = worked(binding.loss, "float32")
    printed = names[binding.function.__name__]
    value = printed(tf.constant(prediction), tf.constant(target), **dict.fromkeys({"reduction"} & set(binding.options), "none"))
    outcome = run(lambda x, t: reduced(binding, x, t, "none"), Call(prediction, target))
    np.testing.assert_array_equal(value.numpy(), outcome.value)


@pytest.mark.parametrize("binding", REDUCING, ids=[f"{binding.loss}-{binding.api}" for binding in REDUCING])
def test_reductions_are_the_sum_and_the_mean_of_the_losses(binding):
    prediction, target = (np.repeat(array[:1], 4, axis=0) for array in worked(binding.loss, "float32"))
    if not LOSSES[binding.loss].has_classes:  # every outcome alike too: equal losses add up and divide without rounding
        prediction, target = (np.repeat(array[:, :1], 2, axis=1) for array in (prediction, target))
    none, total, mean = (
        run(lambda x, t, how=how: reduced(binding, x, t, how), Call(prediction, target, how)) for how in ("none", "sum", "mean")
    )
    assert none.value.ndim >= 1
    assert np.ptp(none.value) == 0 and none.value.flat[0] != 0
    assert (total.value.shape, mean.value.shape) == ((), ())
    assert total.value == none.value.size * none.value.flat[0]
    assert mean.value == none.value.flat[0]
    np.testing.assert_array_equal(total.gradient, none.gradient)
    np.testing.assert_array_equal(mean.gradient * none.value.size, none.gradient)


def test_value_and_gradient_needs_only_numpy_and_tensorflow():
    names = {"np": np, "tf": tf}
    exec(inspect.getsource(adapter.value_and_gradient), names)
    prediction, target = worked("softmax_cross_entropy_with_logits", "float64")
    value, gradient, target_gradient = names["value_and_gradient"](log_softmax_loss, prediction, target, None)
    outcome = run(log_softmax_loss, Call(prediction, target))
    np.testing.assert_array_equal(value, outcome.value)
    np.testing.assert_array_equal(gradient, outcome.gradient)
    np.testing.assert_array_equal(target_gradient, outcome.target_gradient)
    assert value.dtype == gradient.dtype == target_gradient.dtype == outcome.dtype == "float64"


@pytest.mark.parametrize("mode", adapter.framework.modes)
def test_a_loss_runs_eagerly_or_in_a_graph_as_its_mode_says(mode):
    in_graph = []

    def told(logits, targets):
        in_graph.append(not tf.executing_eagerly())
        return log_softmax_loss(logits, targets)

    prediction, target = worked("softmax_cross_entropy_with_logits", "float32")
    call = Call(prediction, target, cotangent=np.array([2, -4, 0.5], "float32"))
    outcome, plain = adapter.framework.run(told, call, key="", mode=mode, device="cpu"), run(log_softmax_loss, call)
    arguments = eval(f"dict({adapter.framework.mode_arguments.get(mode, '')})", {"tf": tf})
    printed = adapter.value_and_gradient(
        told, call.prediction, call.target, call.cotangent, **arguments
    )  # as a reproducer does
    assert in_graph == [mode == "tf.function"] * 2
    for got in ((outcome.value, outcome.gradient, outcome.target_gradient), printed):
        for array, wanted in zip(got, (plain.value, plain.gradient, plain.target_gradient), strict=True):
            np.testing.assert_array_equal(array, wanted)


def test_what_tensorflow_raises_in_a_graph_becomes_the_error_of_the_outcome():
    call = Call(*worked("softmax_cross_entropy_with_logits", "float32"))
    outcome = adapter.framework.run(lambda x, t: x + tf.ones(7), call, key="", mode="tf.function", device="cpu")
    assert outcome.error.startswith("ValueError:") and outcome.value is None


def test_each_api_is_declared_once_for_a_loss():
    assert len(set(NAMES)) == len(NAMES)
    assert {binding.loss for binding in BINDINGS} >= set(FOUNDING_TABLE)


def test_textbook_compositions_exist_for_every_logit_loss():
    textbook = {binding.loss for binding in BINDINGS if binding.textbook}
    assert textbook == {loss for loss in FOUNDING_TABLE if LOSSES[loss].prediction == "logit"}


def test_the_cotangent_is_the_upstream_gradient():
    prediction, target = worked("softmax_cross_entropy_with_logits", "float32")
    ones = run(log_softmax_loss, Call(prediction, target))
    factors = np.array([2, -4, 0.5], "float32")  # powers of two scale without rounding
    scaled = run(log_softmax_loss, Call(prediction, target, cotangent=factors))
    np.testing.assert_array_equal(scaled.value, ones.value)
    np.testing.assert_array_equal(scaled.gradient, ones.gradient * factors[:, None])
    np.testing.assert_array_equal(scaled.target_gradient, ones.target_gradient * factors[:, None])


def test_a_cotangent_reaches_a_loss_that_changes_the_dtype():
    prediction, target = worked("softmax_cross_entropy_with_logits", "float64")
    narrow = run(
        lambda x, t: 2 * tf.cast(log_softmax_loss(x, t), tf.float32), Call(prediction, target, cotangent=np.full(3, 2.0))
    )
    wide = run(log_softmax_loss, Call(prediction, target))
    assert narrow.error == ""
    assert narrow.dtype == "float32"
    np.testing.assert_array_equal(narrow.gradient, 4 * wide.gradient)


def test_gradients_that_the_tape_does_not_have_are_none():
    call = Call(*worked("softmax_cross_entropy_with_logits", "float32"))
    of_targets = run(lambda x, t: tf.reduce_sum(t, axis=-1), call)
    assert of_targets.gradient is None
    np.testing.assert_array_equal(of_targets.target_gradient, np.ones_like(call.target))
    of_logits = run(lambda x, t: tf.reduce_sum(x, axis=-1), call)
    np.testing.assert_array_equal(of_logits.gradient, np.ones_like(call.prediction))
    assert of_logits.target_gradient is None


def test_a_sparse_gradient_comes_back_whole():
    prediction, labels = worked("sparse_softmax_cross_entropy_with_logits", "float32")
    outcome = run(lambda x, t: tf.reduce_sum(tf.gather(x, t), axis=-1), Call(prediction, labels))
    np.testing.assert_array_equal(outcome.gradient, [[2, 2], [1, 1], [0, 0]])  # rows 1, 0 and 0 were gathered


def test_labels_reach_the_loss_as_integers_and_have_no_gradient():
    def loss(logits, labels):
        assert labels.dtype == tf.int64
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)

    outcome = run(loss, Call(*worked("sparse_softmax_cross_entropy_with_logits", "float32")))
    assert outcome.error == ""
    assert outcome.target_gradient is None


@pytest.mark.parametrize(
    ("loss", "error"),
    [
        (lambda x, t: x + tf.ones(7), "InvalidArgumentError: Incompatible shapes: [3,2] vs. [7]"),
        (lambda x, t: tf.gather(x, 5, axis=1), "InvalidArgumentError: indices = 5 is not in [0, 2)"),
        (lambda x, t: tf.cast(x, tf.float64) + x, "InvalidArgumentError: cannot compute AddV2"),
        (lambda x, t: [][0], "IndexError: list index out of range"),
    ],
)
def test_what_tensorflow_raises_becomes_the_error_of_the_outcome(loss, error):
    outcome = run(loss, Call(*worked("softmax_cross_entropy_with_logits", "float32")))
    assert outcome.error.startswith(error)
    assert outcome.value is outcome.gradient is outcome.target_gradient is None
    assert outcome.dtype == ""


def test_a_call_that_writes_into_its_arrays_is_reported(monkeypatch):
    def spoil(loss, prediction, target, cotangent, arrays, parameters):
        prediction[0, 0] = -prediction[0, 0]
        return prediction, prediction, None

    monkeypatch.setattr(adapter, "value_and_gradient", spoil)
    prediction, target = worked("softmax_cross_entropy_with_logits", "float32")
    assert run(log_softmax_loss, Call(prediction, target)).modified
    assert prediction[0, 0] > 0


@pytest.mark.parametrize("order", ["F", "strided"])
def test_memory_layout_changes_nothing(order):
    prediction, target = worked("softmax_cross_entropy_with_logits", "float32")
    laid_out = np.asfortranarray(prediction) if order == "F" else np.repeat(prediction, 2, axis=-1)[:, ::2]
    plain = run(log_softmax_loss, Call(prediction, target))
    other = run(log_softmax_loss, Call(laid_out, target))
    np.testing.assert_array_equal(other.value, plain.value)
    np.testing.assert_array_equal(other.gradient, plain.gradient)
    assert not other.modified


def test_seconds_are_those_of_the_call():
    def slow(logits, targets):
        time.sleep(0.2)
        return log_softmax_loss(logits, targets)

    outcome = run(slow, Call(*worked("softmax_cross_entropy_with_logits", "float32")))
    assert outcome.seconds >= 0.2
    assert outcome.compile_seconds == 0


@pytest.mark.parametrize(("device", "name"), [("cpu", "/CPU:0"), ("cuda", "/GPU:0")])
def test_the_loss_runs_on_the_device_asked_for(device, name, monkeypatch):
    asked = []

    def record(name):
        asked.append(name)
        return nullcontext()

    monkeypatch.setattr(tf, "device", record)
    call = Call(*worked("softmax_cross_entropy_with_logits", "float32"))
    assert adapter.framework.run(log_softmax_loss, call, key="", mode="eager", device=device).error == ""
    assert asked[0] == name


def test_the_devices_are_those_of_this_machine():
    found = adapter.framework.devices()
    assert found["cpu"]
    assert ("cuda" in found) == bool(tf.config.list_physical_devices("GPU"))


def test_the_packages_are_those_installed():
    assert "keras" in adapter.framework.packages
    assert version(adapter.framework.packages[0]) == tf.__version__


def test_importing_the_adapter_says_nothing():
    root = Path(adapter.__file__).parents[1]
    deprecated = "tf.compat.v1.nn.softmax_cross_entropy_with_logits(labels=[[1.0]], logits=[[0.0]])"
    code = f"from adapters.tensorflow import tf; {deprecated}"
    silent = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert (silent.stdout, silent.stderr) == ("", "")
