"""Losses broken on purpose, in PyTorch: what the suite must always catch.

Each binding is sound but for the one mistake that its docstring names, and right where a quick look would try it. The sound
pieces are those of `tests.conformance.twins`.
"""

import math
from functools import partial

import torch
import torch.nn.functional as F

from adapters.binding import Binding, implements
from reference.losses import Grade
from reference.semantics import Semantics
from tests.conformance.twins import (
    BINARY,
    CATEGORICAL,
    LOSES_SMALL,
    REDUCTION,
    SIGMOID,
    SOFTMAX,
    SPARSE,
    SPARSE_CATEGORICAL,
    binary,
    folded,
    given,
    given_log_softmax,
    hard,
    lse_log_softmax,
    picked,
    plain_log_softmax,
    reduced,
    row_log,
    separate_gradient,
    sigmoid_pair_gradient,
    soft,
    softplus,
    weighted,
)

sparse = partial(implements, SPARSE, options=REDUCTION, semantics=LOSES_SMALL)
softmax = partial(implements, SOFTMAX, options=REDUCTION, semantics=LOSES_SMALL)
sigmoid = partial(implements, SIGMOID, options=REDUCTION, grade=Grade("fold", "direct"))
binary_loss = partial(implements, BINARY, options=REDUCTION, semantics=LOSES_SMALL)
categorical = partial(implements, CATEGORICAL, options=REDUCTION)
sparse_categorical = partial(implements, SPARSE_CATEGORICAL, options=REDUCTION)
QUOTIENT = Grade("plain", "quotient")
LSE = Grade("lse", "lse")


def sparse_gradient(logits, labels):
    """Return the sound gradient of sparse softmax cross-entropy, p - onehot."""
    return torch.softmax(logits.detach(), -1) - F.one_hot(labels, logits.shape[-1])


def sparse_losses(logits, labels):
    """Return the sound sparse softmax cross-entropy of each row."""
    return -picked(torch.log_softmax(logits, -1), labels)


def shifted_by(logits, shift):
    """Return the log softmax of a kernel that subtracts ``shift`` instead of the maximum of each row."""
    x = logits.detach() - shift
    total = x.exp().sum(-1, keepdim=True)
    return given_log_softmax(logits, x - total.log(), x.exp() / total)


def batch_maximum(logits):
    """Return the largest logit of the whole batch, 0 for an empty one."""
    return logits.detach().max() if logits.numel() else 0.0


# Values: the shift and the normaliser


@sparse(api="mutant: no maximum subtracted", grade=LSE)
def no_shift(logits, labels, *, reduction):
    """Exponentials of the logits as they are overflow."""
    return hard(logits - logits.exp().sum(-1, keepdim=True).log(), labels, reduction)


@sparse(api="mutant: maximum of the batch subtracted", grade=QUOTIENT)
def batch_shift(logits, labels, *, reduction):
    """One shift for the whole batch: rows far below it underflow."""
    return hard(shifted_by(logits, batch_maximum(logits)), labels, reduction)


@softmax(api="mutant: maximum over the wrong axis", grade=QUOTIENT)
def wrong_maximum_axis(logits, targets, *, reduction):
    """Each class is shifted by its own maximum over the rows."""
    shift = logits.detach().amax(0) if len(logits) else 0.0
    return soft(shifted_by(logits, shift), targets, reduction)


@sparse(api="mutant: class axis guessed by its size")
def square_axis(logits, labels, *, reduction):
    """With as many rows as classes, the softmax runs over the rows."""
    axis = 0 if logits.shape[0] == logits.shape[-1] > 1 else -1
    return hard(torch.log_softmax(logits, axis), labels, reduction)


@softmax(api="mutant: softmax over the rows")
def batch_axis(logits, targets, *, reduction):
    """The softmax runs over axis 0."""
    return soft(torch.log_softmax(logits, 0), targets, reduction)


@sparse(api="mutant: last class left out of the sum", grade=LSE)
def last_class_dropped(logits, labels, *, reduction):
    """The loop over the classes ends one early."""
    seen = logits[..., : max(1, logits.shape[-1] - 1)]
    return hard(logits - seen.logsumexp(-1, keepdim=True), labels, reduction)


@sparse(api="mutant: classes beyond 1024 ignored", grade=LSE)
def first_block_only(logits, labels, *, reduction):
    """One block of 1024 threads, and no loop over the rest of the classes."""
    return hard(logits - logits[..., :1024].logsumexp(-1, keepdim=True), labels, reduction)


@softmax(api="mutant: classes after the last whole vector ignored", grade=LSE)
def vector_tail_dropped(logits, targets, *, reduction):
    """Four classes at a time, and no loop over the remaining ones."""
    classes = logits.shape[-1]
    seen = logits[..., : classes - classes % 4 or classes]
    return soft(logits - seen.logsumexp(-1, keepdim=True), targets, reduction)


@sparse(api="mutant: classes padded with zeros")
def padded_with_zeros(logits, labels, *, reduction):
    """The classes are padded to a multiple of 8 with logits of 0 instead of -inf."""
    classes = logits.shape[-1]
    log_p = torch.log_softmax(F.pad(logits, (0, -classes % 8)), -1)
    return hard(log_p[..., :classes], labels, reduction)


@sparse(api="mutant: rows beyond 512 not computed")
def rows_beyond_the_grid(logits, labels, *, reduction):
    """The grid covers 512 rows; the others keep the zeros of a fresh buffer."""
    losses = sparse_losses(logits, labels)
    return reduced(torch.where(torch.arange(len(losses)) < 512, losses, 0), reduction)


