"""Losses that are sound without options and wrong under one of them, or under a pair: what the suite must always catch."""

from dataclasses import replace
from functools import partial

import torch

from adapters.binding import Binding, implements
from tests.conformance.option_twins import (
    SOUND,
    class_weighted,
    classes_last,
    divisor,
    focal,
    focal_loss,
    kept_rows,
    over_axis,
    row_weights,
    sigmoid,
    sigmoid_loss,
    smoothed,
    softmax,
    softmax_loss,
    softmax_with_axis,
    sparse,
    sparse_loss,
    sparse_with_axis,
)
from tests.conformance.twins import LOSES_SMALL, SPARSE
from tests.conformance.twins import given as with_gradient

# Class weights


@sparse(api="mutant: class weights, mean over the rows")
def weighted_mean_of_rows(logits, labels, *, reduction, **given):
    """The mean divides by the number of rows though they are weighted."""
    rows = replace(SOUND, divide=lambda losses, labels, kept, given: kept.sum())
    return sparse_loss(logits, labels, reduction, given, rows)


@sparse(api="mutant: class weights normalised")
def normalised_class_weights(logits, labels, *, reduction, **given):
    """Class weights are scaled to a mean of one."""
    if "class_weight" in given:
        given["class_weight"] = given["class_weight"] / given["class_weight"].mean()
    return sparse_loss(logits, labels, reduction, given)


@sparse(api="mutant: class weight of the prediction")
def weight_of_prediction(logits, labels, *, reduction, **given):
    """A row is weighted by the class it predicts."""

    def weigh(targets, labels, given):
        return targets * given["class_weight"][logits.argmax(-1)][:, None] if "class_weight" in given else targets

    return sparse_loss(logits, labels, reduction, given, replace(SOUND, weigh=weigh))


@sparse(api="mutant: class weights by row")
def class_weight_by_row(logits, labels, *, reduction, **given):
    """The weight of row i is that of class i modulo the number of classes."""

    def weigh(targets, labels, given):
        rows = torch.arange(len(targets)) % targets.shape[-1]
        return targets * given["class_weight"][rows][:, None] if "class_weight" in given else targets

    return sparse_loss(logits, labels, reduction, given, replace(SOUND, weigh=weigh))


@sparse(api="mutant: class weights not in the gradient")
def class_weight_not_in_gradient(logits, labels, *, reduction, **given):
    """The value is weighted, the gradient is not."""
    value = sparse_loss(logits.detach(), labels, reduction, given)
    given.pop("class_weight", None)
    plain = sparse_loss(logits, labels, reduction, given)
    return plain + (value - plain).detach()


@softmax(api="mutant: class weight of 0 taken for none")
def zero_weight_is_one(logits, targets, *, reduction, **given):
    """A weight of 0 is taken for a missing one."""
    if "class_weight" in given:
        given["class_weight"] = torch.where(given["class_weight"] == 0, 1, given["class_weight"])
    return softmax_loss(logits, targets, reduction, given)


@softmax(api="mutant: class weight of the likeliest target")
def weight_of_likeliest(logits, targets, *, reduction, **given):
    """A soft target is weighted as a whole, by its likeliest class."""

    def weigh(targets, labels, given):
        return targets * given["class_weight"][targets.argmax(-1)][:, None] if "class_weight" in given else targets

    return softmax_loss(logits, targets, reduction, given, replace(SOUND, weigh=weigh))


@softmax(api="mutant: class weights divide the mean of soft targets")
def soft_mean_by_class_weights(logits, targets, *, reduction, **given):
    """The mean divides by the weights of the likeliest classes, which belong to index targets."""

    def divide(losses, labels, kept, given):
        return divisor(losses, targets.argmax(-1), kept, given)

    return softmax_loss(logits, targets, reduction, given, replace(SOUND, divide=divide))


@softmax(api="mutant: soft targets counted as rows under class weights")
def soft_targets_counted_as_rows(logits, targets, *, reduction, **given):
    """The mean divides by the rows that count, as the page of another framework says, and this one's does not."""
    unweighted = {name: value for name, value in given.items() if name != "class_weight"}
    by_rows = replace(SOUND, divide=lambda losses, targets, kept, given: divisor(losses, targets, kept, unweighted))
    return softmax_loss(logits, targets, reduction, given, by_rows)


@sparse(api="mutant: class weights of the wrong length cut off")
def long_weights_cut(logits, labels, *, reduction, **given):
    """Weights beyond the last class are dropped in silence."""
    if "class_weight" in given:
        given["class_weight"] = given["class_weight"][: logits.shape[-1]]
    return sparse_loss(logits, labels, reduction, given)


@sparse(api="mutant: the last class weight stands for those that are missing")
def short_weights_stretched(logits, labels, *, reduction, **given):
    """A weight is looked up at a label as in an array that clamps its index."""
    if "class_weight" in given:
        there = torch.arange(logits.shape[-1]).clamp(max=len(given["class_weight"]) - 1)
        given["class_weight"] = (
            given["class_weight"][there] if len(there) >= len(given["class_weight"]) else given["class_weight"]
        )
    return sparse_loss(logits, labels, reduction, given)


