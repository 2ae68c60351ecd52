"""Sound losses in every sound form, in PyTorch: what the suite must never blame.

Each binding keeps the bounds of the grade it declares and does at special values what its semantics say. Together with
`tests.conformance.mutants` they prove the suite from both sides. The pieces that several of them share come first; the
mutants break the same pieces.
"""

import math

import torch
import torch.nn.functional as F

from adapters.binding import Binding, implements
from reference.losses import Grade
from reference.semantics import Semantics

LOSES_SMALL = Semantics(small_loss="absolute")
"""The plain, lse and split forms round 1 + s, and log(1 - p) rounds 1 - p: they lose losses far below one."""


class _Given(torch.autograd.Function):
    @staticmethod
    def forward(ctx, prediction, target, value, gradient, target_gradient):
        ctx.save_for_backward(gradient, target_gradient)
        return value.clone()

    @staticmethod
    def backward(ctx, upstream):
        gradient, target_gradient = ctx.saved_tensors
        rows = upstream.reshape(upstream.shape + (1,) * (gradient.ndim - upstream.ndim))
        return rows * gradient, rows * target_gradient if ctx.needs_input_grad[1] else None, None, None, None


def given(prediction, target, value, gradient, target_gradient=None):
    """Return ``value`` as a loss whose gradients, times the upstream one, are those given."""
    nothing = value.detach() if target_gradient is None else target_gradient.detach()
    return _Given.apply(prediction, target, value.detach(), gradient.detach(), nothing)


class _GivenLogSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits, log_p, p):
        ctx.save_for_backward(p)
        return log_p.clone()

    @staticmethod
    def backward(ctx, upstream):
        (p,) = ctx.saved_tensors
        return upstream - p * upstream.sum(-1, keepdim=True), None, None


def given_log_softmax(logits, log_p, p):
    """Return ``log_p`` as the log softmax of the logits, with the gradient that the probabilities ``p`` make."""
    return _GivenLogSoftmax.apply(logits, log_p.detach(), p.detach())


class _Weighted(torch.autograd.Function):
    @staticmethod
    def forward(ctx, target, log_p):
        ctx.save_for_backward(target, log_p)
        return torch.where((target == 0) & ~log_p.isnan(), 0, target * log_p)

    @staticmethod
    def backward(ctx, upstream):
        target, log_p = ctx.saved_tensors
        return upstream * log_p, upstream * target


def weighted(target, log_p):
    """Return t log p with 0 * -inf = 0, and with the gradients log p and t."""
    return _Weighted.apply(target, log_p)


class _RowLog(torch.autograd.Function):
    @staticmethod
    def forward(ctx, p):
        ctx.save_for_backward(p)
        return p.log().masked_fill(p.isnan().any(-1, keepdim=True), math.nan)

    @staticmethod
    def backward(ctx, upstream):
        (p,) = ctx.saved_tensors
        slope = torch.where((upstream == 0) & (p == 0), 0, upstream / p)
        return slope.masked_fill(p.isnan().any(-1, keepdim=True), math.nan)


def row_log(p):
    """Return log p of each class, NaN in the whole of a row that has one; no gradient at p = 0 where none is asked for."""
    return _RowLog.apply(p)


def picked(rows, labels):
    """Return the entry of each row at its label.

    Raises:
        IndexError: a label out of range.
    """
    classes = rows.shape[-1]
    if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise IndexError(f"a label is out of range for {classes} classes: use 0 to {classes - 1}")
    return rows.gather(-1, labels.long().unsqueeze(-1)).squeeze(-1)


def reduced(loss, reduction):
    """Return the losses, their sum or their mean."""
    return loss if reduction == "none" else getattr(loss, reduction)()


def hard(log_p, labels, reduction):
    """Return the reduced -log p at the labels."""
    return reduced(-picked(log_p, labels), reduction)


def soft(log_p, targets, reduction):
    """Return the reduced -sum t log p."""
    return reduced(-weighted(targets, log_p).sum(-1), reduction)


