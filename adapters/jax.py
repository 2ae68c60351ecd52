"""JAX and optax: every public way to compute one of the losses, run under `jax.jit`, and a sample of it op by op.

Not here is what computes another loss: `optax.losses.generalized_kl_divergence`, its older name `convex_kl_divergence` and
`jax.scipy.special.kl_div` add sum_k p_k - t_k to the divergence. Where both sum to one that is 0, but not its gradient. So does
`optax.losses.make_fenchel_young_loss` of logsumexp, which is logsumexp(x) - sum_k t_k x_k: its gradient at the targets is -x.
"""

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.scipy.special import rel_entr, xlog1py, xlogy
from jax.scipy.stats import bernoulli
from numpy.typing import NDArray

from adapters import jax_options
from adapters.binding import implements
from adapters.framework import Call, Loss, Outcome, describe_error, is_modified, on_private_copies
from reference.losses import Grade
from reference.semantics import Semantics

JAX = "https://docs.jax.dev/en/latest/_autosummary/"
OPTAX_LOSSES = "https://optax.readthedocs.io/en/latest/api/losses.html"
TAKE_ALONG_AXIS = JAX + "jax.numpy.take_along_axis.html"
ONE_HOT = JAX + "jax.nn.one_hot.html"

LOG1P = Grade(value="log1p", gradient="separate")
LOG_SIGMOID = Grade(value="pair", gradient="lse")
LOG_SOFTMAX = Grade(value="plain", gradient="quotient")
LOG_SUM_EXP = Grade(value="lse", gradient="quotient")
"""The derivatives of jax.nn.log_softmax and logsumexp are both exp(x - max) / sum."""
LOG_OF_SOFTMAX = Grade(value="log_quotient", gradient="log_quotient")
KEPT = 256
"""How many programs are kept, the latest: those of one loss and more. Each takes about half a mebibyte."""
IN_ONE = ("float32",)
"""Compositions that stand in for an API or an option that neither JAX nor optax has are asked in one dtype: each program
costs a third of a second to compile."""
_TAKEN = Semantics(negative_index="wrap", index_too_large="nan_zero")
"""take_along_axis: it "returns invalid values (e.g. NaN) for out-of bounds indices", and negative ones wrap."""


def value_and_gradient(loss, prediction, target, cotangent=None, arrays=None, parameters=None, jit=jax.jit):
    """Return the value of a loss, its gradient, and the gradient with respect to the targets: None for integer targets.

    ``cotangent`` is the upstream gradient, ones if None; ``jit`` is what compiles. The gradients with respect to parameters
    follow, if there are any.
    """
    jax.config.update("jax_enable_x64", True)  # without it float64 arrays become float32; float32 ones stay as they are
    is_soft = np.issubdtype(target.dtype, np.floating)
    prediction, target = jax.numpy.asarray(prediction), jax.numpy.asarray(target)
    arrays, parameters = ({k: jax.numpy.asarray(array) for k, array in (given or {}).items()} for given in (arrays, parameters))

    def pull_back(prediction, target, cotangent, arrays, parameters):
        value, backward = jax.vjp(lambda x, t, learnt: loss(x, t, **arrays, **learnt), prediction, target, parameters)
        upstream = np.ones(value.shape, value.dtype) if cotangent is None else cotangent.astype(value.dtype)
        gradient, target_gradient, others = backward(upstream)
        return value, gradient, target_gradient if is_soft else None, others

    *results, others = jit(pull_back)(prediction, target, cotangent, arrays, parameters)
    results += [others[name] for name in parameters]
    return tuple(None if result is None else np.asarray(result) for result in results)


def value_alone(loss: Loss, call: Call, jit: Callable[..., Any]) -> tuple[Any, ...]:
    """Return the value of a loss, and None for each gradient: a program of half the size."""
    jax.config.update("jax_enable_x64", True)
    x, t = jnp.asarray(call.prediction), jnp.asarray(call.target)
    given = {name: jnp.asarray(array) for name, array in {**call.arrays, **call.parameters}.items()}
    value = jit(lambda x, t, given: loss(x, t, **given))(x, t, given)
    return np.asarray(value), None, None, *(None for _ in call.parameters)


