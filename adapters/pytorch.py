"""PyTorch: how `torch.nn` spells each loss, and `torch.distributions` two of them.

Not here is what computes another loss: `torch.distributions.kl_divergence` normalises what it is given, and its gradient is
that of the normalised. Nor are distributions that are given probabilities: they keep them eps, the spacing of the dtype at 1,
away from 0 and 1, which is no alternative of a choice point.
"""

import os
from collections.abc import Mapping
from time import perf_counter

# Read once, by the import below: idle threads that spin starve the many small calls of a busy machine. It changes no digit.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
import torch.nn.functional as F
from torch import nn

from adapters import pytorch_options
from adapters.binding import implements
from adapters.framework import Call, Loss, Outcome, describe_error, dtype_name, is_modified, on_private_copies
from reference.losses import Grade
from reference.semantics import Semantics


def value_and_gradient(loss, prediction, target, cotangent=None, arrays=None, parameters=None, device="cpu"):
    """Return the value, its gradient with respect to the prediction and to floating targets (None where there is none).

    The gradients with respect to parameters follow, if there are any.
    """
    x = torch.from_numpy(prediction).to(device).requires_grad_()
    t = torch.from_numpy(target).to(device)
    if t.is_floating_point():
        t.requires_grad_()
    given = {name: torch.from_numpy(array).to(device) for name, array in (arrays or {}).items()}
    learnt = {name: torch.from_numpy(array).to(device).requires_grad_() for name, array in (parameters or {}).items()}
    value = loss(x, t, **given, **learnt)
    value.backward(torch.ones_like(value) if cotangent is None else torch.from_numpy(cotangent).to(device))
    gradients = [None if leaf.grad is None else leaf.grad.cpu().numpy() for leaf in (x, t, *learnt.values())]
    return value.detach().cpu().numpy(), *gradients


class _PyTorch:
    name = "pytorch"
    packages = ("torch", "numpy")
    modes = ("eager",)
    own_modes: tuple[str, ...] = ()
    dtypes = ("float32", "float64")
    keeps_answers = False
    sparing: tuple[str, ...] = ()
    environment: Mapping[str, str] = {}
    value_and_gradient = staticmethod(value_and_gradient)
    mode_arguments: Mapping[str, str] = {}

    def devices(self) -> Mapping[str, str]:
        """Return "cpu", and "cuda" where there is one."""
        found = {"cpu": torch.backends.cpu.get_cpu_capability()}
        if torch.cuda.is_available():
            found["cuda"] = torch.cuda.get_device_name()
        return found

    def run(self, loss: Loss, call: Call, *, key: object, mode: str, device: str) -> Outcome:
        """Run a loss eagerly; nothing is compiled, so the key plays no part."""
        given = on_private_copies(call)
        inputs = loss, given.prediction, given.target, given.cotangent, given.arrays, given.parameters
        start = perf_counter()
        try:
            value, gradient, target_gradient, *others = value_and_gradient(*inputs, device)
        except Exception as error:
            return Outcome(error=describe_error(error), seconds=perf_counter() - start)
        seconds = perf_counter() - start
        modified = is_modified(call, given)
        learnt = dict(zip(call.parameters, others, strict=True))
        dtype = dtype_name(value.dtype)
        return Outcome(value, gradient, target_gradient, dtype, "", modified, seconds, parameter_gradients=learnt)


framework = _PyTorch()

parts = (pytorch_options,)
"""The modules that have more bindings."""

