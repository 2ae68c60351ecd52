"""Shortening: what is left of the source of a stand-in without the options that were not asked for."""

import ast
from collections.abc import Collection, Iterable

GIVEN = object()
"""Stands for the value of an option that is given, whatever it is."""

Known = dict[str, object]
"""What is known of arguments: an option is `GIVEN` or None, a reduction is the name of one."""


def shorten(source: str, options: Collection[str], given: Collection[str], reduction: str = "") -> str:
    """Return the source of a stand-in, and of the helpers before it, without what only other options need.

    It relies on what stand-ins keep to: an option that is not given is None, and has one name in the function and its helpers.
    The branches are taken that the given options decide. Left out are then the arguments and variables that nothing reads any
    more, and the helpers that nothing calls. What stays computes what it did.

    Args:
        source: helpers and, last, the function that takes the options by keyword.
        options: all that it takes.
        given: those of them that are given.
        reduction: the one that is asked for, "" for any.

    Raises:
        SyntaxError: what is no Python of this version.
    """
    module = ast.parse(source)
    of_helpers = _none_by_default(_functions(module)[:-1])
    unpassed = {name for name in of_helpers if not _is_passed(module, name)}
    known: Known = dict.fromkeys(unpassed | (_none_by_default(_functions(module)) & set(options)))
    known |= dict.fromkeys(given, GIVEN)
    if reduction:
        known["reduction"] = reduction
    module = _Resolved(known).visit(module)
    while _drop_unread(module, known):
        pass
    module.body = _needed(module.body)
    return "\n\n\n".join(map(ast.unparse, module.body))


def _functions(module: ast.Module) -> list[ast.FunctionDef]:
    return [statement for statement in module.body if isinstance(statement, ast.FunctionDef)]


def _none_by_default(functions: Iterable[ast.FunctionDef]) -> set[str]:
    return {
        argument.arg
        for function in functions
        for argument, default in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
        if isinstance(default, ast.Constant) and default.value is None
    }


def _is_passed(module: ast.Module, name: str) -> bool:
    """Tell whether a call of the module names an argument."""
    return any(keyword.arg == name for node in ast.walk(module) if isinstance(node, ast.Call) for keyword in node.keywords)


class _Resolved(ast.NodeTransformer):
    """Takes the branches that what is known decides, and puts a known reduction in its place."""

    def __init__(self, known: Known) -> None:
        self.known = known

    def visit_If(self, node: ast.If) -> object:
        truth = self._decide(node.test)
        if truth is None:
            return self.generic_visit(node)
        visited = [self.visit(statement) for statement in (node.body if truth else node.orelse)]
        return [kept for found in visited for kept in (found if isinstance(found, list) else [found])]

    def visit_IfExp(self, node: ast.IfExp) -> object:
        truth = self._decide(node.test)
        return self.generic_visit(node) if truth is None else self.visit(node.body if truth else node.orelse)

    def visit_Name(self, node: ast.Name) -> ast.expr:
        value = self.known.get(node.id)
        return ast.Constant(value) if isinstance(value, str) else node

    def _decide(self, test: ast.expr) -> bool | None:
        """Return what a comparison of a name with a constant comes to; None where that is not known."""
        match test:
            case ast.Compare(ast.Name(name), [ast.Is() | ast.IsNot() as operator], [ast.Constant(None)]) if name in self.known:
                return (self.known[name] is None) == isinstance(operator, ast.Is)
            case ast.Compare(ast.Name(name), [ast.Eq()], [ast.Constant(str(value))]) if isinstance(self.known.get(name), str):
                return self.known[name] == value
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
