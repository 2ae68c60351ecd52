"""Findings: a violating judgement put in words, with the command that asks again and a script that shows it alone."""

import inspect
import shlex
import textwrap
from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from adapters.binding import module_imports
from adapters.framework import Call
from adapters.framework import value_and_gradient as on_arrays
from conformance.judging import Judgement
from conformance.trial import Trial
from reports.record import Finding, Number, number

SHOWN = 12
"""Arrays with more numbers are shortened in the middle."""
LONGEST = 4096
"""A reproducer spells out no more numbers than these."""


def describe(trial: Trial, judgement: Judgement, *, sentence: str, command: list[str]) -> Finding:
    """Return the finding of a judgement's witness row."""
    row = judgement.witness
    batch = judgement.batch
    dtype = trial.precision
    regime = batch.regimes[row] if batch.regimes else "no rows"
    return Finding(
        case=batch.id,
        regime=regime,
        statement=judgement.note or sentence,
        quantity=judgement.quantity,
        prediction=show(_of_row(batch.prediction, row, batch.rows)),
        target=show(_of_row(batch.target, row, batch.rows)),
        options=_given(judgement.call),
        got=_words(judgement.got, row, batch.rows, dtype),
        expected=_words(judgement.expected, row, batch.rows, dtype),
        error_ulp=_ulp(judgement, row, dtype),
        error_over_bound=number(float(judgement.ratio[row])),
        command=shlex.join(command),
        reproducer=reproducer(trial, judgement, dtype),
    )


def show(array: NDArray) -> str:
    """Return an array with the shortest digits that are its own, long ones shortened in the middle."""
    return np.array2string(array, floatmode="unique", separator=", ", max_line_width=10**6, threshold=SHOWN, edgeitems=3)


def _given(call: Call) -> str:
    """Return the options of a call in words: those that hold an array, and the others."""
    arrays = {name: show(array) for name, array in {**call.arrays, **call.parameters}.items()}
    return ", ".join(f"{name} = {value}" for name, value in {**call.numbers, **arrays}.items())


def _of_row(array: NDArray, row: int, rows: int) -> NDArray:
    """Return all of a small batch, the witness row of a large one."""
    return array if rows <= 4 else array[row : row + 1]


def _words(what: NDArray | str, row: int, rows: int, dtype: str) -> str:
    if isinstance(what, str):
        return what
    with np.errstate(over="ignore"):
        array = what.astype(dtype)
    return show(_of_row(array, row, rows) if array.ndim else array)


def _ulp(judgement: Judgement, row: int, dtype: str) -> Number:
    """Return the largest error of the row in units in the last place of what is expected."""
    if isinstance(judgement.got, str) or isinstance(judgement.expected, str) or judgement.got.shape != judgement.expected.shape:
        return "nan"
    got, expected = (np.atleast_1d(a[row] if a.ndim else a) for a in (judgement.got, judgement.expected))
    with np.errstate(invalid="ignore", over="ignore"):
        spacing = np.spacing(np.abs(expected).astype(dtype)).astype(np.float64)
        error = np.where(got == expected, 0.0, np.abs(got - expected) / spacing)
    error = np.where(np.isnan(got) & np.isnan(expected), 0.0, error)
    return number(float(np.where(np.isnan(error), np.inf, error).max(initial=0.0)))


def reproducer(trial: Trial, judgement: Judgement, dtype: str) -> str:
    """Return a script that imports only NumPy and the framework, and prints what the finding says."""
    framework, binding, call = trial.framework, trial.binding, judgement.call
    function = on_arrays if binding.mode else framework.value_and_gradient
    module = inspect.getmodule(function)
    source = _source_of(function)
    names = set(_words_in(source))
    imports = {*binding.imports, *module_imports(module, names), "import numpy as np"}
    options = "".join(f", {name}={value!r}" for name, value in call.numbers.items())
    arrays, parameters = (
        ", ".join(f"{name!r}: {_literal(array)}" for name, array in given.items()) for given in (call.arrays, call.parameters)
    )
    of_parameters = (", parameters", ", *others") if parameters else ("", "")
    in_mode = f", {framework.mode_arguments[trial.mode]}" if trial.mode in framework.mode_arguments else ""
    variables = [f"os.environ[{name!r}] = {value!r}" for name, value in framework.environment.items()]
    lines = [
        *(["import os", "", *variables, ""] if variables else []),
        *sorted(
            line
            for line in imports
            if not line.startswith(("from adapters", "from reference", "from collections", "from time"))
        ),
        "",
        f"np.set_printoptions(floatmode='unique', linewidth=10**6, threshold={SHOWN}, edgeitems=3)",
        "",
        "",
        source,
        "",
        "",
        binding.source.rstrip(),
        "",
        "",
        f"prediction = {_literal(call.prediction)}",
        f"target = {_literal(call.target)}",
        f"cotangent = {'None' if call.cotangent is None else _literal(call.cotangent)}",
        f"arrays = {{{arrays}}}",
        *([f"parameters = {{{parameters}}}"] if parameters else []),
        f"loss = lambda x, t, **arrays: {binding.function.__name__}(x, t{options}, **arrays)",
        f"value, gradient, target_gradient{of_parameters[1]} = "
        f"value_and_gradient(loss, prediction, target, cotangent, arrays{of_parameters[0]}{in_mode})",
        'print("value          ", np.array2string(np.asarray(value), separator=", "), value.dtype, value.shape)',
        'print("gradient       ", np.array2string(np.asarray(gradient), separator=", "))',
        'print("target gradient", np.array2string(np.asarray(target_gradient), separator=", "))',
        *(['print("of the parameters", dict(zip(parameters, others, strict=True)))'] if parameters else []),
        *(['print("sum of the gradient", gradient.sum(-1))'] if judgement.quantity == "sum of the gradient" else []),
        *_expectation(judgement, dtype),
        "",
    ]
    return "\n".join(lines)


@cache
def _source_of(function: Callable[..., object]) -> str:
    return textwrap.dedent(inspect.getsource(function)).rstrip()


def _words_in(source: str) -> list[str]:
    return source.replace(".", " ").replace("(", " ").replace(")", " ").replace(",", " ").split()


def _expectation(judgement: Judgement, dtype: str) -> list[str]:
    expected = _words(judgement.expected, judgement.witness, judgement.batch.rows, dtype)
    return [f'print("expected {judgement.quantity}:", {expected!r})']


def _literal(array: NDArray) -> str:
    """Return an array as an expression, exact to the last bit; runs of equal numbers are repeated."""
    flat = array.ravel()
    starts = np.flatnonzero(np.concatenate([[True], flat[1:] != flat[:-1]])) if flat.size else np.zeros(0, np.intp)
    lengths = np.diff(np.append(starts, flat.size))
    if flat.size > SHOWN and starts.size <= SHOWN:
        return f"np.repeat({_numbers(flat[starts])}, {lengths.tolist()}).reshape({array.shape})"
    if flat.size > LONGEST:
        return f'exit("the case has {flat.size} numbers, too many for a script: ask again by the command of the finding")'
    return f"{_numbers(flat)}.reshape({array.shape})" if array.ndim != 1 else _numbers(flat)


def _numbers(flat: NDArray) -> str:
    text = np.array2string(flat, floatmode="unique", separator=", ", threshold=10**9, max_line_width=110)
    return f"np.array({text.replace('nan', 'np.nan').replace('inf', 'np.inf')}, dtype={flat.dtype.name!r})"
