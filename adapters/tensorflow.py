"""TensorFlow: every public way to compute one of the losses, run eagerly; of Keras the classes that `tf.keras` names."""

import os
import platform
import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from time import perf_counter

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # read once, by the import below: no start-up notes, errors are kept
os.environ["KERAS_BACKEND"] = "tensorflow"  # read once, by the first use of tf.keras, and perhaps set for another Keras
import tensorflow as tf

from adapters.binding import implements
from adapters.framework import Call, Loss, Outcome, describe_error, private_copy, same_bytes
from reference.losses import Grade
from reference.semantics import Semantics

tf.get_logger().setLevel("ERROR")  # the deprecation notes of tf.compat.v1

DEVICES = {"cpu": "/CPU:0", "cuda": "/GPU:0"}
"""What TensorFlow calls the devices that `--device` names."""


def value_and_gradient(loss, prediction, target, cotangent=None, arrays=None):
    """Return the value, its gradient, and the gradient with respect to floating targets; None where there is none.

    ``cotangent`` is the upstream gradient, ones if None.
    """
    x, t = tf.constant(prediction), tf.constant(target)
    with tf.GradientTape() as tape:
        tape.watch([x, t] if t.dtype.is_floating else [x])
        value = loss(x, t, **{name: tf.constant(array) for name, array in (arrays or {}).items()})
    upstream = None if cotangent is None else tf.cast(cotangent, value.dtype)
    gradients = tape.gradient(value, [x, t], output_gradients=upstream)
    return value.numpy(), *(None if g is None else tf.convert_to_tensor(g).numpy() for g in gradients)


def _distribution() -> str:
    """Return the distribution that `tensorflow` was installed from."""
    try:
        version("tensorflow")
    except PackageNotFoundError:
        return "tensorflow-cpu"
    return "tensorflow"


class TensorFlow:
    """TensorFlow as an `adapters.framework.Framework`: operations run one by one, nothing is compiled."""

    name = "tensorflow"
    packages = (_distribution(), "keras", "numpy")
    modes = ("eager",)
    dtypes = ("float32", "float64")
    environment: Mapping[str, str] = {"KERAS_BACKEND": "tensorflow"}
    value_and_gradient = staticmethod(value_and_gradient)

    def devices(self) -> Mapping[str, str]:
        """Return "cpu", and "cuda" where there is one."""
        found = {"cpu": platform.machine()}
        for device in tf.config.list_physical_devices("GPU")[:1]:
            found["cuda"] = tf.config.experimental.get_device_details(device).get("device_name", device.name)
        return found

    def run(self, loss: Loss, call: Call, *, key: object, mode: str, device: str) -> Outcome:
        """Run a loss and its gradient eagerly; the key plays no part. See `adapters.framework.Framework.run`."""
        prediction, target = private_copy(call.prediction), private_copy(call.target)
        start = perf_counter()
        try:
            with tf.device(DEVICES[device]):
                value, gradient, target_gradient = value_and_gradient(loss, prediction, target, call.cotangent, call.arrays)
        except Exception as error:
            # The node that TensorFlow puts in front of its messages names the device, not what is wrong.
            wording = re.sub(r"\{\{.*?\}\} ?", "", describe_error(error))
            return Outcome(error=wording, seconds=perf_counter() - start)
        seconds = perf_counter() - start
        intact = same_bytes(call.prediction, prediction) and same_bytes(call.target, target)
        return Outcome(value, gradient, target_gradient, str(value.dtype), modified=not intact, seconds=seconds)


framework = TensorFlow()

