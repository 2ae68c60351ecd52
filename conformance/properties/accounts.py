"""Accounts: what a call answered beside what is expected of it, reduced or not, so that two can be compared."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from adapters.binding import Binding
from conformance.cases import Batch
from conformance.judging import Judgement, agree
from conformance.properties.options import expect_reduced, has_gradient
from conformance.properties.relations import gap
from conformance.trial import Answer, Trial


@dataclass(frozen=True, eq=False)
class Account:
    """An answer, with the truth of value and gradient and the bounds of their errors, ``bound`` and ``slack``.

    ``of_gradient`` tells whether a gradient is owed.
    """

    answer: Answer
    value: NDArray
    bound: NDArray
    gradient: NDArray
    slack: NDArray
    of_gradient: bool

    @property
    def quantities(self) -> dict[str, tuple[NDArray, NDArray]]:
        """Truth and bound of all that is owed, by the name of the quantity."""
        owed = {"value": (self.value, self.bound), "gradient": (self.gradient, self.slack)}
        return owed if self.of_gradient else {"value": owed["value"]}


def account_of(trial: Trial, batch: Batch, reduction: str, answer: Answer | None = None) -> Account:
    """Return the account of a call under a reduction, or of another answer that should be the same."""
    answer, told = answer or trial.ask(batch, reduction=reduction), expected_of(trial, batch, reduction)
    undefined = reduction != "none" and np.isnan(told[0])
    return Account(answer, *told, has_gradient(trial, answer) and not undefined)


def expected_of(trial: Trial, batch: Batch, reduction: str) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Return value, bound, gradient and its bound, reduced or not."""
    if reduction != "none":
        return expect_reduced(trial, batch, reduction)
    expected = trial.expect(batch)
    return *expected.of("value"), *expected.of("gradient")


def same(batch: Batch, own: Account, other: Account, where: str) -> list[Judgement]:
    """Judge an answer against another, as far apart as their truths are, where each may err by its bound."""
    answers, apart = (own.answer, other.answer), gap(own.value, other.value)
    judged = [agree(batch, *answers, "value", own.bound + other.bound, apart=apart, name=f"value {where}")]
    if own.of_gradient and other.of_gradient:
        apart = gap(own.gradient, other.gradient)
        judged.append(agree(batch, *answers, "gradient", own.slack + other.slack, apart=apart, name=f"gradient {where}"))
    return judged


def with_truth_of(own: Account, other: Account) -> Account:
    """Return an account with the truth of another."""
    return replace(own, value=other.value, gradient=other.gradient)


def fullest_form(binding: Binding, others: Sequence[Binding]) -> Binding | None:
    """Return the form that the public calls of a loss are held against: the one with most reductions, and then most options.

    None for itself, for what is no public call, as a composition is, and for one that has no reduction in common with it.
    """
    forms = [other for other in others if other.loss == binding.loss and _is_form(other)] if _is_form(binding) else []
    fullest = max(forms, key=lambda form: (len(form.reductions), len(form.options)), default=binding)
    return fullest if fullest is not binding and set(fullest.reductions) & set(binding.reductions) else None


def fullest_form_over_axis(binding: Binding, others: Sequence[Binding]) -> Binding | None:
    """Return the fullest of the forms that take the classes on another axis, likewise."""
    return fullest_form(binding, [other for other in others if "class_axis" in other.options])


def _is_form(binding: Binding) -> bool:
    return not binding.textbook and not binding.is_composition
