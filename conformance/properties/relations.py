"""Relations: what must hold between the answers to two calls, whatever the truth is."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from adapters.framework import Call, Outcome
from conformance.cases import Batch, lay_out
from conformance.judging import Judgement, by_row, compare, refuse
from conformance.tables import table
from conformance.trial import Expected, Trial, float64
from reference.bounds import bound_ratio
from reference.evaluate import evaluate

NASTY = 3.0e4
"""What the neighbours of a row are replaced by, beside NaN: large, and finite in every dtype."""


ONE_HOT_PAIRS = {
    "softmax_cross_entropy_with_logits": "sparse_softmax_cross_entropy_with_logits",
    "sparse_softmax_cross_entropy_with_logits": "softmax_cross_entropy_with_logits",
    "categorical_cross_entropy": "sparse_categorical_cross_entropy",
    "sparse_categorical_cross_entropy": "categorical_cross_entropy",
}
"""The losses that are one where the targets are hard."""


def _against(
    batch: Batch, quantity: str, got: NDArray | None, other: NDArray | None, bound: NDArray, call: Call, precision: str, outcome: Outcome
) -> Judgement:
    """Judge ``got`` against the answer to another call that should be the same."""
    if other is None:
        return refuse(batch, quantity, "nothing to compare with", "the same answer", call)
    with np.errstate(invalid="ignore"):
        return compare(batch, quantity, outcome, got, float64(other), np.where(np.isfinite(float64(other)), bound, 0.0), call=call, precision=precision)


def _both(
    trial: Trial, batch: Batch, changed: Outcome, plain: Outcome, expected: Expected, call: Call, undo: NDArray | None = None
) -> list[Judgement]:
    """Judge value and gradient of a changed call against the plain one, within twice the bound of each."""
    if plain.error or changed.error:
        error = plain.error or changed.error
        return [refuse(batch, "value", f"raises {error}", "the same answer", call)]
    value, gradient = changed.value, changed.gradient
    if undo is not None and gradient is not None:
        gradient = gradient[..., undo]
        value = value if trial.loss.has_classes or value is None or value.ndim < 2 else value[..., undo]
    return [
        _against(batch, "value", value, plain.value, 2 * expected.bounds.value, call, expected.precision, changed),
        _against(batch, "gradient", gradient, plain.gradient, 2 * expected.bounds.gradient, call, expected.precision, changed),
    ]


def hard_is_one_hot(trial: Trial, batch: Batch) -> list[Judgement]:
    """A hard target and its one-hot vector give the same loss and gradient."""
    other_name = ONE_HOT_PAIRS[trial.binding.loss]
    other = next((b for b in trial.siblings if b.loss == other_name and b.api == trial.binding.api), None)
    hard = table(batch.loss, trial.dtype, f"hard {batch.id}", batch.prediction, batch.labels, batch.regimes)
    twin = table(other_name, trial.dtype, f"hard {batch.id}", batch.prediction, batch.labels, batch.regimes)
    outcome = trial.call(hard.prediction, hard.target)
    expected = trial.expect(hard)
    call = Call(hard.prediction, hard.target)
    if other is not None:
        answer = replace(trial, binding=other).call(twin.prediction, twin.target)
        return _both(trial, hard, outcome, answer, expected, call)
    truth = evaluate(other_name, twin.prediction, twin.target, semantics=trial.semantics, precision=expected.precision)
    pairs = (("value", outcome.value, truth.value, expected.bounds.value), ("gradient", outcome.gradient, truth.gradient, expected.bounds.gradient))
    return [
        compare(hard, quantity, outcome, got, true, bound, call=call, precision=expected.precision)
        for quantity, got, true, bound in pairs
    ]


def softmax_is_sigmoid(trial: Trial, batch: Batch) -> list[Judgement]:
    """Two-class softmax cross-entropy is sigmoid cross-entropy of the difference of the logits."""
    outcome = trial.call(batch.prediction, batch.target)
    call = Call(batch.prediction, batch.target)
    expected = trial.expect(batch)
    x = batch.prediction.astype(np.float64)
    if trial.loss.has_classes:
        label = batch.labels == 0
        truth = evaluate("sigmoid_cross_entropy_with_logits", x[:, 0] - x[:, 1], label.astype(float), precision=trial.precision)
        gradient = np.stack([truth.gradient, -truth.gradient], -1)
        value = truth.value
    else:
        pairs = np.stack([x, np.zeros_like(x)], -1)
        t = batch.target.astype(np.float64)
        truth = evaluate("softmax_cross_entropy_with_logits", pairs, np.stack([t, 1 - t], -1), precision=trial.precision)
        value, gradient = truth.value, truth.gradient[..., 0]
    return [
        compare(batch, "value", outcome, outcome.value, value, expected.bounds.value, call=call, precision=expected.precision),
        compare(batch, "gradient", outcome, outcome.gradient, gradient, expected.bounds.gradient, call=call, precision=expected.precision),
    ]


def shift(trial: Trial, batch: Batch) -> list[Judgement]:
    """Adding a constant to all logits of a row changes nothing, where the sums are exact."""
    generator = np.random.default_rng(batch.rows)
    x = batch.prediction.astype(np.float64)
    step = np.array([float(name.split()[1]) for name in batch.regimes])
    constant = step * 2.0**22 * generator.choice([-1.0, 1.0], batch.rows)
    moved = lay_out((x + constant[:, None]).astype(batch.dtype), "rowwise")
    if (moved.astype(np.float64) - constant[:, None] != x).any():
        return []  # this batch is on no grid
    plain, changed = trial.call(batch.prediction, batch.target), trial.call(moved, batch.target)
    here, there = trial.expect(batch), trial.expect(replace(batch, prediction=moved))
    bounds = replace(here.bounds, value=np.maximum(here.bounds.value, there.bounds.value), gradient=np.maximum(here.bounds.gradient, there.bounds.gradient))
    return _both(trial, batch, changed, plain, replace(here, bounds=bounds), Call(moved, batch.target))


def permute_classes(trial: Trial, batch: Batch) -> list[Judgement]:
    """Permuting the classes of prediction and target permutes the gradient and leaves the loss."""
    classes = batch.prediction.shape[-1]
    order = np.roll(np.arange(classes)[::-1], classes // 3)
    prediction = lay_out(batch.prediction[:, order], "rowwise")
    target = np.argsort(order)[batch.target] if trial.loss.target == "index" else batch.target[:, order]
    plain, changed = trial.call(batch.prediction, batch.target), trial.call(prediction, lay_out(target, "rowwise"))
    return _both(trial, batch, changed, plain, trial.expect(batch), Call(prediction, target), np.argsort(order))


def independent_rows(trial: Trial, batch: Batch) -> list[Judgement]:
    """A row's loss and gradient do not depend on its neighbours, nor on its place in the batch."""
    order = np.arange(batch.rows)[::-1]
    prediction, target = batch.prediction[order].copy(), batch.target[order].copy()
    nasty = NASTY if trial.loss.prediction == "logit" else 1.0
    replaced = np.arange(batch.rows) % 3 == 1
    prediction[replaced] = np.where(np.arange(prediction.shape[-1]) % 2 == 0, nasty, nasty / 2).astype(batch.dtype)
    plain = trial.call(batch.prediction, batch.target)
    changed = trial.call(lay_out(prediction, "rowwise"), lay_out(target, "rowwise"))
    call = Call(prediction, target)
    if plain.error or changed.error:
        return [refuse(batch, "value", f"raises {plain.error or changed.error}", "the same answer", call)]
    kept = ~replaced[::-1]
    expected = trial.expect(batch)
    judgements = []
    for quantity, got, other, bound in (
        ("value", changed.value, plain.value, expected.bounds.value),
        ("gradient", changed.gradient, plain.gradient, expected.bounds.gradient),
    ):
        if got is None or other is None or got.shape[:1] != (batch.rows,):
            judgements.append(refuse(batch, quantity, "nothing of the right shape", "the same answer", call))
            continue
        judgement = _against(batch, quantity, got[::-1], other, 2 * bound, call, expected.precision, changed)
        judgements.append(replace(judgement, ratio=np.where(kept, judgement.ratio, 0.0)))
    return judgements


