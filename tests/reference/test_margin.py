"""The margin losses: sound twins, doubled results, relations to sigmoid cross-entropy, special values and weights."""

import numpy as np
import pytest

from conformance.cases import Case
from reference.bounds import bound_ratio, error_bounds
from reference.evaluate import Evaluation, evaluate
from reference.losses import LOSSES, Grade
from reference.options import NONE, Options
from reference.semantics import Semantics
from tests.reference import sound_forms
from tests.reference.certify import batch_of, regime_names

SOFT, MULTI, SIGMOID = "soft_margin", "multilabel_soft_margin", "sigmoid_cross_entropy_with_logits"
DTYPES = ("float32", "float64")
SHAPES = ((300, 2), (60, 10), (4, 1000))
INF, NAN = np.inf, np.nan


def sides(x, y):
    margin = y * x
    small = np.exp(-np.abs(margin))
    share = np.where(margin > 0, small / (1 + small), 1 / (1 + small))
    return np.maximum(-margin, 0) + np.log1p(small), -y * share, -x * share


def log_share(x, y):
    margin = y * x
    loss = np.maximum(-margin, 0) + np.log1p(np.exp(-np.abs(margin)))
    share = np.exp(-margin - loss)
    return loss, -y * share, -x * share


def mean(form, x, t, weight):
    """The mean of the outcomes, its share of the upstream gradient multiplied into each term before they cancel."""
    n, w = x.dtype.type(x.shape[-1]), x.dtype.type(1) if weight is None else weight
    losses, slopes, target_slopes = sound_forms.sigmoid(x, t, form.value, form.gradient)
    share = w / n
    return (w * losses).sum(-1) / n, share * slopes, share * target_slopes


TWINS = {
    "sides": (SOFT, sides, Grade("log1p", "quotient")),
    "log of the share": (SOFT, log_share, Grade("log1p", "lse")),
    "pair": (MULTI, None, Grade("pair", "pair")),
    "split": (MULTI, None, Grade("split", "auto")),
    "fold": (MULTI, None, Grade("fold", "direct")),
    "lse": (MULTI, None, Grade("pair", "lse")),
}


def weights(x, weighted: bool) -> Options:
    return Options(class_weight=np.linspace(0.25, 4, x.shape[-1]).astype(x.dtype)) if weighted else NONE


def batches(loss: str, dtype: str):
    for shape in SHAPES:
        for regime in regime_names(loss):
            batch = batch_of(Case(loss, *shape, "rowwise", (regime,), "00"), dtype)
            yield regime, batch.prediction, batch.target


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", TWINS)
def test_a_sound_twin_stays_within_its_bound_and_a_doubled_one_does_not(name: str, weighted: bool, dtype: str):
    loss, twin, grade = TWINS[name]
    if weighted and loss == SOFT:
        weighted = False
    worst = dict.fromkeys(("value", "gradient", "target_gradient"), 0.0)
    for regime, x, t in batches(loss, dtype):
        options = weights(x, weighted)
        truth = evaluate(loss, x, t, options=options, precision=dtype)
        bounds = error_bounds(loss, x, t, truth, options=options, grade=grade, precision=dtype)
        with np.errstate(all="ignore"):
            got = twin(x, t) if twin else mean(grade, x, t, options.class_weight)
        for quantity, result in zip(worst, got, strict=True):
            expected, bound = getattr(truth, quantity), getattr(bounds, quantity)
            worst[quantity] = max(worst[quantity], float(bound_ratio(result, expected, bound, precision=dtype).max()))
            overflows = regime == "huge" and loss == MULTI and quantity == "value"
            doubled = bound_ratio(2 * expected, expected, bound, precision="float64")
            assert overflows or doubled.max() > 1, (regime, quantity)
    print(dtype, name, weighted, worst)
    assert max(worst.values()) <= 1 and min(worst.values()) > 0.1


def test_a_sum_that_overflows_before_its_division_may_be_infinite():
    x, t = np.full((1, 2), 3e38, np.float32), np.zeros((1, 2), np.float32)
    truth = evaluate(MULTI, x, t, precision="float32")
    bounds = error_bounds(MULTI, x, t, truth, grade=Grade("pair", "pair"), precision="float32")
    assert truth.value[0] == np.float32(3e38)
    assert bound_ratio([INF], truth.value, bounds.value, precision="float32") == 0
    one = evaluate(MULTI, x[:, :1], t[:, :1], precision="float32")
    bound = error_bounds(MULTI, x[:, :1], t[:, :1], one, grade=Grade("pair", "pair"), precision="float32").value
    assert bound_ratio([INF], one.value, bound, precision="float32") == INF


