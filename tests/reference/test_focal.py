"""Focal, poly and generalised losses, z-loss and soft cap: sound twins, doubled results, relations, special values."""

import warnings

import numpy as np
import pytest

from conformance.cases import Case
from reference.bounds import bound_ratio, error_bounds
from reference.bounds_focal import Near, power, scalar, times
from reference.evaluate import Evaluation, evaluate
from reference.losses import LOSSES, Grade
from reference.options import NONE, Options
from reference.precision import PRECISIONS
from reference.semantics import MATHEMATICAL, Semantics
from tests.reference import sound_forms
from tests.reference.certify import VARIANTS, batch_of, dense_targets, regime_names

BINARY, SIGMOID = "binary_focal_cross_entropy", "binary_focal_cross_entropy_with_logits"
CATEGORICAL, SOFTMAX = "categorical_focal_cross_entropy", "categorical_focal_cross_entropy_with_logits"
POLY, GENERALIZED = "poly_loss_cross_entropy", "generalized_cross_entropy"
SPARSE = "sparse_softmax_cross_entropy_with_logits"
PLAIN = {
    BINARY: "binary_cross_entropy",
    SIGMOID: "sigmoid_cross_entropy_with_logits",
    CATEGORICAL: "categorical_cross_entropy",
    SOFTMAX: "softmax_cross_entropy_with_logits",
}
"""What each focal loss is at gamma = 0."""
DTYPES = ("float32", "float64")
SHAPES = ((120, 2), (40, 10), (2, 1000))
INF, NAN = np.inf, np.nan
RENORMALISED = Semantics(probability_sum="renormalised")


def of(loss: str, prediction, target, *, options: Options = NONE, **semantics: str) -> Evaluation:
    return evaluate(loss, np.array(prediction), np.array(target), options=options, semantics=Semantics(**semantics))


def parts(result: Evaluation) -> list[np.ndarray]:
    return [part for part in (result.value, result.gradient, result.target_gradient) if part is not None]


def batches(loss: str, dtype: str, options: Options = NONE):
    """Yield the regime, prediction, target and dense target, without those in which s^2 or gamma c overflows on the way."""
    for shape in SHAPES if LOSSES[loss].has_classes else SHAPES[:2]:
        for regime in regime_names(loss):
            if regime == "huge" and (options.z_loss is not None or (options.gamma or 0) > 4):
                continue
            batch = batch_of(Case(loss, *shape, "rowwise", (regime,), "00"), dtype)
            yield f"{regime} {shape}", batch.prediction, batch.target, dense_targets(batch).astype(dtype)


def focal(twin, value, gradient):
    return lambda x, t, options: twin(x, t, options.alpha, options.gamma, value, gradient)


