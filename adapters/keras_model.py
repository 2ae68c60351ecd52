"""Keras models: the losses as `keras.Model.train_on_batch` and `evaluate` compute them, and as metrics do.

What is bound here takes NumPy arrays, as a user of `train_on_batch` has them. The model that is trained has one weight, of
zeros, that it adds to its input: plain gradient descent with a learning rate of 1 turns it into minus the gradient of the loss.
Models that end in an activation are asked in every dtype on each backend: whether a loss finds the logits depends on it.
Class weights are asked where the targets are classes, as the page of `fit` wants them; and masks of models, for a metric that
stands alone has no public way to be given one.
"""

from functools import cache

import keras
import numpy as np

from adapters.binding import implements
from adapters.keras_grades import BINARY, FOCAL_OF_SIGMOID, FOCAL_OF_SOFTMAX, OF_SIGMOID, OF_SOFTMAX, SIGMOID, SOFTMAX
from reference.losses import DTYPES
from reference.semantics import Semantics

_LOSSES = "https://keras.io/api/losses/probabilistic_losses/#"
_METRICS = "https://keras.io/api/metrics/probabilistic_metrics/#"
_TRAINING = "https://keras.io/api/models/model_training_apis/"
_TRAINED = Semantics(computation_dtype="float32")
"""`compile` takes a loss class, whose computations are in floatx."""
_TRAINED_BY_LABEL = Semantics(computation_dtype="float32", class_weight_of="label")
"""class_weight: "a weight (float) to apply to the model's loss for the samples from this class"."""
_EVALUATED = Semantics(computation_dtype="float32", mean_divisor="rows")
"""The mean of the loss classes is over the sample size."""
_HANDED_ON = ("label_smoothing", "alpha", "gamma", "q") if keras.backend.backend() == "jax" else ()
"""Where each configuration of a model is a program of a quarter of a second, the numbers of a loss are asked one at a time:
what Keras makes of two of them shows on its other backends."""
_METRIC = Semantics(computation_dtype="float32_result")
"""The metrics: "dtype: The data type of the metric result"."""


class Shift(keras.layers.Layer):
    """Adds a weight of zeros to its input."""

    def build(self, shape):
        """Make the weight, as large as the batch."""
        self.zeros = self.add_weight(shape=shape, initializer="zeros")

    def call(self, inputs, mask=None):
        """Return the input as it is."""
        return inputs + self.zeros


class Masked(keras.layers.Layer):
    """Its first input, with its second one as the mask of Keras: the rows that count."""

    def compute_mask(self, inputs, mask=None):
        """Return the rows that count."""
        return inputs[1]

    def call(self, inputs):
        """Return the prediction."""
        return inputs[0]


def _compiled(shape, dtype, targets, is_masked, loss, activation, **arguments):
    """Return a model for batches of one shape, compiled with a loss; for any number of rows (None) it has no weight.

    There is one for each number of axes of ``targets``: what tf.function has seen in two ranks it takes for any, and fails.
    """
    inputs = [keras.Input(batch_shape=shape, dtype=dtype)]
    outputs = Shift(dtype=dtype)(inputs[0]) if shape[0] is not None else inputs[0]
    if is_masked:
        inputs.append(keras.Input(batch_shape=shape[:1], dtype="bool"))
        outputs = Masked(dtype=dtype)([outputs, inputs[1]])
    if activation:
        outputs = keras.layers.Activation(activation, dtype=dtype)(outputs)
    model = keras.Model(inputs, outputs)
    model.compile(optimizer=keras.optimizers.SGD(1.0), loss=getattr(keras.losses, loss)(**arguments))
    return model


compiled = cache(_compiled)


def train(prediction, target, loss, mask=None, activation=None, sample_weight=None, class_weight=None, **arguments):
    """Return the loss of a batch, and its gradient, out of one step of training."""
    model = compiled(prediction.shape, prediction.dtype.name, target.ndim, mask is not None, loss, activation, **arguments)
    weight = model.trainable_weights[0]
    weight.assign(np.zeros_like(prediction))
    inputs = [prediction] if mask is None else [prediction, mask]
    weights = None if class_weight is None else dict(enumerate(class_weight.tolist()))
    value = model.train_on_batch(inputs, target, sample_weight=sample_weight, class_weight=weights)
    return value, 0 - keras.ops.convert_to_numpy(weight)


