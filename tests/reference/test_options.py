"""Options: against interval arithmetic, against their meaning spelled out, and what is refused."""

from fractions import Fraction

import numpy as np
import pytest
from flint import fmpq

from conformance.cases import Batch, fill, option_cases
from reference.bounds import Bounds, error_bounds, reduced_bound, reduced_gradient_bound
from reference.evaluate import Evaluation, evaluate
from reference.losses import LOSSES
from reference.options import NONE, Options, one_hot_targets, plain_problem, rows_of
from reference.reductions import divisor, of_nothing, reduced
from reference.semantics import MATHEMATICAL, Semantics
from tests.losses import ALONE
from tests.reference.truth import truth

SPARSE = "sparse_softmax_cross_entropy_with_logits"
SOFTMAX = "softmax_cross_entropy_with_logits"
SIGMOID = "sigmoid_cross_entropy_with_logits"
CLASSES = ("categorical_cross_entropy", "sparse_categorical_cross_entropy", SOFTMAX, SPARSE)
ULP = 2.0
"""What a value under options may err by, in ulp; a gradient, in ulp of the largest term that it adds."""


def exact_targets(batch: Batch) -> list[list[fmpq]]:
    """Return what the options make of the targets, weights of rows included, as rational numbers from their meanings."""
    given, classes = batch.options, batch.prediction.shape[-1]
    soft = batch.target if batch.target.ndim == 2 else one_hot_targets(batch.target, classes)
    rows = []
    for row, target in enumerate(soft):
        numbers = [Fraction(float(t)) for t in target]
        if given.label_smoothing is not None:
            e = Fraction(given.label_smoothing)
            there = np.ones(classes) if given.where is None else given.where[row].astype(float)
            numbers = [(1 - e) * t + e * int(k) / int(there.sum()) for t, k in zip(numbers, there, strict=True)]
        if given.class_weight is not None:
            numbers = [Fraction(float(w)) * t for w, t in zip(given.class_weight, numbers, strict=True)]
        factor = Fraction(1) if given.sample_weight is None else Fraction(float(given.sample_weight[row]))
        dropped = (given.mask is not None and not given.mask[row]) or (
            given.ignore_index is not None and batch.target.ndim == 1 and batch.target[row] == given.ignore_index
        )
        rows.append([fmpq(0) if dropped else fmpq((factor * t).numerator, (factor * t).denominator) for t in numbers])
    return rows


def worst_errors(batch: Batch, got: Evaluation) -> tuple[float, float]:
    """Return the worst error of the value in ulp, and of the gradient in ulp of its terms."""
    value_error, gradient_error = 0.0, 0.0
    loss = {"sparse_categorical_cross_entropy": "categorical_cross_entropy", SPARSE: SOFTMAX}.get(batch.loss, batch.loss)
    x = np.where(batch.options.where, batch.prediction, -np.inf) if batch.options.where is not None else batch.prediction
    for row, targets in enumerate(exact_targets(batch)):
        exact = truth(loss, x[row].tolist(), targets)
        ulp = np.spacing(np.abs(exact.value.nearest))
        value_error = max(
            value_error, float(np.max(np.abs((got.value[row] - exact.value.nearest) / ulp - exact.value.remainder)))
        )
        terms = np.spacing(np.maximum(np.abs(exact.gradient.nearest), exact.cancelling))
        off = (got.gradient[row] - exact.gradient.nearest) / terms
        gradient_error = max(gradient_error, float(np.max(np.abs(off))))
    return value_error, gradient_error


@pytest.mark.parametrize("loss", CLASSES)
def test_every_setting_and_pair_agrees_with_interval_arithmetic(loss: str):
    known = {"class_weight", "sample_weight", "mask", "where", "ignore_index", "label_smoothing"}
    cases = [case for case in option_cases(loss) if set(fill(case, "float64").options.given) <= known]
    assert len(cases) > 15
    for case in cases:
        batch = fill(case, "float64")
        got = evaluate(loss, batch.prediction, batch.target, options=batch.options, precision="float64")
        value, gradient = worst_errors(batch, got)
        assert value <= ULP and gradient <= ULP, (case.id, value, gradient)


def test_a_wrong_weight_is_seen_by_the_comparison():
    case = next(case for case in option_cases(SPARSE) if case.settings == ("class_weight=spread",))
    batch = fill(case, "float64")
    assert batch.options.class_weight is not None
    off = Options(class_weight=batch.options.class_weight * (1 + 2.0**-49))
    value, gradient = worst_errors(batch, evaluate(SPARSE, batch.prediction, batch.target, options=off))
    assert value > ULP and gradient > ULP