def plain_log_softmax(logits):
    """Log softmax as x - a - log(sum exp(x - a)), a the maximum, differentiated by PyTorch into e / S."""
    shifted = logits - logits.amax(-1, keepdim=True).detach()
    return shifted - shifted.exp().sum(-1, keepdim=True).log()


def reexponentiated_log_softmax(logits):
    """The plain form, with the gradient of p = exp(log p)."""
    log_p = plain_log_softmax(logits.detach())
    return given_log_softmax(logits, log_p, log_p.exp())


def log1p_log_softmax(logits):
    """The maximum kept apart as exactly one: log1p of the sum of the other exponentials."""
    x = logits.detach()
    pivot = x.argmax(-1, keepdim=True)
    shifted = x - x.gather(-1, pivot)
    exponentials = shifted.exp()
    others = exponentials.scatter(-1, pivot, 0).sum(-1, keepdim=True)
    others = torch.where(exponentials.isnan().any(-1, keepdim=True), math.nan, others)
    return given_log_softmax(logits, shifted - others.log1p(), exponentials / (1 + others))


def lse_log_softmax(logits):
    """x - logsumexp(x): exact shifts cancel late, in the last subtraction."""
    x = logits.detach()
    largest = x.amax(-1, keepdim=True)
    lse = largest + (x - largest).exp().sum(-1, keepdim=True).log()
    return given_log_softmax(logits, x - lse, (x - lse).exp())


def online_log_softmax(logits, block=256):
    """One pass over blocks of classes: the running sum is rescaled whenever the running maximum moves."""
    x = logits.detach()
    largest = torch.full_like(x[..., :1], -math.inf)
    total = torch.zeros_like(largest)
    for part in x.split(block, dim=-1):
        higher = torch.maximum(largest, part.amax(-1, keepdim=True))
        scale = torch.where(largest == higher, 1, (largest - higher).exp())
        total = total * scale + (part - higher).exp().sum(-1, keepdim=True)
        largest = higher
    shifted = x - largest
    return given_log_softmax(logits, shifted - total.log(), shifted.exp() / total)


def exp2_log_softmax(logits):
    """Exponentials by exp2((x - a) log2 e), as fused kernels have them."""
    shifted = logits.detach() - logits.detach().amax(-1, keepdim=True)
    exponentials = (shifted * math.log2(math.e)).exp2()
    total = exponentials.sum(-1, keepdim=True)
    return given_log_softmax(logits, shifted - total.log(), exponentials / total)


def serial_log_softmax(logits, lanes=32):
    """The sum of the exponentials one after the other, in 32 lanes that are then added up in turn."""
    shifted = logits.detach() - logits.detach().amax(-1, keepdim=True)
    exponentials = shifted.exp()
    short = -exponentials.shape[-1] % lanes
    total = torch.zeros_like(exponentials[..., :1])
    for column in serial_sum(F.pad(exponentials, (0, short)).split(lanes, dim=-1)).split(1, dim=-1):
        total = total + column
    return given_log_softmax(logits, shifted - total.log(), exponentials / total)


def serial_sum(parts):
    """Return the sum of tensors, added one after the other."""
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


SPARSE = "sparse_softmax_cross_entropy_with_logits"
SOFTMAX = "softmax_cross_entropy_with_logits"
SIGMOID = "sigmoid_cross_entropy_with_logits"
BINARY = "binary_cross_entropy"
CATEGORICAL = "categorical_cross_entropy"
SPARSE_CATEGORICAL = "sparse_categorical_cross_entropy"
REDUCTION = ("reduction",)


@implements(SPARSE, api="twin: plain", options=REDUCTION, semantics=LOSES_SMALL, grade=Grade("plain", "quotient"))
def sparse_plain(logits, labels, *, reduction):
    return hard(plain_log_softmax(logits), labels, reduction)


@implements(SPARSE, api="twin: torch.log_softmax", options=REDUCTION, semantics=LOSES_SMALL)
def sparse_native(logits, labels, *, reduction):
    return hard(torch.log_softmax(logits, -1), labels, reduction)


@implements(SPARSE, api="twin: exp(log_softmax) gradient", options=REDUCTION, semantics=LOSES_SMALL)
def sparse_reexponentiated(logits, labels, *, reduction):
    return hard(reexponentiated_log_softmax(logits), labels, reduction)


