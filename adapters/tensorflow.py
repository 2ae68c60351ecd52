"""TensorFlow: every public way to compute one of the losses, run eagerly, and a sample of it under `tf.function`.

Of Keras it has the classes of the six losses that `tf.keras` names. Its functions, its divergence and its focal losses are the
same objects as those of Keras, which are asked as `keras-tensorflow`. `tf.raw_ops` has the kernels behind these calls.
"""

import os
import platform
import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from time import perf_counter

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # read once, by the import below: no start-up notes, errors are kept
# Which kernels are taken depends on the processor otherwise, and with them where a softmax underflows. Read once, too.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ["KERAS_BACKEND"] = "tensorflow"  # read once, by the first use of tf.keras, and perhaps set for another Keras
import tensorflow as tf

from adapters import tensorflow_options
from adapters.binding import implements
from adapters.framework import Call, Loss, Outcome, describe_error, is_modified, on_private_copies
from reference.losses import Grade
from reference.semantics import Semantics

tf.get_logger().setLevel("ERROR")  # the deprecation notes of tf.compat.v1

DEVICES = {"cpu": "/CPU:0", "cuda": "/GPU:0"}
"""What TensorFlow calls the devices that `--device` names."""


def value_and_gradient(loss, prediction, target, cotangent=None, arrays=None, parameters=None, trace=lambda function: function):
    """Return the value, its gradient, and the gradient with respect to floating targets; None where there is none.

    ``cotangent`` is the upstream gradient, ones if None; ``trace`` is what makes a graph of it, if anything does. The gradients
    with respect to parameters follow, if there are any.
    """
    x, t = tf.constant(prediction), tf.constant(target)
    given = {name: tf.constant(array) for name, array in (arrays or {}).items()}
    learnt = {name: tf.constant(array) for name, array in (parameters or {}).items()}

    def pull_back(x, t, given, learnt):
        with tf.GradientTape() as tape:
            tape.watch([x, *([t] if t.dtype.is_floating else []), *learnt.values()])
            value = loss(x, t, **given, **learnt)
        upstream = None if cotangent is None else tf.cast(cotangent, value.dtype)
        return value, tape.gradient(value, [x, t, *learnt.values()], output_gradients=upstream)

    value, gradients = trace(pull_back)(x, t, given, learnt)
    return value.numpy(), *(None if g is None else tf.convert_to_tensor(g).numpy() for g in gradients)


def _distribution() -> str:
    """Return the distribution that `tensorflow` was installed from."""
    try:
        version("tensorflow")
    except PackageNotFoundError:
        return "tensorflow-cpu"
    return "tensorflow"


class TensorFlow:
    """TensorFlow as an `adapters.framework.Framework`: operations run one by one, or a graph that is traced for each call."""

    name = "tensorflow"
    packages = (_distribution(), "keras", "numpy")
    modes = ("eager", "tf.function")
    own_modes: tuple[str, ...] = ()
    dtypes = ("float32", "float64")
    keeps_answers = True
    sparing: tuple[str, ...] = ()
    environment: Mapping[str, str] = {
        "KERAS_BACKEND": "tensorflow",
        "TF_ENABLE_ONEDNN_OPTS": os.environ["TF_ENABLE_ONEDNN_OPTS"],
    }
    value_and_gradient = staticmethod(value_and_gradient)
    mode_arguments: Mapping[str, str] = {"tf.function": "trace=tf.function"}

    def devices(self) -> Mapping[str, str]:
        """Return "cpu", and "cuda" where there is one."""
        found = {"cpu": platform.machine()}
        for device in tf.config.list_physical_devices("GPU")[:1]:
            found["cuda"] = tf.config.experimental.get_device_details(device).get("device_name", device.name)
        return found

    def run(self, loss: Loss, call: Call, *, key: object, mode: str, device: str) -> Outcome:
        """Run a loss and its gradient; no graph is kept, so the key plays no part. See `adapters.framework.Framework.run`."""
        given = on_private_copies(call)
        inputs = loss, given.prediction, given.target, given.cotangent, given.arrays, given.parameters
        how = {"trace": tf.function} if mode == "tf.function" else {}
        start = perf_counter()
        try:
            with tf.device(DEVICES[device]):
                value, gradient, target_gradient, *others = value_and_gradient(*inputs, **how)
        except Exception as error:
            # The node that TensorFlow puts in front of its messages names the device, not what is wrong.
            wording = re.sub(r"\{\{.*?\}\} ?", "", describe_error(error))
            return Outcome(error=wording, seconds=perf_counter() - start)
        seconds = perf_counter() - start
        modified = is_modified(call, given)
        learnt = dict(zip(call.parameters, others, strict=True))
        return Outcome(value, gradient, target_gradient, str(value.dtype), "", modified, seconds, parameter_gradients=learnt)