_DOCS = "https://docs.pytorch.org/docs/2.13/generated/torch.nn."
_DISTRIBUTIONS = "https://docs.pytorch.org/docs/2.13/distributions.html"
_OVER_ALL = Semantics(mean_divisor="rows")
"""BCEWithLogitsLoss: "'mean': the sum of the output will be divided by the number of elements in the output"."""
_SECOND_AXIS = Semantics(class_axis="second")
"""NLLLoss: the input has the shape (C), (N, C) or (N, C, d_1, ..., d_K)."""
_BOTH_KINDS = Semantics(class_axis="second", soft_weight_divisor="rows")
"""CrossEntropyLoss: the same shapes; and "mean" is the sum of l_n over the sum of w_{y_n} for class indices, but for
probabilities "\\frac{\\sum_{n=1}^N l_n}{N}"."""
_ROWS_OF_SOFT = Semantics(soft_weight_divisor="rows")
"""CrossEntropyLoss as above; functional.linear_cross_entropy: "mean" is the sum "divided by the number of elements in the
output"."""
_CLAMPED = Semantics(mean_divisor="rows", log_of_zero="floor_100")
"""BCELoss: "we clamp its log function outputs to be greater than or equal to -100"."""


@implements(
    "binary_cross_entropy",
    api="torch.nn.functional.binary_cross_entropy",
    options=("reduction", "sample_weight"),
    semantics=_CLAMPED,
    grade=Grade("log1p", "joint"),
    documentation=_DOCS + "BCELoss.html",
)
def binary_cross_entropy(probabilities, targets, *, reduction, sample_weight=None):
    weight = None if sample_weight is None else sample_weight[:, None]
    return F.binary_cross_entropy(probabilities, targets, weight=weight, reduction=reduction)


@implements(
    "binary_cross_entropy",
    api="torch.nn.BCELoss",
    options=("reduction", "sample_weight"),
    semantics=_CLAMPED,
    grade=Grade("log1p", "joint"),
    documentation=_DOCS + "BCELoss.html",
)
def bce_loss(probabilities, targets, *, reduction, sample_weight=None):
    weight = None if sample_weight is None else sample_weight[:, None]
    return nn.BCELoss(weight=weight, reduction=reduction)(probabilities, targets)


@implements("binary_cross_entropy", api="-(t * log(p) + (1 - t) * log(1 - p))")
def binary_by_logs(probabilities, targets):
    return -(targets * torch.log(probabilities) + (1 - targets) * torch.log(1 - probabilities))


@implements("categorical_cross_entropy", api="-sum(t * log(p))")
def categorical_by_log(probabilities, targets):
    return -(targets * torch.log(probabilities)).sum(-1)


@implements(
    "categorical_cross_entropy",
    api="-sum(torch.xlogy(t, p))",
    documentation="https://docs.pytorch.org/docs/2.13/special.html#torch.special.xlogy",
)
def categorical_by_xlogy(probabilities, targets):
    return -torch.xlogy(targets, probabilities).sum(-1)


@implements(
    "sparse_categorical_cross_entropy",
    api="torch.nn.functional.nll_loss over log",
    options=("reduction", "class_weight", "ignore_index", "class_axis"),
    semantics=_SECOND_AXIS,
    documentation=_DOCS + "NLLLoss.html",
)
def nll_loss_of_log(probabilities, labels, *, reduction, class_weight=None, ignore_index=-100, class_axis=1):
    return F.nll_loss(torch.log(probabilities), labels, weight=class_weight, ignore_index=ignore_index, reduction=reduction)


@implements(
    "sigmoid_cross_entropy_with_logits",
    api="torch.nn.functional.binary_cross_entropy_with_logits",
    options=("reduction", "sample_weight", "pos_weight"),
    grade=Grade("split", "direct"),
    semantics=_OVER_ALL,
    documentation=_DOCS + "BCEWithLogitsLoss.html",
)
def binary_cross_entropy_with_logits(logits, targets, *, reduction, sample_weight=None, pos_weight=None):
    weight = None if sample_weight is None else sample_weight[:, None]
    return F.binary_cross_entropy_with_logits(logits, targets, weight=weight, pos_weight=pos_weight, reduction=reduction)


@implements(
    "sigmoid_cross_entropy_with_logits",
    api="torch.nn.BCEWithLogitsLoss",
    options=("reduction", "sample_weight", "pos_weight"),
    grade=Grade("split", "direct"),
    semantics=_OVER_ALL,
    documentation=_DOCS + "BCEWithLogitsLoss.html",
)
def bce_with_logits_loss(logits, targets, *, reduction, sample_weight=None, pos_weight=None):
    weight = None if sample_weight is None else sample_weight[:, None]
    return nn.BCEWithLogitsLoss(weight=weight, pos_weight=pos_weight, reduction=reduction)(logits, targets)