@implements(SPARSE, api="twin: log1p", options=REDUCTION, grade=Grade("log1p", "quotient"))
def sparse_log1p(logits, labels, *, reduction):
    return hard(log1p_log_softmax(logits), labels, reduction)


@implements(SPARSE, api="twin: logsumexp", options=REDUCTION, semantics=LOSES_SMALL, grade=Grade("lse", "lse"))
def sparse_lse(logits, labels, *, reduction):
    return hard(lse_log_softmax(logits), labels, reduction)


@implements(SPARSE, api="twin: online blocks", options=REDUCTION, semantics=LOSES_SMALL, grade=Grade("plain", "quotient"))
def sparse_online(logits, labels, *, reduction):
    return hard(online_log_softmax(logits), labels, reduction)


@implements(SPARSE, api="twin: exp2", options=REDUCTION, semantics=LOSES_SMALL)
def sparse_exp2(logits, labels, *, reduction):
    return hard(exp2_log_softmax(logits), labels, reduction)


@implements(SPARSE, api="twin: serial sum", options=REDUCTION, semantics=LOSES_SMALL, grade=Grade("plain", "quotient"))
def sparse_serial(logits, labels, *, reduction):
    return hard(serial_log_softmax(logits), labels, reduction)


@implements(SPARSE, api="twin: rows only", grade=Grade("log1p", "quotient"))
def sparse_rows_only(logits, labels):
    return -picked(log1p_log_softmax(logits), labels)


@implements(
    SPARSE,
    api="twin: labels clamped, as documented",
    options=REDUCTION,
    semantics=Semantics(small_loss="absolute", negative_index="clamp", index_too_large="clamp"),
)
def sparse_clamped(logits, labels, *, reduction):
    return hard(torch.log_softmax(logits, -1), labels.clamp(0, logits.shape[-1] - 1), reduction)


@implements(
    SPARSE,
    api="twin: NaN for labels out of range, as documented",
    options=REDUCTION,
    semantics=Semantics(small_loss="absolute", negative_index="nan", index_too_large="nan"),
)
def sparse_nan_label(logits, labels, *, reduction):
    if labels.ndim != 1:
        raise ValueError("labels must have one dimension")
    inside = (labels >= 0) & (labels < logits.shape[-1])
    log_p = torch.log_softmax(logits * torch.where(inside, 1.0, math.nan).to(logits).unsqueeze(-1), -1)
    return hard(log_p, torch.where(inside, labels, 0), reduction)


@implements(
    SPARSE,
    api="twin: 0 for an empty batch, as documented",
    options=REDUCTION,
    semantics=Semantics(small_loss="absolute", mean_of_nothing="zero"),
)
def sparse_zero_of_nothing(logits, labels, *, reduction):
    losses = -picked(torch.log_softmax(logits, -1), labels)
    return losses.sum() / max(1, losses.numel()) if reduction == "mean" else reduced(losses, reduction)


@implements(SOFTMAX, api="twin: plain", options=REDUCTION, semantics=LOSES_SMALL, grade=Grade("plain", "quotient"))
def softmax_plain(logits, targets, *, reduction):
    return soft(plain_log_softmax(logits), targets, reduction)


@implements(SOFTMAX, api="twin: torch.log_softmax", options=REDUCTION, semantics=LOSES_SMALL)
def softmax_native(logits, targets, *, reduction):
    return soft(torch.log_softmax(logits, -1), targets, reduction)


@implements(
    SOFTMAX,
    api="twin: 0 * -inf, as documented",
    options=REDUCTION,
    semantics=Semantics(small_loss="absolute", masked_class="nan"),
)
def softmax_product(logits, targets, *, reduction):
    return reduced(-(targets * torch.log_softmax(logits, -1)).sum(-1), reduction)