_DOCS = "https://www.tensorflow.org/api_docs/python/tf/"
_GUARDED = Semantics(log_of_zero="add_1e-7", mean_divisor="rows")
"""log_loss: "epsilon: A small increment to add to avoid taking a log of zero", 1e-7 by default."""
_FLOATX = Semantics(computation_dtype="float32")
"""The Keras loss classes: "dtype: The dtype of the loss's computations. Defaults to None, which means using floatx()"."""
_FLOATX_ROW_MEAN = Semantics(computation_dtype="float32", loss_shape="row_mean")
"""BinaryCrossentropy: "axis: The axis along which the mean is computed. Defaults to -1"."""
_ANY_TARGET_SUM = Semantics(unnormalised_gradient="unscaled")
"""tf.nn: each row of labels must be a distribution; "if they are not, the computation of the gradient will be incorrect"."""
_ONE_HOT = Semantics(negative_index="zero", index_too_large="zero")
"""tf.one_hot: off_value, 0, "when indices[j] != i", with -1 as its example."""
_FOLD = Grade("fold", "auto")
_QUOTIENT = Grade("plain", "quotient")
_LOG_OF_SOFTMAX = Grade("log_quotient", "log_quotient")
V1_REDUCTIONS = {
    "none": tf.compat.v1.losses.Reduction.NONE,
    "sum": tf.compat.v1.losses.Reduction.SUM,
    "mean": tf.compat.v1.losses.Reduction.SUM_OVER_BATCH_SIZE,
    "weighted_mean": tf.compat.v1.losses.Reduction.MEAN,
    "nonzero_mean": tf.compat.v1.losses.Reduction.SUM_BY_NONZERO_WEIGHTS,
}
_OVER_ALL = Semantics(mean_divisor="rows")
"""tf.compat.v1.losses.Reduction: "SUM_OVER_BATCH_SIZE: Scalar SUM divided by number of elements in losses"."""


@implements(
    "binary_cross_entropy",
    api="tf.compat.v1.losses.log_loss",
    options=("reduction", "sample_weight"),
    reductions=tuple(V1_REDUCTIONS),
    semantics=_GUARDED,
    documentation=_DOCS + "compat/v1/losses/log_loss",
)
def log_loss(probabilities, targets, *, reduction, sample_weight=None):
    weights = 1.0 if sample_weight is None else sample_weight[:, None]
    return tf.compat.v1.losses.log_loss(targets, probabilities, weights=weights, reduction=V1_REDUCTIONS[reduction])


@implements(
    "binary_cross_entropy",
    api="tf.keras.losses.BinaryCrossentropy",
    options=("reduction",),
    semantics=_FLOATX_ROW_MEAN,
    documentation=_DOCS + "keras/losses/BinaryCrossentropy",
)
def keras_binary(probabilities, targets, *, reduction):
    return tf.keras.losses.BinaryCrossentropy(reduction=reduction)(targets, probabilities)


@implements(
    "binary_cross_entropy",
    api="tf.math.log(p), tf.math.log(1 - p)",
    documentation=_DOCS + "math/log",
)
def binary_by_log(probabilities, targets):
    return -(targets * tf.math.log(probabilities) + (1 - targets) * tf.math.log(1 - probabilities))


@implements(
    "binary_cross_entropy",
    api="tf.math.log(p), tf.math.log1p(-p)",
    grade=Grade("log1p", "separate"),
    documentation=_DOCS + "math/log1p",
)
def binary_by_log1p(probabilities, targets):
    return -(targets * tf.math.log(probabilities) + (1 - targets) * tf.math.log1p(-probabilities))


@implements(
    "binary_cross_entropy",
    api="tf.math.xlogy, tf.math.xlog1py",
    grade=Grade("log1p", "separate"),
    documentation=_DOCS + "math/xlog1py",
)
def binary_by_xlogy(probabilities, targets):
    return -(tf.math.xlogy(targets, probabilities) + tf.math.xlog1py(1 - targets, -probabilities))


@implements(
    "categorical_cross_entropy",
    api="tf.keras.losses.CategoricalCrossentropy",
    options=("reduction",),
    semantics=_FLOATX,
    documentation=_DOCS + "keras/losses/CategoricalCrossentropy",
)
def keras_categorical(probabilities, targets, *, reduction):
    return tf.keras.losses.CategoricalCrossentropy(reduction=reduction)(targets, probabilities)


