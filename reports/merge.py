"""Merging: many result files become one set of rows, columns and findings, worst first. Knows nothing of HTML."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter

import msgspec

from reports.gate import gate
from reports.record import VERDICTS, CertificateLine, ClauseInfo, Footer, Header, Misuse, Number, Record, Verdict
from reports.results import ResultFile

SHOWN: tuple[Verdict, ...] = VERDICTS[: VERDICTS.index("documented divergence") + 1]
"""The verdicts that are findings, worst first: each gets a section."""

RANK = {verdict: rank for rank, verdict in enumerate(VERDICTS)}


class MergedFile(msgspec.Struct, frozen=True):
    """One result file within the merged data."""

    name: str
    header: Header
    records: list[Record]
    misuses: list[Misuse]
    footer: Footer | None


class Merged(msgspec.Struct, frozen=True):
    """The merged data beside the report: everything the result files hold, and the judgement of the gate."""

    exit_code: int
    reasons: list[str]
    problems: list[str]
    verdicts: dict[Verdict, int]
    files: list[MergedFile]


@dataclass(frozen=True)
class Cell:
    """One API of one loss in one result file (``column``): the worst record, and how many there are of each verdict."""

    loss: str
    api: str
    column: int
    worst: Record
    counts: Counter[Verdict]


@dataclass(frozen=True)
class ClauseRow:
    """One API of one loss, clause by clause: the worst record of each clause, for all columns in which they are alike."""

    loss: str
    api: str
    columns: tuple[int, ...]
    worst: dict[str, Record]


@dataclass(frozen=True)
class Variant:
    """One answer that several dtypes or modes have in common, with the records that gave it, worst first."""

    records: tuple[Record, ...]

    @property
    def where(self) -> str:
        """The dtypes and modes: "float32 eager, compile; float64 eager"."""
        modes: defaultdict[str, list[str]] = defaultdict(list)
        for record in self.records:
            modes[record.dtype].append(record.mode)
        return "; ".join(f"{dtype} {', '.join(dict.fromkeys(found))}" for dtype, found in modes.items())


@dataclass(frozen=True)
class FindingGroup:
    """What one API does against one clause in one column, over its dtypes and modes."""

    column: int
    variants: tuple[Variant, ...]
    regimes: dict[str, int]

    @property
    def worst(self) -> Record:
        """The record that stands for the group."""
        return self.variants[0].records[0]

    @property
    def kinds(self) -> list[str]:
        """What the violating rows hold instead of the truth, over all records."""
        return list(dict.fromkeys(kind for record in self.records for kind in record.kinds))

    @property
    def records(self) -> list[Record]:
        """All records of the group."""
        return [record for variant in self.variants for record in variant.records]


@dataclass(frozen=True)
class Cause:
    """Finding groups with one verdict and one reason; an unexplained finding has the reason ""."""

    verdict: Verdict
    reason: str
    upstream: str
    groups: tuple[FindingGroup, ...]


def merge(results: Sequence[ResultFile], problems: Sequence[str], required: Sequence[str] = ()) -> Merged:
    """Return the merged data; `msgspec.json.encode` writes it, the report's HTML shows it."""
    code, reasons = gate(results, problems, required)
    files = [
        MergedFile(name, result.header, result.records, result.misuses, result.footer)
        for name, result in zip(name_columns(results), results, strict=True)
    ]
    return Merged(code, reasons, list(problems), dict(count_verdicts(results)), files)


def name_columns(results: Sequence[ResultFile]) -> list[str]:
    """Return a name for each file: its own, with as many folders before it as tell it from the others."""
    names = []
    for result in results:
        parts = result.path.with_suffix("").parts
        others = [other.path.with_suffix("").parts for other in results if other is not result]
        depth = 1
        while depth < len(parts) and any(other[-depth:] == parts[-depth:] for other in others):
            depth += 1
        names.append("/".join(parts[-depth:]))
    return names


def count_verdicts(results: Iterable[ResultFile]) -> Counter[Verdict]:
    """Return the number of questions with each verdict that occurs, worst first."""
    counts = Counter(record.verdict for result in results for record in result.records)
    return Counter({verdict: counts[verdict] for verdict in VERDICTS if verdict in counts})


def magnitude(number: Number) -> float:
    """Return an error for sorting: NaN and the infinities are the worst."""
    return float("inf") if isinstance(number, str) else number


def badness(record: Record) -> tuple[int, float]:
    """Return a key that sorts records worst first: by verdict, then by error over bound."""
    return RANK[record.verdict], -magnitude(record.worst)


def worst_by(records: Iterable[Record], key: Callable[[Record], tuple[str, ...]]) -> dict[tuple[str, ...], Record]:
    """Return the worst record for each key."""
    best = len(VERDICTS), 0.0
    worst: dict[tuple[str, ...], tuple[tuple[int, float], Record | None]] = {}
    for record in records:
        name, bad = key(record), badness(record)
        if bad < worst.get(name, (best, None))[0]:
            worst[name] = bad, record
    return {name: record for name, (_, record) in worst.items() if record}


