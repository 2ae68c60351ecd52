"""What a framework object is: how the losses of one library are run on NumPy arrays."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Call:
    """One execution of a binding.

    ``prediction`` and ``target`` keep the memory layout they have here. ``reduction`` is one that the binding has.
    ``cotangent`` is the upstream gradient, of the shape of the value; None stands for ones. ``arrays`` are the options that
    hold one, such as class weights; the loss takes them by name, as arrays of the framework, and no gradient is taken to them.
    ``numbers`` are the other options, which the loss has already: for the record. ``parameters`` are the arrays beside the
    prediction that the loss takes by name too, and that a gradient is taken to. ``value_only`` tells that nobody needs the
    gradients: a framework that compiles may leave them out.
    """

    prediction: NDArray
    target: NDArray
    reduction: str = "none"
    cotangent: NDArray | None = None
    arrays: Mapping[str, NDArray] = field(default_factory=dict)
    numbers: Mapping[str, float | int | str] = field(default_factory=dict)
    parameters: Mapping[str, NDArray] = field(default_factory=dict)
    value_only: bool = False


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a framework answered to a `Call`.

    ``error`` is the exception as "Type: first line", and then there are no arrays. ``dtype`` is that of the value as the
    framework names it. ``modified`` tells whether the call changed the arrays it was given. ``seconds`` is the time inside
    the framework, NumPy in and out; ``compile_seconds`` the time it spent compiling before. ``parameter_gradients`` are the
    gradients with respect to parameters, by name.
    """

    value: NDArray | None = None
    gradient: NDArray | None = None
    target_gradient: NDArray | None = None
    dtype: str = ""
    error: str = ""
    modified: bool = False
    seconds: float = 0.0
    compile_seconds: float = 0.0
    parameter_gradients: Mapping[str, NDArray] = field(default_factory=dict)


Loss = Callable[..., Any]
"""A loss of the framework's own arrays: prediction, target and the arrays of options by name in, value out."""


class Framework(Protocol):
    """How to run things in one library; any object with these attributes will do."""

    @property
    def name(self) -> str:
        """The adapter's name: "pytorch"."""

    @property
    def packages(self) -> tuple[str, ...]:
        """The distributions whose versions decide a result."""

    @property
    def modes(self) -> tuple[str, ...]:
        """What a binding is run under, the default first; under the others a few clauses are asked as a sample."""

    @property
    def own_modes(self) -> tuple[str, ...]:
        """The modes of bindings that run by themselves, on NumPy arrays: what a `Binding` may name as its ``mode``."""

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The dtypes that a binding is run in, by NumPy's names."""

    @property
    def keeps_answers(self) -> bool:
        """Whether calls cost so much more than to judge them that an answer is kept for other questions too."""

    @property
    def sparing(self) -> tuple[str, ...]:
        """The dtypes that are asked in few shapes: each new shape is compiled first, at a greater cost than all its calls."""

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment variables that the library needs when it is imported; a reproducer sets them first."""

    @property
    def value_and_gradient(self) -> Callable[..., tuple[Any, ...]]:
        """The plain function that runs a loss; a reproducer prints its source."""

    @property
    def mode_arguments(self) -> Mapping[str, str]:
        """The further arguments, as text, with which that function runs a loss, by the mode; a mode may need none."""

    def devices(self) -> Mapping[str, str]:
        """Return the devices that this machine has, by the name `--device` takes, with a description each."""
        ...

    def run(self, loss: Loss, call: Call, *, key: object, mode: str, device: str) -> Outcome:
        """Run a loss and its gradient. Calls with one ``key`` run the same loss and may share its compiled code.

        Whatever the framework raises becomes ``Outcome.error``; `describe_error` words it.
        """
        ...


def value_and_gradient(loss: Any, prediction: Any, target: Any, cotangent: Any = None, arrays: Any = None) -> tuple[Any, ...]:
    """Return the value and the gradient of a loss that takes and returns NumPy arrays, None where it has none."""
    value, gradient = loss(prediction, target, **(arrays or {}))
    return np.asarray(value), gradient, None


def private_copy(array: NDArray) -> NDArray:
    """Return a copy in fresh memory with the layout of the array: C order, Fortran order, or every second element."""
    if array.flags.c_contiguous or array.flags.f_contiguous:
        return array.copy(order="K")
    view = np.empty((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)[..., ::2]
    view[...] = array
    return view


def on_private_copies(call: Call) -> Call:
    """Return the call with fresh copies of all its arrays: a loss may write into what it is given, options too."""
    arrays, parameters = (
        {name: private_copy(array) for name, array in named.items()} for named in (call.arrays, call.parameters)
    )
    prediction, target = private_copy(call.prediction), private_copy(call.target)
    return replace(call, prediction=prediction, target=target, arrays=arrays, parameters=parameters)


def is_modified(before: Call, after: Call) -> bool:
    """Tell whether any array of a call is not what it was."""
    if not (same_bytes(before.prediction, after.prediction) and same_bytes(before.target, after.target)):
        return True
    named = ((before.arrays, after.arrays), (before.parameters, after.parameters))
    return any(not same_bytes(array, now[name]) for arrays, now in named for name, array in arrays.items())


def describe_error(error: BaseException) -> str:
    """Return an exception as "Type: first line", the first 200 characters of it."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"[:200]


@cache
def dtype_name(dtype: np.dtype) -> str:
    """Return NumPy's name of a dtype, which NumPy itself takes a while to spell."""
    return dtype.name


def same_bytes(before: NDArray, after: NDArray) -> bool:
    """Tell whether two arrays hold the same numbers bit by bit, NaN payloads included."""
    return before.dtype == after.dtype and before.tobytes("A") == after.tobytes("A")
