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
from reports.record import FAILING, VERDICTS, Number, Verdict
from reports.results import ResultFile

TEMPLATES = Path(__file__).with_name("templates")

SYMBOLS: dict[Verdict, str] = {
    "crash": "‼",
    "defect": "✗",
    "changed": "Δ",
    "fixed": "↑",
    "known defect": "!",
    "documented divergence": "≠",
    "not run": "○",
    "unsupported": "–",  # noqa: RUF001
    "conforms": "✓",
}
"""What stands for a verdict beside its colour."""

MEANINGS: dict[Verdict, str] = {
    "crash": "the framework died, or raised what no expectation lists",
    "defect": "breaks a clause, and nothing explains it",
    "changed": "a known defect that now behaves in another way",
    "fixed": "a known defect that no longer happens: delete its expectation",
    "known defect": "breaks a clause as an expectation lists",
    "documented divergence": "differs from the mathematics as its documentation says",
    "not run": "not asked in this run",
    "unsupported": "the API does not have it",
    "conforms": "within the derived bound",
}


def render(results: Sequence[ResultFile], problems: Sequence[str], required: Sequence[str] = ()) -> str:
    """Return the report on some result files as HTML.

    Args:
        results: the files of `reports.results.read_results`, and ``problems`` what it found wrong.
        problems: one sentence each.
        required: names of adapters that must have a result file, as the gate has them.
    """
    causes = merge.make_causes(results)
    shown, left_out = sections.choose_findings(causes)
    code, reasons = gate(results, problems, required)
    return _environment().get_template("report.html.j2").render(
        code=code,
        reasons=reasons,
        headline=make_headline(code, results),
        counts=merge.count_verdicts(results),
        columns=list(zip(merge.name_columns(results), results, strict=True)),
        worst=sections.worst_first(causes),
        matrix=sections.make_matrix(results),
        clause_tables=sections.make_clause_tables(results),
        causes=shown,
        left_out=left_out,
        anchors=sections.index_anchors(shown),
        semantics=sections.make_semantics(results),
        choice_points=list(sections.choice_points(results).values()),
        sources=sections.make_sources(results),
        saturation=sections.make_saturation(results),
        certificates=merge.all_certificates(results),
        clauses=sections.group_clauses(merge.all_clauses(results)),
        sentences={clause.id: clause for clause in merge.all_clauses(results)},
    )  # fmt: skip


def make_headline(code: int, results: Sequence[ResultFile]) -> str:
    """Return the outcome of the gate in one sentence."""
    counts = merge.count_verdicts(results)
    questions = f"{sum(counts.values()):,} questions"
    stale = sum(len(result.footer.stale) for result in results if result.footer)
    news = [_count(counts[verdict], verdict) for verdict in VERDICTS if verdict in FAILING and counts[verdict]]
    if stale:
        news.append(f"{stale:,} stale expectation{'s' if stale > 1 else ''}")
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
        over_bound=format_error,
        slug=lambda verdict: verdict.replace(" ", "-"),
        links=link,
        breakable=breakable,
        split_api=split_api,
    )
    environment.globals.update(
        SYMBOLS=SYMBOLS,
        MEANINGS=MEANINGS,
        VERDICTS=VERDICTS,
        FINDINGS=merge.SHOWN,
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    return environment


def format_error(error: Number) -> str:
    """Return an error with three digits, short: "0.93", "172", "1.73e7", "∞", "NaN"."""
    if isinstance(error, str):
        return {"nan": "NaN", "inf": "∞", "-inf": "-∞"}[error]
    if error == 0 or 0.001 <= abs(error) < 100:
        return f"{error:.3g}"
    if abs(error) < 10_000:
        return f"{error:,.0f}" if abs(error) >= 100 else f"{error:.2g}"
    mantissa, _, exponent = f"{error:.2e}".partition("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def link(text: str) -> Markup:
    """Return a text of addresses with the web addresses as links; anything else in it stays text."""
    anchor = Markup('<a href="{0}" rel="noreferrer">{1}</a>')
    words = [anchor.format(word, breakable(word)) if _is_web_address(word) else escape(word) for word in text.split()]
    return Markup(" ").join(words)


def _is_web_address(text: str) -> bool:
    """Tell whether a text is an address of the web, so that no other scheme becomes a link."""
    try:
        return urlsplit(text).scheme in ("http", "https")
    except ValueError:
        return False


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
