"""Interface: reductions, upstream gradients, shapes and dtypes, inputs left alone, the same answer twice."""

import numpy as np

from conformance.cases import Batch, lay_out
from conformance.judging import Judgement, compare, decide, refuse
from conformance.profiles import LONG, TEN
from conformance.trial import Answer, Trial, float64
from reference.bounds import Bounds, reduced_bound, scaled_gradient_bound, underflow_of_mean
from reference.precision import PRECISIONS
from reference.reductions import divisor

UPSTREAM = -2.0
"""The upstream gradient of a reduced loss: neither one nor of its sign, and exact to multiply by."""


def reductions(trial: Trial, batch: Batch) -> list[Judgement]:
    """Each reduction is that of the losses returned without one, and so are its gradients."""
    expected, none = trial.expect(batch), trial.ask(batch)
    for quantity in ("value", "gradient"):
        truth, _ = expected.of(quantity)
        if trouble := none.trouble(quantity, truth.shape):
            return [refuse(batch, none, quantity, trouble, truth)]
    losses, slopes = float64(none.outcome.value), float64(none.outcome.gradient)
    if np.abs(losses).sum() >= PRECISIONS[trial.outer_precision].overflow:
        return []  # a mean is a sum divided: where the sum overflows on the way, an infinity is sound
    exact = Bounds(np.zeros_like(losses), np.zeros_like(slopes), None)
    judgements = []
    for reduction in (name for name in trial.binding.reductions if name != "none"):
        by = divisor(expected.truth, reduction, trial.semantics)
        answer, factor = trial.ask(batch, reduction=reduction), 1.0 / by
        bound = np.asarray(reduced_bound(losses, exact, reduction=reduction, precision=trial.outer_precision, divisor=by))
        total = np.asarray(losses.sum() * factor)
        judgements.append(compare(batch, answer, "value", total, bound, name=f"value under {reduction}"))
        judgements += _reduced_gradients(trial, batch, none, answer, reduction, factor)
        upstream = np.asarray(UPSTREAM, answer.precision)
        again = trial.ask(batch, reduction=reduction, cotangent=upstream)
        judgements += _reduced_gradients(trial, batch, none, again, f"{reduction} and an upstream gradient", factor * UPSTREAM)
    return judgements


def _reduced_gradients(trial: Trial, batch: Batch, none: Answer, answer: Answer, under: str, factor: float) -> list[Judgement]:
    """Judge the gradients of a reduced loss against ``factor`` times those without reduction."""
    expected = trial.expect(batch)
    judgements = []
    for quantity in ("gradient", "target gradient"):
        slopes = none.array(quantity)
        if slopes is None or not np.isfinite(slopes).all():
            continue  # a clause of its own says what is wrong with it
        bound = expected.of(quantity)[1]
        # Twice: what is returned under none is not the truth either.
        slack = scaled_gradient_bound(float64(slopes), bound, factor, precision=trial.outer_precision) + bound * abs(factor)
        if abs(factor) < 1:
            given = batch.loss, quantity, batch.prediction, batch.target
            slack += underflow_of_mean(*given, precision=trial.outer_precision)
        judgements.append(compare(batch, answer, quantity, float64(slopes) * factor, slack, name=f"{quantity} under {under}"))
    return judgements


def upstream_gradient(trial: Trial, batch: Batch) -> list[Judgement]:
    """The gradient is scaled by the gradient that comes from above, row by row."""
    expected, plain = trial.expect(batch), trial.ask(batch)
    generator, shape = np.random.default_rng(3), expected.truth.value.shape
    # At least one in size: a smaller factor times a small target would underflow on the way to an ordinary gradient.
    factors = (generator.uniform(1, 4, shape) * generator.choice([-1.0, 1.0], shape)).astype(expected.precision)
    answer = trial.ask(batch, cotangent=factors)
    scale = factors.astype(np.float64)
    scale = scale[..., None] if scale.ndim < batch.prediction.ndim else scale
    truth, bound = expected.of("gradient")
    bound = scaled_gradient_bound(truth, bound, scale, precision=trial.outer_precision)
    judgements = [compare(batch, answer, "gradient", truth * scale, bound)]
    slopes = plain.outcome.target_gradient
    if slopes is not None and np.isfinite(slopes).all() and expected.truth.target_gradient is not None:
        bound = expected.of("target gradient")[1]
        slack = scaled_gradient_bound(float64(slopes), bound, scale, precision=trial.outer_precision) + bound * np.abs(scale)
        judgements.append(compare(batch, answer, "target gradient", float64(slopes) * scale, slack))
    return judgements


