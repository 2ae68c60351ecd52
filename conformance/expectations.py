"""Expectations: the defects and undocumented divergences that are known, each with its condition and what is observed."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from packaging.requirements import InvalidRequirement, Requirement

from conformance.clauses import Clause
from conformance.compositions import COMPOSITIONS, composed
from conformance.judging import Judgement
from conformance.profiles import PROFILES
from conformance.trial import Trial
from reference.losses import LOSSES, Grade
from reference.precision import PRECISIONS
from reference.semantics import Semantics

FOLDER = Path(__file__).parent / "expectations"
KINDS = ("error", "nan", "inf", "zero", "inaccurate", "other")
"""What a violating row can hold: an exception, NaN, an infinity, zeros, wrong finite numbers, or no array at all."""

DEFECTIVE = frozenset({"small_loss", "masked_class"})
"""Choice points whose other alternatives are defects wherever no documentation states them: they lose the digits of a loss, or
answer NaN where it is finite."""

VALUE_FORMS = frozenset(form for loss in LOSSES.values() for form in loss.value_forms)
GRADIENT_FORMS = frozenset(form for loss in LOSSES.values() for form in loss.gradient_forms)


class Observed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What happens instead, in executable form.

    ``choice``: alternatives of choice points under which the clause holds. ``value_form``, ``gradient_form``: forms under
    whose bounds it holds. ``composition``: one of `COMPOSITIONS` that computes what violating rows hold. ``got``: what the
    rows that still violate hold, of `KINDS`, and ``regimes``: the regimes they are in; these and no others. ``error``: between
    which numbers the `typical_error` of those lies that hold wrong finite numbers.
    """

    choice: dict[str, str] = {}
    value_form: str = ""
    gradient_form: str = ""
    composition: str = ""
    got: tuple[str, ...] = ()
    regimes: tuple[str, ...] = ()
    error: tuple[float, float] | None = None

    @property
    def parts(self) -> dict[str, "Observed"]:
        """What is left of it without each of its parts, by the name of that part."""
        without = {}
        for key, picked in self.choice.items():
            others = {name: value for name, value in self.choice.items() if name != key}
            without[f"{key} = {picked}"] = msgspec.structs.replace(self, choice=others)
        for field in ("value_form", "gradient_form", "composition"):
            if named := getattr(self, field):
                without[f"{field} = {named}"] = msgspec.structs.replace(self, **{field: ""})
        if self.got:
            without[f"got = {', '.join(self.got)}"] = msgspec.structs.replace(self, got=(), regimes=(), error=None)
        return without


