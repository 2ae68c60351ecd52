"""The error bounds hold for sound losses in every form, come close to their errors, and catch a doubled result."""

import functools
import math
import warnings

import numpy as np
import pytest

from conformance.regimes import targets_in_form
from reference.bounds import Bounds, bound_ratio, error_bounds, reduced_bound, scaled_gradient_bound
from reference.evaluate import evaluate
from reference.losses import LOSSES, Grade
from reference.options import one_hot_targets
from reference.precision import PRECISIONS
from reference.semantics import MATHEMATICAL, Semantics
from tests.losses import ALONE
from tests.reference import sound_forms

DTYPES = ("float32", "float64")
ROWS = {1: 10, 2: 300, 10: 60, 1000: 4, 65536: 1}
SPARSE, SOFT = "sparse_softmax_cross_entropy_with_logits", "softmax_cross_entropy_with_logits"
SIGMOID, BINARY = "sigmoid_cross_entropy_with_logits", "binary_cross_entropy"
CATEGORICAL, SPARSE_CATEGORICAL = "categorical_cross_entropy", "sparse_categorical_cross_entropy"


def logit_regimes(rows, classes, dtype, seed=0):
    """Yield name, logits and labels; each family strains another term of the bounds."""
    rng, info = np.random.default_rng(seed), np.finfo(dtype)
    shape, labels = (rows, classes), np.random.default_rng(seed + 1).integers(0, classes, rows)
    at_label = np.arange(classes) == labels[:, None]
    normal, sign = rng.normal(size=shape), rng.choice([-1.0, 1.0], shape)
    for scale in (1, 10, 100, 1e4):
        yield f"scale {scale:g}", normal * scale, labels
    yield "log-uniform", 10.0 ** rng.uniform(-4, 4, shape) * sign, labels
    right = normal + at_label * rng.uniform(5, 60, (rows, 1))
    yield "confident right", right, labels
    yield "confident wrong", right, (labels + 1) % classes
    low, high = np.log(float(info.smallest_subnormal)), np.log(float(info.smallest_normal)) + 10
    yield "subnormal", np.where(at_label, 0.0, rng.uniform(low, high, shape)), labels
    yield "masked", np.where((rng.random(shape) < 0.4) & ~at_label, -np.inf, 3 * normal), labels
    yield "offset", 3 * normal + 10.0 ** rng.uniform(0, 8, (rows, 1)) * rng.choice([-1.0, 1.0], (rows, 1)), labels
    yield "ties", rng.choice([-2.0, 0.5, 3.0], shape), labels
    yield "near ties", normal[:, :1] * (1 + float(info.eps) / 2 * rng.integers(-4, 5, shape)), labels
    yield "flat tail", np.where(at_label, 0.0, -rng.uniform(0, 40, (rows, 1))), labels
    yield "ascending", np.arange(classes) * rng.uniform(0.01, 1, (rows, 1)), labels
    yield "huge", 10.0 ** rng.uniform(4, np.log10(float(info.max)) - 0.61, shape) * sign, labels
    yield "tiny", 10.0 ** rng.uniform(np.log10(float(info.smallest_subnormal)) + 1, -4, shape) * sign, labels
    yield "zeros", np.where(rng.random(shape) < 0.5, 0.0 * sign, normal), labels


def probability_regimes(rows, classes, dtype, seed=0):
    """Yield name and rows of probabilities: flat, peaked, with an improbable or a nearly certain label, of any sum."""
    rng, info = np.random.default_rng(seed), np.finfo(dtype)
    labels = rng.integers(0, classes, rows)
    at_label = np.arange(classes) == labels[:, None]
    flat = rng.gamma(1.0, size=(rows, classes)) + 1e-3
    peaked = rng.gamma(0.1, size=(rows, classes)) + 1e-30
    for name, weight in (("flat", flat), ("peaked", peaked)):
        yield name, weight / weight.sum(-1, keepdims=True), labels
    flat = flat / flat.sum(-1, keepdims=True)
    tiny = 10.0 ** rng.uniform(np.log10(float(info.smallest_normal)) + 4, -3, (rows, 1))
    yield "improbable", np.where(at_label, tiny, flat), labels
    rest = 10.0 ** rng.uniform(np.log10(float(info.eps)), -2, (rows, 1))
    yield "probable", np.where(at_label, 1 - rest, flat * rest), labels
    yield "any sum", rng.uniform(0.01, 0.99, (rows, classes)), labels