@sparse(api="mutant: one maximum for a tile of 128 rows", grade=QUOTIENT)
def tile_shift(logits, labels, *, reduction):
    """Every row of a tile is shifted by the maximum of its first row."""
    first = torch.arange(len(logits)) // 128 * 128
    return hard(shifted_by(logits, logits.detach().amax(-1, keepdim=True)[first]), labels, reduction)


@sparse(api="mutant: running sum not rescaled", grade=QUOTIENT)
def online_without_rescaling(logits, labels, *, reduction):
    """An online softmax over blocks of 64 classes keeps its sum when the running maximum moves."""
    x = logits.detach()
    largest, total = torch.full_like(x[..., :1], -math.inf), torch.zeros_like(x[..., :1])
    for block in x.split(64, dim=-1):
        largest = torch.maximum(largest, block.amax(-1, keepdim=True))
        total = total + (block - largest).exp().sum(-1, keepdim=True)
    log_p = x - largest - total.log()
    return hard(given_log_softmax(logits, log_p, (x - largest).exp() / total), labels, reduction)


@softmax(api="mutant: blocks overlap by one class", grade=LSE)
def overlapping_blocks(logits, targets, *, reduction):
    """A class at the border of two blocks of 256 is counted in both."""
    starts = range(0, logits.shape[-1], 256)
    blocks = torch.cat([logits[..., start : start + 257] for start in starts], -1)
    return soft(logits - blocks.logsumexp(-1, keepdim=True), targets, reduction)


@sparse(api="mutant: maximum found by comparing bits", grade=QUOTIENT)
def bitwise_maximum(logits, labels, *, reduction):
    """Floats compared as integers: among negative logits alone the smallest wins, and the exponentials overflow."""
    x = logits.detach()
    integer = torch.int64 if x.dtype == torch.float64 else torch.int32
    largest = x.contiguous().view(integer).amax(-1, keepdim=True).view(x.dtype)
    return hard(shifted_by(logits, largest), labels, reduction)


@sparse(api="mutant: ties of the maximum counted once", grade=Grade("log1p", "quotient"), semantics=Semantics())
def ties_counted_once(logits, labels, *, reduction):
    """The log1p form adds up the classes below the maximum instead of all but one."""
    x = logits.detach()
    shifted = x - x.amax(-1, keepdim=True)
    others = torch.where(shifted == 0, 0, shifted.exp()).sum(-1, keepdim=True)
    return hard(given_log_softmax(logits, shifted - others.log1p(), shifted.exp() / (1 + others)), labels, reduction)


# Values: digits


@sparse(api="mutant: log2 of the sum", grade=QUOTIENT)
def log2_of_sum(logits, labels, *, reduction):
    """The logarithm of the normaliser is to base 2."""
    shifted = logits - logits.detach().amax(-1, keepdim=True)
    return hard(shifted - shifted.exp().sum(-1, keepdim=True).log2(), labels, reduction)


@sparse(api="mutant: logsumexp passed for plain")
def cancelling_form(logits, labels, *, reduction):
    """logsumexp(x) - x_j cancels under a common offset, though the plain form is declared."""
    return hard(lse_log_softmax(logits), labels, reduction)


@sparse(api="mutant: log1p form claimed, plain form computed", grade=Grade("log1p", "quotient"), semantics=Semantics())
def small_loss_lost(logits, labels, *, reduction):
    """log(1 + s) loses what is below the roundoff, though no document says so."""
    return hard(plain_log_softmax(logits), labels, reduction)


@implements("generalized_cross_entropy", api="mutant: 1 - p^q of a p that is nearly 1")
def small_generalized_loss_lost(probabilities, labels):
    """Half of the digits of a loss of 1e-4 are gone, and no document says so."""
    return 2 - 2 * probabilities.gather(-1, labels[:, None])[:, 0] ** 0.5


@sparse(api="mutant: logits rounded to TF32")
def tf32_logits(logits, labels, *, reduction):
    """Ten bits of the logits' mantissa survive."""
    mantissa, exponent = torch.frexp(logits.detach())
    x = torch.where(logits.isfinite(), torch.ldexp((mantissa * 2048).round() / 2048, exponent), logits.detach())
    return hard(given_log_softmax(logits, x.log_softmax(-1), x.softmax(-1)), labels, reduction)


@softmax(api="mutant: log softmax in bfloat16")
def bfloat16_softmax(logits, targets, *, reduction):
    """Automatic mixed precision rounds the logits to bfloat16."""
    return soft(torch.log_softmax(logits.bfloat16().to(logits.dtype), -1), targets, reduction)


@sparse(api="mutant: float16 accumulator", grade=QUOTIENT)
def float16_accumulator(logits, labels, *, reduction):
    """The sum of the exponentials is kept in float16."""
    shifted = logits - logits.detach().amax(-1, keepdim=True)
    total = shifted.exp().half().sum(-1, keepdim=True).to(logits.dtype)
    return hard(shifted - total.log(), labels, reduction)


@sparse(api="mutant: exp by a short polynomial", grade=QUOTIENT)
def short_exp(logits, labels, *, reduction):
    """exp by a Taylor polynomial of degree 5 after range reduction errs by 2e-6."""
    x = logits.detach() - logits.detach().amax(-1, keepdim=True)
    power = (x.clamp(min=-87) * math.log2(math.e)).round()
    rest = x.clamp(min=-87) - power * math.log(2)
    series = sum(rest**k / math.factorial(k) for k in range(6))
    exponentials = torch.where(x < -87, 0, torch.ldexp(series, power.nan_to_num().int()))
    total = exponentials.sum(-1, keepdim=True)
    return hard(given_log_softmax(logits, x - total.log(), exponentials / total), labels, reduction)