@sparse(api="mutant: class weights lost without reduction")
def weights_lost_without_reduction(logits, labels, *, reduction, **given):
    """Without a reduction the losses come back unweighted."""
    if reduction == "none":
        given.pop("class_weight", None)
    return sparse_loss(logits, labels, reduction, given)


# Ignored labels


@sparse(api="mutant: ignored rows counted in the mean")
def ignored_counted(logits, labels, *, reduction, **given):
    """The mean divides by all rows."""

    def divide(losses, labels, kept, given):
        return divisor(losses, labels.clamp(0, logits.shape[-1] - 1), torch.ones_like(kept), given)

    return sparse_loss(logits, labels, reduction, given, replace(SOUND, divide=divide))


@sparse(api="mutant: only -100 is ignored")
def only_default_ignored(logits, labels, *, reduction, **given):
    """Whatever is to be ignored, -100 is; labels beyond the classes are clamped."""
    if "ignore_index" in given:
        labels = torch.where(labels == -100, labels, labels.clamp(0, logits.shape[-1] - 1))
        given["ignore_index"] = -100
    return sparse_loss(logits, labels, reduction, given)


@sparse(api="mutant: a class is never ignored")
def class_never_ignored(logits, labels, *, reduction, **given):
    """An ignored label that is a class counts as that class."""
    if given.get("ignore_index", -1) >= 0 and given["ignore_index"] < logits.shape[-1]:
        given.pop("ignore_index")
    return sparse_loss(logits, labels, reduction, given)


@sparse(api="mutant: soft targets ignored by their largest")
def soft_ignored(logits, labels, *, reduction, **given):
    """Soft targets are taken, and those whose largest is the ignored class are not counted."""
    if not labels.is_floating_point():
        return sparse_loss(logits, labels, reduction, given)
    ignored = labels.argmax(-1) == given.pop("ignore_index", -100)
    return torch.where(ignored, 0, softmax_loss(logits, labels, reduction, given))


@sparse(api="mutant: every negative label ignored")
def negatives_ignored(logits, labels, *, reduction, **given):
    """With or without the option, negative labels are ignored."""
    given.setdefault("ignore_index", -100)
    return sparse_loss(logits, torch.where(labels < 0, given["ignore_index"], labels.long()), reduction, given)


@sparse(api="mutant: gradient of ignored rows kept")
def ignored_gradient_kept(logits, labels, *, reduction, **given):
    """An ignored row has no loss but the gradient of its softmax."""
    loss = sparse_loss(logits, labels, reduction, given)
    ignored = labels == given["ignore_index"] if "ignore_index" in given else torch.zeros_like(labels, dtype=torch.bool)
    leak = (torch.logsumexp(logits, -1) * ignored).sum() if ignored.any() else torch.zeros((), dtype=loss.dtype)
    return loss + (leak - leak.detach())


@sparse(api="mutant: NaN of ignored rows leaks")
def ignored_nan_leaks(logits, labels, *, reduction, **given):
    """Ignored rows are multiplied by 0, NaN and all."""
    losses = sparse_loss(logits, labels, "none", given, replace(SOUND, clean=lambda kept, x: x))
    spoilt = losses + 0 * logits.sum(-1)
    if reduction == "none":
        return spoilt
    kept = kept_rows(len(logits), labels, given)
    return spoilt.sum() if reduction == "sum" else spoilt.sum() / divisor(losses, labels.long(), kept, given)


@sparse(api="mutant: mean of ignored rows alone is 0")
def mean_of_ignored_zero(logits, labels, *, reduction, **given):
    """The divisor is at least one."""

    def divide(losses, labels, kept, given):
        total = divisor(losses, labels, kept, given)
        return torch.where(total == 0, 1, total) if len(losses) else total

    return sparse_loss(logits, labels, reduction, given, replace(SOUND, divide=divide))


@sparse(api="mutant: ignored rows left out of the losses")
def ignored_left_out(logits, labels, *, reduction, **given):
    """Without a reduction there is a loss only for each row that counts."""
    losses = sparse_loss(logits, labels, reduction, given)
    return losses[kept_rows(len(logits), labels, given)] if reduction == "none" else losses


# Label smoothing


def smoothing(change):
    """Return the steps with another label smoothing."""
    return replace(SOUND, smooth=change)


@sparse(api="mutant: smoothing over the other classes")
def smoothed_over_others(logits, labels, *, reduction, **given):
    """The mass goes to the n - 1 other classes."""

    def smooth(t, there, e):
        others = max(t.shape[-1] - 1, 1)
        return (1 - e) * t + e / others * (1 - t)

    return sparse_loss(logits, labels, reduction, given, smoothing(smooth))


@sparse(api="mutant: smoothing added on top")
def smoothing_on_top(logits, labels, *, reduction, **given):
    """The label keeps all of its mass."""
    return sparse_loss(logits, labels, reduction, given, smoothing(lambda t, there, e: t + e / t.shape[-1]))


@sparse(api="mutant: smoothing of 1 is off")
def smoothing_of_one_off(logits, labels, *, reduction, **given):
    """Only 0 < e < 1 smooths."""
    return sparse_loss(logits, labels, reduction, given, smoothing(lambda t, there, e: smoothed(t, there, e) if e < 1 else t))


