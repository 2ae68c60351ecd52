"""The reference is certified here: against interval arithmetic, in every regime, on each run."""

import ast
import json
import re
from collections.abc import Callable
from decimal import Decimal, localcontext
from typing import Any

import numpy as np
import pytest

from conformance.cases import Batch, fill
from reference import doubledouble, evaluate, plain
from reference.certificate import PATH, load_certificate
from reference.evaluate import Evaluation
from reference.losses import LOSSES
from reference.options import Options
from reference.semantics import MATHEMATICAL, Semantics
from tests.losses import ALONE
from tests.reference import certify
from tests.reference.certify import LIMIT, cases_of, quantities_of, regime_names, rows_of
from tests.reference.certify_linear import certify_linear
from tests.reference.truth import Exact, truth

QUESTIONS = [(loss, regime) for loss in ALONE for regime in regime_names(loss)]
FOCAL = {
    "binary_focal_cross_entropy": (
        Semantics(log_of_zero="floor_100", gradient_at_guard="floored_1e-12"),
        Semantics(log_of_zero="clip_1e-7", focal_base="guarded", focal_alpha="uniform"),
    ),
    "binary_focal_cross_entropy_with_logits": (Semantics(log_of_zero="clip_1e-7"), Semantics(focal_alpha="uniform")),
    "categorical_focal_cross_entropy": (
        Semantics(log_of_zero="clip_1e-7", focal_base="guarded"),
        Semantics(log_of_zero="clip_1e-7", focal_base="guarded", probability_sum="renormalised"),
    ),
    "categorical_focal_cross_entropy_with_logits": (
        Semantics(log_of_zero="clip_1e-7"),
        Semantics(log_of_zero="clip_1e-7", focal_base="guarded"),
    ),
}
"""What focal losses are asked under besides the guards of the logarithm."""
GUARDED = (
    [
        (loss, regime, Semantics(log_of_zero=guard, probability_sum=whole))
        for loss in LOSSES
        if LOSSES[loss].prediction == "probability" and loss != "kl_divergence"
        for guard in ("none", "floor_100", "clip_1e-7", "add_1e-7", "clip_then_add_1e-7")
        for whole in ("as_given", "renormalised", "renormalised_after_guard")
        if (guard != "floor_100" if LOSSES[loss].has_classes else whole == "as_given")
        for regime in regime_names(loss)
        if (guard, whole) != ("none", "as_given")
    ]
    + [
        ("binary_cross_entropy", regime, Semantics(log_of_zero="floor_100", gradient_at_guard="floored_1e-12"))
        for regime in regime_names("binary_cross_entropy")
    ]
    + [(loss, regime, semantics) for loss in FOCAL for semantics in FOCAL[loss] for regime in regime_names(loss)]
    + [("kl_divergence", regime, Semantics(divergence_guard="clip_both_1e-7")) for regime in regime_names("kl_divergence")]
)
FEW = ((12, 2), (12, 10))
"""Shapes for what is asked of every regime besides the certificate."""
PLAIN = 2.0**-43
"""What plain float64 may err by when it judges float32: a millionth of a roundoff, relative to the result."""
PLAIN_CANCELLING = 2.0**-44
"""The same beside terms that cancel: 2^-20 of the float32 roundoff of each."""
SMALLEST_FLOAT32 = 2.0**-149


@pytest.mark.parametrize(("loss", "regime"), QUESTIONS)
def test_reference_is_within_the_limit(loss: str, regime: str):
    lines = certify.certify(loss, regime)
    assert [line.quantity for line in lines] == list(quantities_of(loss))
    assert all(line.rows == rows_of(loss) for line in lines)
    assert [line for line in lines if not line.worst_ulp <= LIMIT] == []


@pytest.mark.parametrize(("loss", "regime", "semantics"), GUARDED, ids=lambda item: _short(item))
def test_reference_is_within_the_limit_under_every_guard(loss: str, regime: str, semantics: Semantics):
    assert [line for line in certify.certify(loss, regime, semantics, FEW) if not line.worst_ulp <= LIMIT] == []