framework = TensorFlow()

parts = (tensorflow_options,)
"""The modules that have more bindings."""

_DOCS = "https://www.tensorflow.org/api_docs/python/tf/"
_GUARDED = Semantics(log_of_zero="add_1e-7", mean_divisor="rows")
"""log_loss: "epsilon: A small increment to add to avoid taking a log of zero", 1e-7 by default."""
_FLOATX = Semantics(computation_dtype="float32", mean_divisor="rows")
"""The Keras loss classes: "dtype: The dtype of the loss's computations. Defaults to None, which means using floatx()"; and
"sum_over_batch_size" sums the losses "and divides by the sample size"."""
_FLOATX_ROW_MEAN = Semantics(computation_dtype="float32", loss_shape="row_mean", mean_divisor="rows")
"""BinaryCrossentropy: "axis: The axis along which the mean is computed. Defaults to -1"."""
_UNWEIGHTED = Semantics(computation_dtype="float32")
_UNWEIGHTED_ROW_MEAN = Semantics(computation_dtype="float32", loss_shape="row_mean")
"""The same where nothing is weighed."""
_IN_FLOATX = ("float32",)
"""What they compute in: their losses of an activation are asked in no other dtype."""
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
KERAS_REDUCTIONS = {"none": "none", "sum": "sum", "mean": "sum_over_batch_size", "weighted_mean": "mean_with_sample_weight"}
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
    options=("reduction", "sample_weight", "label_smoothing"),
    reductions=tuple(KERAS_REDUCTIONS),
    semantics=_FLOATX_ROW_MEAN,
    documentation=_DOCS + "keras/losses/BinaryCrossentropy",
)
def keras_binary(probabilities, targets, *, reduction, sample_weight=None, label_smoothing=0.0):
    loss = tf.keras.losses.BinaryCrossentropy(label_smoothing=label_smoothing, reduction=KERAS_REDUCTIONS[reduction])
    return loss(targets, probabilities, sample_weight=sample_weight)


@implements(
    "binary_cross_entropy",
    api="tf.keras.backend.binary_crossentropy",
    documentation=_DOCS + "keras/backend/binary_crossentropy",
)
def backend_binary(probabilities, targets):
    return tf.keras.backend.binary_crossentropy(targets, probabilities)


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
    options=("reduction", "sample_weight", "label_smoothing", "class_axis"),
    reductions=tuple(KERAS_REDUCTIONS),
    semantics=_FLOATX,
    documentation=_DOCS + "keras/losses/CategoricalCrossentropy",
)
def keras_categorical(probabilities, targets, *, reduction, sample_weight=None, label_smoothing=0.0, class_axis=-1):
    loss = tf.keras.losses.CategoricalCrossentropy(
        label_smoothing=label_smoothing, axis=class_axis, reduction=KERAS_REDUCTIONS[reduction]
    )
    return loss(targets, probabilities, sample_weight=sample_weight)


@implements(
    "categorical_cross_entropy",
    api="tf.keras.backend.categorical_crossentropy",
    documentation=_DOCS + "keras/backend/categorical_crossentropy",
)
def backend_categorical(probabilities, targets):
    return tf.keras.backend.categorical_crossentropy(targets, probabilities)


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
    options=("reduction", "sample_weight", "ignore_index", "class_axis"),
    reductions=tuple(KERAS_REDUCTIONS),
    semantics=_FLOATX,
    documentation=_DOCS + "keras/losses/SparseCategoricalCrossentropy",
)
def keras_sparse(probabilities, labels, *, reduction, sample_weight=None, ignore_index=None, class_axis=-1):
    loss = tf.keras.losses.SparseCategoricalCrossentropy(
        ignore_class=ignore_index, axis=class_axis, reduction=KERAS_REDUCTIONS[reduction]
    )
    return loss(labels, probabilities, sample_weight=sample_weight)


