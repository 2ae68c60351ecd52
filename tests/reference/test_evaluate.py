"""The evaluation on special values, at choice points and in batches of any shape."""

import ast
import sys
from pathlib import Path

import numpy as np
import pytest

import reference
from reference.evaluate import Evaluation, evaluate
from reference.losses import LOSSES
from reference.options import Options, one_hot_targets
from reference.semantics import MATHEMATICAL, Semantics
from tests.losses import ALONE

SPARSE = "sparse_softmax_cross_entropy_with_logits"
SOFTMAX = "softmax_cross_entropy_with_logits"
SIGMOID = "sigmoid_cross_entropy_with_logits"
BINARY = "binary_cross_entropy"
CATEGORICAL = "categorical_cross_entropy"
SPARSE_CATEGORICAL = "sparse_categorical_cross_entropy"
INF, NAN = np.inf, np.nan
HIGH = 1 - 1e-7
PRECISIONS = ("float64", "float32")


def of(loss: str, prediction, target, *, precision: str = "float64", **semantics: str) -> Evaluation:
    return evaluate(loss, np.array(prediction), np.array(target), semantics=Semantics(**semantics), precision=precision)


def parts(result: Evaluation) -> tuple[np.ndarray, ...]:
    return tuple(part for part in (result.value, result.gradient, result.target_gradient) if part is not None)


def equal(got, expected) -> bool:
    """Same numbers, NaN for NaN; the sign of zero plays no part."""
    return np.array_equal(np.asarray(got) + 0.0, np.asarray(expected) + 0.0, equal_nan=True)


# Numbers that the specification names.


def test_a_loss_far_below_one_keeps_its_digits():
    assert f"{of(SPARSE, [17.0, 0.0], 0).value:.8g}" == "4.1399376e-08"
    assert of(SPARSE, [700.0, 0.0], 0).value == np.exp(-700.0)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    ("x", "t", "value", "gradient"), [(1000, 1, 0, 0), (1000, 0, 1000, 1), (-1000, 1, 1000, -1), (-1000, 0, 0, 0)]
)
def test_saturated_sigmoid_is_exact(precision: str, x: float, t: float, value: float, gradient: float):
    result = of(SIGMOID, [x], [t], precision=precision)
    assert equal(result.value, [value]) and equal(result.gradient, [gradient]) and equal(result.target_gradient, [-x])


def test_worked_examples():
    """The digits that users start from; they are float32."""
    sigmoid = of(SIGMOID, [[0.2] * 5, [0.3, 0.3, 0.2, 0.1, 0.1]], [[0, 0, 0, 1, 0], [1, 0, 0, 0, 0]])
    softmax = of(SOFTMAX, [[0.2, 0.8], [0.7, 0.3], [0.5, 0.5]], [[0, 1], [1, 0], [1, 0]])
    first = [0.7981388, 0.7981388, 0.7981388, 0.59813887, 0.7981388]
    second = [0.55435524, 0.85435524, 0.79813887, 0.74439666, 0.74439666]
    for got, digits in ((sigmoid.value, [first, second]), (softmax.value, [0.43748795, 0.51301525, 0.69314718])):
        np.testing.assert_array_max_ulp(got.astype(np.float32), np.array(digits, np.float32), maxulp=1)


@pytest.mark.parametrize("loss", [SPARSE, SOFTMAX])
def test_huge_logits_do_not_overflow(loss: str):
    target = 1 if loss == SPARSE else [0.0, 1.0]
    result = of(loss, [1e308, 0.0], target)
    assert result.value == 1e308 and equal(result.gradient, [1, -1])
    result = of(loss, [1e308, 1e308], target)
    assert result.value == np.log(2) and equal(result.gradient, [0.5, -0.5])
    beyond = of(loss, [1e308, -1e308], target)
    assert beyond.value == INF and equal(beyond.gradient, [1, -1])


# Masked classes, infinities and NaN.


