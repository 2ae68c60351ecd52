"""Pairs of forms, for labels and for soft targets, in PyTorch: sound ones, and ones that part in a mean or over an axis.

Each pair is right where a quick look would try it: without reduction, options and another axis a label is its one-hot.
"""

from dataclasses import dataclass, replace
from functools import partial

import torch

from adapters.binding import Binding
from reference.semantics import Semantics
from tests.conformance.form_mutants import softmax_mean, sparse_mean
from tests.conformance.option_mutants import smoothing
from tests.conformance.option_twins import (
    SOUND,
    divisor,
    over_axis,
    softmax,
    softmax_loss,
    softmax_with_axis,
    sparse,
    sparse_loss,
    sparse_with_axis,
)
from tests.conformance.twins import LOSES_SMALL


@dataclass(frozen=True)
class Pair:
    """The forms of one API, for labels and for soft targets."""

    hard: Binding
    soft: Binding

    @property
    def api(self) -> str:
        """The name that both have."""
        return self.hard.api


def reduced(api: str, *, hard=sparse_loss, soft=softmax_loss, semantics: Semantics = LOSES_SMALL) -> Pair:
    """Return a pair of losses (prediction, target, reduction, given) with every reduction."""

    @sparse(api=api, semantics=semantics)
    def of_labels(logits, labels, *, reduction, **given):
        return hard(logits, labels, reduction, given)

    @softmax(api=api, semantics=semantics)
    def of_soft_targets(logits, targets, *, reduction, **given):
        return soft(logits, targets, reduction, given)

    return Pair(of_labels, of_soft_targets)


def alone(api: str, *, hard=sparse_loss, soft=softmax_loss) -> Pair:
    """Return a pair that gives a mean and nothing else."""

    @sparse_mean(api=api)
    def of_labels(logits, labels, **given):
        return hard(logits, labels, "mean", given)

    @softmax_mean(api=api)
    def of_soft_targets(logits, targets, **given):
        return soft(logits, targets, "mean", given)

    return Pair(of_labels, of_soft_targets)


def moved(api: str, *, hard=sparse_loss, soft=softmax_loss) -> Pair:
    """Return a pair that takes its classes on any axis; the losses given are those on another axis than the last."""

    @sparse_with_axis(api=api)
    def of_labels(logits, labels, *, reduction, class_axis=-1, **given):
        return over_axis(sparse_loss if class_axis == -1 else hard, logits, labels, reduction, class_axis, given)

    @softmax_with_axis(api=api)
    def of_soft_targets(logits, targets, *, reduction, class_axis=-1, **given):
        return over_axis(softmax_loss if class_axis == -1 else soft, logits, targets, reduction, class_axis, given)

    return Pair(of_labels, of_soft_targets)


def forgetting(loss, option: str, *reductions: str):
    """Return a loss that does not see an option under some reductions."""

    def forgetful(logits, targets, reduction, given):
        seen = {name: value for name, value in given.items() if name != option or reduction not in reductions}
        return loss(logits, targets, reduction, seen)

    return forgetful


def counting(loss, count):
    """Return a loss whose mean is divided by ``count(targets, kept, given)``."""
    return partial(loss, steps=replace(SOUND, divide=lambda losses, targets, kept, given: count(losses, targets, kept, given)))


def rows(losses, targets, kept, given):
    """Return what sample weights alone say of the rows that count."""
    return divisor(losses, targets, kept, {name: value for name, value in given.items() if name != "class_weight"})


def likeliest(losses, targets, kept, given):
    """Return the weights of the likeliest classes: those of soft targets that are one-hot, but for sample weights."""
    labels = {name: value for name, value in given.items() if name != "sample_weight" or "class_weight" not in given}
    return divisor(losses, targets.argmax(-1), kept, labels)


def masked_too(losses, targets, kept, given):
    """Return the weights of all rows, as if none were masked."""
    return divisor(losses, targets, torch.ones_like(kept), given)


def slope_by_rows(logits, targets, reduction, given):
    """Return the sound mean, with the gradient of the one over rows."""
    value = softmax_loss(logits, targets, reduction, given)
    other = counting(softmax_loss, rows)(logits, targets, reduction, given)
    return value.detach() + other - other.detach()


def in_first_dimension(logits, labels, reduction, given):
    """Return the losses, and a mean that takes the rows for twice as many."""
    return sparse_loss(logits, labels, reduction, given) / (2 if reduction == "mean" else 1)


one_class_more = partial(
    softmax_loss, steps=smoothing(lambda targets, there, e: (1 - e) * targets + e / (targets.shape[-1] + 1) * there)
)
"""Smooths as if there were one class more."""

REDUCED_TWINS = (
    reduced("twin: labels and one-hot"),
    reduced(
        "twin: one-hot counted as rows",
        soft=counting(softmax_loss, rows),
        semantics=replace(LOSES_SMALL, soft_weight_divisor="rows"),
    ),
    alone("twin: means of labels and one-hot"),
)
MOVED_TWINS = (moved("twin: labels and one-hot over an axis"),)

REDUCED_MUTANTS = (
    reduced("mutant: one-hot counted as rows", soft=counting(softmax_loss, rows)),
    reduced("mutant: labels counted as rows", hard=counting(sparse_loss, rows)),
    reduced("mutant: class weights of labels lost under the sum", hard=forgetting(sparse_loss, "class_weight", "sum")),
    reduced("mutant: labels not smoothed in the mean", hard=forgetting(sparse_loss, "label_smoothing", "mean")),
    reduced("mutant: sample weights of one-hot not counted beside class weights", soft=counting(softmax_loss, likeliest)),
    reduced("mutant: gradient of one-hot counted as rows", soft=slope_by_rows),
    alone("mutant: masked one-hot counted in a mean alone", soft=counting(softmax_loss, masked_too)),
    alone("mutant: labels not masked in a mean alone", hard=forgetting(sparse_loss, "mask", "mean")),
)
"""Their labels and one-hot part under a reduction."""

MOVED_MUTANTS = (
    moved(
        "mutant: class weights of labels lost over an axis", hard=forgetting(sparse_loss, "class_weight", "none", "sum", "mean")
    ),
    moved("mutant: one-hot counted as rows over an axis", soft=counting(softmax_loss, rows)),
    moved("mutant: one-hot smoothed over a class more over an axis", soft=one_class_more),
    moved("mutant: mean of labels halved over an axis", hard=in_first_dimension),
)
"""Their labels and one-hot part with the classes on another axis, and there alone."""
