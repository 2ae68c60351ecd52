"""Linear cross-entropies broken on purpose, in PyTorch, and sound ones: what the suite must always catch, and never."""

from functools import partial
from itertools import count

import torch
import torch.nn.functional as F

from adapters.binding import Binding, implements
from reference.semantics import Semantics

linear = partial(implements, "linear_cross_entropy", options=("reduction", "class_weight", "ignore_index"))
soft = partial(implements, "linear_cross_entropy_with_soft_targets", options=("reduction", "class_weight", "label_smoothing"))
CHUNK = 5
"""Rows of a chunk; it divides none of the batches."""


def kept_rows(labels, ignore_index):
    """Return the rows that count; labels are integers of shape (rows,)."""
    if labels.ndim != 1 or labels.is_floating_point():
        raise ValueError("labels must be integers of shape (rows,)")
    return torch.ones_like(labels, dtype=torch.bool) if ignore_index is None else labels != ignore_index


def losses_of(logits, labels, class_weight=None):
    """Return the weighted loss of each row."""
    losses = -torch.log_softmax(logits, -1).gather(-1, labels.long()[:, None])[:, 0]
    return losses if class_weight is None else class_weight[labels.long()] * losses


def reduced(losses, reduction, divisor):
    """Return the losses, their sum or their mean."""
    return losses if reduction == "none" else losses.sum() if reduction == "sum" else losses.sum() / divisor


def weights_of(labels, class_weight):
    """Return how much the rows count."""
    return torch.ones(len(labels)) if class_weight is None else class_weight[labels.long()]


def sound(hidden, labels, weight, bias, reduction, class_weight=None, ignore_index=None, *, rows_of_mean=False):
    """Return the loss of the kept rows, put back among zeros."""
    if class_weight is not None and len(class_weight) != len(weight):
        raise ValueError(f"class_weight must have {len(weight)} entries")
    kept = kept_rows(labels, ignore_index)
    logits = F.linear(hidden[kept], weight, bias)
    losses = torch.zeros(len(labels), dtype=hidden.dtype).masked_scatter(kept, losses_of(logits, labels[kept], class_weight))
    return reduced(losses, reduction, len(labels) if rows_of_mean else weights_of(labels[kept], class_weight).sum())


def weighed(targets, classes, class_weight=None, label_smoothing=0.0):
    """Return smoothed soft targets, each times the weight of its class."""
    if class_weight is not None and len(class_weight) != classes:
        raise ValueError(f"class_weight must have {classes} entries")
    smoothed = (1 - label_smoothing) * targets + label_smoothing / classes
    return smoothed if class_weight is None else class_weight * smoothed


def sound_soft(hidden, targets, weight, bias, reduction, **given):
    """Return the loss at soft targets, whose mean is over the class weights of the targets."""
    log_p = torch.log_softmax(F.linear(hidden, weight, bias), -1)
    losses = -(weighed(targets, len(weight), **given) * log_p).sum(-1)
    counted = weighed(targets, len(weight), given["class_weight"]) if "class_weight" in given else torch.ones(len(targets))
    return reduced(losses, reduction, counted.sum())


def as_gradient_of(value, other):
    """Return a value that has the gradient of another."""
    return value.detach() + other - other.detach()


@linear(api="kept rows alone")
def twin(hidden, labels, *, linear_weight, linear_bias=None, reduction, **given):
    return sound(hidden, labels, linear_weight, linear_bias, reduction, **given)


@soft(api="soft targets")
def soft_twin(hidden, targets, *, linear_weight, linear_bias=None, reduction, **given):
    return sound_soft(hidden, targets, linear_weight, linear_bias, reduction, **given)


@soft(api="soft targets are constants, as documented", semantics=Semantics(target_gradient="none"))
def constant_twin(hidden, targets, *, linear_weight, linear_bias=None, reduction, **given):
    return sound_soft(hidden, targets.detach(), linear_weight, linear_bias, reduction, **given)


@linear(
    api="labels of int64 alone, or in a column, as documented",
    semantics=Semantics(label_dtype="int64", label_column="squeezed"),
)
def squeezed_twin(hidden, labels, *, linear_weight, linear_bias=None, reduction, **given):
    if labels.dtype != torch.int64:
        raise ValueError("labels must be int64")
    squeezed = labels[:, 0] if labels.shape == (len(hidden), 1) else labels
    return sound(hidden, squeezed, linear_weight, linear_bias, reduction, **given)