@implements(
    "categorical_cross_entropy",
    api="tf.math.log, -sum(t * log p)",
    documentation=_DOCS + "math/log",
)
def categorical_by_log(probabilities, targets):
    return -tf.reduce_sum(targets * tf.math.log(probabilities), axis=-1)


@implements(
    "categorical_cross_entropy",
    api="tf.math.xlogy, -sum(xlogy(t, p))",
    documentation=_DOCS + "math/xlogy",
)
def categorical_by_xlogy(probabilities, targets):
    return -tf.reduce_sum(tf.math.xlogy(targets, probabilities), axis=-1)


@implements(
    "sparse_categorical_cross_entropy",
    api="tf.keras.losses.SparseCategoricalCrossentropy",
    options=("reduction",),
    semantics=_FLOATX,
    documentation=_DOCS + "keras/losses/SparseCategoricalCrossentropy",
)
def keras_sparse(probabilities, labels, *, reduction):
    return tf.keras.losses.SparseCategoricalCrossentropy(reduction=reduction)(labels, probabilities)


@implements(
    "sparse_categorical_cross_entropy",
    api="tf.math.log, tf.gather",
    documentation=_DOCS + "gather",
)
def log_gathered(probabilities, labels):
    return -tf.gather(tf.math.log(probabilities), labels, axis=-1, batch_dims=1)


@implements(
    "sparse_categorical_cross_entropy",
    api="tf.math.log, tf.one_hot",
    semantics=_ONE_HOT,
    documentation=_DOCS + "one_hot",
)
def log_times_one_hot(probabilities, labels):
    one_hot = tf.one_hot(labels, probabilities.shape[-1], dtype=probabilities.dtype)
    return -tf.reduce_sum(one_hot * tf.math.log(probabilities), axis=-1)


@implements(
    "sigmoid_cross_entropy_with_logits",
    api="tf.nn.sigmoid_cross_entropy_with_logits",
    grade=_FOLD,
    documentation=_DOCS + "nn/sigmoid_cross_entropy_with_logits",
)
def sigmoid_cross_entropy_with_logits(logits, targets):
    return tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=logits)


@implements(
    "sigmoid_cross_entropy_with_logits",
    api="tf.nn.weighted_cross_entropy_with_logits",
    options=("pos_weight",),
    documentation=_DOCS + "nn/weighted_cross_entropy_with_logits",
)
def weighted_cross_entropy_with_logits(logits, targets, *, pos_weight=1):
    return tf.nn.weighted_cross_entropy_with_logits(labels=targets, logits=logits, pos_weight=pos_weight)


@implements(
    "sigmoid_cross_entropy_with_logits",
    api="tf.compat.v1.losses.sigmoid_cross_entropy",
    options=("reduction", "sample_weight", "label_smoothing"),
    reductions=tuple(V1_REDUCTIONS),
    semantics=_OVER_ALL,
    grade=_FOLD,
    documentation=_DOCS + "compat/v1/losses/sigmoid_cross_entropy",
)
def sigmoid_cross_entropy(logits, targets, *, reduction, sample_weight=None, label_smoothing=0):
    weights = 1.0 if sample_weight is None else sample_weight[:, None]
    return tf.compat.v1.losses.sigmoid_cross_entropy(
        targets, logits, weights=weights, label_smoothing=label_smoothing, reduction=V1_REDUCTIONS[reduction]
    )


@implements(
    "sigmoid_cross_entropy_with_logits",
    api="tf.keras.losses.BinaryCrossentropy(from_logits=True)",
    options=("reduction",),
    semantics=_FLOATX_ROW_MEAN,
    grade=_FOLD,
    documentation=_DOCS + "keras/losses/BinaryCrossentropy",
)
def keras_binary_with_logits(logits, targets, *, reduction):
    return tf.keras.losses.BinaryCrossentropy(from_logits=True, reduction=reduction)(targets, logits)