class Jax:
    """JAX as an `adapters.framework.Framework`; a program is compiled ahead of time, once for each loss, shape and dtype."""

    name = "jax"
    packages = ("jax", "jaxlib", "optax", "numpy")
    modes = ("jit", "eager")
    own_modes: tuple[str, ...] = ()
    dtypes = ("float32", "float64")
    keeps_answers = True
    sparing: tuple[str, ...] = ("float64",)
    environment: Mapping[str, str] = {}
    value_and_gradient = staticmethod(value_and_gradient)
    mode_arguments: Mapping[str, str] = {"eager": "jit=lambda function: function"}

    def __init__(self) -> None:
        """Start without any program."""
        self._programs: dict[tuple[object, ...], Callable[..., Any]] = {}
        self._compiled: dict[tuple[str, str], Callable[..., Any]] = {}
        self._ones: dict[tuple[object, ...], NDArray] = {}

    def devices(self) -> Mapping[str, str]:
        """Return the processors that JAX can run on here."""
        found = {}
        for device in ("cpu", "cuda"):
            try:
                found[device] = jax.devices(device)[0].device_kind
            except RuntimeError:  # how JAX says that it has no such platform
                continue
        return found

    def run(self, loss: Loss, call: Call, *, key: object, mode: str, device: str) -> Outcome:
        """Run a loss and its gradient under `jax.jit`, or op by op; see `adapters.framework.Framework.run`."""
        given = on_private_copies(call)
        prediction, target, cotangent = given.prediction, given.target, given.cotangent
        inputs = prediction, target, *given.arrays.values(), *given.parameters.values()
        program = (key, call.reduction, call.value_only, device, *((a.shape, a.dtype.str) for a in inputs))
        compile_seconds, error = 0.0, ""
        results: tuple[Any, ...] = (None, None, None)

        def ahead_of_time(function: Callable[..., Any]) -> Callable[..., Any]:
            def compile_and_run(*arguments: Any) -> Any:
                nonlocal compile_seconds
                if program not in self._programs:
                    lowered = jax.jit(function).lower(*arguments)
                    text = device, lowered.as_text()  # APIs that are one program share what is compiled
                    compiled = self._compiled.get(text) or lowered.compile()
                    _keep(self._compiled, text, compiled)
                    _keep(self._programs, program, compiled)
                    compile_seconds = perf_counter() - started
                return self._programs[program](*arguments)

            return compile_and_run

        started = perf_counter()
        try:
            with jax.default_device(jax.devices(device)[0]):
                jit = ahead_of_time if mode == "jit" else _op_by_op
                if call.value_only:
                    results = value_alone(loss, given, jit)
                else:
                    cotangent = self._upstream(loss, given, key) if mode == "jit" else cotangent
                    results = value_and_gradient(loss, prediction, target, cotangent, given.arrays, given.parameters, jit)
        except Exception as raised:
            error = describe_error(raised)
        seconds = perf_counter() - started - compile_seconds
        modified = is_modified(call, given)
        learnt = dict(zip(call.parameters, results[3:], strict=not error))
        dtype = "" if error else str(results[0].dtype)
        value, gradient, target_gradient, *_ = results
        return Outcome(value, gradient, target_gradient, dtype, error, modified, seconds, compile_seconds, learnt)

    def _upstream(self, loss: Loss, call: Call, key: object) -> NDArray:
        """Return the upstream gradient of a call, ones where it has none: a program takes either.

        It has the dtype of the prediction, whatever the dtype of the value is.
        """
        if call.cotangent is not None:
            return call.cotangent.astype(call.prediction.dtype)
        given = call.prediction, call.target, *call.arrays.values(), *call.parameters.values()
        shapes = (key, call.reduction, *(array.shape for array in given))
        if shapes not in self._ones:
            jax.config.update("jax_enable_x64", True)
            value = jax.eval_shape(loss, call.prediction, call.target, **call.arrays, **call.parameters)
            _keep(self._ones, shapes, np.ones(value.shape))
        return self._ones[shapes].astype(call.prediction.dtype)