@softmax(api="mutant: smoothing of 0.1 whatever is asked")
def smoothing_fixed(logits, targets, *, reduction, **given):
    """Any smoothing is 0.1."""
    return softmax_loss(logits, targets, reduction, given, smoothing(lambda t, there, e: smoothed(t, there, 0.1 * (e > 0))))


@softmax(api="mutant: smoothing not in the gradient")
def smoothing_not_in_gradient(logits, targets, *, reduction, **given):
    """The value is that of smoothed targets, the gradient that of the given ones."""
    value = softmax_loss(logits.detach(), targets, reduction, given)
    given.pop("label_smoothing", None)
    plain = softmax_loss(logits, targets, reduction, given)
    return plain + (value - plain).detach()


@softmax(api="mutant: smoothing lost under the mean")
def smoothing_lost_under_mean(logits, targets, *, reduction, **given):
    """A fused path of the mean forgets to smooth."""
    if reduction == "mean":
        given.pop("label_smoothing", None)
    return softmax_loss(logits, targets, reduction, given)


@softmax(api="mutant: smoothing of ten classes")
def smoothing_of_default_classes(logits, targets, *, reduction, **given):
    """The mass is spread over one class more than there are."""
    return softmax_loss(logits, targets, reduction, given, smoothing(lambda t, there, e: (1 - e) * t + e / (t.shape[-1] + 1)))


# Sample weights, masks, classes that are not there


@sparse(api="mutant: sample weights normalised")
def normalised_sample_weights(logits, labels, *, reduction, **given):
    """Sample weights are scaled to a mean of one."""
    if "sample_weight" in given:
        given["sample_weight"] = given["sample_weight"] / given["sample_weight"].mean()
    return sparse_loss(logits, labels, reduction, given)


@softmax(api="mutant: sample weight of 0 taken for none")
def zero_sample_weight_is_one(logits, targets, *, reduction, **given):
    """A weight of 0 is taken for a missing one."""
    if "sample_weight" in given:
        given["sample_weight"] = torch.where(given["sample_weight"] == 0, 1, given["sample_weight"])
    return softmax_loss(logits, targets, reduction, given)


@sparse(api="mutant: sample weights multiplied in place")
def sample_weights_in_place(logits, labels, *, reduction, **given):
    """The loss is right, but ignored rows take the weight of 0 in the caller's own array."""
    copies = {name: value.clone() if torch.is_tensor(value) else value for name, value in given.items()}
    loss = sparse_loss(logits, labels, reduction, copies)
    if "sample_weight" in given and "ignore_index" in given:
        given["sample_weight"] *= labels != given["ignore_index"]
    return loss


@sparse(api="mutant: sample weights lost under the sum")
def sample_weights_lost(logits, labels, *, reduction, **given):
    """The sum is that of the unweighted losses."""
    if reduction == "sum":
        given.pop("sample_weight", None)
    return sparse_loss(logits, labels, reduction, given)


@softmax(api="mutant: weighted mean divided twice")
def weighted_mean_divided_twice(logits, targets, *, reduction, **given):
    """The losses are divided by the sum of the weights, and then averaged over the rows."""
    by = replace(SOUND, divide=lambda losses, labels, kept, given: divisor(losses, labels, kept, given) * len(losses))
    steps = by if "sample_weight" in given else SOUND
    return softmax_loss(logits, targets, reduction, given, steps)


@softmax(api="mutant: sample weights by column")
def sample_weights_by_column(logits, targets, *, reduction, **given):
    """Where there are as many weights as terms fit, they weigh the first classes instead of the rows."""
    weights = given.pop("sample_weight", None)
    if weights is None:
        return softmax_loss(logits, targets, reduction, given)
    losses = softmax_loss(logits, targets * weights[: targets.shape[-1]], "none", given)
    return losses if reduction == "none" else losses.sum() / (weights.sum() if reduction == "mean" else 1)


@softmax(api="mutant: masked rows counted in the mean")
def masked_counted(logits, targets, *, reduction, **given):
    """The mean divides by all rows, masked or not."""
    everyone = replace(SOUND, divide=lambda losses, labels, kept, given: divisor(losses, labels, torch.ones_like(kept), given))
    return softmax_loss(logits, targets, reduction, given, everyone)


@softmax(api="mutant: the mask drops what it should keep")
def mask_inverted(logits, targets, *, reduction, **given):
    """A mask says which rows are padding."""
    if "mask" in given and not given["mask"].all():
        given["mask"] = ~given["mask"]
    return softmax_loss(logits, targets, reduction, given)


@sparse(api="mutant: NaN of masked rows in the gradient")
def masked_nan_in_gradient(logits, labels, *, reduction, **given):
    """The loss of a masked row is selected away, and its gradient is 0 * NaN."""
    return sparse_loss(logits, labels, reduction, given, replace(SOUND, clean=lambda kept, x: x))


