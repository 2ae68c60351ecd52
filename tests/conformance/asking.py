"""Losses in NumPy with a defect each, and a short way to put questions to them in this process."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from adapters.binding import Binding, implements
from adapters.loading import Adapter
from conformance.engine import Answered, Examination, Question, answer, questions
from conformance.expectations import Expectation, Expectations, Observed
from conformance.profiles import PROFILES, Profile
from reference.losses import Grade
from reference.semantics import Semantics
from reports.record import Record
from tests.conformance.tiny import framework, log_loss

LOSS = "sparse_categorical_cross_entropy"
VERSIONS = {"numpy": "2.4.6"}
SHOWING_ALL = replace(PROFILES["quick"], shows_all=True)
"""Few cases, and what is listed must show in them."""


def ask(
    binding: Binding,
    *clauses: int,
    entries: tuple[Expectation, ...] = (),
    device: str = "cpu",
    using: Any = framework,
    profile: Profile = SHOWING_ALL,
) -> list[Record]:
    """Return the records of one binding alone, of the clauses with these numbers, all without any."""
    found = answers(binding, *clauses, entries=entries, device=device, using=using, profile=profile)
    return [one.record for one in found]


def answers(
    binding: Binding,
    *clauses: int,
    entries: tuple[Expectation, ...] = (),
    device: str = "cpu",
    using: Any = framework,
    profile: Profile = SHOWING_ALL,
) -> list[Answered]:
    """Return what `ask` has the records of."""
    adapter = Adapter("asked", "asked", using, (binding,))
    examination = Examination(adapter, device, profile, Expectations(entries, VERSIONS))
    return [answer(examination, question) for question in asked(adapter, *clauses)]


def asked(adapter: Adapter, *clauses: int) -> list[Question]:
    return [question for question in questions(adapter) if not clauses or question.clause.number in clauses]


def expectation(api: str, *clauses: int, observed: Observed | None = None, **conditions: Any) -> Expectation:
    """Return an entry for a binding; what is observed is what `inaccurate` does to every row, unless given."""
    seen = observed or Observed(got=("inaccurate",), regimes=("flat", "improbable", "peaked", "probable"))
    return Expectation(
        (api,), clauses, seen, **{"reason": f"{api} is known", "upstream": "https://example.org/1", **conditions}
    )


@implements(LOSS, api="sound")
def sound(p, labels):
    return log_loss(p, labels)


@implements(LOSS, api="inaccurate")
def inaccurate(p, labels):
    value, gradient = log_loss(p, labels)
    return value * np.float32(1.001), gradient


@implements(LOSS, api="nan")
def nan(p, labels):
    value, gradient = log_loss(p, labels)
    return np.where(value > 5, np.float32(np.nan), value), gradient


@implements(LOSS, api="raising")
def raising(p, labels):
    raise NotImplementedError("no kernel for this\nand a second line")


def _wrap(p, labels):
    rows = np.arange(len(p))
    gradient = np.zeros_like(p)
    gradient[rows, labels] = -1 / p[rows, labels]
    return -np.log(p[rows, labels]), gradient


@implements(LOSS, api="wrapping")
def wrapping(p, labels):
    return _wrap(p, labels)


@implements(LOSS, api="wrapping badly")
def wrapping_badly(p, labels):
    value, gradient = _wrap(p, labels)
    return value, gradient * np.float32(1.001)


@implements(LOSS, api="documented", semantics=Semantics(negative_index="wrap"), documentation="https://example.org/wrap")
def documented(p, labels):
    return _wrap(p, labels)


@implements(LOSS, api="documented otherwise", semantics=Semantics(negative_index="clamp"))
def documented_otherwise(p, labels):
    return _wrap(p, labels)


@implements(LOSS, api="clipped")
def clipped(p, labels):
    value, gradient = log_loss(p, labels)
    return np.minimum(value, np.float32(-np.log(1e-7))), np.where(p < 1e-7, np.float32(0), gradient)


def _softmax_loss(x: Any, labels: Any, shift: Callable[[Any], Any]) -> tuple[Any, Any]:
    x = x - shift(x)
    weight = np.exp(x)
    rows = np.arange(len(x))
    p = weight / weight.sum(-1, keepdims=True)
    p[rows, labels] -= 1
    return np.log(weight.sum(-1)) - x[rows, labels], p


@implements("sparse_softmax_cross_entropy_with_logits", api="unshifted", grade=Grade("lse", "lse"))
def unshifted(x, labels):
    return _softmax_loss(x, labels, lambda x: np.float32(0))


@implements("sparse_softmax_cross_entropy_with_logits", api="dropped", grade=Grade("lse", "lse"))
def dropped(x, labels):
    """Of a batch of more than 40 rows the last is forgotten."""
    value, gradient = _softmax_loss(x, labels, lambda x: x.max(-1, keepdims=True))
    value[40:] = 0
    return value, gradient
