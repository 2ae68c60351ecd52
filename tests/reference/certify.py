"""The certificate: the worst errors of the reference against interval arithmetic, in every regime.

``python -m tests.reference.certify`` measures it and writes ``reference/certificate.json``.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from conformance.cases import Batch, Case, fill
from conformance.regimes import MASKED, regimes_for
from reference.certificate import PATH, Line
from reference.evaluate import Evaluation, evaluate
from reference.losses import LOSSES
from reference.options import NONE, Options, one_hot_targets
from reference.semantics import MATHEMATICAL, Semantics
from tests.losses import ALONE
from tests.reference.certify_linear import certify_linear
from tests.reference.truth import Exact, Truth, mixed_errors, truth, ulp_errors

SHAPES = ((240, 2), (96, 10), (12, 1000))
"""Rows and classes; the four styles of targets take turns every three rows."""
FEWER = ((36, 2), (12, 10), (2, 1000))
"""The same under options; without the widest where every element is a loss of its own."""
VARIANTS: dict[str, tuple[Options, ...]] = {
    "sparse_softmax_cross_entropy_with_logits": (
        Options(z_loss=1e-3),
        Options(soft_cap=30.0),
        Options(z_loss=0.1, soft_cap=5.0),
    ),
    "poly_loss_cross_entropy": tuple(Options(epsilon=epsilon) for epsilon in (1.0, 2.0, -1.0)),
    "generalized_cross_entropy": tuple(Options(q=q) for q in (0.5, 0.1, 1.0)),
    **{
        loss: tuple(Options(gamma=gamma, alpha=alpha) for gamma, alpha in ((0.0, None), (0.5, 0.25), (2.0, 0.25), (5.0, None)))
        for loss in LOSSES
        if "focal" in loss
    },
}
"""The options of a formula, which are certified too; these losses without `SHAPES`, but for that of the founding table."""
LIMIT = 2.0
"""The worst error of the reference that the suite accepts, in ulp."""
QUANTITIES = ("value", "gradient", "target gradient")
READABLE = 6
"""The most numbers that a witness prints."""


class Measured(NamedTuple):
    """The error of every entry of one quantity of a batch, (rows, entries), in ulp or in units of the mixed scale."""

    quantity: str
    error: NDArray[np.float64]


def regime_names(loss: str) -> tuple[str, ...]:
    """Return the regimes that a loss is certified in: all of its own, and masked classes where it has them."""
    spec = LOSSES[loss]
    names = tuple(regimes_for(spec.prediction, spec.has_classes))
    return (*names, MASKED.name) if spec.prediction == "logit" and spec.has_classes else names


def plan_of(loss: str) -> tuple[tuple[Options, tuple[tuple[int, int], ...]], ...]:
    """Return the options that a loss is certified under, each with its shapes."""
    fewer = FEWER if LOSSES[loss].has_classes else FEWER[:-1]
    variants = tuple((options, fewer) for options in VARIANTS.get(loss, ()))
    return variants if "sparse" not in loss and variants else ((NONE, SHAPES), *variants)


def rows_of(loss: str) -> int:
    """Return how many rows of each regime a loss is certified on."""
    return sum(rows for _, shapes in plan_of(loss) for rows, _ in shapes)


def cases_of(loss: str, regime: str, shapes: tuple[tuple[int, int], ...] = SHAPES) -> tuple[Case, ...]:
    """Return the cases of one regime: one for each number of classes."""
    return tuple(Case(loss, rows, classes, "rowwise", (regime,), "0" * 16) for rows, classes in shapes)


def quantities_of(loss: str) -> tuple[str, ...]:
    """Return what a loss is certified in: labels have no gradient."""
    return QUANTITIES[:2] if LOSSES[loss].target == "index" else QUANTITIES


@cache
def batch_of(case: Case, dtype: str) -> Batch:
    """Return the batch of a case; every fourth target of a divergence is close to the prediction, where its terms cancel."""
    batch, spec = fill(case, dtype), LOSSES[case.loss]
    if spec.name.startswith("kl_divergence"):
        of_logs = spec.prediction == "log-probability" and spec.target == "soft"
        near = np.exp(batch.prediction) if of_logs else batch.prediction
        close = (np.arange(batch.rows) // 3 % 4 == 3)[:, None]
        return replace(batch, target=np.where(close, near, batch.target).astype(dtype))
    return batch


@cache
def truth_of(case: Case, dtype: str, semantics: Semantics, options: Options = NONE) -> Truth:
    """Return the truth about a whole case."""
    return truth_of_batch(replace(batch_of(case, dtype), options=options), semantics)


def truth_of_batch(batch: Batch, semantics: Semantics) -> Truth:
    """Return the truth about a batch, its rows stacked."""
    pairs = zip(batch.prediction.astype(float), dense_targets(batch), strict=True)
    rows = [truth(batch.loss, x.tolist(), t.tolist(), semantics, batch.options) for x, t in pairs]
    return Truth(
        _stacked([row.value for row in rows]),
        _stacked([row.gradient for row in rows]),
        _stacked([row.target_gradient for row in rows]),
        *(np.stack(column) for column in zip(*(row[3:] for row in rows), strict=True)),
    )


def _stacked(rows: list[Exact]) -> Exact:
    return Exact(np.stack([row.nearest for row in rows]), np.stack([row.remainder for row in rows]))


def dense_targets(batch: Batch) -> NDArray[np.float64]:
    """Return the targets of a batch as an array like the prediction, labels as one-hot rows."""
    if batch.target.ndim == batch.prediction.ndim:
        return batch.target.astype(float)
    return one_hot_targets(batch.target, batch.prediction.shape[-1])


def measure(batch: Batch, exact: Truth, got: Evaluation, semantics: Semantics = MATHEMATICAL) -> Iterator[Measured]:
    """Yield the errors of each quantity.

    A gradient through renormalised probabilities, T / P - t / p, cancels with hard labels too, and so do those of a z-loss and
    of a poly loss with a negative weight; at most by its terms errs that under a clip, which may take one of them away.
    """
    options = batch.options
    rows = batch.rows
    value = ulp_errors(got.value.reshape(rows, -1), exact.value)
    yield Measured("value", mixed_errors(value, exact.value, exact.value_cancelling))
    strict = ulp_errors(got.gradient, exact.gradient)
    cancels = options.z_loss is not None or options.soft_cap is not None or (options.epsilon or 0) < 0
    in_ulp = hard(batch) & (semantics.probability_sum == "as_given") & (not cancels)
    yield Measured("gradient", np.where(in_ulp, strict, mixed_errors(strict, exact.gradient, exact.cancelling)))
    if got.target_gradient is not None:
        slope = ulp_errors(got.target_gradient, exact.target_gradient)
        yield Measured("target gradient", mixed_errors(slope, exact.target_gradient, exact.target_cancelling))


def hard(batch: Batch) -> NDArray[np.bool_]:
    """Return which gradients belong to hard labels: of a whole row, or of an element where those are independent."""
    targets = dense_targets(batch)
    certain = (targets == 0) | (targets == 1)
    if LOSSES[batch.loss].target == "sign":
        return np.ones_like(certain)
    if LOSSES[batch.loss].has_classes:
        return (certain.all(-1) & (targets.sum(-1) == 1))[:, None]
    return certain


def certify(
    loss: str, regime: str, semantics: Semantics = MATHEMATICAL, shapes: tuple[tuple[int, int], ...] | None = None
) -> list[Line]:
    """Return the worst error of each quantity of one loss in one regime, over all class counts and options of its plan."""
    worst: dict[str, tuple[float, str]] = {}
    plan = [(options, shapes or planned) for options, planned in plan_of(loss)]
    for options, case in ((options, case) for options, planned in plan for case in cases_of(loss, regime, planned)):
        batch = replace(batch_of(case, "float64"), options=options)
        got = evaluate(loss, batch.prediction, batch.target, options=options, semantics=semantics)
        for quantity, error in measure(batch, truth_of(case, "float64", semantics, options), got, semantics):
            row, entry = np.unravel_index(np.argmax(error), error.shape)
            if error[row, entry] > worst.get(quantity, (-1.0, ""))[0]:
                worst[quantity] = float(error[row, entry]), witness(batch, int(row), int(entry))
    rows = sum(count for _, planned in plan for count, _ in planned)
    return [Line(loss, regime, name, rows, round(error, 3), text) for name, (error, text) in worst.items()]


def witness(batch: Batch, row: int, entry: int) -> str:
    """Return the row in a few numbers, or where to find it."""
    prediction, target = batch.prediction[row].tolist(), batch.target[row].tolist()
    given = "".join(f", {name} = {value}" for name, value in batch.options.given.items())
    if not LOSSES[batch.loss].per_row:
        return f"x = {prediction[entry]!r}, t = {target[entry]!r}{given}"
    if 2 * len(prediction) > READABLE:
        return f"{batch.id} row {row}{given}"
    kind = "label" if LOSSES[batch.loss].target == "index" else "t ="
    return f"x = {prediction}, {kind} {target}{given}"


def certificate() -> list[Line]:
    """Return all lines, in the order of the losses and their regimes."""
    alone = [line for loss in ALONE for regime in regime_names(loss) for line in certify(loss, regime)]
    return [*alone, *certify_linear()]


def main() -> None:
    """Write the certificate."""
    PATH.write_text(json.dumps([asdict(line) for line in certificate()], indent=1) + "\n")


if __name__ == "__main__":
    main()
