"""The engine: a question goes in, a record comes out."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from adapters.binding import Binding
from adapters.loading import Adapter
from conformance.cases import Batch
from conformance.clauses import Clause, Inputs, clauses_of
from conformance.expectations import (
    Expectation,
    Expectations,
    Observed,
    explains,
    kinds_of,
    trial_under,
    typical_error,
    without_each,
)
from conformance.findings import describe
from conformance.judging import Judgement
from conformance.profiles import Profile
from conformance.properties.accounts import account_of
from conformance.shrink import shrink
from conformance.trial import Trial, float64, regime_counts
from reference.bounds import bound_ratio
from reference.losses import LOSSES
from reference.semantics import MATHEMATICAL
from reports.record import Answers, Number, Record, Verdict, number


@dataclass(frozen=True)
class Question:
    """What gets a verdict: binding x mode x dtype x clause."""

    binding: Binding
    mode: str
    dtype: str
    clause: Clause

    @property
    def id(self) -> str:
        """The name that ``--question`` takes: clause, API, mode and dtype."""
        return f"{self.clause.id(self.binding.loss)}/{self.binding.api}/{self.mode}/{self.dtype}"


@dataclass(frozen=True)
class Examination:
    """One run's settings: whom to ask, where, how much, and what is known already."""

    adapter: Adapter
    device: str
    profile: Profile
    expectations: Expectations

    def batches(self, question: Question, inputs: Inputs) -> list[Batch]:
        """Return what a question is asked on, or has its answers kept of."""
        binding = question.binding
        profile = self.profile.in_few_shapes() if _is_spared(self.adapter, binding) else self.profile
        return inputs(LOSSES[binding.loss], question.dtype, profile)


def _is_spared(adapter: Adapter, binding: Binding) -> bool:
    """Tell whether a binding is asked less: a composition, where each new shape and dtype is a program.

    But not one that somebody brings, who wants to know of all: an adapter of the suite has the name of its framework.
    """
    return bool(adapter.framework.sparing) and adapter.name == adapter.framework.name and binding.is_composition


def questions(adapter: Adapter, *, loss: str = "", question: str = "") -> list[Question]:
    """Return the questions to an adapter in a fixed order; only those of one loss or with one id, if given."""
    framework = adapter.framework
    found = []
    for binding in adapter.bindings:
        modes = (binding.mode,) if binding.mode else binding.modes or framework.modes
        dtypes = binding.dtypes or framework.dtypes
        found += [
            Question(binding, mode, dtype, clause if mode == modes[0] else clause.sampled())
            for mode in modes
            for dtype in dtypes
            for clause in clauses_of(binding, adapter.bindings)
            if (dtype == dtypes[0] or not clause.in_one_dtype)
            and (mode == modes[0] or (clause.sample and dtype == dtypes[0]))
            and not (clause.of_target_dtypes and _is_spared(adapter, binding))
            and not (framework.sparing and binding.stand_in and not clause.of_stand_ins)
        ]
    return [q for q in found if loss in ("", q.binding.loss) and question in ("", q.id)]


@dataclass(frozen=True)
class Answered:
    """The record of a question, the numbers of the expectations that it met, and the documented choices that it showed."""

    record: Record
    met: tuple[int, ...] = ()
    shown: tuple[str, ...] = ()


def answer(examination: Examination, question: Question) -> Answered:
    """Ask one question."""
    binding, clause = question.binding, question.clause
    if reason := clause.needs(binding):
        return Answered(_record(question, "unsupported", [], reason=reason))
    trial = _trial(examination, question)
    met = examination.expectations.matching(trial, clause, examination.profile.name)
    entries = [examination.expectations.entries[number] for number in met]
    try:
        record, shown = _judge(examination, question, trial, entries)
    except ArithmeticError as error:
        return Answered(_record(question, "crash", [], reason=f"the suite could not judge: {error}"), met)
    if recorded := clause.records_of(binding):
        observed = [entry.observed for entry in entries]
        batches = examination.batches(question, recorded)
        answers = _answers(trial_under(trial.under(binding.semantics), observed), batches)
        record = msgspec.structs.replace(record, answers=answers)
    return Answered(record, met, shown)