def shape_and_dtype(trial: Trial, batch: Batch) -> list[Judgement]:
    """The loss has one entry for each row or outcome and the dtype of the prediction; the gradient is like the prediction."""
    shape = trial.expect(batch).truth.value.shape
    answer = trial.ask(batch)
    judgements = [
        _described(batch, answer, "value", f"{trial.value_dtype} {shape}"),
        _described(batch, answer, "gradient", f"{trial.dtype} {batch.prediction.shape}"),
    ]
    for reduction in ("sum", "mean") if "reduction" in trial.binding.options else ():
        reduced = trial.ask(batch, reduction=reduction)
        narrow = reduction == "mean" and trial.semantics.computation_dtype == "float32_mean"
        dtype = "float32" if narrow else trial.value_dtype
        judgements.append(_described(batch, reduced, "value", f"{dtype} ()", under=f" under {reduction}"))
    return judgements


def _described(batch: Batch, answer: Answer, quantity: str, wanted: str, *, under: str = "") -> Judgement:
    """Judge dtype and shape, in words."""
    array = answer.array(quantity)
    got = (
        f"raises {answer.outcome.error}"
        if answer.outcome.error
        else "nothing"
        if array is None
        else f"{array.dtype} {array.shape}"
    )
    return decide(got == wanted, batch, answer, f"dtype and shape of the {quantity}{under}", got, wanted)


def inputs_intact(trial: Trial, batch: Batch) -> list[Judgement]:
    """Prediction and target hold the same numbers after the call."""
    answer = trial.ask(batch)
    got = "changed by the call" if answer.outcome.modified else "as they were"
    return [decide(not answer.outcome.modified, batch, answer, "inputs", got, "as they were")]


def repeatable(trial: Trial, batch: Batch) -> list[Judgement]:
    """The same call gives the same answer, bit by bit; in a batch of another size the same within its bounds."""
    first, second = trial.ask(batch), trial.call(batch.prediction, batch.target)
    judgements = []
    for quantity in ("value", "gradient"):
        one, other = first.array(quantity), second.array(quantity)
        if one is None or other is None:
            return [refuse(batch, first, quantity, first.outcome.error or second.outcome.error or "nothing", "the same answer")]
        same = np.array_equal(one, other, equal_nan=True)
        judgements.append(decide(same, batch, second, f"second {quantity}", float64(other), float64(one)))
    if batch.rows == TEN[0] and trial.dtype in trial.framework.sparing:
        return judgements  # the larger batch would be compiled for this alone: one row is asked in one
    return [*judgements, *_in_a_larger_batch(trial, batch, first)]


def _in_a_larger_batch(trial: Trial, batch: Batch, alone: Answer) -> list[Judgement]:
    """Ask the rows again at the head of a larger batch, with themselves for company."""
    expected = trial.expect(batch)
    # What is less than a shape bucket needs no company that a compiler has not seen.
    size = LONG[0] if batch.rows == TEN[0] else TEN[0]
    rows = np.resize(np.arange(batch.rows), size)
    crowd = trial.call(lay_out(batch.prediction[rows], "rowwise"), lay_out(batch.target[rows], "rowwise"))
    judgements = []
    for quantity in ("value", "gradient"):
        truth, bound = expected.of(quantity)
        name, shape = f"{quantity} in a larger batch", (size, *truth.shape[1:])
        if trouble := alone.trouble(quantity, truth.shape) or crowd.trouble(quantity, shape):
            judgements.append(refuse(batch, crowd, name, trouble, "the same answer"))
            continue
        wanted = np.resize(float64(alone.array(quantity)), shape)
        allowed = np.where(np.isfinite(wanted), np.resize(2 * bound, shape), 0.0)
        whole = compare(batch, crowd, quantity, wanted, allowed, name=name)
        judgements.append(_head(whole, batch.rows))
    return judgements


def _head(judgement: Judgement, rows: int) -> Judgement:
    """Return the judgement of the first rows of a larger batch, those of the batch itself."""
    assert not isinstance(judgement.got, str) and not isinstance(judgement.expected, str)
    worst = np.resize(judgement.ratio, (len(judgement.ratio) // rows, rows)).max(0)
    return Judgement(
        judgement.batch, judgement.quantity, worst, judgement.got[:rows], judgement.expected[:rows], judgement.call
    )
