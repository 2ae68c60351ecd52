"""Shortening: what is left of the source of a composition without the options that were not asked for."""

import ast
from collections.abc import Collection, Iterable

GIVEN = object()
"""Stands for the value of an option that is given, whatever it is."""

Known = dict[str, object]
"""What is known of arguments: an option is `GIVEN` or None, a reduction is the name of one."""


def shorten(source: str, options: Collection[str], reduction: str = "") -> str:
    """Return the source of a composition, and of the helpers before it, without what only other options need.

    The branches are taken that the given options decide, where an option that is not given is None. Left out are then the
    arguments and variables that nothing reads any more, and the helpers that nothing calls. What stays computes what it did.

    Args:
        source: helpers and, last, the function that takes the options by keyword.
        options: those that are given.
        reduction: the one that is asked for, "" for any.
    """
    module = ast.parse(source)
    known: Known = dict.fromkeys(_none_by_default(module)) | dict.fromkeys(options, GIVEN)
    if reduction:
        known["reduction"] = reduction
    module = _Resolved(known).visit(module)
    while _drop_unread(module, known):
        pass
    module.body = _needed(module.body)
    return "\n\n\n".join(map(ast.unparse, module.body))


def _functions(module: ast.Module) -> list[ast.FunctionDef]:
    return [statement for statement in module.body if isinstance(statement, ast.FunctionDef)]


def _none_by_default(module: ast.Module) -> set[str]:
    return {
        argument.arg
        for function in _functions(module)
        for argument, default in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
        if isinstance(default, ast.Constant) and default.value is None
    }


class _Resolved(ast.NodeTransformer):
    """Takes the branches that what is known decides, and puts a known reduction in its place."""

    def __init__(self, known: Known) -> None:
        self.known = known

    def visit_If(self, node: ast.If) -> object:
        truth = self._decide(node.test)
        if truth is None:
            return self.generic_visit(node)
        return [self.visit(statement) for statement in (node.body if truth else node.orelse)]

    def visit_IfExp(self, node: ast.IfExp) -> object:
        truth = self._decide(node.test)
        return self.generic_visit(node) if truth is None else self.visit(node.body if truth else node.orelse)

    def visit_Name(self, node: ast.Name) -> ast.expr:
        value = self.known.get(node.id)
        return ast.Constant(value) if isinstance(value, str) else node

    def _decide(self, test: ast.expr) -> bool | None:
        """Return what a comparison of a name with a constant comes to; None where that is not known."""
        match test:
            case ast.Compare(ast.Name(name), [operator], [ast.Constant(value)]) if name in self.known:
                same = self.known[name] == value
                return not same if isinstance(operator, ast.IsNot | ast.NotEq) else same
        return None


def _drop_unread(module: ast.Module, known: Known) -> bool:
    """Drop known arguments and variables that their function does not read; tell whether there were any."""
    dropped: dict[str, set[str]] = {}
    for function in _functions(module):
        read = {name.id for name in _names(function.body) if isinstance(name.ctx, ast.Load)}
        arguments = [
            (argument, None if known.get(argument.arg) is GIVEN else default)
            for argument, default in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
        ]
        kept = [(argument, default) for argument, default in arguments if argument.arg not in known or argument.arg in read]
        body = [statement for statement in function.body if not _is_unread(statement, read)]
        if len(kept) < len(arguments) or len(body) < len(function.body):
            dropped[function.name] = {argument.arg for argument, _ in arguments} - {argument.arg for argument, _ in kept}
        function.args.kwonlyargs, function.args.kw_defaults = [pair[0] for pair in kept], [pair[1] for pair in kept]
        function.body = body
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in dropped:
            node.keywords = [keyword for keyword in node.keywords if keyword.arg not in dropped[node.func.id]]
    return bool(dropped)


def _is_unread(statement: ast.stmt, read: set[str]) -> bool:
    """Tell whether a statement makes one variable that nothing reads."""
    match statement:
        case ast.Assign([ast.Name(name)], _):
            return name not in read
    return False


def _needed(statements: list[ast.stmt]) -> list[ast.stmt]:
    """Return the last statement, and of those before it what it needs, themselves or through others."""
    kept = statements[-1:]
    while more := [s for s in statements if s not in kept and _defined(s) & {name.id for name in _names(kept)}]:
        kept += more
    return [statement for statement in statements if statement in kept]


def _defined(statement: ast.stmt) -> set[str]:
    return {getattr(statement, "name", ""), *(name.id for name in _names(getattr(statement, "targets", [])))}


def _names(nodes: Iterable[ast.AST]) -> Iterable[ast.Name]:
    return (name for node in nodes for name in ast.walk(node) if isinstance(name, ast.Name))
