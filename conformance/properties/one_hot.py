"""One-hot: a hard label is the one-hot of itself, under every reduction and with the classes on another axis too."""

import re
from collections.abc import Sequence
from dataclasses import replace

from adapters.binding import Binding
from conformance.cases import Batch
from conformance.judging import Judgement
from conformance.properties.accounts import account_of, same
from conformance.properties.options import ask_over_axis
from conformance.properties.relations import ONE_HOT_PAIRS, hard_and_one_hot
from conformance.trial import Trial

KIND_IN_NAME = re.compile("sparse_?|_with_integer_labels", re.IGNORECASE)
"""What a name says of index targets: what is left is the name of the same loss for soft ones."""


def soft_form(binding: Binding, others: Sequence[Binding]) -> Binding | None:
    """Return what takes soft targets of the same API, or of the one with the same name but for the kind of targets."""
    wanted = ONE_HOT_PAIRS.get(binding.loss), _name(binding)
    return next((other for other in others if (other.loss, _name(other)) == wanted), None)


def _name(binding: Binding) -> str:
    return KIND_IN_NAME.sub("", binding.api).lower()


def same_reduced(trial: Trial, batch: Batch, *, reductions: Sequence[str] = ()) -> list[Judgement]:
    """Under each reduction, and each option and pair that both take, a hard label gives what its one-hot gives.

    So does what gives a mean alone: value and, where there is one, gradient.
    """
    hard, soft = hard_and_one_hot(batch)
    return [
        judged
        for partner, name in _partners(trial, batch, reductions)
        if name != "none"
        for judged in same(hard, account_of(trial, hard, name), account_of(partner, soft, name), f"under {name}")
    ]


def same_over_axis(
    trial: Trial, batch: Batch, *, axes: Sequence[int] = (1,), reductions: Sequence[str] = ()
) -> list[Judgement]:
    """With the classes on another axis, reduced or not, a hard label gives what its one-hot gives.

    So it does under each option and pair that both take.
    """
    pair, judgements = hard_and_one_hot(batch), []
    for axis in axes:
        for partner, name in _partners(trial, batch, reductions):
            hard, soft = (
                account_of(asked, one, name, ask_over_axis(asked, one, axis, name))
                for asked, one in zip((trial, partner), pair, strict=True)
            )
            judgements += same(pair[0], hard, soft, f"under {name} over axis {axis}")
    return judgements


def _partners(trial: Trial, batch: Batch, reductions: Sequence[str]) -> list[tuple[Trial, str]]:
    """Return the form for soft targets beside each reduction that both have; nothing where one does not take the options."""
    given, other = batch.options.given, soft_form(trial.binding, trial.siblings)
    if other is None or not (trial.binding.takes(given) and other.takes(given)):
        return []
    partner = replace(trial, binding=other, grade=other.grade)
    return [(partner, name) for name in reductions or trial.reductions_under_options if name in other.reductions]
