"""The certificate of linear cross-entropy, at labels and at soft targets: its worst errors in every regime."""

from collections.abc import Iterator

import numpy as np
from flint import arb
from numpy.typing import NDArray

from reference.certificate import Line
from reference.linear import linear_cross_entropy
from reference.options import one_hot_targets
from tests.reference.truth import Exact, bits, mixed_errors, nearest, ulp_errors

HARD, SOFT = "linear_cross_entropy", "linear_cross_entropy_with_soft_targets"
SHAPES = ((12, 2, 1), (8, 10, 8), (6, 50, 32))
"""Rows, classes and features."""
QUANTITIES = {
    "value": "value",
    "hidden": "gradient",
    "weight": "gradient of linear_weight",
    "bias": "gradient of linear_bias",
    "targets": "target gradient",
}
"""What the certificate calls the parts; labels have no gradient."""


def parts_of(loss: str) -> tuple[str, ...]:
    """Return the parts of a loss."""
    return tuple(part for part in QUANTITIES if loss == SOFT or part != "targets")


def regimes(rows: int, classes: int, features: int):
    """Yield name, hidden states, weight, bias and labels; each strains another term of the bounds."""
    rng = np.random.default_rng(features)
    h, w = rng.normal(size=(rows, features)), rng.normal(size=(classes, features)) / np.sqrt(features)
    b, labels = rng.normal(size=classes), rng.integers(0, classes, rows)
    towards = w[labels] / (w[labels] ** 2).sum(-1, keepdims=True)
    yield "normal", h, w, b, labels
    yield "scale-10", 3 * h, 3 * w, b, labels
    yield "scale-100", 10 * h, 10 * w, b, labels
    yield "confident-right", 0.1 * h + towards * rng.uniform(3, 12, (rows, 1)), w, 0 * b, labels
    yield "confident-wrong", h + towards * rng.uniform(3, 12, (rows, 1)), w, b, (labels + 1) % classes
    nearly = -h + 1e-3 * rng.normal(size=h.shape)
    yield "cancelling", np.concatenate([10 * h, 10 * nearly], 1), np.concatenate([w, w], 1), b, labels
    yield "offset", h, w, b + 1e4, labels
    yield "tiny", 1e-6 * h, 1e-6 * w, 0 * b, labels


def cases(dtype: str, loss: str = HARD):
    """Yield name, hidden states, weight, bias and targets: labels, or soft ones of `soft_targets`."""
    for shape in SHAPES:
        for name, h, w, b, labels in regimes(*shape):
            h, w, b = (part.astype(dtype) for part in (h, w, b))
            yield name, h, w, b, soft_targets(h @ w.T + b, labels).astype(dtype) if loss == SOFT else labels


def soft_targets(logits, labels):
    """Return targets of four styles in turn: hard, soft with zeros, what the logits say, and soft ones that sum to 3/2."""
    rng, style = np.random.default_rng(5), (np.arange(len(labels)) % 4)[:, None]
    hard, soft = one_hot_targets(labels, logits.shape[1]), rng.dirichlet(np.ones(logits.shape[1]), len(labels))
    p = np.exp(logits - logits.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    return np.select([style == 0, style == 1, style == 2], [hard, np.where(soft < 0.1, 0, soft), p], 1.5 * soft)


def truth(h, w, b, target, c) -> tuple[dict[str, Exact], dict[str, NDArray[np.float64]]]:
    """Return every part from intervals at 300 bits, flat, and the sums of the magnitudes of the terms that gradients add."""
    t = one_hot_targets(target, len(w)) if target.ndim == 1 else target
    with bits(300):
        hs, ws, bs, ts = ([[arb(float(x)) for x in row] for row in part] for part in (h, w, [b], t))
        logits = [[sum((x * y for x, y in zip(row, ws[k], strict=True)), bs[0][k]) for k in range(len(ws))] for row in hs]
        losses = [[sum((x.exp() for x in row), arb(0)).log() - x for x in row] for row in logits]
        slopes, magnitudes = slopes_of(losses, ts, [arb(float(factor)) for factor in c], apart=target.ndim == 2)
        exact = {
            "value": [sum((x * y for x, y in zip(row, of, strict=True)), arb(0)) for row, of in zip(losses, ts, strict=True)],
            "targets": [loss for row in losses for loss in row],
            **sums(slopes, ws, hs),
        }
        positive = [[[abs(x) for x in row] for row in part] for part in (ws, hs)]
        sizes = {part: np.array([float(size) for size in of]) for part, of in sums(magnitudes, *positive).items()}
    return {part: nearest(of) for part, of in exact.items()}, sizes


def slopes_of(losses, ts, factors, *, apart: bool):
    """Return g = c (T p - t) from -log p, and the magnitudes of its terms: itself at labels, T p and t ``apart`` at others."""
    slopes, magnitudes = [], []
    for row, t, c in zip(losses, ts, factors, strict=True):
        terms = [(c * sum(t, arb(0)) * (-loss).exp(), c * own) for loss, own in zip(row, t, strict=True)]
        slopes.append([pull - own for pull, own in terms])
        magnitudes.append([pull + abs(own) if apart else abs(pull - own) for pull, own in terms])
    return slopes, magnitudes


def sums(slopes, ws, hs) -> dict[str, list[arb]]:
    """Return g W, g^T H and g^T 1, flat."""
    rows, classes, features = range(len(hs)), range(len(ws)), range(len(hs[0]))
    return {
        "hidden": [sum((slopes[i][k] * ws[k][f] for k in classes), arb(0)) for i in rows for f in features],
        "weight": [sum((slopes[i][k] * hs[i][f] for i in rows), arb(0)) for k in classes for f in features],
        "bias": [sum((slopes[i][k] for i in rows), arb(0)) for k in classes],
    }


def certify_linear() -> Iterator[Line]:
    """Yield the lines of both losses."""
    for loss in (HARD, SOFT):
        yield from certify_loss(loss)


def certify_loss(loss: str) -> Iterator[Line]:
    """Yield the worst error of every part in every regime, over all shapes, in units of an ulp and of the terms that cancel."""
    worst: dict[tuple[str, str], tuple[float, str]] = {}
    for name, h, w, b, target in cases("float64", loss):
        c = np.random.default_rng(1).uniform(0.5, 2, len(h))
        (exact, terms), got = truth(h, w, b, target, c), linear_cross_entropy(h, w, b, target, cotangent=c)
        for part in parts_of(loss):
            error = ulp_errors(getattr(got, part).ravel(), exact[part])
            error = mixed_errors(error, exact[part], terms[part]) if part in terms else error
            if error.max() > worst.get((name, part), (-1.0, ""))[0]:
                worst[name, part] = float(error.max()), f"{len(h)} rows, {len(w)} classes, {len(h[0])} features"
    rows = sum(count for count, _, _ in SHAPES)
    for (name, part), (size, witness) in worst.items():
        yield Line(loss, name, QUANTITIES[part], rows, round(size, 3), witness)
