"""Relations: what must hold between the answers to two calls, whatever the truth is."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from conformance.cases import Batch, lay_out
from conformance.judging import Judgement, agree, by_row, compare, refuse
from conformance.tables import table
from conformance.trial import Answer, Expected, Trial, float64
from reference.bounds import bound_ratio
from reference.evaluate import evaluate
from reference.losses import LOSSES

NASTY = 3.0e4
"""What the neighbours of a row are replaced by: large, and finite in every dtype."""

ONE_HOT_PAIRS = {
    "softmax_cross_entropy_with_logits": "sparse_softmax_cross_entropy_with_logits",
    "sparse_softmax_cross_entropy_with_logits": "softmax_cross_entropy_with_logits",
    "categorical_cross_entropy": "sparse_categorical_cross_entropy",
    "sparse_categorical_cross_entropy": "categorical_cross_entropy",
    "linear_cross_entropy_with_soft_targets": "linear_cross_entropy",
    "linear_cross_entropy": "linear_cross_entropy_with_soft_targets",
}
"""The losses that are one where the targets are hard."""


Judge = Callable[[Trial, Batch, Answer, str], list[Judgement]]
"""(trial, batch, answer, words) -> the judgements of an answer that should be the usual one; ``words`` say to what."""


def as_usual(trial: Trial, batch: Batch, answer: Answer, words: str) -> list[Judgement]:
    """Judge value and gradient of an answer."""
    expected = trial.expect(batch)
    return [
        compare(batch, answer, quantity, *expected.of(quantity), name=f"{quantity} {words}")
        for quantity in ("value", "gradient")
    ]


def both_agree(batch: Batch, changed: Answer, plain: Answer, expected: Expected) -> list[Judgement]:
    """Judge value and gradient of one answer against another, each of which may err by its bound."""
    return [agree(batch, changed, plain, quantity, 2 * expected.of(quantity)[1]) for quantity in ("value", "gradient")]


def with_arrays(answer: Answer, value: NDArray | None, gradient: NDArray | None) -> Answer:
    """Return the answer with its arrays brought into the order of another call."""
    return replace(answer, outcome=replace(answer.outcome, value=value, gradient=gradient))


def hard_and_one_hot(batch: Batch) -> tuple[Batch, Batch]:
    """Return a batch with hard targets, its labels, and the same for the loss that it is paired with: one of them one-hot."""
    name = batch.id.partition("/table/")[2] or f"hard {batch.id}"  # what is shrunk has been through here
    hard, twin = (
        table(loss, batch.dtype, name, batch.prediction, batch.labels, batch.regimes)
        for loss in (batch.loss, ONE_HOT_PAIRS[batch.loss])
    )
    return replace(hard, options=batch.options), replace(twin, options=batch.options)


def hard_is_one_hot(trial: Trial, batch: Batch) -> list[Judgement]:
    """A hard target and its one-hot vector give the same loss and gradient."""
    hard, twin = hard_and_one_hot(batch)
    other = next((b for b in trial.siblings if b.loss == twin.loss and b.api == trial.binding.api), None)
    given = batch.options.given  # of options, those that both take are asked
    taken = set(given) <= set(LOSSES[twin.loss].options) if other is None else other.takes(given)
    if not (taken and trial.binding.takes(given)):
        return []
    answer, expected = trial.ask(hard), trial.expect(hard)
    if other is not None:
        return both_agree(hard, answer, replace(trial, binding=other).ask(twin), expected)
    truth = trial.expect(twin).truth
    return [
        compare(hard, answer, "value", truth.value, expected.bounds.value),
        compare(hard, answer, "gradient", truth.gradient, expected.bounds.gradient),
    ]


def softmax_is_sigmoid(trial: Trial, batch: Batch) -> list[Judgement]:
    """Two-class softmax cross-entropy is sigmoid cross-entropy of the difference of the logits."""
    answer, bounds = trial.ask(batch), trial.expect(batch).bounds
    x, precision = batch.prediction.astype(np.float64), trial.precision
    if trial.loss.has_classes:
        first = (batch.labels == 0).astype(float)
        truth = evaluate("sigmoid_cross_entropy_with_logits", x[:, 0] - x[:, 1], first, precision=precision)
        value, gradient = truth.value, np.stack([truth.gradient, -truth.gradient], -1)
    else:
        t = batch.target.astype(np.float64)
        pairs, targets = np.stack([x, np.zeros_like(x)], -1), np.stack([t, 1 - t], -1)
        truth = evaluate("softmax_cross_entropy_with_logits", pairs, targets, precision=precision)
        value, gradient = truth.value, truth.gradient[..., 0]
        if trial.semantics.loss_shape == "row_mean":
            value, gradient = value.mean(-1), gradient / x.shape[-1]
    return [
        compare(batch, answer, "value", value, bounds.value),
        compare(batch, answer, "gradient", gradient, bounds.gradient),
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
    here, there = trial.expect(batch), trial.expect(replace(batch, prediction=moved))
    wider = replace(
        here.bounds,
        value=np.maximum(here.bounds.value, there.bounds.value),
        gradient=np.maximum(here.bounds.gradient, there.bounds.gradient),
    )
    return both_agree(batch, trial.ask(replace(batch, prediction=moved)), trial.ask(batch), replace(here, bounds=wider))


def permute_classes(trial: Trial, batch: Batch) -> list[Judgement]:
    """Permuting the classes of prediction and target permutes the gradient and leaves the loss."""
    classes = batch.prediction.shape[-1]
    order = np.roll(np.arange(classes)[::-1], classes // 3)
    back = np.argsort(order)
    target = back[batch.target] if trial.loss.target == "index" else batch.target[:, order]
    prediction = lay_out(batch.prediction[:, order], "rowwise")
    changed = trial.ask(replace(batch, prediction=prediction, target=lay_out(target, "rowwise")))
    value, gradient = changed.outcome.value, changed.outcome.gradient
    if value is not None and value.shape == batch.prediction.shape:
        value = value[:, back]
    gradient = gradient[:, back] if gradient is not None and gradient.shape == batch.prediction.shape else gradient
    return both_agree(batch, with_arrays(changed, value, gradient), trial.ask(batch), trial.expect(batch))


def independent_rows(trial: Trial, batch: Batch) -> list[Judgement]:
    """A row's loss and gradient do not depend on its neighbours, nor on its place in the batch."""
    prediction, target = batch.prediction[::-1].copy(), batch.target[::-1].copy()
    replaced = np.arange(batch.rows) % 3 == 1
    nasty = {"logit": NASTY, "probability": 1.0, "log-probability": -NASTY}[trial.loss.prediction]
    prediction[replaced] = np.where(np.arange(prediction.shape[-1]) % 2 == 0, nasty, nasty / 2).astype(batch.dtype)
    changed = trial.ask(replace(batch, prediction=lay_out(prediction, "rowwise"), target=lay_out(target, "rowwise")))
    turned = [
        None if array is None or array.ndim == 0 else array[::-1] for array in (changed.outcome.value, changed.outcome.gradient)
    ]
    judgements = both_agree(batch, with_arrays(changed, *turned), trial.ask(batch), trial.expect(batch))
    kept = ~replaced[::-1]
    return [j if isinstance(j.got, str) else replace(j, ratio=np.where(kept, j.ratio, 0.0)) for j in judgements]