@implements(
    "sigmoid_cross_entropy_with_logits",
    api="tf.math.log_sigmoid",
    grade=Grade("pair", "pair"),
    documentation=_DOCS + "math/log_sigmoid",
)
def by_log_sigmoid(logits, targets):
    return -(targets * tf.math.log_sigmoid(logits) + (1 - targets) * tf.math.log_sigmoid(-logits))


@implements(
    "sigmoid_cross_entropy_with_logits",
    api="tf.math.log(tf.sigmoid)",
    grade=Grade("pair", "pair"),
    documentation=_DOCS + "math/sigmoid",
    textbook=True,
)
def log_of_sigmoid(logits, targets):
    probabilities = tf.sigmoid(logits)
    return -(targets * tf.math.log(probabilities) + (1 - targets) * tf.math.log(1 - probabilities))


@implements(
    "softmax_cross_entropy_with_logits",
    api="tf.nn.softmax_cross_entropy_with_logits",
    options=("class_axis",),
    semantics=_ANY_TARGET_SUM,
    grade=_QUOTIENT,
    documentation=_DOCS + "nn/softmax_cross_entropy_with_logits",
)
def softmax_cross_entropy_with_logits(logits, targets, *, class_axis=-1):
    return tf.nn.softmax_cross_entropy_with_logits(labels=targets, logits=logits, axis=class_axis)


@implements(
    "softmax_cross_entropy_with_logits",
    api="tf.compat.v1.nn.softmax_cross_entropy_with_logits",
    semantics=Semantics(unnormalised_gradient="unscaled", target_gradient="none"),
    grade=_QUOTIENT,
    documentation=_DOCS + "compat/v1/nn/softmax_cross_entropy_with_logits",
)
def softmax_cross_entropy_with_logits_v1(logits, targets):
    return tf.compat.v1.nn.softmax_cross_entropy_with_logits(labels=targets, logits=logits)


@implements(
    "softmax_cross_entropy_with_logits",
    api="tf.compat.v1.nn.softmax_cross_entropy_with_logits_v2",
    semantics=_ANY_TARGET_SUM,
    grade=_QUOTIENT,
    documentation=_DOCS + "compat/v1/nn/softmax_cross_entropy_with_logits_v2",
)
def softmax_cross_entropy_with_logits_v2(logits, targets):
    return tf.compat.v1.nn.softmax_cross_entropy_with_logits_v2(labels=targets, logits=logits)


@implements(
    "softmax_cross_entropy_with_logits",
    api="tf.compat.v1.losses.softmax_cross_entropy",
    options=("reduction", "sample_weight", "label_smoothing"),
    reductions=tuple(V1_REDUCTIONS),
    semantics=Semantics(
        unnormalised_gradient="unscaled", mean_divisor="rows"
    ),  # "using tf.nn.softmax_cross_entropy_with_logits_v2"
    grade=_QUOTIENT,
    documentation=_DOCS + "compat/v1/losses/softmax_cross_entropy",
)
def softmax_cross_entropy(logits, targets, *, reduction, sample_weight=1.0, label_smoothing=0):
    return tf.compat.v1.losses.softmax_cross_entropy(
        targets, logits, weights=sample_weight, label_smoothing=label_smoothing, reduction=V1_REDUCTIONS[reduction]
    )


@implements(
    "softmax_cross_entropy_with_logits",
    api="tf.keras.losses.CategoricalCrossentropy(from_logits=True)",
    options=("reduction",),
    semantics=_FLOATX,
    grade=_QUOTIENT,
    documentation=_DOCS + "keras/losses/CategoricalCrossentropy",
)
def keras_categorical_with_logits(logits, targets, *, reduction):
    return tf.keras.losses.CategoricalCrossentropy(from_logits=True, reduction=reduction)(targets, logits)


