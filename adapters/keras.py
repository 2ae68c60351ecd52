"""Keras: how `keras.losses` and `keras.ops` spell each loss, on the backend that KERAS_BACKEND names.

Keras reads its backend once, so a process holds one. The backend's own adapter runs what is bound here.
"""

import os
from collections.abc import Callable, Mapping
from importlib import import_module
from time import perf_counter
from typing import Any

# Read once, when Keras imports its backend: see the adapters of TensorFlow and PyTorch.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("JAX_ENABLE_X64", "1")  # as the adapter of JAX has it, for models too

import keras

from adapters import keras_model, keras_options
from adapters.binding import implements
from adapters.framework import (
    Call,
    Framework,
    Loss,
    Outcome,
    describe_error,
    is_modified,
    on_private_copies,
    value_and_gradient,
)
from adapters.keras_grades import BINARY, FOCAL_OF_SIGMOID, FOCAL_OF_SOFTMAX, OF_SIGMOID, OF_SOFTMAX, SIGMOID, SOFTMAX
from reference.losses import DTYPES
from reference.semantics import Semantics

parts = (keras_model, keras_options)
"""The modules that have more bindings."""

_backend = keras.backend.backend()
_runner: Framework = import_module(f"adapters.{'pytorch' if _backend == 'torch' else _backend}").framework

KERAS_DEVICES = {"cpu": "cpu", "cuda": "gpu:0"}
"""What Keras calls the devices that `--device` names; on PyTorch no model can be trained that was made on "cpu:0"."""


class Keras:
    """Keras on one backend as an `adapters.framework.Framework`: the backend's own framework runs it."""

    name = f"keras-{_backend}"
    packages = ("keras", *_runner.packages)
    # A loss that is called by itself runs op by op on JAX; what a model compiles has a mode of its own.
    modes = ("eager", *(mode for mode in _runner.modes if mode != "eager"))
    own_modes = ("model", "metric")
    # The floatx of Keras, and float64 where it costs little: what Keras itself does with a dtype shows on one backend.
    dtypes = _runner.dtypes if _backend == "torch" else ("float32",)
    keeps_answers = _runner.keeps_answers
    # Op by op each operation is compiled for each shape.
    sparing: tuple[str, ...] = DTYPES if _runner.sparing else ()
    environment: Mapping[str, str] = {
        **_runner.environment,
        "KERAS_BACKEND": _backend,
        **({"JAX_ENABLE_X64": "1"} if _backend == "jax" else {}),
    }

    @property
    def value_and_gradient(self) -> Callable[..., tuple[Any, ...]]:
        """The plain function of the backend."""
        return _runner.value_and_gradient

    @property
    def mode_arguments(self) -> Mapping[str, str]:
        """The arguments of the backend."""
        return _runner.mode_arguments

    def devices(self) -> Mapping[str, str]:
        """Return the devices of the backend."""
        return _runner.devices()

    def run(self, loss: Loss, call: Call, *, key: object, mode: str, device: str) -> Outcome:
        """Run a loss and its gradient as the backend does, or as a model does; see `adapters.framework.Framework.run`."""
        with keras.device(KERAS_DEVICES[device]):
            if mode in self.modes:
                return _runner.run(loss, call, key=key, mode=mode, device=device)
            return _run_on_arrays(loss, call)


def _run_on_arrays(loss: Loss, call: Call) -> Outcome:
    """Run a loss that takes NumPy arrays and returns the value and its gradient, None where there is none."""
    given = on_private_copies(call)
    start = perf_counter()
    try:
        value, gradient, _ = value_and_gradient(loss, given.prediction, given.target, arrays=given.arrays)
    except Exception as error:
        return Outcome(error=describe_error(error), seconds=perf_counter() - start)
    seconds = perf_counter() - start
    return Outcome(value, gradient, None, str(value.dtype), modified=is_modified(call, given), seconds=seconds)


framework = Keras()