TWINS = {
    "binary log": (BINARY, focal(sound_forms.binary_focal, "log", "separate"), Grade("log", "separate"), MATHEMATICAL),
    "binary log1p": (BINARY, focal(sound_forms.binary_focal, "log1p", "joint"), Grade("log1p", "joint"), MATHEMATICAL),
    "binary sum": (BINARY, focal(sound_forms.binary_focal, "sum", "separate"), Grade("sum", "separate"), MATHEMATICAL),
    **{
        f"sigmoid {value} {slope}": (
            SIGMOID,
            focal(sound_forms.sigmoid_focal, value, slope),
            Grade(value, slope),
            MATHEMATICAL,
        )
        for value, slope in (
            ("split", "auto"),
            ("fold", "direct"),
            ("pair", "pair"),
            ("pair", "lse"),
            ("log_space", "log_space"),
        )
    },
    "categorical": (
        CATEGORICAL,
        lambda p, t, o: sound_forms.categorical_focal(p, t, o.alpha, o.gamma),
        Grade("log", "separate"),
        MATHEMATICAL,
    ),
    "renormalised": (
        CATEGORICAL,
        lambda p, t, o: sound_forms.categorical_focal(p, t, o.alpha, o.gamma, renormalised=True),
        Grade("log", "separate"),
        RENORMALISED,
    ),
    **{
        f"softmax {value} {slope}": (SOFTMAX, focal(sound_forms.softmax_focal, value, slope), Grade(value, slope), MATHEMATICAL)
        for value, slope in (("plain", "log_softmax"), ("log1p", "quotient"))
    },
    **{
        f"generalized {form}": (
            GENERALIZED,
            lambda p, t, o, form=form: sound_forms.generalized(p, t, o.q, form),
            Grade(form, "power"),
            MATHEMATICAL,
        )
        for form in ("power", "expm1")
    },
    **{
        f"poly {value} {slope}": (
            POLY,
            lambda x, t, o, value=value, slope=slope: sound_forms.poly(x, t, o.epsilon, value, slope),
            Grade(value, slope),
            MATHEMATICAL,
        )
        for value, slope in (("plain", "log_softmax"), ("log1p", "quotient"), ("lse", "lse"))
    },
    **{
        f"cap and z-loss {value} {slope}": (
            SPARSE,
            lambda x, t, o, value=value, slope=slope: sound_forms.capped_softmax(x, t, o.soft_cap, o.z_loss, value, slope),
            Grade(value, slope),
            MATHEMATICAL,
        )
        for value, slope in (("plain", "log_softmax"), ("lse", "quotient"))
    },
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", TWINS)
def test_sound_losses_stay_within_their_bound(name: str, dtype: str):
    """Where a subtraction leaves 0 a power of it below 1 has no slope: there, where it is not finite, no such form is sound."""
    loss, twin, grade, semantics = TWINS[name]
    worst = {"value": 0.0, "gradient": 0.0, "target_gradient": 0.0}
    for options in VARIANTS[loss]:
        for where, x, target, dense in batches(loss, dtype, options):
            truth = evaluate(loss, x, target, options=options, semantics=semantics, precision=dtype)
            bounds = error_bounds(loss, x, target, truth, options=options, grade=grade, semantics=semantics, precision=dtype)
            with np.errstate(all="ignore"):
                got = twin(x, dense, options)
            for quantity, result in zip(worst, got, strict=False):
                expected, bound = getattr(truth, quantity), getattr(bounds, quantity)
                if expected is None:
                    continue
                lost = ~np.isfinite(result) & (options.gamma is not None and 0 < options.gamma < 1) & (quantity != "value")
                ratio = bound_ratio(np.where(lost, expected, result), expected, bound, precision=dtype).max()
                assert ratio <= 1, (where, quantity, options.given, ratio)
                worst[quantity] = max(worst[quantity], float(ratio))
    print(name, dtype, worst)
    assert min(worst["value"], worst["gradient"]) > 0.1


OURS = (BINARY, SIGMOID, CATEGORICAL, SOFTMAX, POLY, GENERALIZED, SPARSE)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", OURS)
def test_a_doubled_result_violates_the_bound_of_every_form_in_every_regime(loss: str, dtype: str):
    spec = LOSSES[loss]
    grades = [Grade(value, spec.gradient_forms[0]) for value in spec.value_forms]
    grades += [Grade(spec.value_forms[0], slope) for slope in spec.gradient_forms]
    for options in VARIANTS[loss]:
        for where, x, target, _ in batches(loss, dtype, options):
            truth = evaluate(loss, x, target, options=options, precision=dtype)
            for grade in grades:
                bounds = error_bounds(loss, x, target, truth, options=options, grade=grade, precision=dtype)
                # Losses below one roundoff of 1 + s: forms that round it may return 0.
                lost = where.startswith(("subnormal", "confident-right")) and grade.value in ROUNDING
                # With a weight of -1 the loss of a hard label is (1 - p)^2 / 2.
                square = (options.epsilon or 0) < 0 and where.startswith(("subnormal", "confident-right"))
                assert lost or square or caught(truth.value, bounds.value, dtype), (where, grade, options.given)
                # Far beyond a soft cap 1 - tanh^2 is below the error of tanh^2.
                flat = options.soft_cap is not None and where.startswith(("scale-1e4", "huge"))
                assert flat or square or caught(truth.gradient, bounds.gradient, dtype), (where, grade, options.given)


ROUNDING = ("plain", "lse", "log_quotient")


def caught(expected: np.ndarray, bound: np.ndarray, dtype: str) -> bool:
    """Tell whether a doubled result violates its bound somewhere; one that may all be flushed to zero cannot."""
    info = np.finfo(dtype)
    kept = (np.abs(expected) > 16 * info.smallest_normal) & (np.abs(expected) < info.max / 2)
    doubled = np.where(kept, 2 * np.where(kept, expected, 0), 0)
    return not kept.any() or bound_ratio(doubled[kept], expected[kept], bound[kept], precision=dtype).max() > 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", PLAIN)
@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 5.0])
def test_bounds_at_special_values_are_finite_and_silent(loss: str, gamma: float, dtype: str):
    spec, options = LOSSES[loss], Options(gamma=gamma, alpha=0.25)
    logits = [[1, 0, -INF], [-INF, 0, 1], [INF, 0, 1], [NAN, 0, 1], [1e308, -1e308, 0], [5e-324, 0, -800]]
    probabilities = [[1, 0, 0], [0, 0.5, 0.5], [NAN, 0.5, 0.5], [1e-310, 1, 0], [1e-308, 0.25, 0.5]]
    x = np.array(logits if spec.prediction == "logit" else probabilities)
    guards = [MATHEMATICAL, *(Semantics(log_of_zero="clip_1e-7", focal_base=base) for base in ("as_given", "guarded"))]
    for t in (np.zeros_like(x), np.eye(3)[np.arange(len(x)) % 3], np.full_like(x, 0.25)):
        for semantics in guards:
            truth = evaluate(loss, x, t, options=options, semantics=semantics, precision=dtype)
            for value in spec.value_forms:
                grade = Grade(value, spec.gradient_forms[-1])
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    bounds = error_bounds(loss, x, t, truth, options=options, grade=grade, semantics=semantics, precision=dtype)
                for bound in (bounds.value, bounds.gradient, bounds.target_gradient):
                    assert bound is not None and np.isfinite(bound).all() and (bound >= 0).all()


