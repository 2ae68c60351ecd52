"""The sections of the report as plain data: what each table and list has in it. Knows nothing of HTML."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from math import inf, log

import msgspec

from reports import merge
from reports.record import (
    MISUSE_OUTCOMES,
    BindingInfo,
    ChoicePointInfo,
    DataKindInfo,
    Misuse,
    MisuseOutcome,
    Number,
    Record,
    Verdict,
)
from reports.results import ResultFile

DIVERGENCES: frozenset[Verdict] = frozenset({"undocumented divergence", "documented divergence"})
"""The verdicts of another alternative of a choice point: findings, but nothing wrong."""


def choice_points(results: Sequence[ResultFile]) -> dict[str, ChoicePointInfo]:
    """Return the choice points by their ids."""
    return {point.id: point for result in results for point in result.header.choice_points}


@dataclass(frozen=True)
class Worst:
    """One line of "what is wrong": the finding groups with one reason, or with one statement where there is no reason."""

    verdict: Verdict
    reason: str
    statement: str
    groups: list[merge.FindingGroup]

    @property
    def columns(self) -> list[int]:
        """The columns it is seen in."""
        return sorted({group.column for group in self.groups})

    @property
    def apis(self) -> list[str]:
        """The APIs that have it."""
        return list(dict.fromkeys(group.worst.api for group in self.groups))

    @property
    def questions(self) -> int:
        """The number of questions that have it."""
        return sum(len(group.records) for group in self.groups)


def worst_first(causes: Sequence[merge.Cause]) -> list[Worst]:
    """Return what is wrong in a line each, worst first: divergences are not wrong."""
    lines: dict[tuple[Verdict, str, str], Worst] = {}
    for cause in takewhile(lambda cause: cause.verdict not in DIVERGENCES, causes):
        for group in cause.groups:
            finding = group.worst.finding
            statement = finding.statement if finding and not cause.reason else ""
            key = cause.verdict, cause.reason, statement
            lines.setdefault(key, Worst(*key, [])).groups.append(group)
    return list(lines.values())


@dataclass(frozen=True)
class MatrixRow:
    """One loss: its formula, and for each column its APIs, worst first."""

    loss: str
    formula: str
    columns: list[list[merge.Cell]]


def make_matrix(results: Sequence[ResultFile], by_clause: Sequence[dict[tuple[str, ...], Record]]) -> list[MatrixRow]:
    """Return the matrix, worst loss first."""
    formulas = _formulas(results)
    rows: dict[str, MatrixRow] = {}
    for cell in merge.make_cells(results, by_clause):
        row = rows.setdefault(cell.loss, MatrixRow(cell.loss, formulas.get(cell.loss, ""), [[] for _ in results]))
        row.columns[cell.column].append(cell)
    return list(rows.values())


def _formulas(results: Sequence[ResultFile]) -> dict[str, str]:
    """Return the formula of each loss."""
    return {loss: formula for result in results for loss, formula in result.header.losses.items()}


@dataclass(frozen=True)
class ClauseTable:
    """One loss, API by clause."""

    loss: str
    clauses: list[str]
    rows: list[merge.ClauseRow]


def make_clause_tables(by_clause: Sequence[dict[tuple[str, ...], Record]], losses: Iterable[str]) -> list[ClauseTable]:
    """Return a table for each of the losses, in their order."""
    rows: defaultdict[str, list[merge.ClauseRow]] = defaultdict(list)
    for row in merge.make_clause_rows(by_clause):
        rows[row.loss].append(row)
    tables = []
    for loss in losses:
        clauses = {clause for row in rows[loss] for clause in row.worst}
        tables.append(ClauseTable(loss, sorted(clauses, key=merge.clause_order), rows[loss]))
    return tables


@dataclass(frozen=True)
class DeclaredBinding:
    """A binding, the columns that declare it so, and the forms of value and gradient that they judge it by."""

    binding: BindingInfo
    columns: list[int]
    forms: dict[tuple[str, str], None]


def make_sources(results: Sequence[ResultFile]) -> dict[str, list[DeclaredBinding]]:
    """Return the distinct bindings of each loss: what a user would write first, the textbook compositions after it."""
    declared: dict[bytes, DeclaredBinding] = {}
    for column, result in enumerate(results):
        for binding in result.header.bindings:
            key = msgspec.json.encode(msgspec.structs.replace(binding, value_form="", gradient_form=""))
            found = declared.setdefault(key, DeclaredBinding(binding, [], {}))
            found.columns.append(column)
            found.forms[binding.value_form, binding.gradient_form] = None
    by_loss: defaultdict[str, list[DeclaredBinding]] = defaultdict(list)
    for one in sorted(declared.values(), key=lambda one: one.binding.textbook):
        by_loss[one.binding.loss].append(one)
    return {loss: by_loss[loss] for loss in [*_formulas(results), *by_loss] if loss in by_loss}


@dataclass(frozen=True)
class BindingSemantics:
    """What a binding documents at choice points, and what else it was observed to pick there, in any of its columns."""

    binding: BindingInfo
    observed: dict[str, list[str]]

    @property
    def points(self) -> set[str]:
        """The choice points at which it differs from the mathematics."""
        return {*self.binding.semantics, *self.observed}


@dataclass(frozen=True)
class SemanticsTable:
    """One loss: its bindings by the choice points at which any of them differs from the mathematics."""

    loss: str
    points: list[ChoicePointInfo]
    bindings: list[BindingSemantics]
    plain: int


def make_semantics(results: Sequence[ResultFile]) -> list[SemanticsTable]:
    """Return the table of semantics of each loss; a binding that follows the mathematics throughout is counted."""
    points, choices = choice_points(results), _choices(results)
    tables = []
    for loss, declared in make_sources(results).items():
        bindings = [BindingSemantics(found.binding, _observed(found, choices)) for found in declared]
        differing = [point for name, point in points.items() if any(name in binding.points for binding in bindings)]
        divergent = [binding for binding in bindings if binding.points]
        tables.append(SemanticsTable(loss, differing, divergent, len(bindings) - len(divergent)))
    return tables


Choices = dict[tuple[int, str, str], dict[tuple[str, str], None]]
"""By column, loss and API the choice points and alternatives that explain verdicts, each once."""


def _choices(results: Sequence[ResultFile]) -> Choices:
    choices: Choices = {}
    for column, result in enumerate(results):
        for record in result.records:
            if record.choices:
                choices.setdefault((column, record.loss, record.api), {}).update(dict.fromkeys(record.choices.items()))
    return choices


def _observed(found: DeclaredBinding, choices: Choices) -> dict[str, list[str]]:
    """Return what a binding picks in any of its columns beyond what it documents."""
    binding, observed = found.binding, dict[str, list[str]]()
    picked = [pick for column in found.columns for pick in choices.get((column, binding.loss, binding.api), ())]
    for point, alternative in dict.fromkeys(picked):
        if binding.semantics.get(point) != alternative:
            observed.setdefault(point, []).append(alternative)
    return observed


@dataclass(frozen=True)
class Saturation:
    """Where one API stops following the mathematics, over its modes and clauses."""

    column: int
    loss: str
    api: str
    dtypes: list[str]
    text: str


def make_saturation(results: Sequence[ResultFile]) -> list[Saturation]:
    """Return where losses saturate, each distinct answer once."""
    rows: dict[tuple, Saturation] = {}
    for column, result in enumerate(results):
        for record in result.records:
            if record.saturates:
                key = column, record.loss, record.api, record.saturates
                row = rows.setdefault(key, Saturation(*key[:3], [], record.saturates))
                if record.dtype not in row.dtypes:
                    row.dtypes.append(record.dtype)
    return sorted(rows.values(), key=lambda row: (row.loss, row.column, row.api))


@dataclass(frozen=True)
class Misused:
    """The APIs of one loss with one outcome for one kind of data: the worst line, their names by column, their factors."""

    worst: Misuse
    apis: dict[int, list[str]]
    factors: dict[str, Number]

    @property
    def callers(self) -> list[tuple[list[int], list[str]]]:
        """The names, each list once, with the columns that have it."""
        columns: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
        for column, apis in self.apis.items():
            columns[tuple(apis)].append(column)
        return [(found, list(apis)) for apis, found in columns.items()]


@dataclass(frozen=True)
class WrongHelpers:
    """One kind of data given to the APIs that do not expect it: the answers worst first.

    ``counts`` has the number of APIs with each outcome, and ``instead`` the API to call, "" if there is none, by column.
    """

    kind: DataKindInfo
    counts: list[Counter[MisuseOutcome]]
    instead: list[str]
    rows: list[Misused]


def make_wrong_helpers(results: Sequence[ResultFile]) -> list[WrongHelpers]:
    """Return a table for each kind of data, in the order of the headers."""
    kinds = {kind: None for result in results for kind in result.header.data_kinds}
    return [_make_wrong_helpers(kind, results) for kind in kinds]


def _make_wrong_helpers(kind: DataKindInfo, results: Sequence[ResultFile]) -> WrongHelpers:
    measured = [(column, line) for column, result in enumerate(results) for line in _measured(kind, result)]
    counts = [Counter(line.outcome for line in _measured(kind, result)) for result in results]
    rows: dict[tuple[str, ...], Misused] = {}
    for column, line in sorted(measured, key=lambda item: _harm(item[1])):
        row = rows.setdefault(_alike(line), Misused(line, {}, {}))
        row.apis.setdefault(column, []).append(line.api)
        if line.factor is not None:
            row.factors.setdefault(_two_digits(line.factor), line.factor)
    return WrongHelpers(kind, counts, [_instead(kind, result) for result in results], list(rows.values()))


def _measured(kind: DataKindInfo, result: ResultFile) -> list[Misuse]:
    return [line for line in result.misuses if line.data == kind.name and kind in result.header.data_kinds]


def _alike(line: Misuse) -> tuple[str, ...]:
    """Return what the lines of a row share: the outcome, and the loss where anything was got."""
    return line.outcome, "" if line.factor is None else line.loss


def _two_digits(factor: Number) -> str:
    return factor if isinstance(factor, str) else f"{factor:.1e}"


def _harm(line: Misuse) -> tuple[int, float]:
    """Return a key that sorts the worst first: the farther off the worse, but NaN and infinity are seen and come last."""
    off = abs(log(abs(line.factor))) if isinstance(line.factor, float) and line.factor else inf
    return MISUSE_OUTCOMES.index(line.outcome), 1.0 if isinstance(line.factor, str) else -off


def _instead(kind: DataKindInfo, result: ResultFile) -> str:
    """Return the first API of the right loss, else of the one that is meant."""
    declared = [binding for binding in result.header.bindings if not binding.textbook]
    return next((binding.api for loss in (kind.right, kind.loss) for binding in declared if binding.loss == loss), "")
