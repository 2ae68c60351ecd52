"""The Kullback-Leibler divergence and the negative log-likelihood: sound twins, relations, choice points and special values."""

import numpy as np
import pytest

from conformance.cases import Case
from reference.bounds import bound_ratio, error_bounds
from reference.evaluate import Evaluation, evaluate
from reference.losses import LOSSES, Grade
from reference.options import NONE, Options
from reference.semantics import MATHEMATICAL, Semantics
from tests.reference.certify import batch_of, regime_names

KL, OF_LOGS, WITH_LOGS, NLL = (
    "kl_divergence",
    "kl_divergence_of_log_probabilities",
    "kl_divergence_with_log_targets",
    "negative_log_likelihood",
)
DTYPES = ("float32", "float64")
SHAPES = ((300, 2), (100, 10), (6, 1000))
CLIPPED = Semantics(divergence_guard="clip_both_1e-7")
TERM = Semantics(loss_shape="term")
INF, NAN = np.inf, np.nan


def quotient(q, t):
    """The chain rule as automatic differentiation applies it to t log(t / q)."""
    ratio = t / q
    inner = t / ratio
    return (t * np.log(ratio)).sum(-1), inner * (-ratio / q), np.log(ratio) + inner / q


def clipped(q, t):
    low, high = q.dtype.type(1e-7), q.dtype.type(1)
    value, gradient, slope = quotient(np.clip(q, low, high), np.clip(t, low, high))
    return value, np.where((q < low) | (q > high), 0, gradient), np.where((t < low) | (t > high), 0, slope)


def logarithm(t):
    return np.log(np.where(t == 0, t.dtype.type(1), t))


def difference(q, t):
    ratio = logarithm(t) - np.log(q)
    return (t * ratio).sum(-1), -t / q, np.where(t == 0, -INF, ratio + 1)


def terms(q, t):
    log_t, log_q = logarithm(t), np.log(q)
    return (t * log_t - t * log_q).sum(-1), -t / q, np.where(t == 0, -INF, (log_t + 1) - log_q)


def difference_of_logs(x, t):
    ratio = logarithm(t) - x
    return (t * ratio).sum(-1), -t, np.where(t == 0, -INF, ratio + 1)


def terms_of_logs(x, t):
    log_t = logarithm(t)
    return (t * log_t - t * x).sum(-1), -t, np.where(t == 0, -INF, (log_t + 1) - x)


def each_term_of_logs(x, t):
    _, gradient, slope = terms_of_logs(x, t)
    return t * logarithm(t) - t * x, gradient, slope


def with_log_targets(x, y):
    t = np.exp(y)
    return (t * (y - x)).sum(-1), -t, t * (y - x) + t


def picked(x, labels):
    gradient = np.zeros_like(x)
    gradient[np.arange(len(x)), labels] = -1
    return -x[np.arange(len(x)), labels], gradient, None


TWINS = {
    "picked": (NLL, picked, "negated", MATHEMATICAL),
    "quotient": (KL, quotient, "quotient", MATHEMATICAL),
    "clipped": (KL, clipped, "quotient", CLIPPED),
    "difference": (KL, difference, "difference", MATHEMATICAL),
    "terms": (KL, terms, "terms", MATHEMATICAL),
    "difference of logs": (OF_LOGS, difference_of_logs, "difference", MATHEMATICAL),
    "terms of logs": (OF_LOGS, terms_of_logs, "terms", MATHEMATICAL),
    "each term of logs": (OF_LOGS, each_term_of_logs, "terms", TERM),
    "with log targets": (WITH_LOGS, with_log_targets, "difference", MATHEMATICAL),
}


def of(loss, prediction, target, *, options: Options = NONE, **semantics: str) -> Evaluation:
    return evaluate(loss, np.array(prediction), np.array(target), options=options, semantics=Semantics(**semantics))


def equal(got, expected) -> bool:
    """Same numbers, NaN for NaN; the sign of zero plays no part."""
    return np.array_equal(np.asarray(got) + 0.0, np.asarray(expected) + 0.0, equal_nan=True)


def slopes(result: Evaluation) -> np.ndarray:
    assert result.target_gradient is not None
    return result.target_gradient


