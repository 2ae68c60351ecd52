"""Linear cross-entropy: against interval arithmetic, against the losses it is made of, and its bounds."""

import numpy as np
import pytest
from flint import arb, ctx

from reference.bounds import bound_ratio
from reference.bounds_linear import linear_bounds
from reference.evaluate import evaluate
from reference.linear import LinearEvaluation, linear_cross_entropy
from reference.losses import Grade

SPARSE = "sparse_softmax_cross_entropy_with_logits"
DTYPES = ("float32", "float64")
SHAPES = ((12, 2, 1), (8, 10, 8), (6, 50, 32))
"""Rows, classes and features."""
PARTS = ("value", "hidden", "weight", "bias")
ADMITTED = 2.0**-20 * 2.0**-53
"""What a gradient may err by beside its ulp: this much of the terms that cancel in it."""


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


def truth(h, w, b, labels, c) -> tuple[LinearEvaluation, LinearEvaluation]:
    """Return the truth from intervals at 300 bits, and the sums of the magnitudes of the terms."""
    before, ctx.prec = ctx.prec, 300
    try:
        rows, classes, features = len(h), len(w), len(h[0])
        hs, ws, bs = ([[arb(float(x)) for x in row] for row in part] for part in (h, w, [b]))
        values, logits, slopes = [], [], []
        for i in range(rows):
            x = [sum((hs[i][f] * ws[k][f] for f in range(features)), bs[0][k]) for k in range(classes)]
            exponentials = [y.exp() for y in x]
            whole = sum(exponentials, arb(0))
            values.append(whole.log() - x[labels[i]])
            logits.append(x)
            slopes.append([arb(float(c[i])) * (e / whole - (k == labels[i])) for k, e in enumerate(exponentials)])

        def products(left, right, size):
            terms = [[[a * y for a, y in zip(row, column, strict=True)] for column in right] for row in left]
            return np.array([[float(size(t)) for t in row] for row in terms])

        backward = [list(column) for column in zip(*slopes, strict=True)]
        of_w, of_h = ([list(column) for column in zip(*part, strict=True)] for part in (ws, hs))
        results = []
        for size in (lambda t: sum(t, arb(0)), lambda t: sum((abs(y) for y in t), arb(0))):
            gradients = (
                products(slopes, of_w, size),
                products(backward, of_h, size),
                products(backward, [[arb(1)] * rows], size),
            )
            results.append(
                LinearEvaluation(
                    np.array([float(v) for v in values]),
                    gradients[0],
                    gradients[1],
                    gradients[2][:, 0],
                    np.array([[float(y) for y in row] for row in logits]),
                )
            )
        return results[0], results[1]
    finally:
        ctx.prec = before


def test_it_is_certified_against_interval_arithmetic():
    worst = dict.fromkeys(PARTS, 0.0)
    for _, h, w, b, labels in cases("float64"):
        c = np.random.default_rng(1).uniform(0.5, 2, len(h))
        exact, terms = truth(h, w, b, labels, c)
        got = linear_cross_entropy(h, w, b, labels, cotangent=c)
        for part in PARTS:
            scale = np.spacing(np.abs(getattr(exact, part)))
            if part != "value":
                scale = scale + ADMITTED * getattr(terms, part)
            worst[part] = max(worst[part], float((np.abs(getattr(got, part) - getattr(exact, part)) / scale).max()))
    print(worst)
    assert max(worst.values()) <= 2


def test_plain_float64_is_close_enough_to_judge_float32():
    for name, h, w, b, labels in cases("float32"):
        exact, rough = linear_cross_entropy(h, w, b, labels), linear_cross_entropy(h, w, b, labels, precision="float32")
        bounds = linear_bounds(h, w, b, labels, exact, precision="float32")
        for part in PARTS:
            off = np.abs(getattr(rough, part) - getattr(exact, part))
            assert (off <= 2.0**-20 * getattr(bounds, part)).all(), (name, part)


