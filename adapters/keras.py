"""Keras: how `keras.losses` and `keras.ops` spell each loss, on the backend that KERAS_BACKEND names.

Keras reads its backend once, so a process holds one. The backend's own adapter runs what is bound here.
"""

import os
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

# Read once, when Keras imports its backend: see the adapters of TensorFlow and PyTorch.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import keras

from adapters.binding import implements
from adapters.framework import Call, Framework, Loss, Outcome
from reference.losses import Grade
from reference.semantics import Semantics

_backend = keras.backend.backend()
_runner: Framework = import_module(f"adapters.{'pytorch' if _backend == 'torch' else _backend}").framework

KERAS_DEVICES = {"cpu": "cpu:0", "cuda": "gpu:0"}
"""What Keras calls the devices that `--device` names."""


class Keras:
    """Keras on one backend as an `adapters.framework.Framework`: the backend's own framework runs it."""

    name = f"keras-{_backend}"
    packages = ("keras", *_runner.packages)
    modes = _runner.modes
    dtypes = _runner.dtypes
    environment: Mapping[str, str] = {"KERAS_BACKEND": _backend}

    @property
    def value_and_gradient(self) -> Callable[..., tuple[Any, ...]]:
        """The plain function of the backend."""
        return _runner.value_and_gradient

    def devices(self) -> Mapping[str, str]:
        """Return the devices of the backend."""
        return _runner.devices()

    def run(self, loss: Loss, call: Call, *, key: object, mode: str, device: str) -> Outcome:
        """Run a loss and its gradient as the backend does; see `adapters.framework.Framework.run`."""
        with keras.device(KERAS_DEVICES[device]):
            return _runner.run(loss, call, key=key, mode=mode, device=device)


framework = Keras()

_LOSSES = "https://keras.io/api/losses/probabilistic_losses/#"
_OPS = "https://keras.io/api/ops/nn/#"
REDUCTIONS = {"none": "none", "sum": "sum", "mean": "sum_over_batch_size", "weighted_mean": "mean_with_sample_weight"}
_OVER_ALL = Semantics(mean_divisor="rows")
"""The loss classes: "sum_over_batch_size" sums the losses "and divides by the sample size"."""
_ROW_MEAN_OVER_ALL = Semantics(loss_shape="row_mean", mean_divisor="rows")
_FLOATX = Semantics(computation_dtype="float32", mean_divisor="rows")
"""The loss classes: "dtype: The dtype of the loss's computations. Defaults to None, which means using floatx()"."""
_FLOATX_ROW_MEAN = Semantics(computation_dtype="float32", loss_shape="row_mean", mean_divisor="rows")
_ROW_MEAN = Semantics(loss_shape="row_mean")
"""binary_crossentropy: "axis: The axis along which the mean is computed. Defaults to -1"."""

_BINARY = {
    "tensorflow": Grade("log", "separate"),
    "jax": Grade("log", "separate"),
    "torch": Grade("log1p", "joint"),
}[_backend]
_SIGMOID = {"tensorflow": Grade("fold", "auto"), "jax": Grade("pair", "lse"), "torch": Grade("split", "direct")}[_backend]
_SOFTMAX = {
    "tensorflow": Grade("plain", "quotient"),
    "jax": Grade("plain", "quotient"),
    "torch": Grade("plain", "log_softmax"),
}[_backend]
"""Each backend computes the losses of logits in a form of its own."""
_OF_SIGMOID = _SIGMOID if _backend == "tensorflow" else Grade("pair", "pair")
_OF_SOFTMAX = _SOFTMAX if _backend == "tensorflow" else Grade("log_quotient", "log_quotient")
"""On TensorFlow an activation remembers its logits, and a loss of what it returns takes those."""


@implements(
    "binary_cross_entropy",
    api="keras.losses.BinaryCrossentropy",
    options=("reduction", "sample_weight", "label_smoothing"),
    reductions=tuple(REDUCTIONS),
    semantics=_FLOATX_ROW_MEAN,
    grade=_BINARY,
    documentation=_LOSSES + "binarycrossentropy-class",
)
def binary_class(probabilities, targets, *, reduction, sample_weight=None, label_smoothing=0.0):
    loss = keras.losses.BinaryCrossentropy(label_smoothing=label_smoothing, reduction=REDUCTIONS[reduction])
    return loss(targets, probabilities, sample_weight=sample_weight)


