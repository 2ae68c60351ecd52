"""Sound losses with every option, in PyTorch, written in steps: what the suite must never blame, and what its mutants break."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F

from adapters.binding import Binding, implements
from reference.losses import LOSSES, Grade
from tests.conformance.twins import LOSES_SMALL, SIGMOID, SOFTMAX, SPARSE, weighted

Given = dict[str, Any]
"""The options of a call by name, those that were given."""


def kept_rows(rows, labels, given: Given):
    """Return which rows count."""
    kept = given.get("mask", torch.ones(rows, dtype=torch.bool))
    return kept & (labels != given["ignore_index"]) if "ignore_index" in given else kept


def smoothed(targets, there, e):
    """Return (1 - e) t + e / n, n the number of classes there are."""
    share = there.to(targets.dtype)
    return (1 - e) * targets + e * (share / share.sum(-1, keepdim=True))


def class_weighted(targets, labels, given: Given):
    """Return w_k t_k."""
    return targets * given["class_weight"] if "class_weight" in given else targets


def row_weights(losses, labels, given: Given):
    """Return what each row is multiplied by."""
    return given.get("sample_weight", torch.ones_like(losses))


def divisor(losses, targets, kept, given: Given):
    """Return the sum of the weights of the rows that count: that of a label is that of its class, of soft ones sum w_k t_k."""
    weights = given.get("sample_weight", torch.ones_like(losses))
    if "class_weight" in given and targets.is_floating_point():
        weights = weights * (given["class_weight"] * targets).sum(-1)
    elif "class_weight" in given:
        weights = weights * given["class_weight"][torch.where(kept, targets, 0)]
    return (weights * kept).sum()


def log_probabilities(logits, there):
    """Return the log softmax over the classes there are."""
    return torch.log_softmax(logits.masked_fill(~there, -torch.inf), -1)


def without(kept, x):
    """Return x with ordinary numbers in the rows that do not count."""
    return torch.where(kept[:, None], x, 0)


@dataclass(frozen=True)
class Steps:
    """The steps of a loss over classes; a mutant has one of its own."""

    kept: Callable[..., Any] = kept_rows
    clean: Callable[..., Any] = without
    smooth: Callable[..., Any] = smoothed
    weigh: Callable[..., Any] = class_weighted
    rows: Callable[..., Any] = row_weights
    divide: Callable[..., Any] = divisor
    logs: Callable[..., Any] = log_probabilities


SOUND = Steps()


def in_range(labels, classes, given: Given):
    """Refuse labels out of range and of a shape that no labels have, but for the one that is ignored and in masked rows."""
    counted = labels[given["mask"]] if "mask" in given else labels
    counted = counted[counted != given["ignore_index"]] if "ignore_index" in given else counted
    if labels.ndim != 1 or (counted.numel() and not 0 <= int(counted.min()) <= int(counted.max()) < classes):
        raise IndexError(f"labels must have one dimension and lie in 0 to {classes - 1}")


def sizes_fit(x, given: Given):
    """Refuse weights of a length that is not that of what they weigh."""
    rows, classes = x.shape
    for name, length in (("class_weight", classes), ("sample_weight", rows), ("mask", rows)):
        if name in given and given[name].shape != (length,):
            raise ValueError(f"{name} must have {length} entries")


def sparse_loss(logits, labels, reduction, given: Given, steps: Steps = SOUND):
    """Return softmax cross-entropy at labels under the options given."""
    sizes_fit(logits, given)
    in_range(labels, logits.shape[-1], given)
    labels = labels.long()
    kept = steps.kept(len(logits), labels, given)
    one_hot = F.one_hot(torch.where(kept, labels, 0), logits.shape[-1]).to(logits.dtype)
    return _loss(logits, one_hot, labels, kept, reduction, given, steps)


def softmax_loss(logits, targets, reduction, given: Given, steps: Steps = SOUND):
    """Return softmax cross-entropy at soft targets under the options given."""
    sizes_fit(logits, given)
    kept = steps.kept(len(logits), None, given)
    return _loss(logits, torch.where(kept[:, None], targets.to(logits.dtype), 0), None, kept, reduction, given, steps)


def _loss(logits, targets, labels, kept, reduction, given: Given, steps: Steps):
    there = given.get("where", torch.ones(logits.shape, dtype=torch.bool))
    targets = torch.where(there, targets, 0)
    counted = targets if labels is None else labels
    if "label_smoothing" in given:
        targets = steps.smooth(targets, there, given["label_smoothing"])
    targets = steps.weigh(targets, labels, given)
    log_p = steps.logs(steps.clean(kept, logits), there)
    losses = -weighted(targets, log_p).sum(-1)
    losses = torch.where(kept, losses * steps.rows(losses, labels, given), 0)
    if reduction == "none":
        return losses
    return losses.sum() if reduction == "sum" else losses.sum() / steps.divide(losses, counted, kept, given)


def sigmoid_loss(logits, targets, reduction, given: Given, *, smooth=None, positive=None, rows=None, divide=None):
    """Return sigmoid cross-entropy under the options given."""
    sizes_fit(logits, {name: value for name, value in given.items() if name != "class_weight"})
    kept = given.get("mask", torch.ones(len(logits), dtype=torch.bool))[:, None]
    x, targets = torch.where(kept, logits, 0), torch.where(kept, targets.to(logits.dtype), 0)
    if "label_smoothing" in given:
        e = given["label_smoothing"]
        targets = (smooth or (lambda t, e: (1 - e) * t + e / 2))(targets, e)
    weight = given.get("pos_weight", torch.ones((), dtype=logits.dtype))
    if weight.ndim and weight.shape[-1] not in (1, logits.shape[-1]):
        raise ValueError("pos_weight must have an entry for each class")
    up = (positive or (lambda weight, t: weight * t))(weight, targets)
    losses = -weighted(up, F.logsigmoid(x)) - weighted(1 - targets, F.logsigmoid(-x))
    weights = given.get("sample_weight", torch.ones(len(logits), dtype=logits.dtype))[:, None]
    losses = torch.where(kept, losses * (rows(weights, targets) if rows else weights), 0)
    if reduction == "none":
        return losses
    total = (weights * kept).sum() * logits.shape[-1]
    return losses.sum() if reduction == "sum" else losses.sum() / (divide(losses, kept) if divide else total)


def taken(loss: str) -> tuple[str, ...]:
    """Return the options that a loss written here takes."""
    return ("reduction", *(name for name in LOSSES[loss].options if name not in ("soft_cap", "z_loss")))


sparse = partial(implements, SPARSE, options=taken(SPARSE), semantics=LOSES_SMALL)
softmax = partial(implements, SOFTMAX, options=taken(SOFTMAX), semantics=LOSES_SMALL)
sigmoid = partial(implements, SIGMOID, options=taken(SIGMOID), grade=Grade("pair", "pair"))


@sparse(api="twin: sparse softmax with options")
def sparse_twin(logits, labels, *, reduction, **given):
    return sparse_loss(logits, labels, reduction, given)


@sparse(api="twin: sparse softmax that takes soft targets too")
def sparse_or_soft_twin(logits, labels, *, reduction, **given):
    if not labels.is_floating_point():
        return sparse_loss(logits, labels, reduction, given)
    given.pop("ignore_index", None)
    return softmax_loss(logits, labels, reduction, given)


@softmax(api="twin: softmax with options")
def softmax_twin(logits, targets, *, reduction, **given):
    return softmax_loss(logits, targets, reduction, given)


@softmax(api="twin: softmax that counts rows under class weights", semantics=replace(LOSES_SMALL, soft_weight_divisor="rows"))
def softmax_of_rows_twin(logits, targets, *, reduction, **given):
    unweighted = {name: value for name, value in given.items() if name != "class_weight"}
    by_rows = replace(SOUND, divide=lambda losses, targets, kept, given: divisor(losses, targets, kept, unweighted))
    return softmax_loss(logits, targets, reduction, given, by_rows)


@sigmoid(api="twin: sigmoid with options")
def sigmoid_twin(logits, targets, *, reduction, **given):
    return sigmoid_loss(logits, targets, reduction, given)


def classes_last(logits, targets, class_axis):
    """Return logits and targets with one dimension of rows and the classes last."""
    dense = targets.ndim == logits.ndim
    logits = logits.movedim(class_axis, -1)
    targets = targets.movedim(class_axis, -1).reshape(-1, logits.shape[-1]) if dense else targets.reshape(-1)
    return logits.reshape(-1, logits.shape[-1]), targets


def over_axis(loss, logits, targets, reduction, class_axis, given: Given, flatten=classes_last):
    """Return a loss whose classes are on an axis, in the shape of the other axes unless it is reduced."""
    if class_axis == -1:
        return loss(logits, targets, reduction, given)
    rows = [size for axis, size in enumerate(logits.shape) if axis != class_axis % logits.ndim]
    given = {name: value.reshape(-1) if name in ("sample_weight", "mask") else value for name, value in given.items()}
    if "where" in given:
        given["where"] = given["where"].movedim(class_axis, -1).reshape(-1, logits.shape[class_axis])
    losses = loss(*flatten(logits, targets, class_axis), reduction, given)
    return losses.reshape(rows) if reduction == "none" else losses


sparse_with_axis = partial(implements, SPARSE, options=(*taken(SPARSE), "class_axis"), semantics=LOSES_SMALL)
softmax_with_axis = partial(implements, SOFTMAX, options=(*taken(SOFTMAX), "class_axis"), semantics=LOSES_SMALL)


@sparse_with_axis(api="twin: sparse softmax over an axis")
def sparse_axis_twin(logits, labels, *, reduction, class_axis=-1, **given):
    return over_axis(sparse_loss, logits, labels, reduction, class_axis, given)


@softmax_with_axis(api="twin: softmax over an axis")
def softmax_axis_twin(logits, targets, *, reduction, class_axis=-1, **given):
    return over_axis(softmax_loss, logits, targets, reduction, class_axis, given)


focal = partial(implements, "categorical_focal_cross_entropy", options=("class_weight", "alpha", "gamma"))


def focal_loss(probabilities, targets, class_weight=1.0, alpha=1.0, gamma=2.0):
    """Return -sum_k w_k alpha t_k (1 - p_k)^gamma log p_k."""
    weights = class_weight * alpha * (1 - probabilities) ** gamma
    return -(weights * targets * torch.log(probabilities)).sum(-1)


@focal(api="twin: focal loss")
def focal_twin(probabilities, targets, **given):
    return focal_loss(probabilities, targets, **given)


OPTION_TWINS: tuple[Binding, ...] = (
    focal_twin,
    sparse_twin,
    sparse_or_soft_twin,
    softmax_twin,
    softmax_of_rows_twin,
    sigmoid_twin,
    sparse_axis_twin,
    softmax_axis_twin,
)
