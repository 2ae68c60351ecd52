"""Equivalents: the calls by which each framework computes one loss with some options, and what the last run said of them."""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from operator import attrgetter

from msgspec import Struct

from reports.merge import RANK, SHOWN, clause_order, name_columns, worst_by
from reports.record import BindingInfo, Header, Record, Verdict
from reports.results import ResultFile, printable
from reports.shortening import shorten

UNANSWERED: frozenset[Verdict] = frozenset({"unsupported", "not run"})
"""The verdicts that say nothing of what a call computes."""


class Divergence(Struct, frozen=True):
    """Why a call does not conform in some clauses: the reason, or what a finding says where there is none."""

    verdict: Verdict
    reason: str
    upstream: str
    clauses: list[str]


class Equivalent(Struct, frozen=True):
    """One call of the loss.

    ``lacks`` names what was asked for and it does not take. ``verdict`` is the worst over the clauses, but for those about an
    option, and what went wrong under a pair of options, that were not asked for; ``counts`` has the number of clauses by their
    worst verdict. ``source`` is that of the binding, of a stand-in without what only other options need.
    """

    binding: BindingInfo
    source: str
    lacks: list[str]
    verdict: Verdict
    counts: dict[Verdict, int]
    divergences: list[Divergence]

    @property
    def is_public(self) -> bool:
        """Whether it is a call of one public API."""
        return not (self.binding.composition or self.binding.textbook)


class Equivalents(Struct, frozen=True):
    """The calls of one result file, the best first: what takes all that was asked for, public APIs, those that conform."""

    file: str
    versions: dict[str, str]
    device: str
    calls: list[Equivalent]


def find_equivalents(
    results: Sequence[ResultFile], loss: str, options: Sequence[str] = (), reduction: str = ""
) -> list[Equivalents]:
    """Return the calls that compute a loss in each result file.

    Args:
        results: the files of `reports.results.read_results`.
        loss: the name of the loss.
        options: what the call must take.
        reduction: the reduction that it must have, "" for any.
    """
    found = []
    for name, result in zip(name_columns(results), results, strict=True):
        records: defaultdict[str, list[Record]] = defaultdict(list)
        beside = _clauses_beside(result.header, options)
        for record in result.records:
            if record.loss == loss and record.clause not in beside and not _is_beside(record, result.header, options):
                records[record.api].append(record)
        bindings = [binding for binding in result.header.bindings if binding.loss == loss]
        calls = [
            _judge(binding, _lacks(binding, options, reduction), _source(binding, options, reduction), records[binding.api])
            for binding in bindings
        ]
        found.append(Equivalents(name, result.header.versions, result.header.device, sorted(calls, key=_order)))
    return found


def _clauses_beside(header: Header, options: Collection[str]) -> set[str]:
    """Return the clauses about an option that was not asked for: they bear its name."""
    return {clause.id for clause in header.clauses if clause.title in header.options and clause.title not in options}


def _is_beside(record: Record, header: Header, options: Collection[str]) -> bool:
    """Tell whether all that violates in a record does so under options of which some were not asked for."""
    given = [{setting.partition("=")[0] for setting in regime.split("+")} for regime in record.regimes]
    return bool(given) and all(names <= set(header.options) and not names <= set(options) for names in given)


def _lacks(binding: BindingInfo, options: Sequence[str], reduction: str) -> list[str]:
    missing = [option for option in options if option not in binding.options]
    apart = [option for option in dict.fromkeys(options) if option in binding.apart]
    missing += [" beside ".join(apart)] if len(apart) > 1 else []
    missing += [f"{option} beside others" for option in options if option in binding.alone] if len(options) > 1 else []
    return [*missing, f"reduction {reduction}"] if reduction and reduction not in binding.reductions else missing


def _source(binding: BindingInfo, options: Sequence[str], reduction: str) -> str:
    """Return the source of a call, and of a stand-in what the options that were asked for need."""
    if not binding.stand_in:
        return binding.source
    try:
        return shorten(binding.source, binding.options, options, reduction)
    except SyntaxError:  # written by another Python, or by no suite at all
        return binding.source


def _judge(binding: BindingInfo, lacks: list[str], source: str, records: list[Record]) -> Equivalent:
    worst = [record.verdict for record in worst_by(records, attrgetter("clause")).values()]
    counts = dict(sorted(Counter(worst).items(), key=lambda item: RANK[item[0]]))
    verdict: Verdict = next((verdict for verdict in counts if verdict not in UNANSWERED), "not run")
    return Equivalent(binding, source, lacks, verdict, counts, _divergences(records))


