"""Choice points: the questions on which frameworks legitimately differ, as data, with the alternatives they pick."""

from collections.abc import Mapping
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class ChoicePoint:
    """One question that the mathematics leaves open, or that an implementation answers differently on purpose.

    ``alternatives`` maps each name to its formula in a line; the first one is what the mathematics says, and the default.
    """

    id: str
    question: str
    alternatives: Mapping[str, str]


@dataclass(frozen=True)
class Semantics:
    """The alternative picked at every choice point; the defaults are the mathematical ones.

    Raises:
        ValueError: a name that is no alternative of its choice point; the message lists those that are.
    """

    log_of_zero: str = "none"
    gradient_at_guard: str = "exact"
    probability_sum: str = "as_given"
    divergence_guard: str = "none"
    activation_output: str = "numbers"
    masked_class: str = "zero"
    infinite_logit: str = "limit"
    small_loss: str = "relative"
    unnormalised_gradient: str = "scaled"
    target_gradient: str = "exact"
    negative_index: str = "error"
    index_too_large: str = "error"
    mean_divisor: str = "sum_of_weights"
    mean_of_nothing: str = "nan"
    mean_of_no_weight: str = "nan"
    ignored_row: str = "nothing"
    class_weight_of: str = "term"
    soft_weight_divisor: str = "weights"
    focal_alpha: str = "balanced"
    focal_base: str = "as_given"
    label_dtype: str = "any"
    label_column: str = "error"
    class_axis: str = "any"
    mixed_dtype: str = "value"
    weight_dtype: str = "value"
    loss_shape: str = "element"
    computation_dtype: str = "input"

    def __post_init__(self) -> None:
        """Refuse a name that is no alternative."""
        for point in CHOICE_POINTS:
            picked = getattr(self, point.id)
            if picked not in point.alternatives:
                raise ValueError(f"{point.id}={picked!r} is not an alternative: use one of {', '.join(point.alternatives)}")


