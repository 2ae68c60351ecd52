"""The losses and their gradients in interval arithmetic, one row at a time, written from the definitions.

Nothing here is shared with `reference`: no pivot, no double-double, no closed form that avoids a cancellation. What
cancels is computed again with more bits until the interval is negligibly narrow.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import numpy as np
from flint import arb, ctx
from numpy.typing import NDArray

from reference.certificate import ADMITTED
from reference.options import EPSILON as POLY_EPSILON
from reference.options import GAMMA, NONE, Options, Q
from reference.semantics import MATHEMATICAL, Semantics

PRECISIONS = (256, 640, 1280, 2560, 5120)
"""Bits, tried in turn."""
RELATIVE_BITS = 100
"""A result is known when its radius is below 2^-100 of it ..."""
NEGLIGIBLE = arb(2) ** -1174
"""... or below 2^-100 of the smallest subnormal number."""
OVERFLOW = arb(2) ** 1024 - arb(2) ** 970
"""From here on rounding to nearest gives an infinity."""
INFINITY = arb("inf")
EPSILON = arb(1e-7)
CLIP_HIGH = arb(1 - 1e-7)
SMALLEST_DENOMINATOR = arb(float(np.float32(1e-12)))


class Row(NamedTuple):
    """One row as intervals; ``cancelling`` is the sum of the magnitudes of the terms that the gradient adds.

    Where value and target gradient add terms that cancel too, as those of a divergence do, there are theirs.
    """

    value: list[arb]
    gradient: list[arb]
    target_gradient: list[arb]
    cancelling: list[arb]
    value_cancelling: list[arb] | None = None
    target_cancelling: list[arb] | None = None


class Exact(NamedTuple):
    """Real numbers as the nearest float64 and what is left, in ulp of it."""

    nearest: NDArray[np.float64]
    remainder: NDArray[np.float64]


class Truth(NamedTuple):
    """The truth about one row, to 2^-100; ``cancelling`` in plain float64."""

    value: Exact
    gradient: Exact
    target_gradient: Exact
    cancelling: NDArray[np.float64]
    value_cancelling: NDArray[np.float64]
    target_cancelling: NDArray[np.float64]


def truth(
    loss: str,
    prediction: Sequence[float],
    targets: Sequence[float],
    semantics: Semantics = MATHEMATICAL,
    options: Options = NONE,
) -> Truth:
    """Return value, gradient and target gradient of one row of soft targets (one-hot ones for an index loss).

    A loss of independent outcomes has as many values as elements, the others one. The row holds no NaN; p lies in [0, 1]
    and logits are finite or -inf. Of the options those count that the formula of a loss has, not those that weigh rows.
    """
    formula = ROWS.get(loss) or partial(_ROWS_WITH_OPTIONS[loss], options)
    for precision in PRECISIONS:
        with bits(precision):
            row = formula([arb(x) for x in prediction], [arb(t) for t in targets], semantics)
            if all(_is_known(number) for numbers in row[:3] for number in numbers):
                value, gradient, target_gradient = (nearest(numbers) for numbers in row[:3])
                scales = (row.cancelling, row.value_cancelling or [arb(0)], row.target_cancelling or [arb(0)])
                return Truth(value, gradient, target_gradient, *(np.array([float(number) for number in s]) for s in scales))
    raise ArithmeticError(f"{loss}: {PRECISIONS[-1]} bits do not settle the row {list(prediction)}, {list(targets)}")


def ulp_errors(got: NDArray[np.float64], exact: Exact) -> NDArray[np.float64]:
    """Return |got - exact| in ulp of the exact number, subnormal ones in units of the smallest subnormal; inf for NaN."""
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.abs((got - exact.nearest) / np.spacing(np.abs(exact.nearest)) - exact.remainder)
    return np.where(got == exact.nearest, np.abs(exact.remainder), np.where(np.isnan(error), np.inf, error))


def mixed_errors(error: NDArray[np.float64], exact: Exact, cancelling: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return errors in ulp in units of an ulp and 2^-20 u of the terms that cancel."""
    ulp = np.spacing(np.abs(exact.nearest))
    with np.errstate(invalid="ignore"):
        return np.where((cancelling > 0) & np.isfinite(cancelling), error * (ulp / (ulp + ADMITTED * cancelling)), error)


@contextmanager
def bits(count: int) -> Iterator[None]:
    """Compute with so many bits."""
    before, ctx.prec = ctx.prec, count
    try:
        yield
    finally:
        ctx.prec = before


