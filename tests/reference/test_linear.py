"""Linear cross-entropy: against interval arithmetic, against the losses it is made of, and its bounds."""

import dataclasses
import re

import numpy as np
import pytest

from reference.bounds import bound_ratio
from reference.bounds_linear import linear_bounds
from reference.evaluate import Upstream, evaluate
from reference.linear import linear_cross_entropy
from reference.losses import Grade
from reference.options import Options
from reference.semantics import Semantics
from tests.reference import certify_linear
from tests.reference.certify import LIMIT
from tests.reference.certify_linear import HARD, QUANTITIES, SOFT, cases, parts_of

SPARSE = "sparse_softmax_cross_entropy_with_logits"
DTYPES = ("float32", "float64")
PARTS = parts_of(HARD)


def test_it_is_certified_against_interval_arithmetic():
    lines = list(certify_linear.certify_linear())
    for loss in (HARD, SOFT):
        assert {line.quantity for line in lines if line.loss == loss} == {QUANTITIES[part] for part in parts_of(loss)}
    assert {line.rows for line in lines} == {26}
    assert [line for line in lines if not line.worst_ulp <= LIMIT] == []


@pytest.mark.parametrize("part", QUANTITIES)
def test_a_part_that_is_4e_16_too_large_fails(part: str, monkeypatch: pytest.MonkeyPatch):
    def off(*arguments, **options):
        got = linear_cross_entropy(*arguments, **options)
        exact = getattr(got, part)
        return got if exact is None else dataclasses.replace(got, **{part: exact * (1 + 4e-16)})

    monkeypatch.setattr(certify_linear, "linear_cross_entropy", off)
    failing = {(line.loss, line.quantity) for line in certify_linear.certify_linear() if line.worst_ulp > LIMIT}
    assert failing == {(loss, QUANTITIES[part]) for loss in (HARD, SOFT) if part in parts_of(loss)}


@pytest.mark.parametrize("loss", [HARD, SOFT])
def test_plain_float64_is_close_enough_to_judge_float32(loss: str):
    for name, h, w, b, target in cases("float32", loss):
        exact, rough = linear_cross_entropy(h, w, b, target), linear_cross_entropy(h, w, b, target, precision="float32")
        bounds = linear_bounds(h, w, b, target, exact, precision="float32")
        for part in parts_of(loss):
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
    for _, h, w, b, labels in cases(dtype):
        hard = linear_cross_entropy(h, w, b, labels, precision=dtype)
        one_hot = linear_cross_entropy(h, w, b, 2.0 * (labels[:, None] == np.arange(len(w))), precision=dtype)
        for part in PARTS:
            np.testing.assert_array_equal(getattr(one_hot, part), 2 * getattr(hard, part))


def sound_at_soft_targets(h, w, b, t, c, *, scaled=True):
    """Matrix products around a log softmax, in the dtype of the arguments."""
    x = h @ w.T + b
    log_p = x - x.max(-1, keepdims=True)
    log_p = log_p - np.log(np.exp(log_p).sum(-1, keepdims=True))
    slope = c[:, None] * ((t.sum(-1, keepdims=True) if scaled else 1) * np.exp(log_p) - t)
    return -(t * log_p).sum(-1), slope @ w, slope.T @ h, slope.sum(0), -log_p


@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_sound_twin_at_soft_targets_stays_within_its_bound_and_a_doubled_one_does_not(dtype: str, scaled: bool):
    worst = dict.fromkeys(parts_of(SOFT), 0.0)
    for name, h, w, b, t in cases(dtype, SOFT):
        c = np.full(len(h), 1 / len(h))
        expected = linear_cross_entropy(h, w, b, t, cotangent=c, scaled=scaled, precision=dtype)
        bounds = linear_bounds(h, w, b, t, expected, cotangent=c, scaled=scaled, precision=dtype)
        for part, got in zip(worst, sound_at_soft_targets(h, w, b, t, c.astype(dtype), scaled=scaled), strict=True):
            right, bound = getattr(expected, part), getattr(bounds, part)
            worst[part] = max(worst[part], float(bound_ratio(got, right, bound, precision=dtype).max()))
            assert bound_ratio(2 * right, right, bound, precision=dtype).max() > 1, (name, part)
    print(dtype, worst)
    assert max(worst.values()) <= 1 and min(worst.values()) > 0.05


@pytest.mark.parametrize("dtype", DTYPES)
def test_p_less_t_is_not_the_gradient_where_targets_do_not_sum_to_one(dtype: str):
    for name, h, w, b, t in cases(dtype, SOFT):
        expected = linear_cross_entropy(h, w, b, t, precision=dtype)
        bounds = linear_bounds(h, w, b, t, expected, precision=dtype)
        unscaled = linear_cross_entropy(h, w, b, t, scaled=False, precision=dtype)
        for part in ("hidden", "weight", "bias"):
            ratio = bound_ratio(getattr(unscaled, part), getattr(expected, part), getattr(bounds, part), precision=dtype)
            assert ratio.max() > 1, (name, part)


def test_the_target_gradient_has_the_weights_of_the_targets_and_the_upstream_gradient():
    _, h, w, b, t = next(iter(cases("float64", SOFT)))
    weight, up = np.linspace(0, 2, len(w)), Upstream(np.linspace(-1, 2, len(h)))
    options = Options(linear_weight=w, linear_bias=b, class_weight=weight, label_smoothing=0.25)
    for semantics in (Semantics(), Semantics(unnormalised_gradient="unscaled")):
        got = evaluate(SOFT, h, t, options=options, semantics=semantics, upstream=up)
        log_p = linear_cross_entropy(h, w, b, t).targets
        assert log_p is not None and got.target_gradient is not None
        np.testing.assert_array_max_ulp(got.target_gradient, log_p * 0.75 * weight * up.rows[:, None], maxulp=2)
        smoothed = weight * (0.75 * t + 0.25 / len(w))
        np.testing.assert_array_max_ulp(got.value, (smoothed * log_p).sum(-1), maxulp=4)


@pytest.mark.parametrize(
    ("loss", "given", "wanted"), [(HARD, (2, 4), "(2,)"), (SOFT, (2,), "(2, 4)"), (SOFT, (2, 3), "(2, 4)")]
)
def test_targets_of_another_kind_are_refused(loss: str, given: tuple[int, ...], wanted: str):
    message = f"{loss}: for 2 rows and 4 classes the target must have the shape {wanted}"
    targets = np.zeros(given, np.int64 if loss == HARD else np.float64)
    with pytest.raises(ValueError, match=re.escape(message)):
        evaluate(loss, np.zeros((2, 3)), targets, options=Options(linear_weight=np.zeros((4, 3))))


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