@implements(
    "sigmoid_cross_entropy_with_logits",
    api="torch.nn.functional.logsigmoid",
    grade=Grade("pair", "pair"),
    documentation=_DOCS + "LogSigmoid.html",
)
def by_logsigmoid(logits, targets):
    return -(targets * F.logsigmoid(logits) + (1 - targets) * F.logsigmoid(-logits))


@implements(
    "sigmoid_cross_entropy_with_logits",
    api="-torch.distributions.Bernoulli(logits).log_prob",
    grade=Grade("split", "direct"),
    documentation=_DISTRIBUTIONS,
)
def bernoulli_log_prob(logits, targets):
    # Arguments that are validated must be 0 or 1, which soft targets are not.
    return -torch.distributions.Bernoulli(logits=logits, validate_args=False).log_prob(targets)


@implements(
    "sigmoid_cross_entropy_with_logits",
    api="torch.nn.functional.binary_cross_entropy over sigmoid",
    options=("reduction",),
    grade=Grade("pair", "pair"),
    documentation=_DOCS + "BCEWithLogitsLoss.html",
    textbook=True,
)
def binary_cross_entropy_of_sigmoid(logits, targets, *, reduction):
    return F.binary_cross_entropy(torch.sigmoid(logits), targets, reduction=reduction)


@implements("sigmoid_cross_entropy_with_logits", api="log(sigmoid(x))", grade=Grade("pair", "pair"), textbook=True)
def log_of_sigmoid(logits, targets):
    p = torch.sigmoid(logits)
    return -(targets * torch.log(p) + (1 - targets) * torch.log(1 - p))


@implements(
    "softmax_cross_entropy_with_logits",
    api="torch.nn.functional.cross_entropy",
    options=("reduction", "class_weight", "label_smoothing", "class_axis"),
    semantics=_BOTH_KINDS,
    documentation=_DOCS + "CrossEntropyLoss.html",
)
def cross_entropy_with_probabilities(logits, targets, *, reduction, class_weight=None, label_smoothing=0.0, class_axis=1):
    return F.cross_entropy(logits, targets, weight=class_weight, reduction=reduction, label_smoothing=label_smoothing)


@implements(
    "softmax_cross_entropy_with_logits",
    api="torch.nn.CrossEntropyLoss",
    options=("reduction", "class_weight", "label_smoothing", "class_axis"),
    semantics=_BOTH_KINDS,
    documentation=_DOCS + "CrossEntropyLoss.html",
)
def cross_entropy_loss_with_probabilities(logits, targets, *, reduction, class_weight=None, label_smoothing=0.0, class_axis=1):
    loss = nn.CrossEntropyLoss(weight=class_weight, reduction=reduction, label_smoothing=label_smoothing)
    return loss(logits, targets)


@implements(
    "softmax_cross_entropy_with_logits",
    api="torch.nn.functional.log_softmax",
    documentation=_DOCS + "functional.log_softmax.html",
)
def by_log_softmax(logits, targets):
    return -(targets * F.log_softmax(logits, dim=-1)).sum(-1)


@implements(
    "softmax_cross_entropy_with_logits",
    api="log(softmax(x))",
    grade=Grade("log_quotient", "log_quotient"),
    documentation=_DOCS + "functional.log_softmax.html",
    textbook=True,
)
def log_of_softmax(logits, targets):
    return -(targets * torch.log(torch.softmax(logits, dim=-1))).sum(-1)


@implements(
    "sparse_softmax_cross_entropy_with_logits",
    api="torch.nn.functional.cross_entropy",
    options=("reduction", "class_weight", "ignore_index", "label_smoothing", "class_axis"),
    semantics=_BOTH_KINDS,
    documentation=_DOCS + "CrossEntropyLoss.html",
)
def cross_entropy(logits, labels, *, reduction, class_weight=None, ignore_index=-100, label_smoothing=0.0, class_axis=1):
    return F.cross_entropy(
        logits,
        labels,
        weight=class_weight,
        ignore_index=ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )


@implements(
    "sparse_softmax_cross_entropy_with_logits",
    api="torch.nn.CrossEntropyLoss",
    options=("reduction", "class_weight", "ignore_index", "label_smoothing", "class_axis"),
    semantics=_BOTH_KINDS,
    documentation=_DOCS + "CrossEntropyLoss.html",
)
def cross_entropy_loss(logits, labels, *, reduction, class_weight=None, ignore_index=-100, label_smoothing=0.0, class_axis=1):
    loss = nn.CrossEntropyLoss(
        weight=class_weight, ignore_index=ignore_index, reduction=reduction, label_smoothing=label_smoothing
    )
    return loss(logits, labels)


@implements(
    "sparse_softmax_cross_entropy_with_logits",
    api="torch.nn.functional.nll_loss over log_softmax",
    options=("reduction", "class_weight", "ignore_index", "class_axis"),
    semantics=_SECOND_AXIS,
    documentation=_DOCS + "NLLLoss.html",
)
def nll_loss_of_log_softmax(logits, labels, *, reduction, class_weight=None, ignore_index=-100, class_axis=1):
    log_probabilities = F.log_softmax(logits, dim=1)
    return F.nll_loss(log_probabilities, labels, weight=class_weight, ignore_index=ignore_index, reduction=reduction)


@implements(
    "sparse_softmax_cross_entropy_with_logits",
    api="torch.nn.NLLLoss over torch.nn.LogSoftmax",
    options=("reduction", "class_weight", "ignore_index", "class_axis"),
    semantics=_SECOND_AXIS,
    documentation=_DOCS + "NLLLoss.html",
)
def nll_loss_module(logits, labels, *, reduction, class_weight=None, ignore_index=-100, class_axis=1):
    loss = nn.NLLLoss(weight=class_weight, ignore_index=ignore_index, reduction=reduction)
    return loss(nn.LogSoftmax(dim=1)(logits), labels)


@implements(
    "sparse_softmax_cross_entropy_with_logits",
    api="-torch.distributions.Categorical(logits).log_prob",
    grade=Grade("lse", "lse"),
    documentation=_DISTRIBUTIONS,
)
def categorical_log_prob(logits, labels):
    return -torch.distributions.Categorical(logits=logits).log_prob(labels)


@implements(
    "sparse_softmax_cross_entropy_with_logits",
    api="torch.nn.functional.nll_loss over log(softmax(x))",
    options=("reduction",),
    grade=Grade("log_quotient", "log_quotient"),
    documentation=_DOCS + "functional.log_softmax.html",
    textbook=True,
)
def nll_loss_of_log_of_softmax(logits, labels, *, reduction):
    return F.nll_loss(torch.log(torch.softmax(logits, dim=-1)), labels, reduction=reduction)


@implements(
    "negative_log_likelihood",
    api="torch.nn.functional.nll_loss",
    options=("reduction", "class_weight", "ignore_index", "class_axis"),
    semantics=_SECOND_AXIS,
    documentation=_DOCS + "NLLLoss.html",
)
def nll_loss(log_probabilities, labels, *, reduction, class_weight=None, ignore_index=-100, class_axis=1):
    return F.nll_loss(log_probabilities, labels, weight=class_weight, ignore_index=ignore_index, reduction=reduction)


@implements(
    "negative_log_likelihood",
    api="torch.nn.NLLLoss",
    options=("reduction", "class_weight", "ignore_index", "class_axis"),
    semantics=_SECOND_AXIS,
    documentation=_DOCS + "NLLLoss.html",
)
def nll_loss_class(log_probabilities, labels, *, reduction, class_weight=None, ignore_index=-100, class_axis=1):
    return nn.NLLLoss(weight=class_weight, ignore_index=ignore_index, reduction=reduction)(log_probabilities, labels)


