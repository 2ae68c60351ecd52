"""PyTorch: each loss composed with every option that it may take, for where no call has them.

They keep the digits of small losses, which the calls of PyTorch do not. Arguments that are not given are None: of a
composition `equivalents` prints what is left of it without the options that were not asked for.
"""

import torch
import torch.nn.functional as F

from adapters.binding import implements
from reference.losses import DTYPES, LOSSES, Grade
from reference.options import REDUCTIONS, options_of

API = "composition with every option"


def _composes(loss, value, gradient):
    """Declare the composition of a loss, which takes all its options and reductions; it is asked in one dtype."""
    return implements(
        loss,
        api=API,
        options=("reduction", *options_of(LOSSES[loss])),
        reductions=tuple(REDUCTIONS),
        grade=Grade(value, gradient),
        dtypes=DTYPES[:1],
        stand_in=True,
    )


def keep(counted, prediction, target, weight):
    """Return harmless numbers in the rows that do not count, whatever they hold: 0 * NaN is NaN."""
    spread = counted[..., None]
    target = torch.where(spread if target.ndim == prediction.ndim else counted, target, 0)
    return torch.where(spread, prediction, 0.5), target, torch.where(counted, weight, 0)


def rows(prediction, target, *, class_axis=None, sample_weight=None, mask=None, ignore_index=None):
    """Return prediction and target with the classes last, and the weight of each row: 0 where it does not count."""
    target = target.to(prediction.dtype) if target.is_floating_point() else target.long()
    if class_axis is not None:
        target = target.movedim(class_axis, -1) if target.ndim == prediction.ndim else target
        prediction = prediction.movedim(class_axis, -1)
    weight = torch.ones_like(prediction[..., 0])
    if sample_weight is not None:
        weight = weight * sample_weight
    if mask is not None:
        prediction, target, weight = keep(mask, prediction, target, weight)
    if ignore_index is not None:
        prediction, target, weight = keep(target != ignore_index, prediction, target, weight)
    return prediction, target, weight


def one_hot(labels, prediction):
    """Return targets of 1 for the labels, in the dtype of the prediction."""
    return torch.zeros_like(prediction).scatter(-1, labels[..., None], 1)


def there_alone(where, logits, targets, *, class_axis=None):
    """Return logits of -inf and targets of 0 for the classes that there are not, and which there are, the classes last."""
    if class_axis is not None:
        where = where.movedim(class_axis, -1)
    return torch.where(where, logits, -torch.inf), torch.where(where, targets, 0), where


def smoothed(targets, label_smoothing, *, where=None):
    """Return targets of which a part is shared out evenly among the classes that there are."""
    there = torch.ones_like(targets)
    if where is not None:
        there = where.to(targets.dtype)
    return (1 - label_smoothing) * targets + label_smoothing * there / there.sum(-1, keepdim=True)


def log(probabilities, targets):
    """Return the logarithm, but 0 where p and its target are both 0: there 0 * -inf is NaN, and so is its gradient."""
    return torch.log(torch.where((probabilities == 0) & (targets == 0), 1, probabilities))


def log_sum(logits):
    """Return the two parts of logsumexp: the largest logit, whose term is exactly 1, and log1p of the other terms."""
    largest = logits.detach().amax(-1, keepdim=True)
    top = F.one_hot(logits.argmax(-1), logits.shape[-1]).bool()
    others = torch.where(top, torch.expm1(logits - largest), torch.exp(logits - largest)).sum(-1, keepdim=True)
    return largest, torch.log1p(others)


def log_softmax(logits):
    """Return log(softmax(x)), which keeps its digits where it is small."""
    largest, log_others = log_sum(logits)
    return logits - largest - log_others


def times(targets, log_p):
    """Return t log(p), 0 where p and t are both 0."""
    return targets * torch.where((targets == 0) & torch.isneginf(log_p), 0, log_p)


def complement(log_p):
    """Return 1 - p with all its digits, but with the derivative of 1 - exp(log p): that of expm1 loses a small p."""
    rounded = 1 - torch.exp(log_p)
    return rounded + (-torch.expm1(log_p) - rounded).detach()


def reduced(losses, weight, *, reduction):
    """Return the losses, their sum, or their mean over the rows, over the weights, or over those that are not 0."""
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    if reduction == "batchmean":
        return losses.sum() / weight.numel()
    if reduction == "nonzero_mean":
        return losses.sum() / weight.expand_as(losses).count_nonzero()
    return losses.sum() / weight.expand_as(losses).sum()


