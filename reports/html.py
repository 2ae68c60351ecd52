"""The report: result files as one self-contained HTML page. Everything in it is escaped; it asks nothing of the network."""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from reports import merge, sections
from reports.findings import BETWEEN_PARTS, Listed, choose_findings, index_anchors, list_findings, share_parts
from reports.gate import AS_EXPECTED, INCOMPLETE, disagreements, gate
from reports.packing import pack, pack_while_room
from reports.record import FAILING, VERDICTS, Verdict
from reports.results import ResultFile
from reports.specification import merge_specifications, number_clauses
from reports.wording import MEANINGS, OUTCOMES, SYMBOLS, format_error

TEMPLATES = Path(__file__).with_name("templates")

PAGE_SIZE = 1_980_000
"""About how many bytes the page may have; findings beyond it are counted, and are in the merged data."""
DIGEST_SIZE = 150_000
"""About how many bytes of it the worst findings of each reason take where the list of all of them is packed."""


def render(results: Sequence[ResultFile], problems: Sequence[str], required: Sequence[str] = ()) -> str:
    """Return the report on some result files as HTML.

    Where it would be too large its longest tables and the list of findings are packed, for the page's script to unpack.

    Args:
        results: the files of `reports.results.read_results`, and ``problems`` what it found wrong.
        problems: one sentence each.
        required: names of adapters that must have a result file, as the gate has them.
    """
    causes = merge.make_causes(results)
    every = list_findings(causes)
    content = {**_make_content(results, problems, required, causes), "found": len(every), "told": {c.verdict for c in causes}}
    environment = _environment()
    fill = partial(_fill, environment, content)
    tables = _render_tables(environment, content, every)
    findings = choose_findings(every, PAGE_SIZE - len(fill([], every, tables).encode()))
    if len(findings) == len(every):
        return fill(findings, every, tables)
    digest = choose_findings([finding for finding in every if finding.opens_cause], DIGEST_SIZE)
    room = PAGE_SIZE - len(fill(digest, every, _pack_all(tables), "").encode())
    packed, count = pack_while_room(_pieces(environment, content, every), room)
    there = every[:count]
    if count < len(every):
        tables = _render_tables(environment, content, there)
    return fill([finding for finding in digest if finding in there], there, _pack_all(tables), packed)


def _render_tables(environment: Environment, content: dict[str, object], there: Sequence[Listed]) -> dict[str, str]:
    """Return the longest tables by their names; ``there`` are the findings that links may lead to."""
    anchors = index_anchors(there)
    names = ("clause_tables", "misuse_tables")
    return {name: Markup(environment.get_template(f"{name}.html.j2").render(content, anchors=anchors)) for name in names}


def _pack_all(tables: dict[str, str]) -> dict[str, str]:
    return {name: pack(table) for name, table in tables.items()}


def _fill(
    environment: Environment,
    content: dict[str, object],
    findings: Sequence[Listed],
    there: Sequence[Listed],
    tables: dict[str, str],
    packed_findings: str | None = None,
) -> str:
    """Return the page with some findings in sight; ``there`` are those that links may lead to.

    ``packed_findings`` is the list of these; None where nothing is packed, neither the list nor the tables.
    """
    more = {"there": len(there), "anchors": index_anchors(there), "tables": tables, "packed_findings": packed_findings}
    return environment.get_template("report.html.j2").render(content, findings=findings, **more)


def _pieces(environment: Environment, content: dict[str, object], findings: Sequence[Listed]) -> Iterator[str]:
    """Yield the findings as HTML; what the reproducers have in common once."""
    finding = vars(environment.get_template("finding.html.j2").make_module(content))["finding"]
    for listed, parts in share_parts(findings):
        yield finding(listed, parts)