def evaluate(prediction, target, loss, mask=None, sample_weight=None, **arguments):
    """Return the loss of a batch as `evaluate` has it in two parts, of which the second may be smaller."""
    inputs = [prediction] if mask is None else [prediction, mask]
    shape = (None, *prediction.shape[1:])
    model = compiled(shape, prediction.dtype.name, target.ndim, mask is not None, loss, None, **arguments)
    rows = len(prediction) // 2 + 1
    value = model.evaluate(inputs, target, batch_size=rows, sample_weight=sample_weight, verbose=0)
    return value, None


def measure(prediction, target, metric, sample_weight=None, **arguments):
    """Return what a metric says of a batch."""
    found = getattr(keras.metrics, metric)(**arguments)
    found.update_state(target, prediction, sample_weight=sample_weight)
    return keras.ops.convert_to_numpy(found.result()), None


@implements(
    "binary_cross_entropy",
    api="keras.Model.train_on_batch(loss=BinaryCrossentropy())",
    options=("sample_weight", "mask", "label_smoothing"),
    reductions=("mean",),
    semantics=_TRAINED,
    grade=BINARY,
    documentation=_TRAINING,
    mode="model",
)
def binary_trained(probabilities, targets, *, label_smoothing=0.0, **weights):
    return train(probabilities, targets, "BinaryCrossentropy", label_smoothing=label_smoothing, **weights)


@implements(
    "categorical_cross_entropy",
    api="keras.Model.train_on_batch(loss=CategoricalCrossentropy())",
    options=("sample_weight", "class_weight", "mask", "label_smoothing"),
    apart=("sample_weight", "class_weight"),
    reductions=("mean",),
    semantics=_TRAINED_BY_LABEL,
    documentation=_TRAINING,
    mode="model",
)
def categorical_trained(probabilities, targets, *, label_smoothing=0.0, **weights):
    return train(probabilities, targets, "CategoricalCrossentropy", label_smoothing=label_smoothing, **weights)


@implements(
    "sparse_categorical_cross_entropy",
    api="keras.Model.train_on_batch(loss=SparseCategoricalCrossentropy())",
    options=("sample_weight", "class_weight", "mask", "ignore_index"),
    apart=("sample_weight", "class_weight"),
    reductions=("mean",),
    semantics=_TRAINED,
    documentation=_TRAINING,
    mode="model",
)
def sparse_trained(probabilities, labels, *, ignore_index=None, **weights):
    return train(probabilities, labels, "SparseCategoricalCrossentropy", ignore_class=ignore_index, **weights)


@implements(
    "sigmoid_cross_entropy_with_logits",
    api="keras.Model.train_on_batch(loss=BinaryCrossentropy(from_logits=True))",
    options=("sample_weight", "mask", "label_smoothing"),
    reductions=("mean",),
    semantics=_TRAINED,
    grade=SIGMOID,
    documentation=_TRAINING,
    mode="model",
)
def binary_with_logits_trained(logits, targets, *, label_smoothing=0.0, **weights):
    return train(logits, targets, "BinaryCrossentropy", from_logits=True, label_smoothing=label_smoothing, **weights)


@implements(
    "softmax_cross_entropy_with_logits",
    api="keras.Model.train_on_batch(loss=CategoricalCrossentropy(from_logits=True))",
    options=("sample_weight", "class_weight", "mask", "label_smoothing"),
    apart=("sample_weight", "class_weight"),
    reductions=("mean",),
    semantics=_TRAINED_BY_LABEL,
    grade=SOFTMAX,
    documentation=_TRAINING,
    mode="model",
)
def categorical_with_logits_trained(logits, targets, *, label_smoothing=0.0, **weights):
    return train(logits, targets, "CategoricalCrossentropy", from_logits=True, label_smoothing=label_smoothing, **weights)


@implements(
    "sparse_softmax_cross_entropy_with_logits",
    api="keras.Model.train_on_batch(loss=SparseCategoricalCrossentropy(from_logits=True))",
    options=("sample_weight", "class_weight", "mask", "ignore_index"),
    apart=("sample_weight", "class_weight"),
    reductions=("mean",),
    semantics=_TRAINED,
    grade=SOFTMAX,
    documentation=_TRAINING,
    mode="model",
)
def sparse_with_logits_trained(logits, labels, *, ignore_index=None, **weights):
    return train(logits, labels, "SparseCategoricalCrossentropy", from_logits=True, ignore_class=ignore_index, **weights)