def backends_agree(trial: Trial, batch: Batch) -> list[Judgement]:
    """On one batch every backend gives the right loss and gradient, and so those that the others have recorded."""
    answer, expected = trial.ask(batch), trial.expect(batch)
    return [compare(batch, answer, quantity, *expected.of(quantity)) for quantity in ("value", "gradient")]


def mirror(trial: Trial, batch: Batch) -> list[Judgement]:
    """Exchanging the two outcomes mirrors the loss: L(x, 1) = L(-x, 0), L(p, 1) = L(1 - p, 0)."""
    target = (batch.target > 0.5).astype(batch.dtype)
    if trial.loss.prediction == "logit":
        here, there = batch.prediction, -batch.prediction
    else:
        grid = np.round(batch.prediction.astype(np.float64) * 1024) / 1024  # on which 1 - p is exact
        here, there = grid.astype(batch.dtype), (1 - grid).astype(batch.dtype)
    plain = replace(batch, prediction=lay_out(here, "rowwise"), target=lay_out(target, "rowwise"))
    mirrored = replace(batch, prediction=lay_out(there, "rowwise"), target=lay_out(1 - target, "rowwise"))
    first, second = trial.expect(plain), trial.expect(mirrored)
    answer, other = trial.ask(mirrored), trial.ask(plain)
    judgements = []
    for quantity, sign in (("value", 1.0), ("gradient", -1.0)):
        (one, bound), (two, other_bound) = first.of(quantity), second.of(quantity)
        if trouble := other.trouble(quantity, one.shape):
            judgements.append(refuse(mirrored, other, quantity, trouble, "the same answer"))
            continue
        # Under a guard that rounds 1e-7 and 1 - 1e-7 the two truths differ, and so may the answers.
        wanted = sign * float64(other.array(quantity)) + gap(two, sign * one)
        allowed = np.where(np.isfinite(wanted), bound + other_bound, 0.0)
        judgements.append(compare(mirrored, answer, quantity, wanted, allowed))
    return judgements


def gap(a: NDArray, b: NDArray) -> NDArray:
    """Return a - b, and 0 where either is infinite or NaN."""
    usable = np.isfinite(a) & np.isfinite(b)
    return np.where(usable, np.where(usable, a, 0.0) - np.where(usable, b, 0.0), 0.0)


def gradient_sums_to_zero(trial: Trial, batch: Batch) -> list[Judgement]:
    """The gradient of a softmax row sums to zero, within the sum of its bounds."""
    truth, bound = trial.expect(batch).of("gradient")
    answer = trial.ask(batch)
    if trouble := answer.trouble("gradient", truth.shape):
        return [refuse(batch, answer, "sum of the gradient", trouble, np.zeros(batch.rows))]
    total = float64(answer.outcome.gradient).sum(-1)
    # The suite's own sum adds a float64 roundoff of each term.
    slack = np.finfo(np.float64).eps * np.abs(truth).sum(-1) * truth.shape[-1]
    ratio = bound_ratio(total, truth.sum(-1), bound.sum(-1) + slack, precision="float64")
    return [Judgement(batch, "sum of the gradient", by_row(ratio, batch.rows), total, truth.sum(-1), answer.call)]