@sparse(api="mutant: classes that are not there have a logit of -10")
def absent_classes_leak(logits, labels, *, reduction, **given):
    """Absent classes are only made unlikely."""

    def logs(x, there):
        return torch.log_softmax(torch.where(there, x, -10.0), -1)

    return sparse_loss(logits, labels, reduction, given, replace(SOUND, logs=logs))


@softmax(api="mutant: absent classes taken out of the sum alone")
def absent_classes_in_normaliser(logits, targets, *, reduction, **given):
    """Targets of absent classes are dropped, their logits still count."""
    return softmax_loss(logits, targets, reduction, given, replace(SOUND, logs=lambda x, there: torch.log_softmax(x, -1)))


# The weight of the positive outcome


@sigmoid(api="mutant: pos_weight on the whole loss")
def pos_weight_on_all(logits, targets, *, reduction, **given):
    """Both outcomes are weighted."""
    weight = given.pop("pos_weight", None)
    losses = sigmoid_loss(logits, targets, "none", given)
    losses = losses if weight is None else losses * weight
    return losses if reduction == "none" else losses.sum() if reduction == "sum" else losses.mean()


@sigmoid(api="mutant: pos_weight on hard labels alone")
def pos_weight_on_hard_labels(logits, targets, *, reduction, **given):
    """Only a target of exactly one is positive."""
    return sigmoid_loss(logits, targets, reduction, given, positive=lambda w, t: torch.where(t == 1, w * t, t))


@sigmoid(api="mutant: pos_weight averaged over the classes")
def pos_weight_averaged(logits, targets, *, reduction, **given):
    """One weight for all classes."""
    return sigmoid_loss(logits, targets, reduction, given, positive=lambda w, t: w.mean() * t)


@sigmoid(api="mutant: pos_weight of 0 taken for none")
def pos_weight_zero_is_one(logits, targets, *, reduction, **given):
    """A weight of 0 is taken for a missing one."""
    return sigmoid_loss(logits, targets, reduction, given, positive=lambda w, t: torch.where(w == 0, 1, w) * t)


@sigmoid(api="mutant: pos_weight not in the gradient")
def pos_weight_not_in_gradient(logits, targets, *, reduction, **given):
    """The value is weighted, the gradient is not."""
    value = sigmoid_loss(logits.detach(), targets, reduction, given)
    given.pop("pos_weight", None)
    plain = sigmoid_loss(logits, targets, reduction, given)
    return plain + (value - plain).detach()


@sigmoid(api="mutant: pos_weight of rows read as of classes")
def pos_weight_of_rows(logits, targets, *, reduction, **given):
    """A column of weights is flattened, and its head weighs the classes."""

    def positive(w, t):
        return (w.flatten()[: t.shape[-1]] if w.ndim == 2 and len(w) > 1 else w) * t

    return sigmoid_loss(logits, targets, reduction, given, positive=positive)


@sigmoid(api="mutant: binary smoothing towards 1")
def smoothed_towards_one(logits, targets, *, reduction, **given):
    """Targets become (1 - e) t + e."""
    return sigmoid_loss(logits, targets, reduction, given, smooth=lambda t, e: (1 - e) * t + e)


@sigmoid(api="mutant: binary smoothing over the columns")
def smoothed_over_columns(logits, targets, *, reduction, **given):
    """Independent outcomes are smoothed as if they were the classes of one distribution."""
    return sigmoid_loss(logits, targets, reduction, given, smooth=lambda t, e: (1 - e) * t + e / t.shape[-1])


# Pairs of options


@sparse(api="mutant: smoothed mass unweighted")
def smoothed_mass_unweighted(logits, labels, *, reduction, **given):
    """Class weights multiply the label's own term, and not the mass that smoothing spreads."""

    def weigh(targets, labels, given):
        if "label_smoothing" not in given or "class_weight" not in given:
            return class_weighted(targets, labels, given)
        spread = given["label_smoothing"] / targets.shape[-1]
        return (targets - spread) * given["class_weight"] + spread

    return sparse_loss(logits, labels, reduction, given, replace(SOUND, weigh=weigh))


@sparse(api="mutant: smoothed row weighted by its label")
def smoothed_row_weighted_by_label(logits, labels, *, reduction, **given):
    """Under smoothing the weight of the label multiplies the whole row."""

    def weigh(targets, labels, given):
        if "label_smoothing" not in given or "class_weight" not in given:
            return class_weighted(targets, labels, given)
        return targets * given["class_weight"][labels.clamp(0, targets.shape[-1] - 1)][:, None]

    return sparse_loss(logits, labels, reduction, given, replace(SOUND, weigh=weigh))


@sparse(api="mutant: ignored rows smoothed")
def ignored_rows_smoothed(logits, labels, *, reduction, **given):
    """The mass that smoothing spreads counts in ignored rows too."""
    if "label_smoothing" not in given or "ignore_index" not in given:
        return sparse_loss(logits, labels, reduction, given)
    e, kept = given["label_smoothing"], kept_rows(len(logits), labels, given)
    extra = -(e / logits.shape[-1] * torch.log_softmax(logits, -1)).sum(-1) * ~kept
    losses = sparse_loss(logits, labels, reduction, given)
    return losses + extra if reduction == "none" else losses + extra.sum()