def outcome_regimes(rows, dtype, seed=0):
    """Yield name and probabilities of independent outcomes."""
    rng, info = np.random.default_rng(seed), np.finfo(dtype)
    yield "uniform", rng.uniform(0.01, 0.99, rows)
    yield "near 0", 10.0 ** rng.uniform(np.log10(float(info.smallest_normal)), -2, rows)
    yield "near 1", 1 - 10.0 ** rng.uniform(np.log10(float(info.eps)), -2, rows)
    yield "half", 0.5 + float(info.eps) * rng.integers(-8, 9, rows)


def soft_targets(labels, classes, dtype, seed=0):
    """Yield name and soft targets: one-hot, a distribution, a sparse one, and weights that do not sum to one."""
    rng = np.random.default_rng(seed + 2)
    weight = rng.gamma(0.5, size=(len(labels), classes)) + 1e-20
    weight = weight / weight.sum(-1, keepdims=True)
    yield "one-hot", one_hot_targets(labels, classes).astype(dtype)
    yield "distribution", weight.astype(dtype)
    yield "unnormalised", (weight * 10.0 ** rng.uniform(-3, 3, (len(labels), 1))).astype(dtype)
    yield "some zeros", np.where(rng.random(weight.shape) < 0.5, 0.0, weight).astype(dtype)


def outcome_targets(x, dtype, seed=0):
    """Yield name and targets of independent outcomes: hard, soft, and small ones."""
    rng = np.random.default_rng(seed + 3)
    yield "hard", rng.integers(0, 2, x.shape).astype(dtype)
    yield "soft", rng.random(x.shape).astype(dtype)
    yield "extreme", (rng.choice([0.0, 1e-6, 1e-3], x.shape)).astype(dtype)


class Worst:
    """The largest ratio of each quantity, with where it was."""

    def __init__(self):
        self.ratio, self.where = {}, {}

    def see(self, quantity, ratio, where):
        largest = float(np.max(ratio, initial=0.0))
        if largest >= self.ratio.get(quantity, 0.0):
            self.ratio[quantity], self.where[quantity] = largest, where

    def judge(self, title, closest):
        """Show the worst, and require every quantity within its bound, value and gradient not far below it."""
        for quantity, largest in self.ratio.items():
            print(f"{title}, {quantity}: {largest:.7f} at {self.where[quantity]}")
        for quantity, largest in self.ratio.items():
            assert largest <= 1, (title, quantity, largest, self.where[quantity])
        assert min(self.ratio["value"], self.ratio["gradient"]) >= closest, (title, self.ratio)


def quietly(function, *arguments):
    """Run a sound loss; its overflows and zeros are its own, as in a framework."""
    with np.errstate(all="ignore"):
        return function(*arguments)


def measure(worst, where, loss, x, target, got, grade, dtype, semantics=MATHEMATICAL, truth=None):
    truth = truth or evaluate(loss, x, target, semantics=semantics, precision=dtype)
    bounds = error_bounds(loss, x, target, truth, grade=grade, semantics=semantics, precision=dtype)
    for quantity, result in zip(("value", "gradient", "target_gradient"), got, strict=False):
        expected = getattr(truth, quantity)
        if expected is not None:
            worst.see(quantity, bound_ratio(result, expected, getattr(bounds, quantity), precision=dtype), where)
    return truth, bounds


@functools.cache
def sparse_cases(dtype):
    """Return where, logits, labels and the truth, which all forms share."""
    return [
        (f"{name}, {classes} classes", x, labels, evaluate(SPARSE, x, labels, precision=dtype))
        for classes, rows in ROWS.items()
        for name, logits, labels in logit_regimes(rows, classes, dtype)
        for x in (logits.astype(dtype),)
    ]