@pytest.mark.parametrize("precision", PRECISIONS)
def test_masked_classes_are_left_out(precision: str):
    with_mask = of(SOFTMAX, [[1.0, -INF, 0.5, -INF]], [[0.25, 0, 0.75, 0]], precision=precision)
    without = of(SOFTMAX, [[1.0, 0.5]], [[0.25, 0.75]], precision=precision)
    assert equal(with_mask.value, without.value)
    assert equal(with_mask.gradient[:, ::2], without.gradient) and equal(with_mask.gradient[:, 1::2], [[0, 0]])
    assert equal(parts(with_mask)[2][:, 1::2], [[INF, INF]])


def test_a_masked_label_costs_everything():
    result = of(SPARSE, [-INF, 0.0, 0.0], 0)
    assert result.value == INF and equal(result.gradient, [-1, 0.5, 0.5])


def test_masked_classes_under_nan_semantics():
    assert np.isnan(of(SOFTMAX, [[0.0, -INF]], [[1.0, 0.0]], masked_class="nan").value).all()
    assert np.isnan(of(SPARSE, [[0.0, -INF]], [0], masked_class="nan").value).all()


@pytest.mark.parametrize(
    ("picked", "value", "slope"), [("zero", 0, 0), ("nan", NAN, 0), ("nan_gradient", 0, NAN), ("nan_both", NAN, NAN)]
)
def test_what_an_outcome_of_probability_and_target_zero_adds(picked: str, value: float, slope: float):
    """To the loss, and the gradient of that outcome; its neighbour, of probability and target one, keeps its own."""
    for loss, p, t in ((CATEGORICAL, [[0.0, 1.0]], [[0.0, 1.0]]), (SPARSE_CATEGORICAL, [[0.0, 1.0]], [1])):
        result = of(loss, p, t, masked_class=picked)
        assert equal(result.value, [value]) and equal(result.gradient, [[slope, -1]])
    binary = of(BINARY, [0.0, 1.0, 0.5], [0.0, 1.0, 0.0], masked_class=picked)
    known = of(BINARY, [0.0, 1.0, 0.5], [0.0, 1.0, 0.0])
    assert equal(binary.value, [value, value, known.value[2]])
    assert equal(binary.gradient, [NAN, NAN, 2] if picked in ("nan_gradient", "nan_both") else [1, -1, 2])
    soft = of(SOFTMAX, [[0.0, -INF]], [[1.0, 0.0]], masked_class=picked)
    assert equal(soft.value, [value]) and equal(soft.gradient, [[0, slope]])


def test_target_gradients_that_are_zero_where_the_target_is():
    result = of(CATEGORICAL, [[0.5, 0.25]], [[0.0, 1.0]], target_gradient="zero_at_zero")
    assert equal(parts(result)[2], [[0, np.log(4)]])
    binary = of(BINARY, [0.25, 0.25, 0.5], [0.0, 1.0, 0.5], target_gradient="zero_at_zero")
    assert equal(parts(binary)[2], [np.log(0.75), np.log(4), 0])


@pytest.mark.parametrize("row", [[INF, 0.0], [-INF, -INF], [NAN, 0.0], [NAN, -INF]])
def test_rows_without_a_softmax_are_nan(row: list[float]):
    for result in (of(SPARSE, row, 0), of(SOFTMAX, row, [1.0, 0.0])):
        assert all(np.isnan(part).all() for part in parts(result))


@pytest.mark.parametrize(
    ("x", "t", "value", "gradient"),
    [(INF, 1, 0, 0), (INF, 0, INF, 1), (-INF, 1, INF, -1), (-INF, 0, 0, 0), (INF, 0.25, INF, 0.75), (-INF, 0.25, INF, -0.25)],
)
def test_sigmoid_at_infinity_is_its_limit(x: float, t: float, value: float, gradient: float):
    result = of(SIGMOID, [x], [t])
    assert equal(result.value, [value]) and equal(result.gradient, [gradient])