_BY_TERM = Semantics(loss_shape="term")
"""kl_div: the "pointwise KL-divergence", of which "mean" is the sum "divided by the number of elements in the output"."""
_TERMS = Grade("terms", "separate")


@implements(
    "kl_divergence",
    api="torch.nn.functional.kl_div over log, summed over classes",
    grade=_TERMS,
    documentation=_DOCS + "KLDivLoss.html",
)
def kl_div_of_log(probabilities, targets):
    return F.kl_div(torch.log(probabilities), targets, reduction="none").sum(-1)


@implements(
    "kl_divergence_of_log_probabilities",
    api="torch.nn.functional.kl_div",
    options=("reduction",),
    reductions=("none", "sum", "mean", "batchmean"),
    semantics=_BY_TERM,
    grade=_TERMS,
    documentation=_DOCS + "KLDivLoss.html",
)
def kl_div(log_probabilities, targets, *, reduction):
    return F.kl_div(log_probabilities, targets, reduction=reduction)


@implements(
    "kl_divergence_of_log_probabilities",
    api="torch.nn.KLDivLoss",
    options=("reduction",),
    reductions=("none", "sum", "mean", "batchmean"),
    semantics=_BY_TERM,
    grade=_TERMS,
    documentation=_DOCS + "KLDivLoss.html",
)
def kl_div_loss(log_probabilities, targets, *, reduction):
    return nn.KLDivLoss(reduction=reduction)(log_probabilities, targets)


@implements(
    "kl_divergence_of_log_probabilities",
    api="torch.nn.functional.kl_div, summed over classes",
    grade=_TERMS,
    documentation=_DOCS + "KLDivLoss.html",
)
def kl_div_of_rows(log_probabilities, targets):
    return F.kl_div(log_probabilities, targets, reduction="none").sum(-1)


@implements(
    "kl_divergence_with_log_targets",
    api="torch.nn.functional.kl_div",
    options=("reduction",),
    reductions=("none", "sum", "mean", "batchmean"),
    semantics=_BY_TERM,
    documentation=_DOCS + "KLDivLoss.html",
)
def kl_div_with_log_targets(log_probabilities, log_targets, *, reduction):
    return F.kl_div(log_probabilities, log_targets, reduction=reduction, log_target=True)


@implements(
    "kl_divergence_with_log_targets",
    api="torch.nn.KLDivLoss",
    options=("reduction",),
    reductions=("none", "sum", "mean", "batchmean"),
    semantics=_BY_TERM,
    documentation=_DOCS + "KLDivLoss.html",
)
def kl_div_loss_with_log_targets(log_probabilities, log_targets, *, reduction):
    return nn.KLDivLoss(reduction=reduction, log_target=True)(log_probabilities, log_targets)


@implements(
    "kl_divergence_with_log_targets",
    api="torch.nn.functional.kl_div, summed over classes",
    documentation=_DOCS + "KLDivLoss.html",
)
def kl_div_of_rows_with_log_targets(log_probabilities, log_targets):
    return F.kl_div(log_probabilities, log_targets, reduction="none", log_target=True).sum(-1)


_NO_SIGN_GRADIENT = Semantics(target_gradient="none")
"""What it answers otherwise: it "is not differentiable with respect to argument 'target'"."""


@implements(
    "soft_margin",
    api="torch.nn.functional.soft_margin_loss",
    options=("reduction",),
    semantics=_NO_SIGN_GRADIENT,
    documentation=_DOCS + "SoftMarginLoss.html",
)
def soft_margin_loss(logits, signs, *, reduction):
    return F.soft_margin_loss(logits, signs.detach(), reduction=reduction)


@implements(
    "soft_margin",
    api="torch.nn.SoftMarginLoss",
    options=("reduction",),
    semantics=_NO_SIGN_GRADIENT,
    documentation=_DOCS + "SoftMarginLoss.html",
)
def soft_margin_loss_class(logits, signs, *, reduction):
    return nn.SoftMarginLoss(reduction=reduction)(logits, signs.detach())


