"""The PyTorch adapter: runs what a user would write, and covers every public API that computes one of the six losses."""

import numpy as np
import pytest
import torch

from adapters.framework import Call
from adapters.loading import load
from adapters.pytorch import framework, value_and_gradient
from conformance.cases import LAYOUTS, Case, fill, lay_out, regime_names
from conformance.properties.accuracy import gradient, value
from conformance.trial import Trial
from reference.losses import FOUNDING_TABLE, LOSSES

ADAPTER = load("pytorch")
X = np.array([[1.0, -2.0, 0.5], [3.0, 0.25, -1.0]], np.float32)
LABELS = np.array([2, 0])
REQUIRED = {
    "binary_cross_entropy": {"torch.nn.functional.binary_cross_entropy", "torch.nn.BCELoss"},
    "sigmoid_cross_entropy_with_logits": {
        "torch.nn.functional.binary_cross_entropy_with_logits",
        "torch.nn.BCEWithLogitsLoss",
        "torch.nn.functional.binary_cross_entropy over sigmoid",
    },
    "softmax_cross_entropy_with_logits": {"torch.nn.functional.cross_entropy", "torch.nn.CrossEntropyLoss", "log(softmax(x))"},
    "sparse_softmax_cross_entropy_with_logits": {
        "torch.nn.functional.cross_entropy",
        "torch.nn.CrossEntropyLoss",
        "torch.nn.functional.nll_loss over log_softmax",
        "torch.nn.functional.nll_loss over log(softmax(x))",
    },
    "categorical_cross_entropy": set(),
    "sparse_categorical_cross_entropy": {"torch.nn.functional.nll_loss over log"},
    "negative_log_likelihood": {"torch.nn.functional.nll_loss", "torch.nn.NLLLoss"},
    "kl_divergence_of_log_probabilities": {"torch.nn.functional.kl_div", "torch.nn.KLDivLoss"},
    "kl_divergence_with_log_targets": {"torch.nn.functional.kl_div", "torch.nn.KLDivLoss"},
    "soft_margin": {"torch.nn.functional.soft_margin_loss", "torch.nn.SoftMarginLoss"},
    "multilabel_soft_margin": {"torch.nn.functional.multilabel_soft_margin_loss", "torch.nn.MultiLabelSoftMarginLoss"},
}


def run(loss, prediction=X, target=LABELS, cotangent=None):
    return framework.run(loss, Call(prediction, target, "none", cotangent), key=None, mode="eager", device="cpu")


@pytest.mark.parametrize("loss", REQUIRED)
def test_every_api_of_a_loss_is_bound(loss: str) -> None:
    bound = {binding.api for binding in ADAPTER.bindings if binding.loss == loss}
    assert bound and REQUIRED[loss] <= bound


def test_every_loss_with_logits_has_its_textbook_composition() -> None:
    stacked = {binding.loss for binding in ADAPTER.bindings if binding.textbook}
    assert stacked == {loss for loss in FOUNDING_TABLE if LOSSES[loss].prediction == "logit"}


@pytest.mark.parametrize("dtype", framework.dtypes)
@pytest.mark.parametrize("binding", ADAPTER.bindings, ids=lambda binding: f"{binding.loss}: {binding.api}")
def test_binding_computes_its_loss_on_ordinary_rows(binding, dtype: str) -> None:
    regime = regime_names(LOSSES[binding.loss])[0]
    batch = fill(Case(binding.loss, 12, 4, "rowwise", (regime,), "0000000000000003"), dtype)
    trial = Trial(binding, framework, "eager", dtype, "cpu", semantics=binding.semantics, grade=binding.grade)
    for judgement in (*value(trial, batch), *gradient(trial, batch)):
        assert not judgement.violating.any(), judgement