@pytest.mark.parametrize(
    ("form", "values"), [("fold", [NAN, INF, INF, NAN]), ("split", [NAN, INF, INF, NAN]), ("pair", [NAN, INF, INF, NAN])]
)
def test_sigmoid_at_infinity_as_ieee_arithmetic_has_it(form: str, values: list[float]):
    """At x = +inf with t = 1, 0 and x = -inf with t = 1, 0."""
    got = of(SIGMOID, [INF, INF, -INF, -INF], [1.0, 0.0, 1.0, 0.0], infinite_logit=form).value
    x, t = np.array([INF, INF, -INF, -INF]), np.array([1.0, 0.0, 1.0, 0.0])
    small = np.maximum(-x, 0)
    with np.errstate(invalid="ignore"):
        formulas = {
            "fold": np.maximum(x, 0) - x * t,
            "split": (1 - t) * x + small,
            "pair": t * small + (1 - t) * np.maximum(x, 0),
        }
    assert equal(got, formulas[form])


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("loss", ALONE)
@pytest.mark.parametrize("bad", [NAN, INF])
def test_a_bad_row_spoils_no_other(loss: str, bad: float, precision: str):
    spec = LOSSES[loss]
    if bad == INF and spec.prediction != "logit":
        bad = -NAN
    prediction = np.random.default_rng(1).uniform(0.1, 0.9, (5, 4))
    target = np.array([0, 1, 2, 3, 0]) if spec.target == "index" else one_hot_targets(np.array([0, 1, 2, 3, 0]), 4)
    clean = evaluate(loss, prediction, target, precision=precision)
    spoiled = prediction.copy()
    spoiled[2, 1] = bad
    dirty = evaluate(loss, spoiled, target, precision=precision)
    touched = np.zeros((5, 4), bool)
    touched[2, slice(None) if spec.has_classes else 1] = True
    for got, before in zip(parts(dirty), parts(clean), strict=True):
        here = touched.any(-1) if got.ndim == 1 else touched
        assert equal(got[~here], before[~here])
        assert np.isnan(got[here]).all() or (bad == INF and not spec.has_classes)


def test_nan_targets_make_nan_where_they_are():
    for loss in (BINARY, SIGMOID):
        for part in parts(of(loss, [0.5, 0.5], [NAN, 1.0])):
            assert np.isnan(part).tolist() == [True, False]
    for loss in (SOFTMAX, CATEGORICAL):
        for part in parts(of(loss, [[0.5, 0.5], [0.5, 0.5]], [[NAN, 1.0], [0.0, 1.0]])):
            assert np.isnan(part[0]).all() and not np.isnan(part[1]).any()


# Probabilities of 0 and 1.


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    ("p", "t", "value", "gradient", "target_gradient"),
    [
        (0, 0, 0, 1, INF),
        (1, 1, 0, -1, -INF),
        (0, 1, INF, -INF, INF),
        (1, 0, INF, INF, -INF),
        (0, 0.5, INF, -INF, INF),
        (1, 0.5, INF, INF, -INF),
        (0.5, 0.5, np.log(2), 0, 0),
    ],
)
def test_binary_at_certain_probabilities(precision: str, p, t, value, gradient, target_gradient):
    result = of(BINARY, [p], [t], precision=precision)
    for got, expected in zip(parts(result), (value, gradient, target_gradient), strict=True):
        assert equal(got, [expected])


@pytest.mark.parametrize(
    ("p", "t", "gradient"), [(1e-320, 1, -INF), (1e-320, 0, 1), (5e-324, 0.5, -INF), (2.0**-1000, 1, -(2.0**1000))]
)
def test_binary_gradient_at_subnormal_probabilities(p: float, t: float, gradient: float):
    result = of(BINARY, [p], [t])
    assert equal(result.gradient, [gradient]) and all(np.isfinite(part).all() for part in parts(result)[::2])