_LOSSES = "https://keras.io/api/losses/probabilistic_losses/#"
_OPS = "https://keras.io/api/ops/nn/#"
REDUCTIONS = {"none": "none", "sum": "sum", "mean": "sum_over_batch_size", "weighted_mean": "mean_with_sample_weight"}
_FLOATX = Semantics(computation_dtype="float32", mean_divisor="rows")
"""The loss classes: "dtype: The dtype of the loss's computations. Defaults to None, which means using floatx()"; and
"sum_over_batch_size" sums the losses "and divides by the sample size"."""
_FLOATX_ROW_MEAN = Semantics(computation_dtype="float32", loss_shape="row_mean", mean_divisor="rows")
_ROW_MEAN = Semantics(loss_shape="row_mean")
"""binary_crossentropy: "axis: The axis along which the mean is computed. Defaults to -1"."""

_CLIPPED_DIVERGENCE = Semantics(divergence_guard="clip_both_1e-7")
"""kl_divergence: in its example y_true and y_pred are the operands clipped to [1e-7, 1]."""


@implements(
    "binary_cross_entropy",
    api="keras.losses.BinaryCrossentropy",
    options=("reduction", "sample_weight", "label_smoothing"),
    reductions=tuple(REDUCTIONS),
    semantics=_FLOATX_ROW_MEAN,
    grade=BINARY,
    documentation=_LOSSES + "binarycrossentropy-class",
)
def binary_class(probabilities, targets, *, reduction, sample_weight=None, label_smoothing=0.0):
    loss = keras.losses.BinaryCrossentropy(label_smoothing=label_smoothing, reduction=REDUCTIONS[reduction])
    return loss(targets, probabilities, sample_weight=sample_weight)


@implements(
    "binary_cross_entropy",
    api="keras.losses.binary_crossentropy",
    options=("label_smoothing",),
    semantics=_ROW_MEAN,
    grade=BINARY,
    documentation=_LOSSES + "binary_crossentropy-function",
)
def binary_function(probabilities, targets, *, label_smoothing=0.0):
    return keras.losses.binary_crossentropy(targets, probabilities, label_smoothing=label_smoothing)


@implements(
    "binary_cross_entropy",
    api="keras.ops.binary_crossentropy",
    grade=BINARY,
    documentation=_OPS + "binary_crossentropy-function",
)
def binary_op(probabilities, targets):
    return keras.ops.binary_crossentropy(targets, probabilities)


@implements(
    "categorical_cross_entropy",
    api="keras.losses.CategoricalCrossentropy",
    options=("reduction", "sample_weight", "label_smoothing", "class_axis"),
    reductions=tuple(REDUCTIONS),
    semantics=_FLOATX,
    documentation=_LOSSES + "categoricalcrossentropy-class",
)
def categorical_class(probabilities, targets, *, reduction, sample_weight=None, label_smoothing=0.0, class_axis=-1):
    loss = keras.losses.CategoricalCrossentropy(
        label_smoothing=label_smoothing, reduction=REDUCTIONS[reduction], axis=class_axis
    )
    return loss(targets, probabilities, sample_weight=sample_weight)


@implements(
    "categorical_cross_entropy",
    api="keras.losses.categorical_crossentropy",
    options=("label_smoothing", "class_axis"),
    documentation=_LOSSES + "categorical_crossentropy-function",
)
def categorical_function(probabilities, targets, *, label_smoothing=0.0, class_axis=-1):
    return keras.losses.categorical_crossentropy(targets, probabilities, label_smoothing=label_smoothing, axis=class_axis)


@implements(
    "categorical_cross_entropy",
    api="keras.ops.categorical_crossentropy",
    options=("class_axis",),
    documentation=_OPS + "categorical_crossentropy-function",
)
def categorical_op(probabilities, targets, *, class_axis=-1):
    return keras.ops.categorical_crossentropy(targets, probabilities, axis=class_axis)