@soft(
    api="p - t, as documented",
    options=("reduction", "label_smoothing"),
    semantics=Semantics(unnormalised_gradient="unscaled"),
)
def unscaled_twin(hidden, targets, *, linear_weight, linear_bias=None, reduction, **given):
    return unscaled(hidden, targets, linear_weight, linear_bias, reduction, **given)


def unscaled(hidden, targets, weight, bias, reduction, **given):
    """Return the loss at soft targets with p - t for the gradient of the logits, whatever the targets sum to."""
    right = sound_soft(hidden, targets, weight, bias, reduction, **given)
    logits, t = F.linear(hidden, weight, bias), weighed(targets, len(weight), **given).detach()
    slope = (torch.softmax(logits, -1) - t).detach()
    other = reduced((logits * slope).sum(-1), reduction, len(targets))
    return as_gradient_of(right, other + of_targets(hidden, targets, weight, bias, reduction, **given))


def of_targets(hidden, targets, weight, bias, reduction, **given):
    """Return the loss at soft targets with no gradient but that of the targets."""
    bias = None if bias is None else bias.detach()
    return sound_soft(hidden.detach(), targets, weight.detach(), bias, reduction, **given)


@linear(api="mutant: twice the loss")
def doubled(hidden, labels, *, linear_weight, linear_bias=None, reduction, **given):
    return 2 * sound(hidden, labels, linear_weight, linear_bias, reduction, **given)


@linear(api="mutant: no gradient of the bias")
def bias_without_gradient(hidden, labels, *, linear_weight, linear_bias=None, reduction, **given):
    fixed = None if linear_bias is None else linear_bias.detach() + 0 * linear_bias
    return sound(hidden, labels, linear_weight, fixed, reduction, **given)


@linear(api="mutant: no gradient of the matrix")
def matrix_without_gradient(hidden, labels, *, linear_weight, linear_bias=None, reduction, **given):
    return sound(hidden, labels, linear_weight.detach() + 0 * linear_weight, linear_bias, reduction, **given)


@linear(api="mutant: gradients of the matrix in another order of classes")
def matrix_gradient_in_reverse(hidden, labels, *, linear_weight, linear_bias=None, reduction, **given):
    return sound(hidden, labels, as_gradient_of(linear_weight, linear_weight.flip(0)), linear_bias, reduction, **given)


@linear(api="mutant: hidden states have the gradient of the logits times the transposed matrix of features in reverse")
def hidden_gradient_in_reverse(hidden, labels, *, linear_weight, linear_bias=None, reduction, **given):
    return sound(as_gradient_of(hidden, hidden.flip(-1)), labels, linear_weight, linear_bias, reduction, **given)


@linear(api="mutant: no largest logit taken away")
def without_shift(hidden, labels, *, linear_weight, linear_bias=None, reduction, class_weight=None, ignore_index=None):
    kept = kept_rows(labels, ignore_index)
    logits = F.linear(hidden[kept], linear_weight, linear_bias)
    each = torch.log(torch.exp(logits).sum(-1)) - logits.gather(-1, labels[kept].long()[:, None])[:, 0]
    weight = weights_of(labels[kept], class_weight)
    return reduced(torch.zeros(len(labels)).to(each.dtype).masked_scatter(kept, weight * each), reduction, weight.sum())


@linear(api="mutant: ignored rows stay in the gradients")
def ignored_rows_in_gradients(hidden, labels, *, linear_weight, linear_bias=None, reduction, **given):
    right = sound(hidden, labels, linear_weight, linear_bias, reduction, **given)
    given.pop("ignore_index", None)
    labels = labels.clip(0, len(linear_weight) - 1)
    return as_gradient_of(right, sound(hidden, labels, linear_weight, linear_bias, reduction, **given))


@linear(api="mutant: mean over all rows")
def mean_over_rows(hidden, labels, *, linear_weight, linear_bias=None, reduction, **given):
    return sound(hidden, labels, linear_weight, linear_bias, reduction, rows_of_mean=True, **given)


@linear(api="mutant: class weights in the value alone")
def weights_in_value_alone(hidden, labels, *, linear_weight, linear_bias=None, reduction, **given):
    right = sound(hidden, labels, linear_weight, linear_bias, reduction, **given)
    given.pop("class_weight", None)
    return as_gradient_of(right, sound(hidden, labels, linear_weight, linear_bias, reduction, **given))


@linear(api="mutant: logits in bfloat16")
def logits_in_bfloat16(hidden, labels, *, linear_weight, linear_bias=None, reduction, **given):
    h, w = (array.bfloat16().to(hidden.dtype) for array in (hidden, linear_weight))
    return sound(h, labels, w, linear_bias, reduction, **given)