@_composes("binary_cross_entropy", "log1p", "separate")
def binary(probabilities, targets, *, reduction, sample_weight=None, mask=None, label_smoothing=None):
    probabilities, targets, weight = rows(probabilities, targets, sample_weight=sample_weight, mask=mask)
    if label_smoothing is not None:
        targets = (1 - label_smoothing) * targets + label_smoothing / 2
    weight = weight[..., None]
    complement = torch.log1p(-torch.where((probabilities == 1) & (targets == 1), 0, probabilities))
    losses = -(targets * log(probabilities, targets) + (1 - targets) * complement)
    return reduced(weight * losses, weight, reduction=reduction)


@_composes("categorical_cross_entropy", "log", "separate")
def categorical(
    probabilities,
    targets,
    *,
    reduction,
    class_axis=None,
    class_weight=None,
    sample_weight=None,
    mask=None,
    label_smoothing=None,
):
    probabilities, targets, weight = rows(probabilities, targets, class_axis=class_axis, sample_weight=sample_weight, mask=mask)
    divide_by = weight
    if class_weight is not None:
        divide_by = weight * (class_weight * targets).sum(-1)
    if label_smoothing is not None:
        targets = smoothed(targets, label_smoothing)
    if class_weight is not None:
        targets = class_weight * targets
    losses = -(targets * log(probabilities, targets)).sum(-1)
    return reduced(weight * losses, divide_by, reduction=reduction)


@_composes("sparse_categorical_cross_entropy", "log", "separate")
def sparse_categorical(
    probabilities, labels, *, reduction, class_axis=None, class_weight=None, sample_weight=None, mask=None, ignore_index=None
):
    probabilities, labels, weight = rows(
        probabilities, labels, class_axis=class_axis, sample_weight=sample_weight, mask=mask, ignore_index=ignore_index
    )
    losses = -torch.log(probabilities.gather(-1, labels[..., None])[..., 0])
    if class_weight is not None:
        weight = weight * (class_weight * one_hot(labels, probabilities)).sum(-1)
    return reduced(weight * losses, weight, reduction=reduction)


@_composes("sigmoid_cross_entropy_with_logits", "pair", "pair")
def sigmoid(logits, targets, *, reduction, pos_weight=None, sample_weight=None, mask=None, label_smoothing=None):
    logits, targets, weight = rows(logits, targets, sample_weight=sample_weight, mask=mask)
    if label_smoothing is not None:
        targets = (1 - label_smoothing) * targets + label_smoothing / 2
    weight, positive = weight[..., None], times(targets, F.logsigmoid(logits))
    if pos_weight is not None:
        positive = pos_weight * positive
    losses = -(positive + times(1 - targets, F.logsigmoid(-logits)))
    return reduced(weight * losses, weight, reduction=reduction)


@_composes("softmax_cross_entropy_with_logits", "log1p", "quotient")
def softmax(
    logits,
    targets,
    *,
    reduction,
    class_axis=None,
    class_weight=None,
    sample_weight=None,
    mask=None,
    where=None,
    label_smoothing=None,
):
    logits, targets, weight = rows(logits, targets, class_axis=class_axis, sample_weight=sample_weight, mask=mask)
    if where is not None:
        logits, targets, where = there_alone(where, logits, targets, class_axis=class_axis)
    divide_by = weight
    if class_weight is not None:
        divide_by = weight * (class_weight * targets).sum(-1)
    if label_smoothing is not None:
        targets = smoothed(targets, label_smoothing, where=where)
    if class_weight is not None:
        targets = class_weight * targets
    losses = -times(targets, log_softmax(logits)).sum(-1)
    return reduced(weight * losses, divide_by, reduction=reduction)


@_composes("sparse_softmax_cross_entropy_with_logits", "log1p", "quotient")
def sparse_softmax(
    logits,
    labels,
    *,
    reduction,
    class_axis=None,
    class_weight=None,
    sample_weight=None,
    mask=None,
    where=None,
    ignore_index=None,
    label_smoothing=None,
    soft_cap=None,
    z_loss=None,
):
    logits, labels, weight = rows(
        logits, labels, class_axis=class_axis, sample_weight=sample_weight, mask=mask, ignore_index=ignore_index
    )
    if soft_cap is not None:
        logits = soft_cap * torch.tanh(logits / soft_cap)
    targets, divide_by = one_hot(labels, logits), weight
    if where is not None:
        logits, targets, where = there_alone(where, logits, targets, class_axis=class_axis)
    if class_weight is not None:
        divide_by = weight * (class_weight * targets).sum(-1)
    if label_smoothing is not None:
        targets = smoothed(targets, label_smoothing, where=where)
    if class_weight is not None:
        targets = class_weight * targets
    losses = -times(targets, log_softmax(logits)).sum(-1)
    if z_loss is not None:
        losses = losses + z_loss * targets.sum(-1) * sum(log_sum(logits))[..., 0] ** 2
    return reduced(weight * losses, divide_by, reduction=reduction)