def _is_known(number: arb) -> bool:
    return number == INFINITY or number == -INFINITY or number.rel_accuracy_bits() > RELATIVE_BITS or number.rad() < NEGLIGIBLE


def nearest(numbers: list[arb]) -> Exact:
    """Return intervals as the numbers nearest to them, and what is left."""
    closest = np.array([_rounded(number) for number in numbers])
    ulp = np.spacing(np.abs(closest))
    left = [float((n - arb(f)) / arb(u)) if np.isfinite(f) else 0.0 for n, f, u in zip(numbers, closest, ulp, strict=True)]
    return Exact(closest, np.array(left))


def _rounded(number: arb) -> float:
    if abs(number) >= OVERFLOW:
        return float("inf") if number > 0 else float("-inf")
    return float(number.mid())


def _binary(probabilities: list[arb], targets: list[arb], semantics: Semantics) -> Row:
    """-t log p - (1 - t) log(1 - p), element by element."""
    rows = [_binary_element(p, t, semantics) for p, t in zip(probabilities, targets, strict=True)]
    return Row(*map(list, zip(*rows, strict=True)))


def _binary_element(p: arb, t: arb, semantics: Semantics) -> tuple[arb, arb, arb, arb]:
    guard = semantics.log_of_zero
    here = _guarded(p, guard)
    there = 1 - _guarded(p, "clip_1e-7") if guard.startswith("clip") else 1 - p
    there = there + EPSILON if guard.endswith("add_1e-7") else there
    log_here, log_there = _negative_log(here, guard), _negative_log(there, guard)
    value = _times(t, log_here) + _times(1 - t, log_there)
    if semantics.gradient_at_guard == "floored_1e-12":
        spread = p * (1 - p)
        gradient = (p - t) / (spread if spread > SMALLEST_DENOMINATOR else SMALLEST_DENOMINATOR)
        return value, gradient, log_here - log_there, abs(gradient)
    falling, rising = _over(t, here), _over(1 - t, there)
    if guard == "floor_100":
        falling, rising = arb(0) if log_here == 100 else falling, arb(0) if log_there == 100 else rising
    inside = _derivative(p, guard)
    return value, inside * (rising - falling), log_here - log_there, inside * (falling + rising)


def _categorical(probabilities: list[arb], targets: list[arb], semantics: Semantics) -> Row:
    """-sum t log q, q the guarded and renormalised probabilities."""
    guard, whole = semantics.log_of_zero, sum(probabilities, arb(0))
    before, after = (semantics.probability_sum == name for name in ("renormalised", "renormalised_after_guard"))
    shares = [p / whole for p in probabilities] if before else probabilities
    q = [_guarded(p, guard) for p in shares]
    inside = [_derivative(p, guard) for p in shares]
    if after:
        whole = sum(q, arb(0))
        q = [p / whole for p in q]
    logs = [_negative_log(p, guard) for p in q]
    value = sum((_times(t, log) for t, log in zip(targets, logs, strict=True)), arb(0))
    slopes = [_over(t, p) for t, p in zip(targets, q, strict=True)]
    if not before and not after:
        gradient = [-slope * i for slope, i in zip(slopes, inside, strict=True)]
        return Row([value], gradient, logs, [abs(g) for g in gradient])
    if before:
        slopes, inside = [slope * i for slope, i in zip(slopes, inside, strict=True)], [arb(1)] * len(inside)
        q = shares
    mean = sum((slope * p for slope, p in zip(slopes, q, strict=True)), arb(0))
    gradient = [i * (mean - slope) / whole for slope, i in zip(slopes, inside, strict=True)]
    return Row([value], gradient, logs, [i * (mean + slope) / whole for slope, i in zip(slopes, inside, strict=True)])


def _sigmoid(logits: list[arb], targets: list[arb], semantics: Semantics) -> Row:
    """-t log sigmoid(x) - (1 - t) log sigmoid(-x), element by element."""
    probabilities = [_sigmoid_of(x) for x in logits]
    pairs = list(zip(logits, targets, strict=True))
    return Row(
        [_times(t, _softplus(-x)) + _times(1 - t, _softplus(x)) for x, t in pairs],
        [p - t for p, t in zip(probabilities, targets, strict=True)],
        [-x for x in logits],
        [p + abs(t) for p, t in zip(probabilities, targets, strict=True)],
    )