def _short(item: object) -> str:
    return f"{item.log_of_zero}-{item.probability_sum}" if isinstance(item, Semantics) else str(item)


def test_committed_certificate_has_every_line_once():
    expected = [(loss, regime, quantity, rows_of(loss)) for loss, regime in QUESTIONS for quantity in quantities_of(loss)]
    expected += [(line.loss, line.regime, line.quantity, line.rows) for line in certify_linear()]
    lines = load_certificate()
    assert [(line["loss"], line["regime"], line["quantity"], line["rows"]) for line in lines] == expected, REGENERATE
    assert [line for line in lines if not line["worst_ulp"] <= LIMIT] == []
    assert PATH.read_text() == json.dumps(lines, indent=1) + "\n", REGENERATE


REGENERATE = "the certificate is out of date: run python -m tests.reference.certify"


def test_committed_witnesses_show_their_errors_on_any_machine():
    """A witness in numbers has the error it is listed with: a reference that has changed since is found out.

    The inputs that a case id stands for depend on the platform's exp and pow in their last digits, those numbers do not.
    """
    readable = [line for line in load_certificate() if line["witness"].startswith("x = ")]
    assert {line["loss"] for line in readable} == set(ALONE)
    stale = [line for line in readable if _worst_of_witness(line) != line["worst_ulp"]]
    assert stale == [], REGENERATE


def _worst_of_witness(line: dict) -> float:
    """Measure the row that a witness prints."""
    printed = re.fullmatch(r"x = (.+?), (?:t =|label) (.+?)((?:, \w+ = [^,]+)*)", line["witness"])
    assert printed
    x, t = (np.atleast_1d(np.array(ast.literal_eval(text.replace("inf", "1e999")))) for text in printed.groups()[:2])
    given: dict[str, Any] = {name: float(value) for name, value in re.findall(r"(\w+) = ([^,]+)", printed[3])}
    options = Options(**given)
    target = t if t.dtype.kind == "i" else t[None]
    batch = Batch("", line["loss"], "float64", x[None], target, t, (line["regime"],), options)
    exact = certify.truth_of_batch(batch, MATHEMATICAL)
    got = evaluate.evaluate(line["loss"], batch.prediction, batch.target, options=options)
    measured = dict(certify.measure(batch, exact, got))
    return round(float(measured[line["quantity"]].max()), 3)


def test_the_platform_logarithm_does_not_matter(monkeypatch: pytest.MonkeyPatch):
    """Double-double log1p takes a Newton step from NumPy's: one that is 8 ulp off leads to the same float64."""
    exact = np.log1p
    case = cases_of("softmax_cross_entropy_with_logits", "normal")[1]
    batch = fill(case, "float64")
    before = evaluate.evaluate(case.loss, batch.prediction, batch.target)
    monkeypatch.setattr(np, "log1p", lambda x: exact(x) * (1 - 8 * 2.0**-52))
    after = evaluate.evaluate(case.loss, batch.prediction, batch.target)
    np.testing.assert_array_equal(before.value, after.value)
    np.testing.assert_array_equal(before.target_gradient, after.target_gradient)


def _scaled(quantity: str) -> Callable[[pytest.MonkeyPatch], None]:
    """Return a break of the reference that makes one quantity 4e-16 too large."""

    def apply(monkeypatch: pytest.MonkeyPatch) -> None:
        exact = evaluate.evaluate

        def off(*args, **options) -> Evaluation:
            result = exact(*args, **options)
            parts = {name: getattr(result, name) for name in ("value", "gradient", "target_gradient")}
            return Evaluation(**{**parts, quantity: parts[quantity] * (1 + 4e-16)})

        monkeypatch.setattr(certify, "evaluate", off)

    return apply


def _in_arithmetic(name: str, broken: Callable) -> Callable[[pytest.MonkeyPatch], None]:
    """Return a break of one function of the arithmetic."""
    return lambda monkeypatch: monkeypatch.setattr(doubledouble, name, broken)