@pytest.mark.parametrize("loss", PLAIN)
def test_gamma_0_is_plain_cross_entropy(loss: str):
    """To an ulp of the result, and of the terms of a gradient that cancels."""
    for where, x, target, _ in batches(loss, "float64"):
        got, expected = evaluate(loss, x, target, options=Options(gamma=0.0)), evaluate(PLAIN[loss], x, target)
        for one, other, scale in zip(parts(got), parts(expected), (0.0, 1.0, 0.0), strict=True):
            with np.errstate(invalid="ignore"):
                close = np.abs(one - other) <= np.spacing(np.maximum(np.abs(other), scale))
            assert (close | (one == other)).all(), where


def test_gamma_is_2_epsilon_2_and_q_a_half_unless_given():
    rng = np.random.default_rng(0)
    p, labels = rng.dirichlet(np.ones(4), 5), np.arange(5) % 4
    one_hot = np.eye(4)[labels]
    for loss, x, t, options in (
        (BINARY, p, one_hot, Options(gamma=2.0)),
        (SIGMOID, p, one_hot, Options(gamma=2.0)),
        (CATEGORICAL, p, one_hot, Options(gamma=2.0, alpha=1.0)),
        (SOFTMAX, p, one_hot, Options(gamma=2.0, alpha=1.0)),
        (POLY, p, one_hot, Options(epsilon=2.0)),
        (GENERALIZED, p, labels, Options(q=0.5)),
    ):
        for got, expected in zip(parts(of(loss, x, t)), parts(of(loss, x, t, options=options)), strict=True):
            np.testing.assert_array_equal(got, expected)


def test_published_example_of_the_binary_focal_loss():
    """The digits of the Keras documentation: the means of two rows."""
    result = of(BINARY, [[0.6, 0.4], [0.4, 0.6]], [[0.0, 1.0], [0.0, 0.0]])
    assert [f"{mean:.3f}" for mean in result.value.mean(-1)] == ["0.330", "0.206"]


def test_two_classes_are_one_outcome_for_hard_labels():
    p, t = np.array([[0.2, 0.8], [0.9, 0.1]]), np.array([[1.0, 0.0], [1.0, 0.0]])
    both, one = of(CATEGORICAL, p, t), of(BINARY, p[:, 0], t[:, 0])
    np.testing.assert_array_max_ulp(both.value, one.value, maxulp=1)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize(("by_logit", "by_probability"), [(SIGMOID, BINARY), (SOFTMAX, CATEGORICAL)])
def test_logits_are_the_probabilities_of_their_sigmoid_or_softmax(by_logit: str, by_probability: str, gamma: float):
    """Logits whose probabilities are exact: powers of two, and halves."""
    options = Options(gamma=gamma)
    x, p, t = np.zeros((1, 4)), np.full((1, 4), 0.5 if by_logit == SIGMOID else 0.25), np.array([[1.0, 0.0, 0.0, 0.0]])
    np.testing.assert_array_max_ulp(
        of(by_logit, x, t, options=options).value, of(by_probability, p, t, options=options).value, maxulp=1
    )


@pytest.mark.parametrize(("gamma", "slope"), [(0.0, -1.0), (0.5, 0.0), (1.0, 0.0), (2.0, 0.0)])
def test_a_certain_and_right_prediction_has_the_limit_of_its_gradient(gamma: float, slope: float):
    options = Options(gamma=gamma)
    binary = of(BINARY, [[1.0, 0.0]], [[1.0, 0.0]], options=options)
    np.testing.assert_array_equal(binary.value, [[0, 0]])
    np.testing.assert_array_equal(binary.gradient, [[slope, -slope]])
    classes = of(CATEGORICAL, [[1.0, 0.0]], [[1.0, 0.0]], options=options)
    assert classes.value == 0 and classes.gradient[0, 0] == slope
    for loss, x in ((SIGMOID, [[INF, 2000.0]]), (SOFTMAX, [[2000.0, 0.0]])):
        result = of(loss, x, [[1.0, 1.0]] if loss == SIGMOID else [[1.0, 0.0]], options=options)
        assert not result.value.any() and not result.gradient.any()


