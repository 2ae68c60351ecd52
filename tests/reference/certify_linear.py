"""The certificate of linear cross-entropy: its worst errors against interval arithmetic, in every regime."""

from collections.abc import Iterator

import numpy as np
from flint import arb
from numpy.typing import NDArray

from reference.certificate import Line
from reference.linear import linear_cross_entropy
from tests.reference.truth import Exact, bits, mixed_errors, nearest, ulp_errors

LOSS = "linear_cross_entropy"
SHAPES = ((12, 2, 1), (8, 10, 8), (6, 50, 32))
"""Rows, classes and features."""
QUANTITIES = {
    "value": "value",
    "hidden": "gradient",
    "weight": "gradient of linear_weight",
    "bias": "gradient of linear_bias",
}
"""What the certificate calls the parts."""


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


def cases(dtype: str):
    for shape in SHAPES:
        for name, h, w, b, labels in regimes(*shape):
            yield name, *(part.astype(dtype) for part in (h, w, b)), labels


def truth(h, w, b, labels, c) -> tuple[dict[str, Exact], dict[str, NDArray[np.float64]]]:
    """Return every part from intervals at 300 bits, flat, and the sums of the magnitudes of the terms that it adds."""
    with bits(300):
        hs, ws, bs = ([[arb(float(x)) for x in row] for row in part] for part in (h, w, [b]))
        rows, classes, features = range(len(hs)), range(len(ws)), range(len(hs[0]))
        logits = [[sum((x * y for x, y in zip(row, ws[k], strict=True)), bs[0][k]) for k in classes] for row in hs]
        totals = [sum((x.exp() for x in row), arb(0)) for row in logits]
        slopes = [[arb(float(c[i])) * (logits[i][k].exp() / totals[i] - (k == labels[i])) for k in classes] for i in rows]
        terms = {
            "value": [[totals[i].log(), -logits[i][labels[i]]] for i in rows],
            "hidden": [[slopes[i][k] * ws[k][f] for k in classes] for i in rows for f in features],
            "weight": [[slopes[i][k] * hs[i][f] for i in rows] for k in classes for f in features],
            "bias": [[slopes[i][k] for i in rows] for k in classes],
        }
        exact = {part: nearest([sum(added, arb(0)) for added in of]) for part, of in terms.items()}
        sizes = {part: np.array([float(sum((abs(x) for x in added), arb(0))) for added in of]) for part, of in terms.items()}
    return exact, sizes


def certify_linear() -> Iterator[Line]:
    """Yield the worst error of every part in every regime, over all shapes, in units of an ulp and of the terms that cancel."""
    worst: dict[tuple[str, str], tuple[float, str]] = {}
    for name, h, w, b, labels in cases("float64"):
        c = np.random.default_rng(1).uniform(0.5, 2, len(h))
        (exact, terms), got = truth(h, w, b, labels, c), linear_cross_entropy(h, w, b, labels, cotangent=c)
        for part in QUANTITIES:
            error = ulp_errors(getattr(got, part).ravel(), exact[part])
            error = error if part == "value" else mixed_errors(error, exact[part], terms[part])
            if error.max() > worst.get((name, part), (-1.0, ""))[0]:
                worst[name, part] = float(error.max()), f"{len(h)} rows, {len(w)} classes, {len(h[0])} features"
    rows = sum(count for count, _, _ in SHAPES)
    for (name, part), (size, witness) in worst.items():
        yield Line(LOSS, name, QUANTITIES[part], rows, round(size, 3), witness)