def test_pos_weight_weighs_the_positive_outcome_alone():
    for case in option_cases(SIGMOID):
        batch = fill(case, "float64")
        weight = batch.options.pos_weight
        if set(batch.options.given) != {"pos_weight"} or weight is None:
            continue
        got = evaluate(SIGMOID, batch.prediction, batch.target, options=batch.options)
        assert got.target_gradient is not None
        x, t = batch.prediction, batch.target
        ones, zeros = (evaluate(SIGMOID, x, np.full_like(t, side)) for side in (1.0, 0.0))
        unit = np.finfo(np.float64).eps
        for found, meant, terms in (
            (got.value, weight * t * ones.value + (1 - t) * zeros.value, got.value),
            (
                got.gradient,
                weight * t * ones.gradient + (1 - t) * zeros.gradient,
                weight * t * np.abs(ones.gradient) + (1 - t) * zeros.gradient,
            ),
            (got.target_gradient, weight * ones.value - zeros.value, weight * ones.value + zeros.value),
        ):
            assert (np.abs(found - meant) <= 4 * unit * np.abs(terms)).all()  # four roundings of the formula spelled out here


def test_a_weight_of_one_is_no_weight():
    for loss in ALONE:
        for case in option_cases(loss):
            if len(case.settings) == 1 and case.settings[0].endswith(
                ("=ones", "=all-left", "=all-there", "=absent", "smoothing=0")
            ):
                batch = fill(case, "float32")
                with_it = evaluate(loss, batch.prediction, batch.target, options=batch.options, precision="float32")
                without = evaluate(loss, batch.prediction, batch.target, precision="float32")
                assert np.array_equal(with_it.value, without.value, equal_nan=True)
                assert np.array_equal(with_it.gradient, without.gradient, equal_nan=True)


def test_dropped_rows_are_zero_whatever_they_hold_or_not_as_the_semantics_say():
    x = np.array([[np.nan, 0.0], [np.inf, 1.0], [0.5, 1.0]])
    labels = np.array([7, 7, 1])
    kept = evaluate(SPARSE, x[2:], labels[2:])
    for picked, value, gradient in (("nothing", 0.0, 0.0), ("content_gradient", 0.0, np.nan), ("content", np.nan, np.nan)):
        got = evaluate(SPARSE, x, labels, options=Options(ignore_index=7), semantics=Semantics(ignored_row=picked))
        assert np.array_equal(got.value[:2], [value] * 2, equal_nan=True)
        assert np.array_equal(got.gradient[:2], np.full((2, 2), gradient), equal_nan=True)
        assert got.value[2] == kept.value[0] and np.array_equal(got.gradient[2], kept.gradient[0])
        assert got.weight is not None and got.weight.tolist() == [0, 0, 1]


def test_class_weights_of_the_label_multiply_the_whole_row():
    x, t, w = np.array([[0.0, 1.0, 2.0]]), np.array([[0.5, 0.25, 0.25]]), np.array([2.0, 3.0, 5.0])
    plain = evaluate(SOFTMAX, x, t)
    by_label = evaluate(SOFTMAX, x, t, options=Options(class_weight=w), semantics=Semantics(class_weight_of="label"))
    assert by_label.value == 2 * plain.value and np.array_equal(by_label.gradient, 2 * plain.gradient)


@pytest.mark.parametrize(
    ("picked", "options", "expected"),
    [
        ("sum_of_weights", Options(sample_weight=np.array([1.0, 3.0, 0.0, 2.0])), 6.0),
        ("rows", Options(sample_weight=np.array([1.0, 3.0, 0.0, 2.0])), 4.0),
        ("kept_rows", Options(mask=np.array([True, False, True, True])), 3.0),
        ("sum_of_weights", Options(mask=np.array([True, False, True, True])), 3.0),
        ("sum_of_weights", Options(class_weight=np.array([0.5, 4.0]), ignore_index=1), 1.0),
        ("rows", Options(class_weight=np.array([0.5, 4.0]), ignore_index=1), 4.0),
    ],
)
def test_a_mean_divides_by_what_the_semantics_say(picked: str, options: Options, expected: float):
    x, labels = np.zeros((4, 2)), np.array([0, 1, 0, 1])
    got = evaluate(SPARSE, x, labels, options=options)
    assert divisor(got, "mean", Semantics(mean_divisor=picked)) == expected
    value, factor = reduced(got, "mean", Semantics(mean_divisor=picked))
    assert value == got.value.sum() / expected and factor == 1 / expected