@implements(
    "sparse_categorical_cross_entropy",
    api="tf.keras.backend.sparse_categorical_crossentropy",
    documentation=_DOCS + "keras/backend/sparse_categorical_crossentropy",
)
def backend_sparse(probabilities, labels):
    return tf.keras.backend.sparse_categorical_crossentropy(labels, probabilities)


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
    api="tf.compat.v1.nn.sigmoid_cross_entropy_with_logits",
    grade=_FOLD,
    documentation=_DOCS + "compat/v1/nn/sigmoid_cross_entropy_with_logits",
)
def v1_sigmoid_cross_entropy_with_logits(logits, targets):
    return tf.compat.v1.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=logits)


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
    options=("reduction", "sample_weight", "label_smoothing"),
    reductions=tuple(KERAS_REDUCTIONS),
    semantics=_FLOATX_ROW_MEAN,
    grade=_FOLD,
    documentation=_DOCS + "keras/losses/BinaryCrossentropy",
)
def keras_binary_with_logits(logits, targets, *, reduction, sample_weight=None, label_smoothing=0.0):
    loss = tf.keras.losses.BinaryCrossentropy(
        from_logits=True, label_smoothing=label_smoothing, reduction=KERAS_REDUCTIONS[reduction]
    )
    return loss(targets, logits, sample_weight=sample_weight)


@implements(
    "sigmoid_cross_entropy_with_logits",
    api="tf.keras.backend.binary_crossentropy(from_logits=True)",
    grade=_FOLD,
    documentation=_DOCS + "keras/backend/binary_crossentropy",
)
def backend_binary_with_logits(logits, targets):
    return tf.keras.backend.binary_crossentropy(targets, logits, from_logits=True)


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
    api="tf.keras.losses.BinaryCrossentropy over tf.sigmoid",
    dtypes=_IN_FLOATX,
    semantics=_UNWEIGHTED_ROW_MEAN,
    grade=Grade("pair", "pair"),
    documentation=_DOCS + "keras/losses/BinaryCrossentropy",
    textbook=True,
)
def keras_binary_of_sigmoid(logits, targets):
    return tf.keras.losses.BinaryCrossentropy(reduction="none")(targets, tf.sigmoid(logits))


@implements(
    "sigmoid_cross_entropy_with_logits",
    api="tf.keras.losses.BinaryCrossentropy over tf.keras.activations.softmax, of two classes",
    dtypes=_IN_FLOATX,
    semantics=_UNWEIGHTED,
    grade=Grade("pair", "pair"),
    documentation=_DOCS + "keras/losses/BinaryCrossentropy",
    textbook=True,
)
def keras_binary_of_two_classes(logits, targets):
    logits, targets = tf.stack([logits, tf.zeros_like(logits)], axis=-1), tf.stack([targets, 1 - targets], axis=-1)
    return tf.keras.losses.BinaryCrossentropy(reduction="none")(targets, tf.keras.activations.softmax(logits))


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
    options=("class_axis",),
    semantics=Semantics(unnormalised_gradient="unscaled", target_gradient="none"),
    grade=_QUOTIENT,
    documentation=_DOCS + "compat/v1/nn/softmax_cross_entropy_with_logits",
)
def softmax_cross_entropy_with_logits_v1(logits, targets, *, class_axis=-1):
    return tf.compat.v1.nn.softmax_cross_entropy_with_logits(labels=targets, logits=logits, dim=class_axis)