def _sigmoid_of(x: arb) -> arb:
    small = (-abs(x)).exp()
    return 1 / (1 + small) if x >= 0 else small / (1 + small)


def _softplus(x: arb) -> arb:
    """log(1 + exp(x)), its exponential never larger than 1."""
    return (x if x > 0 else arb(0)) + (-abs(x)).exp().log1p()


def _softmax(options: Options, logits: list[arb], targets: list[arb], semantics: Semantics) -> Row:
    """-sum t log softmax(y) + epsilon sum t (1 - softmax(y)) + z log(sum exp y)^2, y = c tanh(x / c) under a soft cap."""
    cap = options.soft_cap
    capped = logits if cap is None else [arb(cap) * (x / arb(cap)).tanh() for x in logits]
    epsilon, z = arb(options.epsilon or 0), arb(options.z_loss or 0)
    shares, rests, logs, log_whole = _softmax_of(capped)
    weight, mean = sum(targets, arb(0)), sum((t * p for t, p in zip(targets, shares, strict=True)), arb(0))
    entropy = sum((_times(t, log) for t, log in zip(targets, logs, strict=True)), arb(0))
    added = sum((t * rest for t, rest in zip(targets, rests, strict=True)), arb(0))
    slopes = [1 if cap is None else 1 - (x / arb(cap)).tanh() ** 2 for x in logits]
    triples = list(zip(shares, targets, slopes, strict=True))
    gradient = [(weight * p - t + epsilon * p * (mean - t) + 2 * z * log_whole * p) * slope for p, t, slope in triples]
    sizes = [
        (weight * p + abs(t) + abs(epsilon) * p * (mean + abs(t)) + 2 * z * abs(log_whole) * p) * slope
        for p, t, slope in triples
    ]
    negative = epsilon < 0
    return Row(
        [entropy + epsilon * added + z * log_whole**2],
        gradient,
        [log + epsilon * rest for log, rest in zip(logs, rests, strict=True)],
        sizes,
        [entropy + abs(epsilon) * added] if negative else None,
        [log + abs(epsilon) * rest for log, rest in zip(logs, rests, strict=True)] if negative else None,
    )


def _softmax_of(logits: list[arb]) -> tuple[list[arb], list[arb], list[arb], arb]:
    """p, 1 - p and -log p of softmax, and log sum exp(x)."""
    largest = max(logits, key=float)
    pivot = logits.index(largest)
    exponentials = [arb(0) if x == -INFINITY else (x - largest).exp() for x in logits]
    rest = sum((e for k, e in enumerate(exponentials) if k != pivot), arb(0))
    whole, log_whole = 1 + rest, rest.log1p()
    others = [rest if k == pivot else whole - e for k, e in enumerate(exponentials)]
    logs = [INFINITY if x == -INFINITY else log_whole - (x - largest) for x in logits]
    return [e / whole for e in exponentials], [other / whole for other in others], logs, largest + log_whole


def _poly(options: Options, logits: list[arb], targets: list[arb], semantics: Semantics) -> Row:
    epsilon = POLY_EPSILON if options.epsilon is None else options.epsilon
    return _softmax(Options(epsilon=epsilon), logits, targets, semantics)


def _likelihood(logs: list[arb], targets: list[arb], semantics: Semantics) -> Row:
    """-sum t x."""
    terms = [_times(t, -x) for x, t in zip(logs, targets, strict=True)]
    return Row([sum(terms, arb(0))], [-t for t in targets], [-x for x in logs], [arb(0)] * len(logs))


def _divergence(probabilities: list[arb], targets: list[arb], semantics: Semantics) -> Row:
    """sum t log(t / q)."""
    clipped = semantics.divergence_guard == "clip_both_1e-7"
    q, t = ([_clipped(p) if clipped else p for p in row] for row in (probabilities, targets))
    row = _divergence_of([_log(p) for p in q], [_log(p) for p in t], t)
    gradient = [-_over(s, p) for s, p in zip(t, q, strict=True)]
    slopes = row.target_gradient
    if clipped:
        gradient = [g if p >= EPSILON else arb(0) for g, p in zip(gradient, probabilities, strict=True)]
        slopes = [s if p >= EPSILON else arb(0) for s, p in zip(slopes, targets, strict=True)]
    return row._replace(gradient=gradient, target_gradient=slopes)


def _divergence_of_logs(logs: list[arb], targets: list[arb], semantics: Semantics) -> Row:
    """sum t (log t - x)."""
    return _divergence_of(logs, [_log(t) for t in targets], targets)