def worst_by_clause(results: Iterable[ResultFile]) -> list[dict[tuple[str, ...], Record]]:
    """Return for each file the worst record of each loss, API and clause: the one pass over all records that is slow."""
    return [worst_by(result.records, attrgetter("loss", "api", "clause")) for result in results]


def make_cells(results: Sequence[ResultFile], by_clause: Sequence[dict[tuple[str, ...], Record]]) -> list[Cell]:
    """Return the matrix: each API of each loss in each column, worst first; ``by_clause`` is of `worst_by_clause`."""
    cells = []
    for column, (result, clauses) in enumerate(zip(results, by_clause, strict=True)):
        counts: defaultdict[tuple[str, str], Counter[Verdict]] = defaultdict(Counter)
        for (loss, api, verdict), count in Counter(map(attrgetter("loss", "api", "verdict"), result.records)).items():
            counts[loss, api][verdict] = count
        for (loss, api), worst in worst_by(clauses.values(), attrgetter("loss", "api")).items():
            cells.append(Cell(loss, api, column, worst, counts[loss, api]))
    return sorted(cells, key=lambda cell: badness(cell.worst))


def make_clause_rows(by_clause: Sequence[dict[tuple[str, ...], Record]]) -> list[ClauseRow]:
    """Return each API clause by clause, worst first; columns in which every clause has the same verdict share a row."""
    rows: dict[tuple, ClauseRow] = {}
    for column, clauses in enumerate(by_clause):
        by_api: defaultdict[tuple[str, str], dict[str, Record]] = defaultdict(dict)
        for (loss, api, clause), record in clauses.items():
            by_api[loss, api][clause] = record
        for (loss, api), worst in by_api.items():
            key = loss, api, tuple(sorted((clause, record.verdict) for clause, record in worst.items()))
            alike = rows.get(key, ClauseRow(loss, api, (), worst))
            rows[key] = ClauseRow(loss, api, (*alike.columns, column), alike.worst)
    return sorted(rows.values(), key=lambda row: sorted(map(badness, row.worst.values())))


def make_causes(results: Sequence[ResultFile]) -> list[Cause]:
    """Return every finding, worst first: grouped over dtypes and modes, then by verdict and reason."""
    groups = [group for column, result in enumerate(results) for group in _group_findings(column, result)]
    causes: defaultdict[tuple, list[FindingGroup]] = defaultdict(list)
    for group in sorted(groups, key=lambda group: badness(group.worst)):
        record = group.worst
        causes[record.verdict, record.reason, record.upstream].append(group)
    made = [Cause(verdict, reason, upstream, tuple(found)) for (verdict, reason, upstream), found in causes.items()]
    return sorted(made, key=lambda cause: RANK[cause.verdict])


def _group_findings(column: int, result: ResultFile) -> list[FindingGroup]:
    """Return the finding groups of one file."""
    grouped: defaultdict[tuple, list[Record]] = defaultdict(list)
    for record in result.records:
        if record.verdict in SHOWN:
            grouped[record.verdict, record.loss, record.api, record.clause, record.reason, record.upstream].append(record)
    return [_make_group(column, records) for records in grouped.values()]


def _make_group(column: int, records: list[Record]) -> FindingGroup:
    """Return the group of some records: those that differ only in mode or dtype become one variant, the worst first."""
    alike: defaultdict[tuple, list[Record]] = defaultdict(list)
    for record in sorted(records, key=badness):
        finding = record.finding
        answer = (finding.prediction, finding.target, finding.got, finding.expected, finding.quantity) if finding else ()
        alike[answer].append(record)
    regimes: Counter[str] = Counter()
    for record in records:
        regimes.update(record.regimes)
    variants = tuple(Variant(tuple(found)) for found in alike.values())
    return FindingGroup(column, variants, dict(regimes.most_common()))


def all_clauses(results: Iterable[ResultFile]) -> list[ClauseInfo]:
    """Return the clauses of every header, in order; two specifications may word one clause in two ways."""
    clauses = {clause: None for result in results for clause in result.header.clauses}
    return sorted(clauses, key=lambda clause: clause_order(clause.id))


def clause_order(clause: str) -> tuple[str, int, str]:
    """Return a key that sorts SPARSE-2 before SPARSE-10."""
    prefix, _, digits = clause.rpartition("-")
    return prefix, int(digits) if digits.isdecimal() and len(digits) < 10 else 0, clause


def all_certificates(results: Iterable[ResultFile]) -> list[tuple[CertificateLine, list[CertificateLine]]]:
    """Return the certificate, each line once: for each loss and quantity the worst line, and all of its regimes."""
    grouped: defaultdict[tuple[str, str], list[CertificateLine]] = defaultdict(list)
    for line in {line: None for result in results for line in result.header.certificate}:
        grouped[line.loss, line.quantity].append(line)
    ordered = [sorted(lines, key=lambda line: -line.worst_ulp) for lines in grouped.values()]
    return [(lines[0], lines) for lines in ordered]