@linear(api="mutant: bias added twice")
def bias_twice(hidden, labels, *, linear_weight, linear_bias=None, reduction, **given):
    return sound(hidden, labels, linear_weight, None if linear_bias is None else 2 * linear_bias, reduction, **given)


@linear(api="mutant: mean of the means of chunks")
def mean_of_means(hidden, labels, *, linear_weight, linear_bias=None, reduction, **given):
    if reduction != "mean" or not len(hidden):
        return sound(hidden, labels, linear_weight, linear_bias, reduction, **given)
    chunks = zip(hidden.split(CHUNK), labels.split(CHUNK), strict=True)
    return torch.stack([sound(h, y, linear_weight, linear_bias, "mean", **given) for h, y in chunks]).nanmean()


@linear(api="mutant: the last chunk has no part in the gradient of the matrix")
def last_chunk_left_out(hidden, labels, *, linear_weight, linear_bias=None, reduction, **given):
    right = sound(hidden, labels, linear_weight, linear_bias, reduction, **given)
    whole = len(hidden) // CHUNK * CHUNK
    rows = torch.cat([hidden[:whole], hidden[whole:]])
    weight = torch.cat(
        [linear_weight[None].expand(whole, -1, -1), linear_weight.detach()[None].expand(len(hidden) - whole, -1, -1)]
    )
    kept = kept_rows(labels, given.get("ignore_index"))
    logits = (rows[kept][:, None] @ weight[kept].mT)[:, 0] + (0 if linear_bias is None else linear_bias)
    each = losses_of(logits, labels[kept], given.get("class_weight"))
    losses = torch.zeros(len(labels), dtype=hidden.dtype).masked_scatter(kept, each)
    return as_gradient_of(right, reduced(losses, reduction, weights_of(labels[kept], given.get("class_weight")).sum()))


_calls = count()


@linear(api="mutant: not the same twice")
def not_the_same_twice(hidden, labels, *, linear_weight, linear_bias=None, reduction, **given):
    value = sound(hidden, labels, linear_weight, linear_bias, reduction, **given)
    return value * (1 + next(_calls) % 2 * torch.finfo(value.dtype).eps)


@linear(api="mutant: uint8 labels are read as booleans")
def bytes_as_booleans(hidden, labels, *, linear_weight, linear_bias=None, reduction, **given):
    labels = (labels != 0).long() if labels.dtype == torch.uint8 else labels
    return sound(hidden, labels, linear_weight, linear_bias, reduction, **given)


@linear(api="mutant: labels that are not int64 take another way, in which the matrix has no gradient")
def short_labels_without_gradient(hidden, labels, *, linear_weight, linear_bias=None, reduction, **given):
    weight = linear_weight if labels.dtype == torch.int64 else linear_weight.detach() + 0 * linear_weight
    return sound(hidden, labels, weight, linear_bias, reduction, **given)


@linear(api="mutant: a column of labels is flattened")
def flattened(hidden, labels, *, linear_weight, linear_bias=None, reduction, **given):
    return sound(hidden, labels.reshape(-1), linear_weight, linear_bias, reduction, **given)


@linear(api="mutant: soft targets whose likeliest class is ignored are dropped")
def drops_soft_rows(hidden, labels, *, linear_weight, linear_bias=None, reduction, ignore_index=None, **given):
    if labels.ndim == 1:
        return sound(hidden, labels, linear_weight, linear_bias, reduction, ignore_index=ignore_index, **given)
    kept = (labels.argmax(-1) != ignore_index)[:, None]
    return sound_soft(hidden, labels * kept, linear_weight, linear_bias, reduction, **given)


@soft(api="mutant: p - t for targets that do not sum to one")
def soft_unscaled(hidden, targets, *, linear_weight, linear_bias=None, reduction, class_weight=None, **given):
    if class_weight is None:
        return unscaled(hidden, targets, linear_weight, linear_bias, reduction, **given)
    return sound_soft(hidden, targets, linear_weight, linear_bias, reduction, class_weight=class_weight, **given)


@soft(api="mutant: no gradient of targets of 0")
def soft_without_gradient_at_zero(hidden, targets, *, linear_weight, linear_bias=None, reduction, **given):
    kept = torch.where(targets == 0, targets.detach(), targets)
    return sound_soft(hidden, kept, linear_weight, linear_bias, reduction, **given)