@implements(
    "softmax_cross_entropy_with_logits",
    api="tf.compat.v1.nn.softmax_cross_entropy_with_logits_v2",
    options=("class_axis",),
    semantics=_ANY_TARGET_SUM,
    grade=_QUOTIENT,
    documentation=_DOCS + "compat/v1/nn/softmax_cross_entropy_with_logits_v2",
)
def softmax_cross_entropy_with_logits_v2(logits, targets, *, class_axis=-1):
    return tf.compat.v1.nn.softmax_cross_entropy_with_logits_v2(labels=targets, logits=logits, axis=class_axis)


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
    options=("reduction", "sample_weight", "label_smoothing", "class_axis"),
    reductions=tuple(KERAS_REDUCTIONS),
    semantics=_FLOATX,
    grade=_QUOTIENT,
    documentation=_DOCS + "keras/losses/CategoricalCrossentropy",
)
def keras_categorical_with_logits(logits, targets, *, reduction, sample_weight=None, label_smoothing=0.0, class_axis=-1):
    loss = tf.keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=label_smoothing, axis=class_axis, reduction=KERAS_REDUCTIONS[reduction]
    )
    return loss(targets, logits, sample_weight=sample_weight)


@implements(
    "softmax_cross_entropy_with_logits",
    api="tf.keras.backend.categorical_crossentropy(from_logits=True)",
    options=("class_axis",),
    grade=_QUOTIENT,
    documentation=_DOCS + "keras/backend/categorical_crossentropy",
)
def backend_categorical_with_logits(logits, targets, *, class_axis=-1):
    return tf.keras.backend.categorical_crossentropy(targets, logits, from_logits=True, axis=class_axis)


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
    api="tf.keras.losses.CategoricalCrossentropy over tf.nn.softmax",
    dtypes=_IN_FLOATX,
    semantics=_UNWEIGHTED,
    grade=_LOG_OF_SOFTMAX,
    documentation=_DOCS + "keras/losses/CategoricalCrossentropy",
    textbook=True,
)
def keras_categorical_of_softmax(logits, targets):
    return tf.keras.losses.CategoricalCrossentropy(reduction="none")(targets, tf.nn.softmax(logits))


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
    api="tf.compat.v1.nn.sparse_softmax_cross_entropy_with_logits",
    semantics=Semantics(label_dtype="int32_int64"),  # its page: labels have "dtype int32 or int64"
    grade=_QUOTIENT,
    documentation=_DOCS + "compat/v1/nn/sparse_softmax_cross_entropy_with_logits",
)
def v1_sparse_softmax_cross_entropy_with_logits(logits, labels):
    return tf.compat.v1.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)


@implements(
    "sparse_softmax_cross_entropy_with_logits",
    api="tf.compat.v1.losses.sparse_softmax_cross_entropy",
    options=("reduction", "sample_weight"),
    reductions=tuple(V1_REDUCTIONS),
    semantics=Semantics(mean_divisor="rows", label_dtype="int32_int64"),  # its page: labels have "dtype `int32` or `int64`"
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
    options=("reduction", "sample_weight", "ignore_index", "class_axis"),
    reductions=tuple(KERAS_REDUCTIONS),
    semantics=_FLOATX,
    grade=_QUOTIENT,
    documentation=_DOCS + "keras/losses/SparseCategoricalCrossentropy",
)
def keras_sparse_with_logits(logits, labels, *, reduction, sample_weight=None, ignore_index=None, class_axis=-1):
    loss = tf.keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, ignore_class=ignore_index, axis=class_axis, reduction=KERAS_REDUCTIONS[reduction]
    )
    return loss(labels, logits, sample_weight=sample_weight)


@implements(
    "sparse_softmax_cross_entropy_with_logits",
    api="tf.keras.backend.sparse_categorical_crossentropy(from_logits=True)",
    options=("ignore_index", "class_axis"),
    grade=_QUOTIENT,
    documentation=_DOCS + "keras/backend/sparse_categorical_crossentropy",
)
def backend_sparse_with_logits(logits, labels, *, ignore_index=None, class_axis=-1):
    return tf.keras.backend.sparse_categorical_crossentropy(
        labels, logits, from_logits=True, ignore_class=ignore_index, axis=class_axis
    )


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
    api="tf.keras.losses.SparseCategoricalCrossentropy over tf.nn.softmax",
    dtypes=_IN_FLOATX,
    semantics=_UNWEIGHTED,
    grade=_LOG_OF_SOFTMAX,
    documentation=_DOCS + "keras/losses/SparseCategoricalCrossentropy",
    textbook=True,
)
def keras_sparse_of_softmax(logits, labels):
    return tf.keras.losses.SparseCategoricalCrossentropy(reduction="none")(labels, tf.nn.softmax(logits))


