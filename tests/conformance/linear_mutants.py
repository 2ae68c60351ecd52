"""Linear cross-entropies broken on purpose, in PyTorch, and one that is sound: what the suite must always catch, and never."""

from functools import partial
from itertools import count

import torch
import torch.nn.functional as F

from adapters.binding import Binding, implements

linear = partial(implements, "linear_cross_entropy", options=("reduction", "class_weight", "ignore_index"))
CHUNK = 5
"""Rows of a chunk; it divides none of the batches."""


def kept_rows(labels, ignore_index):
    """Return the rows that count."""
    return torch.ones_like(labels, dtype=torch.bool) if ignore_index is None else labels != ignore_index


def losses_of(logits, labels, class_weight=None):
    """Return the weighted loss of each row."""
    losses = -torch.log_softmax(logits, -1).gather(-1, labels[:, None])[:, 0]
    return losses if class_weight is None else class_weight[labels] * losses


def reduced(losses, reduction, divisor):
    """Return the losses, their sum or their mean."""
    return losses if reduction == "none" else losses.sum() if reduction == "sum" else losses.sum() / divisor


def weights_of(labels, class_weight):
    """Return how much the rows count."""
    return torch.ones(len(labels)) if class_weight is None else class_weight[labels]


def sound(hidden, labels, weight, bias, reduction, class_weight=None, ignore_index=None, *, rows_of_mean=False):
    """Return the loss of the kept rows, put back among zeros."""
    if class_weight is not None and len(class_weight) != len(weight):
        raise ValueError(f"class_weight must have {len(weight)} entries")
    kept = kept_rows(labels, ignore_index)
    logits = F.linear(hidden[kept], weight, bias)
    losses = torch.zeros(len(labels), dtype=hidden.dtype).masked_scatter(kept, losses_of(logits, labels[kept], class_weight))
    return reduced(losses, reduction, len(labels) if rows_of_mean else weights_of(labels[kept], class_weight).sum())


def as_gradient_of(value, other):
    """Return a value that has the gradient of another."""
    return value.detach() + other - other.detach()


@linear(api="kept rows alone")
def twin(hidden, labels, *, linear_weight, linear_bias=None, reduction, **given):
    return sound(hidden, labels, linear_weight, linear_bias, reduction, **given)


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
    each = torch.log(torch.exp(logits).sum(-1)) - logits.gather(-1, labels[kept][:, None])[:, 0]
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


LINEAR_TWINS = (twin,)
LINEAR_MUTANTS = tuple(
    value for value in list(globals().values()) if isinstance(value, Binding) and value.api.startswith("mutant: ")
)