@sparse(api="mutant: label smoothing of 1e-6 left on")
def smoothing_left_on(logits, labels, *, reduction):
    """A millionth of the target mass is spread over the classes."""
    log_p = torch.log_softmax(logits, -1)
    return reduced(-(1 - 1e-6) * picked(log_p, labels) - 1e-6 * log_p.mean(-1), reduction)


@sparse(api="mutant: value times 1 + 2e-6")
def scaled_2e6(logits, labels, *, reduction):
    """The loss is two millionths too large."""
    return reduced(sparse_losses(logits, labels) * (1 + 2e-6), reduction)


@sparse(api="mutant: value times 1 + 3e-7, gradient exact")
def biased_3e7(logits, labels, *, reduction):
    """A bias of a few roundoffs, inside the bound but for the largest losses."""
    value = sparse_losses(logits.detach(), labels) * (1 + 3e-7)
    return reduced(given(logits, labels, value, sparse_gradient(logits, labels)), reduction)


@sparse(api="mutant: value times 1 + 2 u, gradient exact")
def biased_last_place(logits, labels, *, reduction):
    """One unit in the last place too large: at the edge of the bound of the largest losses, plain in the mean of many."""
    value = sparse_losses(logits.detach(), labels) * (1 + torch.finfo(logits.dtype).eps)
    return reduced(given(logits, labels, value, sparse_gradient(logits, labels)), reduction)


@sparse(api="mutant: value plus 1e-6")
def offset_1e6(logits, labels, *, reduction):
    """A millionth is added to every loss."""
    return reduced(sparse_losses(logits, labels) + 1e-6, reduction)


@sigmoid(api="mutant: log(1 + exp(-|x|)) for log1p")
def sigmoid_without_log1p(logits, targets, *, reduction):
    """Losses below the roundoff vanish."""
    x, t = logits.detach(), targets.detach()
    value = folded(x, t) + (1 + (-x.abs()).exp()).log()
    return reduced(given(logits, targets, value, torch.sigmoid(x) - t, -x), reduction)


@sigmoid(api="mutant: softplus linear above 20 (float64)", grade=Grade("pair", "pair"))
def linear_softplus(logits, targets, *, reduction):
    """torch.nn.functional.softplus returns x above 20, too early for float64; float32 cannot tell."""
    x, t = logits.detach(), targets.detach()
    value = weighted(t, F.softplus(-x)) + weighted(1 - t, F.softplus(x))
    return reduced(given(logits, targets, value, sigmoid_pair_gradient(x, t), -x), reduction)


@sigmoid(api="mutant: log over sigmoid")
def log_of_sigmoid(logits, targets, *, reduction):
    """The logarithm of a saturated sigmoid."""
    p = torch.sigmoid(logits)
    return reduced(-(targets * p.log() + (1 - targets) * (1 - p).log()), reduction)


@sigmoid(api="mutant: positive part alone", grade=Grade("pair", "pair"))
def positive_part_alone(logits, targets, *, reduction):
    """-t log sigmoid(x), without the outcomes that did not happen."""
    return reduced(weighted(targets, softplus(-logits)), reduction)


@binary_loss(api="mutant: log(1 - p) for log1p(-p)", grade=Grade("log1p", "separate"), semantics=Semantics())
def binary_without_log1p(probabilities, targets, *, reduction):
    """1 - p rounds a small p away, though the log1p form is declared."""
    p, t = probabilities.detach(), targets.detach()
    return reduced(binary(probabilities, targets, (1 - p).log(), separate_gradient(p, t)), reduction)


@binary_loss(api="mutant: log(p + 1e-7)")
def binary_plus_epsilon(probabilities, targets, *, reduction):
    """An epsilon inside both logarithms that no document names."""
    here, there = (probabilities + 1e-7).log(), (1 - probabilities + 1e-7).log()
    return reduced(-(targets * here + (1 - targets) * there), reduction)


@binary_loss(api="mutant: sign of the second term")
def wrong_sign(probabilities, targets, *, reduction):
    """-t log p + (1 - t) log(1 - p): right for targets of 1."""
    terms = weighted(targets, row_log(probabilities)) - weighted(1 - targets, row_log(1 - probabilities))
    return reduced(-terms, reduction)


@binary_loss(api="mutant: floor of -100", grade=Grade("log1p", "joint"), semantics=Semantics())
def undeclared_floor(probabilities, targets, *, reduction):
    """The logarithms are floored at -100 without a word."""
    return F.binary_cross_entropy(probabilities, targets, reduction=reduction)


@categorical(api="mutant: clip 1e-7")
def categorical_clip(probabilities, targets, *, reduction):
    """Probabilities are clipped to [1e-7, 1 - 1e-7] without a word."""
    return soft(row_log(probabilities.clamp(1e-7, 1 - 1e-7)), targets, reduction)


@categorical(api="mutant: log(p + 1e-12)")
def categorical_plus_epsilon(probabilities, targets, *, reduction):
    """An epsilon that only small probabilities show."""
    return soft(row_log(probabilities + 1e-12), targets, reduction)