@functools.cache
def soft_cases(dtype):
    """Return where, logits, soft targets and the truth; 65536 classes where the truth costs little."""
    return [
        (f"{where}, {kind}", x, t, evaluate(SOFT, x, t, precision=dtype))
        for where, x, labels, _ in sparse_cases(dtype)
        if x.shape[-1] <= 1000 or dtype == "float32"
        for kind, t in soft_targets(labels, x.shape[-1], dtype)
    ]


SOFTMAX_GRADES = [Grade("plain", "log_softmax"), Grade("log1p", "quotient"), Grade("lse", "lse")]
SIGMOID_GRADES = [Grade("split", "auto"), Grade("fold", "direct"), Grade("pair", "pair"), Grade("pair", "lse")]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("grade", SOFTMAX_GRADES, ids=lambda grade: grade.value)
def test_sparse_softmax_stays_within_its_bound(grade, dtype):
    worst = Worst()
    for where, x, labels, truth in sparse_cases(dtype):
        one_hot = one_hot_targets(labels, x.shape[-1]).astype(dtype)
        got = quietly(sound_forms.softmax, x, one_hot, grade.value, grade.gradient)
        measure(worst, where, SPARSE, x, labels, got, grade, dtype, truth=truth)
    worst.judge(f"{dtype} {grade}", closest=0.3)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("grade", SOFTMAX_GRADES, ids=lambda grade: grade.value)
def test_soft_softmax_stays_within_its_bound(grade, dtype):
    worst = Worst()
    for where, x, t, truth in soft_cases(dtype):
        got = quietly(sound_forms.softmax, x, t, grade.value, grade.gradient)
        measure(worst, where, SOFT, x, t, got, grade, dtype, truth=truth)
    worst.judge(f"{dtype} {grade}", closest=0.3)


@pytest.mark.parametrize("dtype", DTYPES)
def test_log_of_a_quotient_stays_within_its_bound_until_it_underflows(dtype):
    worst, grade = Worst(), Grade("log_quotient", "log_quotient")
    for where, x, t, truth in soft_cases(dtype):
        kept = (np.ptp(x, -1) < -0.9 * np.log(np.finfo(dtype).smallest_normal)) & np.isfinite(x).all(-1)
        if not kept.any():
            continue
        truth = evaluate(SOFT, x[kept], t[kept], precision=dtype)
        got = quietly(sound_forms.softmax, x[kept], t[kept], grade.value, grade.gradient)
        measure(worst, where, SOFT, x[kept], t[kept], got, grade, dtype, truth=truth)
        labels = t[kept].argmax(-1)
        if (t[kept].max(-1) == 1).all():
            measure(worst, where, SPARSE, x[kept], labels, got, grade, dtype)
    worst.judge(f"{dtype} {grade}", closest=0.2)


@pytest.mark.parametrize("dtype", DTYPES)
def test_unscaled_softmax_gradient_stays_within_its_bound(dtype):
    worst, grade, semantics = Worst(), Grade("plain", "quotient"), Semantics(unnormalised_gradient="unscaled")
    for where, x, t, _ in soft_cases(dtype):
        if x.shape[-1] == 10:
            got = quietly(sound_forms.softmax, x, t, grade.value, grade.gradient, False)
            measure(worst, where, SOFT, x, t, got, grade, dtype, semantics)
    worst.judge(f"{dtype} p - t", closest=0.3)


@pytest.mark.parametrize("dtype", DTYPES)
def test_subnormal_probabilities_may_be_flushed_to_zero_under_any_weight(dtype):
    kind = np.dtype(dtype).type
    smallest = np.finfo(dtype).smallest_normal
    x = np.array([[0.0, np.log(float(smallest)) - 0.1]], dtype)
    t = np.array([[1000.0, 0.0]], dtype)
    value, _, target_gradient = quietly(sound_forms.softmax, x, t, "plain", "quotient")
    flushed = np.array([[0.0, 0.0]], dtype)
    worst = Worst()
    measure(worst, "", SOFT, x, t, (value, flushed, target_gradient), Grade("plain", "quotient"), dtype)
    assert np.exp(x[0, 1]) < smallest < kind(1000) * np.exp(x[0, 1])
    assert 0.3 < worst.ratio["gradient"] <= 1