def _make_content(
    results: Sequence[ResultFile], problems: Sequence[str], required: Sequence[str], causes: Sequence[merge.Cause]
) -> dict[str, object]:
    """Return what the templates show, but for the findings."""
    code, reasons = gate(results, problems, required)
    by_clause = merge.worst_by_clause(results)
    matrix = sections.make_matrix(results, by_clause)
    specification = merge_specifications(results)
    return {
        "code": code,
        "reasons": reasons,
        "headline": make_headline(code, results),
        "counts": merge.count_verdicts(results),
        "columns": list(zip(merge.name_columns(results), results, strict=True)),
        "worst": sections.worst_first(causes),
        "matrix": matrix,
        "clause_tables": sections.make_clause_tables(by_clause, [row.loss for row in matrix]),
        "semantics": sections.make_semantics(results),
        "sources": sections.make_sources(results),
        "wrong_helpers": sections.make_wrong_helpers(results),
        "saturation": sections.make_saturation(results),
        "certificates": merge.all_certificates(results),
        "specification": specification,
        "clauses": number_clauses(specification.clauses),
        "sentences": {clause.id: clause for clause in specification.clauses},
    }


def make_headline(code: int, results: Sequence[ResultFile]) -> str:
    """Return the outcome of the gate in one sentence."""
    counts = merge.count_verdicts(results)
    asked = sum(counts.values())
    questions = f"{asked:,} question{'s' if asked != 1 else ''}"
    stale = sum(len(result.footer.stale) for result in results if result.footer)
    news = [_count(counts[verdict], verdict) for verdict in VERDICTS if verdict in FAILING and counts[verdict]]
    if stale:
        news.append(f"{stale:,} stale expectation{'s' if stale > 1 else ''}")
    idle = sum(len(result.footer.idle) for result in results if result.footer)
    if idle:
        news.append(f"{idle:,} idle documented choice{'s' if idle > 1 else ''}")
    if apart := len(disagreements(results)):
        news.append(f"{apart:,} disagreement{'s' if apart > 1 else ''} between backends")
    if code == AS_EXPECTED:
        return f"As expected: no new defect, no crash and no change in {questions}."
    found = f"{', '.join(news) or 'no failure so far'} in {questions}"
    return f"{'Incomplete' if code == INCOMPLETE else 'Fails'}: {found}."


def _count(count: int, verdict: Verdict) -> str:
    """Return "1 defect", "2 crashes", "3 changed"."""
    plural = {"crash": "es", "defect": "s"}.get(verdict, "") if count > 1 else ""
    return f"{count:,} {verdict}{plural}"


def _environment() -> Environment:
    """Return the templates: everything is escaped, and an unknown name is an error."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    script = (TEMPLATES / "report.js").read_text(encoding="utf-8")
    environment.filters.update(
        digits=format_error,
        slug=lambda verdict: verdict.replace(" ", "-"),
        links=link,
        breakable=breakable,
        split_api=split_api,
    )
    environment.globals.update(
        BETWEEN_PARTS=BETWEEN_PARTS,
        SYMBOLS=SYMBOLS,
        MEANINGS=MEANINGS,
        OUTCOMES=OUTCOMES,
        VERDICTS=VERDICTS,
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    return environment


def link(text: str) -> Markup:
    """Return a text of addresses with the web addresses as links; anything else in it stays text."""
    anchor = Markup('<a href="{0}" rel="noreferrer">{1}</a>')
    words = [anchor.format(word, breakable(word)) if _is_web_address(word) else escape(word) for word in text.split()]
    return Markup(" ").join(words)


def _is_web_address(text: str) -> bool:
    """Tell whether a text is an address of the web, so that no other scheme becomes a link."""
    try:
        address = urlsplit(text)
    except ValueError:
        return False
    return address.scheme in ("http", "https") and bool(address.netloc)


def breakable(text: str) -> Markup:
    """Return a long name with places where a line may break: after a dot, an underscore, a slash or a bracket."""
    safe = str(escape(text))  # none of the marks occurs in an entity
    for mark in "._/(":
        safe = safe.replace(mark, f"{mark}<wbr>")
    return Markup(safe)


def split_api(api: str) -> tuple[str, str]:
    """Return the module of a public name and the rest: "torch.nn.functional." and "nll_loss over log"."""
    name = api.split(" ")[0].split("(")[0]
    module = name.rpartition(".")[0]
    return (f"{module}.", api[len(module) + 1 :]) if module else ("", api)
