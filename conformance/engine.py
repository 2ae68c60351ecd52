"""The engine: a question goes in, a record comes out."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from adapters.binding import Binding
from adapters.loading import Adapter
from conformance.clauses import Clause, clauses_of
from conformance.expectations import Expectation, Expectations, explains, kinds_of, trial_under
from conformance.findings import describe
from conformance.judging import Judgement
from conformance.profiles import Profile
from conformance.shrink import shrink
from conformance.trial import Trial, regime_counts
from reference.semantics import MATHEMATICAL, Semantics
from reports.record import Record, Verdict, number


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


def questions(adapter: Adapter, *, loss: str = "", question: str = "") -> list[Question]:
    """Return the questions to an adapter in a fixed order; only those of one loss or with one id, if given."""
    framework = adapter.framework
    found = [
        Question(binding, mode, dtype, clause)
        for binding in adapter.bindings
        for mode in framework.modes
        for dtype in framework.dtypes
        for clause in clauses_of(binding)
    ]
    return [q for q in found if loss in ("", q.binding.loss) and question in ("", q.id)]


def answer(examination: Examination, question: Question) -> tuple[Record, tuple[int, ...]]:
    """Ask one question; return its record, and the numbers of the expectations that its conditions met."""
    binding, clause = question.binding, question.clause
    trial = _trial(examination, question)
    met = examination.expectations.matching(trial, clause)
    if reason := clause.needs(binding):
        return _record(question, "unsupported", [], reason=reason), ()
    entries = [examination.expectations.entries[number] for number in met]
    try:
        return _judge(examination, question, trial, entries), met
    except ArithmeticError as error:
        return _record(question, "crash", [], reason=f"the suite could not judge: {error}"), met


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


def _judge(examination: Examination, question: Question, trial: Trial, entries: list[Expectation]) -> Record:
    """Find the verdict: the mathematics first, then what is documented, then what is expected."""
    first = list(_ask(examination, question, trial))
    if not first:
        return _record(question, "not run", [], reason="none of its cases can be judged")
    if not _violations(first):
        return _fixed(question, first, entries) if entries else _record(question, "conforms", first)
    documented = trial.under(question.binding.semantics)
    second = list(_ask(examination, question, documented)) if documented.semantics != trial.semantics else first
    if not _violations(second):
        if entries:
            return _fixed(question, first, entries)
        return _divergence(examination, question, trial, first)
    if entries and _expected(examination, question, documented, entries):
        return _listed(examination, question, documented, first, second, entries)
    verdict: Verdict = "changed" if entries else "crash" if _raised(second) else "defect"
    reason = f"no longer as listed: {entries[0].reason}" if entries else ""
    return _found(examination, question, documented, verdict, second, first, reason)


def _ask(examination: Examination, question: Question, trial: Trial) -> Iterator[Judgement]:
    for batch in question.clause.inputs(trial.loss, trial.dtype, examination.profile):
        yield from question.clause.ask(trial, batch)


def _violations(judgements: list[Judgement]) -> list[Judgement]:
    return [judgement for judgement in judgements if judgement.violating.any()]


def _raised(judgements: list[Judgement]) -> bool:
    first = _violations(judgements)[0]
    return isinstance(first.got, str) and first.got.startswith("raises ")


def _expected(examination: Examination, question: Question, trial: Trial, entries: list[Expectation]) -> bool:
    """Tell whether the entries together explain what happens, and each of them is needed for it."""

    def explained_by(chosen: list[Expectation]) -> bool:
        under = trial_under(trial, trial.semantics, chosen)
        return explains(chosen, list(_ask(examination, question, under)))

    return explained_by(entries) and not any(
        explained_by([other for other in entries if other is not entry]) for entry in entries if len(entries) > 1
    )


def _divergence(examination: Examination, question: Question, trial: Trial, first: list[Judgement]) -> Record:
    """Record a documented divergence, with the choice points that matter here."""
    stated = question.binding.semantics
    differing = {name: value for name, value in vars(stated).items() if value != getattr(trial.semantics, name)}
    needed = []
    for name, value in differing.items():
        without: Semantics = replace(stated, **{name: getattr(trial.semantics, name)})
        if len(differing) == 1 or _violations(list(_ask(examination, question, trial.under(without)))):
            needed.append(f"{name} = {value}")
    reason = "documented: " + ", ".join(needed)
    return _found(examination, question, trial, "documented divergence", first, first, reason, question.binding.documentation)


def _listed(
    examination: Examination,
    question: Question,
    trial: Trial,
    first: list[Judgement],
    second: list[Judgement],
    entries: list[Expectation],
) -> Record:
    reason = "; ".join(entry.reason for entry in entries)
    upstream = next((entry.upstream for entry in entries if entry.upstream.startswith("https")), entries[0].upstream)
    return _found(examination, question, trial, "known defect", second, first, reason, upstream)


def _fixed(question: Question, judgements: list[Judgement], entries: list[Expectation]) -> Record:
    reason = "listed as a known defect, but it no longer happens: " + "; ".join(entry.reason for entry in entries)
    return _record(question, "fixed", judgements, reason=reason, upstream=entries[0].upstream)


def _found(
    examination: Examination,
    question: Question,
    trial: Trial,
    verdict: Verdict,
    judgements: list[Judgement],
    first: list[Judgement],
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
    record = _record(question, verdict, first, reason=reason, upstream=upstream)
    saturates = judgement.note if question.clause.is_ladder else ""
    return msgspec.structs.replace(record, finding=finding, saturates=saturates, kinds=_kinds(judgements))


def _kinds(judgements: list[Judgement]) -> list[str]:
    """Return what the violating rows hold."""
    return sorted({kind for judgement in judgements for kind in kinds_of(judgement)[judgement.violating].tolist()})


def _record(
    question: Question, verdict: Verdict, judgements: list[Judgement], *, reason: str = "", upstream: str = ""
) -> Record:
    regimes: Counter[str] = Counter()
    for judgement in judgements:
        if judgement.violating.any() and judgement.batch.regimes:
            found = regime_counts(judgement.batch, judgement.violating[: judgement.batch.rows])
            regimes += Counter({"ladder": found.total()}) if question.clause.is_ladder else found
    worst = max((float(np.max(j.ratio, initial=0.0)) for j in judgements), default=0.0)
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