def _op_by_op(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile nothing as a whole: 100 times slower, and free of what XLA simplifies, as a product with 0 or 1."""
    return function


def _keep(kept: dict[Any, Any], name: object, value: object) -> None:
    """Add an entry, and drop the oldest one where there are more than `KEPT`."""
    kept[name] = value
    if len(kept) > KEPT:
        del kept[next(iter(kept))]


framework = Jax()

parts = (jax_options,)
"""The modules that have more bindings."""


@implements("binary_cross_entropy", api="jnp.log(p), jnp.log(1 - p)", documentation=JAX + "jax.numpy.log.html")
def log_of_complement(probabilities, targets):
    return -(targets * jnp.log(probabilities) + (1 - targets) * jnp.log(1 - probabilities))


@implements("binary_cross_entropy", api="jnp.log(p), jnp.log1p(-p)", grade=LOG1P, documentation=JAX + "jax.numpy.log1p.html")
def log1p_of_complement(probabilities, targets):
    return -(targets * jnp.log(probabilities) + (1 - targets) * jnp.log1p(-probabilities))


@implements(
    "binary_cross_entropy",
    api="jax.scipy.special.xlogy, xlog1py",
    grade=LOG1P,
    documentation=JAX + "jax.scipy.special.xlogy.html",
)
def xlogy_and_xlog1py(probabilities, targets):
    return -(xlogy(targets, probabilities) + xlog1py(1 - targets, -probabilities))


@implements(
    "binary_cross_entropy",
    api="jax.scipy.stats.bernoulli.logpmf",
    grade=LOG1P,
    documentation=JAX + "jax.scipy.stats.bernoulli.logpmf.html",
)
def bernoulli_logpmf(probabilities, targets):
    return -bernoulli.logpmf(targets, probabilities)


@implements("categorical_cross_entropy", api="jnp.log, -sum(t * log p)", documentation=JAX + "jax.numpy.log.html")
def sum_of_log(probabilities, targets):
    return -jnp.sum(targets * jnp.log(probabilities), axis=-1)


@implements("categorical_cross_entropy", api="jax.scipy.special.xlogy", documentation=JAX + "jax.scipy.special.xlogy.html")
def sum_of_xlogy(probabilities, targets):
    return -jnp.sum(xlogy(targets, probabilities), axis=-1)


@implements(
    "sparse_categorical_cross_entropy",
    api="jnp.log, jnp.take_along_axis",
    semantics=_TAKEN,
    documentation=TAKE_ALONG_AXIS,
)
def log_taken_at_label(probabilities, labels):
    return -jnp.take_along_axis(jnp.log(probabilities), labels[..., None], axis=-1)[..., 0]


@implements(
    "sparse_categorical_cross_entropy",
    api="jnp.log, jax.nn.one_hot",
    semantics=Semantics(negative_index="zero", index_too_large="zero"),
    documentation=ONE_HOT,
)
def log_times_one_hot(probabilities, labels):
    one_hot = jax.nn.one_hot(labels, probabilities.shape[-1], dtype=probabilities.dtype)
    return -jnp.sum(one_hot * jnp.log(probabilities), axis=-1)


@implements(
    "sigmoid_cross_entropy_with_logits",
    api="optax.losses.sigmoid_binary_cross_entropy",
    grade=LOG_SIGMOID,
    documentation=OPTAX_LOSSES,
)
def sigmoid_binary_cross_entropy(logits, targets):
    return optax.losses.sigmoid_binary_cross_entropy(logits, targets)


@implements(
    "sigmoid_cross_entropy_with_logits",
    api="jax.nn.log_sigmoid",
    grade=LOG_SIGMOID,
    documentation=JAX + "jax.nn.log_sigmoid.html",
)
def log_sigmoid(logits, targets):
    return -(targets * jax.nn.log_sigmoid(logits) + (1 - targets) * jax.nn.log_sigmoid(-logits))


@implements(
    "sigmoid_cross_entropy_with_logits",
    api="jnp.log(jax.nn.sigmoid)",
    grade=Grade("pair", "pair"),
    documentation=JAX + "jax.nn.sigmoid.html",
    textbook=True,
)
def log_of_sigmoid(logits, targets):
    probabilities = jax.nn.sigmoid(logits)
    return -(targets * jnp.log(probabilities) + (1 - targets) * jnp.log(1 - probabilities))


@implements(
    "softmax_cross_entropy_with_logits",
    api="optax.losses.softmax_cross_entropy",
    options=("where", "class_axis"),
    semantics=Semantics(masked_class="nan"),
    grade=LOG_SOFTMAX,
    documentation=OPTAX_LOSSES,
)
def softmax_cross_entropy(logits, targets, *, where=None, class_axis=-1):
    return optax.losses.softmax_cross_entropy(logits, targets, axis=class_axis, where=where)


_REDUCE = {"none": None, "sum": jnp.sum, "mean": jnp.mean}


@implements(
    "softmax_cross_entropy_with_logits",
    api="optax.losses.ranking_softmax_loss",
    options=("reduction", "class_weight", "where"),
    semantics=Semantics(mean_divisor="rows"),
    grade=LOG_SOFTMAX,
    documentation=OPTAX_LOSSES,
)
def ranking_softmax_loss(logits, targets, *, reduction, class_weight=None, where=None):
    reduce_fn = _REDUCE[reduction]
    return optax.losses.ranking_softmax_loss(logits, targets, where=where, weights=class_weight, reduce_fn=reduce_fn)


@implements(
    "softmax_cross_entropy_with_logits",
    api="optax.losses.softmax_cross_entropy over optax.losses.smooth_labels",
    dtypes=IN_ONE,
    options=("label_smoothing",),
    semantics=Semantics(masked_class="nan"),
    grade=LOG_SOFTMAX,
    documentation=OPTAX_LOSSES,
)
def softmax_cross_entropy_of_smooth_labels(logits, targets, *, label_smoothing=0.0):
    return optax.losses.softmax_cross_entropy(logits, optax.losses.smooth_labels(targets, label_smoothing))


@implements(
    "softmax_cross_entropy_with_logits",
    api="optax.losses.safe_softmax_cross_entropy",
    grade=LOG_SOFTMAX,
    documentation=OPTAX_LOSSES,
)
def safe_softmax_cross_entropy(logits, targets):
    return optax.losses.safe_softmax_cross_entropy(logits, targets)


@implements(
    "softmax_cross_entropy_with_logits",
    api="jax.nn.log_softmax, -sum(t * log p)",
    grade=LOG_SOFTMAX,
    documentation=JAX + "jax.nn.log_softmax.html",
)
def sum_of_log_softmax(logits, targets):
    return -jnp.sum(targets * jax.nn.log_softmax(logits), axis=-1)


@implements(
    "softmax_cross_entropy_with_logits",
    api="jax.nn.logsumexp, sum(t * (lse - x))",
    grade=LOG_SUM_EXP,
    documentation=JAX + "jax.nn.logsumexp.html",
)
def sum_of_logsumexp(logits, targets):
    return jnp.sum(targets * (jax.nn.logsumexp(logits, axis=-1, keepdims=True) - logits), axis=-1)


@implements(
    "softmax_cross_entropy_with_logits",
    api="jnp.log(jax.nn.softmax)",
    grade=LOG_OF_SOFTMAX,
    documentation=JAX + "jax.nn.softmax.html",
    textbook=True,
)
def sum_of_log_of_softmax(logits, targets):
    return -jnp.sum(targets * jnp.log(jax.nn.softmax(logits)), axis=-1)


@implements(
    "sparse_softmax_cross_entropy_with_logits",
    api="optax.losses.softmax_cross_entropy_with_integer_labels",
    options=("where", "class_axis"),
    grade=LOG_SUM_EXP,
    documentation=OPTAX_LOSSES,
)
def softmax_cross_entropy_with_integer_labels(logits, labels, *, where=None, class_axis=-1):
    return optax.losses.softmax_cross_entropy_with_integer_labels(logits, labels, axis=class_axis, where=where)


@implements(
    "sparse_softmax_cross_entropy_with_logits",
    api="jax.nn.log_softmax, jnp.take_along_axis",
    semantics=_TAKEN,
    grade=LOG_SOFTMAX,
    documentation=TAKE_ALONG_AXIS,
)
def log_softmax_taken_at_label(logits, labels):
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[..., None], axis=-1)[..., 0]


@implements(
    "sparse_softmax_cross_entropy_with_logits",
    api="jax.nn.log_softmax, jax.nn.one_hot",
    semantics=Semantics(negative_index="zero", index_too_large="zero"),
    grade=LOG_SOFTMAX,
    documentation=ONE_HOT,
)
def log_softmax_times_one_hot(logits, labels):
    one_hot = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
    return -jnp.sum(one_hot * jax.nn.log_softmax(logits), axis=-1)


@implements(
    "sparse_softmax_cross_entropy_with_logits",
    api="jax.nn.logsumexp, lse - x[label]",
    semantics=Semantics(negative_index="wrap", index_too_large="nan_value"),
    grade=LOG_SUM_EXP,
    documentation=TAKE_ALONG_AXIS,
)
def logsumexp_minus_label(logits, labels):
    label_logits = jnp.take_along_axis(logits, labels[..., None], axis=-1)[..., 0]
    return jax.nn.logsumexp(logits, axis=-1) - label_logits


@implements(
    "sparse_softmax_cross_entropy_with_logits",
    api="jnp.log(jax.nn.softmax), jnp.take_along_axis",
    semantics=_TAKEN,
    grade=LOG_OF_SOFTMAX,
    documentation=TAKE_ALONG_AXIS,
    textbook=True,
)
def log_of_softmax_taken_at_label(logits, labels):
    return -jnp.take_along_axis(jnp.log(jax.nn.softmax(logits)), labels[..., None], axis=-1)[..., 0]


@implements(
    "negative_log_likelihood",
    api="-jnp.take_along_axis",
    dtypes=IN_ONE,
    semantics=_TAKEN,
    documentation=TAKE_ALONG_AXIS,
)
def taken_at_label(log_probabilities, labels):
    return -jnp.take_along_axis(log_probabilities, labels[..., None], axis=-1)[..., 0]


@implements(
    "kl_divergence",
    api="jax.scipy.special.rel_entr",
    grade=Grade("terms", "separate"),
    documentation=JAX + "jax.scipy.special.rel_entr.html",
)
def relative_entropy(probabilities, targets):
    return jnp.sum(rel_entr(targets, probabilities), axis=-1)


@implements(
    "kl_divergence_of_log_probabilities",
    api="optax.losses.kl_divergence",
    options=("where", "class_axis"),
    documentation=OPTAX_LOSSES,
)
def kl_divergence(log_probabilities, targets, *, where=None, class_axis=-1):
    return optax.losses.kl_divergence(log_probabilities, targets, axis=class_axis, where=where)


@implements(
    "kl_divergence_with_log_targets",
    api="optax.losses.kl_divergence_with_log_targets",
    options=("where", "class_axis"),
    documentation=OPTAX_LOSSES,
)
def kl_divergence_with_log_targets(log_probabilities, log_targets, *, where=None, class_axis=-1):
    return optax.losses.kl_divergence_with_log_targets(log_probabilities, log_targets, axis=class_axis, where=where)


@implements(
    "soft_margin",
    api="jax.nn.softplus(-y * x)",
    grade=Grade("log1p", "lse"),
    documentation=JAX + "jax.nn.softplus.html",
)
def softplus_of_margin(logits, signs):
    return jax.nn.softplus(-signs * logits)


@implements(
    "multilabel_soft_margin",
    api="mean of optax.losses.sigmoid_binary_cross_entropy",
    dtypes=IN_ONE,
    options=("class_weight",),
    grade=LOG_SIGMOID,
    documentation=OPTAX_LOSSES,
)
def mean_of_sigmoid_binary_cross_entropy(logits, targets, *, class_weight=1.0):
    return jnp.mean(class_weight * optax.losses.sigmoid_binary_cross_entropy(logits, targets), axis=-1)


@implements(
    "binary_focal_cross_entropy_with_logits",
    api="optax.losses.sigmoid_focal_loss",
    options=("alpha", "gamma"),
    grade=Grade("log_space", "log_space"),
    documentation=OPTAX_LOSSES,
)
def sigmoid_focal_loss(logits, targets, *, alpha=None, gamma=2.0):
    return optax.losses.sigmoid_focal_loss(logits, targets, alpha=alpha, gamma=gamma)


@implements(
    "poly_loss_cross_entropy",
    api="optax.losses.poly_loss_cross_entropy",
    options=("epsilon", "where", "class_axis"),
    grade=LOG_SOFTMAX,
    documentation=OPTAX_LOSSES,
)
def poly_loss_cross_entropy(logits, targets, *, epsilon=2.0, where=None, class_axis=-1):
    return optax.losses.poly_loss_cross_entropy(logits, targets, epsilon=epsilon, axis=class_axis, where=where)


@implements(
    "sparse_softmax_cross_entropy_with_logits",
    api="optax.losses.softmax_cross_entropy_with_integer_labels of c * tanh(x / c), plus z * logsumexp(x)**2",
    dtypes=IN_ONE,
    options=("soft_cap", "z_loss"),
    grade=LOG_SUM_EXP,
    documentation=OPTAX_LOSSES,
)
def integer_labels_with_soft_cap_and_z_loss(logits, labels, *, soft_cap=None, z_loss=None):
    if soft_cap is not None:
        logits = soft_cap * jnp.tanh(logits / soft_cap)
    loss = optax.losses.softmax_cross_entropy_with_integer_labels(logits, labels)
    if z_loss is not None:
        loss += z_loss * jax.nn.logsumexp(logits, axis=-1) ** 2
    return loss


@implements(
    "binary_focal_cross_entropy",
    api="jnp.log, -(1 - p_t)**gamma * (t * log(p) + (1 - t) * log(1 - p))",
    dtypes=IN_ONE,
    options=("alpha", "gamma"),
    documentation=JAX + "jax.numpy.log.html",
)
def binary_focal_of_log(probabilities, targets, *, alpha=None, gamma=2.0):
    chance = targets * (1 - probabilities) + (1 - targets) * probabilities
    weight = 1.0 if alpha is None else alpha * targets + (1 - alpha) * (1 - targets)
    loss = -(targets * jnp.log(probabilities) + (1 - targets) * jnp.log(1 - probabilities))
    return weight * chance**gamma * loss


@implements(
    "binary_focal_cross_entropy_with_logits",
    api="optax.losses.sigmoid_binary_cross_entropy, times (1 - p_t)**gamma",
    dtypes=IN_ONE,
    options=("alpha", "gamma"),
    grade=LOG_SIGMOID,
    documentation=OPTAX_LOSSES,
)
def binary_focal_with_logits(logits, targets, *, alpha=None, gamma=2.0):
    p = jax.nn.sigmoid(logits)
    chance = targets * (1 - p) + (1 - targets) * p
    weight = 1.0 if alpha is None else alpha * targets + (1 - alpha) * (1 - targets)
    return weight * chance**gamma * optax.losses.sigmoid_binary_cross_entropy(logits, targets)


@implements(
    "categorical_focal_cross_entropy",
    api="jnp.log, -sum(t * (1 - p)**gamma * log(p))",
    dtypes=IN_ONE,
    options=("class_weight", "alpha", "gamma"),
    documentation=JAX + "jax.numpy.log.html",
)
def categorical_focal_of_log(probabilities, targets, *, class_weight=1.0, alpha=1.0, gamma=2.0):
    weight = class_weight * alpha * (1 - probabilities) ** gamma
    return -jnp.sum(weight * targets * jnp.log(probabilities), axis=-1)


@implements(
    "categorical_focal_cross_entropy_with_logits",
    api="jax.nn.log_softmax, -sum(t * (1 - p)**gamma * log(p))",
    dtypes=IN_ONE,
    options=("class_weight", "alpha", "gamma"),
    grade=LOG_SOFTMAX,
    documentation=JAX + "jax.nn.log_softmax.html",
)
def categorical_focal_of_log_softmax(logits, targets, *, class_weight=1.0, alpha=1.0, gamma=2.0):
    log_p = jax.nn.log_softmax(logits)
    weight = class_weight * alpha * (1 - jnp.exp(log_p)) ** gamma
    return -jnp.sum(weight * targets * log_p, axis=-1)


@implements(
    "generalized_cross_entropy",
    api="jnp.take_along_axis, (1 - p**q) / q",
    dtypes=IN_ONE,
    options=("q",),
    semantics=_TAKEN,
    documentation=TAKE_ALONG_AXIS,
)
def generalized_by_power(probabilities, labels, *, q=0.5):
    p = jnp.take_along_axis(probabilities, labels[..., None], axis=-1)[..., 0]
    return (1 - p**q) / q


@implements(
    "linear_cross_entropy",
    api="optax.losses.softmax_cross_entropy_with_integer_labels over @",
    grade=LOG_SUM_EXP,
    documentation=OPTAX_LOSSES,
)
def integer_labels_of_product(hidden, labels, *, linear_weight, linear_bias=0.0):
    logits = hidden @ linear_weight.T + linear_bias
    return optax.losses.softmax_cross_entropy_with_integer_labels(logits, labels)


@implements(
    "linear_cross_entropy_with_soft_targets",
    api="optax.losses.softmax_cross_entropy over @",
    documentation=OPTAX_LOSSES,
)
def soft_targets_of_product(hidden, targets, *, linear_weight, linear_bias=0.0):
    logits = hidden @ linear_weight.T + linear_bias
    return optax.losses.softmax_cross_entropy(logits, targets)