def _divergence_with_log_targets(logs: list[arb], log_targets: list[arb], semantics: Semantics) -> Row:
    """sum exp(y) (y - x)."""
    row = _divergence_of(logs, log_targets, [y.exp() for y in log_targets])
    slopes = [y.exp() * slope for y, slope in zip(log_targets, row.target_gradient, strict=True)]
    assert row.target_cancelling is not None
    scales = [y.exp() * scale for y, scale in zip(log_targets, row.target_cancelling, strict=True)]
    return row._replace(target_gradient=slopes, target_cancelling=scales)


def _divergence_of(logs: list[arb], log_targets: list[arb], targets: list[arb]) -> Row:
    """sum t (log t - log q), with the gradients with respect to log q and t."""
    rows = list(zip(logs, log_targets, targets, strict=True))
    terms = [_times(t, log_t - x) for x, log_t, t in rows]
    return Row(
        [sum(terms, arb(0))],
        [-t for t in targets],
        [log_t - x + 1 for x, log_t, _ in rows],
        [arb(0)] * len(rows),
        [sum((_times(t, abs(log_t) + abs(x)) for x, log_t, t in rows), arb(0))],
        [abs(log_t) + abs(x) + 1 for x, log_t, _ in rows],
    )


def _log(p: arb) -> arb:
    return -INFINITY if p == 0 else p.log()


def _clipped(p: arb) -> arb:
    return EPSILON if p < EPSILON else arb(1) if p > 1 else p


def _soft_margin(logits: list[arb], signs: list[arb], semantics: Semantics) -> Row:
    """log(1 + exp(-y x)), element by element."""
    pairs = list(zip(logits, signs, strict=True))
    shares = [_sigmoid_of(-y * x) for x, y in pairs]
    return Row(
        [_softplus(-y * x) for x, y in pairs],
        [-y * share for (_, y), share in zip(pairs, shares, strict=True)],
        [-x * share for (x, _), share in zip(pairs, shares, strict=True)],
        [arb(0)] * len(pairs),
    )


def _multilabel(logits: list[arb], targets: list[arb], semantics: Semantics) -> Row:
    """The mean of the sigmoid cross-entropies."""
    row, n = _sigmoid(logits, targets, semantics), len(logits)
    parts = ([number / n for number in numbers] for numbers in row[1:4] if numbers is not None)
    return Row([sum(row.value, arb(0)) / n], *parts)


def _binary_focal(options: Options, probabilities: list[arb], targets: list[arb], semantics: Semantics) -> Row:
    """w Q^gamma (-t log p - (1 - t) log(1 - p)), Q = t (1 - p) + (1 - t) p, element by element."""
    rows = []
    for p, t in zip(probabilities, targets, strict=True):
        guard = semantics.log_of_zero
        value, gradient, opposed, size = _binary_element(p, t, semantics)
        base = _guarded(p, "clip_1e-7") if semantics.focal_base == "guarded" and guard.startswith("clip") else p
        moves = _derivative(p, guard) if semantics.focal_base == "guarded" else arb(1)
        rows.append(_focal_element(options, t, value, (gradient, size), opposed, (base, 1 - base), moves, semantics))
    return Row(*map(list, zip(*rows, strict=True)))


def _sigmoid_focal(options: Options, logits: list[arb], targets: list[arb], semantics: Semantics) -> Row:
    """The same of p = sigmoid(x), clipped in the logarithm where the semantics says so."""
    rows = []
    for x, t in zip(logits, targets, strict=True):
        p, q = _sigmoid_of(x), _sigmoid_of(-x)
        entropy, slope, opposed = _times(t, _softplus(-x)) + _times(1 - t, _softplus(x)), p - t, -x
        if _derivative(p, semantics.log_of_zero) == 0:
            clipped = _guarded(p, "clip_1e-7")
            here, there = -clipped.log(), -(1 - clipped).log()
            entropy, slope, opposed = t * here + (1 - t) * there, arb(0), here - there
        size = arb(0) if slope == 0 else p + abs(t)
        rows.append(_focal_element(options, t, entropy, (slope, size), opposed, (p, q), p * q, semantics))
    return Row(*map(list, zip(*rows, strict=True)))


