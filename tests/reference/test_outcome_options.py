"""Options of losses of independent outcomes, against interval arithmetic."""

from fractions import Fraction

import numpy as np
import pytest
from flint import arb, fmpq

from conformance.cases import Batch, fill, option_cases
from reference.evaluate import Evaluation, evaluate
from reference.options import Options
from reference.semantics import MATHEMATICAL
from tests.reference.truth import ROWS, bits, nearest, ulp_errors

BINARY, SIGMOID = "binary_cross_entropy", "sigmoid_cross_entropy_with_logits"
ULP = 2.0
"""What a value may err by, in ulp; a gradient, in ulp of the larger of the two terms that it is the difference of."""
BITS = 400


def exact_masses(batch: Batch) -> tuple[list[list[arb]], list[list[arb]]]:
    """Return what the loss of a positive outcome and of a negative one is multiplied by, from the meanings of the options.

    A target that smoothing makes is rounded to float64 once: the bounds count that as a rounding more.
    """
    given, shape = batch.options, batch.prediction.shape
    weights = np.broadcast_to(1.0 if given.pos_weight is None else given.pos_weight.astype(np.float64), shape)
    e = Fraction(0 if given.label_smoothing is None else given.label_smoothing)
    positive, negative = [], []
    for row, targets in enumerate(batch.target):
        factor = Fraction(1) if given.sample_weight is None else Fraction(float(given.sample_weight[row]))
        factor *= given.mask is None or bool(given.mask[row])
        smoothed = [Fraction(float((1 - e) * Fraction(float(t)) + e / 2)) for t in targets]
        positive.append([_exactly(factor * Fraction(w) * t) for w, t in zip(weights[row].tolist(), smoothed, strict=True)])
        negative.append([_exactly(factor * (1 - t)) for t in smoothed])
    return positive, negative


def _exactly(number: Fraction) -> arb:
    return arb(fmpq(number.numerator, number.denominator))


def worst_errors(batch: Batch, got: Evaluation) -> tuple[float, float]:
    """Return the worst error of the value in ulp, and of the gradient in ulp of the larger of its terms."""
    value_error = gradient_error = 0.0
    with bits(BITS):
        for row, masses in enumerate(zip(*exact_masses(batch), strict=True)):
            x = [arb(float(number)) for number in batch.prediction[row]]
            yes, no = (ROWS[batch.loss](x, [arb(side)] * len(x), MATHEMATICAL) for side in (1, 0))
            value = nearest([a * y + b * n for a, b, y, n in zip(*masses, yes.value, no.value, strict=True)])
            terms = [(a * y, b * n) for a, b, y, n in zip(*masses, yes.gradient, no.gradient, strict=True)]
            gradient = nearest([positive + negative for positive, negative in terms])
            unit = np.spacing([max(abs(float(term)) for term in both) for both in terms])
            slope_off = got.gradient[row] - gradient.nearest - gradient.remainder * np.spacing(np.abs(gradient.nearest))
            value_error = max(value_error, float(ulp_errors(got.value[row], value).max()))
            gradient_error = max(gradient_error, float(np.abs(slope_off / unit).max()))
    return value_error, gradient_error


@pytest.mark.parametrize("loss", [BINARY, SIGMOID])
def test_every_setting_and_pair_agrees_with_interval_arithmetic(loss: str):
    cases = option_cases(loss)
    assert len(cases) > 15
    for case in cases:
        batch = fill(case, "float64")
        got = evaluate(loss, batch.prediction, batch.target, options=batch.options, precision="float64")
        value, gradient = worst_errors(batch, got)
        assert value <= ULP and gradient <= ULP, (case.id, value, gradient)


def test_a_wrong_positive_weight_is_seen_by_the_comparison():
    batch = fill(next(case for case in option_cases(SIGMOID) if case.settings == ("pos_weight=spread",)), "float64")
    assert batch.options.pos_weight is not None
    off = Options(pos_weight=batch.options.pos_weight * (1 + 2.0**-49))
    value, gradient = worst_errors(batch, evaluate(SIGMOID, batch.prediction, batch.target, options=off))
    assert value > ULP and gradient > ULP
