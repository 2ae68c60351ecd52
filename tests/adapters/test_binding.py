"""A binding is declared over the call that a user would write, and keeps the text of it."""

import ast

import numpy as np
import pytest

from adapters.binding import implements, module_imports
from reference.losses import LOSSES, Grade
from reference.semantics import MATHEMATICAL, Semantics

SPARSE = "sparse_softmax_cross_entropy_with_logits"


@implements(SPARSE, api="numpy")
def declared(logits, labels):
    """Say something."""
    return np.log(logits) + LOSSES[SPARSE].prefix


@implements(
    "binary_cross_entropy",
    api="of many lines",
    options=("reduction",),
    semantics=Semantics(log_of_zero="floor_100"),
    grade=Grade("log1p", "joint"),
    documentation="https://example.org",
    textbook=True,
)
def of_many_lines(p, t, *, reduction):
    total = p + t

    return total if reduction == "none" else total.sum()


def test_declaration_fills_in_the_defaults() -> None:
    assert (declared.loss, declared.api, declared.options) == (SPARSE, "numpy", ())
    assert (declared.semantics, declared.documentation, declared.textbook) == (MATHEMATICAL, "", False)
    assert declared.grade == Grade(LOSSES[SPARSE].value_forms[0], LOSSES[SPARSE].gradient_forms[0])


def test_declaration_keeps_what_it_was_given() -> None:
    assert of_many_lines.options == ("reduction",) and of_many_lines.textbook
    assert of_many_lines.semantics == Semantics(log_of_zero="floor_100")
    assert of_many_lines.grade == Grade("log1p", "joint") and of_many_lines.documentation == "https://example.org"
    assert of_many_lines.function(np.ones(2), np.ones(2), reduction="sum") == 4


def test_source_is_the_function_without_its_decorator_after_what_it_uses() -> None:
    assert of_many_lines.source == (
        'def of_many_lines(p, t, *, reduction):\n    total = p + t\n\n    return total if reduction == "none" else total.sum()'
    )
    before, _, own = declared.source.partition("\n\n\n")
    assert before == 'SPARSE = "sparse_softmax_cross_entropy_with_logits"'
    assert own.startswith('def declared(logits, labels):\n    """Say something."""')


def test_source_of_an_inner_function_stands_alone() -> None:
    @implements(SPARSE, api="inner")
    def inner(logits, labels):
        return logits

    assert ast.unparse(ast.parse(inner.source)) == "def inner(logits, labels):\n    return logits"


def test_imports_are_those_the_source_needs() -> None:
    assert declared.imports == ("import numpy as np", "from reference.losses import LOSSES, Grade")
    assert of_many_lines.imports == ()


@implements(SPARSE, api="module.function")
def one_call(logits, labels):
    weight = logits * 2
    return np.linalg.norm(logits + weight, labels)


@implements(SPARSE, api="module.Class(from_logits=True, axis=-1)")
def call_of_a_class(logits, labels):
    return np.vectorize(logits, cache=True)(labels)


@implements(SPARSE, api="module.function over log")
def one_call_over_another(logits, labels):
    return np.linalg.norm(np.log(logits), labels)


@implements(SPARSE, api="module.one, module.two")
def call_with_a_list_of_names(logits, labels):
    return np.sum(logits * labels)


@implements(SPARSE, api="module.function")
def negated(logits, labels):
    return -np.linalg.norm(logits, labels)


@implements(SPARSE, api="module.function")
def method_of_an_expression(logits, labels):
    return (logits * labels).sum(-1)


@pytest.mark.parametrize(
    ("binding", "is_composition"),
    [
        (one_call, False),
        (call_of_a_class, False),
        (one_call_over_another, True),
        (call_with_a_list_of_names, True),
        (negated, True),
        (method_of_an_expression, True),
    ],
)
def test_composition_is_told_from_one_call(binding, is_composition: bool) -> None:
    assert binding.is_composition is is_composition