def _answers(trial: Trial, batches: list[Batch]) -> Answers | None:
    """Return what a binding answered, with the bounds under what is documented and listed; None if that is not all arrays.

    What is asked is its first reduction, "none" where it has that. A number that is beyond its bound, because what is listed
    tells no more than that it is wrong, has no bound: other backends may be wrong in another way.
    """
    got: list[Number] = []
    bounds: list[Number] = []
    for batch in batches:
        if not trial.binding.takes(batch.options.given):
            continue
        told = account_of(trial, batch, trial.binding.least_reduced)
        for quantity, (truth, bound) in told.quantities.items():
            if told.answer.trouble(quantity, truth.shape):
                return None
            answered = float64(told.answer.array(quantity))
            explained = bound_ratio(answered, truth, bound, precision=told.answer.precision) <= 1
            got += map(number, answered.ravel().tolist())
            bounds += map(number, np.where(explained, bound, np.inf).ravel().tolist())
    return Answers(got, bounds) if got else None


def _trial(examination: Examination, question: Question) -> Trial:
    """Return the trial under the mathematics, but for the shape that the documentation states: one clause asks for that."""
    binding = question.binding
    shape = MATHEMATICAL.loss_shape if question.clause.asks_shape else binding.semantics.loss_shape
    return Trial(
        binding,
        examination.adapter.framework,
        question.mode,
        question.dtype,
        examination.device,
        examination.adapter.bindings,
        replace(MATHEMATICAL, loss_shape=shape),
        binding.grade,
    )


def _judge(
    examination: Examination, question: Question, trial: Trial, entries: list[Expectation]
) -> tuple[Record, tuple[str, ...]]:
    """Find the verdict: the mathematics first, then what is documented, then what is expected.

    Returns:
        The record, and the documented choices without which it would be another one.
    """
    first = list(_ask(examination, question, trial))
    if not first:
        return _record(question, "not run", [], reason=_why_nothing(examination, question)), ()
    listed = entries if examination.profile.shows_all else []
    if not _violations(first):
        return (_fixed(question, first, listed) if listed else _record(question, "conforms", first)), ()
    documented = trial.under(question.binding.semantics)
    second = list(_ask(examination, question, documented)) if documented.semantics != trial.semantics else first
    if not _violations(second):
        if listed:
            return _fixed(question, first, listed), ()
        return _divergence(examination, question, trial, first)
    if not entries:
        return _found(examination, question, documented, "crash" if _raised(second) else "defect", second), ()
    observed = [entry.observed for entry in entries]
    if changed := _mismatch(examination, question, documented, entries):
        return _found(examination, question, documented, "changed", second, changed), ()
    shown = _shown(examination, question, trial, observed)
    record = _listed(examination, question, documented, second, entries)
    choices = shown | {name: picked for one in observed for name, picked in one.choice.items()}
    return msgspec.structs.replace(record, choices=choices), tuple(shown)


def _why_nothing(examination: Examination, question: Question) -> str:
    has_cases = examination.batches(question, question.clause.inputs)
    return "none of its cases can be judged" if has_cases else "the profile has no cases of it in this dtype"


def _ask(examination: Examination, question: Question, trial: Trial) -> Iterator[Judgement]:
    for batch in examination.batches(question, question.clause.inputs):
        yield from question.clause.ask(trial, batch)


def _violations(judgements: list[Judgement]) -> list[Judgement]:
    return [judgement for judgement in judgements if judgement.violates]


def _raised(judgements: list[Judgement]) -> bool:
    first = _violations(judgements)[0]
    return isinstance(first.got, str) and first.got.startswith("raises ")


def _explained(examination: Examination, question: Question, trial: Trial, observed: list[Observed]) -> bool:
    under = trial_under(trial, observed)
    judgements, shows_all = _ask(examination, question, under), examination.profile.shows_all
    return explains(observed, under, judgements, is_ladder=question.clause.is_ladder, shows_all=shows_all)


def _mismatch(examination: Examination, question: Question, trial: Trial, entries: list[Expectation]) -> str:
    """Say how the entries together fail to explain what happens, or which part of them it takes no more; nothing if neither."""
    observed = [entry.observed for entry in entries]
    reasons = "; ".join(entry.reason for entry in entries)
    if not _explained(examination, question, trial, observed):
        return f"no longer as listed: {reasons}"
    if changed := _otherwise_off(examination, question, trial, observed):
        return f"no longer as listed, as {changed}: {reasons}"
    for part, others in without_each(observed) if examination.profile.shows_all else ():
        if _explained(examination, question, trial, others):
            return f"no longer as listed, as {part} explains nothing that the rest does not: {reasons}"
    return ""


