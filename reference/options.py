"""The options of a loss: what each one means, and the plain problem that a loss with options comes down to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.doubledouble import DD, Array, add, divide, exactly, multiply
from reference.losses import Loss
from reference.semantics import Semantics

OPTIONS: dict[str, str] = {
    "reduction": "what becomes of the losses: see REDUCTIONS",
    "class_weight": "(classes,): the term of class k counts w_k times, -sum_k w_k t_k log p_k",
    "pos_weight": "broadcasts to the prediction: the positive outcome counts w times, -w t log p - (1 - t) log(1 - p)",
    "sample_weight": "(rows,): every loss of row i counts w_i times",
    "mask": "(rows,) of booleans: the rows that count; the others are as if they were not there",
    "where": "(rows, classes) of booleans: the classes of each row that there are; the others are as if they were not there",
    "ignore_index": "rows with this label do not count: loss and gradient 0, whatever they hold",
    "label_smoothing": "e: targets become (1 - e) t + e / n over n classes, and (1 - e) t + e / 2 for two outcomes",
    "alpha": "of a focal loss: the weight of the positive outcome, or of every class",
    "gamma": "of a focal loss: the exponent of 1 - p; 2 unless given",
    "epsilon": "of a poly loss: the weight of 1 - p; 2 unless given",
    "q": "of a generalised cross-entropy: the exponent of p; 1/2 unless given",
    "soft_cap": "c: logits become c tanh(x / c)",
    "z_loss": "z: z logsumexp(x)^2 is added to every loss",
}
"""What a loss may take beside prediction and target, each with its meaning."""

PARAMETERS: dict[str, str] = {
    "linear_weight": "W, (classes, features), of the logits h W^T + b",
    "linear_bias": "b, (classes,); 0 unless given",
}
"""What a loss may take beside its prediction and is differentiated with respect to; given as options are."""

LAYOUT_OPTIONS: dict[str, str] = {"class_axis": "the axis that holds the classes; the others are rows"}
"""What changes where numbers stand, not what they are: any loss over classes may take it."""

REDUCTIONS: dict[str, str] = {
    "none": "every loss",
    "sum": "their sum",
    "mean": "their sum over the divisor that `mean_divisor` names",
    "weighted_mean": "their sum over the sum of the weights",
    "nonzero_mean": "their sum over the number of weights that are not 0",
    "batchmean": "their sum over the number of rows",
}
"""What can become of the losses of a batch."""


def options_of(spec: Loss) -> tuple[str, ...]:
    """Return the options that an implementation of a loss may take, reduction apart."""
    return (*spec.options, *(LAYOUT_OPTIONS if spec.has_classes and not spec.parameters else ()))


@dataclass(frozen=True, eq=False)
class Options:
    """The options of one call; None: not given. `OPTIONS` says what each one means, and `PARAMETERS` the last two."""

    class_weight: Array | None = None
    pos_weight: Array | None = None
    sample_weight: Array | None = None
    mask: NDArray[np.bool_] | None = None
    where: NDArray[np.bool_] | None = None
    ignore_index: int | None = None
    label_smoothing: float | None = None
    alpha: float | None = None
    gamma: float | None = None
    epsilon: float | None = None
    q: float | None = None
    soft_cap: float | None = None
    z_loss: float | None = None
    linear_weight: Array | None = None
    linear_bias: Array | None = None

    @cached_property
    def given(self) -> Mapping[str, Any]:
        """The options that were given, by name."""
        return {field.name: value for field in fields(self) if (value := getattr(self, field.name)) is not None}


NONE = Options()
"""No option."""

GAMMA, EPSILON, Q = 2.0, 2.0, 0.5
"""What focal, poly and generalised losses take where they are given none."""


@dataclass(frozen=True, eq=False)
class Problem:
    """What a loss with options comes down to.

    The loss of row i is ``factor[i]`` times that of ``prediction`` and ``target`` without these options; it counts
    ``weight[i]`` times in a weighted mean, or as often as the terms in that row add up to, and not at all where ``dropped``.
    ``slope`` is the derivative of the new targets with respect to the given ones. ``roundings`` counts those that an
    implementation makes of each target on the way.
    """

    prediction: Array
    target: NDArray
    factor: Array
    weight: Array
    dropped: NDArray[np.bool_]
    slope: Array
    roundings: int


def plain_problem(spec: Loss, x: Array, target: NDArray, options: Options, semantics: Semantics) -> Problem:
    """Return the problem without class weights, label smoothing, sample weights, masks and ignored labels.

    Args:
        spec: the loss.
        x: (rows, classes), float64.
        target: labels (rows,) or float64 targets like ``x``.
        options: those given; shapes as `OPTIONS` says.
        semantics: where class weights apply: to each term, or to the row by its label; and whether they count in a mean.

    Raises:
        ValueError: an option that the loss does not have, or one that cannot be.
    """
    check(spec, x, options)
    rows, classes = x.shape
    labels = target if spec.target == "index" else None
    factor = np.ones(rows) if options.sample_weight is None else options.sample_weight.astype(np.float64)
    dropped = np.zeros(rows, np.bool_) if options.mask is None else ~options.mask
    if labels is not None and options.ignore_index is not None:
        dropped = dropped | (labels == options.ignore_index)
    if labels is not None and dropped.any():
        labels = target = np.where(dropped, 0, labels)  # what a dropped row has for a label need not be a class
    weight = np.where(dropped, 0.0, factor)
    slope = np.ones_like(x)
    if semantics.ignored_row == "nothing":
        x = np.where(dropped[:, None], 0.0, x)
    if options.where is not None:
        x = np.where(options.where, x, -np.inf)
        slope = slope * options.where
        if labels is None:
            target = np.where(options.where, target, -np.inf if spec.target == "log-probability" else 0.0)
    class_weight = options.class_weight if spec.has_classes else None  # outcomes of their own are weighted in the formula
    if class_weight is not None:
        weight = _class_weighted(weight, class_weight, target, semantics)
    exact, roundings = None, 0
    if options.label_smoothing is not None:
        exact, roundings = _smoothed(spec, target, x.shape, options, semantics), 3 if options.label_smoothing else 0
        slope = slope * (1 - options.label_smoothing)
    if class_weight is not None and (exact is not None or labels is None) and semantics.class_weight_of == "term":
        exact = multiply(exactly(target) if exact is None else exact, exactly(np.broadcast_to(class_weight, x.shape)))
        slope, roundings = slope * class_weight, roundings + 1
    elif class_weight is not None:
        factor = factor * class_weight[np.clip(target, 0, classes - 1) if labels is not None else target.argmax(-1)]
    target = target if exact is None else exact.hi
    if target.ndim == 2:
        target = np.where(dropped[:, None], 0.0, target)
    factor = np.where(dropped, 0.0, factor)
    return Problem(x, target, factor, weight, dropped, slope * factor[:, None], roundings)


def _class_weighted(weight: Array, class_weight: Array, target: NDArray, semantics: Semantics) -> Array:
    """Return how often each row counts in a weighted mean under class weights, by its targets before they are smoothed.

    Of soft targets the terms w_k t_k, (rows, classes), which an implementation rounds and adds up as it does the rows.
    """
    if target.ndim == 1:
        return weight * class_weight[np.clip(target, 0, len(class_weight) - 1)]
    if semantics.soft_weight_divisor == "rows":
        return weight
    if semantics.class_weight_of == "label":
        return weight * class_weight[target.argmax(-1)]
    return np.where(weight[:, None] == 0, 0.0, weight[:, None] * class_weight * target)


def _smoothed(spec: Loss, target: NDArray, shape: tuple[int, ...], options: Options, semantics: Semantics) -> DD:
    """Return (1 - e) t + e / n, rounded nowhere; of labels the same of their one-hot rows. n counts the classes there are."""
    if target.ndim == 1:
        picked = {name: getattr(semantics, name) for name in ("negative_index", "index_too_large")}
        named = {name: choice if choice in ("wrap", "clamp") else "error" for name, choice in picked.items()}
        target = one_hot_targets(labels_in_range(target, shape[-1], Semantics(**named)), shape[-1])
    there = np.ones(shape) if options.where is None else options.where.astype(np.float64)
    outcomes = np.broadcast_to(there.sum(-1, keepdims=True) if spec.has_classes else 2.0, shape)
    share = divide(exactly(there), exactly(outcomes + 0.0))
    return add(exactly(target), multiply(exactly(np.full(shape, options.label_smoothing)), add(share, exactly(-target))))


def labels_in_range(labels: NDArray, classes: int, semantics: Semantics) -> NDArray:
    """Return a class for every label: the one that the semantics gives to a label out of range, if it gives one.

    Raises:
        IndexError: a label out of range, where that is what it means.
    """
    negative, large = labels < 0, labels >= classes
    wraps = semantics.negative_index == "wrap"
    for outside, wrong in (
        (negative, semantics.negative_index == "error"),
        (labels < -classes, wraps),
        (large, semantics.index_too_large == "error"),
    ):
        if wrong and outside.any():
            first = labels[outside].flat[0]
            raise IndexError(
                f"label {first} is out of range for {classes} classes: use {-classes if wraps else 0} to {classes - 1}"
            )
    wrapped = np.where(negative, labels + classes, labels) if wraps else labels
    return np.clip(wrapped, 0, max(classes - 1, 0))


def one_hot_targets(labels: NDArray, classes: int) -> Array:
    """Return soft targets that put all mass on the labels: shape (*labels.shape, classes)."""
    return (labels[..., None] == np.arange(classes)).astype(np.float64)


def rows_of(options: Options, rows: NDArray | list[int]) -> Options:
    """Return the options of some of the rows of a batch; what is the same for all rows stays."""
    given = dict(options.given)
    for name in ("sample_weight", "mask", "where"):
        if name in given:
            given[name] = given[name][rows]
    if "pos_weight" in given and given["pos_weight"].ndim == 2 and len(given["pos_weight"]) > 1:
        given["pos_weight"] = given["pos_weight"][rows]
    return Options(**given)


def classes_of(options: Options, columns: NDArray | list[int]) -> Options:
    """Return the options of some of the classes of a batch; what is the same for all classes stays."""
    given = dict(options.given)
    for name in ("class_weight", "where", "pos_weight"):
        if name in given and np.ndim(given[name]) and np.shape(given[name])[-1] > 1:
            given[name] = given[name][..., columns]
    return Options(**given)


RANGES: dict[str, tuple[Callable[[float], bool], str]] = {
    "label_smoothing": (lambda e: 0 <= e <= 1, "must lie between 0 and 1"),
    "gamma": (lambda g: 0 <= g < np.inf, "must be 0 or a finite number above it"),
    "q": (lambda q: 0 < q <= 1, "must lie between 0 and 1, and not be 0"),
    "soft_cap": (lambda c: 0 < c < np.inf, "must be a finite number above 0"),
    "alpha": (lambda a: 0 <= a < np.inf, "must be 0 or a finite number above it"),
    "alpha of two outcomes": (lambda a: 0 <= a <= 1, "must lie between 0 and 1"),
    "epsilon": (np.isfinite, "must be a finite number"),
    "z_loss": (np.isfinite, "must be a finite number"),
}
"""What the options that are real numbers may be, as a test and in words."""


def check(spec: Loss, x: Array, options: Options) -> None:
    """Refuse an option that the loss does not have, or one that cannot be.

    Raises:
        ValueError: one sentence that says which option, and what it must be.
    """
    if x.ndim != 2:
        raise ValueError(f"{spec.name}: under options a prediction has the shape (rows, classes), not {x.shape}")
    for name, value in options.given.items():
        if name not in spec.options:
            raise ValueError(f"{spec.name} has no option {name!r}: it takes {', '.join(spec.options) or 'none'}")
        if name == "ignore_index":
            _check_index(spec, value)
        elif name in RANGES:
            holds, words = RANGES["alpha of two outcomes" if name == "alpha" and not spec.has_classes else name]
            if not holds(value):
                raise ValueError(f"{spec.name}: {name} is {value}; it {words}")
        else:
            _check_array(spec, name, value, x.shape)


def _check_index(spec: Loss, index: object) -> None:
    if isinstance(index, bool) or not isinstance(index, int | np.integer):
        raise ValueError(f"{spec.name}: ignore_index is {index!r}; it must be an integer, as labels are")


def _check_array(spec: Loss, name: str, array: NDArray, shape: tuple[int, ...]) -> None:
    """Refuse weights and masks of the wrong shape or dtype, and weights that are no numbers."""
    rows, classes = shape
    shapes = {"class_weight": (classes,), "sample_weight": (rows,), "mask": (rows,), "where": shape}
    if name == "pos_weight" and not _broadcasts(np.shape(array), shape):
        raise ValueError(
            f"{spec.name}: pos_weight has shape {np.shape(array)}, which does not broadcast to that of predictions {shape}"
        )
    if name in shapes and np.shape(array) != shapes[name]:
        raise ValueError(f"{spec.name}: {name} has shape {np.shape(array)}; for predictions {shape} it must be {shapes[name]}")
    dtype = np.asarray(array).dtype
    if name in ("mask", "where") and dtype != np.bool_:
        raise ValueError(f"{spec.name}: {name} holds {dtype}; it must hold booleans, true for what counts")
    if not (np.isfinite(array) & (np.asarray(array) >= 0)).all():
        raise ValueError(f"{spec.name}: {name} holds {_first_wrong(array)}; weights must be finite numbers and not below 0")


def _first_wrong(weights: NDArray) -> float:
    flat = np.ravel(weights)
    return float(flat[~(np.isfinite(flat) & (flat >= 0))][0])


def _broadcasts(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    """Tell whether an array of a shape broadcasts to another shape, and leaves that as it is."""
    try:
        return np.broadcast_shapes(shape, to) == to
    except ValueError:
        return False