@implements(
    SOFTMAX,
    api="twin: p - t and constant targets, as documented",
    options=REDUCTION,
    semantics=Semantics(small_loss="absolute", unnormalised_gradient="unscaled", target_gradient="none"),
    grade=Grade("plain", "quotient"),
)
def softmax_unscaled(logits, targets, *, reduction):
    log_p = torch.log_softmax(logits.detach(), -1)
    value = -weighted(targets.detach(), log_p).sum(-1)
    return reduced(given(logits, targets.detach(), value, torch.softmax(logits, -1) - targets), reduction)


@implements(SOFTMAX, api="twin: exp(log_softmax) gradient", options=REDUCTION, semantics=LOSES_SMALL)
def softmax_reexponentiated(logits, targets, *, reduction):
    return soft(reexponentiated_log_softmax(logits), targets, reduction)


@implements(SOFTMAX, api="twin: log1p", options=REDUCTION, grade=Grade("log1p", "quotient"))
def softmax_log1p(logits, targets, *, reduction):
    return soft(log1p_log_softmax(logits), targets, reduction)


@implements(SOFTMAX, api="twin: logsumexp", options=REDUCTION, semantics=LOSES_SMALL, grade=Grade("lse", "lse"))
def softmax_lse(logits, targets, *, reduction):
    return soft(lse_log_softmax(logits), targets, reduction)


@implements(SOFTMAX, api="twin: online blocks", options=REDUCTION, semantics=LOSES_SMALL, grade=Grade("plain", "quotient"))
def softmax_online(logits, targets, *, reduction):
    return soft(online_log_softmax(logits), targets, reduction)


@implements(SOFTMAX, api="twin: exp2", options=REDUCTION, semantics=LOSES_SMALL)
def softmax_exp2(logits, targets, *, reduction):
    return soft(exp2_log_softmax(logits), targets, reduction)


@implements(SOFTMAX, api="twin: serial sum", options=REDUCTION, semantics=LOSES_SMALL, grade=Grade("plain", "quotient"))
def softmax_serial(logits, targets, *, reduction):
    return soft(serial_log_softmax(logits), targets, reduction)


def softplus(x):
    """Return log(1 + exp(x)) to full relative accuracy."""
    return x.clamp(min=0) + (-x.abs()).exp().log1p()


def folded(x, t):
    """Return max(x, 0) - x t, and its limit at x = +-inf."""
    against = torch.where(x > 0, 1 - t, t)
    return torch.where(x.isinf(), weighted(against, x.abs()), x.clamp(min=0) - x * t)


def sigmoid_pair_gradient(x, t):
    """Return (1 - t) sigmoid(x) - t sigmoid(-x)."""
    return (1 - t) * torch.sigmoid(x) - t * torch.sigmoid(-x)


@implements(SIGMOID, api="twin: pair", options=REDUCTION, grade=Grade("pair", "pair"))
def sigmoid_pair(logits, targets, *, reduction):
    x, t = logits.detach(), targets.detach()
    value = weighted(t, softplus(-x)) + weighted(1 - t, softplus(x))
    return reduced(given(logits, targets, value, sigmoid_pair_gradient(x, t), -x), reduction)


@implements(SIGMOID, api="twin: fold", options=REDUCTION, grade=Grade("fold", "direct"))
def sigmoid_fold(logits, targets, *, reduction):
    x, t = logits.detach(), targets.detach()
    value = folded(x, t) + (-x.abs()).exp().log1p()
    return reduced(given(logits, targets, value, torch.sigmoid(x) - t, -x), reduction)


@implements(SIGMOID, api="twin: split", options=REDUCTION, semantics=LOSES_SMALL, grade=Grade("split", "auto"))
def sigmoid_split(logits, targets, *, reduction):
    x, t = logits.detach(), targets.detach()
    value = torch.where(x.isinf(), folded(x, t), (1 - t) * x - F.logsigmoid(x))
    return reduced(given(logits, targets, value, (1 - t) - torch.sigmoid(-x), -x), reduction)


@implements(
    SIGMOID,
    api="twin: split by autodiff, IEEE at infinity, as documented",
    options=REDUCTION,
    semantics=Semantics(small_loss="absolute", infinite_logit="split"),
    grade=Grade("split", "auto"),
)
def sigmoid_autodiff(logits, targets, *, reduction):
    return reduced((1 - targets) * logits - F.logsigmoid(logits), reduction)