def _otherwise_off(examination: Examination, question: Question, trial: Trial, observed: list[Observed]) -> str:
    """Say that wrong numbers are typically off by more or by less than is listed; nothing if not.

    Not in a profile whose cases do not show all that is listed: what they show of it may be the better or the worse part.
    """
    listed = [one.error for one in observed if one.error]
    if not listed or not examination.profile.shows_all:
        return ""
    under = trial_under(trial, observed)
    typical = typical_error(observed, under, _ask(examination, question, under))
    for low, high in listed:
        if not low <= typical <= high:
            return f"wrong numbers are off by {typical:.2g} of themselves, and not by {low:g} to {high:g}"
    return ""


def _shown(examination: Examination, question: Question, trial: Trial, observed: list[Observed]) -> dict[str, str]:
    """Return the documented choices without which what happens is not explained; of two that do alike, the later one."""
    stated = vars(question.binding.semantics)
    shown = {name: value for name, value in stated.items() if value != getattr(trial.semantics, name)}
    for name in list(shown):
        others = {other: value for other, value in shown.items() if other != name}
        if _explained(examination, question, trial.under(replace(trial.semantics, **others)), observed):
            shown = others
    return shown


def _divergence(
    examination: Examination, question: Question, trial: Trial, first: list[Judgement]
) -> tuple[Record, tuple[str, ...]]:
    """Record a documented divergence, with the choice points that matter here."""
    shown = _shown(examination, question, trial, [])
    reason = "documented: " + ", ".join(f"{name} = {value}" for name, value in shown.items())
    page = question.binding.documentation
    record = _found(examination, question, trial, "documented divergence", first, reason, page)
    return msgspec.structs.replace(record, choices=shown), tuple(shown)


def _listed(
    examination: Examination, question: Question, trial: Trial, judgements: list[Judgement], entries: list[Expectation]
) -> Record:
    """Record what is listed: an undocumented divergence if no entry is a defect."""
    verdict: Verdict = "undocumented divergence" if all(entry.undocumented for entry in entries) else "known defect"
    reason = "; ".join(entry.reason for entry in entries)
    upstream = next((entry.upstream for entry in entries if entry.upstream.startswith("https")), entries[0].upstream)
    return _found(examination, question, trial, verdict, judgements, reason, upstream)


def _fixed(question: Question, judgements: list[Judgement], entries: list[Expectation]) -> Record:
    reason = "listed, but it no longer happens: " + "; ".join(entry.reason for entry in entries)
    return _record(question, "fixed", judgements, reason=reason, upstream=entries[0].upstream)


def _found(
    examination: Examination,
    question: Question,
    trial: Trial,
    verdict: Verdict,
    judgements: list[Judgement],
    reason: str = "",
    upstream: str = "",
) -> Record:
    """Record a violation with its smallest case."""
    judgement = _violations(judgements)[0]
    smallest = shrink(trial, question.clause, judgement)
    adapter = examination.adapter
    command = ["python", "crossproof.py", "run", "--adapter", adapter.option, "--profile", examination.profile.name]
    command += ["--question", question.id]
    if examination.device != "cpu":
        command += ["--device", examination.device]
    finding = describe(trial, smallest, sentence=question.clause.sentence, command=command)
    record = _record(question, verdict, judgements, reason=reason, upstream=upstream)
    saturates = judgement.note if question.clause.is_ladder else ""
    typical = number(typical_error([], trial, judgements))
    kinds = _kinds(judgements)
    return msgspec.structs.replace(record, finding=finding, saturates=saturates, kinds=kinds, typical=typical)


def _kinds(judgements: list[Judgement]) -> list[str]:
    """Return what the violating rows hold."""
    return sorted({kind for judgement in judgements for kind in kinds_of(judgement)[judgement.violating].tolist()})


def _record(
    question: Question, verdict: Verdict, judgements: list[Judgement], *, reason: str = "", upstream: str = ""
) -> Record:
    regimes: Counter[str] = Counter()
    for judgement in judgements:
        if judgement.violates and judgement.batch.regimes:
            found = regime_counts(judgement.batch, judgement.violating[: judgement.batch.rows])
            regimes += Counter({"ladder": found.total()}) if question.clause.is_ladder else found
    worst = max((judgement.worst for judgement in judgements), default=0.0)
    return Record(
        loss=question.binding.loss,
        api=question.binding.api,
        mode=question.mode,
        dtype=question.dtype,
        clause=question.clause.id(question.binding.loss),
        verdict=verdict,
        rows=sum({judgement.batch.id: judgement.batch.rows for judgement in judgements}.values()),
        worst=number(worst),
        regimes=dict(sorted(regimes.items())),
        reason=reason,
        upstream=upstream,
    )
