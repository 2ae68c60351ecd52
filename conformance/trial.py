"""A trial: one binding in one mode and dtype, asked for outcomes, beside what the reference expects of it."""

from collections import Counter
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.binding import Binding
from adapters.framework import Call, Framework, Outcome
from conformance.cases import Batch
from reference.bounds import Bounds, error_bounds, reduced_bound, scaled_gradient_bound
from reference.evaluate import Evaluation, evaluate
from reference.losses import FOUNDING_TABLE, LOSSES, Grade, Loss
from reference.options import NONE, PARAMETERS, Options
from reference.precision import PRECISIONS, Precision
from reference.semantics import MATHEMATICAL, Semantics


@dataclass(frozen=True, eq=False)
class Expected:
    """What the reference says of one batch, without reduction: the truth and the bounds of the declared grade."""

    truth: Evaluation
    bounds: Bounds
    precision: str

    def of(self, quantity: str) -> tuple[NDArray, NDArray]:
        """Return truth and bound of a quantity of `QUANTITIES`."""
        field = QUANTITIES[quantity]
        return getattr(self.truth, field), getattr(self.bounds, field)


@dataclass(frozen=True, eq=False)
class Answer:
    """What a binding answered to a call, in a dtype."""

    call: Call
    outcome: Outcome
    precision: str

    def array(self, quantity: str) -> NDArray | None:
        """Return a quantity of `QUANTITIES`, or the gradient of a parameter by its name; None if there is none."""
        if quantity in PARAMETERS:
            return self.outcome.parameter_gradients.get(quantity)
        return getattr(self.outcome, QUANTITIES[quantity])

    def trouble(self, quantity: str, shape: tuple[int, ...]) -> str:
        """Say why a quantity is no array of a shape; nothing if it is one."""
        if self.outcome.error:
            return f"raises {self.outcome.error}"
        array = self.array(quantity)
        if array is None:
            return "nothing"
        return "" if array.shape == shape else f"an array of shape {array.shape}"


QUANTITIES = {"value": "value", "gradient": "gradient", "target gradient": "target_gradient"}
"""What a call answers, and the fields that hold it."""


@dataclass
class Tally:
    """What a worker has spent: rows, and seconds in the framework and in its compilers."""

    rows: int = 0
    framework_seconds: float = 0.0
    compile_seconds: float = 0.0


TALLY = Tally()
"""The tally of this process."""


_NO_GRADE = Grade("", "")