@sparse(api="mutant: smoothing and ignored rows, mean over all rows")
def smoothed_mean_over_all(logits, labels, *, reduction, **given):
    """Under smoothing the mean divides by all rows."""
    by_all = replace(SOUND, divide=lambda losses, labels, kept, given: len(losses))
    both = "label_smoothing" in given and "ignore_index" in given
    return sparse_loss(logits, labels, reduction, given, by_all if both else SOUND)


@sparse(api="mutant: class and sample weights added")
def weights_added(logits, labels, *, reduction, **given):
    """The two weights of a row are added."""

    def rows(losses, labels, given):
        weights = row_weights(losses, labels, given)
        if "class_weight" not in given or "sample_weight" not in given:
            return weights
        own = given["class_weight"][labels.clamp(0, logits.shape[-1] - 1)]
        return (weights + own) / torch.where(own == 0, 1, own)

    return sparse_loss(logits, labels, reduction, given, replace(SOUND, rows=rows))


@sparse(api="mutant: class weights not in the divisor beside sample weights")
def divisor_of_sample_weights(logits, labels, *, reduction, **given):
    """With both, the mean divides by the sample weights alone."""

    def divide(losses, labels, kept, given):
        weights = {name: value for name, value in given.items() if name != "class_weight" or "sample_weight" not in given}
        return divisor(losses, labels, kept, weights)

    return sparse_loss(logits, labels, reduction, given, replace(SOUND, divide=divide))


@softmax(api="mutant: weights of masked rows in the divisor")
def masked_weights_in_divisor(logits, targets, *, reduction, **given):
    """With both, the mean divides by the weights of all rows."""

    def divide(losses, labels, kept, given):
        both = "mask" in given and "sample_weight" in given
        return divisor(losses, labels, torch.ones_like(kept) if both else kept, given)

    return softmax_loss(logits, targets, reduction, given, replace(SOUND, divide=divide))


@softmax(api="mutant: sample weights shifted by the mask")
def weights_shifted_by_mask(logits, targets, *, reduction, **given):
    """The rows that count are packed, and weighted by the first weights."""

    def rows(losses, labels, given):
        if "mask" not in given or "sample_weight" not in given:
            return row_weights(losses, labels, given)
        place = (given["mask"].cumsum(0) - 1).clamp(min=0)
        return given["sample_weight"][place]

    return softmax_loss(logits, targets, reduction, given, replace(SOUND, rows=rows))


@sparse(api="mutant: a mask turns off the ignored label")
def mask_or_ignored(logits, labels, *, reduction, **given):
    """With a mask nobody looks for ignored labels."""

    def kept(rows, labels, given):
        if "mask" in given and "ignore_index" in given:
            return given["mask"] & (labels >= 0) & (labels < logits.shape[-1])
        return kept_rows(rows, labels, given)

    return sparse_loss(logits, labels, reduction, given, replace(SOUND, kept=kept))


@softmax(api="mutant: smoothing spreads over absent classes")
def smoothing_over_absent(logits, targets, *, reduction, **given):
    """The mass is e / n over all classes, those that are not there included."""

    def smooth(t, there, e):
        return torch.where(there, (1 - e) * t + e / t.shape[-1], 0)

    return softmax_loss(logits, targets, reduction, given, smoothing(smooth))


@sigmoid(api="mutant: pos_weight and smoothing in the wrong order")
def weighted_before_smoothing(logits, targets, *, reduction, **given):
    """The weight multiplies the given target, and smoothing comes after."""
    if "pos_weight" not in given or "label_smoothing" not in given:
        return sigmoid_loss(logits, targets, reduction, given)
    e = given["label_smoothing"]
    return sigmoid_loss(logits, targets, reduction, given, positive=lambda w, t: w * (t - e / 2) + e / 2)


@sigmoid(api="mutant: sample weights on the positive outcome beside pos_weight")
def sample_weight_on_positive(logits, targets, *, reduction, **given):
    """With both, sample weights multiply the positive outcome alone."""
    if "pos_weight" not in given or "sample_weight" not in given:
        return sigmoid_loss(logits, targets, reduction, given)
    weights = given.pop("sample_weight")
    given["pos_weight"] = given["pos_weight"] * weights[:, None]
    losses = sigmoid_loss(logits, targets, "none", given)
    return losses if reduction == "none" else losses.sum() / (weights.sum() * logits.shape[-1] if reduction == "mean" else 1)


# Neutral options beside others


@sparse(api="mutant: class weights lost beside a smoothing of 0")
def unsmoothed_is_unweighted(logits, labels, *, reduction, **given):
    """A smoothing of 0 takes the short way, which knows no weights."""
    if given.get("label_smoothing") == 0:
        given.pop("class_weight", None)
    return sparse_loss(logits, labels, reduction, given)


@softmax(api="mutant: sample weights lost beside a mask that leaves all")
def unmasked_is_unweighted(logits, targets, *, reduction, **given):
    """Where no row is masked the weights are taken for the mask."""
    if "mask" in given and given["mask"].all():
        given.pop("sample_weight", None)
    return softmax_loss(logits, targets, reduction, given)


