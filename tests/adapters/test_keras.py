"""The Keras adapter: what it runs is what users write, on every backend, each in a process of its own."""

import json
import os
import subprocess
import sys
from functools import cache
from importlib.metadata import version
from types import SimpleNamespace

import numpy as np
import pytest

from adapters.loading import KERAS, AdapterError, load
from crossproof import ROOT
from reference.bounds import Bounds, error_bounds, reduced_bound, scaled_gradient_bound
from reference.evaluate import evaluate
from reference.losses import LOSSES, Grade
from reference.semantics import Semantics
from tests.adapters.keras_answers import case_of
from tests.command import run_command

LOSSES_OF_KERAS = {
    "kl_divergence",
    "binary_focal_cross_entropy",
    "binary_focal_cross_entropy_with_logits",
    "categorical_focal_cross_entropy",
    "categorical_focal_cross_entropy_with_logits",
    "generalized_cross_entropy",
    "binary_cross_entropy",
    "categorical_cross_entropy",
    "sparse_categorical_cross_entropy",
    "sigmoid_cross_entropy_with_logits",
    "softmax_cross_entropy_with_logits",
    "sparse_softmax_cross_entropy_with_logits",
}


@cache
def answers(name):
    """What `keras_answers` prints in a process that has not chosen a backend yet."""
    environment = {key: value for key, value in os.environ.items() if key != "KERAS_BACKEND"}
    command = [sys.executable, "-m", "tests.adapters.keras_answers", name]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def expected_of(loss, api, dtype, forms):
    """Value, its bound, gradient and its bound on the case of a loss, as Keras computes it."""
    spec = LOSSES[loss]
    narrow = dtype == "float32" or api.startswith("keras.losses.")  # ops.mean and ops.clip are float32 on two backends
    row_mean = not spec.has_classes and api.startswith("keras.losses.")
    precision = "float32" if narrow else dtype
    prediction, target = (array.astype(precision) if array.dtype.kind == "f" else array for array in case_of(loss, dtype))
    semantics = Semantics(
        probability_sum="renormalised" if spec.prediction == "probability" and "categorical" in loss else "as_given",
        divergence_guard="clip_both_1e-7" if loss == "kl_divergence" else "none",
    )
    grade = Grade(*forms)
    truth = evaluate(loss, prediction, target, semantics=semantics, precision=precision)
    bounds = error_bounds(loss, prediction, target, truth, grade=grade, semantics=semantics, precision=precision)
    if not row_mean:
        return truth.value, bounds.value, truth.gradient, bounds.gradient
    rows = [
        reduced_bound(losses, Bounds(bound, bound, None), reduction="mean", precision=precision)
        for losses, bound in zip(truth.value, bounds.value, strict=True)
    ]
    share = 1 / prediction.shape[-1]
    slopes = scaled_gradient_bound(truth.gradient, bounds.gradient, share, precision=precision)
    return truth.value.mean(-1), np.array(rows), truth.gradient * share, slopes


@pytest.mark.parametrize("name", KERAS)
def test_ordinary_rows_are_within_the_bounds(name):
    for key, got in answers(name)["answers"].items():
        loss, api, dtype = key.split("/")
        assert "error" not in got, key
        if got["mode"]:
            continue
        value, value_bound, gradient, gradient_bound = expected_of(loss, api, dtype, got["forms"])
        assert np.shape(got["value"]) == value.shape, key
        assert np.all(np.abs(got["value"] - value) <= value_bound), key
        assert np.all(np.abs(got["gradient"] - gradient) <= gradient_bound), key


@pytest.mark.parametrize("name", KERAS)
def test_the_printed_source_does_the_same_with_its_imports_alone(name):
    assert [key for key, got in answers(name)["answers"].items() if not got["same"]] == []


@pytest.mark.parametrize("name", KERAS)
def test_the_framework_is_keras_on_one_backend(name):
    told = answers(name)
    assert (told["name"], told["environment"]["KERAS_BACKEND"]) == (name, KERAS[name])
    assert told["packages"][0] == "keras" and all(version(package) for package in told["packages"])
    assert "cpu" in told["devices"]


@pytest.mark.parametrize("name", KERAS)
def test_every_loss_is_bound_alike_on_every_backend(name):
    keys = list(answers(name)["answers"])
    assert {key.split("/")[0] for key in keys} == LOSSES_OF_KERAS
    assert keys == list(answers("keras-torch")["answers"])


@pytest.mark.parametrize("name", KERAS)
def test_classes_compute_in_float32_unless_told_otherwise(name):
    got = answers(name)["answers"]
    loss = "sparse_softmax_cross_entropy_with_logits/keras.losses.SparseCategoricalCrossentropy"
    assert got[f"{loss}(from_logits=True)/float64"]["dtype"] == "float32"
    function = loss.replace("SparseCategoricalCrossentropy", "sparse_categorical_crossentropy")
    assert got[f"{function}(from_logits=True)/float64"]["dtype"] == "float64"


@pytest.mark.parametrize("name", KERAS)
def test_models_and_metrics_give_the_mean_of_the_losses_of_the_class(name):
    for key, got in answers(name)["answers"].items():
        loss, api, _ = key.split("/")
        if not got["mode"] or "over" in api:
            continue
        class_ = f"keras.losses.{api.removeprefix('keras.metrics.')}" if got["mode"] == "metric" else class_of(api)
        losses, bound, slopes, slack = expected_of(loss, class_, "float32", got["forms"])
        slack = scaled_gradient_bound(slopes, slack, 1 / len(losses), precision="float32")
        bound = reduced_bound(losses, Bounds(bound, slack, None), reduction="mean", precision="float32")
        assert abs(got["value"] - losses.mean()) <= bound, key
        assert (got["gradient"] is None) == ("train_on_batch" not in api), key
        if got["gradient"] is not None:
            assert np.all(np.abs(got["gradient"] - slopes / len(losses)) <= slack), key


def class_of(api):
    """The class in "keras.Model.evaluate(loss=KLDivergence())", as it is named without arguments."""
    return "keras.losses." + api.partition("loss=")[2].removesuffix(")").removesuffix("()")


def test_a_second_backend_in_one_process_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras", SimpleNamespace(backend=SimpleNamespace(backend=lambda: "torch")))
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    with pytest.raises(AdapterError) as caught:
        load("keras-jax")
    assert str(caught.value) == (
        "this process holds Keras on torch, and cannot change to jax: run keras-jax in a process of its own"
    )
    assert os.environ["KERAS_BACKEND"] == "torch"


def test_the_reproducer_of_a_finding_chooses_the_backend(tmp_path):
    question = "BINARY-13/keras.ops.binary_crossentropy/eager/float32"
    path = tmp_path / "torch.jsonl"
    run = run_command("run", "--adapter", "keras-torch", "--profile", "quick", "--question", question, "--results", path)
    assert run.returncode == 0, run.stdout
    finding = json.loads(path.read_text().splitlines()[1])["finding"]
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow"}
    script = [sys.executable, "-c", finding["reproducer"] + "\nprint(keras.backend.backend())"]
    shown = subprocess.run(script, capture_output=True, text=True, env=environment, timeout=120, check=True).stdout
    assert finding["got"].strip("[]") in shown
    assert shown.splitlines()[-1] == "torch"
