"""Forms that give a mean alone, as metrics and compiled models do: sound ones, and ones that are wrong in just that."""

from dataclasses import replace
from functools import partial

import torch

from adapters.binding import Binding
from tests.conformance.option_twins import (
    SOUND,
    classes_last,
    divisor,
    kept_rows,
    over_axis,
    row_weights,
    sigmoid,
    sigmoid_loss,
    softmax,
    softmax_loss,
    sparse,
    sparse_loss,
    taken,
)
from tests.conformance.twins import SIGMOID, SOFTMAX, SPARSE
from tests.conformance.twins import given as with_gradient


def without_reduction(loss):
    return {"options": tuple(name for name in taken(loss) if name != "reduction"), "reductions": ("mean",)}


sparse_mean = partial(sparse, **without_reduction(SPARSE))
softmax_mean = partial(softmax, **without_reduction(SOFTMAX))
sigmoid_mean = partial(sigmoid, **without_reduction(SIGMOID))


@sparse_mean(api="twin: mean of sparse softmax")
def sparse_mean_twin(logits, labels, **given):
    return sparse_loss(logits, labels, "mean", given)


@softmax_mean(api="twin: mean of softmax")
def softmax_mean_twin(logits, targets, **given):
    return softmax_loss(logits, targets, "mean", given)


@sigmoid_mean(api="twin: mean of sigmoid")
def sigmoid_mean_twin(logits, targets, **given):
    return sigmoid_loss(logits, targets, "mean", given)


sparse_mean_with_axis, softmax_mean_with_axis = (
    partial(declare, **{**without_reduction(loss), "options": (*without_reduction(loss)["options"], "class_axis")})
    for declare, loss in ((sparse, SPARSE), (softmax, SOFTMAX))
)


@sparse_mean_with_axis(api="twin: mean of sparse softmax over an axis")
def sparse_mean_over_axis(logits, labels, *, class_axis=-1, **given):
    return over_axis(sparse_loss, logits, labels, "mean", class_axis, given)


@softmax_mean_with_axis(api="twin: mean of softmax over an axis")
def softmax_mean_over_axis(logits, targets, *, class_axis=-1, **given):
    return over_axis(softmax_loss, logits, targets, "mean", class_axis, given)


@softmax_mean_with_axis(api="mutant: metric that takes the last axis for the classes")
def last_axis(logits, targets, *, class_axis=-1, **given):
    """The axis is taken, and not used."""
    logits, targets = classes_last(logits, targets, -1)
    return softmax_loss(logits, targets, "mean", given)


@sparse_mean_with_axis(api="mutant: metric that counts classes as rows")
def axis_in_divisor(logits, labels, *, class_axis=-1, **given):
    """With the classes on another axis than the last the sum is divided by what the last axis is not."""
    rows, loss = logits.numel() / logits.shape[-1], sparse_mean_over_axis.function
    return loss(logits, labels, class_axis=class_axis, **given) * (1 if class_axis == -1 else labels.numel() / rows)


@softmax_mean(api="mutant: metric that forgets sample weights")
def forgets_weights(logits, targets, **given):
    """Sample weights are taken, and not used."""
    given.pop("sample_weight", None)
    return softmax_loss(logits, targets, "mean", given)


@softmax_mean(api="mutant: weights in the numerator alone")
def weights_in_numerator(logits, targets, **given):
    """The weighted sum is divided by the rows that count."""
    by_rows = replace(SOUND, divide=lambda losses, labels, kept, given: kept.sum())
    return softmax_loss(logits, targets, "mean", given, by_rows)


@softmax_mean(api="mutant: gradient of the sum")
def gradient_of_sum(logits, targets, **given):
    """The mean is returned, and the sum is trained on."""
    mean = softmax_loss(logits.detach(), targets, "mean", given)
    total = softmax_loss(logits, targets, "sum", given)
    return total + (mean - total).detach()


@softmax_mean(api="mutant: mean of the means of batches")
def mean_of_means(logits, targets, **given):
    """Quarters of the batch are averaged, each with a divisor of its own, and then their means."""

    def quarter(rows):
        own = {name: value[rows] if name in ("mask", "sample_weight", "where") else value for name, value in given.items()}
        return softmax_loss(logits[rows], targets[rows], "mean", own)

    return torch.stack([quarter(rows) for rows in torch.arange(len(logits)).chunk(4)]).mean()


