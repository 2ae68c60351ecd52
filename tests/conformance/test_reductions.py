"""Reductions: each one that a binding has is held against the losses without it."""

from dataclasses import replace

import pytest
import torch.nn.functional as F

from adapters import pytorch
from reports.record import FAILING
from tests.conformance.asking import ask

REDUCTIONS = 28


def batchmean_over_outcomes(log_probabilities, targets, *, reduction):
    """Divides what is called the mean over the batch by the outcomes."""
    return F.kl_div(log_probabilities, targets, reduction="mean" if reduction == "batchmean" else reduction)


def gradient_of_the_sum(log_probabilities, targets, *, reduction):
    """Returns the mean over the batch, and the gradient of the sum."""
    value = F.kl_div(log_probabilities, targets, reduction=reduction)
    if reduction != "batchmean":
        return value
    total = F.kl_div(log_probabilities, targets, reduction="sum")
    return total + (value - total).detach()


def test_reductions_of_a_sound_divergence_conform() -> None:
    assert "batchmean" in pytorch.kl_div.reductions
    assert {record.verdict for record in ask(pytorch.kl_div, REDUCTIONS, using=pytorch.framework)} == {"conforms"}


@pytest.mark.parametrize("function", [batchmean_over_outcomes, gradient_of_the_sum])
def test_batchmean_that_is_none_is_caught(function) -> None:
    mutant = replace(pytorch.kl_div, api="mutant: batchmean", function=function)
    found = ask(mutant, REDUCTIONS, using=pytorch.framework)
    assert {record.verdict for record in found} <= FAILING
    assert all(record.finding is not None and "batchmean" in record.finding.quantity for record in found)


def test_every_reduction_of_every_binding_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    called = set()
    run = type(pytorch.framework).run

    def noted(self, loss, call, **how):
        called.add(call.reduction)
        return run(self, loss, call, **how)

    monkeypatch.setattr(type(pytorch.framework), "run", noted)
    for binding in (pytorch.kl_div, pytorch.cross_entropy):
        called.clear()
        ask(binding, REDUCTIONS, using=pytorch.framework)
        assert called == set(binding.reductions)
