"""The gate: one exit code for continuous integration, with its reasons."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations

from reports.record import FAILING, VERDICTS, Answers, Record
from reports.results import ResultFile, printable

AS_EXPECTED, NEWS, INCOMPLETE = 0, 1, 3
"""The exit codes; 2, wrong usage, belongs to the command line."""

UNANSWERED = frozenset({"unsupported", "not run"})
"""The verdicts of a question that was not put to the framework."""


def gate(results: Sequence[ResultFile], problems: Sequence[str], required: Sequence[str]) -> tuple[int, list[str]]:
    """Judge the result files of a run.

    Args:
        results: the files that could be read, and ``problems`` what is wrong with the given ones, of `read_results`.
        problems: one sentence each; any makes the run incomplete.
        required: names of adapters that must have a result file.

    Returns:
        The exit code, highest first: 3 incomplete, 1 news (crash, defect, changed, fixed, stale expectation, idle
        documented choice, backends that disagree), 0 as expected; and the reasons of every code that applies, one sentence
        each, worst first.
    """
    incomplete = [*_missing(results, required), *problems]
    for result in results:
        incomplete += _unfinished(result)
    news = [*_failing(results), *disagreements(results)]
    code = INCOMPLETE if incomplete else NEWS if news else AS_EXPECTED
    return code, incomplete + news


def is_finished_part(result: ResultFile) -> bool:
    """Tell whether a run came to its end that was asked for a part only: the gate calls it incomplete, its user does not."""
    if result.footer is None or result.footer.complete:
        return False
    ended = len(result.records) == result.header.questions
    answered = any(record.verdict not in UNANSWERED for record in result.records)
    return bool(result.header.selection) and ended and answered


def has_news(result: ResultFile) -> bool:
    """Tell whether a file holds a verdict that fails the gate."""
    return any(record.verdict in FAILING for record in result.records)


def _missing(results: Sequence[ResultFile], required: Sequence[str]) -> list[str]:
    """Return what is missing altogether."""
    there = {result.header.adapter for result in results}
    reasons = [] if results else ["There is no result; run the suite first."]
    return reasons + [f"There is no result file of the required adapter {name}." for name in required if name not in there]


def _unfinished(result: ResultFile) -> list[str]:
    """Return why the run behind a file is incomplete."""
    name = result.path.name
    reasons = []
    if not result.records:
        reasons.append(f"{name} has no records.")
    elif all(record.verdict in UNANSWERED for record in result.records):
        reasons.append(f"{name} has no answer: each of its questions is unsupported or was not run.")
    if result.footer is None:
        reasons.append(f"{name} has no footer: its run did not end.")
    elif not result.footer.complete:
        reasons.append(f"{name} says that its run is incomplete.")
    return reasons


def _failing(results: Sequence[ResultFile]) -> list[str]:
    """Return the news: a sentence per file and failing verdict, worst first, then stale expectations and idle choices."""
    reasons = []
    failing = [[record for record in result.records if record.verdict in FAILING] for result in results]
    for verdict in VERDICTS:
        for result, records in zip(results, failing, strict=True):
            found = [record for record in records if record.verdict == verdict]
            if found:
                reasons.append(f"{result.path.name} has {_count(len(found), verdict)}, the first at {name_question(found[0])}.")
    for result in results:
        for stale in result.footer.stale if result.footer else []:
            reasons.append(f"{result.path.name} has a stale expectation, which matches no question: {printable(stale)}.")
        for idle in result.footer.idle if result.footer else []:
            reasons.append(f"{result.path.name} has an idle documented choice, which no answer shows: {printable(idle)}.")
    return reasons


def disagreements(results: Sequence[ResultFile]) -> list[str]:
    """Return where backends that give the same account of an API answer differently by more than their bounds.

    Accounts are alike if verdict and reason are. Backends that differ in those are told apart by their records already: what
    one of them does is listed there, and a defect if it is not.
    """
    accounts: defaultdict[tuple[str, ...], list[tuple[str, Record, Answers]]] = defaultdict(list)
    for result in results:
        for record in result.records:
            if record.answers is not None:
                account = record.loss, record.api, record.dtype, record.clause, record.verdict, record.reason
                accounts[account].append((result.path.name, record, record.answers))
    return [
        f"{name} and {other} disagree at {name_question(record)}."
        for alike in accounts.values()
        for (name, record, one), (other, _, two) in combinations(alike, 2)
        if not _agree(one, two)
    ]


def _agree(one: Answers, other: Answers) -> bool:
    """Tell whether all numbers are equal within the sum of their bounds, or the same infinity, or NaN."""
    pairs = zip(one.got, one.bounds, other.got, other.bounds, strict=False)
    return len(one.got) == len(other.got) and all(
        a == b or (not isinstance(a, str) and not isinstance(b, str) and abs(a - b) <= float(slack) + float(other_slack))
        for a, slack, b, other_slack in pairs
    )


def name_question(record: Record) -> str:
    """Return a question by its name: clause, dtype, mode and API."""
    return printable(f"{record.clause} {record.dtype} {record.mode} {record.api}")


def _count(count: int, verdict: str) -> str:
    """Return "1 defect", "2 crashes", "3 changed results"."""
    noun = {"crash": "crash", "defect": "new defect", "changed": "changed result", "fixed": "fixed result"}[verdict]
    plural = "es" if noun == "crash" else "s"
    return f"{count:,} {noun}{plural if count > 1 else ''}"
