"""Interface: reductions, upstream gradients, shapes and dtypes, inputs left alone, the same answer twice."""

import numpy as np

from adapters.framework import Call, Outcome
from conformance.cases import Batch, lay_out
from conformance.judging import Judgement, compare, decide, refuse
from conformance.profiles import LONG
from conformance.trial import Trial, float64
from reference.bounds import Bounds, reduced_bound, scaled_gradient_bound
from reference.precision import PRECISIONS


def reductions(trial: Trial, batch: Batch) -> list[Judgement]:
    """Sum and mean are those of the losses returned without reduction, and so are their gradients."""
    none = trial.call(batch.prediction, batch.target)
    expected = trial.expect(batch)
    call = Call(batch.prediction, batch.target)
    if none.error or none.value is None or none.gradient is None or none.value.shape != expected.truth.value.shape:
        return [refuse(batch, "value", none.error or "nothing of the right shape", expected.truth.value, call)]
    losses, slopes = float64(none.value), float64(none.gradient)
    exact = Bounds(np.zeros_like(losses), np.zeros_like(slopes), None)
    judgements = []
    for reduction, factor in (("sum", 1.0), ("mean", 1.0 / losses.size)):
        outcome = trial.call(batch.prediction, batch.target, reduction=reduction)
        call = Call(batch.prediction, batch.target, reduction)
        with np.errstate(over="ignore"):
            total = np.asarray(losses.sum() * factor)
        bound = np.asarray(reduced_bound(losses, exact, reduction=reduction, precision=expected.precision))
        if np.abs(losses).sum() >= PRECISIONS[expected.precision].overflow:
            continue  # a mean is a sum divided: where the sum overflows on the way, an infinity is sound
        judgements.append(
            compare(batch, f"value under {reduction}", outcome, outcome.value, total, bound, call=call, precision=expected.precision)
        )
        bounds = scaled_gradient_bound(slopes, expected.bounds.gradient, factor, precision=expected.precision)
        # Two evaluations, each within its bound: what is returned under none is not the truth.
        bounds = bounds + expected.bounds.gradient * factor
        judgements.append(
            compare(batch, f"gradient under {reduction}", outcome, outcome.gradient, slopes * factor, bounds, call=call, precision=expected.precision)
        )
    return judgements


def upstream_gradient(trial: Trial, batch: Batch) -> list[Judgement]:
    """The gradient is scaled by the gradient that comes from above, row by row."""
    expected = trial.expect(batch)
    generator, shape = np.random.default_rng(3), expected.truth.value.shape
    # At least one in size: a smaller factor times a small target would underflow on the way to an ordinary gradient.
    factors = (generator.uniform(1, 4, shape) * generator.choice([-1.0, 1.0], shape)).astype(trial.dtype)
    call = Call(batch.prediction, batch.target, cotangent=factors)
    outcome = trial.call(batch.prediction, batch.target, cotangent=factors)
    scale = factors.astype(np.float64)
    scale = scale[..., None] if scale.ndim < batch.prediction.ndim else scale
    bounds = scaled_gradient_bound(expected.truth.gradient, expected.bounds.gradient, scale, precision=expected.precision)
    truth = expected.truth.gradient * scale
    return [compare(batch, "gradient", outcome, outcome.gradient, truth, bounds, call=call, precision=expected.precision)]


def shape_and_dtype(trial: Trial, batch: Batch) -> list[Judgement]:
    """The loss has one entry for each row or outcome and the dtype of the prediction; the gradient is like the prediction."""
    call = Call(batch.prediction, batch.target)
    outcome = trial.call(batch.prediction, batch.target)
    if outcome.error or outcome.value is None:
        return [refuse(batch, "value", outcome.error or "nothing", "an array", call)]
    shape: tuple[int, ...] = batch.prediction.shape
    if trial.loss.has_classes or trial.semantics.loss_shape == "row_mean":
        shape = shape[:-1]
    wanted, got = f"{trial.precision} {shape}", f"{outcome.value.dtype} {outcome.value.shape}"
    judgements = [decide(got == wanted, batch, "shape and dtype of the value", got, wanted, call)]
    slope = outcome.gradient
    wanted = f"{trial.dtype} {batch.prediction.shape}"
    got = "nothing" if slope is None else f"{slope.dtype} {slope.shape}"
    judgements.append(decide(got == wanted, batch, "shape and dtype of the gradient", got, wanted, call))
    if "reduction" in trial.binding.options:
        for reduction in ("sum", "mean"):
            reduced = trial.call(batch.prediction, batch.target, reduction=reduction)
            got = reduced.error or ("nothing" if reduced.value is None else f"{reduced.value.dtype} {reduced.value.shape}")
            wanted = f"{trial.precision} ()"
            call = Call(batch.prediction, batch.target, reduction)
            judgements.append(decide(got == wanted, batch, f"shape and dtype of the {reduction}", got, wanted, call))
    return judgements


def inputs_intact(trial: Trial, batch: Batch) -> list[Judgement]:
    """Prediction and target hold the same numbers after the call."""
    outcome = trial.call(batch.prediction, batch.target)
    call = Call(batch.prediction, batch.target)
    return [decide(not outcome.modified, batch, "inputs", "changed by the call", "as they were", call)]


def repeatable(trial: Trial, batch: Batch) -> list[Judgement]:
    """The same call gives the same answer, bit by bit; in a batch of another size the same within its bounds."""
    first, second = (trial.call(batch.prediction, batch.target) for _ in range(2))
    call = Call(batch.prediction, batch.target)
    if first.error or second.error or first.value is None or second.value is None:
        return [refuse(batch, "value", first.error or second.error or "nothing", "the same answer", call)]
    judgements = []
    for quantity, one, other in (("value", first.value, second.value), ("gradient", first.gradient, second.gradient)):
        same = one is not None and other is not None and np.array_equal(one, other, equal_nan=True)
        judgements.append(decide(same, batch, f"second {quantity}", float64(other), float64(one), call))
    return [*judgements, *_in_a_larger_batch(trial, batch, first)]


def _in_a_larger_batch(trial: Trial, batch: Batch, alone: Outcome) -> list[Judgement]:
    """Ask the rows again at the head of a larger batch, with themselves for company."""
    expected = trial.expect(batch)
    rows = np.resize(np.arange(batch.rows), LONG[0])
    call = Call(lay_out(batch.prediction[rows], "rowwise"), lay_out(batch.target[rows], "rowwise"))
    outcome = trial.call(call.prediction, call.target)
    judgements = []
    for quantity, got, wanted, bound in (
        ("value", outcome.value, alone.value, expected.bounds.value),
        ("gradient", outcome.gradient, alone.gradient, expected.bounds.gradient),
    ):
        if outcome.error or got is None or wanted is None or wanted.shape != bound.shape or got.shape[:1] != LONG[:1]:
            judgements.append(refuse(batch, quantity, outcome.error or "nothing of the right shape", "the same answer", call))
            continue
        slack = np.where(np.isfinite(wanted), 2 * bound, 0.0)
        head, whole = got[: batch.rows], float64(wanted)
        judgements.append(
            compare(batch, f"{quantity} among {LONG[0]} rows", outcome, head, whole, slack, call=call, precision=expected.precision)
        )
    return judgements