@implements("soft_margin", api="-logsigmoid(y * x)", documentation=_DOCS + "LogSigmoid.html")
def soft_margin_by_logsigmoid(logits, signs):
    return -F.logsigmoid(signs * logits)


@implements(
    "multilabel_soft_margin",
    api="torch.nn.functional.multilabel_soft_margin_loss",
    options=("reduction", "class_weight"),
    documentation=_DOCS + "MultiLabelSoftMarginLoss.html",
)
def multilabel_soft_margin_loss(logits, targets, *, reduction, class_weight=None):
    return F.multilabel_soft_margin_loss(logits, targets, weight=class_weight, reduction=reduction)


@implements(
    "multilabel_soft_margin",
    api="torch.nn.MultiLabelSoftMarginLoss",
    options=("reduction", "class_weight"),
    documentation=_DOCS + "MultiLabelSoftMarginLoss.html",
)
def multilabel_soft_margin_loss_class(logits, targets, *, reduction, class_weight=None):
    return nn.MultiLabelSoftMarginLoss(weight=class_weight, reduction=reduction)(logits, targets)


@implements(
    "sparse_softmax_cross_entropy_with_logits",
    api="torch.nn.functional.cross_entropy of c * tanh(x / c), plus z * logsumexp(x)**2",
    options=("soft_cap", "z_loss"),
    documentation=_DOCS + "CrossEntropyLoss.html",
)
def cross_entropy_with_soft_cap_and_z_loss(logits, labels, *, soft_cap=None, z_loss=None):
    if soft_cap is not None:
        logits = soft_cap * torch.tanh(logits / soft_cap)
    loss = F.cross_entropy(logits, labels, reduction="none")
    if z_loss is not None:
        loss = loss + z_loss * torch.logsumexp(logits, dim=-1) ** 2
    return loss


@implements(
    "binary_focal_cross_entropy",
    api="torch.log, -(1 - p_t)**gamma * (t * log(p) + (1 - t) * log(1 - p))",
    options=("alpha", "gamma"),
)
def binary_focal_by_logs(probabilities, targets, *, alpha=None, gamma=2.0):
    chance = targets * (1 - probabilities) + (1 - targets) * probabilities
    weight = 1.0 if alpha is None else alpha * targets + (1 - alpha) * (1 - targets)
    loss = -(targets * torch.log(probabilities) + (1 - targets) * torch.log(1 - probabilities))
    return weight * chance**gamma * loss


@implements(
    "binary_focal_cross_entropy_with_logits",
    api="torch.nn.functional.binary_cross_entropy_with_logits, times (1 - p_t)**gamma",
    options=("alpha", "gamma"),
    grade=Grade("split", "direct"),
    documentation=_DOCS + "BCEWithLogitsLoss.html",
)
def binary_focal_with_logits(logits, targets, *, alpha=None, gamma=2.0):
    p = torch.sigmoid(logits)
    chance = targets * (1 - p) + (1 - targets) * p
    weight = 1.0 if alpha is None else alpha * targets + (1 - alpha) * (1 - targets)
    return weight * chance**gamma * F.binary_cross_entropy_with_logits(logits, targets, reduction="none")


@implements(
    "categorical_focal_cross_entropy",
    api="torch.log, -sum(t * (1 - p)**gamma * log(p))",
    options=("class_weight", "alpha", "gamma"),
)
def categorical_focal_by_log(probabilities, targets, *, class_weight=1.0, alpha=1.0, gamma=2.0):
    weight = class_weight * alpha * (1 - probabilities) ** gamma
    return -(weight * targets * torch.log(probabilities)).sum(-1)


@implements(
    "categorical_focal_cross_entropy_with_logits",
    api="torch.nn.functional.log_softmax, -sum(t * (1 - p)**gamma * log(p))",
    options=("class_weight", "alpha", "gamma"),
    documentation=_DOCS + "functional.log_softmax.html",
)
def categorical_focal_by_log_softmax(logits, targets, *, class_weight=1.0, alpha=1.0, gamma=2.0):
    log_p = F.log_softmax(logits, dim=-1)
    weight = class_weight * alpha * (1 - torch.exp(log_p)) ** gamma
    return -(weight * targets * log_p).sum(-1)


