"""The specification as it is looked up: each loss, clause, option and choice point, and who picks what."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from msgspec import Struct
from msgspec.structs import asdict

from reports.coverage import Coverage, make_coverage
from reports.merge import all_clauses, clause_order, name_columns
from reports.record import BindingInfo, ChoicePointInfo, ClauseInfo, Record, Specification
from reports.results import ResultFile, printable


class Example(Struct, frozen=True):
    """The smallest case that showed a pick. ``begins`` says from where on it matters, "" where nothing climbed up to that."""

    api: str
    clause: str
    quantity: str
    prediction: str
    target: str
    options: str
    got: str
    expected: str
    begins: str

    @property
    def words(self) -> str:
        """The case in a line."""
        if self.begins:
            return f"{self.clause}: {self.begins}"
        given = f", {self.options}" if self.options else ""
        return f"{self.clause}: {self.quantity} {self.got} for {self.expected} at {self.prediction}, {self.target}{given}"


class Pick(Struct, frozen=True):
    """APIs that pick one alternative, in the result files ``files``.

    ``documented``: their documentation states it, on the page ``documentation``; if not, it was observed, as an expectation
    lists it.
    """

    apis: list[str]
    files: list[str]
    documentation: str
    documented: bool = True
    example: Example | None = None


Picks = dict[str, dict[str, list[Pick]]]
"""By choice point and alternative; what the mathematics says is picked by all others."""


class PickedSpecification(Specification, frozen=True, kw_only=True):
    """A specification with who picks what, and what the bindings cover."""

    picks: Picks
    coverage: Coverage


CHOICES = (
    "The first alternative is what the mathematics says. The APIs below an alternative state it, or pick it without "
    "documentation. The case below them is the smallest that showed it."
)


@dataclass(frozen=True)
class NumberedClause:
    """One sentence with the ids that it has for the losses it is asked of: "SPARSE-4", "SIGMOID-4"."""

    number: str
    title: str
    sentence: str
    ids: list[str]


def merge_specifications(results: Sequence[ResultFile]) -> PickedSpecification:
    """Return what the headers of result files say, each thing once, with who picks what."""
    headers = [result.header for result in results]
    return PickedSpecification(
        losses={loss: formula for header in headers for loss, formula in header.losses.items()},
        clauses=all_clauses(results),
        choice_points=list({point.id: point for header in headers for point in header.choice_points}.values()),
        signatures={loss: signature for header in headers for loss, signature in header.signatures.items()},
        options={name: meaning for header in headers for name, meaning in header.options.items()},
        reductions={name: meaning for header in headers for name, meaning in header.reductions.items()},
        picks=make_picks(results),
        coverage=make_coverage(results),
    )


def with_picks(specification: Specification, results: Sequence[ResultFile]) -> PickedSpecification:
    """Return a specification with who picks what, and what is covered, according to result files."""
    return PickedSpecification(**asdict(specification), picks=make_picks(results), coverage=make_coverage(results))


@dataclass(frozen=True)
class _Picked:
    """One API that picks an alternative of a choice point."""

    point: str
    alternative: str
    documented: bool
    documentation: str
    api: str


def make_picks(results: Sequence[ResultFile]) -> Picks:
    """Return who picks what: APIs with one page of documentation in the same result files stand together.

    What is documented comes first.
    """
    files: dict[_Picked, dict[str, None]] = {}
    shown: defaultdict[_Picked, list[Record]] = defaultdict(list)
    for name, result in zip(name_columns(results), results, strict=True):
        for picked in _documented(result.header.bindings):
            files.setdefault(picked, {})[name] = None
        for picked, record in _showing(result):
            files.setdefault(picked, {})[name] = None
            shown[picked].append(record)
    alike: defaultdict[tuple, list[_Picked]] = defaultdict(list)
    for picked, names in files.items():
        alike[picked.point, picked.alternative, not picked.documented, picked.documentation, tuple(names)].append(picked)
    picks: Picks = {}
    for (point, alternative, undocumented, page, names), found in sorted(alike.items(), key=lambda item: item[0][2]):
        example = _smallest([record for picked in found for record in shown[picked]])
        pick = Pick([picked.api for picked in found], list(names), page, not undocumented, example)
        picks.setdefault(point, {}).setdefault(alternative, []).append(pick)
    return picks


def _documented(bindings: Iterable[BindingInfo]) -> Iterator[_Picked]:
    for binding in bindings:
        for point, alternative in binding.semantics.items():
            yield _Picked(point, alternative, True, binding.documentation, binding.api)


def _showing(result: ResultFile) -> Iterator[tuple[_Picked, Record]]:
    """Yield what the records of a file show to be picked."""
    stated = {(binding.loss, binding.api): binding for binding in result.header.bindings}
    for record in result.records:
        binding = stated.get((record.loss, record.api))
        for point, alternative in record.choices.items():
            if binding and binding.semantics.get(point) == alternative:
                yield _Picked(point, alternative, True, binding.documentation, record.api), record
            else:
                yield _Picked(point, alternative, False, "", record.api), record


def _smallest(records: Iterable[Record]) -> Example | None:
    """Return the case of the record that is read most easily: one of no other choice, that says where it begins, short."""
    examples = [
        (len(record.choices), not record.saturates, len(example.words), example)
        for record in records
        if (example := _example(record))
    ]
    return min(examples, key=lambda found: found[:3])[3] if examples else None


def _example(record: Record) -> Example | None:
    finding = record.finding
    if not finding:
        return None
    case = finding.quantity, finding.prediction, finding.target, finding.options, finding.got, finding.expected
    return Example(record.api, record.clause, *case, record.saturates)


def number_clauses(clauses: Iterable[ClauseInfo]) -> list[NumberedClause]:
    """Return the clauses by number: a sentence that several losses share stands once."""
    numbered: dict[tuple[str, str, str], NumberedClause] = {}
    for clause in clauses:
        key = clause.id.rpartition("-")[2], clause.title, clause.sentence
        numbered.setdefault(key, NumberedClause(*key, [])).ids.append(clause.id)
    return sorted(numbered.values(), key=lambda clause: clause_order(clause.ids[0])[1])


def write_specification(specification: PickedSpecification) -> str:
    """Return the specification as Markdown."""
    parts = ["# Specification", "## Losses", "\n".join(_losses(specification)), *_coverage(specification.coverage)]
    for title, meanings in (("Options", specification.options), ("Reductions", specification.reductions)):
        parts += [f"## {title}", _definitions(meanings)]
    parts += ["## Clauses", "A clause is cited by the prefix of the loss and its number: SPARSE-4."]
    everywhere = {signature.prefix for signature in specification.signatures.values()}
    parts.append("\n".join(_clause(clause, everywhere) for clause in number_clauses(specification.clauses)))
    parts += ["## Choice points", CHOICES]
    if not specification.picks:
        parts.append("Which API states what is in result files: run `python crossproof.py run --adapter pytorch` for one.")
    for point in specification.choice_points:
        parts += _choice_point(point, specification.picks.get(point.id, {}))
    return "\n\n".join(parts) + "\n"


def _losses(specification: Specification) -> list[str]:
    lines = []
    for loss, formula in specification.losses.items():
        signature = specification.signatures[loss]
        options = ", ".join(f"`{option}`" for option in signature.options) or "none"
        lines.append(
            f"- `{loss}` ({signature.prefix}): `{formula}`; prediction: {signature.prediction}, target: {signature.target}, "
            f"options: {options}"
        )
    return lines


def _coverage(coverage: Coverage) -> list[str]:
    """Return the table of what each result file covers; nothing where there is none."""
    files = list(dict.fromkeys(name for covered in coverage.values() for name in covered))
    if not files:
        return []
    rows = [["loss", *map(printable, files)], ["---"] * (len(files) + 1)]
    for loss, covered in coverage.items():
        cells = [f"{covered[name].bindings}: {printable(covered[name].words)}" if name in covered else "-" for name in files]
        rows.append([f"`{loss}`", *cells])
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return ["## Coverage", "The number of bindings of each loss, and what at least one of them takes.", table]


def _definitions(meanings: Mapping[str, str]) -> str:
    return "\n".join(f"- `{name}`: {meaning}" for name, meaning in meanings.items())


def _clause(clause: NumberedClause, everywhere: set[str]) -> str:
    """Return a clause on a line, with the prefixes of its losses unless it is asked of every loss."""
    prefixes = [id.rpartition("-")[0] for id in clause.ids]
    where = "" if everywhere <= set(prefixes) else f" ({', '.join(prefixes)})"
    return f"- **{clause.number} {clause.title}**{where}: {' '.join(clause.sentence.split())}"


def _choice_point(point: ChoicePointInfo, picks: Mapping[str, list[Pick]]) -> list[str]:
    lines = []
    for name in dict.fromkeys([*point.alternatives, *picks]):
        lines.append(f"- `{printable(name)}`: {point.alternatives.get(name, 'no alternative of this specification')}")
        for pick in picks.get(name, []):
            apis = ", ".join(f"`{printable(api)}`" for api in pick.apis)
            page = f" <{printable(pick.documentation)}>" if pick.documentation else ""
            silent = "" if pick.documented else "not documented: "
            lines.append(f"  - {printable(', '.join(pick.files))}: {silent}{apis}{page}")
            if pick.example:
                lines.append(f"    - {printable(pick.example.words)}")
    return [f"### `{point.id}`", point.question, "\n".join(lines)]
