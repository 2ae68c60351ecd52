"""The end of a run in the terminal: how many of each verdict, then what fails, each in one grammar."""

from collections import Counter
from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from reports.merge import Variant, count_verdicts, make_causes
from reports.record import FAILING, Record, Verdict
from reports.results import ResultFile
from reports.wording import SYMBOLS, format_error

SHOWN = 20
"""How many failures are told in full; the others are counted."""

STYLES: dict[Verdict, str] = {
    "crash": "bold magenta",
    "defect": "bold red",
    "changed": "bold yellow",
    "fixed": "bold cyan",
    "known defect": "yellow",
    "undocumented divergence": "cyan",
    "documented divergence": "blue",
    "conforms": "green",
}


def terminal_summary(results: Sequence[ResultFile]) -> RenderableType:
    """Return what a run found, for a `rich` console: verdict counts, failing questions, what is listed by reason."""
    records = [record for result in results for record in result.records]
    groups = [group for cause in make_causes(results) if cause.verdict in FAILING for group in cause.groups]
    failing = [variant for group in groups for variant in group.variants]
    parts = [_counts(results)]
    parts += [_failure(variant) for variant in failing[:SHOWN]]
    if len(failing) > SHOWN:
        questions = sum(len(variant.records) for variant in failing[SHOWN:])
        parts.append(Text(f"\n{questions:,} more questions fail: the report and the result files have them all."))
    parts += _listed(records, "known defect")
    parts += _listed(records, "undocumented divergence")
    parts += [
        Text(f"stale: the expectation {stale} matches no question; delete it", "bold yellow")
        for result in results
        for stale in (result.footer.stale if result.footer else [])
    ]
    parts += [
        Text(f"idle: {idle}, but no answer shows it; delete it from the declaration", "bold yellow")
        for result in results
        for idle in (result.footer.idle if result.footer else [])
    ]
    return Group(*parts)


def _counts(results: Sequence[ResultFile]) -> Text:
    """Return the verdict counts on one line, worst first."""
    counts = count_verdicts(results)
    if not counts:
        return Text("no question was answered")
    parts = [Text(f"{SYMBOLS[verdict]} {count:,} {verdict}", STYLES.get(verdict, "dim")) for verdict, count in counts.items()]
    return Text("   ").join(parts)


def _failure(variant: Variant) -> Text:
    """Return a failing question, with the modes and dtypes that answer alike: what was got, the case, the command."""
    record = variant.records[0]
    text = Text().append(f"\n{record.verdict} ", STYLES[record.verdict])
    text.append(f"{record.clause} {variant.where} {record.api}:")
    finding = record.finding
    if finding is None:
        return text.append(f" no finding was recorded; worst {format_error(record.worst)} x bound")
    text.append(
        f" got {finding.quantity} {finding.got}, expected {finding.expected}, {format_error(finding.error_ulp)} ulp, "
        f"{format_error(finding.error_over_bound)} x bound"
    )
    text.append(f"\n  clause: {finding.statement}")
    text.append(f"\n  case {finding.case}: prediction {finding.prediction}, target {finding.target} {finding.options}".rstrip())
    return text.append(f"\n  ask again: {finding.command}")


def _listed(records: Iterable[Record], verdict: Verdict) -> list[Text]:
    """Return what expectations list under a verdict, counted by reason, the most frequent first."""
    reasons = Counter(record.reason or "without a reason" for record in records if record.verdict == verdict)
    return [Text(f"{verdict}, {count:,} x: {reason}", STYLES[verdict]) for reason, count in reasons.most_common()]