def test_module_imports_go_by_the_names_they_bind() -> None:
    import tests.adapters.example_imports as module

    assert module_imports(module, {"os"}) == ("import os.path",)
    assert module_imports(module, {"np", "second"}) == ("from json import loads as second", "import numpy as np")
    assert module_imports(module, {"numpy", "abc", "path"}) == ()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"loss": "cross_entropy"}, "'cross_entropy' is not a loss of the specification: use one of binary_cross_entropy, "),
        (
            {"options": ("weight",)},
            "'weight' is no option of sparse_softmax_.*: use one of reduction, class_weight, ",
        ),
        ({"grade": Grade("best", "lse")}, "'best' is not a sound form of sparse_softmax_.*: use one of plain, log1p, lse"),
        (
            {"grade": Grade("lse", "best")},
            "'best' is not a sound form of sparse_softmax_.*: use one of log_softmax, quotient, lse",
        ),
        ({"api": ""}, "'' cannot be the name of an API"),
        ({"api": "two\nlines"}, "cannot be the name of an API: write it in ASCII on one line"),
        ({"api": "naïve"}, "cannot be the name of an API: write it in ASCII on one line"),
    ],
)
def test_wrong_declaration_is_refused_with_what_exists(words, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        implements(**{"loss": SPARSE, "api": "x", **words})


@pytest.mark.parametrize("function", [lambda x, t: x, np.log, max, declared, type("Loss", (), {})])
def test_what_has_no_text_of_a_function_is_refused(function) -> None:
    with pytest.raises(ValueError, match="with def"):
        implements(SPARSE, api="x")(function)


def lacks_the_target(x): ...
def takes_one_more(x, t, w): ...
def lacks_an_option(x, t, *, reduction): ...
def lacks_a_default(x, t, *, reduction, class_weight): ...
def takes_options_by_place(x, t, reduction, class_weight=None, /): ...
def takes_nothing_by_place(*, x, t, reduction, class_weight=None): ...
def takes_what_is_not_declared(x, t, *, reduction, class_weight=None, gamma): ...


@pytest.mark.parametrize(
    ("function", "options", "reason"),
    [
        (lacks_the_target, (), "too many positional arguments"),
        (takes_one_more, (), "missing a required argument: 'w'"),
        (lacks_an_option, (), "missing a required (keyword-only )?argument: 'reduction'"),
        (lacks_an_option, ("reduction", "class_weight"), "got an unexpected keyword argument 'class_weight'"),
        (lacks_a_default, ("reduction", "class_weight"), "missing a required (keyword-only )?argument: 'class_weight'"),
        (takes_options_by_place, ("reduction", "class_weight"), "positional.only"),
        (takes_nothing_by_place, ("reduction", "class_weight"), "too many positional arguments"),
        (takes_what_is_not_declared, ("reduction", "class_weight"), "missing a required (keyword-only )?argument: 'gamma'"),
    ],
)
def test_function_that_does_not_take_what_it_declares_is_refused(function, options: tuple[str, ...], reason: str) -> None:
    with pytest.raises(ValueError, match=rf"^{function.__name__} cannot be called \(.*{reason}.*\): let it take "):
        implements(SPARSE, api="x", options=options)(function)


def takes_anything(*arrays, **options): ...
def takes_all_by_place_or_name(x, t, reduction="mean", class_weight=None): ...


@pytest.mark.parametrize("function", [takes_anything, takes_all_by_place_or_name])
def test_function_that_takes_what_it_declares_in_a_way_of_its_own_is_fine(function) -> None:
    assert implements(SPARSE, api="x", options=("reduction", "class_weight"))(function).function is function


def takes_matrix_and_bias(h, t, *, linear_weight, linear_bias=None): ...
def needs_a_bias(h, t, *, linear_weight, linear_bias): ...
def lacks_a_bias(h, t, *, linear_weight): ...


def test_linear_losses_are_always_given_the_matrix_and_not_always_a_bias() -> None:
    linear = next(name for name, loss in LOSSES.items() if loss.parameters)
    assert implements(linear, api="x")(takes_matrix_and_bias).loss == linear
    for function in (needs_a_bias, lacks_a_bias):
        with pytest.raises(ValueError, match="'linear_bias'"):
            implements(linear, api="x")(function)