@implements(
    "sparse_categorical_cross_entropy",
    api="keras.losses.SparseCategoricalCrossentropy",
    options=("reduction", "sample_weight", "ignore_index", "class_axis"),
    reductions=tuple(REDUCTIONS),
    semantics=_FLOATX,
    documentation=_LOSSES + "sparsecategoricalcrossentropy-class",
)
def sparse_class(probabilities, labels, *, reduction, sample_weight=None, ignore_index=None, class_axis=-1):
    loss = keras.losses.SparseCategoricalCrossentropy(
        ignore_class=ignore_index, reduction=REDUCTIONS[reduction], axis=class_axis
    )
    return loss(labels, probabilities, sample_weight=sample_weight)


@implements(
    "sparse_categorical_cross_entropy",
    api="keras.losses.sparse_categorical_crossentropy",
    options=("ignore_index", "class_axis"),
    documentation=_LOSSES + "sparse_categorical_crossentropy-function",
)
def sparse_function(probabilities, labels, *, ignore_index=None, class_axis=-1):
    return keras.losses.sparse_categorical_crossentropy(labels, probabilities, ignore_class=ignore_index, axis=class_axis)


@implements(
    "sparse_categorical_cross_entropy",
    api="keras.ops.sparse_categorical_crossentropy",
    options=("class_axis",),
    documentation=_OPS + "sparse_categorical_crossentropy-function",
)
def sparse_op(probabilities, labels, *, class_axis=-1):
    return keras.ops.sparse_categorical_crossentropy(labels, probabilities, axis=class_axis)


@implements(
    "sigmoid_cross_entropy_with_logits",
    api="keras.losses.BinaryCrossentropy(from_logits=True)",
    options=("reduction", "sample_weight", "label_smoothing"),
    reductions=tuple(REDUCTIONS),
    semantics=_FLOATX_ROW_MEAN,
    grade=SIGMOID,
    documentation=_LOSSES + "binarycrossentropy-class",
)
def binary_class_with_logits(logits, targets, *, reduction, sample_weight=None, label_smoothing=0.0):
    loss = keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=label_smoothing, reduction=REDUCTIONS[reduction])
    return loss(targets, logits, sample_weight=sample_weight)


@implements(
    "sigmoid_cross_entropy_with_logits",
    api="keras.losses.binary_crossentropy(from_logits=True)",
    options=("label_smoothing",),
    semantics=_ROW_MEAN,
    grade=SIGMOID,
    documentation=_LOSSES + "binary_crossentropy-function",
)
def binary_function_with_logits(logits, targets, *, label_smoothing=0.0):
    return keras.losses.binary_crossentropy(targets, logits, from_logits=True, label_smoothing=label_smoothing)


@implements(
    "sigmoid_cross_entropy_with_logits",
    api="keras.ops.binary_crossentropy(from_logits=True)",
    grade=SIGMOID,
    documentation=_OPS + "binary_crossentropy-function",
)
def binary_op_with_logits(logits, targets):
    return keras.ops.binary_crossentropy(targets, logits, from_logits=True)


@implements(
    "sigmoid_cross_entropy_with_logits",
    api="keras.ops.binary_crossentropy over keras.activations.sigmoid",
    grade=OF_SIGMOID,
    documentation=_OPS + "binary_crossentropy-function",
    textbook=True,
)
def binary_op_of_activation(logits, targets):
    return keras.ops.binary_crossentropy(targets, keras.activations.sigmoid(logits))


@implements(
    "softmax_cross_entropy_with_logits",
    api="keras.losses.CategoricalCrossentropy(from_logits=True)",
    options=("reduction", "sample_weight", "label_smoothing", "class_axis"),
    reductions=tuple(REDUCTIONS),
    semantics=_FLOATX,
    grade=SOFTMAX,
    documentation=_LOSSES + "categoricalcrossentropy-class",
)
def categorical_class_with_logits(logits, targets, *, reduction, sample_weight=None, label_smoothing=0.0, class_axis=-1):
    loss = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=label_smoothing, reduction=REDUCTIONS[reduction], axis=class_axis
    )
    return loss(targets, logits, sample_weight=sample_weight)