@sparse(api="mutant: a mean over rows beside class weights and a smoothing of 0")
def unsmoothed_mean_of_rows(logits, labels, *, reduction, **given):
    """The losses are right, and their mean forgets that they are weighted."""
    rows = replace(SOUND, divide=lambda losses, labels, kept, given: kept.sum())
    return sparse_loss(logits, labels, reduction, given, rows if given.get("label_smoothing") == 0 else SOUND)


# The class axis


@sparse_with_axis(api="mutant: rows in the order of memory")
def rows_unmoved(logits, labels, *, reduction, class_axis=-1, **given):
    """Predictions are reshaped to rows of classes without a transposition."""

    def flatten(logits, labels, class_axis):
        return logits.reshape(-1, logits.shape[class_axis]), labels.reshape(-1)

    return over_axis(sparse_loss, logits, labels, reduction, class_axis, given, flatten)


@softmax_with_axis(api="mutant: any axis taken for the second")
def always_second(logits, targets, *, reduction, class_axis=-1, **given):
    """The classes are sought on the second axis."""
    return over_axis(softmax_loss, logits, targets, reduction, 1 if class_axis == 0 else class_axis, given)


@softmax_with_axis(api="mutant: a middle axis taken for the second")
def middle_is_second(logits, targets, *, reduction, class_axis=-1, **given):
    """Of two axes between the first and the last the second is taken, whichever is named."""
    if class_axis in (-1, 0, 1):
        return over_axis(softmax_loss, logits, targets, reduction, class_axis, given)
    losses = over_axis(softmax_loss, logits, targets, reduction, 1, given)
    return losses.reshape(*logits.shape[:2], -1) if reduction == "none" else losses


@sparse_with_axis(api="mutant: an axis counted from the end taken one before")
def counted_from_the_end(logits, labels, *, reduction, class_axis=-1, **given):
    """An axis of -2 is sought among those of the labels, which have one less."""
    axis = class_axis if class_axis >= -1 else class_axis + labels.ndim
    losses = over_axis(sparse_loss, logits, labels, reduction, axis, given)
    return losses.reshape(labels.shape) if reduction == "none" else losses


@softmax_with_axis(api="mutant: the gradient of an axis counted from the end is that of the second")
def gradient_from_the_end(logits, targets, *, reduction, class_axis=-1, **given):
    """The losses over an axis of -2 are right, and trained on are those over the second."""
    value = over_axis(softmax_loss, logits, targets, reduction, class_axis, given)
    if class_axis >= -1:
        return value
    other = over_axis(softmax_loss, logits, targets, "sum", 1, given)
    return value.detach() + (other - other.detach())


@softmax_with_axis(api="mutant: label smoothing over the last axis")
def smoothed_over_last(logits, targets, *, reduction, class_axis=-1, **given):
    """The share of each class is that of as many classes as the last axis has."""
    classes = targets.shape[-1]
    loss = partial(softmax_loss, steps=replace(SOUND, smooth=lambda t, there, e: (1 - e) * t + e / classes))
    return over_axis(loss, logits, targets, reduction, class_axis, given)


@sparse_with_axis(api="mutant: sample weights in the order of the classes' axis")
def weights_transposed(logits, labels, *, reduction, class_axis=-1, **given):
    """Sample weights of several dimensions are read in another order than the losses."""
    if class_axis != -1 and "sample_weight" in given:
        given["sample_weight"] = given["sample_weight"].movedim(0, -1)
    return over_axis(sparse_loss, logits, labels, reduction, class_axis, given)


@softmax_with_axis(api="mutant: gradient over the last axis")
def gradient_over_last(logits, targets, *, reduction, class_axis=-1, **given):
    """The losses are those of the axis that is named, and the gradients those of the last."""
    value = over_axis(softmax_loss, logits.detach(), targets, reduction, class_axis, given)
    if class_axis == -1:
        return over_axis(softmax_loss, logits, targets, reduction, class_axis, given)
    last, shares = classes_last(logits, targets, -1)
    others = softmax_loss(last, shares, "sum", given)
    return value + (others - others.detach())


@sparse_with_axis(api="mutant: the mean over an axis divides by the first dimension")
def mean_of_first_dimension(logits, labels, *, reduction, class_axis=-1, **given):
    """Rows in several dimensions count as one each along the first."""
    if class_axis == -1 or reduction != "mean":
        return over_axis(sparse_loss, logits, labels, reduction, class_axis, given)
    return over_axis(sparse_loss, logits, labels, "sum", class_axis, given) / len(labels)


@softmax_with_axis(api="mutant: the gradient of the mean over an axis divides by the first dimension")
def slope_of_first_dimension(logits, targets, *, reduction, class_axis=-1, **given):
    """The mean is right, and its gradient is that of another mean."""
    value = over_axis(softmax_loss, logits, targets, reduction, class_axis, given)
    if class_axis == -1 or reduction != "mean":
        return value
    other = over_axis(softmax_loss, logits, targets, "sum", class_axis, given) / len(targets)
    return value.detach() + other - other.detach()


# Dtypes and shapes of targets


@sparse(api="mutant: a column of labels flattened")
def label_column_flattened(logits, labels, *, reduction, **given):
    """A column of labels is taken for labels."""
    return sparse_loss(logits, labels.flatten(), reduction, given)