@implements(
    "sparse_softmax_cross_entropy_with_logits",
    api="tf.math.log(tf.nn.softmax), tf.gather",
    grade=_LOG_OF_SOFTMAX,
    documentation=_DOCS + "gather",
    textbook=True,
)
def log_of_softmax_gathered(logits, labels):
    return -tf.gather(tf.math.log(tf.nn.softmax(logits)), labels, axis=-1, batch_dims=1)


@implements(
    "sparse_softmax_cross_entropy_with_logits",
    api="tf.nn.sparse_softmax_cross_entropy_with_logits of c * tanh(x / c), plus z * logsumexp(x)**2",
    options=("soft_cap", "z_loss"),
    semantics=Semantics(label_dtype="int32_int64"),
    grade=_QUOTIENT,
    documentation=_DOCS + "nn/sparse_softmax_cross_entropy_with_logits",
)
def sparse_with_soft_cap_and_z_loss(logits, labels, *, soft_cap=None, z_loss=None):
    if soft_cap is not None:
        logits = soft_cap * tf.tanh(logits / soft_cap)
    loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    if z_loss is not None:
        loss += z_loss * tf.reduce_logsumexp(logits, axis=-1) ** 2
    return loss


@implements("negative_log_likelihood", api="-tf.gather", documentation=_DOCS + "gather")
def gathered(log_probabilities, labels):
    return -tf.gather(log_probabilities, labels, axis=-1, batch_dims=1)


_TERMS = Grade("terms", "separate")


@implements(
    "kl_divergence",
    api="tf.math.xlogy, sum(xlogy(t, t) - xlogy(t, p))",
    grade=_TERMS,
    documentation=_DOCS + "math/xlogy",
)
def divergence_by_xlogy(probabilities, targets):
    return tf.reduce_sum(tf.math.xlogy(targets, targets) - tf.math.xlogy(targets, probabilities), axis=-1)


@implements(
    "kl_divergence_of_log_probabilities",
    api="tf.math.xlogy, sum(xlogy(t, t) - t * log p)",
    grade=_TERMS,
    documentation=_DOCS + "math/xlogy",
)
def divergence_of_log_probabilities(log_probabilities, targets):
    return tf.reduce_sum(tf.math.xlogy(targets, targets) - targets * log_probabilities, axis=-1)


@implements("kl_divergence_with_log_targets", api="tf.math.exp, sum(exp(y) * (y - x))", documentation=_DOCS + "math/exp")
def divergence_with_log_targets(log_probabilities, log_targets):
    return tf.reduce_sum(tf.math.exp(log_targets) * (log_targets - log_probabilities), axis=-1)


@implements(
    "soft_margin",
    api="tf.math.softplus(-y * x)",
    grade=Grade("log1p", "quotient"),
    documentation=_DOCS + "math/softplus",
)
def softplus_of_margin(logits, signs):
    return tf.math.softplus(-signs * logits)


@implements(
    "multilabel_soft_margin",
    api="tf.nn.sigmoid_cross_entropy_with_logits, mean over outcomes",
    options=("class_weight",),
    grade=_FOLD,
    documentation=_DOCS + "nn/sigmoid_cross_entropy_with_logits",
)
def mean_of_sigmoid_cross_entropy(logits, targets, *, class_weight=1.0):
    loss = tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=logits)
    return tf.reduce_mean(class_weight * loss, axis=-1)


@implements(
    "binary_focal_cross_entropy",
    api="tf.math.log, -(1 - p_t)**gamma * (t * log(p) + (1 - t) * log(1 - p))",
    options=("alpha", "gamma"),
    documentation=_DOCS + "math/log",
)
def binary_focal_by_log(probabilities, targets, *, alpha=None, gamma=2.0):
    chance = targets * (1 - probabilities) + (1 - targets) * probabilities
    weight = 1.0 if alpha is None else alpha * targets + (1 - alpha) * (1 - targets)
    loss = -(targets * tf.math.log(probabilities) + (1 - targets) * tf.math.log(1 - probabilities))
    return weight * chance**gamma * loss