@dataclass(frozen=True)
class Trial:
    """One binding under question.

    ``semantics`` and ``grade`` are those that the expected results are computed under: first the mathematics, then what
    the documentation states, then what an expectation says.
    """

    binding: Binding
    framework: Framework
    mode: str
    dtype: str
    device: str
    siblings: tuple[Binding, ...] = ()
    semantics: Semantics = MATHEMATICAL
    grade: Grade = _NO_GRADE

    @property
    def loss(self) -> Loss:
        """The loss that the binding computes."""
        return LOSSES[self.binding.loss]

    @property
    def precision(self) -> str:
        """The dtype that the loss is computed in."""
        return "float32" if self.semantics.computation_dtype == "float32" else self.dtype

    @property
    def value_dtype(self) -> str:
        """The dtype of the losses that are returned without reduction."""
        return "float64" if self.semantics.computation_dtype == "float64_result" else self.precision

    @property
    def outer_precision(self) -> str:
        """The dtype that losses are reduced in and upstream gradients are taken in."""
        return self.dtype if self.semantics.computation_dtype in ("input", "float64_result") else "float32"

    @property
    def reductions_under_options(self) -> tuple[str, ...]:
        """The reductions that are asked under options: all, but of a stand-in, which reduces in a step of its own.

        Of that the losses and their mean, or the mean alone where each call is dear.
        """
        if not self.binding.stand_in:
            return self.binding.reductions
        return ("mean",) if self.framework.sparing else ("none", "mean")

    def under(self, semantics: Semantics, grade: Grade | None = None) -> "Trial":
        """Return the same trial judged under other semantics."""
        return replace(self, semantics=semantics, grade=grade or self.grade)

    def call(
        self,
        prediction: NDArray,
        target: NDArray,
        *,
        reduction: str = "none",
        cotangent: NDArray | None = None,
        options: Options = NONE,
        class_axis: int | None = None,
        value_only: bool = False,
    ) -> Answer:
        """Run the binding and its gradient, or without the gradient where a framework can save it."""
        given = options.given
        parameters = {name: given[name] for name in self.loss.parameters if name in given}
        arrays = {name: value for name, value in given.items() if isinstance(value, np.ndarray) and name not in parameters}
        numbers = {name: value for name, value in given.items() if name not in arrays and name not in parameters}
        if "reduction" in self.binding.options:
            numbers["reduction"] = reduction
        if class_axis is not None:
            numbers["class_axis"] = class_axis
        function = self.binding.function
        call = Call(prediction, target, reduction, cotangent, arrays, numbers, parameters, value_only)
        outcome = self.framework.run(
            lambda x, t, **given: function(x, t, **numbers, **given),
            call,
            key=(self.binding.loss, self.binding.api, *sorted(numbers.items()), *sorted(arrays), *parameters),
            mode=self.mode,
            device=self.device,
        )
        TALLY.rows += len(prediction)
        TALLY.framework_seconds += outcome.seconds
        TALLY.compile_seconds += outcome.compile_seconds
        return Answer(call, outcome, self.precision)

    def ask(
        self,
        batch: Batch,
        *,
        reduction: str = "none",
        class_axis: int | None = None,
        cotangent: NDArray | None = None,
    ) -> Answer:
        """Run the binding on a batch, under its options, or return what it answered before where the framework keeps that."""
        if not self.framework.keeps_answers:
            return _call(self, batch, reduction, class_axis, cotangent)
        asked = replace(self, siblings=(), semantics=MATHEMATICAL, grade=_NO_GRADE)
        upstream = None if cotangent is None else (cotangent.dtype.str, cotangent.shape, cotangent.tobytes())
        return replace(_kept(asked, batch, reduction, class_axis, upstream), precision=self.precision)

    def expect(self, batch: Batch) -> Expected:
        """Return what the reference expects of a batch; computed once for all bindings that share it.

        Raises:
            IndexError: a label out of range, where the semantics says that it is an error.
        """
        return _expect(batch, _relevant(self.loss, self.semantics), self.grade, self.precision)


def _call(trial: Trial, batch: Batch, reduction: str, class_axis: int | None, cotangent: NDArray | None) -> Answer:
    how: dict[str, Any] = {"reduction": reduction, "options": batch.options, "class_axis": class_axis}
    return trial.call(batch.prediction, batch.target, cotangent=cotangent, **how)


_Cotangent = tuple[str, tuple[int, ...], bytes]
"""An upstream gradient as its dtype, shape and bytes: answers are kept by what was asked."""


@lru_cache(maxsize=256)
def _kept(trial: Trial, batch: Batch, reduction: str, class_axis: int | None, upstream: _Cotangent | None) -> Answer:
    if upstream is None:
        return _call(trial, batch, reduction, class_axis, None)
    dtype, shape, content = upstream
    return _call(trial, batch, reduction, class_axis, np.frombuffer(content, dtype).reshape(shape).copy())


@lru_cache(maxsize=1024)
def _relevant(loss: Loss, semantics: Semantics) -> Semantics:
    """Return the semantics with everything reset that the evaluation of this loss does not read, so that more is shared."""
    unread = {"small_loss", "mean_of_nothing", "mean_of_no_weight", "mean_divisor"}
    unread |= {"label_dtype", "label_column", "mixed_dtype", "weight_dtype", "class_axis", "activation_output"}
    unread |= {"computation_dtype"} if semantics.computation_dtype == "float32" else set()  # the precision says it
    unread |= {"probability_sum", "target_gradient"} if loss.prediction == "logit" else {"infinite_logit"}
    unread |= {"log_of_zero"} if loss.prediction == "logit" and "gamma" not in loss.options else set()  # focal losses clip p
    unread |= {"soft_weight_divisor"} if loss.target == "index" or "class_weight" not in loss.options else set()
    unread |= {"loss_shape"} if loss.has_classes and loss.name in FOUNDING_TABLE else set()
    return Semantics(**{name: value for name, value in vars(semantics).items() if name not in unread})