def _focal_element(
    options: Options,
    t: arb,
    entropy: arb,
    slope: tuple[arb, arb],
    opposed: arb,
    base: tuple[arb, arb],
    moves: arb,
    semantics: Semantics,
) -> tuple[arb, arb, arb, arb, arb, arb]:
    """One outcome by the product rule: p and 1 - p of ``base`` have the derivatives +-``moves``; slopes have their scale."""
    gamma, (p, q) = arb(GAMMA if options.gamma is None else options.gamma), base
    alpha, turned = arb(1 if options.alpha is None else options.alpha), arb(0)
    weight = alpha
    if options.alpha is not None and semantics.focal_alpha == "balanced":
        weight, turned = alpha * t + (1 - alpha) * (1 - t), 2 * alpha - 1
    rest = t * q + (1 - t) * p
    power, steep = _power(rest, gamma), gamma * _power(rest, gamma - 1) if gamma > 0 else arb(0)
    through = steep * (1 - 2 * t) * moves * entropy
    tilted = steep * (q - p) * entropy
    return (
        weight * power * entropy,
        weight * (power * slope[0] + through),
        turned * power * entropy + weight * (power * opposed + tilted),
        weight * (power * slope[1] + abs(through)),
        arb(0),
        abs(turned) * power * entropy + weight * (power * abs(opposed) + steep * entropy),
    )


def _categorical_focal(options: Options, probabilities: list[arb], targets: list[arb], semantics: Semantics) -> Row:
    """-alpha sum t (1 - b)^gamma log a: a the guarded and renormalised probability, b the renormalised one or a clipped one."""
    gamma, alpha = arb(GAMMA if options.gamma is None else options.gamma), arb(1 if options.alpha is None else options.alpha)

    def one(a: arb, b: arb, rest: arb, log: arb) -> tuple[arb, arb, arb]:
        steep = gamma * _power(rest, gamma - 1) if gamma > 0 else arb(0)
        return alpha * _power(rest, gamma) * log, alpha * _power(rest, gamma) / a, alpha * steep * log

    return _of_classes(one, probabilities, targets, semantics)


def _generalized(options: Options, probabilities: list[arb], targets: list[arb], semantics: Semantics) -> Row:
    """sum t (1 - a^q) / q, a the guarded and renormalised probability."""
    q = arb(Q if options.q is None else options.q)

    def one(a: arb, b: arb, rest: arb, log: arb) -> tuple[arb, arb, arb]:
        root = (-q * log).exp()
        return (1 - root) / q, ((1 - q) * log).exp(), arb(0)

    return _of_classes(one, probabilities, targets, semantics)


def _of_classes(
    one: Callable[[arb, arb, arb, arb], tuple[arb, arb, arb]],
    probabilities: list[arb],
    targets: list[arb],
    semantics: Semantics,
) -> Row:
    """sum t f(a, b): ``one`` gives f and minus its derivatives by a and by b, of a, b, 1 - b and -log a."""
    guard, whole = semantics.log_of_zero, sum(probabilities, arb(0))
    before, after = (semantics.probability_sum == name for name in ("renormalised", "renormalised_after_guard"))
    shares = [p / whole for p in probabilities] if before else probabilities
    arguments, inside = [_guarded(p, guard) for p in shares], [_derivative(p, guard) for p in shares]
    bases, moves = shares, [arb(1)] * len(shares)
    if semantics.focal_base == "guarded" and guard.startswith("clip"):
        bases, moves = [_guarded(p, "clip_1e-7") for p in shares], inside
    if after:
        whole = sum(arguments, arb(0))
        arguments = [a / whole for a in arguments]
        bases, moves, shares = arguments, inside, arguments
    logs = [_negative_log(a, guard) for a in arguments]
    inside = [arb(0) if guard == "floor_100" and log == 100 else i for i, log in zip(inside, logs, strict=True)]
    parts = [one(a, b, 1 - b, log) for a, b, log in zip(arguments, bases, logs, strict=True)]
    value = sum((_times(t, part[0]) for t, part in zip(targets, parts, strict=True)), arb(0))
    quads = zip(targets, parts, inside, moves, strict=True)
    slopes = [
        _times(t, own + through) if after else _times(t * i, own) + _times(t * m, through)
        for t, (_, own, through), i, m in quads
    ]
    logarithms = [part[0] for part in parts]
    if not before and not after:
        return Row([value], [-slope for slope in slopes], logarithms, [abs(slope) for slope in slopes])
    mean = sum((slope * p for slope, p in zip(slopes, shares, strict=True)), arb(0))
    last = inside if after else [arb(1)] * len(slopes)
    gradient = [i * (mean - slope) / whole for slope, i in zip(slopes, last, strict=True)]
    terms = sum((abs(slope) * p for slope, p in zip(slopes, shares, strict=True)), arb(0))
    sizes = [i * (terms + abs(slope)) / whole for slope, i in zip(slopes, last, strict=True)]
    return Row([value], gradient, logarithms, sizes)