@implements(
    "softmax_cross_entropy_with_logits",
    api="keras.losses.categorical_crossentropy(from_logits=True)",
    options=("label_smoothing", "class_axis"),
    grade=SOFTMAX,
    documentation=_LOSSES + "categorical_crossentropy-function",
)
def categorical_function_with_logits(logits, targets, *, label_smoothing=0.0, class_axis=-1):
    return keras.losses.categorical_crossentropy(
        targets, logits, from_logits=True, label_smoothing=label_smoothing, axis=class_axis
    )


@implements(
    "softmax_cross_entropy_with_logits",
    api="keras.ops.categorical_crossentropy(from_logits=True)",
    options=("class_axis",),
    grade=SOFTMAX,
    documentation=_OPS + "categorical_crossentropy-function",
)
def categorical_op_with_logits(logits, targets, *, class_axis=-1):
    return keras.ops.categorical_crossentropy(targets, logits, from_logits=True, axis=class_axis)


@implements(
    "softmax_cross_entropy_with_logits",
    api="keras.ops.categorical_crossentropy over keras.activations.softmax",
    grade=OF_SOFTMAX,
    documentation=_OPS + "categorical_crossentropy-function",
    textbook=True,
)
def categorical_op_of_activation(logits, targets):
    return keras.ops.categorical_crossentropy(targets, keras.activations.softmax(logits))


@implements(
    "sparse_softmax_cross_entropy_with_logits",
    api="keras.losses.SparseCategoricalCrossentropy(from_logits=True)",
    options=("reduction", "sample_weight", "ignore_index", "class_axis"),
    reductions=tuple(REDUCTIONS),
    semantics=_FLOATX,
    grade=SOFTMAX,
    documentation=_LOSSES + "sparsecategoricalcrossentropy-class",
)
def sparse_class_with_logits(logits, labels, *, reduction, sample_weight=None, ignore_index=None, class_axis=-1):
    loss = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, ignore_class=ignore_index, reduction=REDUCTIONS[reduction], axis=class_axis
    )
    return loss(labels, logits, sample_weight=sample_weight)


@implements(
    "sparse_softmax_cross_entropy_with_logits",
    api="keras.losses.sparse_categorical_crossentropy(from_logits=True)",
    options=("ignore_index", "class_axis"),
    grade=SOFTMAX,
    documentation=_LOSSES + "sparse_categorical_crossentropy-function",
)
def sparse_function_with_logits(logits, labels, *, ignore_index=None, class_axis=-1):
    return keras.losses.sparse_categorical_crossentropy(
        labels, logits, from_logits=True, ignore_class=ignore_index, axis=class_axis
    )


@implements(
    "sparse_softmax_cross_entropy_with_logits",
    api="keras.ops.sparse_categorical_crossentropy(from_logits=True)",
    options=("class_axis",),
    grade=SOFTMAX,
    documentation=_OPS + "sparse_categorical_crossentropy-function",
)
def sparse_op_with_logits(logits, labels, *, class_axis=-1):
    return keras.ops.sparse_categorical_crossentropy(labels, logits, from_logits=True, axis=class_axis)


@implements(
    "sparse_softmax_cross_entropy_with_logits",
    api="keras.ops.sparse_categorical_crossentropy over keras.activations.softmax",
    grade=OF_SOFTMAX,
    documentation=_OPS + "sparse_categorical_crossentropy-function",
    textbook=True,
)
def sparse_op_of_activation(logits, labels):
    return keras.ops.sparse_categorical_crossentropy(labels, keras.activations.softmax(logits))


@implements(
    "kl_divergence",
    api="keras.losses.KLDivergence",
    options=("reduction", "sample_weight"),
    reductions=tuple(REDUCTIONS),
    semantics=_FLOATX,
    documentation=_LOSSES + "kldivergence-class",
)
def divergence_class(probabilities, targets, *, reduction, sample_weight=None):
    loss = keras.losses.KLDivergence(reduction=REDUCTIONS[reduction])
    return loss(targets, probabilities, sample_weight=sample_weight)