def of(loss, x, t, *, options: Options = NONE, **semantics: str) -> Evaluation:
    return evaluate(loss, np.array(x), np.array(t), options=options, semantics=Semantics(**semantics))


def equal(got, expected) -> bool:
    """Same numbers, NaN for NaN; the sign of zero plays no part."""
    return np.array_equal(np.asarray(got) + 0.0, np.asarray(expected) + 0.0, equal_nan=True)


def slopes(result: Evaluation) -> np.ndarray:
    assert result.target_gradient is not None
    return result.target_gradient


def test_soft_margin_is_sigmoid_cross_entropy_of_signs():
    for _, x, y in batches(SOFT, "float64"):
        margin, sigmoid = of(SOFT, x, y), of(SIGMOID, x, (y + 1) / 2)
        assert equal(margin.value, sigmoid.value)
        np.testing.assert_array_max_ulp(margin.gradient, sigmoid.gradient, maxulp=1)


@pytest.mark.parametrize("y", [-1.0, 1.0])
def test_soft_margin_at_infinity_is_its_limit(y: float):
    result = of(SOFT, [INF, -INF], [y, y])
    right, wrong = (0, 1) if y > 0 else (1, 0)
    assert equal(result.value[[right, wrong]], [0, INF])
    assert equal(result.gradient[[right, wrong]], [0, -y])
    assert equal(slopes(result)[[right, wrong]], [0, y * INF])


def test_soft_margin_of_any_label_is_that_of_the_product():
    x, y = np.random.default_rng(3).normal(size=(2, 400))
    y = np.round(y * 2.0**20) * 2.0**-20
    x = np.round(x * 2.0**20) * 2.0**-20  # their products are exact
    whole, unit = of(SOFT, x, y), of(SOFT, x * y, np.ones(400))
    np.testing.assert_array_max_ulp(whole.value, unit.value, maxulp=1)
    np.testing.assert_array_max_ulp(whole.gradient, unit.gradient * y, maxulp=2)


def test_soft_margin_far_from_the_margin_is_the_margin():
    result = of(SOFT, [1000.0, 1e308, -1e308, 740.0], [-1.0, -1.0, -1.0, 1.0])
    assert equal(result.value[:3], [1000, 1e308, 0]) and 0 < result.value[3] < 1e-320
    assert equal(result.gradient[:3], [1, 1, 0]) and equal(slopes(result)[:3], [-1000, -1e308, 0])


def test_multilabel_soft_margin_is_the_mean_of_sigmoid_cross_entropy():
    x, t = np.array([[0.5, -2.0, 3.0, 1e308]]), np.array([[1.0, 0.25, 0.0, 0.0]])
    each, whole = of(SIGMOID, x, t), of(MULTI, x, t)
    np.testing.assert_array_max_ulp(whole.value, (each.value / 4).sum(-1), maxulp=1)
    assert equal(whole.gradient, each.gradient / 4) and equal(whole.target_gradient, slopes(each) / 4)


def test_class_weights_multiply_both_outcomes_of_their_class():
    weight = np.array([2.0, 0.0, 0.5])
    x, t = np.array([[0.5, -2.0, 3.0], [INF, INF, 0.0]]), np.array([[1.0, 0.0, 0.0], [1.0, 0.0, 1.0]])
    each, whole = of(SIGMOID, x, t), of(MULTI, x, t, options=Options(class_weight=weight))
    np.testing.assert_array_max_ulp(whole.value[0], (each.value[0] * weight).sum() / 3, maxulp=1)
    np.testing.assert_array_max_ulp(whole.gradient, each.gradient * weight / 3, maxulp=1)
    np.testing.assert_array_max_ulp(whole.value[1], 0.5 * np.log(2) / 3, maxulp=1)  # a weight of 0 takes an infinite loss out
    assert equal(whole.weight, [1, 1])  # they are no weights of the mean over the rows


def test_infinite_logits_are_as_the_semantics_says():
    x, t = [[INF, 0.0]], [[1.0, 1.0]]
    assert equal(of(MULTI, x, t).value, [np.log(2) / 2])
    assert equal(of(MULTI, x, t, infinite_logit="pair").value, [NAN])
    assert equal(of(MULTI, [[-INF, 0.0]], t).value, [INF])


def test_losses_of_a_row_and_of_an_outcome_have_their_shapes():
    assert LOSSES[MULTI].per_row and not LOSSES[MULTI].has_classes and not LOSSES[SOFT].per_row
    assert of(MULTI, np.zeros((2, 3, 4)), np.zeros((2, 3, 4))).value.shape == (2, 3)
    assert of(SOFT, np.zeros((2, 3)), np.ones((2, 3))).value.shape == (2, 3)