@pytest.mark.parametrize(
    ("picked", "expected"),
    [
        ({}, 0.5 * (0.75 * 0.5 + 0.25 * 4) + 2 * 4),
        ({"soft_weight_divisor": "rows"}, 2.5),
        ({"class_weight_of": "label"}, 0.5 * 0.5 + 2 * 4),
        ({"class_weight_of": "label", "soft_weight_divisor": "rows"}, 2.5),
    ],
)
def test_what_class_weights_count_in_a_mean_of_soft_targets(picked: dict[str, str], expected: float):
    x, targets = np.zeros((3, 2)), np.array([[0.75, 0.25], [0.0, 1.0], [np.nan, np.nan]])
    options = Options(
        class_weight=np.array([0.5, 4.0]), sample_weight=np.array([0.5, 2.0, 3.0]), mask=np.array([True, True, False])
    )
    got = evaluate(SOFTMAX, x, targets, options=options, semantics=Semantics(**picked))
    assert divisor(got, "mean", Semantics(**picked)) == expected
    assert divisor(got, "nonzero_mean", Semantics(**picked)) == 2


@pytest.mark.parametrize("loss", ["sparse_categorical_cross_entropy", SPARSE])
def test_a_hard_label_counts_in_a_mean_as_its_one_hot_does(loss: str):
    soft = loss.removeprefix("sparse_")
    shared = {*LOSSES[loss].options} & {*LOSSES[soft].options}
    cases = [case for case in option_cases(loss) if {name.split("=")[0] for name in case.settings} <= shared]
    assert len(cases) > 10
    for case in cases:
        batch = fill(case, "float32")
        one_hot = one_hot_targets(batch.target, batch.prediction.shape[-1])
        hard = evaluate(loss, batch.prediction, batch.target, options=batch.options)
        same = evaluate(soft, batch.prediction, one_hot, options=batch.options)
        assert hard.weight is not None and same.weight is not None
        assert np.array_equal(hard.weight, same.weight if same.weight.ndim == 1 else same.weight.sum(-1)), case.id


def test_the_other_reductions_divide_by_their_names():
    options = Options(sample_weight=np.array([1.0, 3.0, 0.0, 2.0]))
    got = evaluate(SIGMOID, np.zeros((4, 3)), np.ones((4, 3)), options=options)
    divisors = {name: divisor(got, name, MATHEMATICAL) for name in ("sum", "weighted_mean", "nonzero_mean", "batchmean")}
    assert divisors == {"sum": 1, "weighted_mean": 18, "nonzero_mean": 9, "batchmean": 4}
    with pytest.raises(ValueError, match="'none' is no reduction that sums: use one of sum, mean"):
        divisor(got, "none", MATHEMATICAL)


def test_the_mean_of_no_weight_is_what_the_semantics_say():
    got = evaluate(SPARSE, np.zeros((2, 2)), np.array([0, 1]), options=Options(mask=np.zeros(2, np.bool_)))
    assert np.isnan(reduced(got, "mean", MATHEMATICAL)[0])
    assert reduced(got, "mean", Semantics(mean_of_no_weight="zero")) == (0.0, 0.0)


def test_a_doubled_loss_is_beyond_the_bound_of_every_setting():
    for loss, spec in LOSSES.items():
        for case in option_cases(loss):
            batch = fill(case, "float32")
            x, t, options = batch.prediction, batch.target, batch.options
            got = evaluate(loss, x, t, options=options, precision="float32")
            bounds = error_bounds(loss, x, t, got, options=options, grade=spec.default_grade, precision="float32")
            usual = np.isfinite(got.value) & (np.abs(got.value) > 1e-3)
            assert (np.abs(got.value) > bounds.value)[usual].all(), case.id
            assert np.isfinite(bounds.value).all() and np.isfinite(bounds.gradient).all()


def test_a_wrong_divisor_is_beyond_the_bound_of_the_mean():
    weight = np.random.default_rng(0).uniform(0.5, 2, 64)
    values, zero = np.ones(64), np.zeros(64)
    bound = reduced_bound(
        values, Bounds(zero, zero, None), reduction="mean", precision="float32", divisor=weight.sum(), weight=weight
    )
    assert 0 < bound < 1e-4 * values.sum() / weight.sum()
    slope = reduced_gradient_bound(values, zero, 1 / weight.sum(), weight=weight, precision="float32")
    assert (slope > 0).all() and (slope < 1e-4 / weight.sum()).all()