@implements(
    "binary_cross_entropy",
    api="keras.losses.binary_crossentropy",
    semantics=_ROW_MEAN,
    grade=_BINARY,
    documentation=_LOSSES + "binary_crossentropy-function",
)
def binary_function(probabilities, targets):
    return keras.losses.binary_crossentropy(targets, probabilities)


@implements(
    "binary_cross_entropy",
    api="keras.ops.binary_crossentropy",
    grade=_BINARY,
    documentation=_OPS + "binary_crossentropy-function",
)
def binary_op(probabilities, targets):
    return keras.ops.binary_crossentropy(targets, probabilities)


@implements(
    "categorical_cross_entropy",
    api="keras.losses.CategoricalCrossentropy",
    options=("reduction", "sample_weight", "label_smoothing"),
    reductions=tuple(REDUCTIONS),
    semantics=_FLOATX,
    documentation=_LOSSES + "categoricalcrossentropy-class",
)
def categorical_class(probabilities, targets, *, reduction, sample_weight=None, label_smoothing=0.0):
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=label_smoothing, reduction=REDUCTIONS[reduction])
    return loss(targets, probabilities, sample_weight=sample_weight)


@implements(
    "categorical_cross_entropy",
    api="keras.losses.categorical_crossentropy",
    documentation=_LOSSES + "categorical_crossentropy-function",
)
def categorical_function(probabilities, targets):
    return keras.losses.categorical_crossentropy(targets, probabilities)


@implements(
    "categorical_cross_entropy",
    api="keras.ops.categorical_crossentropy",
    documentation=_OPS + "categorical_crossentropy-function",
)
def categorical_op(probabilities, targets):
    return keras.ops.categorical_crossentropy(targets, probabilities)


@implements(
    "sparse_categorical_cross_entropy",
    api="keras.losses.SparseCategoricalCrossentropy",
    options=("reduction", "sample_weight", "ignore_index"),
    reductions=tuple(REDUCTIONS),
    semantics=_FLOATX,
    documentation=_LOSSES + "sparsecategoricalcrossentropy-class",
)
def sparse_class(probabilities, labels, *, reduction, sample_weight=None, ignore_index=None):
    loss = keras.losses.SparseCategoricalCrossentropy(ignore_class=ignore_index, reduction=REDUCTIONS[reduction])
    return loss(labels, probabilities, sample_weight=sample_weight)


@implements(
    "sparse_categorical_cross_entropy",
    api="keras.losses.sparse_categorical_crossentropy",
    documentation=_LOSSES + "sparse_categorical_crossentropy-function",
)
def sparse_function(probabilities, labels):
    return keras.losses.sparse_categorical_crossentropy(labels, probabilities)


@implements(
    "sparse_categorical_cross_entropy",
    api="keras.ops.sparse_categorical_crossentropy",
    documentation=_OPS + "sparse_categorical_crossentropy-function",
)
def sparse_op(probabilities, labels):
    return keras.ops.sparse_categorical_crossentropy(labels, probabilities)


@implements(
    "sigmoid_cross_entropy_with_logits",
    api="keras.losses.BinaryCrossentropy(from_logits=True)",
    options=("reduction", "sample_weight", "label_smoothing"),
    reductions=tuple(REDUCTIONS),
    semantics=_FLOATX_ROW_MEAN,
    grade=_SIGMOID,
    documentation=_LOSSES + "binarycrossentropy-class",
)
def binary_class_with_logits(logits, targets, *, reduction, sample_weight=None, label_smoothing=0.0):
    loss = keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=label_smoothing, reduction=REDUCTIONS[reduction])
    return loss(targets, logits, sample_weight=sample_weight)


@implements(
    "sigmoid_cross_entropy_with_logits",
    api="keras.losses.binary_crossentropy(from_logits=True)",
    semantics=_ROW_MEAN,
    grade=_SIGMOID,
    documentation=_LOSSES + "binary_crossentropy-function",
)
def binary_function_with_logits(logits, targets):
    return keras.losses.binary_crossentropy(targets, logits, from_logits=True)


