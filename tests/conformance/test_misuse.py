"""Wrong helpers: every outcome is told from every other, nothing right is called wrong, and the gate is left alone."""

import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from adapters.binding import Binding, implements
from adapters.framework import Outcome
from adapters.loading import Adapter, load
from conformance.misuse import DATA_KINDS, DataKind, View, classify, measured, misuses, right_loss
from conformance.profiles import SMALL
from reference.losses import LOSSES
from reports.gate import INCOMPLETE
from reports.record import Misuse
from tests.command import TINY, run_command, write_adapter
from tests.conformance.tiny import Tiny, framework, log_loss

ONE_LOGIT = "one logit a row (N, 1), targets 0 or 1 (N, 1)"
ONE_LOGIT_FLAT = "one logit a row (N, 1), labels 0 or 1 (N,)"
LOGITS_LABELS = "class logits (N, C), labels (N,)"
LOG_PROBABILITIES = "class log-probabilities (N, C), labels (N,)"
SEVERAL = "multi-label logits (N, C), targets 0 or 1 (N, C)"


def softmax_loss(x, labels):
    shifted = x - x.max(-1, keepdims=True)
    log_softmax = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return -log_softmax[np.arange(len(x)), labels], np.zeros_like(x)


@implements("softmax_cross_entropy_with_logits", api="soft")
def soft(x, t):
    shifted = x - x.max(-1, keepdims=True)
    return -(t * (shifted - np.log(np.exp(shifted).sum(-1, keepdims=True)))).sum(-1), np.zeros_like(x)


@implements("softmax_cross_entropy_with_logits", api="warning")
def warning(x, t):
    warnings.warn("one class\nis none", UserWarning, stacklevel=1)
    return soft.function(x, t)


@implements("softmax_cross_entropy_with_logits", api="deprecated")
def deprecated(x, t):
    warnings.warn("old", DeprecationWarning, stacklevel=1)
    return soft.function(x, t)


@implements("sparse_softmax_cross_entropy_with_logits", api="sparse")
def sparse(x, labels):
    return softmax_loss(x, labels)


@implements("sparse_categorical_cross_entropy", api="of probabilities")
def of_probabilities(p, labels):
    return log_loss(p, labels)


@implements("binary_cross_entropy", api="elementwise")
def elementwise(p, t):
    return p * t, np.zeros_like(p)


@implements("categorical_cross_entropy", api="raising")
def raising(p, t):
    raise TypeError("no such data\nat all")


@implements("sparse_softmax_cross_entropy_with_logits", api="mean alone", reductions=("mean",))
def mean_alone(x, labels):
    value, gradient = softmax_loss(x, labels)
    return value.mean(), gradient


@implements("softmax_cross_entropy_with_logits", api="both")
def both_soft(x, t):
    return soft.function(x, t)


@implements("sparse_softmax_cross_entropy_with_logits", api="both")
def both_sparse(x, labels):
    return sparse.function(x, labels)


def measure(binding: Binding, *others: Binding) -> dict[str, Misuse]:
    """Return what a binding does with each kind of data."""
    return {line.data: line for line in misuses(binding, Adapter("own", "own", framework, (binding, *others)), "cpu")}


def test_a_softmax_of_one_output_is_silently_wrong() -> None:
    line = measure(soft)[ONE_LOGIT]
    assert (line.outcome, line.got, line.expected, line.factor) == (
        "silently wrong",
        "[0., 0.]",
        "[0.12692802, 0.974077 ]",
        0.0,
    )
    assert (line.loss, line.api, line.message) == (soft.loss, "soft", "")


def test_the_factor_is_that_of_the_means_of_all_losses() -> None:
    line = measure(soft)[SEVERAL]
    assert isinstance(line.factor, float)
    assert (line.outcome, f"{line.factor:.4f}") == ("silently wrong", "4.3832")