_EXACTLY, _EXP = doubledouble.exactly, doubledouble.exp_scaled
BREAKS = {
    "value 4e-16 too large": _scaled("value"),
    "gradient 4e-16 too large": _scaled("gradient"),
    "target gradient 4e-16 too large": _scaled("target_gradient"),
    "plain float64": lambda monkeypatch: monkeypatch.setattr(evaluate, "doubledouble", plain),
    "rounded differences": _in_arithmetic("exp_scaled", lambda x, exponent: _EXP(_EXACTLY(x.hi), exponent)),
    "rounded sums": _in_arithmetic("total", lambda a: _EXACTLY(a.hi.sum(-1))),
    "log(1 + s)": _in_arithmetic("log1p", lambda x: _EXACTLY(np.log(1 + x.hi))),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_reference_fails(name: str, monkeypatch: pytest.MonkeyPatch):
    loss = "softmax_cross_entropy_with_logits"
    BREAKS[name](monkeypatch)
    lines = [line for regime in ("scale-10", "confident-right") for line in certify.certify(loss, regime)]
    assert any(line.worst_ulp > LIMIT for line in lines)


@pytest.mark.parametrize("loss", ALONE)
def test_a_broken_reference_fails_in_every_loss(loss: str, monkeypatch: pytest.MonkeyPatch):
    BREAKS["value 4e-16 too large"](monkeypatch)
    assert any(line.worst_ulp > LIMIT for line in certify.certify(loss, regime_names(loss)[0]))


@pytest.mark.parametrize(("loss", "regime"), QUESTIONS)
def test_plain_float64_judges_float32(loss: str, regime: str):
    for case in cases_of(loss, regime, FEW):
        batch = certify.batch_of(case, "float32")
        exact = certify.truth_of(case, "float32", MATHEMATICAL)
        got = evaluate.evaluate(loss, batch.prediction, batch.target, precision="float32")
        shape = exact.value.nearest.shape
        assert _plain_errors(got.value.reshape(shape), exact.value, exact.value_cancelling).max() <= 1
        assert _plain_errors(got.gradient, exact.gradient, np.where(certify.hard(batch), 0, exact.cancelling)).max() <= 1
        if got.target_gradient is not None:
            opposed = _opposed_logarithms(batch.prediction.astype(float)) if loss == "binary_cross_entropy" else 0.0
            opposed = opposed + exact.target_cancelling
            assert _plain_errors(got.target_gradient, exact.target_gradient, opposed).max() <= 1


def _opposed_logarithms(p: np.ndarray) -> np.ndarray:
    """Return the terms that cancel in log(1 - p) - log p."""
    return np.abs(np.log(p)) + np.abs(np.log1p(-p))


def _plain_errors(got: np.ndarray, exact: Exact, cancelling: np.ndarray | float) -> np.ndarray:
    """Return |got - exact| over what plain float64 may err by; what float32 cannot hold is too small to matter."""
    admitted = PLAIN * np.maximum(np.abs(exact.nearest), SMALLEST_FLOAT32) + PLAIN_CANCELLING * cancelling
    with np.errstate(invalid="ignore"):
        return np.where(got == exact.nearest, 0.0, np.abs(got - exact.nearest) / admitted)


def test_truth_agrees_with_decimal_arithmetic():
    """The intervals themselves, against Python's decimal logarithm at 60 digits."""
    with localcontext() as context:
        context.prec = 60
        small = (1 + Decimal(-17).exp()).ln()
        half = -(Decimal("0.25").ln() + Decimal("0.75").ln()) / 2
    softmax = truth("softmax_cross_entropy_with_logits", [17.0, 0.0], [1.0, 0.0])
    binary = truth("binary_cross_entropy", [0.25], [0.5])
    assert softmax.value.nearest.tolist() == [float(small)] and binary.value.nearest.tolist() == [float(half)]
    assert softmax.target_gradient.nearest.tolist() == [float(small), float(small + 17)]
    assert binary.gradient.nearest.tolist() == [float(-2 + Decimal(2) / 3)]