@sparse_categorical(api="mutant: probabilities at least the smallest normal number")
def clamp_to_smallest(probabilities, labels, *, reduction):
    """p = 0 costs 87 (708 in float64) instead of infinity."""
    return hard(row_log(probabilities.clamp(min=torch.finfo(probabilities.dtype).tiny)), labels, reduction)


@categorical(api="mutant: probabilities renormalised")
def undeclared_renormalisation(probabilities, targets, *, reduction):
    """p / sum p without a word: right for proper distributions."""
    return soft(row_log(probabilities / probabilities.sum(-1, keepdim=True)), targets, reduction)


# Gradients


class _Deaf(torch.autograd.Function):
    @staticmethod
    def forward(ctx, prediction, value, gradient):
        ctx.save_for_backward(gradient)
        return value.clone()

    @staticmethod
    def backward(ctx, upstream):
        return ctx.saved_tensors[0], None, None


class _FirstUpstream(torch.autograd.Function):
    @staticmethod
    def forward(ctx, prediction, value, gradient):
        ctx.save_for_backward(gradient)
        return value.clone()

    @staticmethod
    def backward(ctx, upstream):
        return upstream[:1, None] * ctx.saved_tensors[0], None, None


@sparse(api="mutant: upstream gradient ignored")
def upstream_ignored(logits, labels, *, reduction):
    """The backward pass returns its own gradient, as if the upstream one were ones."""
    value = reduced(sparse_losses(logits.detach(), labels), reduction)
    gradient = sparse_gradient(logits, labels)
    return _Deaf.apply(logits, value, gradient / len(gradient) if reduction == "mean" else gradient)


@sparse(api="mutant: upstream gradient of a reduced loss ignored")
def reduced_upstream_ignored(logits, labels, *, reduction):
    """A gradient computed in the forward pass, scaled by what comes from above only without reduction."""
    if reduction == "none":
        return sparse_losses(logits, labels)
    value = reduced(sparse_losses(logits.detach(), labels), reduction)
    gradient = sparse_gradient(logits, labels)
    return _Deaf.apply(logits, value, gradient / len(gradient) if reduction == "mean" else gradient)


class _TripledTarget(torch.autograd.Function):
    @staticmethod
    def forward(ctx, targets):
        return targets.clone()

    @staticmethod
    def backward(ctx, upstream):
        return 3 * upstream


@softmax(api="mutant: target gradient of a sum three times too large")
def target_gradient_of_a_sum(logits, targets, *, reduction):
    """Sound without reduction; the fused sum scales the gradient of its targets wrongly."""
    targets = targets if reduction == "none" else _TripledTarget.apply(targets)
    return soft(plain_log_softmax(logits), targets, reduction)


@sparse(api="mutant: a tile of masked classes is NaN")
def masked_tile(logits, labels, *, reduction):
    """A blockwise softmax that starts from a block of eight -inf: -inf - -inf = NaN."""
    first = logits[:, :8]
    lost = torch.isneginf(first).all(-1) if first.shape[-1] == 8 else torch.zeros(len(logits), dtype=torch.bool)
    return reduced(torch.where(lost, torch.nan, sparse_losses(logits, labels)), reduction)


@sparse(api="mutant: NaN seen at the label only")
def nan_elsewhere_swallowed(logits, labels, *, reduction):
    """NaN in any class but the label's is taken for -inf."""
    at_label = F.one_hot(labels, logits.shape[-1]).bool()
    return reduced(sparse_losses(torch.where(logits.isnan() & ~at_label, -torch.inf, logits), labels), reduction)


@sparse(api="mutant: upstream gradient of the first row")
def first_upstream(logits, labels, *, reduction):
    """Every row is scaled by the upstream gradient of the first one."""
    losses = _FirstUpstream.apply(logits, sparse_losses(logits.detach(), labels), sparse_gradient(logits, labels))
    return reduced(losses, reduction)


@sparse(api="mutant: gradient of the mean without 1 / N")
def mean_gradient_unscaled(logits, labels, *, reduction):
    """The fused backward pass of the mean forgets its divisor."""
    value = reduced(sparse_losses(logits.detach(), labels), reduction)
    return given(logits, labels, value, sparse_gradient(logits, labels))


@sparse(api="mutant: gradient without the label")
def label_forgotten(logits, labels, *, reduction):
    """p instead of p - onehot."""
    return reduced(given(logits, labels, sparse_losses(logits.detach(), labels), logits.softmax(-1)), reduction)


@sparse(api="mutant: gradient leaks through the maximum", grade=QUOTIENT)
def leaked_maximum(logits, labels, *, reduction):
    """The maximum is a constant in one place and not in the other."""
    largest = logits.amax(-1, keepdim=True)
    total = (logits - largest).exp().sum(-1, keepdim=True)
    return hard(logits - largest.detach() - total.log(), labels, reduction)


@sparse(api="mutant: gradient plus 1e-8")
def gradient_offset(logits, labels, *, reduction):
    """Every component is 1e-8 too large."""
    gradient = sparse_gradient(logits, labels) + 1e-8
    return reduced(given(logits, labels, sparse_losses(logits.detach(), labels), gradient), reduction)


@sparse(api="mutant: gradient times 1 + 1e-6")
def gradient_scaled(logits, labels, *, reduction):
    """The gradient is a millionth too large, the value exact."""
    gradient = sparse_gradient(logits, labels) * (1 + 1e-6)
    return reduced(given(logits, labels, sparse_losses(logits.detach(), labels), gradient), reduction)