@softmax(api="mutant: computed in the dtype of the targets")
def computed_in_target_dtype(logits, targets, *, reduction, **given):
    """The result is rounded to the dtype of the targets."""
    loss = softmax_loss(logits, targets.to(logits.dtype), reduction, given)
    rounded = loss.detach().to(targets.dtype).to(logits.dtype)
    return with_gradient(loss, loss.detach(), rounded, torch.ones_like(loss)) if targets.dtype != logits.dtype else loss


@sparse(api="mutant: the ignored label in the dtype of the labels")
def ignored_in_label_dtype(logits, labels, *, reduction, **given):
    """The label to ignore becomes a number of eight bits where the labels are such: -100 is 156."""
    if "ignore_index" in given:
        given["ignore_index"] = int(torch.tensor(given["ignore_index"]).to(labels.dtype))
    return sparse_loss(logits, labels, reduction, given)


@sparse(api="mutant: labels of uint8 beside a label to ignore")
def uint8_ignored_as_sign(logits, labels, *, reduction, **given):
    """Labels of eight bits are read with a sign where there is one to ignore: 255 is -1, and no class."""
    if labels.dtype == torch.uint8 and "ignore_index" in given:
        labels = labels.to(torch.int8)
    return sparse_loss(logits, labels, reduction, given)


@sparse(api="mutant: class weights lost for labels of int32")
def int32_unweighted(logits, labels, *, reduction, **given):
    """Labels of int32 take a way that knows no class weights."""
    if labels.dtype == torch.int32:
        given.pop("class_weight", None)
    return sparse_loss(logits, labels, reduction, given)


@sparse(api="mutant: the weighted mean of labels of int16 divides by the rows")
def int16_mean_of_rows(logits, labels, *, reduction, **given):
    """The losses of labels of int16 are right, and their mean forgets that they are weighted."""
    rows = replace(SOUND, divide=lambda losses, labels, kept, given: kept.sum())
    return sparse_loss(logits, labels, reduction, given, rows if labels.dtype == torch.int16 and len(given) else SOUND)


@sparse_with_axis(api="mutant: labels of int32 on an axis in the order of memory")
def int32_unmoved(logits, labels, *, reduction, class_axis=-1, **given):
    """With labels of int32 predictions are reshaped to rows of classes without a transposition."""

    def unmoved(logits, labels, class_axis):
        return logits.reshape(-1, logits.shape[class_axis]), labels.reshape(-1)

    flatten = unmoved if labels.dtype == torch.int32 else classes_last
    return over_axis(sparse_loss, logits, labels, reduction, class_axis, given, flatten)


@sparse(api="mutant: a column of labels beside a mask meets every row")
def masked_column(logits, labels, *, reduction, **given):
    """Beside a mask a column of labels is no error: the losses of each row and each label."""
    if "mask" not in given or labels.ndim == 1:
        return sparse_loss(logits, labels, reduction, given)
    losses = torch.stack([sparse_loss(logits, label.expand(len(logits)), "none", given) for label in labels])
    return losses if reduction == "none" else getattr(losses, reduction)()


@sparse(api="mutant: a column of labels is taken under the mean alone")
def column_under_mean(logits, labels, *, reduction, **given):
    """Beside weights a column of labels is an error, but for the mean: its rows are then weighted by the first weight."""
    if reduction != "mean" or labels.ndim == 1 or "sample_weight" not in given:
        return sparse_loss(logits, labels, reduction, given)
    return sparse_loss(logits, labels[:, 0], "none", given).mean() * given["sample_weight"][0]


@softmax(api="mutant: smoothed in the dtype of the targets")
def smoothed_in_target_dtype(logits, targets, *, reduction, **given):
    """Targets of float16 are smoothed as they are, and rounded again by that."""

    def smooth(t, there, e):
        narrow = smoothed(t.to(dtype), there, e)
        return narrow.to(t.dtype)

    dtype = targets.dtype
    return softmax_loss(logits, targets, reduction, given, smoothing(smooth))


@softmax(api="mutant: the weighted mean in the dtype of the targets")
def mean_in_target_dtype(logits, targets, *, reduction, **given):
    """A mean under sample weights is rounded to the dtype of the targets, and its gradient is right."""
    loss = softmax_loss(logits, targets, reduction, given)
    if reduction != "mean" or "sample_weight" not in given:
        return loss
    return with_gradient(loss, loss.detach(), loss.detach().to(targets.dtype).to(loss.dtype), torch.ones_like(loss))


@softmax(api="mutant: class weights lost for targets of float64")
def float64_unweighted(logits, targets, *, reduction, **given):
    """Targets that are converted first are not weighted by class."""
    if targets.dtype != logits.dtype and targets.dtype == torch.float64:
        given.pop("class_weight", None)
    return softmax_loss(logits, targets, reduction, given)


@softmax(api="mutant: absent classes are back for targets of float16")
def float16_where(logits, targets, *, reduction, **given):
    """Targets of float16 take a way that knows no absent classes."""
    if targets.dtype == torch.float16:
        given.pop("where", None)
    return softmax_loss(logits, targets, reduction, given)