CHOICE_POINTS: tuple[ChoicePoint, ...] = (
    ChoicePoint(
        "log_of_zero",
        "What guards log(p) and log(1 - p) against p = 0 and p = 1?",
        {
            "none": "log(p), -inf at 0",
            "floor_100": "max(log(p), -100)",
            "clip_1e-7": "log(min(max(p, 1e-7), 1 - 1e-7)); no gradient outside",
            "add_1e-7": "log(p + 1e-7) and log(1 - p + 1e-7)",
            "clip_then_add_1e-7": "the clip, then log(p + 1e-7) and log(1 - p + 1e-7); no gradient outside the clip",
        },
    ),
    ChoicePoint(
        "gradient_at_guard",
        "What is the gradient of a binary loss where a guard of log 0 acts?",
        {
            "exact": "the derivative of the guarded value, 0 where the guard holds it constant",
            "floored_1e-12": "(p - t) / max(p (1 - p), 1e-12), whatever the guard of the value is",
        },
    ),
    ChoicePoint(
        "probability_sum",
        "Are probabilities that do not sum to one used as they are?",
        {
            "as_given": "-sum t log p",
            "renormalised": "p / sum p, then the guard of log 0, then -sum t log p",
            "renormalised_after_guard": "the guard of log 0, then p / sum p, then -sum t log p",
        },
    ),
    ChoicePoint(
        "divergence_guard",
        "What guards the logarithms of a divergence, log(t / p), against probabilities of 0?",
        {
            "none": "nothing: +inf where p = 0 and t > 0",
            "clip_both_1e-7": "t and p are both clipped to [1e-7, 1], outside the logarithm too; no gradient outside",
        },
    ),
    ChoicePoint(
        "activation_output",
        "What is a loss of probabilities that a sigmoid or softmax has returned?",
        {
            "numbers": "the loss of those numbers, wherever they come from",
            "logits": "the loss of the logits that the activation was given, found again behind what it returned",
        },
    ),
    ChoicePoint(
        "masked_class",
        "What does an outcome of probability 0 (a logit of -inf) and target 0 add to the loss?",
        {
            "zero": "0 log 0 = 0",
            "nan": "0 * -inf = NaN, with the right gradient",
            "nan_gradient": "0, with the gradient 0 / 0 = NaN for that outcome",
            "nan_both": "0 * -inf = NaN, with the gradient 0 / 0 = NaN for that outcome",
        },
    ),
    ChoicePoint(
        "infinite_logit",
        "What is sigmoid cross-entropy at a logit of +-inf?",
        {
            "limit": "the limit: 0 on the right side, +inf on the wrong one",
            "fold": "max(x, 0) - x t + log1p(exp(-|x|)) as IEEE arithmetic has it, inf - inf = NaN",
            "split": "(1 - t) x + log1p(exp(-x)) as IEEE arithmetic has it, 0 * inf = NaN",
            "pair": "-t log sigmoid(x) - (1 - t) log sigmoid(-x) as IEEE arithmetic has it, 0 * inf = NaN",
        },
    ),
    ChoicePoint(
        "small_loss",
        "Does a loss far below one keep its digits?",
        {
            "relative": "log1p(s), s the sum of the other exponentials: relative error of a few roundings",
            "absolute": "log(1 + s): s is rounded to a multiple of the roundoff, and lost below it",
        },
    ),
    ChoicePoint(
        "unnormalised_gradient",
        "What is the gradient where the targets do not sum to one?",
        {"scaled": "T p - t, T = sum t: the derivative of the value", "unscaled": "p - t"},
    ),
    ChoicePoint(
        "target_gradient",
        "What is the gradient with respect to soft targets?",
        {
            "exact": "-log p",
            "none": "there is none: targets are constants",
            "zero_at_zero": "-log p, but 0 where the target is 0; log(1 - p) likewise where 1 - t is 0",
            "nan_at_zero": "of a divergence, 1 + log(t / p): NaN where the target is 0",
        },
    ),
    ChoicePoint(
        "negative_index",
        "What does the label -1 do?",
        {
            "error": "an error",
            "nan": "a loss and a gradient row of NaN",
            "nan_value": "a loss of NaN, with the gradient p of no label at all",
            "nan_zero": "a loss of NaN, with a gradient of 0",
            "zero": "a loss and a gradient of 0",
            "wrap": "the last class, as indices do in Python",
            "clamp": "the first class",
        },
    ),
    ChoicePoint(
        "index_too_large",
        "What does the label C, one past the last class, do?",
        {
            "error": "an error",
            "nan": "a loss and a gradient row of NaN",
            "nan_value": "a loss of NaN, with the gradient p of no label at all",
            "nan_zero": "a loss of NaN, with a gradient of 0",
            "zero": "a loss and a gradient of 0",
            "clamp": "the last class",
        },
    ),
    ChoicePoint(
        "mean_of_nothing",
        "What is the mean over an empty batch?",
        {"nan": "0 / 0 = NaN", "zero": "0", "empty": "an array of shape (0,), and so is the sum"},
    ),
    ChoicePoint(
        "mean_divisor",
        "What is the mean of weighted losses divided by?",
        {
            "sum_of_weights": "sum w l / sum w: the weighted mean",
            "rows": "sum w l / N, N all rows, those of weight 0 and those ignored as well",
            "kept_rows": "sum w l / K, K the rows that are neither masked nor ignored",
        },
    ),
    ChoicePoint(
        "mean_of_no_weight",
        "What is the mean where rows there are, but all of them masked, ignored or of weight 0?",
        {"nan": "0 / 0 = NaN", "zero": "0"},
    ),
    ChoicePoint(
        "ignored_row",
        "What does a masked or ignored row that holds NaN or an infinity add to the loss?",
        {
            "nothing": "nothing: as if it were not there",
            "content": "0 * NaN = NaN, to loss and gradient",
            "content_gradient": "nothing to the loss, 0 * NaN = NaN to the gradient",
        },
    ),
    ChoicePoint(
        "class_weight_of",
        "What do class weights multiply where targets are soft or smoothed?",
        {
            "term": "each term: -sum_k w_k t_k log p_k",
            "label": "the whole row, by the weight of its label: -w_j sum_k t_k log p_k",
        },
    ),
    ChoicePoint(
        "soft_weight_divisor",
        "Do class weights count in the sum of weights that a mean is divided by where targets are soft?",
        {
            "weights": "a row counts sum_k w_k t_k, and so a hard label as its one-hot",
            "rows": "a row counts once, whatever the weights of its classes; of labels it counts w_j",
        },
    ),
    ChoicePoint(
        "focal_alpha",
        "What does alpha of a binary focal loss multiply?",
        {"balanced": "alpha the positive outcome, 1 - alpha the negative one", "uniform": "alpha both"},
    ),
    ChoicePoint(
        "label_dtype",
        "Which integer dtypes may labels have?",
        {
            "any": "any",
            "int64": "int64; another is an error",
            "int64_uint8": "int64 and uint8; another is an error",
            "int32_int64": "int32 and int64; another is an error",
            "not_int16": "any but int16, which is an error",
        },
    ),
    ChoicePoint(
        "label_column",
        "What are labels of shape (rows, 1)?",
        {
            "error": "an error",
            "squeezed": "labels of shape (rows,)",
            "every_pair": "each with every row: a loss for every pair of a row and a label, (rows, rows) of them",
        },
    ),
    ChoicePoint(
        "class_axis",
        "Which axis may hold the classes?",
        {"any": "the one that the caller names", "second": "the second: (N, C), (N, C, d1), (N, C, d1, d2)"},
    ),
    ChoicePoint(
        "mixed_dtype",
        "What are targets of another floating dtype than the prediction?",
        {"value": "the numbers that they hold", "error": "an error"},
    ),
    ChoicePoint(
        "weight_dtype",
        "What are weights of another floating dtype than the prediction?",
        {"value": "the numbers that they hold", "error": "an error"},
    ),
    ChoicePoint(
        "focal_base",
        "Does a clip of probabilities also act in the factor (1 - p)^gamma of a focal loss?",
        {
            "as_given": "no, in the logarithm alone: (1 - p)^gamma of p as it was given, or renormalised",
            "guarded": "yes: (1 - p)^gamma of the clipped p",
        },
    ),
    ChoicePoint(
        "loss_shape",
        "What does a loss of independent outcomes, or a divergence, return without a reduction?",
        {
            "element": "one loss for each outcome; the divergence of each row",
            "row_mean": "the mean of the outcomes over the last axis",
            "term": "of a divergence, each term of its sum: the mean is over the terms, not the rows",
        },
    ),
    ChoicePoint(
        "computation_dtype",
        "In which dtype is the loss computed?",
        {
            "input": "that of the prediction",
            "float32": "float32, whatever the prediction is",
            "float32_result": "that of the prediction, but the loss and its upstream gradient pass through float32",
            "float32_mean": "that of the prediction, but the mean of the losses is float32",
            "float64_result": "that of the prediction, but the loss is returned as float64",
        },
    ),
)

if {point.id for point in CHOICE_POINTS} != {field.name for field in fields(Semantics)}:
    raise AssertionError("every choice point is a field of Semantics, and every field a choice point")

MATHEMATICAL = Semantics()
"""What the mathematics says at every choice point."""