@implements(
    "kl_divergence",
    api="keras.Model.train_on_batch(loss=KLDivergence())",
    options=("sample_weight", "mask"),
    reductions=("mean",),
    semantics=_TRAINED,
    documentation=_TRAINING,
    mode="model",
)
def divergence_trained(probabilities, targets, **weights):
    return train(probabilities, targets, "KLDivergence", **weights)


@implements(
    "binary_focal_cross_entropy",
    api="keras.Model.train_on_batch(loss=BinaryFocalCrossentropy())",
    options=("sample_weight", "mask", "label_smoothing", "alpha", "gamma"),
    alone=_HANDED_ON,
    reductions=("mean",),
    semantics=_TRAINED,
    grade=BINARY,
    documentation=_TRAINING,
    mode="model",
)
def binary_focal_trained(probabilities, targets, *, alpha=None, **given):
    balanced = {} if alpha is None else {"apply_class_balancing": True, "alpha": alpha}
    return train(probabilities, targets, "BinaryFocalCrossentropy", **balanced, **given)


@implements(
    "binary_focal_cross_entropy_with_logits",
    api="keras.Model.train_on_batch(loss=BinaryFocalCrossentropy(from_logits=True))",
    options=("sample_weight", "mask", "label_smoothing", "alpha", "gamma"),
    alone=_HANDED_ON,
    reductions=("mean",),
    semantics=_TRAINED,
    grade=FOCAL_OF_SIGMOID,
    documentation=_TRAINING,
    mode="model",
)
def binary_focal_with_logits_trained(logits, targets, *, alpha=None, **given):
    balanced = {} if alpha is None else {"apply_class_balancing": True, "alpha": alpha}
    return train(logits, targets, "BinaryFocalCrossentropy", from_logits=True, **balanced, **given)


@implements(
    "categorical_focal_cross_entropy",
    api="keras.Model.train_on_batch(loss=CategoricalFocalCrossentropy(alpha=1))",
    options=("sample_weight", "class_weight", "mask", "label_smoothing", "alpha", "gamma"),
    apart=("sample_weight", "class_weight"),
    alone=_HANDED_ON,
    reductions=("mean",),
    semantics=_TRAINED_BY_LABEL,
    documentation=_TRAINING,
    mode="model",
)
def categorical_focal_trained(probabilities, targets, *, alpha=1.0, **given):
    return train(probabilities, targets, "CategoricalFocalCrossentropy", alpha=alpha, **given)


@implements(
    "categorical_focal_cross_entropy_with_logits",
    api="keras.Model.train_on_batch(loss=CategoricalFocalCrossentropy(from_logits=True, alpha=1))",
    options=("sample_weight", "class_weight", "mask", "label_smoothing", "alpha", "gamma"),
    apart=("sample_weight", "class_weight"),
    alone=_HANDED_ON,
    reductions=("mean",),
    semantics=_TRAINED_BY_LABEL,
    grade=FOCAL_OF_SOFTMAX,
    documentation=_TRAINING,
    mode="model",
)
def categorical_focal_with_logits_trained(logits, targets, *, alpha=1.0, **given):
    return train(logits, targets, "CategoricalFocalCrossentropy", from_logits=True, alpha=alpha, **given)


@implements(
    "generalized_cross_entropy",
    api="keras.Model.train_on_batch(loss=CategoricalGeneralizedCrossEntropy())",
    options=("sample_weight", "class_weight", "mask", "q"),
    apart=("sample_weight", "class_weight"),
    alone=_HANDED_ON,
    reductions=("mean",),
    semantics=_TRAINED,
    documentation=_TRAINING,
    mode="model",
)
def generalized_trained(probabilities, labels, **given):
    return train(probabilities, labels, "CategoricalGeneralizedCrossEntropy", **given)