@lru_cache(maxsize=1024)
def _expect(batch: Batch, semantics: Semantics, grade: Grade, precision: str) -> Expected:
    truth = _truth(batch, semantics, precision)
    how: dict[str, Any] = {"options": batch.options, "semantics": semantics, "precision": precision}
    bounds = error_bounds(batch.loss, *_in_precision(batch, precision), truth, grade=grade, **how)
    outer = "float32" if semantics.computation_dtype == "float32_result" else precision
    if outer != precision:
        truth, bounds = _through_float32(truth, bounds)
    if semantics.loss_shape == "row_mean":
        truth, bounds = _row_mean(truth, bounds, outer)
    return Expected(truth, bounds, precision)


@lru_cache(maxsize=1024)
def _truth(batch: Batch, semantics: Semantics, precision: str) -> Evaluation:
    """Return the truth, which is the same for every grade."""
    arrays = _in_precision(batch, precision)
    return evaluate(batch.loss, *arrays, options=batch.options, semantics=semantics, precision=precision)


def _in_precision(batch: Batch, precision: str) -> tuple[NDArray, NDArray]:
    """Return prediction and target in the dtype that the loss is computed in; labels as they are."""
    prediction, target = (
        array.astype(precision, copy=False) if array.dtype.kind == "f" else array for array in (batch.prediction, batch.target)
    )
    return prediction, target


def _through_float32(truth: Evaluation, bounds: Bounds) -> tuple[Evaluation, Bounds]:
    """Return a loss rounded to float32: u |l| + lam more in its bound, and an infinity where it is beyond float32.

    Weights are rounded too, and multiply there: 2 u more in the loss, and 2 u |g| + lam in the gradient.
    """
    limits = PRECISIONS["float32"]
    beyond = np.abs(truth.value) >= limits.overflow
    value = np.where(beyond, np.sign(truth.value) * np.inf, truth.value)
    roundings = 1 if truth.weight is None else 3
    bound = bounds.value + roundings * limits.u * np.abs(np.where(np.isfinite(value), value, 0.0)) + limits.smallest
    bounds = replace(bounds, value=np.where(np.isfinite(value), bound, 0.0))
    if truth.weight is not None:
        bounds = replace(
            bounds,
            gradient=_rounded_once_more(truth.gradient, bounds.gradient, limits),
            target_gradient=_rounded_once_more(truth.target_gradient, bounds.target_gradient, limits),
        )
    return replace(truth, value=value), bounds


def _rounded_once_more(slope: NDArray | None, bound: NDArray | None, limits: Precision) -> Any:
    """Return the bound of a gradient that is multiplied by a weight rounded to float32; None where there is none."""
    if slope is None or bound is None:
        return None
    return bound + 2 * limits.u * np.abs(np.nan_to_num(slope, posinf=0, neginf=0)) + limits.smallest


def _row_mean(truth: Evaluation, bounds: Bounds, precision: str) -> tuple[Evaluation, Bounds]:
    """Return the mean of independent outcomes over the last axis, and its bounds.

    A mean is a sum divided: where the sum overflows on the way the bound reaches the largest number, so an infinity is sound.
    """
    classes = truth.value.shape[-1]
    rows = [
        reduced_bound(losses, Bounds(bound, bound, None), reduction="mean", precision=precision)
        for losses, bound in zip(truth.value, bounds.value, strict=True)
    ]
    share = 1.0 / classes
    assert truth.target_gradient is not None and bounds.target_gradient is not None  # only a soft loss has such rows
    down = 2.0 ** -np.ceil(np.log2(classes))  # exact, and no sum of large losses overflows here
    value = (truth.value * down).sum(-1) / (classes * down)
    with np.errstate(over="ignore"):
        overflows = np.isfinite(value) & (np.abs(truth.value).sum(-1) >= PRECISIONS[precision].overflow)
    slopes = {"gradient": truth.gradient * share, "target_gradient": truth.target_gradient * share}
    mean = replace(truth, value=value, **slopes)
    slope = scaled_gradient_bound(truth.gradient, bounds.gradient, share, precision=precision)
    target_slope = scaled_gradient_bound(truth.target_gradient, bounds.target_gradient, share, precision=precision)
    bound = np.where(overflows, PRECISIONS[precision].largest, rows)
    return mean, Bounds(bound, slope, target_slope)


def float64(array: NDArray | None) -> NDArray:
    """Return an outcome's array as float64; an empty one if there is none."""
    return np.zeros(0) if array is None else np.asarray(array, np.float64)


def regime_counts(batch: Batch, violating: NDArray) -> Counter[str]:
    """Return how many violating rows each regime of the batch has."""
    return Counter(batch.regimes[row] for row in np.flatnonzero(violating))