@implements(
    "kl_divergence",
    api="keras.losses.kl_divergence",
    semantics=_CLIPPED_DIVERGENCE,
    documentation=_LOSSES + "kl_divergence-function",
)
def divergence_function(probabilities, targets):
    return keras.losses.kl_divergence(targets, probabilities)


@implements(
    "binary_focal_cross_entropy",
    api="keras.losses.BinaryFocalCrossentropy",
    options=("reduction", "sample_weight", "label_smoothing", "alpha", "gamma"),
    reductions=tuple(REDUCTIONS),
    semantics=_FLOATX_ROW_MEAN,
    grade=BINARY,
    documentation=_LOSSES + "binaryfocalcrossentropy-class",
)
def binary_focal_class(probabilities, targets, *, reduction, sample_weight=None, label_smoothing=0.0, alpha=None, gamma=2.0):
    balanced = {} if alpha is None else {"apply_class_balancing": True, "alpha": alpha}
    loss = keras.losses.BinaryFocalCrossentropy(
        gamma=gamma, label_smoothing=label_smoothing, reduction=REDUCTIONS[reduction], **balanced
    )
    return loss(targets, probabilities, sample_weight=sample_weight)


@implements(
    "binary_focal_cross_entropy",
    api="keras.losses.binary_focal_crossentropy",
    options=("label_smoothing", "alpha", "gamma"),
    semantics=_ROW_MEAN,
    grade=BINARY,
    documentation=_LOSSES + "binary_focal_crossentropy-function",
)
def binary_focal_function(probabilities, targets, *, label_smoothing=0.0, alpha=None, gamma=2.0):
    balanced = {} if alpha is None else {"apply_class_balancing": True, "alpha": alpha}
    return keras.losses.binary_focal_crossentropy(
        targets, probabilities, gamma=gamma, label_smoothing=label_smoothing, **balanced
    )


@implements(
    "binary_focal_cross_entropy_with_logits",
    api="keras.losses.BinaryFocalCrossentropy(from_logits=True)",
    options=("reduction", "sample_weight", "label_smoothing", "alpha", "gamma"),
    reductions=tuple(REDUCTIONS),
    semantics=_FLOATX_ROW_MEAN,
    grade=FOCAL_OF_SIGMOID,
    documentation=_LOSSES + "binaryfocalcrossentropy-class",
)
def binary_focal_class_with_logits(
    logits, targets, *, reduction, sample_weight=None, label_smoothing=0.0, alpha=None, gamma=2.0
):
    balanced = {} if alpha is None else {"apply_class_balancing": True, "alpha": alpha}
    loss = keras.losses.BinaryFocalCrossentropy(
        from_logits=True, gamma=gamma, label_smoothing=label_smoothing, reduction=REDUCTIONS[reduction], **balanced
    )
    return loss(targets, logits, sample_weight=sample_weight)


@implements(
    "binary_focal_cross_entropy_with_logits",
    api="keras.losses.binary_focal_crossentropy(from_logits=True)",
    options=("label_smoothing", "alpha", "gamma"),
    semantics=_ROW_MEAN,
    grade=FOCAL_OF_SIGMOID,
    documentation=_LOSSES + "binary_focal_crossentropy-function",
)
def binary_focal_function_with_logits(logits, targets, *, label_smoothing=0.0, alpha=None, gamma=2.0):
    balanced = {} if alpha is None else {"apply_class_balancing": True, "alpha": alpha}
    return keras.losses.binary_focal_crossentropy(
        targets, logits, from_logits=True, gamma=gamma, label_smoothing=label_smoothing, **balanced
    )