@pytest.mark.parametrize(
    ("guard", "values", "gradients"),
    [
        ("floor_100", [100, 0, 0, 100], [0, 1, -1, 0]),
        ("clip_1e-7", [-np.log(1e-7), -np.log1p(-1e-7), -np.log(HIGH), -np.log(1 - HIGH)], [0, 0, 0, 0]),
        (
            "add_1e-7",
            [-np.log(1e-7), -np.log1p(1e-7), -np.log1p(1e-7), -np.log(1e-7)],
            [-1e7, 1 / (1 + 1e-7), -1 / (1 + 1e-7), 1e7],
        ),
        ("clip_then_add_1e-7", [-np.log(2e-7), 0, -np.log1p((HIGH - 1) + 1e-7), -np.log((1 - HIGH) + 1e-7)], [0, 0, 0, 0]),
    ],
)
def test_guards_of_the_logarithm(guard: str, values: list[float], gradients: list[float]):
    """At p = 0 and 1 with the target 1, 0 and 1, 0 in turn; to one rounding of the expected results themselves."""
    result = of(BINARY, [0.0, 0.0, 1.0, 1.0], [1.0, 0.0, 1.0, 0.0], log_of_zero=guard)
    for got, expected in ((result.value, values), (result.gradient, gradients)):
        np.testing.assert_array_max_ulp(got, np.array(expected, float), maxulp=1)


def test_floored_denominator_of_the_gradient():
    """At p = 0 and 1 as above, then where the denominator is above the floor."""
    p, t = [0.0, 0.0, 1.0, 1.0, 0.25], [1.0, 0.0, 1.0, 0.0, 1.0]
    result = of(BINARY, p, t, log_of_zero="floor_100", gradient_at_guard="floored_1e-12")
    floor = np.float64(np.float32(1e-12))
    np.testing.assert_array_max_ulp(result.gradient, np.array([-1 / floor, 0, 0, 1 / floor, -4.0]), maxulp=1)
    np.testing.assert_array_equal(result.value, of(BINARY, p, t, log_of_zero="floor_100").value)


def test_a_guard_is_rounded_to_the_dtype_that_is_judged():
    single = of(BINARY, [0.0], [1.0], log_of_zero="clip_1e-7", precision="float32").value
    assert single != of(BINARY, [0.0], [1.0], log_of_zero="clip_1e-7").value
    assert equal(single, -np.log([float(np.float32(1e-7))]))


def test_categorical_at_certain_probabilities():
    result = of(CATEGORICAL, [[0.0, 1.0], [0.0, 1.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0], [0.5, 0.5]])
    assert equal(result.value, [0, INF, INF])
    assert equal(result.gradient, [[0, -1], [-INF, 0], [-INF, -0.5]])
    assert equal(result.target_gradient, [[INF, 0]] * 3)


@pytest.mark.parametrize("when", ["renormalised", "renormalised_after_guard"])
def test_renormalised_probabilities_may_have_any_scale(when: str):
    p, t = np.array([[0.125, 0.25, 0.5]]), [[0.25, 0.25, 0.5]]
    whole = of(CATEGORICAL, p, t, probability_sum=when)
    for scale in (2.0**-900, 2.0**-3, 2.0**50):
        other = of(CATEGORICAL, p * scale, t, probability_sum=when)
        assert equal(other.value, whole.value) and equal(other.gradient * scale, whole.gradient)


def test_renormalised_gradient_of_an_impossible_class():
    """T / P - t / p: -inf at p = 0, and T / P less t / p elsewhere."""
    result = of(
        CATEGORICAL, [[0.0, 1.0], [1e-320, 1.0], [0.0, 0.5]], [[1, 0], [1, 0], [0.5, 0.5]], probability_sum="renormalised"
    )
    assert equal(result.gradient, [[-INF, 1], [-INF, 1], [-INF, 1]])


# Labels out of range.


OUTSIDE = [(-1, "negative_index"), (3, "index_too_large")]
ROWS = [[0.2, 0.3, 0.5], [0.5, 0.3, 0.2]]


