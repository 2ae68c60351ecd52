"""Linear cross-entropy: against interval arithmetic, against the losses it is made of, and its bounds."""

import dataclasses

import numpy as np
import pytest

from reference.bounds import bound_ratio
from reference.bounds_linear import linear_bounds
from reference.evaluate import evaluate
from reference.linear import linear_cross_entropy
from reference.losses import Grade
from tests.reference import certify_linear
from tests.reference.certify import LIMIT
from tests.reference.certify_linear import QUANTITIES, cases

SPARSE = "sparse_softmax_cross_entropy_with_logits"
DTYPES = ("float32", "float64")
PARTS = tuple(QUANTITIES)


def test_it_is_certified_against_interval_arithmetic():
    lines = list(certify_linear.certify_linear())
    assert {line.quantity for line in lines} == set(QUANTITIES.values()) and {line.rows for line in lines} == {26}
    assert [line for line in lines if not line.worst_ulp <= LIMIT] == []


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_is_4e_16_too_large_fails(part: str, monkeypatch: pytest.MonkeyPatch):
    def off(*arguments, **options):
        got = linear_cross_entropy(*arguments, **options)
        return dataclasses.replace(got, **{part: getattr(got, part) * (1 + 4e-16)})

    monkeypatch.setattr(certify_linear, "linear_cross_entropy", off)
    failing = {line.quantity for line in certify_linear.certify_linear() if line.worst_ulp > LIMIT}
    assert failing == {QUANTITIES[part]}


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