@implements(
    "binary_focal_cross_entropy_with_logits",
    api="tf.nn.sigmoid_cross_entropy_with_logits, times (1 - p_t)**gamma",
    options=("alpha", "gamma"),
    grade=_FOLD,
    documentation=_DOCS + "nn/sigmoid_cross_entropy_with_logits",
)
def binary_focal_with_logits(logits, targets, *, alpha=None, gamma=2.0):
    p = tf.sigmoid(logits)
    chance = targets * (1 - p) + (1 - targets) * p
    weight = 1.0 if alpha is None else alpha * targets + (1 - alpha) * (1 - targets)
    return weight * chance**gamma * tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=logits)


@implements(
    "categorical_focal_cross_entropy",
    api="tf.math.log, -sum(t * (1 - p)**gamma * log(p))",
    options=("class_weight", "alpha", "gamma"),
    documentation=_DOCS + "math/log",
)
def categorical_focal_by_log(probabilities, targets, *, class_weight=1.0, alpha=1.0, gamma=2.0):
    weight = class_weight * alpha * (1 - probabilities) ** gamma
    return -tf.reduce_sum(weight * targets * tf.math.log(probabilities), axis=-1)


@implements(
    "categorical_focal_cross_entropy_with_logits",
    api="tf.nn.log_softmax, -sum(t * (1 - p)**gamma * log(p))",
    options=("class_weight", "alpha", "gamma"),
    documentation=_DOCS + "nn/log_softmax",
)
def categorical_focal_by_log_softmax(logits, targets, *, class_weight=1.0, alpha=1.0, gamma=2.0):
    log_p = tf.nn.log_softmax(logits)
    weight = class_weight * alpha * (1 - tf.exp(log_p)) ** gamma
    return -tf.reduce_sum(weight * targets * log_p, axis=-1)


@implements(
    "poly_loss_cross_entropy",
    api="tf.nn.softmax_cross_entropy_with_logits, plus epsilon * sum(t * (1 - p))",
    options=("epsilon",),
    grade=_QUOTIENT,
    documentation=_DOCS + "nn/softmax_cross_entropy_with_logits",
)
def poly_loss(logits, targets, *, epsilon=2.0):
    without = tf.reduce_sum(targets * (1 - tf.nn.softmax(logits)), axis=-1)
    return tf.nn.softmax_cross_entropy_with_logits(labels=targets, logits=logits) + epsilon * without


@implements("generalized_cross_entropy", api="tf.gather, (1 - p**q) / q", options=("q",), documentation=_DOCS + "gather")
def generalized_by_power(probabilities, labels, *, q=0.5):
    p = tf.gather(probabilities, labels, axis=-1, batch_dims=1)
    return (1 - p**q) / q


@implements(
    "linear_cross_entropy",
    api="tf.nn.sparse_softmax_cross_entropy_with_logits over tf.matmul",
    semantics=Semantics(label_dtype="int32_int64"),
    grade=_QUOTIENT,
    documentation=_DOCS + "nn/sparse_softmax_cross_entropy_with_logits",
)
def sparse_softmax_cross_entropy_of_matmul(hidden, labels, *, linear_weight, linear_bias=0.0):
    logits = tf.matmul(hidden, linear_weight, transpose_b=True) + linear_bias
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)


@implements(
    "linear_cross_entropy_with_soft_targets",
    api="tf.nn.softmax_cross_entropy_with_logits over tf.matmul",
    semantics=_ANY_TARGET_SUM,
    grade=_QUOTIENT,
    documentation=_DOCS + "nn/softmax_cross_entropy_with_logits",
)
def softmax_cross_entropy_of_matmul(hidden, targets, *, linear_weight, linear_bias=0.0):
    logits = tf.matmul(hidden, linear_weight, transpose_b=True) + linear_bias
    return tf.nn.softmax_cross_entropy_with_logits(labels=targets, logits=logits)