def test_nan_is_silently_wrong() -> None:
    line = measure(of_probabilities)[LOG_PROBABILITIES]
    assert (line.outcome, line.got, line.factor) == ("silently wrong", "[nan, nan]", "nan")


def test_an_error_is_told_in_a_line() -> None:
    lines = measure(raising)
    assert {(line.outcome, line.message) for line in lines.values()} == {("raises", "TypeError: no such data")}
    assert {(line.got, line.expected, line.factor) for line in lines.values()} == {("", "", None)}


def test_a_broadcast_is_a_wrong_shape() -> None:
    line = measure(elementwise)[ONE_LOGIT_FLAT]
    assert (line.outcome, line.got, line.expected) == ("wrong shape", "shape (15, 15)", "shape (15, 1)")


def test_a_warning_is_told_and_one_that_nobody_sees_is_none() -> None:
    line = measure(warning)[ONE_LOGIT]
    assert (line.outcome, line.message) == ("wrong with a warning", "UserWarning: one class")
    assert measure(deprecated)[ONE_LOGIT].outcome == "silently wrong"
    assert measure(warning)["class logits (N, C), one-hot integers (N, C)"].outcome == "harmless"


def test_who_compiles_warns_once_for_all_calls_of_a_shape() -> None:
    class Compiling(Tiny):
        """A framework that runs the function, and with it the warning, at the first call of a shape alone."""

        seen: ClassVar[set[tuple[object, ...]]] = set()

        def run(self, loss, call, **where):
            shapes = call.prediction.shape, call.target.shape, call.target.dtype.name
            with warnings.catch_warnings():
                if shapes in self.seen:
                    warnings.simplefilter("ignore")
                outcome = framework.run(loss, call, **where)
            first = shapes not in self.seen
            self.seen.add(shapes)
            return replace(outcome, compile_seconds=float(first))

    lines = {line.data: line for line in misuses(warning, Adapter("own", "own", Compiling(), (warning,)), "cpu")}
    alone = [line for data, line in lines.items() if data.startswith("one") and "labels" not in data]
    assert len(alone) == 7 and {line.outcome for line in alone} == {"wrong with a warning"}
    assert lines == measure(warning)


def test_log_probabilities_are_logits() -> None:
    line = measure(sparse)[LOG_PROBABILITIES]
    assert (line.outcome, line.message) == ("harmless", "")
    assert isinstance(line.factor, float) and line.got and line.expected


def test_what_gives_a_mean_alone_is_held_against_the_mean() -> None:
    lines, losses = measure(mean_alone), measure(sparse)
    assert lines[LOG_PROBABILITIES].outcome == "harmless"
    silent = [data for data, line in losses.items() if line.outcome == "silently wrong"]
    assert silent and all(lines[data].outcome == "silently wrong" for data in silent)
    assert [f"{lines[data].factor:.5g}" for data in silent] == [f"{losses[data].factor:.5g}" for data in silent]
    probabilities = lines["class probabilities (N, C), labels (N,)"]
    (view,) = right_loss(next(kind for kind in DATA_KINDS if kind.name == probabilities.data))
    assert np.float32(probabilities.expected.strip("[]")) == np.float32(view.value.mean())


def test_of_forms_with_a_mode_of_their_own_one_of_each_loss_of_the_table_is_measured() -> None:
    trained, evaluated = (replace(soft, api=api, mode="model") for api in ("train_on_batch", "evaluate"))
    metric, by_hand = replace(soft, mode="metric"), replace(soft, api="log of softmax", textbook=True)
    beyond = replace(soft, loss="poly_loss_cross_entropy")
    of_model = replace(beyond, mode="model")
    found = measured([soft, sparse, trained, by_hand, evaluated, metric, beyond, of_model])
    assert found == [soft, sparse, trained, metric, beyond]