@functools.cache
def sigmoid_cases(dtype):
    """Return where, logits, targets and the truth; targets close to sigmoid(x) make gradients cancel."""
    return [
        (f"{where}, {kind}", x, t, evaluate(SIGMOID, x, t, precision=dtype))
        for where, logits, _ in logit_regimes(200, 10, dtype)
        for x in (logits[np.isfinite(logits)].astype(dtype),)
        for kind, t in (*outcome_targets(x, dtype), ("close", (1 / (1 + np.exp(-np.clip(x, -80, 80)))).astype(dtype)))
    ]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("grade", SIGMOID_GRADES, ids=lambda grade: f"{grade.value}-{grade.gradient}")
def test_sigmoid_stays_within_its_bound(grade, dtype):
    worst = Worst()
    for where, x, t, truth in sigmoid_cases(dtype):
        got = quietly(sound_forms.sigmoid, x, t, grade.value, grade.gradient)
        measure(worst, where, SIGMOID, x, t, got, grade, dtype, truth=truth)
    worst.judge(f"{dtype} {grade}", closest=0.1)


BINARY_CASES = {
    "log": (lambda p, t: sound_forms.binary(p, t, "log", "separate"), Grade("log", "separate"), MATHEMATICAL),
    "log1p": (lambda p, t: sound_forms.binary(p, t, "log1p", "joint"), Grade("log1p", "joint"), MATHEMATICAL),
    "floor": (sound_forms.floored_binary, Grade("log1p", "separate"), Semantics(log_of_zero="floor_100")),
    "joint floor": (
        sound_forms.floored_together,
        Grade("log1p", "joint"),
        Semantics(log_of_zero="floor_100", gradient_at_guard="floored_1e-12"),
    ),
    "clip": (sound_forms.clipped_binary, Grade("log", "separate"), Semantics(log_of_zero="clip_1e-7")),
    "add": (sound_forms.added_binary, Grade("log", "separate"), Semantics(log_of_zero="add_1e-7")),
    "clip and add": (
        sound_forms.clipped_and_added_binary,
        Grade("log", "separate"),
        Semantics(log_of_zero="clip_then_add_1e-7"),
    ),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", BINARY_CASES)
def test_binary_stays_within_its_bound(name, dtype):
    function, grade, semantics = BINARY_CASES[name]
    worst = Worst()
    for where, probabilities in outcome_regimes(3000, dtype):
        p = probabilities.astype(dtype)
        # Below 2^-900 the truth itself is in plain float64 and cannot judge a gradient that cancels.
        next_to = np.where(p > 2.0**-900, np.nextafter(p, p.dtype.type(1)), p)
        for kind, t in (*outcome_targets(p, dtype), ("equal", p), ("close", next_to)):
            measure(worst, f"{where}, {kind}", BINARY, p, t, quietly(function, p, t), grade, dtype, semantics)
    worst.judge(f"{dtype} {name}", closest=0.1)


CATEGORICAL_CASES = {
    "as given": (sound_forms.categorical, MATHEMATICAL),
    "renormalised": (lambda p, t: sound_forms.categorical(p, t, renormalised=True), Semantics(probability_sum="renormalised")),
    "softmax of logs": (
        sound_forms.softmax_of_logs,
        Semantics(probability_sum="renormalised_after_guard", log_of_zero="clip_1e-7"),
    ),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CATEGORICAL_CASES)
def test_categorical_stays_within_its_bound(name, dtype):
    function, semantics = CATEGORICAL_CASES[name]
    grade, worst = Grade("log", "separate"), Worst()
    for classes, rows in ROWS.items():
        if classes > 1000 and dtype == "float64":
            continue
        for where, probabilities, labels in probability_regimes(rows, classes, dtype):
            p = probabilities.astype(dtype)
            for kind, t in soft_targets(labels, classes, dtype):
                got, place = quietly(function, p, t), f"{where}, {kind}, {classes} classes"
                measure(worst, place, CATEGORICAL, p, t, got, grade, dtype, semantics)
                if kind == "one-hot":
                    measure(worst, place, SPARSE_CATEGORICAL, p, labels, got, grade, dtype, semantics)
    worst.judge(f"{dtype} {name}", closest=0.1)


def caught(expected, bound, dtype):
    """Tell whether a doubled result violates its bound somewhere; one that may be flushed to 0 everywhere cannot."""
    with np.errstate(over="ignore"):
        finite = np.isfinite(expected) & np.isfinite(expected.astype(dtype))
        doubled = np.where(finite, 2 * expected, expected)
    flushed = np.abs(expected[finite]).max(initial=0.0) <= 16 * np.finfo(dtype).smallest_normal
    return flushed or bound_ratio(doubled, expected, bound, precision=dtype).max() > 1


def doubling_cases(loss, dtype):
    """Yield where, prediction, target of every regime that a loss has."""
    spec = LOSSES[loss]
    for classes, rows in ((2, 64), (10, 64), (1000, 4)):
        if spec.prediction == "logit":
            regimes = list(logit_regimes(rows, classes, dtype))
        elif spec.has_classes:
            regimes = list(probability_regimes(rows, classes, dtype))
        else:
            regimes = [(name, p, None) for name, p in outcome_regimes(rows, dtype)]
        if spec.prediction == "log-probability":
            regimes = [(name, np.log(p), labels) for name, p, labels in regimes]
        for name, prediction, labels in regimes:
            if spec.target == "index":
                targets = [("index", labels)]
            elif spec.has_classes:
                targets = list(soft_targets(labels, classes, dtype))
            else:
                targets = list(outcome_targets(prediction, dtype))
            for kind, target in targets:
                yield f"{name}, {kind}, {classes} classes", prediction.astype(dtype), targets_in_form(spec.target, target)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", ALONE)
def test_a_doubled_result_violates_the_bound_of_every_form_in_every_regime(loss, dtype):
    spec = LOSSES[loss]
    for where, x, target in doubling_cases(loss, dtype):
        truth = evaluate(loss, x, target, precision=dtype)
        forms = [Grade(value, spec.gradient_forms[0]) for value in spec.value_forms]
        forms += [Grade(spec.value_forms[0], gradient) for gradient in spec.gradient_forms]
        for grade in forms:
            bounds = error_bounds(loss, x, target, truth, grade=grade, precision=dtype)
            # Their losses are below one roundoff of 1 + s: forms that round it may return 0.
            lost = where.startswith("subnormal") and grade.value in ("plain", "lse", "log_quotient")
            # Their sums overflow on the way to a finite mean.
            lost = lost or (where.startswith("huge") and spec.row_mean)
            assert lost or caught(truth.value, bounds.value, dtype), (where, grade.value)
            # A focal loss takes a power of what is subnormal already: nothing of its gradient is left to see.
            vanished = float(np.abs(truth.gradient).max()) < np.finfo(dtype).smallest_subnormal
            assert vanished or caught(truth.gradient, bounds.gradient, dtype), (where, grade.gradient)


SPECIAL_LOGITS = np.array(
    [
        [1.0, 0.0, -np.inf],
        [0.0, -np.inf, -np.inf],
        [-np.inf, 0.5, 1.0],
        [np.nan, 0.0, 1.0],
        [np.inf, 0.0, 1.0],
        [-np.inf, -np.inf, -np.inf],
        [1e308, -1e308, 0.0],
        [-1e308, 1e308, 1e308],
        [5e-324, 0.0, -5e-324],
    ]
)
SPECIAL_PROBABILITIES = np.array(
    [[1.0, 0.0, 0.0], [0.0, 0.5, 0.5], [np.nan, 0.5, 0.5], [1e-310, 1.0, 0.0], [1e-308, 0.25, 0.5]]
)
GUARDS = [Semantics(log_of_zero=guard) for guard in ("none", "floor_100", "clip_1e-7", "add_1e-7", "clip_then_add_1e-7")]
GUARDS.append(Semantics(log_of_zero="floor_100", gradient_at_guard="floored_1e-12"))
GUARDS.append(Semantics(divergence_guard="clip_both_1e-7"))
SUMS = [
    Semantics(log_of_zero=guard, probability_sum=how)
    for guard in ("none", "clip_1e-7", "add_1e-7", "clip_then_add_1e-7")
    for how in ("renormalised", "renormalised_after_guard")
]


def grades(loss):
    spec = LOSSES[loss]
    return [Grade(value, gradient) for value in spec.value_forms for gradient in spec.gradient_forms]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", ALONE)
def test_bounds_of_special_values_are_finite_and_silent(loss, dtype):
    spec = LOSSES[loss]
    x = SPECIAL_LOGITS if spec.prediction == "logit" else SPECIAL_PROBABILITIES
    x = quietly(np.log, x) if spec.prediction == "log-probability" else x
    rows, kinds = len(x), [np.zeros_like(x), one_hot_targets(np.zeros(len(x), int), 3), np.full_like(x, 0.25)]
    targets = [np.zeros(rows, int), np.arange(rows) % 3] if spec.target == "index" else kinds
    for target in (targets_in_form(spec.target, target) for target in targets):
        for semantics in GUARDS + SUMS if spec.prediction == "probability" else [MATHEMATICAL]:
            truth = evaluate(loss, x, target, semantics=semantics, precision=dtype)
            for grade in grades(loss):
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    bounds = error_bounds(loss, x, target, truth, grade=grade, semantics=semantics, precision=dtype)
                for bound, expected in ((bounds.value, truth.value), (bounds.gradient, truth.gradient)):
                    assert bound.shape == expected.shape
                    assert np.isfinite(bound).all(), (semantics, grade, bound)
                    assert (bound[~np.isfinite(expected)] == 0).all()


# A label needs a class: without any only dense targets have a shape.
SHAPED = [
    (loss, shape)
    for loss in ALONE
    for shape in ((0, 3), (4, 1), (2, 0), (2, 3, 4))
    if shape[-1] or LOSSES[loss].target != "index"
]


@pytest.mark.parametrize(("loss", "shape"), SHAPED)
def test_bounds_have_the_shapes_of_the_truth(loss, shape):
    spec = LOSSES[loss]
    target = np.zeros(shape[:-1], int) if spec.target == "index" else np.full(shape, 0.5)
    x = np.full(shape, 0.25)
    truth = evaluate(loss, x, target)
    bounds = error_bounds(loss, x, target, truth, grade=spec.default_grade, precision="float64")
    for name in ("value", "gradient", "target_gradient"):
        bound, expected = getattr(bounds, name), getattr(truth, name)
        assert (bound is None) == (expected is None)
        assert bound is None or bound.shape == expected.shape


def test_a_batch_of_many_blocks_has_the_bounds_of_its_rows():
    x = np.random.default_rng(5).normal(size=(9000, 10))
    labels = np.arange(9000) % 10
    truth = evaluate(SPARSE, x, labels, precision="float32")
    grade = LOSSES[SPARSE].default_grade
    whole = error_bounds(SPARSE, x, labels, truth, grade=grade, precision="float32")
    part = error_bounds(
        SPARSE,
        x[8000:],
        labels[8000:],
        evaluate(SPARSE, x[8000:], labels[8000:], precision="float32"),
        grade=grade,
        precision="float32",
    )
    np.testing.assert_array_equal(whole.value[8000:], part.value)
    np.testing.assert_array_equal(whole.gradient[8000:], part.gradient)


def test_a_label_out_of_range_that_counts_for_nothing_allows_no_error():
    semantics = Semantics(negative_index="zero", index_too_large="nan_value")
    x, labels = np.zeros((3, 4)), np.array([0, -1, 4])
    truth = evaluate(SPARSE, x, labels, semantics=semantics)
    bounds = error_bounds(SPARSE, x, labels, truth, grade=Grade("plain", "quotient"), semantics=semantics, precision="float64")
    assert bounds.value[0] > 0 == bounds.value[1] == bounds.value[2]
    assert (bounds.gradient[1] == 0).all()
    assert (bounds.gradient[[0, 2]] > 0).all()


@pytest.mark.parametrize(("p", "half"), [(1e-7, 0.0), (1 - 1e-7, 1.0)])
def test_both_derivatives_are_accepted_at_the_boundary_of_a_clip(p, half):
    semantics, grade = Semantics(log_of_zero="clip_1e-7"), Grade("log", "separate")
    at = np.array([float(np.float32(p)) if half == 0 else float(np.float32(1) - np.float32(1e-7))])
    t = np.array([0.25])
    inside = -t / at + (1 - t) / (1 - at)
    beside = np.array([0.5 * at[0] if half == 0 else 1.0])
    for x, slopes, accepted in ((at, (0 * inside, inside), True), (beside, (inside,), False)):
        truth = evaluate(BINARY, x, t, semantics=semantics, precision="float32")
        bounds = error_bounds(BINARY, x, t, truth, grade=grade, semantics=semantics, precision="float32")
        for slope in slopes:
            assert (bound_ratio(slope, truth.gradient, bounds.gradient, precision="float32").max() <= 1) == accepted


def test_a_form_that_a_loss_does_not_have_is_refused():
    x, labels = np.zeros((2, 3)), np.zeros(2, int)
    with pytest.raises(ValueError, match=r"'fold' is not a sound form of sparse_softmax.* use one of plain, log1p, lse"):
        error_bounds(SPARSE, x, labels, evaluate(SPARSE, x, labels), grade=Grade("fold", "lse"), precision="float64")


def one_ratio(got, expected, bound, precision="float32"):
    return float(bound_ratio(np.array([got]), np.array([expected]), np.array([bound]), precision=precision)[0])


@pytest.mark.parametrize(
    ("got", "expected", "bound", "ratio"),
    [
        (1.5, 1.0, 1.0, 0.5),
        (0.5, 1.0, 0.25, 2.0),
        (1.0, 1.0, 0.0, 0.0),
        (1.0, 2.0, 0.0, math.inf),
        (-0.0, 0.0, 0.0, 0.0),
        (math.nan, math.nan, 0.0, 0.0),
        (1.0, math.nan, 0.0, math.inf),
        (math.inf, math.nan, 0.0, math.inf),
        (math.nan, 1.0, 1.0, math.inf),
        (math.inf, math.inf, 0.0, 0.0),
        (-math.inf, -math.inf, 0.0, 0.0),
        (math.inf, -math.inf, 0.0, math.inf),
        (3e38, math.inf, 0.0, math.inf),
        (math.nan, math.inf, 0.0, math.inf),
        (math.nan, math.nan, math.inf, 0.0),
        (math.inf, 1.0, 1.0, math.inf),
        (math.inf, 1e39, 1e32, 0.0),
        (-math.inf, 1e39, 1e32, math.inf),
        (-math.inf, -1e39, 1e32, 0.0),
        (math.inf, 3.4028235e38, 1e31, 0.0),
        (math.inf, 3.4028235e38, 1e30, math.inf),
        (3.4e38, 1e39, 1e32, 6.6e6),
    ],
)
def test_ratio_of_special_values(got, expected, bound, ratio):
    found = one_ratio(got, expected, bound)
    assert found == ratio or abs(found / ratio - 1) < 2.0**-40


def test_overflow_of_float64_is_where_rounding_makes_an_infinity():
    largest, half_ulp = float(np.finfo(np.float64).max), 2.0**970
    assert one_ratio(math.inf, largest, half_ulp, "float64") == 0
    assert one_ratio(math.inf, largest, half_ulp / 2, "float64") == math.inf


@pytest.mark.parametrize("bound", [math.inf, math.nan, -1.0])
def test_a_bound_that_judges_nothing_is_an_error(bound):
    with pytest.raises(ArithmeticError, match="must be finite"):
        one_ratio(1.0, 1.0, bound)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_reductions_stay_within_their_bound_and_doubled_ones_do_not(reduction, dtype):
    worst = 0.0
    for count in (1, 2, 64, 1000, 100_000):
        exact = np.random.default_rng(count).gamma(0.2, size=count).astype(dtype)
        divisor = count if reduction == "mean" else 1
        truth = math.fsum(exact.astype(float)) / divisor
        bound = reduced_bound(exact, Bounds(np.zeros(count), np.zeros((count, 2)), None), reduction=reduction, precision=dtype)
        got = float(exact.sum() / exact.dtype.type(divisor))
        assert abs(got - truth) <= bound, (count, got, truth, bound)
        assert 2 * truth - truth > bound
        worst = max(worst, abs(got - truth) / bound)
    print(f"{dtype} {reduction}: {worst:.3f}")
    assert worst > 0


def test_a_mean_whose_sum_is_exact_still_rounds_its_division():
    losses, bounds = np.array([1.0, 0.0, 0.0]), Bounds(np.zeros(3), np.zeros((3, 2)), None)
    got = float(np.float32(1) / np.float32(3))
    bound = reduced_bound(losses, bounds, reduction="mean", precision="float32")
    assert 0.1 * bound < abs(got - 1 / 3) <= bound


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_bounds_of_the_losses_enter_their_reductions(dtype):
    errors = np.array([1.0, 2.0, 3.0])
    bounds = Bounds(errors, errors, None)
    assert 6 < reduced_bound(np.ones(3), bounds, reduction="sum", precision=dtype) < 6.001
    assert 2 < reduced_bound(np.ones(3), bounds, reduction="mean", precision=dtype) < 2.001


def test_reductions_of_nothing_and_of_special_values_are_exact():
    nothing = Bounds(np.zeros(0), np.zeros((0, 2)), None)
    two = Bounds(np.zeros(2), np.zeros((2, 2)), None)
    for reduction in ("sum", "mean"):
        assert reduced_bound(np.zeros(0), nothing, reduction=reduction, precision="float32") == 0
        assert reduced_bound(np.array([np.nan, 1.0]), two, reduction=reduction, precision="float32") == 0
    assert math.isfinite(reduced_bound(np.full(2, 1.5e308), two, reduction="mean", precision="float64"))


def test_a_reduction_without_a_bound_is_refused():
    with pytest.raises(ValueError, match="'none' is not a reduction that has a bound: use one of sum, mean, "):
        reduced_bound(np.zeros(1), Bounds(np.zeros(1), np.zeros((1, 1)), None), reduction="none", precision="float32")


def test_scaled_gradients():
    g, u = np.array([[1.0, -2.0], [0.0, np.nan]]), PRECISIONS["float32"].u
    b = np.full((2, 2), 1e-3)
    scaled = scaled_gradient_bound(g, b, np.array([[3.0], [0.0]]), precision="float32")
    assert scaled[0, 0] >= 3e-3 + 6 * u > scaled[0, 0] * (1 - 1e-9)
    assert scaled[0, 1] > scaled[0, 0]
    assert (scaled[1] == 0).all()


@pytest.mark.parametrize("factor", [1 / 3, 0.1, -2.7])
def test_an_upstream_gradient_stays_within_the_scaled_bound(factor):
    """The autodiff of fold multiplies each term by the upstream gradient before they cancel."""
    upstream = np.float32(factor)
    rng = np.random.default_rng(9)
    x, t = rng.normal(size=20000).astype(np.float32) * 5, rng.random(20000).astype(np.float32)
    truth = evaluate(SIGMOID, x, t, precision="float32")
    bounds = error_bounds(SIGMOID, x, t, truth, grade=Grade("fold", "auto"), precision="float32")
    allowed = scaled_gradient_bound(truth.gradient, bounds.gradient, float(upstream), precision="float32")
    small = np.exp(-abs(x))
    share = np.where(x > 0, -upstream, upstream) * (small / (1 + small))
    got = (np.where(x > 0, upstream, np.float32(0)) - upstream * t) + share
    ratio = bound_ratio(got, truth.gradient * float(upstream), allowed, precision="float32")
    assert 0.1 < ratio.max() <= 1