@implements(
    "sigmoid_cross_entropy_with_logits",
    api="keras.Model.train_on_batch(loss=BinaryCrossentropy()) over keras.layers.Activation",
    dtypes=DTYPES,
    reductions=("mean",),
    grade=OF_SIGMOID,
    documentation=_TRAINING,
    textbook=True,
    mode="model",
)
def sigmoid_trained(logits, targets):
    return train(logits, targets, "BinaryCrossentropy", activation="sigmoid")


@implements(
    "softmax_cross_entropy_with_logits",
    api="keras.Model.train_on_batch(loss=CategoricalCrossentropy()) over keras.layers.Activation",
    dtypes=DTYPES,
    reductions=("mean",),
    grade=OF_SOFTMAX,
    documentation=_TRAINING,
    textbook=True,
    mode="model",
)
def softmax_trained(logits, targets):
    return train(logits, targets, "CategoricalCrossentropy", activation="softmax")


@implements(
    "sparse_softmax_cross_entropy_with_logits",
    api="keras.Model.train_on_batch(loss=SparseCategoricalCrossentropy()) over keras.layers.Activation",
    dtypes=DTYPES,
    reductions=("mean",),
    grade=OF_SOFTMAX,
    documentation=_TRAINING,
    textbook=True,
    mode="model",
)
def sparse_softmax_trained(logits, labels):
    return train(logits, labels, "SparseCategoricalCrossentropy", activation="softmax")


@implements(
    "binary_cross_entropy",
    api="keras.Model.evaluate(loss=BinaryCrossentropy())",
    options=("sample_weight", "mask"),
    reductions=("mean",),
    semantics=_EVALUATED,
    grade=BINARY,
    documentation=_TRAINING,
    mode="model",
)
def binary_evaluated(probabilities, targets, **weights):
    return evaluate(probabilities, targets, "BinaryCrossentropy", **weights)


@implements(
    "categorical_cross_entropy",
    api="keras.Model.evaluate(loss=CategoricalCrossentropy())",
    options=("sample_weight", "mask"),
    reductions=("mean",),
    semantics=_EVALUATED,
    documentation=_TRAINING,
    mode="model",
)
def categorical_evaluated(probabilities, targets, **weights):
    return evaluate(probabilities, targets, "CategoricalCrossentropy", **weights)


@implements(
    "sparse_categorical_cross_entropy",
    api="keras.Model.evaluate(loss=SparseCategoricalCrossentropy())",
    options=("sample_weight", "mask"),
    reductions=("mean",),
    semantics=_EVALUATED,
    documentation=_TRAINING,
    mode="model",
)
def sparse_evaluated(probabilities, labels, **weights):
    return evaluate(probabilities, labels, "SparseCategoricalCrossentropy", **weights)


@implements(
    "sigmoid_cross_entropy_with_logits",
    api="keras.Model.evaluate(loss=BinaryCrossentropy(from_logits=True))",
    options=("sample_weight", "mask"),
    reductions=("mean",),
    semantics=_EVALUATED,
    grade=SIGMOID,
    documentation=_TRAINING,
    mode="model",
)
def binary_with_logits_evaluated(logits, targets, **weights):
    return evaluate(logits, targets, "BinaryCrossentropy", from_logits=True, **weights)


@implements(
    "softmax_cross_entropy_with_logits",
    api="keras.Model.evaluate(loss=CategoricalCrossentropy(from_logits=True))",
    options=("sample_weight", "mask"),
    reductions=("mean",),
    semantics=_EVALUATED,
    grade=SOFTMAX,
    documentation=_TRAINING,
    mode="model",
)
def categorical_with_logits_evaluated(logits, targets, **weights):
    return evaluate(logits, targets, "CategoricalCrossentropy", from_logits=True, **weights)


@implements(
    "sparse_softmax_cross_entropy_with_logits",
    api="keras.Model.evaluate(loss=SparseCategoricalCrossentropy(from_logits=True))",
    options=("sample_weight", "mask"),
    reductions=("mean",),
    semantics=_EVALUATED,
    grade=SOFTMAX,
    documentation=_TRAINING,
    mode="model",
)
def sparse_with_logits_evaluated(logits, labels, **weights):
    return evaluate(logits, labels, "SparseCategoricalCrossentropy", from_logits=True, **weights)


