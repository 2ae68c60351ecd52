"""Cases: small descriptors with a printed id, drawn once by Hypothesis and filled with numbers by NumPy."""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from hashlib import blake2b
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from conformance.hidden import HIDDEN, fill_hidden
from conformance.profiles import LONG, SMALL, SQUARE, TEN, Profile
from conformance.regimes import MASKED, limits, regimes_for, simplex, targets_in_form
from conformance.settings import SETTINGS, Setting, combinations_of, neutral_pairs_of
from reference.losses import FOUNDING_TABLE, LOSSES, Loss
from reference.options import NONE, Options, one_hot_targets

LAYOUTS = ("rowwise", "columnwise", "strided")
"""C order, Fortran order, and every second column of a wider array."""

FEWEST = 7
"""Shapes with fewer rows, the very wide ones, take only the regimes that are drawn."""

SEED = 20260101
"""The seed of every draw: the same cases always."""


@dataclass(frozen=True)
class Case:
    """One batch, described: row i is of regime ``regimes[i % len(regimes)]``, the numbers come from ``key``.

    ``settings`` name the options that are given, and which values: "class_weight=spread".
    """

    loss: str
    rows: int
    classes: int
    layout: str
    regimes: tuple[str, ...]
    key: str
    settings: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The printed name that `parse_case` reads."""
        name = f"{self.loss}/{self.rows}x{self.classes}/{self.layout}/{'+'.join(self.regimes)}/{self.key}"
        return f"{name}/{'+'.join(self.settings)}" if self.settings else name


@dataclass(frozen=True, eq=False)
class Batch:
    """One batch, filled. ``prediction`` (rows, classes); ``target`` labels (rows,) or an array like the prediction.

    ``regimes`` names the regime of each row; under options it names what is given. ``labels`` is the class that each row was
    made for. Batches are equal where the reference has the same to say of them.
    """

    id: str
    loss: str
    dtype: str
    prediction: NDArray
    target: NDArray
    labels: NDArray
    regimes: tuple[str, ...]
    options: Options = NONE

    @property
    def rows(self) -> int:
        """The number of prediction/target pairs."""
        return len(self.regimes)

    @cached_property
    def content(self) -> bytes:
        """A digest of all that the reference reads: the loss, and every array with its layout, which sums follow."""
        arrays = {"prediction": self.prediction, "target": self.target, **self.options.given}
        digest = blake2b(self.loss.encode(), digest_size=16)
        for name, value in arrays.items():
            array = np.asarray(value)
            digest.update(repr((name, array.dtype.str, array.shape, array.strides)).encode())
            digest.update(array.tobytes("A"))
        return digest.digest()

    def __eq__(self, other: object) -> bool:
        """Tell whether another batch has the same content."""
        return isinstance(other, Batch) and self.content == other.content

    def __hash__(self) -> int:
        """Return the hash of the content."""
        return hash(self.content)


def parse_case(text: str) -> Case:
    """Return the case that an id names.

    Raises:
        ValueError: the text is no case id; the message shows what one looks like.
    """
    parts = text.split("/")
    try:
        loss, shape, layout, regimes, key, *rest = parts
        settings = tuple(rest[0].split("+")) if rest else ()
        if len(rest) > 1 or not set(settings) <= set(SETTINGS):
            raise ValueError(text)
        rows, classes = (int(size) for size in shape.split("x"))
        known = {*regime_names(LOSSES[loss]), MASKED.name}
        if layout not in LAYOUTS or not set(regimes.split("+")) <= known:
            raise ValueError(text)
        case = Case(loss, rows, classes, layout, tuple(regimes.split("+")), bytes.fromhex(key).hex(), settings)
        if min(rows, classes, len(key)) < 1 or case.id != text:
            raise ValueError(text)
        return case
    except (ValueError, KeyError) as error:
        example = f"sparse_softmax_cross_entropy_with_logits/64x10/rowwise/normal+ties/{'0' * 16}"
        raise ValueError(f"{text!r} is not a case id: it must look like {example}") from error


def regime_names(spec: Loss) -> tuple[str, ...]:
    """Return the names of the regimes that a loss is asked in."""
    return tuple(HIDDEN if spec.parameters else regimes_for(spec.prediction, spec.has_classes))


@cache
def draw_cases(loss: str, profile: Profile) -> tuple[Case, ...]:
    """Return the cases of a loss, small shapes first: for each shape every regime once, then what Hypothesis draws.

    Hidden states, a matrix for each batch, have every regime in one shape, and an ordinary batch in two others.
    """
    spec = LOSSES[loss]
    names = regime_names(spec)
    if spec.parameters:
        wanted = [*((SMALL, name) for name in names[:1]), *((TEN, name) for name in names), (SQUARE, names[0])]
        return tuple(
            Case(loss, *shape, LAYOUTS[n % len(LAYOUTS)], (name,), f"{n:016x}") for n, (shape, name) in enumerate(wanted)
        )
    cases = []
    for number, (rows, classes) in enumerate(profile.shapes if loss in FOUNDING_TABLE else profile.shapes_beyond):
        layout = LAYOUTS[number % len(LAYOUTS)]
        per_case = min(rows, len(names))
        for start in range(0, len(names) if rows >= FEWEST else 0, per_case):
            chosen = names[start : start + per_case]
            cases.append(Case(loss, rows, classes, layout, chosen, f"{zlib.crc32(repr((rows, start)).encode()):016x}"))
        cases += [Case(loss, rows, classes, *drawn) for drawn in _drawn(names, profile.draws)]
    return tuple(dict.fromkeys(cases))


@cache
def _drawn(names: tuple[str, ...], count: int) -> tuple[tuple[str, tuple[str, ...], str], ...]:
    """Draw layouts, regimes and keys: from one seed, and so the same for every loss and shape.

    Only booleans, short ``sampled_from`` and byte keys: Hypothesis fills other strategies with constants that it finds in
    local modules, and the cases would change with the code. Its health checks are off because they measure time: on a
    busy machine they would end a run whose cases are the same.
    """
    drawn: list[tuple[str, tuple[str, ...], str]] = []

    @seed(SEED)
    @settings(
        max_examples=count, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    @given(
        st.sampled_from(LAYOUTS),
        st.lists(st.sampled_from(names), min_size=1, max_size=4, unique=True),
        st.binary(min_size=8, max_size=8),
    )
    def collect(layout: str, regimes: list[str], key: bytes) -> None:
        drawn.append((layout, tuple(sorted(regimes)), key.hex()))

    collect()
    return tuple(drawn)


ORDINARY = frozenset(
    {
        "normal",
        "scale-10",
        "confident-right",
        "confident-wrong",
        "ties",
        "flat",
        "peaked",
        "probable",
        "uniform",
        "near-one",
        "half",
    }
)
"""The regimes that options are asked in: what they do is the same in all, and weights make extremes overflow."""


@cache
def option_cases(loss: str) -> tuple[Case, ...]:
    """Return the cases of a loss under its options: each setting alone, and pairs of options."""
    return _numbered(loss, combinations_of(LOSSES[loss]))


@cache
def neutral_pair_cases(loss: str) -> tuple[Case, ...]:
    """Return the cases of a loss under an option with its neutral value, beside another option."""
    return _numbered(loss, neutral_pairs_of(LOSSES[loss]))


def _numbered(loss: str, together: Iterable[tuple[Setting, ...]]) -> tuple[Case, ...]:
    """Return an ordinary case for all that is given together, with the layouts in turn."""
    return tuple(
        ordinary_case(loss, LAYOUTS[number % len(LAYOUTS)], tuple(setting.id for setting in given), f"{number:016x}")
        for number, given in enumerate(together)
    )


def ordinary_case(
    loss: str,
    layout: str = "rowwise",
    settings: tuple[str, ...] = (),
    key: str = "0" * 16,
    shape: tuple[int, int] = SMALL,
) -> Case:
    """Return a case of the ordinary regimes."""
    spec = LOSSES[loss]
    names = tuple(name for name in regime_names(spec) if name in ORDINARY)
    names = names[:1] if spec.parameters else names
    return Case(loss, *shape, layout, names, key, settings)


def smooth_case(loss: str, regime: str) -> Case:
    """Return the large batch of one smooth regime on which bias is measured."""
    return Case(loss, *LONG, "rowwise", (regime,), f"{zlib.crc32(regime.encode()):016x}")


@lru_cache(maxsize=512)
def fill(case: Case, dtype: str) -> Batch:
    """Return the batch of a case in a dtype: the same numbers always, from the id alone."""
    spec = LOSSES[case.loss]
    generator = np.random.default_rng([zlib.crc32(case.id.encode()), int(case.key, 16) % 2**63])
    if spec.parameters:
        return _filled_hidden(case, dtype, generator)
    known = {**regimes_for(spec.prediction, spec.has_classes), MASKED.name: MASKED}
    prediction = np.empty((case.rows, case.classes))
    labels = np.empty(case.rows, np.int64)
    for number, name in enumerate(case.regimes):
        rows = slice(number, None, len(case.regimes))
        count = len(range(*rows.indices(case.rows)))
        prediction[rows], labels[rows] = known[name].fill(generator, count, case.classes, limits(dtype))
    regimes = (case.regimes * case.rows)[: case.rows]
    values = prediction.astype(dtype)
    target = labels if spec.target == "index" else _dense_targets(spec, generator, values, labels, dtype)
    options: dict[str, Any] = {}
    for name in case.settings:
        setting = SETTINGS[name]
        options[setting.option], values, target = setting.give(spec, generator, values, target, labels)
    values, target = lay_out(values, case.layout), lay_out(target, case.layout)
    if case.settings:
        regimes = ("+".join(case.settings),) * case.rows
    return Batch(case.id, case.loss, dtype, values, target, labels, regimes, Options(**options))


def _filled_hidden(case: Case, dtype: str, generator: np.random.Generator) -> Batch:
    """Return a batch of hidden states, of the first regime; its options hold the matrix and the bias too."""
    spec = LOSSES[case.loss]
    hidden, weight, bias, labels = fill_hidden(case.regimes[0], generator, case.rows, case.classes)
    target, like_logits = labels.astype(np.int64), np.zeros((case.rows, case.classes), dtype)
    if spec.target != "index":
        target = _dense_targets(spec, generator, hidden @ weight.T + bias, labels, dtype)
    options: dict[str, Any] = {"linear_weight": weight.astype(dtype), "linear_bias": bias.astype(dtype)}
    for name in case.settings:
        setting = SETTINGS[name]
        options[setting.option], _, target = setting.give(spec, generator, like_logits, target, labels)
    values, regimes = lay_out(hidden.astype(dtype), case.layout), ("+".join(case.settings or case.regimes[:1]),) * case.rows
    return Batch(case.id, case.loss, dtype, values, lay_out(target, case.layout), labels, regimes, Options(**options))


def _dense_targets(spec: Loss, generator: np.random.Generator, prediction: NDArray, labels: NDArray, dtype: str) -> NDArray:
    return targets_in_form(spec.target, _normal_numbers(_targets(spec, generator, prediction, labels), dtype))


def _targets(spec: Loss, generator: np.random.Generator, prediction: NDArray, labels: NDArray) -> NDArray:
    """Return targets of four styles in turn: hard, soft, soft with zeros, and close to what the prediction says.

    Of hidden states the prediction is their logits.
    """
    rows, classes = prediction.shape
    style = (np.arange(rows) // 3 % 4)[:, None]
    hard = one_hot_targets(labels, classes)
    if spec.has_classes:
        soft = simplex(generator, rows, classes, 1.0)
        gaps = np.where(generator.random((rows, classes)) < 0.5, 0.0, soft) + 0.5 * hard
        gaps /= gaps.sum(-1, keepdims=True)
        close = _softmax(prediction) if spec.prediction in ("logit", "hidden") else soft
    else:
        hard = (generator.random((rows, classes)) < 0.5).astype(float)
        soft = generator.random((rows, classes))
        gaps = np.where(generator.random((rows, classes)) < 0.5, hard, soft)
        close = _sigmoid(prediction) if spec.prediction == "logit" else np.clip(prediction.astype(float), 0, 1)
    mixed = np.select([style == 0, style == 1, style == 2], [hard, soft, gaps], close)
    masked = np.isneginf(prediction)
    mixed = np.where(masked, 0.0, mixed)
    return mixed / mixed.sum(-1, keepdims=True) if masked.any() and spec.has_classes else mixed


def _normal_numbers(targets: NDArray, dtype: str) -> NDArray:
    """Return the targets in a dtype without subnormal ones: whether those are read as zero is the platform's choice.

    Nor are they subnormal in float32, in which some APIs compute whatever they are given.
    """
    return np.where(np.abs(targets) < np.finfo(np.float32).smallest_normal, 0.0, targets).astype(dtype)


def _softmax(x: NDArray) -> NDArray:
    weight = np.exp(x.astype(float) - x.astype(float).max(-1, keepdims=True))
    return weight / weight.sum(-1, keepdims=True)


def _sigmoid(x: NDArray) -> NDArray:
    small = np.exp(-np.abs(x.astype(float)))
    return np.where(x >= 0, 1, small) / (1 + small)


def lay_out(array: NDArray, layout: str) -> NDArray:
    """Return the array with another memory layout and the same numbers, not writeable."""
    if array.ndim < 2 or layout == "rowwise":
        result = np.ascontiguousarray(array)
    elif layout == "columnwise":
        result = np.asfortranarray(array)
    else:
        wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
        wide[..., ::2] = array
        result = wide[..., ::2]
    result = result.view()  # the array itself stays writeable
    result.flags.writeable = False
    return result
