"""Expectations: the defects that are known, each with its condition and what is observed, read from TOML."""

from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from packaging.requirements import InvalidRequirement, Requirement

from conformance.clauses import Clause
from conformance.judging import Judgement
from conformance.trial import Trial
from reference.losses import LOSSES, Grade
from reference.semantics import Semantics

FOLDER = Path(__file__).parent / "expectations"
KINDS = ("error", "nan", "inf", "zero", "inaccurate", "other")
"""What a violating row can hold: an exception, NaN, an infinity, zeros, wrong finite numbers, or no array at all."""


VALUE_FORMS = frozenset(form for loss in LOSSES.values() for form in loss.value_forms)
GRADIENT_FORMS = frozenset(form for loss in LOSSES.values() for form in loss.gradient_forms)


class Observed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What happens instead, in executable form.

    ``choice``: alternatives of choice points under which the clause holds. ``value_form``, ``gradient_form``: forms under
    whose bounds it holds. ``got``: what the rows that still violate hold, of `KINDS`; ``regimes``: the only regimes they
    are in, none for any.
    """

    choice: dict[str, str] = {}
    value_form: str = ""
    gradient_form: str = ""
    got: tuple[str, ...] = ()
    regimes: tuple[str, ...] = ()


class Expectation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One known defect. ``loss`` and ``api`` are shell patterns; empty conditions hold always.

    ``clauses`` are numbers. ``versions`` is a requirement, such as "torch>=2.0,<3". ``upstream`` is the address of the
    thread, or "not found upstream".
    """

    api: tuple[str, ...]
    clauses: tuple[int, ...]
    observed: Observed
    reason: str
    upstream: str
    loss: str = "*"
    dtypes: tuple[str, ...] = ()
    modes: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    versions: str = ""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    expect: tuple[Expectation, ...] = ()


class ExpectationError(Exception):
    """An expectation file that cannot be used; the message is one sentence."""


@dataclass(frozen=True)
class Expectations:
    """The known defects of one adapter, and the versions they are matched against."""

    entries: tuple[Expectation, ...]
    versions: dict[str, str]

    def matching(self, trial: Trial, clause: Clause) -> tuple[int, ...]:
        """Return the numbers of the entries whose conditions hold for a question."""
        return tuple(n for n, entry in enumerate(self.entries) if self._matches(entry, trial, clause))

    def _matches(self, entry: Expectation, trial: Trial, clause: Clause) -> bool:
        return (
            clause.number in entry.clauses
            and fnmatchcase(trial.binding.loss, entry.loss)
            and any(trial.binding.api == api or fnmatchcase(trial.binding.api, api) for api in entry.api)
            and trial.dtype in (entry.dtypes or (trial.dtype,))
            and trial.mode in (entry.modes or (trial.mode,))
            and trial.device in (entry.devices or (trial.device,))
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
    """Return the known defects of an adapter; none if it has no file.

    Raises:
        ExpectationError: a file that is not TOML, misses a field, or names a choice point, kind or version wrongly.
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
    if not (observed.choice or observed.value_form or observed.gradient_form or observed.got):
        raise ExpectationError(f"{where}: observed is empty; name a choice, a form, or what is got ({', '.join(KINDS)})")
    if set(observed.got) - set(KINDS):
        raise ExpectationError(f"{where}: got has {sorted(set(observed.got) - set(KINDS))[0]!r}; use {', '.join(KINDS)}")
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


def trial_under(trial: Trial, semantics: Semantics, entries: list[Expectation]) -> Trial:
    """Return the trial judged under what the entries say is observed."""
    grade = trial.grade
    for entry in entries:
        semantics = replace(semantics, **entry.observed.choice)
        grade = Grade(entry.observed.value_form or grade.value, entry.observed.gradient_form or grade.gradient)
    return trial.under(semantics, grade)


def explains(entries: list[Expectation], judgements: list[Judgement]) -> bool:
    """Tell whether what still violates under the entries is just what they say is got, where they say it is."""
    kinds = {kind for entry in entries for kind in entry.observed.got}
    regimes = {regime for entry in entries for regime in entry.observed.regimes}
    seen: set[str] = set()
    for judgement in judgements:
        violating = judgement.violating
        seen |= set(kinds_of(judgement)[violating].tolist())
        if regimes and judgement.batch.regimes and not set(np.array(judgement.batch.regimes)[violating].tolist()) <= regimes:
            return False
    return seen <= kinds and all(seen & set(entry.observed.got) for entry in entries if entry.observed.got)


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
    got, expected = got.reshape(rows, -1), expected.reshape(rows, -1)
    nan = (np.isnan(got) & ~np.isnan(expected)).any(1)
    infinite = (np.isinf(got) & (got != expected)).any(1)
    zero = ~got.any(1) & expected.any(1)
    return np.select([nan, infinite, zero], ["nan", "inf", "zero"], "inaccurate")