@_composes("negative_log_likelihood", "negated", "negated")
def likelihood(log_probabilities, labels, *, reduction, class_axis=None, class_weight=None, ignore_index=None):
    log_probabilities, labels, weight = rows(log_probabilities, labels, class_axis=class_axis, ignore_index=ignore_index)
    losses = -log_probabilities.gather(-1, labels[..., None])[..., 0]
    if class_weight is not None:
        weight = weight * (class_weight * one_hot(labels, log_probabilities)).sum(-1)
    return reduced(weight * losses, weight, reduction=reduction)


@_composes("kl_divergence", "terms", "separate")
def divergence(probabilities, targets, *, reduction, class_axis=None, sample_weight=None, mask=None):
    probabilities, targets, weight = rows(probabilities, targets, class_axis=class_axis, sample_weight=sample_weight, mask=mask)
    probabilities, targets, weight = keep(weight != 0, probabilities, targets, weight)
    losses = -(torch.special.entr(targets) + targets * log(probabilities, targets)).sum(-1)
    return reduced(weight * losses, weight, reduction=reduction)


@_composes("kl_divergence_of_log_probabilities", "terms", "separate")
def divergence_of_logs(log_probabilities, targets, *, reduction, class_axis=None, where=None):
    log_probabilities, targets, weight = rows(log_probabilities, targets, class_axis=class_axis)
    if where is not None:
        where = where if class_axis is None else where.movedim(class_axis, -1)
        log_probabilities, targets = torch.where(where, log_probabilities, 0), torch.where(where, targets, 1)
    losses = -(torch.special.entr(targets) + times(targets, log_probabilities)).sum(-1)
    return reduced(losses, weight, reduction=reduction)


@_composes("kl_divergence_with_log_targets", "difference", "separate")
def divergence_with_log_targets(log_probabilities, log_targets, *, reduction, class_axis=None, where=None):
    log_probabilities, log_targets, weight = rows(log_probabilities, log_targets, class_axis=class_axis)
    terms = torch.exp(log_targets) * (log_targets - log_probabilities)
    if where is not None:
        where = where if class_axis is None else where.movedim(class_axis, -1)
        terms = torch.where(where, terms, 0)
    return reduced(terms.sum(-1), weight, reduction=reduction)


@_composes("soft_margin", "log1p", "lse")
def margin(logits, signs, *, reduction):
    losses = -F.logsigmoid(signs * logits)
    return reduced(losses, torch.ones_like(losses[..., :1]), reduction=reduction)


@_composes("multilabel_soft_margin", "pair", "pair")
def multilabel(logits, targets, *, reduction, class_weight=None):
    losses = -(times(targets, F.logsigmoid(logits)) + times(1 - targets, F.logsigmoid(-logits)))
    if class_weight is not None:
        losses = class_weight * losses
    losses = losses.mean(-1)
    return reduced(losses, torch.ones_like(losses), reduction=reduction)


@_composes("binary_focal_cross_entropy", "log1p", "separate")
def binary_focal(
    probabilities, targets, *, reduction, sample_weight=None, mask=None, label_smoothing=None, alpha=None, gamma=2.0
):
    probabilities, targets, weight = rows(probabilities, targets, sample_weight=sample_weight, mask=mask)
    if label_smoothing is not None:
        targets = (1 - label_smoothing) * targets + label_smoothing / 2
    weight = weight[..., None]
    complement = torch.log1p(-torch.where((probabilities == 1) & (targets == 1), 0, probabilities))
    losses = -(targets * log(probabilities, targets) + (1 - targets) * complement)
    losses = (targets * (1 - probabilities) + (1 - targets) * probabilities) ** gamma * losses
    if alpha is not None:
        losses = (alpha * targets + (1 - alpha) * (1 - targets)) * losses
    return reduced(weight * losses, weight, reduction=reduction)