def batches(loss: str, dtype: str, lowest: float = 0.0):
    """Yield regime, prediction and target of every regime; no target above 0 and no prediction below ``lowest``."""
    for shape in SHAPES:
        for regime in regime_names(loss):
            batch = batch_of(Case(loss, *shape, "rowwise", (regime,), "00"), dtype)
            x, t = batch.prediction, batch.target
            if lowest:
                x, t = np.maximum(x, lowest).astype(dtype), np.maximum(t, lowest).astype(dtype)
            yield regime, x, t


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", TWINS)
def test_a_sound_twin_stays_within_its_bound_and_comes_close_to_it(name: str, dtype: str):
    loss, twin, form, semantics = TWINS[name]
    grade, worst = Grade(form, LOSSES[loss].gradient_forms[0]), dict.fromkeys(("value", "gradient", "target_gradient"), 0.0)
    # The chain rule of a quotient overflows at t / q^2 and has 0 / 0 at t = 0: that form is sound away from them.
    for _, x, t in batches(loss, dtype, 1e-12 if name == "quotient" else 0.0):
        truth = evaluate(loss, x, t, semantics=semantics, precision=dtype)
        bounds = error_bounds(loss, x, t, truth, grade=grade, semantics=semantics, precision=dtype)
        with np.errstate(all="ignore"):
            got = twin(x, t)
        for quantity, result in zip(worst, got, strict=True):
            if result is not None:
                ratio = bound_ratio(result, getattr(truth, quantity), getattr(bounds, quantity), precision=dtype)
                worst[quantity] = max(worst[quantity], float(ratio.max()))
    print(dtype, name, worst)
    assert max(worst.values()) <= 1
    assert loss == NLL or worst["value"] > 0.25


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", TWINS)
def test_a_doubled_twin_is_caught_in_every_regime(name: str, dtype: str):
    loss, _, form, semantics = TWINS[name]
    grade = Grade(form, LOSSES[loss].gradient_forms[0])
    for regime, x, t in batches(loss, dtype):
        truth = evaluate(loss, x, t, semantics=semantics, precision=dtype)
        bounds = error_bounds(loss, x, t, truth, grade=grade, semantics=semantics, precision=dtype)
        for quantity in ("value", "gradient", "target_gradient"):
            expected, bound = getattr(truth, quantity), getattr(bounds, quantity)
            if expected is not None:
                expected = np.where(np.isfinite(expected), expected, 0.0)
                ratio = bound_ratio(2 * expected, expected, bound, precision="float64")
                assert ratio.max() > 1, (regime, quantity)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_divergence_off_by_a_few_roundoffs_is_caught(dtype: str):
    for loss in (KL, OF_LOGS, WITH_LOGS):
        found = 0.0
        for _, x, t in batches(loss, dtype):
            truth = evaluate(loss, x, t, precision=dtype)
            bounds = error_bounds(loss, x, t, truth, grade=LOSSES[loss].default_grade, precision=dtype)
            off = truth.value * (1 + 40 * float(np.finfo(dtype).eps))
            found = max(found, float(bound_ratio(off, truth.value, bounds.value, precision="float64").max()))
        assert found > 1, loss


def test_cross_entropy_is_entropy_plus_divergence():
    for _, q, t in batches(KL, "float64"):
        cross = evaluate("categorical_cross_entropy", q, t).value
        entropy = evaluate("categorical_cross_entropy", t, t).value
        divergence = evaluate(KL, q, t)
        bound = 2 * (np.spacing(cross) + np.spacing(entropy) + np.spacing(divergence.value))
        bound += 2.0**-70 * (cross + entropy)
        assert (np.abs((cross - entropy) - divergence.value) <= bound).all()
        assert equal(divergence.gradient, evaluate("categorical_cross_entropy", q, t).gradient)


def test_the_three_shapes_agree_on_exact_logarithms():
    """Probabilities of one: all logarithms are 0, and those of two equal rows cancel exactly."""
    p = np.array([[0.3, 0.7], [1.0, 0.0]])
    with np.errstate(divide="ignore"):
        logs = np.log(p)
    assert equal(of(KL, p, p).value, [0, 0])
    assert equal(of(WITH_LOGS, logs, logs).value, [0, 0])
    assert equal(of(OF_LOGS, logs, p).value[1:], [0])


def test_nobody_is_surprised_where_both_agree_and_nobody_can_be_where_one_is_impossible():
    result = of(KL, [[0.5, 0.5], [0.0, 1.0], [1.0, 0.0]], [[0.5, 0.5], [0.5, 0.5], [1.0, 0.0]])
    assert equal(result.value, [0, INF, 0])
    assert equal(result.gradient, [[-1, -1], [-INF, -0.5], [-1, 0]])
    assert equal(slopes(result)[:2], [[1, 1], [INF, np.log(0.5) + 1]])
    logs = of(OF_LOGS, [[-INF, 0.0], [0.0, -INF]], [[0.5, 0.5], [1.0, 0.0]])
    assert equal(logs.value, [INF, 0]) and equal(logs.gradient, [[-0.5, -0.5], [-1, 0]])
    both = of(WITH_LOGS, [[-INF, 0.0], [0.0, -1.0]], [[-INF, 0.0], [0.0, -INF]])
    assert equal(both.value, [0, 0]) and equal(both.gradient, [[0, -1], [-1, 0]])
    assert equal(both.target_gradient, [[0, 1], [1, 0]])