@sparse(api="mutant: probabilities saved in bfloat16")
def bfloat16_backward(logits, labels, *, reduction):
    """The forward pass saves its probabilities in bfloat16 for the backward pass."""
    log_p = torch.log_softmax(logits.detach(), -1)
    return hard(given_log_softmax(logits, log_p, log_p.exp().bfloat16().to(log_p.dtype)), labels, reduction)


@sparse(api="mutant: small gradients skipped")
def gradient_filtered(logits, labels, *, reduction):
    """Components below 1e-6 are set to 0 to save work."""
    gradient = sparse_gradient(logits, labels)
    gradient = torch.where(gradient.abs() < 1e-6, 0, gradient)
    return reduced(given(logits, labels, sparse_losses(logits.detach(), labels), gradient), reduction)


@softmax(api="mutant: targets detached")
def targets_detached(logits, targets, *, reduction):
    """No gradient reaches the targets, and no document says so."""
    return soft(torch.log_softmax(logits, -1), targets.detach(), reduction)


@softmax(api="mutant: sign of the target gradient")
def target_gradient_sign(logits, targets, *, reduction):
    """log p instead of -log p for the targets."""
    log_p = torch.log_softmax(logits.detach(), -1)
    t = targets.detach()
    gradient = log_p.exp() * t.sum(-1, keepdim=True) - t
    return reduced(given(logits, targets, -weighted(t, log_p).sum(-1), gradient, log_p), reduction)


@softmax(api="mutant: p - t for targets of any sum")
def unscaled_gradient(logits, targets, *, reduction):
    """The closed form for targets that sum to one, used for all."""
    log_p = torch.log_softmax(logits.detach(), -1)
    value = -weighted(targets.detach(), log_p).sum(-1)
    return reduced(given(logits, targets, value, log_p.exp() - targets, -log_p), reduction)


@softmax(api="mutant: log of softmax under where")
def where_around_log(logits, targets, *, reduction):
    """torch.where hides 0 * -inf from the value, not from the gradient."""
    log_p = torch.softmax(logits, -1).log()
    return reduced(-torch.where(targets == 0, 0, targets * log_p).sum(-1), reduction)


@sigmoid(api="mutant: subgradient of max(x, 0) at 0", semantics=Semantics(infinite_logit="fold"), grade=Grade("fold", "auto"))
def kink(logits, targets, *, reduction):
    """Autodiff of max(x, 0) - x t + log1p(exp(-|x|)) gives -t at x = 0."""
    losses = F.relu(logits) - logits * targets + (-logits.abs()).exp().log1p()
    return reduced(losses, reduction)


@sigmoid(api="mutant: sigmoid by tanh")
def sigmoid_by_tanh(logits, targets, *, reduction):
    """(1 + tanh(x / 2)) / 2 cancels for negative logits."""
    x, t = logits.detach(), targets.detach()
    value = folded(x, t) + (-x.abs()).exp().log1p()
    return reduced(given(logits, targets, value, (1 + torch.tanh(x / 2)) / 2 - t, -x), reduction)


@sigmoid(api="mutant: sigmoid(x) - 1 passed for -sigmoid(-x)", grade=Grade("pair", "pair"))
def cancelled_gradient(logits, targets, *, reduction):
    """The gradient of a confident right answer cancels to 0, though the pair form is declared."""
    x, t = logits.detach(), targets.detach()
    value = weighted(t, softplus(-x)) + weighted(1 - t, softplus(x))
    return reduced(given(logits, targets, value, torch.sigmoid(x) - t, -x), reduction)


@binary_loss(api="mutant: gradient clipped to [-1, 1]")
def gradient_clipped(probabilities, targets, *, reduction):
    """Gradient clipping inside the loss."""
    p, t = probabilities.detach(), targets.detach()
    gradient = separate_gradient(p, t).clamp(-1, 1)
    return reduced(binary(probabilities, targets, (1 - p).log(), gradient), reduction)


@binary_loss(api="mutant: gradient of a clip")
def gradient_of_clip(probabilities, targets, *, reduction):
    """The value is exact, the gradient 0 outside [1e-7, 1 - 1e-7]."""
    p, t = probabilities.detach(), targets.detach()
    gradient = torch.where((p < 1e-7) | (p > 1 - 1e-7), 0, separate_gradient(p, t))
    return reduced(binary(probabilities, targets, (1 - p).log(), gradient), reduction)


@categorical(api="mutant: 0 / 0 at a target of 0")
def zero_over_zero(probabilities, targets, *, reduction):
    """p = 0 under a target of 0 is right in the value and NaN in the gradient."""
    return soft(probabilities.log(), targets, reduction)


# Special values


@sparse(api="mutant: NaN swallowed")
def nan_swallowed(logits, labels, *, reduction):
    """NaN logits become 0."""
    return reduced(sparse_losses(logits.nan_to_num(nan=0.0, posinf=math.inf, neginf=-math.inf), labels), reduction)


@sparse(api="mutant: NaN losses left out of the mean")
def nan_mean(logits, labels, *, reduction):
    """The mean and the sum skip NaN."""
    losses = sparse_losses(logits, labels)
    return losses if reduction == "none" else {"mean": losses.nanmean, "sum": losses.nansum}[reduction]()


@sparse(api="mutant: 0 * sum added")
def nan_spread(logits, labels, *, reduction):
    """The trick that keeps every parameter in the graph carries a NaN into all rows."""
    return reduced(sparse_losses(logits, labels) + 0.0 * logits.clamp(-1, 1).sum(), reduction)