@implements(
    "sigmoid_cross_entropy_with_logits",
    api="keras.ops.binary_crossentropy(from_logits=True)",
    grade=_SIGMOID,
    documentation=_OPS + "binary_crossentropy-function",
)
def binary_op_with_logits(logits, targets):
    return keras.ops.binary_crossentropy(targets, logits, from_logits=True)


@implements(
    "sigmoid_cross_entropy_with_logits",
    api="keras.ops.binary_crossentropy over keras.activations.sigmoid",
    grade=_OF_SIGMOID,
    documentation=_OPS + "binary_crossentropy-function",
    textbook=True,
)
def binary_op_of_activation(logits, targets):
    return keras.ops.binary_crossentropy(targets, keras.activations.sigmoid(logits))


@implements(
    "softmax_cross_entropy_with_logits",
    api="keras.losses.CategoricalCrossentropy(from_logits=True)",
    options=("reduction", "sample_weight", "label_smoothing"),
    reductions=tuple(REDUCTIONS),
    semantics=_FLOATX,
    grade=_SOFTMAX,
    documentation=_LOSSES + "categoricalcrossentropy-class",
)
def categorical_class_with_logits(logits, targets, *, reduction, sample_weight=None, label_smoothing=0.0):
    loss = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=label_smoothing, reduction=REDUCTIONS[reduction]
    )
    return loss(targets, logits, sample_weight=sample_weight)


@implements(
    "softmax_cross_entropy_with_logits",
    api="keras.losses.categorical_crossentropy(from_logits=True)",
    grade=_SOFTMAX,
    documentation=_LOSSES + "categorical_crossentropy-function",
)
def categorical_function_with_logits(logits, targets):
    return keras.losses.categorical_crossentropy(targets, logits, from_logits=True)


@implements(
    "softmax_cross_entropy_with_logits",
    api="keras.ops.categorical_crossentropy(from_logits=True)",
    grade=_SOFTMAX,
    documentation=_OPS + "categorical_crossentropy-function",
)
def categorical_op_with_logits(logits, targets):
    return keras.ops.categorical_crossentropy(targets, logits, from_logits=True)


@implements(
    "softmax_cross_entropy_with_logits",
    api="keras.ops.categorical_crossentropy over keras.activations.softmax",
    grade=_OF_SOFTMAX,
    documentation=_OPS + "categorical_crossentropy-function",
    textbook=True,
)
def categorical_op_of_activation(logits, targets):
    return keras.ops.categorical_crossentropy(targets, keras.activations.softmax(logits))


@implements(
    "sparse_softmax_cross_entropy_with_logits",
    api="keras.losses.SparseCategoricalCrossentropy(from_logits=True)",
    options=("reduction", "sample_weight", "ignore_index"),
    reductions=tuple(REDUCTIONS),
    semantics=_FLOATX,
    grade=_SOFTMAX,
    documentation=_LOSSES + "sparsecategoricalcrossentropy-class",
)
def sparse_class_with_logits(logits, labels, *, reduction, sample_weight=None, ignore_index=None):
    loss = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, ignore_class=ignore_index, reduction=REDUCTIONS[reduction]
    )
    return loss(labels, logits, sample_weight=sample_weight)


@implements(
    "sparse_softmax_cross_entropy_with_logits",
    api="keras.losses.sparse_categorical_crossentropy(from_logits=True)",
    grade=_SOFTMAX,
    documentation=_LOSSES + "sparse_categorical_crossentropy-function",
)
def sparse_function_with_logits(logits, labels):
    return keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)


@implements(
    "sparse_softmax_cross_entropy_with_logits",
    api="keras.ops.sparse_categorical_crossentropy(from_logits=True)",
    grade=_SOFTMAX,
    documentation=_OPS + "sparse_categorical_crossentropy-function",
)
def sparse_op_with_logits(logits, labels):
    return keras.ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)


@implements(
    "sparse_softmax_cross_entropy_with_logits",
    api="keras.ops.sparse_categorical_crossentropy over keras.activations.softmax",
    grade=_OF_SOFTMAX,
    documentation=_OPS + "sparse_categorical_crossentropy-function",
    textbook=True,
)
def sparse_op_of_activation(logits, labels):
    return keras.ops.sparse_categorical_crossentropy(labels, keras.activations.softmax(logits))