def _divergences(records: list[Record]) -> list[Divergence]:
    """Return what the records do not conform in, worst first, each reason once."""
    clauses: defaultdict[tuple[Verdict, str, str], set[str]] = defaultdict(set)
    for record in records:
        if record.verdict in SHOWN:
            statement = record.finding.statement if record.finding else "no finding was recorded"
            clauses[record.verdict, record.reason or statement, record.upstream].add(record.clause)
    found = [Divergence(*key, sorted(ids, key=clause_order)) for key, ids in clauses.items()]
    return sorted(found, key=lambda divergence: (RANK[divergence.verdict], clause_order(divergence.clauses[0])))


def _order(call: Equivalent) -> tuple[bool, bool, bool, bool, int, int]:
    """Return a key that sorts the best first: of two that do as well, the one with less to write."""
    binding, unanswered = call.binding, call.verdict in UNANSWERED
    return bool(call.lacks), binding.textbook, not call.is_public, unanswered, -RANK[call.verdict], len(call.source)


def write_equivalents(
    found: Sequence[Equivalents], loss: str, formula: str, options: Sequence[str] = (), reduction: str = ""
) -> str:
    """Return the calls as Markdown, with the source of those that take all that was asked for."""
    asked = _list([*(f"`{option}`" for option in options), *([f"reduction `{reduction}`"] if reduction else [])])
    parts = [f"# `{loss}`{f' with {asked}' if asked else ''}", f"`{formula}`"]
    for framework in found:
        versions = ", ".join(f"{package} {version}" for package, version in framework.versions.items())
        parts.append(f"## {printable(framework.file)}: {printable(versions)}, {printable(framework.device)}")
        parts += _calls(framework.calls, asked)
    return "\n\n".join(parts) + "\n"


def _calls(calls: Sequence[Equivalent], asked: str) -> list[str]:
    """Return the calls of one framework, and a sentence where no public API is among them."""
    if not calls:
        return ["It has no call of this loss in these results."]
    whole = [call for call in calls if not call.lacks]
    parts = [] if any(call.is_public for call in whole) else [_instead(whole, asked)]
    for call in whole:
        parts += _call(call)
    others = [f"- `{printable(call.binding.api)}` lacks {', '.join(call.lacks)}" for call in calls if call.lacks]
    return [*parts, "Not these:", "\n".join(others)] if others else parts


def _instead(whole: Sequence[Equivalent], asked: str) -> str:
    """Say which composition to take where there is no public API."""
    lack = f"No public API that is asked takes {asked}" if asked else "No public API that is asked has this loss"
    conforming = [call for call in whole if call.verdict == "conforms"]
    if conforming:
        return f"{lack}: the shortest composition that conforms is `{printable(conforming[0].binding.api)}`."
    if whole:
        return f"{lack}, and no composition for it conforms in every clause: the best comes first."
    return f"{lack}, and there is no checked composition for it."


def _call(call: Equivalent) -> list[str]:
    binding = call.binding
    kind = "textbook composition, " if binding.textbook else "composition, " if binding.composition else ""
    counts = ", ".join(f"{count} {verdict}" for verdict, count in call.counts.items())
    page = f" <{printable(binding.documentation)}>" if binding.documentation else ""
    parts = [f"### `{printable(binding.api)}`: {kind}{call.verdict}", f"Clauses: {counts or 'none was asked'}.{page}"]
    lines = [
        f"- {', '.join(map(printable, found.clauses))}, {found.verdict}: {_reason(found, binding.documentation)}"
        for found in call.divergences
    ]
    source = "\n\n\n".join(filter(None, ["\n".join(binding.imports), call.source]))
    return [*parts, *(["\n".join(lines)] if lines else []), f"```python\n{_printable_lines(source)}\n```"]


def _reason(found: Divergence, page: str) -> str:
    """Return the reason, and where it is discussed unless that is the page of the call."""
    reason, address = printable(found.reason).removeprefix("documented: "), printable(found.upstream)
    if not address or address == page:
        return reason
    return f"{reason} <{address}>" if address.startswith("https://") else f"{reason} ({address})"


def _printable_lines(text: str) -> str:
    """Return a source without the control characters that a terminal would obey."""
    return "".join(character if character.isprintable() or character == "\n" else " " for character in text)


def _list(names: Sequence[str]) -> str:
    """Return "a", "a and b", "a, b and c"."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