@softmax(api="mutant: 0 * -inf")
def masked_class_nan(logits, targets, *, reduction):
    """A masked class with a target of 0 makes NaN, and no document says so."""
    return reduced(-(targets * torch.log_softmax(logits, -1)).sum(-1), reduction)


@sparse(api="mutant: a row of masked classes costs 0")
def all_masked_zero(logits, labels, *, reduction):
    """A row of nothing but -inf is passed off as a perfect one."""
    masked = logits.isneginf().all(-1)
    return reduced(torch.where(masked, 0, sparse_losses(logits, labels)), reduction)


@sparse(api="mutant: -inf replaced by the lowest number")
def lowest_for_infinity(logits, labels, *, reduction):
    """A masked label costs a finite loss, and a row of masked classes log C."""
    lowest = torch.finfo(logits.dtype).min
    return reduced(sparse_losses(logits.clamp(min=lowest), labels), reduction)


@softmax(api="mutant: logits clamped to [-50, 50]")
def softmax_clamp(logits, targets, *, reduction):
    """Large logits are cut off, gradient and all."""
    return soft(torch.log_softmax(logits.clamp(-50, 50), -1), targets, reduction)


@sigmoid(api="mutant: logits clamped to [-88, 88]")
def sigmoid_clamp(logits, targets, *, reduction):
    """The clamp that keeps exp from overflowing ends the loss at 88."""
    x, t = logits.detach().clamp(-88, 88), targets.detach()
    value = folded(x, t) + (-x.abs()).exp().log1p()
    return reduced(given(logits, targets, value, torch.sigmoid(x) - t, -logits), reduction)


@sigmoid(api="mutant: infinite logits clamped")
def infinite_logit_clamped(logits, targets, *, reduction):
    """The wrong answer at a logit of +-inf costs the largest number instead of infinity."""
    largest = torch.finfo(logits.dtype).max
    x, t = logits.detach().clamp(-largest, largest), targets.detach()
    value = folded(x, t) + (-x.abs()).exp().log1p()
    return reduced(given(logits, targets, value, torch.sigmoid(x) - t, -logits), reduction)


@sparse(api="mutant: logits of 0 taken for padding")
def zero_logit_masked(logits, labels, *, reduction):
    """A logit of exactly 0 is treated as absent."""
    absent = (logits == 0) & (logits.count_nonzero(-1) > 0).unsqueeze(-1)
    return reduced(sparse_losses(logits.masked_fill(absent, -math.inf), labels), reduction)


@sparse(api="mutant: a single class taken for a binary logit")
def single_class_binary(logits, labels, *, reduction):
    """One column is read as the logit of two outcomes."""
    if logits.shape[-1] == 1:
        return reduced(softplus(-logits[..., 0]), reduction)
    return reduced(sparse_losses(logits, labels), reduction)


@sparse(api="mutant: an empty batch raises")
def empty_raises(logits, labels, *, reduction):
    """A check of the largest logit fails where there is none."""
    if logits.detach().max() == math.inf:
        raise ValueError("a logit is +inf")
    return reduced(sparse_losses(logits, labels), reduction)


@sparse(api="mutant: the sum of an empty batch is empty")
def empty_sum(logits, labels, *, reduction):
    """The early exit for empty batches returns no number for a sum."""
    return logits.sum(-1) if not len(labels) else reduced(sparse_losses(logits, labels), reduction)


@softmax(api="mutant: the mean of an empty batch is 0")
def empty_mean(logits, targets, *, reduction):
    """The divisor is at least 1, and no document says so."""
    losses = -weighted(targets, torch.log_softmax(logits, -1)).sum(-1)
    return losses.sum() / max(1, len(losses)) if reduction == "mean" else reduced(losses, reduction)


@sparse(api="mutant: labels out of range clamped")
def labels_clamped(logits, labels, *, reduction):
    """Label C becomes the last class in silence, -1 the first."""
    return reduced(sparse_losses(logits, labels.clamp(0, logits.shape[-1] - 1)), reduction)


@sparse(api="mutant: labels out of range ignored")
def labels_ignored(logits, labels, *, reduction):
    """A label out of range costs nothing, in silence."""
    inside = (labels >= 0) & (labels < logits.shape[-1])
    return reduced(torch.where(inside, sparse_losses(logits, torch.where(inside, labels, 0)), 0), reduction)


@sparse_categorical(api="mutant: negative labels wrap around")
def labels_wrapped(probabilities, labels, *, reduction):
    """Label -1 is the last class, as indices are in Python."""
    return hard(row_log(probabilities), torch.where(labels < 0, labels + probabilities.shape[-1], labels), reduction)


@sparse_categorical(api="mutant: label C read from the next row")
def label_of_next_row(probabilities, labels, *, reduction):
    """A flat index without a check: label C is the first class of the row after it."""
    log_p = row_log(probabilities)
    flat = torch.arange(len(labels)) * log_p.shape[-1] + labels
    return reduced(-log_p.reshape(-1)[flat % max(1, log_p.numel())], reduction)


@sparse(api="mutant: label 0 taken for padding")
def label_zero_ignored(logits, labels, *, reduction):
    """Rows with label 0 cost nothing."""
    return reduced(torch.where(labels == 0, 0, sparse_losses(logits, labels)), reduction)


# Targets


@softmax(api="mutant: argmax of the targets")
def target_argmax(logits, targets, *, reduction):
    """Soft targets are treated as hard ones."""
    one_hot = F.one_hot(targets.argmax(-1), targets.shape[-1]).to(targets.dtype)
    return soft(torch.log_softmax(logits, -1), one_hot + (targets - targets.detach()), reduction)