@implements(SIGMOID, api="twin: elements only", grade=Grade("pair", "pair"))
def sigmoid_elements_only(logits, targets):
    x, t = logits.detach(), targets.detach()
    value = weighted(t, softplus(-x)) + weighted(1 - t, softplus(x))
    return given(logits, targets, value, sigmoid_pair_gradient(x, t), -x)


def binary(probabilities, targets, log_of_other, gradient):
    """Return the binary cross-entropy from log(1 - p), with the gradient given and the exact target gradient."""
    p, t = probabilities.detach(), targets.detach()
    value = -(weighted(t, p.log()) + weighted(1 - t, log_of_other))
    return given(probabilities, targets, value, gradient, log_of_other - p.log())


def separate_gradient(p, t):
    """Return -t / p + (1 - t) / (1 - p), each term 0 where its target is."""
    here = torch.where((t == 0) & ~p.isnan(), 0, t / p)
    there = torch.where((t == 1) & ~p.isnan(), 0, (1 - t) / (1 - p))
    return there - here


def joint_gradient(p, t):
    """Return (p - t) / (p (1 - p)), and its limit where the target leaves one term."""
    inside = (p > 0) & (p < 1)
    return torch.where(inside, (p - t) / (p * (1 - p)), separate_gradient(p, t))


@implements(BINARY, api="twin: log", options=REDUCTION, semantics=LOSES_SMALL)
def binary_log(probabilities, targets, *, reduction):
    p, t = probabilities.detach(), targets.detach()
    return reduced(binary(probabilities, targets, (1 - p).log(), separate_gradient(p, t)), reduction)


@implements(BINARY, api="twin: log1p", options=REDUCTION, grade=Grade("log1p", "separate"))
def binary_log1p(probabilities, targets, *, reduction):
    p, t = probabilities.detach(), targets.detach()
    return reduced(binary(probabilities, targets, (-p).log1p(), separate_gradient(p, t)), reduction)


@implements(BINARY, api="twin: log1p, joint gradient", options=REDUCTION, grade=Grade("log1p", "joint"))
def binary_log1p_joint(probabilities, targets, *, reduction):
    p, t = probabilities.detach(), targets.detach()
    return reduced(binary(probabilities, targets, (-p).log1p(), joint_gradient(p, t)), reduction)


@implements(BINARY, api="twin: log, joint gradient", options=REDUCTION, semantics=LOSES_SMALL, grade=Grade("log", "joint"))
def binary_log_joint(probabilities, targets, *, reduction):
    p, t = probabilities.detach(), targets.detach()
    return reduced(binary(probabilities, targets, (1 - p).log(), joint_gradient(p, t)), reduction)


@implements(CATEGORICAL, api="twin: log", options=REDUCTION)
def categorical_log(probabilities, targets, *, reduction):
    return soft(row_log(probabilities), targets, reduction)


@implements(
    CATEGORICAL,
    api="twin: renormalised, as documented",
    options=REDUCTION,
    semantics=Semantics(probability_sum="renormalised"),
)
def categorical_renormalised(probabilities, targets, *, reduction):
    p, t = probabilities.detach(), targets.detach()
    total = p.sum(-1, keepdim=True)
    log_p = row_log(p / total)
    gradient = t.sum(-1, keepdim=True) / total - torch.where((t == 0) & (p == 0), 0, t / p)
    return reduced(given(probabilities, targets, -weighted(t, log_p).sum(-1), gradient, -log_p), reduction)


@implements(CATEGORICAL, api="twin: rows only")
def categorical_rows_only(probabilities, targets):
    return -weighted(targets, row_log(probabilities)).sum(-1)


@implements(SPARSE_CATEGORICAL, api="twin: log", options=REDUCTION)
def sparse_categorical_log(probabilities, labels, *, reduction):
    return hard(row_log(probabilities), labels, reduction)


@implements(SPARSE_CATEGORICAL, api="twin: rows only")
def sparse_categorical_rows_only(probabilities, labels):
    return -picked(row_log(probabilities), labels)


TWINS: tuple[Binding, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Binding))
