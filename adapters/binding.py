"""The declaration of a binding: one public API of a framework that computes one loss."""

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from reference.losses import LOSSES, Grade
from reference.options import REDUCTIONS, options_of
from reference.semantics import MATHEMATICAL, Semantics


@dataclass(frozen=True)
class Binding:
    """One public API that computes one loss.

    ``function`` is the call a user would write: ``function(prediction, target, **options)``. ``semantics`` is what the
    API's ``documentation`` states. ``grade`` names the sound forms whose error bounds it keeps. ``textbook`` marks the
    composition people write by hand that stacks a sigmoid or softmax under a log. ``reductions`` are those it can be asked
    for, of `reference.options.REDUCTIONS`: "none" alone where it has no such option. ``mode`` names the one that it runs in by
    itself, of the framework's ``own_modes``: then the function takes NumPy arrays, and returns the value and its gradient as
    such, or None for the gradient of what has none. Of the options ``apart`` it takes one at a time; those in ``alone`` it only
    hands on, to an API that is asked for their pairs, and is asked for each by itself. ``dtypes`` are those that it is asked
    in, if they are not the framework's, and ``modes`` those of the framework's modes, the first of which is not a sample.
    ``stand_in`` marks the composition that takes every option of a loss, for where no call does: it is no helper that anyone
    could pick by mistake. ``source`` is the text of the function and ``imports`` the lines it needs.
    """

    loss: str
    api: str
    function: Callable[..., Any]
    options: tuple[str, ...]
    reductions: tuple[str, ...]
    semantics: Semantics
    grade: Grade
    documentation: str
    textbook: bool
    source: str
    imports: tuple[str, ...]
    mode: str = ""
    apart: tuple[str, ...] = ()
    alone: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ()
    modes: tuple[str, ...] = ()
    stand_in: bool = False

    @property
    def least_reduced(self) -> str:
        """The reduction that leaves most: "none", or the first of what has others alone."""
        return "none" if "none" in self.reductions else self.reductions[0]

    def takes(self, options: Collection[str]) -> bool:
        """Tell whether it is asked for options by name, parameters of its loss among them, and all of them together."""
        given = set(options)
        if len(given & set(self.apart)) > 1 or (len(given) > 1 and given & set(self.alone)):
            return False
        return given <= {*self.options, *LOSSES[self.loss].parameters}

    @property
    def outer(self) -> str:
        """The API that a composition applies to what another returns, in ``api`` before " over "; "" where there is none."""
        outer, over, _ = self.api.partition(" over ")
        return outer if over else ""

    @cached_property
    def is_composition(self) -> bool:
        """Whether it is no call of the one public name that ``api`` gives, but an expression of several."""
        (*_, function) = ast.parse(self.source).body
        returned = [node.value for node in ast.walk(function) if isinstance(node, ast.Return)]
        return not _PUBLIC_NAME.fullmatch(self.api) or not all(_is_call_or_name(value) for value in returned)


_PUBLIC_NAME = re.compile(r"\w+(\.\w+)*(\(.*\))?")
"""A public name, perhaps with some of its arguments: "keras.losses.BinaryCrossentropy(from_logits=True)"."""


def _is_call_or_name(node: ast.expr | None) -> bool:
    """Tell whether an expression is a dotted name, a call of one, or a call of what such a call returns."""
    while isinstance(node, ast.Call):
        node = node.func
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name)