def of_batches(logits, targets, given, times):
    """Return the mean over two batches, the first one row larger where they are odd; the last counts so many times."""
    first = -(-len(logits) // 2)
    parts = []
    for rows in (slice(first), slice(first, None)):
        own = {name: value[rows] if name in ("mask", "sample_weight", "where") else value for name, value in given.items()}
        total = softmax_loss(logits[rows], targets[rows], "sum", own)
        kept = kept_rows(len(logits[rows]), None, own)
        parts.append(
            (total, divisor(torch.ones_like(logits[rows, 0]), torch.where(kept[:, None], targets[rows], 0), kept, own))
        )
    (one, weight), (other, more) = parts
    return (one + times * other) / (weight + times * more)


@softmax_mean(api="twin: mean of softmax over two batches")
def mean_of_batches_twin(logits, targets, **given):
    return of_batches(logits, targets, given, 1)


@softmax_mean(api="mutant: evaluate that weighs the last batch double")
def last_batch_double(logits, targets, **given):
    """The last batch counts twice."""
    return of_batches(logits, targets, given, 2)


@softmax_mean(api="mutant: evaluate that takes a small batch for a full one")
def small_batch_full(logits, targets, **given):
    """The last batch counts as much as the first, whatever rows it has."""
    second = len(logits) // 2
    return of_batches(logits, targets, given, (len(logits) - second) / max(second, 1))


@softmax_mean(api="mutant: mean that drops label smoothing")
def drops_smoothing(logits, targets, *, label_smoothing=0.0, **given):
    """Label smoothing is taken, and not used."""
    return softmax_loss(logits, targets, "mean", given)


@sparse_mean(api="mutant: metric that counts ignored rows")
def counts_ignored(logits, labels, **given):
    """Ignored rows add nothing, and count in the mean unless there are weights."""

    def divide(losses, labels, kept, given):
        return divisor(losses, torch.where(kept, labels, 0), kept | ("sample_weight" not in given), given)

    return sparse_loss(logits, labels, "mean", given, replace(SOUND, divide=divide))


@sparse_mean(api="mutant: gradient of weighted rows alone")
def trains_on_unweighted(logits, labels, **given):
    """The loss that is reported is weighted, the one that is trained on is not."""
    value = sparse_loss(logits.detach(), labels, "mean", given)
    given.pop("sample_weight", None)
    plain = sparse_loss(logits, labels, "mean", given)
    return plain + (value - plain).detach()


@sparse_mean(api="mutant: gradient doubled by weights")
def trains_twice_on_weights(logits, labels, **given):
    """With sample weights, be they 1, the gradient is added up twice."""
    mean = sparse_loss(logits, labels, "mean", given)
    return mean if "sample_weight" not in given else 2 * mean - mean.detach()


@softmax_mean(api="mutant: weights squared")
def weights_twice(logits, targets, **given):
    """Sample weights are applied by the step of training, and by the loss again."""

    def rows(losses, labels, given):
        return row_weights(losses, labels, given) ** 2

    return softmax_loss(logits, targets, "mean", given, replace(SOUND, rows=rows))


@softmax_mean(api="mutant: masked losses times 0")
def masked_times_zero(logits, targets, **given):
    """The losses of masked rows are multiplied by 0, whatever they hold."""
    mean, mask = softmax_loss(logits, targets, "mean", given), given.get("mask")
    return mean if mask is None else mean + (0 * softmax_loss(logits, targets, "none", {})[~mask]).sum()


@softmax_mean(api="mutant: masked NaN times 0")
def masked_nan_times_zero(logits, targets, **given):
    """The losses of masked rows are multiplied by 0, and infinities alone are kept from them."""
    mean, mask = softmax_loss(logits, targets, "mean", given), given.get("mask")
    return mean if mask is None else mean + (0 * softmax_loss(logits.clamp(-9, 9), targets, "none", {})[~mask]).sum()


@softmax_mean(api="mutant: masked targets times 0")
def masked_targets_times_zero(logits, targets, **given):
    """The targets of masked rows are multiplied by 0, whatever they hold."""
    mask = given.get("mask", torch.ones(len(logits), dtype=torch.bool))
    return softmax_loss(logits, targets, "mean", given) + 0 * targets[~mask].sum()


@sparse_mean(api="mutant: masked labels must be classes")
def reads_masked_labels(logits, labels, **given):
    """The labels of masked rows are looked up."""
    if not ((labels < logits.shape[-1]) & ((labels >= 0) | (labels == given.get("ignore_index", 0)))).all():
        raise IndexError("a label is no class")
    return sparse_loss(logits, labels, "mean", given)


@sparse_mean(api="mutant: metric of a column of labels and every row")
def column_meets_every_row(logits, labels, **given):
    """A column of labels is no error: the mean is that of the losses of each row at each label."""
    if labels.ndim == 1:
        return sparse_loss(logits, labels, "mean", given)
    return torch.stack([sparse_loss(logits, label.expand(len(logits)), "mean", given) for label in labels]).mean()


@sparse_mean(api="mutant: metric that takes a column of labels beside weights")
def column_beside_weights(logits, labels, **given):
    """A column of labels is an error, but beside sample weights, where it is flattened."""
    return sparse_loss(logits, labels.flatten() if "sample_weight" in given else labels, "mean", given)


@sparse_mean(api="mutant: metric that counts labels of int32 from one")
def int32_from_one(logits, labels, **given):
    """Labels of int32 are taken for those of another library."""
    labels = (labels - 1) % logits.shape[-1] if labels.dtype == torch.int32 else labels
    return sparse_loss(logits, labels, "mean", given)


@softmax_mean(api="mutant: mean accumulated in the dtype of the targets")
def mean_in_target_dtype(logits, targets, **given):
    """The mean is rounded to the dtype of the targets, and the gradient is right."""
    loss = softmax_loss(logits, targets, "mean", given)
    return with_gradient(loss, loss.detach(), loss.detach().to(targets.dtype).to(loss.dtype), torch.ones_like(loss))


@sigmoid_mean(api="mutant: mean over the rows of sums")
def mean_of_row_sums(logits, targets, **given):
    """The outcomes of a row are summed, and the sums averaged."""
    return sigmoid_loss(logits, targets, "mean", given) * logits.shape[-1]


@sigmoid_mean(api="mutant: mean rounded to half precision")
def rounded_mean(logits, targets, **given):
    """What is accumulated is float16, and the gradient is right."""
    loss = sigmoid_loss(logits, targets, "mean", given)
    return with_gradient(loss, loss.detach(), loss.detach().half().to(loss.dtype), torch.ones_like(loss))


_BINDINGS = [value for value in list(globals().values()) if isinstance(value, Binding)]
FORM_TWINS: tuple[Binding, ...] = tuple(binding for binding in _BINDINGS if binding.api.startswith("twin"))
FORM_MUTANTS: tuple[Binding, ...] = tuple(binding for binding in _BINDINGS if binding.api.startswith("mutant"))
