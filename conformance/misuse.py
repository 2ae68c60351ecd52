"""Misuse: measures what each API does with data that is not its own."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from adapters.binding import Binding
from adapters.framework import Outcome, describe_error
from adapters.loading import Adapter
from conformance.findings import show
from conformance.profiles import SMALL
from conformance.trial import Trial, float64
from reference.bounds import Bounds, bound_ratio, error_bounds, reduced_bound
from reference.evaluate import evaluate
from reference.losses import FOUNDING_TABLE, LOSSES, Grade
from reference.options import NONE, Options, one_hot_targets
from reports.record import DataKindInfo, Misuse, MisuseOutcome, Number, number

DTYPE = "float32"
"""What a newcomer has."""


@dataclass(frozen=True, eq=False)
class DataKind:
    """One kind of data that a user has, with a worked case.

    ``prediction`` and ``target`` are two rows in the shapes and dtypes that the user has them in. ``loss`` is the one that is
    meant, and ``meant`` what it takes, where that is not what the user has. ``right`` is the loss that takes the data as they
    are, "" if none does. ``lesson`` says what to do with them.
    """

    name: str
    prediction: NDArray
    target: NDArray
    loss: str
    right: str
    lesson: str = ""
    meant: tuple[NDArray, NDArray] | None = None

    @property
    def rows(self) -> tuple[NDArray, NDArray]:
        """The two rows over and over, prediction and target: a shape bucket that compilers have seen."""
        return _fill(self.prediction), _fill(self.target)


def _fill(rows: NDArray) -> NDArray:
    return rows[np.arange(SMALL[0]) % len(rows)]


def _array(rows: ArrayLike) -> NDArray:
    return np.array(rows, DTYPE)


def _log(probabilities: NDArray) -> NDArray:
    return np.log(probabilities).astype(DTYPE)


def _exp(logs: NDArray) -> NDArray:
    """Return the probabilities that rounded log-probabilities stand for."""
    return np.exp(logs.astype(np.float64))


_LOGIT, _PROBABILITY, _YES = _array([[2.0], [0.5]]), _array([[0.75], [0.625]]), _array([[1.0], [0.0]])
_LABEL_OF_YES, _LIKELY = _YES[:, 0].astype(np.int64), _array([[0.875], [0.25]])
_TWO_LOGITS = _array([[0.5, 2.0], [1.0, 0.25]])
_LOGITS, _LABELS = _array([[2.0, 0.5, -1.0], [0.25, 1.0, 0.5]]), np.array([0, 2])
_PROBABILITIES, _SOFT = _array([[0.625, 0.25, 0.125], [0.25, 0.5, 0.25]]), _array([[0.5, 0.25, 0.25], [0.125, 0.25, 0.625]])
_ONE_HOT = one_hot_targets(_LABELS, 3).astype(DTYPE)
_INDEPENDENT, _SEVERAL = _array([[0.75, 0.625, 0.25], [0.5, 0.875, 0.375]]), _array([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0]])
_SEVERAL_SOFT = _array([[0.875, 0.5, 0.25], [0.75, 0.125, 0.5]])

_BINARY, _SIGMOID = "binary_cross_entropy", "sigmoid_cross_entropy_with_logits"
_CATEGORICAL, _SPARSE_CATEGORICAL = "categorical_cross_entropy", "sparse_categorical_cross_entropy"
_SOFTMAX, _SPARSE = "softmax_cross_entropy_with_logits", "sparse_softmax_cross_entropy_with_logits"
_LIKE_PREDICTION = "Give the labels the shape and the dtype of the prediction."
_KEEP_LOGITS = "No loss takes log-probabilities of independent outcomes: keep the logits, or give exp(x) as probability."

DATA_KINDS: tuple[DataKind, ...] = (
    DataKind("one logit a row (N, 1), targets 0 or 1 (N, 1)", _LOGIT, _YES, _SIGMOID, _SIGMOID),
    DataKind("one logit a row (N, 1), soft targets (N, 1)", _LOGIT, _LIKELY, _SIGMOID, _SIGMOID),
    DataKind("one probability a row (N, 1), targets 0 or 1 (N, 1)", _PROBABILITY, _YES, _BINARY, _BINARY),
    DataKind("one probability a row (N, 1), soft targets (N, 1)", _PROBABILITY, _LIKELY, _BINARY, _BINARY),
    DataKind(
        "one log-probability a row (N, 1), targets 0 or 1 (N, 1)",
        _log(_PROBABILITY),
        _YES,
        _BINARY,
        "",
        _KEEP_LOGITS,
        meant=(_exp(_log(_PROBABILITY)), _YES),
    ),
    DataKind(
        "one log-probability a row (N, 1), soft targets (N, 1)",
        _log(_PROBABILITY),
        _LIKELY,
        _BINARY,
        "",
        _KEEP_LOGITS,
        meant=(_exp(_log(_PROBABILITY)), _LIKELY),
    ),
    DataKind(
        "one logit a row (N, 1), labels 0 or 1 (N,)",
        _LOGIT,
        _LABEL_OF_YES,
        _SIGMOID,
        "",
        _LIKE_PREDICTION,
        meant=(_LOGIT, _YES),
    ),
    DataKind(
        "one probability a row (N, 1), labels 0 or 1 (N,)",
        _PROBABILITY,
        _LABEL_OF_YES,
        _BINARY,
        "",
        _LIKE_PREDICTION,
        meant=(_PROBABILITY, _YES),
    ),
    DataKind(
        "two logits a row (N, 2), targets 0 or 1 (N, 1)",
        _TWO_LOGITS,
        _YES,
        _SPARSE,
        "",
        "Two outputs are two classes: give integer labels of the shape (N,), or let the model have one output.",
        meant=(_TWO_LOGITS, _LABEL_OF_YES),
    ),
    DataKind("one logit a row (N, 1), targets -1 or 1 (N, 1)", _LOGIT, 2 * _YES - 1, "soft_margin", "soft_margin"),
    DataKind("class logits (N, C), labels (N,)", _LOGITS, _LABELS, _SPARSE, _SPARSE),
    DataKind(
        "class logits (N, C), labels in a column (N, 1)",
        _LOGITS,
        _LABELS[:, None],
        _SPARSE,
        "",
        "Give the labels the shape (N,).",
        meant=(_LOGITS, _LABELS),
    ),
    DataKind(
        "class logits (N, C), labels as floating numbers (N,)",
        _LOGITS,
        _LABELS.astype(DTYPE),
        _SPARSE,
        "",
        "Give the labels an integer dtype.",
        meant=(_LOGITS, _LABELS),
    ),
    DataKind("class logits (N, C), one-hot targets (N, C)", _LOGITS, _ONE_HOT, _SOFTMAX, _SOFTMAX),
    DataKind(
        "class logits (N, C), one-hot integers (N, C)",
        _LOGITS,
        _ONE_HOT.astype(np.int64),
        _SOFTMAX,
        "",
        "Give the one-hot targets the dtype of the logits.",
        meant=(_LOGITS, _ONE_HOT),
    ),
    DataKind("class logits (N, C), soft targets (N, C)", _LOGITS, _SOFT, _SOFTMAX, _SOFTMAX),
    DataKind("class probabilities (N, C), labels (N,)", _PROBABILITIES, _LABELS, _SPARSE_CATEGORICAL, _SPARSE_CATEGORICAL),
    DataKind(
        "class probabilities (N, C), labels in a column (N, 1)",
        _PROBABILITIES,
        _LABELS[:, None],
        _SPARSE_CATEGORICAL,
        "",
        "Give the labels the shape (N,).",
        meant=(_PROBABILITIES, _LABELS),
    ),
    DataKind("class probabilities (N, C), one-hot targets (N, C)", _PROBABILITIES, _ONE_HOT, _CATEGORICAL, _CATEGORICAL),
    DataKind("class probabilities (N, C), soft targets (N, C)", _PROBABILITIES, _SOFT, _CATEGORICAL, _CATEGORICAL),
    DataKind(
        "class log-probabilities (N, C), labels (N,)",
        _log(_PROBABILITIES),
        _LABELS,
        _SPARSE,
        "negative_log_likelihood",
        "Log-probabilities are logits whose logsumexp is 0: a softmax loss changes nothing, and costs one softmax more.",
    ),
    DataKind(
        "class log-probabilities (N, C), soft targets (N, C)",
        _log(_PROBABILITIES),
        _SOFT,
        _SOFTMAX,
        "",
        "Log-probabilities are logits whose logsumexp is 0: a softmax loss changes nothing, and costs one softmax more.",
    ),
    DataKind("multi-label logits (N, C), targets 0 or 1 (N, C)", _LOGITS, _SEVERAL, _SIGMOID, _SIGMOID),
    DataKind(
        "multi-label logits (N, C), targets 0 or 1 as integers (N, C)",
        _LOGITS,
        _SEVERAL.astype(np.int64),
        _SIGMOID,
        "",
        "Give the targets the dtype of the logits.",
        meant=(_LOGITS, _SEVERAL),
    ),
    DataKind("multi-label logits (N, C), soft targets (N, C)", _LOGITS, _SEVERAL_SOFT, _SIGMOID, _SIGMOID),
    DataKind("multi-label probabilities (N, C), targets 0 or 1 (N, C)", _INDEPENDENT, _SEVERAL, _BINARY, _BINARY),
    DataKind("multi-label probabilities (N, C), soft targets (N, C)", _INDEPENDENT, _SEVERAL_SOFT, _BINARY, _BINARY),
    DataKind(
        "multi-label log-probabilities (N, C), targets 0 or 1 (N, C)",
        _log(_INDEPENDENT),
        _SEVERAL,
        _BINARY,
        "",
        _KEEP_LOGITS,
        meant=(_exp(_log(_INDEPENDENT)), _SEVERAL),
    ),
    DataKind(
        "multi-label log-probabilities (N, C), soft targets (N, C)",
        _log(_INDEPENDENT),
        _SEVERAL_SOFT,
        _BINARY,
        "",
        _KEEP_LOGITS,
        meant=(_exp(_log(_INDEPENDENT)), _SEVERAL_SOFT),
    ),
)
"""The kinds of data: one output, classes, several labels; probability, logit, log-probability; soft, one-hot, index, sign."""


@dataclass(frozen=True, eq=False)
class View:
    """The right loss in one shape that an API may give it, and its bound."""

    value: NDArray
    bound: NDArray

    def fits(self, got: NDArray) -> bool:
        """Tell whether a result has this shape; an axis of length one, more or less, changes no loss."""
        return got.squeeze().shape == self.value.squeeze().shape

    def holds(self, got: NDArray) -> bool:
        """Tell whether a result is this loss within its bound."""
        return self.fits(got) and bool((self.ratio(got) <= 1).all())

    def ratio(self, got: NDArray) -> NDArray:
        """Return error over bound of a result that fits."""
        return bound_ratio(got.squeeze(), self.value.squeeze(), self.bound.squeeze(), precision=DTYPE)

    def mean(self) -> "View":
        """Return the mean of the losses, which is all that a metric gives."""
        losses, bound = self.value.ravel(), self.bound.ravel()
        mean = reduced_bound(losses, Bounds(bound, bound, None), reduction="mean", precision=DTYPE)
        return View(np.asarray(losses.mean()), np.asarray(mean))


@cache
def right_loss(kind: DataKind) -> tuple[View, ...]:
    """Return the loss that is meant: one for each row or outcome, and where these are outcomes their mean and sum by row.

    The bound is the largest of those of all sound forms: which one an API computes by is not the question here.
    """
    x, t = map(_fill, kind.meant) if kind.meant else kind.rows
    spec = LOSSES[kind.loss]
    truth = evaluate(kind.loss, x, t, precision=DTYPE)
    grades = [Grade(form, spec.gradient_forms[0]) for form in spec.value_forms]
    bound = np.max([error_bounds(kind.loss, x, t, truth, grade=grade, precision=DTYPE).value for grade in grades], axis=0)
    whole = View(truth.value, bound)
    alone = spec.has_classes or truth.value.shape[-1] == 1
    return (whole,) if alone else (_by_row(whole, "mean"), _by_row(whole, "sum"), whole)


def _by_row(whole: View, reduction: str) -> View:
    value = whole.value.mean(-1) if reduction == "mean" else whole.value.sum(-1)
    rows = zip(whole.value, whole.bound, strict=True)
    bounds = [reduced_bound(v, Bounds(b, b, None), reduction=reduction, precision=DTYPE) for v, b in rows]
    return View(value, np.array(bounds))


def measured(bindings: Sequence[Binding]) -> list[Binding]:
    """Return the bindings whose misuse is measured: the calls of an API, not what is stacked by hand.

    Of those that have a mode of their own, such as compiled models, one form of each loss of the founding table: what they do
    to data on the way to a loss is the same for every loss, and in training and evaluation; each kind of data is a program.
    """
    calls = [binding for binding in bindings if not (binding.textbook or binding.stand_in)]
    first = {(binding.loss, binding.mode): binding for binding in reversed(calls)}
    return [
        binding
        for binding in calls
        if not binding.mode or (binding.loss in FOUNDING_TABLE and first[binding.loss, binding.mode] is binding)
    ]


def misuses(binding: Binding, adapter: Adapter, device: str) -> list[Misuse]:
    """Return what a binding does with every kind of data that its API does not expect: a line for each, always the same.

    It is called as the questions call it, in float32 and in its first mode; without reduction, if it can do without. A
    framework that compiles may leave the gradient out: the table is about the loss that comes of it.
    """
    trial = Trial(binding, adapter.framework, binding.mode or adapter.framework.modes[0], DTYPE, device)
    traced: dict[tuple[object, ...], str] = {}
    return [_misuse(kind, trial, traced) for kind in _not_its_own(binding, adapter)]


def unanswered(binding: Binding, adapter: Adapter, why: str) -> list[Misuse]:
    """Return the lines of a binding that could not be measured: nobody knows which kind of data ended it."""
    message = f"could not be measured with all kinds of data: {why}"[:300]
    return [Misuse(kind.name, binding.loss, binding.api, "crash", message=message) for kind in _not_its_own(binding, adapter)]


def _not_its_own(binding: Binding, adapter: Adapter) -> list[DataKind]:
    """Return the kinds of data that no binding of this API takes; a focal loss, say, takes what its cross-entropy takes."""
    own = {_takes(other.loss) for other in adapter.bindings if other.api == binding.api}
    return [kind for kind in DATA_KINDS if not kind.right or _takes(kind.right) not in own]


def _takes(loss: str) -> tuple[str, str]:
    return LOSSES[loss].prediction, LOSSES[loss].target


def _beside(trial: Trial, kind: DataKind) -> Options:
    """Return what a loss takes beside its data: of hidden states the matrix that leaves them as they are."""
    return Options(linear_weight=np.eye(kind.prediction.shape[-1], dtype=DTYPE)) if trial.loss.parameters else NONE


def _misuse(kind: DataKind, trial: Trial, traced: dict[tuple[object, ...], str]) -> Misuse:
    """Measure one kind of data; ``traced`` has the warnings by shape and dtype: who compiles, warns once for all calls."""
    reduction = trial.binding.least_reduced
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for hidden in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
            warnings.simplefilter("ignore", hidden)  # as Python does: the user of a library does not see them
        outcome = trial.call(*kind.rows, reduction=reduction, options=_beside(trial, kind), value_only=True).outcome
    views = right_loss(kind) if reduction == "none" else tuple(view.mean() for view in right_loss(kind))
    warning = describe_error(caught[0].category(str(caught[0].message))) if caught else ""
    program = tuple((array.shape, array.dtype.name) for array in kind.rows)
    if outcome.compile_seconds:
        traced[program] = warning
    warning = warning or traced.get(program, "")
    name = classify(views, outcome, warned=bool(warning))
    misuse = Misuse(kind.name, trial.binding.loss, trial.binding.api, name, message=outcome.error or warning)
    if outcome.error:
        return misuse
    got, expected, factor = _compare(views, float64(outcome.value))
    return msgspec.structs.replace(misuse, got=got, expected=expected, factor=factor)


def classify(views: tuple[View, ...], outcome: Outcome, *, warned: bool) -> MisuseOutcome:
    """Return the kind of outcome: a result within the bound of the right loss, in any of its shapes, is harmless."""
    got = float64(outcome.value)
    if outcome.error:
        return "raises"
    if any(view.holds(got) for view in views):
        return "harmless"
    if warned:
        return "wrong with a warning"
    return "silently wrong" if any(view.fits(got) for view in views) else "wrong shape"


def _compare(views: tuple[View, ...], got: NDArray) -> tuple[str, str, Number]:
    """Return the first rows of what was got and of what was expected, or their shapes, and the factor between their means."""
    fitting = [view for view in views if view.fits(got)]
    expected = next((view.value for view in fitting if view.holds(got)), fitting[0].value if fitting else views[-1].value)
    with np.errstate(all="ignore"):
        factor = number(float(got.mean() / expected.mean()))
    if not fitting:
        return f"shape {got.shape}", f"shape {expected.shape}", factor
    return _first_rows(got), _first_rows(expected), factor


def _first_rows(losses: NDArray) -> str:
    return _on_a_line(np.atleast_1d(losses.squeeze())[:2].astype(DTYPE) + np.float32(0))  # -0.0 is 0.0 to everyone


def _on_a_line(array: NDArray) -> str:
    return " ".join(show(array).split())


def describe_kinds() -> list[DataKindInfo]:
    """Return the kinds of data as a result file has them."""
    return [DataKindInfo(kind.name, kind.loss, kind.right, _case(kind), kind.lesson) for kind in DATA_KINDS]


def _case(kind: DataKind) -> str:
    rows = f"prediction {_on_a_line(kind.prediction)}, target {_on_a_line(kind.target)}"
    return f"{rows}, these two rows repeated to N = {SMALL[0]}"