@pytest.mark.parametrize("seed", range(20))
def test_a_divisor_of_soft_targets_added_up_in_float32_is_within_the_bound_of_the_mean(seed: int):
    generator = np.random.default_rng(seed)
    rows, classes = 40, 5
    targets = generator.dirichlet(np.full(classes, 0.3), rows).astype(np.float32)
    weight, own = (generator.uniform(0.01, 10, size).astype(np.float32) for size in (classes, (rows, 1)))
    options = Options(class_weight=weight.astype(np.float64), sample_weight=own[:, 0].astype(np.float64))
    terms = evaluate(SOFTMAX, np.zeros((rows, classes)), targets.astype(np.float64), options=options).weight
    assert terms is not None
    rounded, ones, zeros = np.cumsum(own * (weight * targets)), np.ones(rows), np.zeros(rows)
    assert rounded.dtype == np.float32
    by, none = terms.sum(), Bounds(zeros, zeros, None)
    bound = reduced_bound(ones, none, reduction="mean", precision="float32", divisor=by, weight=terms)
    assert abs(rows / float(rounded[-1]) - rows / by) < bound < 1e-4 * rows / by


@pytest.mark.parametrize(
    ("loss", "options", "words"),
    [
        (SIGMOID, Options(class_weight=np.ones(3)), "has no option 'class_weight': it takes pos_weight"),
        (
            SOFTMAX,
            Options(class_weight=np.ones(2)),
            r"class_weight has shape \(2,\); for predictions \(4, 3\) it must be \(3,\)",
        ),
        (SOFTMAX, Options(sample_weight=np.ones((4, 1))), r"sample_weight has shape \(4, 1\).* must be \(4,\)"),
        (SOFTMAX, Options(where=np.ones(3, np.bool_)), r"where has shape \(3,\).* must be \(4, 3\)"),
        (SOFTMAX, Options(label_smoothing=1.5), "label_smoothing is 1.5; it must lie between 0 and 1"),
        ("soft_margin", Options(mask=np.ones(4, np.bool_)), "soft_margin has no option 'mask': it takes none"),
        (SIGMOID, Options(pos_weight=np.ones(4)), r"pos_weight has shape \(4,\), which does not broadcast .* \(4, 3\)"),
        (SIGMOID, Options(pos_weight=np.ones((2, 4, 3))), r"pos_weight has shape \(2, 4, 3\), which does not broadcast"),
        (SOFTMAX, Options(mask=np.ones(4, np.float64)), "mask holds float64; it must hold booleans, true for what counts"),
        (SOFTMAX, Options(where=np.ones((4, 3), np.int64)), "where holds int64; it must hold booleans"),
        (
            SOFTMAX,
            Options(sample_weight=np.full(4, np.nan)),
            "sample_weight holds nan; weights must be finite numbers and not below 0",
        ),
        (SIGMOID, Options(pos_weight=np.array(np.inf)), "pos_weight holds inf; weights must be finite"),
        (SPARSE, Options(ignore_index=1.0), "ignore_index is 1.0; it must be an integer, as labels are"),  # type: ignore[arg-type]
        (SPARSE, Options(ignore_index=True), "ignore_index is True; it must be an integer"),
        (SPARSE, Options(soft_cap=0.0), "soft_cap is 0.0; it must be a finite number above 0"),
        (SPARSE, Options(z_loss=np.nan), "z_loss is nan; it must be a finite number"),
        ("generalized_cross_entropy", Options(q=0.0), "q is 0.0; it must lie between 0 and 1, and not be 0"),
        ("binary_focal_cross_entropy", Options(gamma=-1.0), "gamma is -1.0; it must be 0 or a finite number above it"),
        ("binary_focal_cross_entropy", Options(alpha=np.inf), "alpha is inf; it must lie between 0 and 1"),
        ("binary_focal_cross_entropy", Options(alpha=2.0), "alpha is 2.0; it must lie between 0 and 1"),
        ("categorical_focal_cross_entropy", Options(alpha=-1.0), "alpha is -1.0; it must be 0 or a finite number above it"),
        ("generalized_cross_entropy", Options(q=2.0), "q is 2.0; it must lie between 0 and 1"),
        (SPARSE, Options(class_weight=np.array([1.0, -2.0, -3.0])), "class_weight holds -2.0; weights must be finite numbers"),
    ],
)
def test_an_option_that_cannot_be_is_refused_in_a_sentence(loss: str, options: Options, words: str):
    target = np.zeros(4, np.int64) if LOSSES[loss].target == "index" else np.zeros((4, 3))
    with pytest.raises(ValueError, match=words):
        evaluate(loss, np.zeros((4, 3)), target, options=options)