@_composes("binary_focal_cross_entropy_with_logits", "pair", "pair")
def sigmoid_focal(logits, targets, *, reduction, sample_weight=None, mask=None, label_smoothing=None, alpha=None, gamma=2.0):
    logits, targets, weight = rows(logits, targets, sample_weight=sample_weight, mask=mask)
    if label_smoothing is not None:
        targets = (1 - label_smoothing) * targets + label_smoothing / 2
    weight = weight[..., None]
    log_p, log_q = F.logsigmoid(logits), F.logsigmoid(-logits)
    losses = -(times(targets, log_p) + times(1 - targets, log_q))
    losses = (targets * torch.exp(log_q) + (1 - targets) * torch.exp(log_p)) ** gamma * losses
    if alpha is not None:
        losses = (alpha * targets + (1 - alpha) * (1 - targets)) * losses
    return reduced(weight * losses, weight, reduction=reduction)


@_composes("categorical_focal_cross_entropy", "log", "separate")
def categorical_focal(
    probabilities,
    targets,
    *,
    reduction,
    class_axis=None,
    class_weight=None,
    sample_weight=None,
    mask=None,
    label_smoothing=None,
    alpha=None,
    gamma=2.0,
):
    probabilities, targets, weight = rows(probabilities, targets, class_axis=class_axis, sample_weight=sample_weight, mask=mask)
    divide_by = weight
    if class_weight is not None:
        divide_by = weight * (class_weight * targets).sum(-1)
    if label_smoothing is not None:
        targets = smoothed(targets, label_smoothing)
    if class_weight is not None:
        targets = class_weight * targets
    losses = -((1 - probabilities) ** gamma * targets * log(probabilities, targets)).sum(-1)
    if alpha is not None:
        losses = alpha * losses
    return reduced(weight * losses, divide_by, reduction=reduction)


@_composes("categorical_focal_cross_entropy_with_logits", "log1p", "quotient")
def softmax_focal(
    logits,
    targets,
    *,
    reduction,
    class_axis=None,
    class_weight=None,
    sample_weight=None,
    mask=None,
    label_smoothing=None,
    alpha=None,
    gamma=2.0,
):
    logits, targets, weight = rows(logits, targets, class_axis=class_axis, sample_weight=sample_weight, mask=mask)
    divide_by = weight
    if class_weight is not None:
        divide_by = weight * (class_weight * targets).sum(-1)
    if label_smoothing is not None:
        targets = smoothed(targets, label_smoothing)
    if class_weight is not None:
        targets = class_weight * targets
    log_p = log_softmax(logits)
    losses = -(complement(log_p) ** gamma * times(targets, log_p)).sum(-1)
    if alpha is not None:
        losses = alpha * losses
    return reduced(weight * losses, divide_by, reduction=reduction)


@_composes("poly_loss_cross_entropy", "log1p", "quotient")
def poly(
    logits,
    targets,
    *,
    reduction,
    class_axis=None,
    class_weight=None,
    sample_weight=None,
    mask=None,
    where=None,
    label_smoothing=None,
    epsilon=2.0,
):
    logits, targets, weight = rows(logits, targets, class_axis=class_axis, sample_weight=sample_weight, mask=mask)
    if where is not None:
        logits, targets, where = there_alone(where, logits, targets, class_axis=class_axis)
    divide_by = weight
    if class_weight is not None:
        divide_by = weight * (class_weight * targets).sum(-1)
    if label_smoothing is not None:
        targets = smoothed(targets, label_smoothing, where=where)
    if class_weight is not None:
        targets = class_weight * targets
    log_p = log_softmax(logits)
    losses = -(times(targets, log_p) + epsilon * targets * torch.expm1(log_p)).sum(-1)
    return reduced(weight * losses, divide_by, reduction=reduction)


@_composes("generalized_cross_entropy", "power", "power")
def generalized(
    probabilities,
    labels,
    *,
    reduction,
    class_axis=None,
    class_weight=None,
    sample_weight=None,
    mask=None,
    ignore_index=None,
    q=0.5,
):
    probabilities, labels, weight = rows(
        probabilities, labels, class_axis=class_axis, sample_weight=sample_weight, mask=mask, ignore_index=ignore_index
    )
    p = probabilities.gather(-1, labels[..., None])[..., 0]
    is_likely = p > 0.5  # there 1 - p**q loses digits, and near 0 the slope of a logarithm overflows
    lost = torch.where(is_likely, -torch.expm1(q * torch.log(torch.where(is_likely, p, 1.0))), 1 - p**q)
    losses = lost / q
    if class_weight is not None:
        weight = weight * (class_weight * one_hot(labels, probabilities)).sum(-1)
    return reduced(weight * losses, weight, reduction=reduction)