@pytest.mark.parametrize(
    "binding",
    [b for b in ADAPTER.bindings if "reduction" in b.options and b.loss in FOUNDING_TABLE],
    ids=lambda binding: f"{binding.loss}: {binding.api}",
)
def test_reduction_reaches_the_api(binding) -> None:
    regime = regime_names(LOSSES[binding.loss])[0]
    batch = fill(Case(binding.loss, 12, 4, "rowwise", (regime,), "0000000000000003"), "float64")
    tensors = [torch.from_numpy(array.copy()) for array in (batch.prediction, batch.target)]
    none, total, mean = (binding.function(*tensors, reduction=name).numpy() for name in ("none", "sum", "mean"))
    assert none.ndim > 0 and total.shape == mean.shape == () and total > mean > 0
    assert abs(total - none.sum()) < total * none.size * 2**-50 and abs(mean - none.mean()) < mean * none.size * 2**-50


def test_value_and_gradients_come_back_as_numpy() -> None:
    outcome = run(lambda x, t: (x * t).sum(-1), target=np.full((2, 3), 2, np.float32))
    assert (outcome.error, outcome.dtype, outcome.modified) == ("", "float32", False)
    assert np.array_equal(outcome.value, X.sum(-1) * 2)
    assert np.array_equal(outcome.gradient, np.full((2, 3), 2)) and np.array_equal(outcome.target_gradient, X)
    assert outcome.seconds > 0 and outcome.compile_seconds == 0


def test_index_targets_have_no_gradient() -> None:
    assert run(lambda x, t: x[range(2), t]).target_gradient is None


def test_upstream_gradient_is_handed_on() -> None:
    assert np.array_equal(run(lambda x, t: x, cotangent=X).gradient, X)


def test_loss_without_a_gradient_has_none() -> None:
    gradient = value_and_gradient(lambda x, t: (x * 0 + t).sum(-1), X.copy(), np.ones((2, 3), np.float32))[1]
    assert np.array_equal(gradient, np.zeros((2, 3)))


@pytest.mark.parametrize(
    ("loss", "error"),
    [
        (lambda x, t: None, "AttributeError: 'NoneType' object"),
        (lambda x, t: (x, x), "AttributeError: 'tuple' object"),
        (lambda x, t: x.detach(), "RuntimeError: element 0 of tensors does not require grad"),
        (lambda x, t: x.detach().numpy(), "AttributeError: 'numpy.ndarray' object"),
        (lambda x, t: x.to(torch.bfloat16), "TypeError: Got unsupported ScalarType BFloat16"),
        (lambda x, t: x.argmax(-1), "RuntimeError: "),
        (lambda x, t: x[:, 7], "IndexError: index 7 is out of bounds"),
        (lambda x, t: 1 / 0, "ZeroDivisionError: division by zero"),
    ],
)
def test_what_goes_wrong_is_said_in_a_line(loss, error: str) -> None:
    outcome = run(loss)
    assert outcome.error.startswith(error) and "\n" not in outcome.error and len(outcome.error) <= 200
    assert outcome.value is None and outcome.gradient is None and outcome.seconds > 0


@pytest.mark.parametrize("which", ["prediction", "target"])
def test_changed_input_is_noticed(which: str) -> None:
    def loss(x, t):
        with torch.no_grad():
            (x if which == "prediction" else t)[0] = 1
        return x.sum(-1)

    before = X.copy(), LABELS.copy()
    assert run(loss).modified
    assert np.array_equal(X, before[0]) and np.array_equal(LABELS, before[1])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layout_reaches_the_framework(layout: str) -> None:
    seen: list[tuple[int, ...]] = []

    def loss(x, t):
        seen.append(x.stride())
        return x.sum(-1)

    prediction = lay_out(X, layout)
    run(loss, prediction=prediction)
    assert seen == [tuple(stride // X.itemsize for stride in prediction.strides)]


def test_devices_are_those_of_this_machine() -> None:
    devices = framework.devices()
    assert next(iter(devices)) == "cpu" and ("cuda" in devices) == torch.cuda.is_available() and all(devices.values())


def test_documentation_is_an_address() -> None:
    assert all(binding.documentation.startswith("https://") or not binding.documentation for binding in ADAPTER.bindings)
    assert all(binding.documentation for binding in ADAPTER.bindings if binding.semantics != type(binding.semantics)())