@implements(
    "poly_loss_cross_entropy",
    api="torch.nn.functional.cross_entropy, plus epsilon * sum(t * (1 - p))",
    options=("epsilon",),
    documentation=_DOCS + "CrossEntropyLoss.html",
)
def poly_loss(logits, targets, *, epsilon=2.0):
    without = 1 - torch.softmax(logits, dim=-1)
    return F.cross_entropy(logits, targets, reduction="none") + epsilon * (targets * without).sum(-1)


@implements("generalized_cross_entropy", api="torch.gather, (1 - p**q) / q", options=("q",))
def generalized_by_power(probabilities, labels, *, q=0.5):
    p = torch.gather(probabilities, -1, labels[:, None])[:, 0]
    return (1 - p**q) / q


@implements(
    "linear_cross_entropy",
    api="torch.nn.functional.linear_cross_entropy",
    options=("reduction", "class_weight", "ignore_index", "label_smoothing"),
    semantics=_ROWS_OF_SOFT,
    documentation=_DOCS + "functional.linear_cross_entropy.html",
)
def linear_cross_entropy(
    hidden, labels, *, linear_weight, linear_bias=None, reduction, class_weight=None, ignore_index=-100, label_smoothing=0.0
):
    return F.linear_cross_entropy(
        hidden,
        linear_weight,
        labels,
        linear_bias=linear_bias,
        weight=class_weight,
        reduction=reduction,
        ignore_index=ignore_index,
        label_smoothing=label_smoothing,
    )


@implements(
    "linear_cross_entropy",
    api="torch.nn.LinearCrossEntropyLoss",
    options=("reduction", "class_weight", "ignore_index", "label_smoothing"),
    documentation=_DOCS + "LinearCrossEntropyLoss.html",
)
def linear_cross_entropy_loss(
    hidden, labels, *, linear_weight, linear_bias=None, reduction, class_weight=None, ignore_index=-100, label_smoothing=0.0
):
    loss = nn.LinearCrossEntropyLoss(
        hidden.shape[-1],
        len(linear_weight),
        bias=linear_bias is not None,
        dtype=hidden.dtype,
        weight=class_weight,
        reduction=reduction,
        ignore_index=ignore_index,
        label_smoothing=label_smoothing,
    )
    learnt = {"linear.weight": linear_weight}
    if linear_bias is not None:
        learnt["linear.bias"] = linear_bias
    return torch.func.functional_call(loss, learnt, (hidden, labels))


@implements(
    "linear_cross_entropy",
    api="torch.nn.functional.linear_cross_entropy(options=torch.nn.LinearCrossEntropyOptions())",
    options=("reduction", "class_weight", "ignore_index", "label_smoothing"),
    grade=Grade("plain", "apart"),
    documentation=_DOCS + "LinearCrossEntropyOptions.html",
)
def linear_cross_entropy_in_chunks(
    hidden, labels, *, linear_weight, linear_bias=None, reduction, class_weight=None, ignore_index=-100, label_smoothing=0.0
):
    # Smoothed labels are not computed in chunks: the page says that it warns, and computes them as without options.
    return F.linear_cross_entropy(
        hidden,
        linear_weight,
        labels,
        linear_bias=linear_bias,
        weight=class_weight,
        reduction=reduction,
        ignore_index=ignore_index,
        label_smoothing=label_smoothing,
        options=nn.LinearCrossEntropyOptions(),
    )


@implements(
    "linear_cross_entropy",
    api="torch.nn.functional.linear_cross_entropy(options=torch.nn.LinearCrossEntropyOptions(batch_chunk_size=5))",
    options=("reduction", "class_weight", "ignore_index", "label_smoothing"),
    grade=Grade("plain", "apart"),
    documentation=_DOCS + "LinearCrossEntropyOptions.html",
)
def linear_cross_entropy_in_chunks_of_five(
    hidden, labels, *, linear_weight, linear_bias=None, reduction, class_weight=None, ignore_index=-100, label_smoothing=0.0
):
    return F.linear_cross_entropy(
        hidden,
        linear_weight,
        labels,
        linear_bias=linear_bias,
        weight=class_weight,
        reduction=reduction,
        ignore_index=ignore_index,
        label_smoothing=label_smoothing,
        options=nn.LinearCrossEntropyOptions(batch_chunk_size=5, acc_policy="accurate"),
    )