def mirror(trial: Trial, batch: Batch) -> list[Judgement]:
    """Exchanging the two outcomes mirrors the loss: L(x, 1) = L(-x, 0), L(p, 1) = L(1 - p, 0)."""
    if trial.loss.prediction == "logit":
        prediction, target = -batch.prediction, 1 - (batch.target > 0.5).astype(batch.dtype)
        here = (batch.target > 0.5).astype(batch.dtype)
    else:
        half = np.round(batch.prediction.astype(np.float64) * 1024) / 1024  # a grid on which 1 - p is exact
        batch = replace(batch, prediction=lay_out(half.astype(batch.dtype), "rowwise"))
        prediction, here = (1 - half).astype(batch.dtype), (batch.target > 0.5).astype(batch.dtype)
        target = 1 - here
    plain_batch = replace(batch, target=lay_out(here, "rowwise"))
    mirrored = replace(batch, prediction=lay_out(prediction, "rowwise"), target=lay_out(target, "rowwise"))
    plain, changed = (trial.call(b.prediction, b.target) for b in (plain_batch, mirrored))
    first, second = trial.expect(plain_batch), trial.expect(mirrored)
    call = Call(mirrored.prediction, mirrored.target)
    if plain.error or changed.error:
        return [refuse(batch, "value", f"raises {plain.error or changed.error}", "the same answer", call)]
    # Under a guard that rounds 1e-7 and 1 - 1e-7 the two truths differ: what must agree is their distance to the answers.
    value = None if plain.value is None else float64(plain.value) + _gap(second.truth.value, first.truth.value)
    flipped = None if plain.gradient is None else -float64(plain.gradient) + _gap(second.truth.gradient, -first.truth.gradient)
    bounds = first.bounds.value + second.bounds.value, first.bounds.gradient + second.bounds.gradient
    return [
        _against(mirrored, "value", changed.value, value, bounds[0], call, first.precision, changed),
        _against(mirrored, "gradient", changed.gradient, flipped, bounds[1], call, first.precision, changed),
    ]