class Expectation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One known defect, or a divergence of which the documentation says nothing, if ``undocumented``.

    ``loss`` and ``api`` are shell patterns; empty conditions hold always. ``clauses`` are numbers. ``versions`` is a
    requirement, such as "torch>=2.0,<3". ``profiles`` are those whose cases show it. ``upstream`` is the address of the
    thread, or "not found upstream".
    """

    api: tuple[str, ...]
    clauses: tuple[int, ...]
    observed: Observed
    reason: str
    upstream: str
    undocumented: bool = False
    loss: str = "*"
    dtypes: tuple[str, ...] = ()
    modes: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    versions: str = ""
    profiles: tuple[str, ...] = ()


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    expect: tuple[Expectation, ...] = ()


class ExpectationError(Exception):
    """An expectation file that cannot be used; the message is one sentence."""


@dataclass(frozen=True)
class Expectations:
    """What is known of one adapter, and the versions it is matched against."""

    entries: tuple[Expectation, ...]
    versions: dict[str, str]

    def matching(self, trial: Trial, clause: Clause, profile: str) -> tuple[int, ...]:
        """Return the numbers of the entries whose conditions hold for a question in a profile."""
        return tuple(n for n, entry in enumerate(self.entries) if self._matches(entry, trial, clause, profile))

    def _matches(self, entry: Expectation, trial: Trial, clause: Clause, profile: str) -> bool:
        return (
            clause.number in entry.clauses
            and fnmatchcase(trial.binding.loss, entry.loss)
            and any(trial.binding.api == api or fnmatchcase(trial.binding.api, api) for api in entry.api)
            and trial.dtype in (entry.dtypes or (trial.dtype,))
            and trial.mode in (entry.modes or (trial.mode,))
            and trial.device in (entry.devices or (trial.device,))
            and profile in (entry.profiles or (profile,))
            and self.version_holds(entry.versions)
        )

    def version_holds(self, condition: str) -> bool:
        """Tell whether the installed version meets a condition; an empty one always holds."""
        if not condition:
            return True
        requirement = Requirement(condition)
        return self.knows(condition) and requirement.specifier.contains(self.versions[requirement.name], prereleases=True)

    def knows(self, condition: str) -> bool:
        """Tell whether a condition is on a package that decides the results of this adapter."""
        return bool(condition) and Requirement(condition).name in self.versions


def load_expectations(name: str, versions: dict[str, str]) -> Expectations:
    """Return what is known of an adapter; nothing if it has no file.

    Raises:
        ExpectationError: a file that is not TOML, misses a field, names a choice point, kind, version or profile wrongly, or
            calls a defect an undocumented divergence.
    """
    path = FOLDER / f"{name}.toml"
    if not path.exists():
        return Expectations((), versions)
    try:
        entries = msgspec.toml.decode(path.read_bytes(), type=_File).expect
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ExpectationError(f"{path}: {error}; see the fields of Expectation in conformance/expectations.py") from error
    for number, entry in enumerate(entries, 1):
        _check(entry, f"{path}, entry {number}")
    return Expectations(entries, versions)


def _check(entry: Expectation, where: str) -> None:
    """Refuse an entry that says nothing, or says it in words that are not of the vocabulary."""
    observed = entry.observed
    if not observed.parts:
        raise ExpectationError(f"{where}: observed is empty; name a choice, a form, or what is got ({', '.join(KINDS)})")
    if entry.undocumented and (observed != Observed(choice=observed.choice) or DEFECTIVE & observed.choice.keys()):
        raise ExpectationError(
            f"{where}: an undocumented divergence is a choice alone, and none of {', '.join(sorted(DEFECTIVE))}; "
            "anything else is a defect: delete undocumented"
        )
    if observed.composition not in ("", *COMPOSITIONS):
        raise ExpectationError(f"{where}: {observed.composition!r} is no composition; use one of {', '.join(COMPOSITIONS)}")
    if set(observed.got) - set(KINDS):
        raise ExpectationError(f"{where}: got has {sorted(set(observed.got) - set(KINDS))[0]!r}; use {', '.join(KINDS)}")
    if ("inaccurate" in observed.got) != (observed.error is not None):
        raise ExpectationError(
            f'{where}: what is got as "inaccurate" needs error = [low, high], its typical relative error, and nothing else '
            "does; a run says what it is"
        )
    if unknown := sorted(set(entry.profiles) - set(PROFILES)):
        raise ExpectationError(f"{where}: {unknown[0]!r} is no profile; use {', '.join(PROFILES)}")
    if not entry.reason or not (entry.upstream.startswith("https://") or entry.upstream == "not found upstream"):
        raise ExpectationError(f'{where}: give a reason, and upstream as an https address or "not found upstream"')
    for form, known in ((observed.value_form, VALUE_FORMS), (observed.gradient_form, GRADIENT_FORMS)):
        if form and form not in known:
            raise ExpectationError(f"{where}: {form!r} is no form; use one of {', '.join(sorted(known))}")
    try:
        Semantics(**observed.choice)
        Requirement(entry.versions or "any")
    except (TypeError, ValueError, InvalidRequirement) as error:
        raise ExpectationError(f"{where}: {str(error).splitlines()[0]}") from error


def trial_under(trial: Trial, observed: Iterable[Observed]) -> Trial:
    """Return the trial judged under what is observed instead."""
    semantics, grade = trial.semantics, trial.grade
    for seen in observed:
        semantics = replace(semantics, **seen.choice)
        grade = Grade(seen.value_form or grade.value, seen.gradient_form or grade.gradient)
    return trial.under(semantics, grade)


def without_each(observed: list[Observed]) -> Iterator[tuple[str, list[Observed]]]:
    """Yield each part of what is observed by its name, with all the others; nothing if there is one part alone."""
    if sum(len(one.parts) for one in observed) > 1:
        for number, one in enumerate(observed):
            for name, rest in one.parts.items():
                yield name, [*observed[:number], rest, *observed[number + 1 :]]


def explains(
    observed: list[Observed],
    trial: Trial,
    judgements: Iterable[Judgement],
    *,
    is_ladder: bool,
    shows_all: bool,
) -> bool:
    """Tell whether what violates under what is observed is just what is said to be got, in the regimes that are named.

    The steps of a ladder are one regime, "ladder". Judgements are taken only as far as it takes to tell. Where the cases do
    not show all that is listed, a part of it is enough.
    """
    kinds = {kind for one in observed for kind in one.got}
    regimes = {regime for one in observed for regime in one.regimes}
    seen_kinds: set[str] = set()
    seen_regimes: set[str] = set()
    for judgement, left in _uncomposed(observed, trial, judgements):
        seen_kinds |= set(kinds_of(judgement)[left].tolist())
        named = left[: len(judgement.batch.regimes)]
        seen_regimes |= {"ladder"} if is_ladder else set(np.array(judgement.batch.regimes)[named].tolist())
        if not (seen_kinds <= kinds and seen_regimes <= regimes):
            return False
    return not shows_all or (seen_kinds == kinds and seen_regimes == regimes)


def typical_error(observed: list[Observed], trial: Trial, judgements: Iterable[Judgement]) -> float:
    """Return the geometric mean of u error / bound, of the rows that hold wrong finite numbers under what is observed.

    That is a relative error, as far as a bound is a roundoff u, and so much the same in every dtype. Rows where no error is
    allowed count only if there are no others: then it is infinite. 0 where no number is wrong.
    """
    ratios = [
        judgement.ratio[left & (kinds_of(judgement) == "inaccurate")]
        for judgement, left in _uncomposed(observed, trial, judgements)
    ]
    off = np.concatenate([np.zeros(0), *ratios])
    finite = off[np.isfinite(off)]
    if not finite.size:
        return np.inf if off.size else 0.0
    return float(np.exp(np.log(finite).mean())) * PRECISIONS[trial.precision].u


def _uncomposed(
    observed: list[Observed], trial: Trial, judgements: Iterable[Judgement]
) -> Iterator[tuple[Judgement, NDArray[np.bool_]]]:
    """Yield the judgements that violate, each with the rows that hold what no composition computes, if there are any."""
    for judgement in judgements:
        if not judgement.violates:
            continue
        left = judgement.violating
        for one in observed:
            if one.composition and left.any():
                left = left & ~composed(one.composition, trial, judgement)
        if left.any():
            yield judgement, left


def kinds_of(judgement: Judgement) -> NDArray[np.str_]:
    """Return what each row holds if it violates, of `KINDS`."""
    rows = judgement.ratio.size
    if isinstance(judgement.got, str) or isinstance(judgement.expected, str):
        raised = isinstance(judgement.got, str) and judgement.got.startswith("raises ")
        return np.full(rows, "error" if raised else "other")
    if judgement.got.shape != judgement.expected.shape:
        return np.full(rows, "other")
    got, expected = (
        np.broadcast_to(array, (rows,)) if array.ndim == 0 else array for array in (judgement.got, judgement.expected)
    )
    violating, kinds = judgement.violating, np.full(rows, "inaccurate")
    got, expected = got.reshape(rows, -1)[violating], expected.reshape(rows, -1)[violating]
    found = kinds[violating]
    found[~got.any(1) & expected.any(1)] = "zero"
    found[(np.isinf(got) & (got != expected)).any(1)] = "inf"
    found[(np.isnan(got) & ~np.isnan(expected)).any(1)] = "nan"
    kinds[violating] = found
    return kinds