def _softmax_focal(options: Options, logits: list[arb], targets: list[arb], semantics: Semantics) -> Row:
    """-alpha sum t (1 - b)^gamma log a of p = softmax(x), clipped as the semantics says."""
    gamma, alpha = arb(GAMMA if options.gamma is None else options.gamma), arb(1 if options.alpha is None else options.alpha)
    shares, rests, logs, _ = _softmax_of(logits)
    guard, terms, slopes = semantics.log_of_zero, [], []
    for p, rest, log, t in zip(shares, rests, logs, targets, strict=True):
        inside, base, moves = _derivative(p, guard), rest, arb(1)
        if inside == 0:
            clipped = _guarded(p, "clip_1e-7")
            log = -clipped.log()
            if semantics.focal_base == "guarded":
                base, moves = 1 - clipped, arb(0)
        steep = gamma * _power(base, gamma - 1) if gamma > 0 else arb(0)
        terms.append(alpha * _power(base, gamma) * log)
        through = arb(0) if p == 0 else moves * steep * p * log
        slopes.append(-alpha * t * (inside * _power(base, gamma) + through))
    steepest = max(range(len(slopes)), key=lambda k: abs(slopes[k]))
    beside = sum((slope for k, slope in enumerate(slopes) if k != steepest), arb(0))
    others = [beside if k == steepest else beside + slopes[steepest] - slope for k, slope in enumerate(slopes)]
    quads = list(zip(slopes, shares, rests, others, strict=True))
    return Row(
        [sum((_times(t, term) for t, term in zip(targets, terms, strict=True)), arb(0))],
        [slope * rest - p * other for slope, p, rest, other in quads],
        terms,
        [abs(slope) + p * abs(beside + slopes[steepest]) for slope, p, _, _ in quads],
    )


def _power(base: arb, exponent: arb) -> arb:
    """base^exponent, 0^0 = 1."""
    if exponent == 0:
        return arb(1)
    return arb(0) if base == 0 else (exponent * base.log()).exp()


ROWS = {
    "binary_cross_entropy": _binary,
    "categorical_cross_entropy": _categorical,
    "sparse_categorical_cross_entropy": _categorical,
    "sigmoid_cross_entropy_with_logits": _sigmoid,
    "negative_log_likelihood": _likelihood,
    "kl_divergence": _divergence,
    "kl_divergence_of_log_probabilities": _divergence_of_logs,
    "kl_divergence_with_log_targets": _divergence_with_log_targets,
    "soft_margin": _soft_margin,
    "multilabel_soft_margin": _multilabel,
}
"""The formulas that have no options of their own."""
_ROWS_WITH_OPTIONS = {
    "softmax_cross_entropy_with_logits": _softmax,
    "sparse_softmax_cross_entropy_with_logits": _softmax,
    "binary_focal_cross_entropy": _binary_focal,
    "binary_focal_cross_entropy_with_logits": _sigmoid_focal,
    "categorical_focal_cross_entropy": _categorical_focal,
    "categorical_focal_cross_entropy_with_logits": _softmax_focal,
    "poly_loss_cross_entropy": _poly,
    "generalized_cross_entropy": _generalized,
}


def _guarded(p: arb, guard: str) -> arb:
    if guard.startswith("clip"):
        p = EPSILON if p < EPSILON else CLIP_HIGH if p > CLIP_HIGH else p
    return p + EPSILON if guard.endswith("add_1e-7") else p


def _derivative(p: arb, guard: str) -> arb:
    """The derivative of the guarded probability with respect to ``p``."""
    return arb(0) if guard.startswith("clip") and (p < EPSILON or p > CLIP_HIGH) else arb(1)


def _negative_log(p: arb, guard: str) -> arb:
    log = INFINITY if p == 0 else -p.log()
    return arb(100) if guard == "floor_100" and log > 100 else log


def _times(weight: arb, term: arb) -> arb:
    """weight * term, 0 * inf = 0."""
    return arb(0) if weight == 0 else weight * term


def _over(weight: arb, p: arb) -> arb:
    """weight / p, 0 / 0 = 0."""
    return arb(0) if weight == 0 else INFINITY if p == 0 else weight / p