@soft(api="mutant: the gradient of the targets is not scaled under a mean")
def soft_gradient_of_sum(hidden, targets, *, linear_weight, linear_bias=None, reduction, **given):
    right = sound_soft(hidden, targets.detach(), linear_weight, linear_bias, reduction, **given)
    summed = of_targets(hidden, targets, linear_weight, linear_bias, "sum" if reduction == "mean" else reduction, **given)
    return right + as_gradient_of(0 * right, summed)


@soft(api="mutant: the gradient of the targets does not know of smoothing")
def soft_gradient_without_smoothing(hidden, targets, *, linear_weight, linear_bias=None, reduction, **given):
    right = sound_soft(hidden, targets.detach(), linear_weight, linear_bias, reduction, **given)
    given.pop("label_smoothing", None)
    return right + as_gradient_of(0 * right, of_targets(hidden, targets, linear_weight, linear_bias, reduction, **given))


@soft(api="mutant: soft targets are smoothed where they are hard alone")
def soft_smoothed_where_hard(hidden, targets, *, linear_weight, linear_bias=None, reduction, label_smoothing=0.0, **given):
    hard = (targets.amax(-1, keepdim=True) == 1).to(targets.dtype)
    return sound_soft(hidden, targets, linear_weight, linear_bias, reduction, label_smoothing=label_smoothing * hard, **given)


@soft(api="mutant: smoothing is shared by the other classes")
def soft_smoothed_by_others(hidden, targets, *, linear_weight, linear_bias=None, reduction, label_smoothing=0.0, **given):
    more = label_smoothing * len(linear_weight) / max(1, len(linear_weight) - 1)
    return sound_soft(hidden, targets, linear_weight, linear_bias, reduction, label_smoothing=more, **given)


@soft(api="mutant: class weights do not reach the gradient of the targets")
def soft_weights_without_gradient(hidden, targets, *, linear_weight, linear_bias=None, reduction, **given):
    right = sound_soft(hidden, targets.detach(), linear_weight, linear_bias, reduction, **given)
    given.pop("class_weight", None)
    return right + as_gradient_of(0 * right, of_targets(hidden, targets, linear_weight, linear_bias, reduction, **given))


def are_hard(targets):
    """Tell whether all rows are one-hot."""
    return bool(((targets == 0) | (targets == 1)).all() and (targets.sum(-1) == 1).all())


@soft(api="mutant: one-hot targets take the way of labels, which knows nothing of smoothing")
def one_hot_without_smoothing(hidden, targets, *, linear_weight, linear_bias=None, reduction, label_smoothing=0.0, **given):
    smoothing = 0.0 if are_hard(targets) else label_smoothing
    return sound_soft(hidden, targets, linear_weight, linear_bias, reduction, label_smoothing=smoothing, **given)


@soft(api="mutant: one-hot targets take the way of labels, whose sum is a mean")
def one_hot_mean_for_sum(hidden, targets, *, linear_weight, linear_bias=None, reduction, **given):
    reduction = "mean" if reduction == "sum" and are_hard(targets) else reduction
    return sound_soft(hidden, targets, linear_weight, linear_bias, reduction, **given)


@soft(api="mutant: one-hot targets take the way of labels, whose matrix has no gradient under class weights")
def one_hot_without_gradient(hidden, targets, *, linear_weight, linear_bias=None, reduction, **given):
    fixed = are_hard(targets) and given.get("class_weight") is not None
    weight = linear_weight.detach() + 0 * linear_weight if fixed else linear_weight
    return sound_soft(hidden, targets, weight, linear_bias, reduction, **given)


@soft(api="mutant: the loss in the dtype of the targets")
def soft_in_target_dtype(hidden, targets, *, linear_weight, linear_bias=None, reduction, **given):
    return sound_soft(hidden, targets, linear_weight, linear_bias, reduction, **given).to(targets.dtype)


@soft(api="mutant: the bias has the gradient of the targets' sum")
def soft_bias_gradient(hidden, targets, *, linear_weight, linear_bias=None, reduction, **given):
    right = sound_soft(hidden, targets, linear_weight, linear_bias, reduction, **given)
    if linear_bias is None:
        return right
    fixed = sound_soft(hidden, targets, linear_weight, linear_bias.detach(), reduction, **given)
    slope = (weighed(targets, len(linear_weight), **given).detach() * linear_bias).sum(-1)
    return as_gradient_of(right, fixed - reduced(slope, reduction, len(targets)))


LINEAR_TWINS = (twin, squeezed_twin, soft_twin, constant_twin, unscaled_twin)
LINEAR_MUTANTS = tuple(
    value for value in list(globals().values()) if isinstance(value, Binding) and value.api.startswith("mutant: ")
)