@pytest.mark.parametrize("loss", [SPARSE, SPARSE_CATEGORICAL])
@pytest.mark.parametrize(("label", "point"), OUTSIDE)
def test_labels_out_of_range_are_an_error(loss: str, label: int, point: str):
    with pytest.raises(IndexError, match=f"label {label} is out of range for 3 classes: use 0 to 2"):
        of(loss, ROWS, [0, label])
    with pytest.raises(IndexError, match="label -4 is out of range"):
        of(loss, ROWS, [0, -4], negative_index="wrap")


@pytest.mark.parametrize("loss", [SPARSE, SPARSE_CATEGORICAL])
@pytest.mark.parametrize(("label", "point"), OUTSIDE)
@pytest.mark.parametrize("picked", ["nan", "nan_value", "nan_zero", "zero"])
def test_labels_out_of_range_that_mean_no_class(loss: str, label: int, point: str, picked: str):
    result, inside = of(loss, ROWS, [0, label], **{point: picked}), of(loss, ROWS, [0, 0])
    assert equal(result.value[0], inside.value[0]) and equal(result.gradient[0], inside.gradient[0])
    assert equal(result.value[1], 0 if picked == "zero" else NAN)
    softmax = np.exp(ROWS[1]) / np.exp(ROWS[1]).sum()
    expected = NAN if picked == "nan" else softmax if picked == "nan_value" and loss == SPARSE else 0
    np.testing.assert_array_max_ulp(result.gradient[1], np.full(3, expected), maxulp=4)


@pytest.mark.parametrize("loss", [SPARSE, SPARSE_CATEGORICAL])
@pytest.mark.parametrize(
    ("label", "point", "picked", "meant"),
    [
        (-1, "negative_index", "wrap", 2),
        (-1, "negative_index", "clamp", 0),
        (-9, "negative_index", "clamp", 0),
        (3, "index_too_large", "clamp", 2),
    ],
)
def test_labels_out_of_range_that_mean_a_class(loss: str, label: int, point: str, picked: str, meant: int):
    result, inside = of(loss, ROWS, [0, label], **{point: picked}), of(loss, ROWS, [0, meant])
    assert equal(result.value, inside.value) and equal(result.gradient, inside.gradient)


# Targets that do not sum to one.


def test_unnormalised_targets():
    x, t = np.array([[0.0, np.log(3.0)]]), [[1.0, 1.0]]
    scaled, unscaled = of(SOFTMAX, x, t), of(SOFTMAX, x, t, unnormalised_gradient="unscaled")
    np.testing.assert_array_max_ulp(scaled.gradient, np.array([[-0.5, 0.5]]), maxulp=4)
    np.testing.assert_array_max_ulp(unscaled.gradient, np.array([[-0.75, -0.25]]), maxulp=4)
    assert equal(scaled.value, unscaled.value)


def test_tiny_targets_keep_their_digits():
    """Found by the certificate: the product of a subnormal target and a logit was lost."""
    smallest = 5e-324
    assert equal(of(SOFTMAX, [[0.0, -1000.0]], [[0.0, smallest]]).value, [1000 * smallest])
    assert equal(of(SIGMOID, [-1000.0], [smallest]).value, [1000 * smallest])
    assert equal(of(SOFTMAX, [[1e308, 0.0]], [[0.0, 2.0**-900]]).value, [1e308 * 2.0**-900])


# Shapes.


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("loss", ALONE)
def test_batches_of_any_shape(loss: str, precision: str):
    spec = LOSSES[loss]
    rng = np.random.default_rng(2)
    prediction = rng.uniform(0.1, 0.9, (2, 3, 4))
    target = rng.integers(0, 4, (2, 3)) if spec.target == "index" else rng.uniform(0, 1, (2, 3, 4))
    whole = evaluate(loss, prediction, target, precision=precision)
    assert whole.value.shape == ((2, 3) if spec.per_row else (2, 3, 4)) and whole.gradient.shape == (2, 3, 4)
    assert (whole.target_gradient is None) == (spec.target == "index")
    for index in np.ndindex(2, 3):
        row = evaluate(loss, prediction[index], target[index], precision=precision)
        assert row.value.shape == (() if spec.per_row else (4,))
        assert all(equal(one, many[index]) for one, many in zip(parts(row), parts(whole), strict=True))