def test_what_an_api_expects_is_not_given_to_it() -> None:
    names = {kind.name for kind in DATA_KINDS}
    own = {kind.name for kind in DATA_KINDS if kind.right == soft.loss}
    assert own and set(measure(soft)) == names - own
    assert set(measure(both_soft, both_sparse)) == names - own - {LOGITS_LABELS}
    assert set(measure(both_sparse, both_soft)) == names - own - {LOGITS_LABELS}


def test_a_loss_of_the_same_data_is_no_wrong_helper() -> None:
    taken = {(LOSSES[kind.right].prediction, LOSSES[kind.right].target) for kind in DATA_KINDS if kind.right}
    focal = implements("categorical_focal_cross_entropy_with_logits", api="focal")(soft.function)
    assert (LOSSES[focal.loss].prediction, LOSSES[focal.loss].target) in taken and set(measure(focal)) == set(measure(soft))


class Noting(Tiny):
    """NumPy, which notes whether it was asked for the value alone."""

    noted: ClassVar[set[bool]] = set()

    def run(self, loss, call, *, key, mode, device):
        self.noted.add(call.value_only)
        return super().run(loss, call, key=key, mode=mode, device=device)


def test_only_values_are_asked_for() -> None:
    misuses(soft, Adapter("noting", "noting", Noting(), (soft,)), "cpu")
    assert Noting.noted == {True}


def test_two_measurements_are_the_same() -> None:
    for binding in (soft, sparse, elementwise, of_probabilities, raising):
        assert list(measure(binding).values()) == list(measure(binding).values())


@pytest.mark.parametrize("kind", DATA_KINDS, ids=lambda kind: kind.name)
def test_no_more_than_the_bound_is_harmless(kind: DataKind) -> None:
    for view in (views := right_loss(kind)):
        for share, outcome in ((0.9, "harmless"), (-0.9, "harmless"), (1.1, "silently wrong"), (-1.1, "silently wrong")):
            assert classify(views, Outcome(view.value + share * view.bound), warned=False) == outcome


@pytest.mark.parametrize("kind", DATA_KINDS, ids=lambda kind: kind.name)
def test_a_worked_case_is_two_unlike_rows_that_are_neither_lost_nor_perfect(kind: DataKind) -> None:
    views = right_loss(kind)
    prediction, target = kind.rows
    assert len(prediction) == len(target) == SMALL[0] and len(kind.prediction) == len(kind.target) == 2
    assert prediction.dtype == np.float32 and target.dtype in (np.float32, np.int64)
    assert all(np.isfinite(view.value).all() and (view.value > 0.05).all() for view in views)
    assert (views[0].value[0] != views[0].value[1]).all()
    assert all((view.bound < 1e-5).all() and (view.bound > 0).all() for view in views)


@pytest.mark.parametrize("kind", DATA_KINDS, ids=lambda kind: kind.name)
def test_the_expected_loss_is_that_of_the_textbook(kind: DataKind) -> None:
    x, t = (array.astype(np.float64) for array in kind.rows)
    words = kind.name.partition(" (")[0]
    if "class" in words or words.startswith("two"):
        p = np.exp(x) if "log" in words else x
        p = p / p.sum(-1, keepdims=True)  # one already, but for logits and for the rounding of the logarithms
        t = t if t.shape == x.shape else np.eye(x.shape[-1])[t.astype(int).ravel()]
        expected = -(t * np.log(p)).sum(-1)
    else:
        p = 1 / (1 + np.exp(-x)) if words.endswith("logits") or words == "one logit a row" else x
        p = np.exp(x) if "log-" in words else p
        t = (t.reshape(x.shape) + 1) / 2 if "-1" in kind.name else t.reshape(x.shape)
        expected = -t * np.log(p) - (1 - t) * np.log(1 - p)
    assert right_loss(kind)[-1].holds(expected)


@pytest.mark.parametrize("kind", [kind for kind in DATA_KINDS if not LOSSES[kind.loss].has_classes], ids=lambda kind: kind.name)
def test_outcomes_may_come_as_their_mean_or_their_sum_by_row(kind: DataKind) -> None:
    views = right_loss(kind)
    whole = views[-1].value
    for reduced in (whole.mean(-1), whole.sum(-1), whole):
        assert classify(views, Outcome(reduced), warned=True) == "harmless"