def test_what_alpha_multiplies():
    p, t = np.array([[0.25, 0.25]]), np.array([[1.0, 0.0]])
    plain = of(BINARY, p, t).value
    balanced = of(BINARY, p, t, options=Options(alpha=0.25)).value
    uniform = of(BINARY, p, t, options=Options(alpha=0.25), focal_alpha="uniform").value
    np.testing.assert_array_max_ulp(balanced, plain * [[0.25, 0.75]], maxulp=1)
    np.testing.assert_array_max_ulp(uniform, plain * 0.25, maxulp=1)


def test_a_clip_acts_in_the_factor_where_it_is_guarded():
    low, options = 1e-7, Options(gamma=1.0)
    given = of(CATEGORICAL, [[1.0, 0.5]], [[1.0, 0.0]], options=options, log_of_zero="clip_1e-7")
    guarded = of(CATEGORICAL, [[1.0, 0.5]], [[1.0, 0.0]], options=options, log_of_zero="clip_1e-7", focal_base="guarded")
    assert given.value == 0 and given.gradient[0, 0] == np.log(1 - low) and guarded.gradient[0, 0] == 0
    np.testing.assert_array_max_ulp(guarded.value, np.array([(1 - (1 - low)) * -np.log(1 - low)]), maxulp=1)


def test_generalized_cross_entropy_lies_between_cross_entropy_and_absolute_error():
    p = [[0.25, 0.75]]
    assert of(GENERALIZED, p, [0], options=Options(q=1.0)).value == 0.75
    assert of(GENERALIZED, p, [0]).value == 1.0 and of(GENERALIZED, p, [0]).gradient[0, 0] == -2.0
    nearly = of(GENERALIZED, p, [0], options=Options(q=2.0**-40)).value
    assert 0 < -np.log(0.25) - nearly < 2.0**-39
    assert of(GENERALIZED, [[0.0, 1.0]], [0]).value == 2.0 and of(GENERALIZED, [[0.0, 1.0]], [0]).gradient[0, 0] == -INF


def test_a_poly_loss_at_even_odds():
    result = of(POLY, [[0.0, 0.0]], [[1.0, 0.0]], options=Options(epsilon=1.0))
    assert result.value == np.log(2) + 0.5
    np.testing.assert_array_equal(result.gradient, [[-0.75, 0.75]])
    np.testing.assert_array_equal(result.target_gradient, [[np.log(2) + 0.5] * 2])


def test_a_z_loss_adds_the_square_of_the_log_sum():
    plain, with_z = of(SPARSE, [[3.0, 3.0]], [0]), of(SPARSE, [[3.0, 3.0]], [0], options=Options(z_loss=0.5))
    log_sum = 3 + np.log(2)
    np.testing.assert_array_max_ulp(with_z.value, plain.value + 0.5 * log_sum**2, maxulp=1)
    np.testing.assert_array_max_ulp(with_z.gradient, plain.gradient + 0.5 * log_sum, maxulp=1)
    huge = of(SPARSE, [[1e100, 0.0]], [0], options=Options(z_loss=0.5))
    assert huge.value == 0.5 * 1e200 and huge.gradient[0, 0] == 1e100


def test_a_soft_cap_bends_the_logits():
    cap = 5.0
    result = of(SPARSE, [[1e300, -INF, 0.0]], [0], options=Options(soft_cap=cap))
    bent = of(SPARSE, [[cap, -cap, 0.0]], [0])
    np.testing.assert_array_equal(result.value, bent.value)
    np.testing.assert_array_equal(result.gradient, [[0, 0, bent.gradient[0, 2]]])
    there = Options(soft_cap=cap, where=np.array([[True, False, True]]))
    np.testing.assert_array_equal(
        of(SPARSE, [[1e300, 1.0, 0.0]], [0], options=there).value, of(SPARSE, [[cap, 0.0]], [0]).value
    )


def test_a_bound_of_a_power_is_no_slope():
    """At Q = 0 with an error d the square root may be off by sqrt(d), and its slope below u is bounded by that at u alone."""
    precision = PRECISIONS["float32"]
    with np.errstate(divide="ignore"):
        root = power(Near(np.array([0.0]), np.array([1e-8])), 0.5, precision)
        steep = power(Near(np.array([1e-12]), np.array([1e-8])), -0.5, precision)
    assert root.error[0] > 1e-4 * (1 - 1e-6)
    assert 1e6 * 0.9 < steep.error[0] < 1e6 * 1.1
    product = times(scalar(2.0, 0.5), scalar(3.0, 0.25))
    assert float(product.size) == 6.0 and float(product.error) == 2.5 * 3.25 - 6
