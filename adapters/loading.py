"""Finding an adapter by its name or by the path of a file."""

import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from adapters.binding import Binding
from adapters.framework import Framework, describe_error
from reference.losses import DTYPES

KERAS = {f"keras-{backend}": backend for backend in ("tensorflow", "jax", "torch")}
"""The adapters that are one module, `adapters.keras`, on one backend each."""

REQUIREMENTS = {name: f"-r requirements/{name}.txt" for name in ("pytorch", "tensorflow", "jax", *KERAS)}
"""The adapters that come with the suite, and what to install for each."""

MEMBERS = (
    "name",
    "packages",
    "modes",
    "own_modes",
    "dtypes",
    "keeps_answers",
    "sparing",
    "environment",
    "value_and_gradient",
    "mode_arguments",
    "devices",
    "run",
)
"""What a framework must have."""


class AdapterError(Exception):
    """An adapter that cannot be used; the message is one sentence that says why and what to do."""


@dataclass(frozen=True)
class Adapter:
    """A framework and the bindings that are put to the question. ``option`` is what follows ``--adapter``."""

    name: str
    option: str
    framework: Framework
    bindings: tuple[Binding, ...]


def load(option: str) -> Adapter:
    """Return the adapter of a name in `REQUIREMENTS`, or of a path that ends in ".py".

    Raises:
        AdapterError: unknown name, missing framework, or a file that does not hold an adapter.
    """
    name = Path(option).stem
    if option.endswith(".py"):
        if name in REQUIREMENTS:
            raise AdapterError(
                f"{option} has the name of an adapter of the suite, and its results would replace those: rename it"
            )
        module = _load_file(Path(option))
    elif option in REQUIREMENTS:
        module = _load_named(option)
    else:
        raise AdapterError(
            f"there is no adapter {option!r}: use one of {', '.join(REQUIREMENTS)}, or the path of a file that ends in .py"
        )
    framework = getattr(module, "framework", None)
    if framework is None:
        raise AdapterError(f"{option} has no `framework`: write `from adapters.pytorch import framework` (or another adapter)")
    if missing := [member for member in MEMBERS if not hasattr(framework, member)]:
        raise AdapterError(f"{option}: `framework` has no {', '.join(missing)}: see Framework in adapters/framework.py")
    found = ((part, value) for part in (module, *getattr(module, "parts", ())) for value in vars(part).values())
    bindings = tuple(b for part, b in found if isinstance(b, Binding) and b.function.__module__ == part.__name__)
    if not bindings:
        raise AdapterError(f"{option} has no binding: put `@implements(loss, api=...)` over a function")
    _refuse_twins(option, bindings)
    _refuse_unknown_names(option, framework, bindings)
    _refuse_unknown_own_modes(option, framework, bindings)
    return Adapter(name, option, framework, bindings)


def _refuse_twins(option: str, bindings: Iterable[Binding]) -> None:
    seen = set()
    for binding in bindings:
        if (binding.loss, binding.api) in seen:
            raise AdapterError(f"{option} declares {binding.api!r} of {binding.loss} twice: give each binding its own api")
        seen.add((binding.loss, binding.api))


def _refuse_unknown_names(option: str, framework: Framework, bindings: Iterable[Binding]) -> None:
    for binding in bindings:
        for kind, names, known in (("dtype", binding.dtypes, DTYPES), ("mode", binding.modes, framework.modes)):
            if unknown := [name for name in names if name not in known]:
                raise AdapterError(f"{option}: {binding.api!r} names the {kind} {unknown[0]!r}: use one of {', '.join(known)}")


def _refuse_unknown_own_modes(option: str, framework: Framework, bindings: Iterable[Binding]) -> None:
    others = f"use one of {', '.join(framework.own_modes)}, or " if framework.own_modes else ""
    for binding in bindings:
        if binding.mode and binding.mode not in framework.own_modes:
            raise AdapterError(
                f"{option}: {binding.api!r} names {binding.mode!r} as the mode that it runs in by itself: "
                f"{others}leave `mode` out to have it run in {', '.join(framework.modes)}"
            )


def _load_named(name: str) -> ModuleType:
    if name in KERAS:
        _choose_backend(KERAS[name])
    try:
        return importlib.import_module("adapters.keras" if name in KERAS else f"adapters.{name}")
    except ImportError as error:
        raise AdapterError(
            f"the adapter {name!r} needs a package that is not installed ({error.name or error}): "
            f"run `python -m pip install {REQUIREMENTS[name]}`"
        ) from error
    except Exception as error:
        raise AdapterError(
            f"the adapter {name!r} cannot be imported ({describe_error(error)}): "
            f"run `python -m pip install --force-reinstall {REQUIREMENTS[name]}`"
        ) from error


def _choose_backend(backend: str) -> None:
    """Have Keras take a backend when it is imported; it cannot change afterwards."""
    loaded = sys.modules.get("keras")
    if loaded is not None and loaded.backend.backend() != backend:
        raise AdapterError(
            f"this process holds Keras on {loaded.backend.backend()}, and cannot change to {backend}: "
            f"run keras-{backend} in a process of its own"
        )
    os.environ["KERAS_BACKEND"] = backend


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise AdapterError(
            f"{path} is not a file: give --adapter the path of a Python file, or one of {', '.join(REQUIREMENTS)}"
        )
    name = f"adapter_{path.stem}"  # a file called torch.py must not shadow torch
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        advice = f"; install {error.name}, or leave it out" if isinstance(error, ModuleNotFoundError) else ""
        raise AdapterError(f"{path}{_line(error, path)}: {describe_error(error)}{advice}") from error
    return module


def _line(error: BaseException, path: Path) -> str:
    """Return ", line N", the last line of the file that the error passed through; nothing if the file was never read."""
    frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError):
        frames.append((error.filename or "", error.lineno))
    lines = [line for name, line in frames if Path(name) == path.absolute() and line]
    return f", line {lines[-1]}" if lines else ""
