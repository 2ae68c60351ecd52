"""Shortening: what is left of a composition computes what it did, and holds nothing that other options need."""

import pytest

from reports.shortening import shorten

OPTIONS = ("reduction", "sample_weight", "mask", "gamma")
SOURCE = '''
def keep(rows, losses):
    """Return what counts."""
    return losses * rows


def weigh(losses, *, sample_weight=None, mask=None):
    """Return the losses, weighed."""
    weight = 1
    if sample_weight is not None:
        weight = sample_weight
    if mask is not None:
        losses = keep(mask, losses)
    return weight * losses


def reduced(losses, *, reduction):
    if reduction == "none":
        return losses
    return sum(losses)


def loss(x, *, reduction, sample_weight=None, mask=None, gamma=2.0):
    losses = weigh(x**gamma, sample_weight=sample_weight, mask=mask)
    return reduced(losses, reduction=reduction) if mask is None else reduced(keep(mask, losses), reduction=reduction)
'''


def test_only_what_was_asked_for_is_left() -> None:
    assert shorten(SOURCE, OPTIONS, ["sample_weight"], "mean") == (
        "def weigh(losses, *, sample_weight):\n"
        '    """Return the losses, weighed."""\n'
        "    weight = 1\n"
        "    weight = sample_weight\n"
        "    return weight * losses\n\n\n"
        "def reduced(losses):\n"
        "    return sum(losses)\n\n\n"
        "def loss(x, *, sample_weight, gamma=2.0):\n"
        "    losses = weigh(x ** gamma, sample_weight=sample_weight)\n"
        "    return reduced(losses)"
    )


def test_helpers_of_helpers_stay_and_so_does_a_reduction_that_was_not_asked_for() -> None:
    short = shorten(SOURCE, OPTIONS, ["mask"])
    assert "def keep(" in short
    assert "sample_weight" not in short
    assert "if reduction == 'none':" in short
    assert "def loss(x, *, reduction, mask, gamma=2.0):" in short


@pytest.mark.parametrize("options", [[], ["sample_weight"], ["mask"], ["sample_weight", "mask"]])
@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_what_is_left_computes_what_it_did(options: list[str], reduction: str) -> None:
    given = dict.fromkeys(options, 3)
    found = []
    for source, more in ((SOURCE, {"reduction": reduction}), (shorten(SOURCE, OPTIONS, options, reduction), {})):
        names: dict = {"sum": lambda losses: -losses}
        exec(source, names)
        found.append(names["loss"](5.0, **given, **more))
    assert found[0] == found[1]


NESTED = """
def loss(x, *, a=None, b=None, bias=None):
    if a is not None:
        if b is not None:
            x = x + b
        x = x * a
    elif b is not None:
        x = x - b
    if bias is not None:
        x = x + bias
    return x
"""


@pytest.mark.parametrize(
    ("given", "left"),
    [(["a"], "x = x * a"), (["b"], "x = x - b"), (["a", "b"], "x = x + b\n    x = x * a"), ([], "")],
)
def test_branches_in_branches_and_what_is_no_option(given: list[str], left: str) -> None:
    body = f"    {left}\n" if left else ""
    arguments = "".join(f"{name}, " for name in given)
    assert shorten(NESTED, ("a", "b"), given) == (
        f"def loss(x, *, {arguments}bias=None):\n{body}    if bias is not None:\n        x = x + bias\n    return x"
    )


def test_what_is_no_python_of_this_version_is_a_syntax_error() -> None:
    with pytest.raises(SyntaxError):
        shorten("def loss(:", [], [])