@softmax(api="mutant: targets renormalised")
def targets_renormalised(logits, targets, *, reduction):
    """Targets are divided by their sum: right where it is one."""
    return soft(torch.log_softmax(logits, -1), targets / targets.sum(-1, keepdim=True), reduction)


@softmax(api="mutant: target mass ignored", grade=LSE)
def target_mass_ignored(logits, targets, *, reduction):
    """logsumexp(x) - sum t x: right where the targets sum to one."""
    return reduced(logits.logsumexp(-1) - weighted(targets, logits).sum(-1), reduction)


@sigmoid(api="mutant: targets above 1/2 count as 1")
def targets_thresholded(logits, targets, *, reduction):
    """Soft targets are rounded to 0 or 1; hard ones are right."""
    x, t = logits.detach(), (targets.detach() > 0.5).to(logits.dtype)
    value = folded(x, t) + (-x.abs()).exp().log1p()
    return reduced(given(logits, targets, value, torch.sigmoid(x) - t, -x), reduction)


@binary_loss(api="mutant: targets cast to integers")
def targets_truncated(probabilities, targets, *, reduction):
    """Every target below 1 becomes 0; hard ones are right."""
    p, t = probabilities.detach(), targets.detach().long().to(probabilities.dtype)
    value = -(weighted(t, p.log()) + weighted(1 - t, (1 - p).log()))
    gradient = separate_gradient(p, t)
    return reduced(given(probabilities, targets, value, gradient, (1 - p).log() - p.log()), reduction)


@sparse(api="mutant: labels kept in 8 bits")
def labels_in_a_byte(logits, labels, *, reduction):
    """Label 256 becomes 0."""
    return reduced(sparse_losses(logits, torch.where(labels > 0, labels.to(torch.uint8).long(), labels)), reduction)


# Shapes and memory


def misread(array):
    """Return what a kernel sees that takes the array's memory for contiguous."""
    strides = [math.prod(array.shape[axis + 1 :]) for axis in range(array.ndim)]
    return array.as_strided(array.shape, strides)


@sparse(api="mutant: strides of the logits ignored")
def logit_strides_ignored(logits, labels, *, reduction):
    """The kernel reads memory as if rows were contiguous."""
    return reduced(sparse_losses(misread(logits), labels), reduction)


@softmax(api="mutant: strides of the targets ignored")
def target_strides_ignored(logits, targets, *, reduction):
    """The logits are read rightly, the targets as if contiguous."""
    return soft(torch.log_softmax(logits, -1), misread(targets), reduction)


@sigmoid(api="mutant: gradient in the memory order of the logits")
def gradient_order(logits, targets, *, reduction):
    """The gradient buffer has the strides of the logits and is read as if contiguous."""
    x, t = logits.detach(), targets.detach()
    value = folded(x, t) + (-x.abs()).exp().log1p()
    gradient = torch.empty_like(x).copy_(torch.sigmoid(x) - t)
    return reduced(given(logits, targets, value, misread(gradient), -x), reduction)


@sparse(api="mutant: a column of losses")
def column_of_losses(logits, labels, *, reduction):
    """Without a reduction the result has shape (N, 1)."""
    losses = sparse_losses(logits, labels)
    return losses.unsqueeze(-1) if reduction == "none" else reduced(losses, reduction)


@sparse(api="mutant: (N,) against (N, 1)", grade=LSE)
def broadcast_rows(logits, labels, *, reduction):
    """Sum and mean run over all pairs of normaliser and label: the mean survives it."""
    lse, at_label = logits.logsumexp(-1), picked(logits, labels)
    return lse - at_label if reduction == "none" else reduced(lse - at_label.unsqueeze(-1), reduction)


@sparse(api="mutant: a batch of one squeezed")
def squeezed(logits, labels, *, reduction):
    """A batch of one row gives a scalar."""
    return reduced(sparse_losses(logits, labels).squeeze(), reduction)


@sparse(api="mutant: result always float64 (float32)")
def widened(logits, labels, *, reduction):
    """The result is float64 whatever the logits are; float64 cannot tell."""
    return reduced(sparse_losses(logits, labels).double(), reduction)


@sparse(api="mutant: result always float32 (float64)")
def narrowed(logits, labels, *, reduction):
    """The result is float32 whatever the logits are; float32 cannot tell."""
    return reduced(sparse_losses(logits, labels).float(), reduction)


@softmax(api="mutant: computed in float32 (float64)")
def computed_in_float32(logits, targets, *, reduction):
    """float64 in and out, float32 inside, and no document says so; float32 cannot tell."""
    return soft(torch.log_softmax(logits.float(), -1), targets.float(), reduction).to(logits.dtype)


# Repeatability


@sparse(api="mutant: noise of 1e-6")
def noisy(logits, labels, *, reduction):
    """Random noise left on from training."""
    losses = sparse_losses(logits, labels)
    return reduced(losses * (1 + 1e-6 * torch.rand_like(losses)), reduction)


@sparse(api="mutant: exponentials added in a random order", grade=QUOTIENT)
def random_order(logits, labels, *, reduction):
    """Sound to the last bit but one: atomic additions come in any order."""
    shifted = logits - logits.detach().amax(-1, keepdim=True)
    total = shifted.exp()[..., torch.randperm(logits.shape[-1])].sum(-1, keepdim=True)
    return hard(shifted - total.log(), labels, reduction)