@pytest.mark.parametrize("loss", ALONE)
@pytest.mark.parametrize("shape", [(0, 3), (2, 0, 3), (0, 0)])
def test_empty_batches(loss: str, shape: tuple[int, ...]):
    spec = LOSSES[loss]
    target = np.zeros(shape[:-1], int) if spec.target == "index" else np.zeros(shape)
    result = evaluate(loss, np.zeros(shape), target)
    assert result.value.shape == (shape[:-1] if spec.per_row else shape) and result.gradient.shape == shape
    assert result.target_gradient is None or result.target_gradient.shape == shape


@pytest.mark.parametrize("loss", [BINARY, SIGMOID])
def test_a_single_outcome_needs_no_axis(loss: str):
    result = of(loss, 0.25, 1.0)
    assert result.value.shape == result.gradient.shape == ()


@pytest.mark.parametrize("x", [0.0, -7.5, 1e308])
def test_a_single_class_is_certain(x: float):
    assert equal(of(SPARSE, [[x]], [0]).value, [0]) and equal(of(SPARSE, [[x]], [0]).gradient, [[0]])
    assert equal(of(SOFTMAX, [[x]], [[1.0]]).value, [0]) and equal(of(SOFTMAX, [[x]], [[1.0]]).gradient, [[0]])
    assert equal(of(CATEGORICAL, [[1.0]], [[1.0]]).value, [0])


def test_a_batch_beyond_one_block_is_that_of_its_rows():
    x = np.random.default_rng(3).normal(size=(5000, 10))
    labels = np.arange(5000) % 10
    whole = evaluate(SPARSE, x, labels)
    last = evaluate(SPARSE, x[-1], labels[-1])
    assert equal(whole.value[-1], last.value) and equal(whole.gradient[-1], last.gradient)


def test_inputs_are_left_alone_whatever_their_layout():
    x = np.asfortranarray(np.random.default_rng(4).normal(size=(6, 5)))
    x.flags.writeable = False
    t = one_hot_targets(np.arange(6) % 5, 5)
    for loss in (SOFTMAX, SIGMOID):
        assert equal(evaluate(loss, x, t).gradient, evaluate(loss, np.ascontiguousarray(x), t).gradient)


# Errors.


def test_errors_say_what_does_not_fit():
    with pytest.raises(KeyError):
        of("hinge", [0.0], [0.0])
    with pytest.raises(ValueError, match=r"the target must have the shape \(2,\), not \(3,\)"):
        of(SIGMOID, [0.0, 0.0], [0.0, 0.0, 0.0])
    with pytest.raises(ValueError, match=r"the target must have the shape \(1,\), not \(2,\)"):
        of(SPARSE, [[0.0, 0.0]], [0, 1])
    with pytest.raises(ValueError, match="labels must be integers, the class of each row, and not float64"):
        of(SPARSE, [[0.0, 0.0]], [0.0])
    with pytest.raises(ValueError, match="labels must be integers, the class of each row, and not bool"):
        evaluate("linear_cross_entropy", np.zeros((1, 2)), np.array([True]), options=Options(linear_weight=np.ones((3, 2))))
    with pytest.raises(ValueError, match="log_of_zero='floor' is not an alternative: use one of none, floor_100"):
        Semantics(log_of_zero="floor")


# The room.


def test_the_reference_imports_numpy_and_the_standard_library_alone():
    files = sorted(Path(reference.__file__).parent.glob("*.py"))
    assert len(files) > 5
    allowed = {"numpy", "reference"} | set(sys.stdlib_module_names)
    foreign = {f"{file.name}: {name}" for file in files for name in _imported(file) if name not in allowed}
    assert foreign == set()


def _imported(file: Path) -> set[str]:
    """Return the top-level packages that a file imports, at its top or anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add("." if node.level else str(node.module).split(".")[0])
    return found


def test_the_default_semantics_is_the_mathematical_one():
    assert Semantics() == MATHEMATICAL