def implements(
    loss: str,
    *,
    api: str,
    options: tuple[str, ...] = (),
    reductions: tuple[str, ...] = ("none", "sum", "mean"),
    semantics: Semantics = MATHEMATICAL,
    grade: Grade | None = None,
    documentation: str = "",
    textbook: bool = False,
    mode: str = "",
    apart: tuple[str, ...] = (),
    alone: tuple[str, ...] = (),
    dtypes: tuple[str, ...] = (),
    modes: tuple[str, ...] = (),
    stand_in: bool = False,
) -> Callable[[Callable[..., Any]], Binding]:
    """Declare that the decorated function computes ``loss`` by the public API ``api``.

    Args:
        loss: a name in `reference.losses.LOSSES`.
        api: the public name, and what it is applied to where it is a composition: "torch.nn.functional.nll_loss over log".
        options: those the function takes by keyword, of the options of the loss, "class_axis" and "reduction"; one that is not
            given is left out, so that it needs a default, but "reduction" is always given. Without it every loss is returned,
            unless ``reductions`` says what is.
        reductions: those it has, of `reference.options.REDUCTIONS`, if it takes "reduction"; or the one that it always gives.
        semantics: what the documentation of the API states at each choice point; the mathematics where it is silent.
        grade: the forms it computes by; by default the first ones of the loss.
        documentation: the address of the page that says so.
        textbook: whether it is the composition that stacks a sigmoid or softmax under a log.
        mode: the mode it runs in by itself, of the framework's ``own_modes``; see `Binding`.
        apart: those of the options that it refuses to take together.
        alone: those of the options that it hands on, and is asked for one at a time; see `Binding`.
        dtypes: those that it is asked in, if they are not the framework's.
        modes: those of the framework's modes that it is asked in, in an order of its own, if not all: the first is no sample.
        stand_in: whether it is the composition that takes every option of the loss.

    Raises:
        ValueError: an unknown loss, option or form; the message lists those that exist. Also a name that cannot be printed
            in a question, what is no function with a text of its own, and one that does not take what it is declared for.
    """
    if not api.isprintable() or not api.isascii() or not api:
        raise ValueError(f"{api!r} cannot be the name of an API: write it in ASCII on one line")
    spec = LOSSES.get(loss)
    if spec is None:
        raise ValueError(f"{loss!r} is not a loss of the specification: use one of {', '.join(LOSSES)}")
    for kind, names, allowed in (
        ("option", options, ("reduction", *options_of(spec))),
        ("reduction", reductions, tuple(REDUCTIONS)),
    ):
        for name in names:
            if name not in allowed:
                raise ValueError(f"{name!r} is no {kind} of {loss}: use one of {', '.join(allowed)}")
    if "reduction" not in options and "none" in reductions:
        reductions = ("none",)
    grade = grade or spec.default_grade
    for form, known in ((grade.value, spec.value_forms), (grade.gradient, spec.gradient_forms)):
        if form not in known:
            raise ValueError(f"{form!r} is not a sound form of {loss}: use one of {', '.join(known)}")

    def declare(function: Callable[..., Any]) -> Binding:
        source, imports = _read_source(function)
        _refuse_other_parameters(function, (*options, *spec.parameters))
        words = documentation, textbook, source, imports, mode, apart, alone, dtypes, modes, stand_in
        return Binding(loss, api, function, options, reductions, semantics, grade, *words)

    return declare


_ALWAYS_GIVEN = ("reduction", "linear_weight")
"""What a function that takes it is given in every call."""


def _refuse_other_parameters(function: Callable[..., Any], names: tuple[str, ...]) -> None:
    """Refuse a function that cannot be called with the fewest and with the most that it takes by name."""
    signature = inspect.signature(function)
    for given in ([name for name in _ALWAYS_GIVEN if name in names], names):
        try:
            signature.bind("prediction", "target", **dict.fromkeys(given))
        except TypeError as error:
            raise ValueError(
                f"{function.__name__} cannot be called ({error}): let it take prediction, target and the `options` by name, "
                "with a default but for reduction"
            ) from error


def _read_source(function: Callable[..., Any]) -> tuple[str, tuple[str, ...]]:
    """Return the text of a function without its decorator, after that of the helpers it uses, and the imports it needs."""
    try:
        text = textwrap.dedent(inspect.getsource(function))
        node = ast.parse(text).body[0]
    except (OSError, TypeError, SyntaxError) as error:
        raise ValueError(f"{function!r} has no text that a report can show: write a function with def") from error
    if not isinstance(node, ast.FunctionDef) or node.name != function.__name__:
        raise ValueError(f"{function!r} is no function that a report can show: write one with def")
    source = "\n".join(text.splitlines()[node.lineno - 1 :])
    node.decorator_list = []
    module, used = sys.modules[function.__module__], _names(node)
    helpers: list[str] = []
    for name, (statement, words) in reversed(_definitions(module).items()):
        if name in used and name != node.name:
            used |= _names(statement)
            helpers.insert(0, words)
    return "\n\n\n".join([*dict.fromkeys(helpers), source]), module_imports(module, used)


def _names(node: ast.AST) -> set[str]:
    return {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}


@cache
def _definitions(module: Any) -> dict[str, tuple[ast.stmt, str]]:
    """Return the functions, classes and constants at the top of a module by name, each with its text; no bindings."""
    text = inspect.getsource(module)
    lines, found = text.split("\n"), {}
    for statement in ast.parse(text).body:
        names = [getattr(statement, "name", "")] if isinstance(statement, ast.FunctionDef | ast.ClassDef) else []
        if isinstance(statement, ast.Assign):
            names = [target.id for target in statement.targets if isinstance(target, ast.Name)]
        if not getattr(statement, "decorator_list", []):
            # ast.get_source_segment would split the text of the module anew for each statement.
            words = "\n".join(lines[statement.lineno - 1 : statement.end_lineno])
            found.update(dict.fromkeys(names, (statement, words)))
    return found


def module_imports(module: Any, names: set[str]) -> tuple[str, ...]:
    """Return the import statements at the top of a module that bind any of the names."""
    lines = []
    for statement in _import_statements(module):
        bound = {(alias.asname or alias.name).split(".")[0] for alias in statement.names}
        if bound & names:
            lines.append(ast.unparse(statement))
    return tuple(lines)


@cache
def _import_statements(module: Any) -> tuple[ast.Import | ast.ImportFrom, ...]:
    body = ast.parse(inspect.getsource(module)).body
    return tuple(statement for statement in body if isinstance(statement, ast.Import | ast.ImportFrom))