@implements(
    "softmax_cross_entropy_with_logits",
    api="tf.nn.log_softmax, -sum(t * log p)",
    documentation=_DOCS + "nn/log_softmax",
)
def by_log_softmax(logits, targets):
    return -tf.reduce_sum(targets * tf.nn.log_softmax(logits), axis=-1)


@implements(
    "softmax_cross_entropy_with_logits",
    api="tf.reduce_logsumexp, sum(t * (lse - x))",
    grade=Grade("lse", "lse"),
    documentation=_DOCS + "math/reduce_logsumexp",
)
def by_logsumexp(logits, targets):
    return tf.reduce_sum(targets * (tf.reduce_logsumexp(logits, axis=-1, keepdims=True) - logits), axis=-1)


@implements(
    "softmax_cross_entropy_with_logits",
    api="tf.math.log(tf.nn.softmax)",
    grade=_LOG_OF_SOFTMAX,
    documentation=_DOCS + "nn/softmax",
    textbook=True,
)
def log_of_softmax(logits, targets):
    return -tf.reduce_sum(targets * tf.math.log(tf.nn.softmax(logits)), axis=-1)


@implements(
    "sparse_softmax_cross_entropy_with_logits",
    api="tf.nn.sparse_softmax_cross_entropy_with_logits",
    semantics=Semantics(label_dtype="int32_int64"),  # its page: labels have "dtype int32 or int64"
    grade=_QUOTIENT,
    documentation=_DOCS + "nn/sparse_softmax_cross_entropy_with_logits",
)
def sparse_softmax_cross_entropy_with_logits(logits, labels):
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)


@implements(
    "sparse_softmax_cross_entropy_with_logits",
    api="tf.compat.v1.losses.sparse_softmax_cross_entropy",
    options=("reduction", "sample_weight"),
    reductions=tuple(V1_REDUCTIONS),
    semantics=_OVER_ALL,
    grade=_QUOTIENT,
    documentation=_DOCS + "compat/v1/losses/sparse_softmax_cross_entropy",
)
def sparse_softmax_cross_entropy(logits, labels, *, reduction, sample_weight=1.0):
    return tf.compat.v1.losses.sparse_softmax_cross_entropy(
        labels, logits, weights=sample_weight, reduction=V1_REDUCTIONS[reduction]
    )


@implements(
    "sparse_softmax_cross_entropy_with_logits",
    api="tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)",
    options=("reduction",),
    semantics=_FLOATX,
    grade=_QUOTIENT,
    documentation=_DOCS + "keras/losses/SparseCategoricalCrossentropy",
)
def keras_sparse_with_logits(logits, labels, *, reduction):
    return tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=reduction)(labels, logits)


@implements(
    "sparse_softmax_cross_entropy_with_logits",
    api="tf.nn.log_softmax, tf.gather",
    documentation=_DOCS + "gather",
)
def log_softmax_gathered(logits, labels):
    return -tf.gather(tf.nn.log_softmax(logits), labels, axis=-1, batch_dims=1)


@implements(
    "sparse_softmax_cross_entropy_with_logits",
    api="tf.nn.log_softmax, tf.one_hot",
    semantics=_ONE_HOT,
    documentation=_DOCS + "one_hot",
)
def log_softmax_times_one_hot(logits, labels):
    one_hot = tf.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
    return -tf.reduce_sum(one_hot * tf.nn.log_softmax(logits), axis=-1)


@implements(
    "sparse_softmax_cross_entropy_with_logits",
    api="tf.math.log(tf.nn.softmax), tf.gather",
    grade=_LOG_OF_SOFTMAX,
    documentation=_DOCS + "gather",
    textbook=True,
)
def log_of_softmax_gathered(logits, labels):
    return -tf.gather(tf.math.log(tf.nn.softmax(logits)), labels, axis=-1, batch_dims=1)