@implements(
    "linear_cross_entropy",
    api="torch.nn.functional.cross_entropy over torch.nn.functional.linear",
    options=("reduction", "class_weight", "ignore_index", "label_smoothing"),
    semantics=_ROWS_OF_SOFT,
    documentation=_DOCS + "CrossEntropyLoss.html",
)
def cross_entropy_of_linear(
    hidden, labels, *, linear_weight, linear_bias=None, reduction, class_weight=None, ignore_index=-100, label_smoothing=0.0
):
    return F.cross_entropy(
        F.linear(hidden, linear_weight, linear_bias),
        labels,
        weight=class_weight,
        ignore_index=ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )


@implements(
    "linear_cross_entropy_with_soft_targets",
    api="torch.nn.functional.linear_cross_entropy",
    options=("reduction", "class_weight", "label_smoothing"),
    semantics=_ROWS_OF_SOFT,
    documentation=_DOCS + "functional.linear_cross_entropy.html",
)
def linear_cross_entropy_with_probabilities(
    hidden, targets, *, linear_weight, linear_bias=None, reduction, class_weight=None, label_smoothing=0.0
):
    return F.linear_cross_entropy(
        hidden,
        linear_weight,
        targets,
        linear_bias=linear_bias,
        weight=class_weight,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )


@implements(
    "linear_cross_entropy_with_soft_targets",
    api="torch.nn.LinearCrossEntropyLoss",
    options=("reduction", "class_weight", "label_smoothing"),
    documentation=_DOCS + "LinearCrossEntropyLoss.html",
)
def linear_cross_entropy_loss_with_probabilities(
    hidden, targets, *, linear_weight, linear_bias=None, reduction, class_weight=None, label_smoothing=0.0
):
    loss = nn.LinearCrossEntropyLoss(
        hidden.shape[-1],
        len(linear_weight),
        bias=linear_bias is not None,
        dtype=hidden.dtype,
        weight=class_weight,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )
    learnt = {"linear.weight": linear_weight}
    if linear_bias is not None:
        learnt["linear.bias"] = linear_bias
    return torch.func.functional_call(loss, learnt, (hidden, targets))


@implements(
    "linear_cross_entropy_with_soft_targets",
    api="torch.nn.functional.linear_cross_entropy(options=torch.nn.LinearCrossEntropyOptions())",
    options=("reduction", "class_weight", "label_smoothing"),
    documentation=_DOCS + "LinearCrossEntropyOptions.html",
)
def linear_cross_entropy_with_probabilities_in_chunks(
    hidden, targets, *, linear_weight, linear_bias=None, reduction, class_weight=None, label_smoothing=0.0
):
    # Probabilities are not computed in chunks: the page says that it warns, and computes them as without options.
    return F.linear_cross_entropy(
        hidden,
        linear_weight,
        targets,
        linear_bias=linear_bias,
        weight=class_weight,
        reduction=reduction,
        label_smoothing=label_smoothing,
        options=nn.LinearCrossEntropyOptions(),
    )


@implements(
    "linear_cross_entropy_with_soft_targets",
    api="torch.nn.functional.cross_entropy over torch.nn.functional.linear",
    options=("reduction", "class_weight", "label_smoothing"),
    semantics=_ROWS_OF_SOFT,
    documentation=_DOCS + "CrossEntropyLoss.html",
)
def cross_entropy_of_linear_with_probabilities(
    hidden, targets, *, linear_weight, linear_bias=None, reduction, class_weight=None, label_smoothing=0.0
):
    return F.cross_entropy(
        F.linear(hidden, linear_weight, linear_bias),
        targets,
        weight=class_weight,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )
