"""The error bounds hold for sound losses in every form, come close to their errors, and catch a doubled result."""

import itertools
import math
import warnings

import numpy as np
import pytest

from reference.bounds import Bounds, bound_ratio, error_bounds, reduced_bound, scaled_gradient_bound
from reference.evaluate import evaluate, one_hot_targets
from reference.losses import LOSSES, Grade
from reference.precision import PRECISIONS
from reference.semantics import MATHEMATICAL, Semantics
from tests.reference import sound_forms

DTYPES = ("float32", "float64")
ROWS = {1: 20, 2: 300, 10: 100, 1000: 5, 65536: 1}
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
    """Yield name and rows of probabilities, flat and peaked, with a label that is improbable or nearly certain, or that sum to anything."""
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
    """Yield name and targets of independent outcomes: hard, soft, and close to the prediction where gradients cancel."""
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
        """Show the worst, and require every quantity within its bound and within a factor of it."""
        for quantity, largest in self.ratio.items():
            print(f"{title}, {quantity}: {largest:.7f} at {self.where[quantity]}")
        for quantity, largest in self.ratio.items():
            assert largest <= 1, (title, quantity, largest, self.where[quantity])
        assert min(self.ratio["value"], self.ratio["gradient"]) >= closest, (title, self.ratio)


def measure(worst, where, loss, x, target, got, grade, dtype, semantics=MATHEMATICAL):
    truth = evaluate(loss, x, target, semantics=semantics, precision=dtype)
    bounds = error_bounds(loss, x, target, truth, grade=grade, semantics=semantics, precision=dtype)
    for quantity, result in zip(("value", "gradient", "target_gradient"), got, strict=False):
        expected = getattr(truth, quantity)
        if expected is not None:
            ratio = bound_ratio(result, expected, getattr(bounds, quantity), precision=dtype)
            worst.see(quantity, ratio, where)
    return truth, bounds


def softmax_cases(dtype):
    for classes, rows in ROWS.items():
        for name, logits, labels in logit_regimes(rows, classes, dtype):
            yield f"{name}, {classes} classes", logits.astype(dtype), labels


SOFTMAX_GRADES = [Grade("plain", "log_softmax"), Grade("log1p", "quotient"), Grade("lse", "lse")]


def run_quietly(function, *arguments):
    """Run a sound loss; its overflows and zeros are its own, as in a framework."""
    with np.errstate(all="ignore"):
        return function(*arguments)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("grade", SOFTMAX_GRADES, ids=lambda grade: grade.value)
def test_sparse_softmax_stays_within_its_bound(grade, dtype):
    worst = Worst()
    for where, x, labels in softmax_cases(dtype):
        one_hot = one_hot_targets(labels, x.shape[-1]).astype(dtype)
        got = run_quietly(sound_forms.softmax, x, one_hot, grade.value, grade.gradient)
        measure(worst, where, SPARSE, x, labels, got, grade, dtype)
    worst.judge(f"{dtype} {grade}", closest=0.3)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("grade", SOFTMAX_GRADES, ids=lambda grade: grade.value)
def test_soft_softmax_stays_within_its_bound(grade, dtype):
    worst = Worst()
    for where, x, labels in softmax_cases(dtype):
        for kind, t in soft_targets(labels, x.shape[-1], dtype):
            got = run_quietly(sound_forms.softmax, x, t, grade.value, grade.gradient)
            measure(worst, f"{where}, {kind}", SOFT, x, t, got, grade, dtype)
    worst.judge(f"{dtype} {grade}", closest=0.3)


@pytest.mark.parametrize("dtype", DTYPES)
def test_unscaled_softmax_gradient_stays_within_its_bound(dtype):
    worst, grade, semantics = Worst(), Grade("plain", "quotient"), Semantics(unnormalised_gradient="unscaled")
    for where, x, labels in softmax_cases(dtype):
        for kind, t in soft_targets(labels, x.shape[-1], dtype):
            got = run_quietly(sound_forms.softmax, x, t, grade.value, grade.gradient, False)
            measure(worst, f"{where}, {kind}", SOFT, x, t, got, grade, dtype, semantics)
    worst.judge(f"{dtype} p - t", closest=0.3)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "grade",
    [Grade("split", "auto"), Grade("fold", "direct"), Grade("pair", "pair"), Grade("pair", "lse")],
    ids=lambda grade: f"{grade.value}-{grade.gradient}",
)
def test_sigmoid_stays_within_its_bound(grade, dtype):
    worst = Worst()
    for where, logits, _ in logit_regimes(300, 10, dtype):
        x = logits[np.isfinite(logits)].astype(dtype)
        saturated = 1 / (1 + np.exp(-np.clip(x, -80, 80)))
        for kind, t in (*outcome_targets(x, dtype), ("close", saturated.astype(dtype))):
            got = run_quietly(sound_forms.sigmoid, x, t, grade.value, grade.gradient)
            measure(worst, f"{where}, {kind}", SIGMOID, x, t, got, grade, dtype)
    worst.judge(f"{dtype} {grade}", closest=0.1)


BINARY_CASES = {
    "log": (lambda p, t: sound_forms.binary(p, t, "log", "separate"), Grade("log", "separate"), MATHEMATICAL),
    "log1p": (lambda p, t: sound_forms.binary(p, t, "log1p", "joint"), Grade("log1p", "joint"), MATHEMATICAL),
    "floor": (sound_forms.floored_binary, Grade("log1p", "joint"), Semantics(log_of_zero="floor_100")),
    "clip": (sound_forms.clipped_binary, Grade("log", "separate"), Semantics(log_of_zero="clip_1e-7")),
    "add": (sound_forms.added_binary, Grade("log", "separate"), Semantics(log_of_zero="add_1e-7")),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", BINARY_CASES)
def test_binary_stays_within_its_bound(name, dtype):
    function, grade, semantics = BINARY_CASES[name]
    worst = Worst()
    for where, probabilities in outcome_regimes(5000, dtype):
        p = probabilities.astype(dtype)
        for kind, t in (*outcome_targets(p, dtype), ("equal", p), ("close", np.nextafter(p, p.dtype.type(1)))):
            measure(worst, f"{where}, {kind}", BINARY, p, t, run_quietly(function, p, t), grade, dtype, semantics)
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
        for where, probabilities, labels in probability_regimes(rows, classes, dtype):
            p = probabilities.astype(dtype)
            for kind, t in soft_targets(labels, classes, dtype):
                got = run_quietly(function, p, t)
                measure(worst, f"{where}, {kind}, {classes} classes", CATEGORICAL, p, t, got, grade, dtype, semantics)
                if kind == "one-hot":
                    measure(worst, f"{where}, index, {classes} classes", SPARSE_CATEGORICAL, p, labels, got, grade, dtype, semantics)
    worst.judge(f"{dtype} {name}", closest=0.1)