def test_options_are_of_rows_and_classes():
    with pytest.raises(ValueError, match=r"under options a prediction has the shape \(rows, classes\), not \(2, 2, 3\)"):
        evaluate(SOFTMAX, np.zeros((2, 2, 3)), np.zeros((2, 2, 3)), options=Options(class_weight=np.ones(3)))


def test_labels_that_are_no_class_keep_their_own_row_of_a_mask_of_classes():
    x, labels = np.array([[1.0, 2.0, 3.0], [0.5, -1.0, 2.0], [4.0, 0.0, 1.0]]), np.array([7, 1, 9])
    where = np.array([[True, False, True], [True, True, True], [False, True, True]])
    nowhere = Semantics(index_too_large="nan_value")
    gradient = evaluate(SPARSE, x, labels, options=Options(where=where), semantics=nowhere).gradient
    assert (gradient[~where] == 0).all() and (gradient[[0, 2]][where[[0, 2]]] > 0).all()
    for row in range(3):
        options = Options(where=where[[row]])
        (alone,) = evaluate(SPARSE, x[[row]], labels[[row]], options=options, semantics=nowhere).gradient
        assert np.array_equal(gradient[row], alone)


def test_an_outcome_without_positive_weight_has_a_finite_target_gradient_on_its_right_side():
    x, t = np.array([[-np.inf, -np.inf]]), np.array([[0.0, 1.0]])
    result = evaluate(SIGMOID, x, t, options=Options(pos_weight=np.array(0.0)))
    assert result.target_gradient is not None and result.target_gradient.tolist() == [[0.0, 0.0]]


def test_the_sum_and_the_mean_of_nothing_are_what_the_semantics_says():
    for picked, mean in (("nan", np.array(np.nan)), ("zero", np.array(0.0)), ("empty", np.zeros(0))):
        total, got = of_nothing(Semantics(mean_of_nothing=picked))
        assert got.shape == total.shape == mean.shape and np.array_equal(got, mean, equal_nan=True) and not total.any()
    for reduction in ("sum", "mean", "weighted_mean", "nonzero_mean", "batchmean"):
        with pytest.raises(ValueError, match=r"a batch without rows .* use `of_nothing`"):
            reduced(evaluate(SOFTMAX, np.zeros((0, 3)), np.zeros((0, 3))), reduction, MATHEMATICAL)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_label_out_of_range_is_no_distribution(smoothing: float):
    x, options = np.zeros((2, 3)), Options(label_smoothing=smoothing)
    for label in (-100, 3):
        for semantics in (MATHEMATICAL, Semantics(negative_index="zero", index_too_large="zero")):
            with pytest.raises(IndexError, match=f"label {label} is out of range for 3 classes"):
                evaluate(SPARSE, x, np.array([0, label]), options=options, semantics=semantics)
    wrapped = evaluate(SPARSE, x[:1], np.array([-1]), options=options, semantics=Semantics(negative_index="wrap"))
    assert wrapped.gradient.tolist() == evaluate(SPARSE, x[:1], np.array([2]), options=options).gradient.tolist()


def test_options_of_some_rows_are_those_of_these_rows():
    options = Options(sample_weight=np.arange(4.0), pos_weight=np.arange(4.0)[:, None], label_smoothing=0.1)
    some = rows_of(options, [1, 3])
    assert some.sample_weight is not None and some.pos_weight is not None
    assert some.sample_weight.tolist() == [1, 3] and some.pos_weight.tolist() == [[1], [3]] and some.label_smoothing == 0.1


def test_no_option_is_no_problem():
    x, labels = np.array([[1.0, 2.0]]), np.array([1])
    problem = plain_problem(LOSSES[SPARSE], x, labels, NONE, MATHEMATICAL)
    assert np.array_equal(problem.prediction, x) and problem.target is labels and problem.factor.tolist() == [1.0]


@pytest.mark.parametrize("label", [-1, 2, 7])
def test_a_label_of_a_masked_row_need_not_be_a_class(label: int):
    x, mask = np.array([[1.0, 2.0], [0.5, 0.0]]), np.array([True, False])
    masked, alone = (
        evaluate(SPARSE, x, np.array([1, other]), options=Options(mask=mask, class_weight=np.array([2.0, 3.0])))
        for other in (label, 0)
    )
    assert np.array_equal(masked.value, alone.value) and np.array_equal(masked.gradient, alone.gradient)
    with pytest.raises(IndexError):
        evaluate(SPARSE, x, np.array([label, 1]), options=Options(mask=mask))
