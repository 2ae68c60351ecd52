"""The report: result files as one self-contained HTML page. Everything in it is escaped; it asks nothing of the network."""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from reports import merge, sections
from reports.gate import AS_EXPECTED, INCOMPLETE, gate
from reports.record import FAILING, VERDICTS, Verdict
from reports.results import ResultFile
from reports.specification import merge_specifications, number_clauses
from reports.wording import MEANINGS, OUTCOMES, SYMBOLS, format_error

TEMPLATES = Path(__file__).with_name("templates")

PAGE_SIZE = 1_980_000
"""About how many bytes the page may have; findings beyond it are counted, and are in the merged data."""


def render(results: Sequence[ResultFile], problems: Sequence[str], required: Sequence[str] = ()) -> str:
    """Return the report on some result files as HTML.

    Args:
        results: the files of `reports.results.read_results`, and ``problems`` what it found wrong.
        problems: one sentence each.
        required: names of adapters that must have a result file, as the gate has them.
    """
    causes = merge.make_causes(results)
    template = _environment().get_template("report.html.j2")
    content = _make_content(results, problems, required, causes)

    def fill(room: int) -> str:
        shown, left_out = sections.choose_findings(causes, room)
        return template.render(content, causes=shown, left_out=left_out, anchors=sections.index_anchors(shown))

    return fill(PAGE_SIZE - len(fill(0).encode()))


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
    questions = f"{sum(counts.values()):,} questions"
    stale = sum(len(result.footer.stale) for result in results if result.footer)
    news = [_count(counts[verdict], verdict) for verdict in VERDICTS if verdict in FAILING and counts[verdict]]
    if stale:
        news.append(f"{stale:,} stale expectation{'s' if stale > 1 else ''}")
    idle = sum(len(result.footer.idle) for result in results if result.footer)
    if idle:
        news.append(f"{idle:,} idle documented choice{'s' if idle > 1 else ''}")
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