@implements(
    "binary_cross_entropy",
    api="keras.metrics.BinaryCrossentropy",
    options=("sample_weight", "label_smoothing"),
    reductions=("weighted_mean",),
    semantics=_METRIC,
    grade=BINARY,
    documentation=_METRICS + "binarycrossentropy-class",
    mode="metric",
)
def binary_metric(probabilities, targets, *, sample_weight=None, label_smoothing=0.0):
    return measure(probabilities, targets, "BinaryCrossentropy", sample_weight=sample_weight, label_smoothing=label_smoothing)


@implements(
    "categorical_cross_entropy",
    api="keras.metrics.CategoricalCrossentropy",
    options=("sample_weight", "label_smoothing", "class_axis"),
    reductions=("weighted_mean",),
    semantics=_METRIC,
    documentation=_METRICS + "categoricalcrossentropy-class",
    mode="metric",
)
def categorical_metric(probabilities, targets, *, sample_weight=None, label_smoothing=0.0, class_axis=-1):
    return measure(
        probabilities,
        targets,
        "CategoricalCrossentropy",
        sample_weight=sample_weight,
        label_smoothing=label_smoothing,
        axis=class_axis,
    )


@implements(
    "sparse_categorical_cross_entropy",
    api="keras.metrics.SparseCategoricalCrossentropy",
    options=("sample_weight", "ignore_index", "class_axis"),
    reductions=("weighted_mean",),
    semantics=_METRIC,
    documentation=_METRICS + "sparsecategoricalcrossentropy-class",
    mode="metric",
)
def sparse_metric(probabilities, labels, *, sample_weight=None, ignore_index=None, class_axis=-1):
    return measure(
        probabilities,
        labels,
        "SparseCategoricalCrossentropy",
        sample_weight=sample_weight,
        ignore_class=ignore_index,
        axis=class_axis,
    )


@implements(
    "sigmoid_cross_entropy_with_logits",
    api="keras.metrics.BinaryCrossentropy(from_logits=True)",
    options=("sample_weight", "label_smoothing"),
    reductions=("weighted_mean",),
    semantics=_METRIC,
    grade=SIGMOID,
    documentation=_METRICS + "binarycrossentropy-class",
    mode="metric",
)
def binary_with_logits_metric(logits, targets, *, sample_weight=None, label_smoothing=0.0):
    return measure(
        logits, targets, "BinaryCrossentropy", from_logits=True, sample_weight=sample_weight, label_smoothing=label_smoothing
    )


@implements(
    "softmax_cross_entropy_with_logits",
    api="keras.metrics.CategoricalCrossentropy(from_logits=True)",
    options=("sample_weight", "label_smoothing", "class_axis"),
    reductions=("weighted_mean",),
    semantics=_METRIC,
    grade=SOFTMAX,
    documentation=_METRICS + "categoricalcrossentropy-class",
    mode="metric",
)
def categorical_with_logits_metric(logits, targets, *, sample_weight=None, label_smoothing=0.0, class_axis=-1):
    return measure(
        logits,
        targets,
        "CategoricalCrossentropy",
        from_logits=True,
        sample_weight=sample_weight,
        label_smoothing=label_smoothing,
        axis=class_axis,
    )


@implements(
    "sparse_softmax_cross_entropy_with_logits",
    api="keras.metrics.SparseCategoricalCrossentropy(from_logits=True)",
    options=("sample_weight", "ignore_index", "class_axis"),
    reductions=("weighted_mean",),
    semantics=_METRIC,
    grade=SOFTMAX,
    documentation=_METRICS + "sparsecategoricalcrossentropy-class",
    mode="metric",
)
def sparse_with_logits_metric(logits, labels, *, sample_weight=None, ignore_index=None, class_axis=-1):
    return measure(
        logits,
        labels,
        "SparseCategoricalCrossentropy",
        from_logits=True,
        sample_weight=sample_weight,
        ignore_class=ignore_index,
        axis=class_axis,
    )


@implements(
    "kl_divergence",
    api="keras.metrics.KLDivergence",
    options=("sample_weight",),
    reductions=("weighted_mean",),
    semantics=_METRIC,
    documentation=_METRICS + "kldivergence-class",
    mode="metric",
)
def divergence_metric(probabilities, targets, *, sample_weight=None):
    return measure(probabilities, targets, "KLDivergence", sample_weight=sample_weight)