def _gap(a: NDArray, b: NDArray) -> NDArray:
    """Return a - b, and 0 where both are infinite or NaN."""
    both = np.isfinite(a) & np.isfinite(b)
    return np.where(both, np.where(both, a, 0.0) - np.where(both, b, 0.0), 0.0)


def gradient_sums_to_zero(trial: Trial, batch: Batch) -> list[Judgement]:
    """The gradient of a softmax row sums to zero, within the sum of its bounds."""
    expected = trial.expect(batch)
    outcome = trial.call(batch.prediction, batch.target)
    call = Call(batch.prediction, batch.target)
    if outcome.error or outcome.gradient is None or outcome.gradient.shape != batch.prediction.shape:
        return [refuse(batch, "sum of the gradient", outcome.error or "nothing of the right shape", np.zeros(batch.rows), call)]
    total = float64(outcome.gradient).sum(-1)
    truth = expected.truth.gradient.sum(-1)
    # The suite's own sum adds a float64 roundoff of each term.
    slack = np.finfo(np.float64).eps * np.abs(expected.truth.gradient).sum(-1) * outcome.gradient.shape[-1]
    ratio = bound_ratio(total, truth, expected.bounds.gradient.sum(-1) + slack, precision="float64")
    return [Judgement(batch, "sum of the gradient", by_row(ratio, batch.rows), total, truth, call)]