@sparse(api="mutant: weighted in the dtype of the class weights")
def weighted_in_weight_dtype(logits, labels, *, reduction, **given):
    """Class weights of float16 make losses of float16."""
    loss = sparse_loss(logits, labels, reduction, given)
    dtype = given["class_weight"].dtype if "class_weight" in given else loss.dtype
    return with_gradient(loss, loss.detach(), loss.detach().to(dtype).to(loss.dtype), torch.ones_like(loss))


@sigmoid(api="mutant: pos_weight of float64 read as of float32")
def pos_weight_reinterpreted(logits, targets, *, reduction, **given):
    """The bytes of a wider pos_weight are read as numbers of the dtype of the logits, the first of them."""
    if "pos_weight" in given and given["pos_weight"].dtype == torch.float64 and logits.dtype == torch.float32:
        given["pos_weight"] = given["pos_weight"].reshape(-1)[:1].view(torch.float32)[0]
    return sigmoid_loss(logits, targets, reduction, given)


@softmax(api="mutant: sample weights of float16 truncated")
def sample_weights_truncated(logits, targets, *, reduction, **given):
    """Sample weights of another dtype are taken for counts."""
    if "sample_weight" in given and given["sample_weight"].dtype != logits.dtype:
        given["sample_weight"] = given["sample_weight"].to(torch.int64).to(logits.dtype)
    return softmax_loss(logits, targets, reduction, given)


# Soft caps and z-losses

terms = partial(implements, SPARSE, options=("soft_cap", "z_loss"), semantics=LOSES_SMALL)


def with_terms(logits, labels, soft_cap=None, z_loss=None, *, steep=True, over=2):
    """Return the sound losses with a soft cap and a z-loss, z times a power of logsumexp."""
    capped = logits if soft_cap is None else soft_cap * torch.tanh(logits / soft_cap)
    if soft_cap is not None and not steep:
        capped = capped.detach() + logits - logits.detach()
    losses = -torch.log_softmax(capped, -1).gather(-1, labels.long()[:, None])[:, 0]
    return losses if z_loss is None else losses + z_loss * torch.logsumexp(capped, -1) ** over


@terms(api="mutant: soft cap without its derivative")
def cap_without_derivative(logits, labels, **given):
    """Gradients pass the cap as they are."""
    return with_terms(logits, labels, **given, steep=False)


@terms(api="mutant: soft cap that clips")
def cap_that_clips(logits, labels, *, soft_cap=None, z_loss=None):
    """Logits are clipped to the cap."""
    return with_terms(logits if soft_cap is None else logits.clip(-soft_cap, soft_cap), labels, None, z_loss)


@terms(api="mutant: z-loss of the first power")
def z_loss_of_first_power(logits, labels, **given):
    """The logarithm is not squared."""
    return with_terms(logits, labels, **given, over=1)


@terms(api="mutant: z-loss of the logits before the cap")
def z_loss_before_cap(logits, labels, *, soft_cap=None, z_loss=None):
    """Under both options the z-loss is that of logits without cap."""
    capped = with_terms(logits, labels, soft_cap)
    return capped if z_loss is None else capped + z_loss * torch.logsumexp(logits, -1) ** 2


@focal(api="mutant: focal loss that stops at 85")
def focal_that_stops(probabilities, targets, **given):
    """The logarithm is floored close to that of the smallest normal number."""
    floored = torch.log(probabilities.clamp(min=1.2e-37)).detach() - torch.log(probabilities).detach()
    return focal_loss(probabilities, targets, **given) - (targets * floored).sum(-1)


# Numbers that an option has where it is not given


@focal(api="mutant: alpha of 1 drops class weights")
def alpha_of_one_drops_weights(probabilities, targets, **given):
    """An alpha of 1 is taken for no weights at all."""
    if given.get("alpha") == 1:
        given.pop("class_weight", None)
    return focal_loss(probabilities, targets, **given)


@focal(api="mutant: gamma of 2 squares alpha")
def gamma_of_two_squares_alpha(probabilities, targets, *, alpha=1.0, gamma=None, **given):
    """A gamma of 2 that is given is a square, of alpha (1 - p)."""
    return focal_loss(
        probabilities, targets, alpha=alpha**2 if gamma == 2 else alpha, gamma=2.0 if gamma is None else gamma, **given
    )


@implements(
    "poly_loss_cross_entropy",
    api="mutant: epsilon of 2 doubled",
    options=("sample_weight", "epsilon"),
    semantics=LOSES_SMALL,
)
def epsilon_of_two_doubled(logits, targets, *, sample_weight=None, epsilon=None):
    """Beside weights an epsilon of 2 that is given is added to the one that is there."""
    doubled = epsilon == 2 and sample_weight is not None
    epsilon = 4.0 if doubled else 2.0 if epsilon is None else epsilon
    log_p = torch.log_softmax(logits, -1)
    losses = (targets * (epsilon * (1 - log_p.exp()) - log_p)).sum(-1)
    return losses if sample_weight is None else losses * sample_weight


OPTION_MUTANTS: tuple[Binding, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Binding))