def sound(h, w, b, labels, c):
    """Matrix products around a softmax, in the dtype of the arguments."""
    x = h @ w.T + b
    each = np.arange(len(h))
    distance = x.max(-1, keepdims=True) - x
    log_total = np.log(np.exp(-distance).sum(-1, keepdims=True))
    slope = np.exp(-(distance + log_total))
    slope[each, labels] -= 1
    slope *= c[:, None]
    return (distance + log_total)[each, labels], slope @ w, slope.T @ h, slope.sum(0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_sound_twin_stays_within_its_bound_and_a_doubled_one_does_not(dtype: str):
    worst = dict.fromkeys(PARTS, 0.0)
    for name, h, w, b, labels in cases(dtype):
        c = np.full(len(h), 1 / len(h))
        expected = linear_cross_entropy(h, w, b, labels, cotangent=c, precision=dtype)
        bounds = linear_bounds(h, w, b, labels, expected, cotangent=c, precision=dtype)
        for part, got in zip(PARTS, sound(h, w, b, labels, c.astype(dtype)), strict=True):
            right, bound = getattr(expected, part), getattr(bounds, part)
            worst[part] = max(worst[part], float(bound_ratio(got, right, bound, precision=dtype).max()))
            assert bound_ratio(2 * right, right, bound, precision=dtype).max() > 1, (name, part)
    print(dtype, worst)
    assert max(worst.values()) <= 1 and min(worst.values()) > 0.05


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_that_is_left_out_of_the_weight_gradient_is_caught(dtype: str):
    for name, h, w, b, labels in cases(dtype):
        expected = linear_cross_entropy(h, w, b, labels, precision=dtype)
        bounds = linear_bounds(h, w, b, labels, expected, precision=dtype)
        kept = (np.arange(len(h)) != expected.value.argmax()).astype(dtype)
        without = sound(h, w, b, labels, kept)[2]
        assert bound_ratio(without, expected.weight, bounds.weight, precision=dtype).max() > 1, name


def test_features_that_are_the_logits_leave_the_softmax():
    x, labels = np.random.default_rng(2).normal(size=(20, 5)) * 10, np.arange(20) % 5
    linear, plain = linear_cross_entropy(x, np.eye(5), None, labels), evaluate(SPARSE, x, labels)
    np.testing.assert_array_max_ulp(linear.value, plain.value, maxulp=1)
    np.testing.assert_array_max_ulp(linear.hidden, plain.gradient, maxulp=1)
    np.testing.assert_array_equal(linear.logits, x)


def test_a_cotangent_of_zero_takes_a_row_out_whatever_it_holds():
    h, w, b, labels = next(iter(cases("float64")))[1:]
    spoiled, c = h.copy(), np.ones(len(h))
    spoiled[3], c[3] = np.nan, 0.0
    got, kept = linear_cross_entropy(spoiled, w, b, labels, cotangent=c), np.arange(len(h)) != 3
    expected = linear_cross_entropy(h[kept], w, b, labels[kept])
    np.testing.assert_array_max_ulp(got.bias, expected.bias, maxulp=1)
    np.testing.assert_array_equal(got.hidden[3], 0.0)
    assert np.isnan(got.value).tolist() == (~kept).tolist()


def test_a_block_of_products_at_a_time_changes_nothing(monkeypatch: pytest.MonkeyPatch):
    h, w, b, labels = list(cases("float64"))[-1][1:]
    whole = linear_cross_entropy(h, w, b, labels)
    monkeypatch.setattr("reference.linear.BLOCK", 1)
    parts = linear_cross_entropy(h, w, b, labels)
    for part in PARTS:
        np.testing.assert_array_equal(getattr(whole, part), getattr(parts, part))


def test_errors_say_what_does_not_fit():
    h, w = np.zeros((2, 3)), np.zeros((4, 3))
    with pytest.raises(ValueError, match=r"hidden \(2, 3\), weight \(4, 2\).* do not belong together"):
        linear_cross_entropy(h, w[:, :2], None, np.zeros(2, int))
    with pytest.raises(IndexError, match="label 4 is out of range for 4 classes: use 0 to 3"):
        linear_cross_entropy(h, w, None, np.array([0, 4]))


@pytest.mark.parametrize("dtype", DTYPES)
def test_soft_targets_weigh_the_loss_by_their_sum(dtype: str):
    for name, h, w, b, labels in cases(dtype):
        soft = np.random.default_rng(4).uniform(0, 1, (len(h), len(w)))
        hard = linear_cross_entropy(h, w, b, labels, precision=dtype)
        one_hot = linear_cross_entropy(h, w, b, 2.0 * (labels[:, None] == np.arange(len(w))), precision=dtype)
        for part in PARTS:
            np.testing.assert_array_equal(getattr(one_hot, part), 2 * getattr(hard, part))
        expected = linear_cross_entropy(h, w, b, soft, precision=dtype)
        bounds = linear_bounds(h, w, b, soft, expected, precision=dtype)
        x = h @ w.T + b
        log_p = x - x.max(-1, keepdims=True)
        log_p = log_p - np.log(np.exp(log_p).sum(-1, keepdims=True))
        t = soft.astype(dtype)
        rounded = linear_cross_entropy(h, w, b, t.astype(np.float64), precision=dtype)
        slope = t.sum(-1, keepdims=True) * np.exp(log_p) - t
        for part, got in zip(PARTS, (-(t * log_p).sum(-1), slope @ w, slope.T @ h, slope.sum(0)), strict=True):
            right, bound = getattr(rounded, part), getattr(bounds, part)
            assert bound_ratio(got, right, bound, precision=dtype).max() <= 1, (name, part)
            assert bound_ratio(2 * right, right, bound, precision=dtype).max() > 1, (name, part)


@pytest.mark.parametrize("dtype", DTYPES)
def test_products_summed_apart_need_a_form_of_their_own(dtype: str):
    rows = 1 << 17
    h = np.full((rows, 1), 1.1, dtype)  # the same rounding at each step
    w, b, labels = np.array([[5], [-5]], dtype), np.zeros(2, dtype), np.zeros(rows, int)
    expected = linear_cross_entropy(h, w, b, labels, precision=dtype)
    x = h @ w.T + b
    p = np.exp(x - x.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    got = p.T @ h
    np.subtract.at(got, labels, h)
    apart, together = (
        bound_ratio(
            got, expected.weight, linear_bounds(h, w, b, labels, expected, grade=grade, precision=dtype).weight, precision=dtype
        ).max()
        for grade in (Grade("plain", "apart"), Grade("plain", "quotient"))
    )
    assert apart <= 1 < together