@implements(
    "categorical_focal_cross_entropy",
    api="keras.losses.CategoricalFocalCrossentropy",
    options=("reduction", "sample_weight", "label_smoothing", "alpha", "gamma", "class_axis"),
    reductions=tuple(REDUCTIONS),
    semantics=_FLOATX,
    documentation=_LOSSES + "categoricalfocalcrossentropy-class",
)
def categorical_focal_class(
    probabilities, targets, *, reduction, sample_weight=None, label_smoothing=0.0, alpha=1.0, gamma=2.0, class_axis=-1
):
    loss = keras.losses.CategoricalFocalCrossentropy(
        alpha=alpha, gamma=gamma, label_smoothing=label_smoothing, reduction=REDUCTIONS[reduction], axis=class_axis
    )
    return loss(targets, probabilities, sample_weight=sample_weight)


@implements(
    "categorical_focal_cross_entropy",
    api="keras.losses.categorical_focal_crossentropy",
    options=("label_smoothing", "class_weight", "alpha", "gamma", "class_axis"),
    apart=("class_weight", "alpha"),
    documentation=_LOSSES + "categorical_focal_crossentropy-function",
)
def categorical_focal_function(
    probabilities, targets, *, label_smoothing=0.0, class_weight=None, alpha=1.0, gamma=2.0, class_axis=-1
):
    return keras.losses.categorical_focal_crossentropy(
        targets,
        probabilities,
        alpha=alpha if class_weight is None else class_weight,
        gamma=gamma,
        label_smoothing=label_smoothing,
        axis=class_axis,
    )


@implements(
    "categorical_focal_cross_entropy_with_logits",
    api="keras.losses.CategoricalFocalCrossentropy(from_logits=True)",
    options=("reduction", "sample_weight", "label_smoothing", "alpha", "gamma", "class_axis"),
    reductions=tuple(REDUCTIONS),
    semantics=_FLOATX,
    grade=FOCAL_OF_SOFTMAX,
    documentation=_LOSSES + "categoricalfocalcrossentropy-class",
)
def categorical_focal_class_with_logits(
    logits, targets, *, reduction, sample_weight=None, label_smoothing=0.0, alpha=1.0, gamma=2.0, class_axis=-1
):
    loss = keras.losses.CategoricalFocalCrossentropy(
        from_logits=True,
        alpha=alpha,
        gamma=gamma,
        label_smoothing=label_smoothing,
        reduction=REDUCTIONS[reduction],
        axis=class_axis,
    )
    return loss(targets, logits, sample_weight=sample_weight)


@implements(
    "categorical_focal_cross_entropy_with_logits",
    api="keras.losses.categorical_focal_crossentropy(from_logits=True)",
    options=("label_smoothing", "class_weight", "alpha", "gamma", "class_axis"),
    grade=FOCAL_OF_SOFTMAX,
    apart=("class_weight", "alpha"),
    documentation=_LOSSES + "categorical_focal_crossentropy-function",
)
def categorical_focal_function_with_logits(
    logits, targets, *, label_smoothing=0.0, class_weight=None, alpha=1.0, gamma=2.0, class_axis=-1
):
    return keras.losses.categorical_focal_crossentropy(
        targets,
        logits,
        from_logits=True,
        alpha=alpha if class_weight is None else class_weight,
        gamma=gamma,
        label_smoothing=label_smoothing,
        axis=class_axis,
    )


@implements(
    "generalized_cross_entropy",
    api="keras.losses.CategoricalGeneralizedCrossEntropy",
    options=("reduction", "sample_weight", "q"),
    reductions=tuple(REDUCTIONS),
    semantics=_FLOATX,
    documentation=_LOSSES + "categoricalgeneralizedcrossentropy-class",
)
def generalized_class(probabilities, labels, *, reduction, sample_weight=None, q=0.5):
    loss = keras.losses.CategoricalGeneralizedCrossEntropy(q=q, reduction=REDUCTIONS[reduction])
    return loss(labels, probabilities, sample_weight=sample_weight)


@implements(
    "generalized_cross_entropy",
    api="keras.losses.categorical_generalized_cross_entropy",
    options=("q",),
    documentation=_LOSSES + "categoricalgeneralizedcrossentropy-class",
)
def generalized_function(probabilities, labels, *, q=0.5):
    return keras.losses.categorical_generalized_cross_entropy(labels, probabilities, q)