def test_an_axis_of_length_one_changes_no_loss_and_another_axis_does() -> None:
    view = View(np.ones(7), np.full(7, 1e-6))
    assert view.holds(np.ones((7, 1))) and not view.fits(np.ones((7, 3))) and not view.fits(np.ones(()))


@pytest.mark.parametrize(
    ("adapter", "loss", "api", "data", "factor"),
    [
        ("pytorch", "softmax_cross_entropy_with_logits", "torch.nn.functional.cross_entropy", ONE_LOGIT, 0.0),
        ("tensorflow", "softmax_cross_entropy_with_logits", "tf.nn.softmax_cross_entropy_with_logits", SEVERAL, 4.3832),
        ("jax", "softmax_cross_entropy_with_logits", "optax.losses.softmax_cross_entropy", ONE_LOGIT, 0.0),
    ],
)
def test_a_known_mistake_is_silent_in_each_framework(adapter: str, loss: str, api: str, data: str, factor: float) -> None:
    loaded = load(adapter)
    (binding,) = (binding for binding in loaded.bindings if (binding.loss, binding.api) == (loss, api))
    line = next(line for line in misuses(binding, loaded, "cpu") if line.data == data)
    assert line.outcome == "silently wrong"
    assert isinstance(line.factor, float)
    assert f"{line.factor:.5g}" == f"{factor:.5g}"


def lines_of(path: Path, kind: str) -> list[dict[str, object]]:
    return [line for line in map(json.loads, path.read_text().splitlines()) if line["kind"] == kind]


def test_a_whole_run_measures_a_part_does_not_and_the_gate_is_the_same(tmp_path: Path) -> None:
    process = run_command("run", "--adapter", TINY, "--profile", "quick", "--results", tmp_path / "a.jsonl")
    found = lines_of(tmp_path / "a.jsonl", "misuse")
    (footer,), (header,) = lines_of(tmp_path / "a.jsonl", "footer"), lines_of(tmp_path / "a.jsonl", "header")
    assert "silently wrong" in {line["outcome"] for line in found}
    assert footer["complete"] and footer["records"] == header["questions"] == len(lines_of(tmp_path / "a.jsonl", "record"))
    assert isinstance(header["data_kinds"], list)
    assert {line["data"] for line in found} <= {kind["name"] for kind in header["data_kinds"]}

    words = ("--loss", "sparse_categorical_cross_entropy", "--results", tmp_path / "part.jsonl")
    part = run_command("run", "--adapter", TINY, "--profile", "quick", *words)
    assert lines_of(tmp_path / "part.jsonl", "misuse") == []
    assert lines_of(tmp_path / "part.jsonl", "record") == lines_of(tmp_path / "a.jsonl", "record")
    assert part.returncode == process.returncode


def test_a_process_that_dies_of_it_is_a_crash_of_its_own(tmp_path: Path) -> None:
    body = (
        "@implements('sparse_categorical_cross_entropy', api='dying')\n"
        "def dying(p, labels):\n"
        "    return log_loss(p, labels) if labels.dtype == np.int64 else os._exit(7)\n"
    )
    adapter = write_adapter(tmp_path / "dying.py", body, head="import os\n")
    process = run_command("run", "--adapter", adapter, "--profile", "quick", "--results", tmp_path / "a.jsonl", "--", "-n", "1")
    found = lines_of(tmp_path / "a.jsonl", "misuse")
    (footer,) = lines_of(tmp_path / "a.jsonl", "footer")
    assert {line["outcome"] for line in found} == {"crash"} and len(found) == len(DATA_KINDS) - 1
    assert all("crashed while running" in str(line["message"]) for line in found)
    assert footer["complete"] and process.returncode != INCOMPLETE