_STATE: dict[str, torch.Tensor] = {}
_LABELS: dict[torch.Size, torch.Tensor] = {}
_CALLS: list[int] = []


@sparse(api="mutant: running maximum of all calls", grade=QUOTIENT)
def running_maximum(logits, labels, *, reduction):
    """The shift remembers the largest logit of earlier calls, and later rows underflow."""
    largest = logits.detach().amax(-1, keepdim=True)
    largest = torch.maximum(largest, _STATE.get("largest", largest).to(largest.dtype))
    if largest.numel() and largest.isfinite().all():
        _STATE["largest"] = largest.max()
    return hard(shifted_by(logits, largest), labels, reduction)


@sparse(api="mutant: labels cached by shape")
def cached_by_shape(logits, labels, *, reduction):
    """The labels of the first batch of a shape serve all later ones."""
    return reduced(sparse_losses(logits, _LABELS.setdefault(logits.shape, labels.clone())), reduction)


@sparse(api="mutant: temperature after ten calls")
def annealed(logits, labels, *, reduction):
    """A schedule that counts calls warms the logits by 1e-5."""
    _CALLS.append(1)
    return reduced(sparse_losses(logits * (1 + 1e-5 * (len(_CALLS) > 10)), labels), reduction)


@sparse(api="mutant: logits centred over the batch")
def centred(logits, labels, *, reduction):
    """The mean of all rows is subtracted first: a large neighbour costs the others their digits."""
    mean = logits.detach().nan_to_num(neginf=0.0).sum() / max(1, logits.numel())
    return reduced(sparse_losses(logits - mean, labels), reduction)


@sparse(api="mutant: maximum subtracted in place")
def logits_overwritten(logits, labels, *, reduction):
    """The caller's logits are shifted in place."""
    losses = sparse_losses(logits, labels)
    logits.detach().sub_(logits.detach().amax(-1, keepdim=True))
    return reduced(losses, reduction)


@sparse(api="mutant: labels turned into flat indices in place")
def labels_overwritten(logits, labels, *, reduction):
    """The caller's labels become offsets into the flattened logits."""
    losses = sparse_losses(logits, labels.clone())
    labels.add_(torch.arange(len(labels)) * logits.shape[-1])
    return reduced(losses, reduction)


@softmax(api="mutant: targets negated in place")
def targets_overwritten(logits, targets, *, reduction):
    """The caller's targets come back with their sign turned."""
    losses = -weighted(targets.clone(), torch.log_softmax(logits, -1)).sum(-1)
    targets.detach().neg_()
    return reduced(losses, reduction)


# Reductions


@sparse(api="mutant: sum returns the mean")
def sum_is_mean(logits, labels, *, reduction):
    """Every reduction but none is a mean."""
    return reduced(sparse_losses(logits, labels), "mean" if reduction == "sum" else reduction)


@softmax(api="mutant: mean over rows and classes")
def mean_of_elements(logits, targets, *, reduction):
    """The sum over the classes became a mean."""
    terms = -weighted(targets, torch.log_softmax(logits, -1))
    return terms.mean() if reduction == "mean" else reduced(terms.sum(-1), reduction)


@sigmoid(api="mutant: mean over rows of a sum over columns")
def mean_of_rows(logits, targets, *, reduction):
    """The divisor is the number of rows, not of elements."""
    x, t = logits.detach(), targets.detach()
    value = folded(x, t) + (-x.abs()).exp().log1p()
    losses = given(logits, targets, value, torch.sigmoid(x) - t, -x)
    return losses.sum() / len(losses) if reduction == "mean" and len(losses) else reduced(losses, reduction)


@sparse(api="mutant: none returns the mean")
def none_is_mean(logits, labels, *, reduction):
    """The reduction cannot be switched off."""
    return reduced(sparse_losses(logits, labels), "mean" if reduction == "none" else reduction)


@categorical(api="mutant: mean over N - 1")
def mean_unbiased(probabilities, targets, *, reduction):
    """The divisor of a sample variance."""
    losses = -weighted(targets, row_log(probabilities)).sum(-1)
    return losses.sum() / (len(losses) - 1) if reduction == "mean" and len(losses) > 1 else reduced(losses, reduction)


@sparse_categorical(api="mutant: mean over the classes")
def mean_over_classes(probabilities, labels, *, reduction):
    """The divisor is the number of classes."""
    losses = -picked(row_log(probabilities), labels)
    return losses.sum() / probabilities.shape[-1] if reduction == "mean" and len(losses) else reduced(losses, reduction)


@sparse(api="mutant: mean of the means of chunks")
def mean_of_chunk_means(logits, labels, *, reduction):
    """Chunks of 48 rows count alike, the short last one too."""
    losses = sparse_losses(logits, labels)
    if reduction == "mean":
        return torch.stack([chunk.mean() for chunk in losses.split(48)]).mean()
    return reduced(losses, reduction)


@sparse(api="mutant: mean over losses other than 0")
def mean_of_nonzero(logits, labels, *, reduction):
    """Losses of 0 are taken for padding and leave the divisor."""
    losses = sparse_losses(logits, labels)
    return losses.sum() / losses.count_nonzero() if reduction == "mean" else reduced(losses, reduction)


@sparse(api="mutant: float16 reduction")
def float16_reduction(logits, labels, *, reduction):
    """Sum and mean pass through float16."""
    losses = sparse_losses(logits, labels)
    return losses if reduction == "none" else reduced(losses.half(), reduction).to(losses.dtype)


MUTANTS: tuple[Binding, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Binding))