@pytest.mark.parametrize(("picked", "slope"), [("exact", -INF), ("zero_at_zero", 0.0), ("nan_at_zero", NAN)])
def test_target_gradient_at_a_target_of_zero(picked: str, slope: float):
    for loss, x in ((KL, [[1.0, 0.5]]), (OF_LOGS, [[0.0, -1.0]])):
        assert equal(of(loss, x, [[1.0, 0.0]], target_gradient=picked).target_gradient, [[1, slope]])
    expected = NAN if picked == "nan_at_zero" else 0.0
    assert equal(of(WITH_LOGS, [[0.0, -1.0]], [[0.0, -INF]], target_gradient=picked).target_gradient, [[1, expected]])


@pytest.mark.parametrize(("picked", "value"), [("zero", 0.0), ("nan", NAN)])
def test_what_an_impossible_outcome_adds(picked: str, value: float):
    for loss, x, t in (
        (KL, [[1.0, 0.0]], [[1.0, 0.0]]),
        (OF_LOGS, [[0.0, -INF]], [[1.0, 0.0]]),
        (WITH_LOGS, [[0.0, -1.0]], [[0.0, -INF]]),
    ):
        result = of(loss, x, t, masked_class=picked)
        assert equal(result.value, [value]) and equal(result.gradient, [[-1, 0]])


def test_classes_that_are_not_there_add_nothing_under_any_semantics():
    there = Options(where=np.array([[True, False]]))
    for loss, t in ((OF_LOGS, [[1.0, 0.5]]), (WITH_LOGS, [[0.0, -0.5]])):
        result = of(loss, [[-2.0, -3.0]], t, options=there, masked_class="nan")
        assert equal(result.value, [2]) and equal(result.gradient, [[-1, 0]]) and equal(result.target_gradient, [[3, 0]])


def test_the_guard_clips_prediction_and_target():
    result = of(KL, [[0.0, 1.0]], [[1.0, 0.0]], divergence_guard="clip_both_1e-7")
    np.testing.assert_array_max_ulp(result.value, np.array([-np.log(1e-7) + 1e-7 * np.log(1e-7)]), maxulp=1)
    assert equal(result.gradient, [[0, -1e-7]])
    np.testing.assert_array_max_ulp(slopes(result), np.array([[1 - np.log(1e-7), 0]]), maxulp=1)


@pytest.mark.parametrize("slope", [0.0, -0.5])
def test_both_derivatives_are_accepted_at_the_boundaries_of_the_guard(slope: float):
    for q, accepted in ((1.0, True), (0.75, False)):
        x, t = np.array([[q, 1e-3]]), np.array([[0.5 * q, 0.5]])
        truth = evaluate(KL, x, t, semantics=CLIPPED, precision="float32")
        bounds = error_bounds(KL, x, t, truth, grade=Grade("quotient", "separate"), semantics=CLIPPED, precision="float32")
        ratio = bound_ratio(slope, truth.gradient, bounds.gradient, precision="float32")[0, 0]
        assert (ratio <= 1) == (accepted or slope == -0.5)


def test_term_by_term_a_divergence_sums_to_that_of_the_row():
    for loss in (KL, OF_LOGS, WITH_LOGS):
        for _, x, t in batches(loss, "float64"):
            each, whole = evaluate(loss, x, t, semantics=TERM), evaluate(loss, x, t)
            assert each.value.shape == x.shape and equal(each.gradient, whole.gradient)
            slack = x.shape[-1] * 2.0**-53 * np.abs(each.value).sum(-1)
            assert (np.abs(each.value.sum(-1) - whole.value) <= slack).all()


def test_the_likelihood_is_minus_the_logarithm_at_the_label():
    result = of(NLL, [[-0.5, -1.5], [-INF, 0.0]], [1, 0])
    assert equal(result.value, [1.5, INF]) and equal(result.gradient, [[0, -1], [-1, 0]]) and result.target_gradient is None
    weighed = of(NLL, [[-0.5, -1.5], [-2.0, -0.25]], [1, 0], options=Options(class_weight=np.array([3.0, 2.0]), ignore_index=0))
    assert equal(weighed.value, [3, 0]) and equal(weighed.gradient, [[0, -2], [0, 0]]) and equal(weighed.weight, [2, 0])


def test_the_likelihood_of_log_softmax_is_sparse_softmax_cross_entropy():
    x = np.random.default_rng(4).normal(size=(50, 7))
    labels = np.arange(50) % 7
    logs = -slopes(evaluate("softmax_cross_entropy_with_logits", x, np.eye(7)[labels]))
    assert equal(of(NLL, logs, labels).value, of("sparse_softmax_cross_entropy_with_logits", x, labels).value)
