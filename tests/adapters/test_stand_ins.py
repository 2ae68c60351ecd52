"""Stand-ins: compositions that take every option of a loss, and what is printed of them with one option alone."""

from dataclasses import replace
from typing import Any

import pytest

from adapters.binding import Binding
from adapters.loading import load
from conformance.cases import fill, option_cases
from conformance.trial import Trial
from reference.losses import LOSSES
from reference.options import REDUCTIONS, options_of
from reports.shortening import shorten

STAND_INS = [
    (adapter, binding)
    for adapter in map(load, ("pytorch", "tensorflow", "jax"))
    for binding in adapter.bindings
    if binding.stand_in
]


def shortened(binding: Binding, option: str) -> Any:
    """Return the function that is printed for one option and any reduction."""
    names: dict[str, Any] = {}
    exec("\n".join(binding.imports), names)
    exec(shorten(binding.source, binding.options, [option]), names)
    return names[binding.function.__name__]


@pytest.mark.parametrize("name", ["pytorch", "tensorflow", "jax"])
def test_each_loss_that_lacks_a_call_for_an_option_has_one_with_all(name: str) -> None:
    found = {binding.loss: binding for adapter, binding in STAND_INS if adapter.name == name}
    whole = {binding.loss for binding in load(name).bindings if set(binding.options) >= set(options_of(LOSSES[binding.loss]))}
    assert whole == set(LOSSES)
    for loss, binding in found.items():
        assert set(binding.options) == {"reduction", *options_of(LOSSES[loss])}
        assert set(binding.reductions) == set(REDUCTIONS) or LOSSES[loss].parameters


@pytest.mark.parametrize(("adapter", "binding"), STAND_INS, ids=lambda one: getattr(one, "loss", getattr(one, "name", "")))
def test_what_is_printed_for_an_option_computes_what_is_asked(adapter: Any, binding: Binding) -> None:
    asked = Trial(binding, adapter.framework, "eager", "float32", "cpu")
    for case in option_cases(binding.loss):
        if len(case.settings) == 1:
            batch, (option, _, _) = fill(case, "float32"), case.settings[0].partition("=")
            printed = replace(asked, binding=replace(binding, api=case.id, function=shortened(binding, option)))
            one, other = (trial.ask(batch, reduction="mean").outcome for trial in (asked, printed))
            assert one.value is not None and other.value is not None, other.error
            assert one.value.tobytes() == other.value.tobytes(), case.id
