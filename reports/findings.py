"""The findings as the page lists them: numbered worst first, with their reproducers, as many as there is room for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reports import merge

GROUP_SIZE, VARIANT_SIZE = 1_000, 750
"""About how many bytes of the page a finding group and each of its variants take beside their texts."""
REPRODUCER_SIZE = 20_000
"""How long a reproducer on the page may be: that of a row of many classes holds all of its numbers."""
BETWEEN_PARTS = "\n\n\n"
"""What is between the parts of a reproducer: its imports, the function that runs a loss, the loss, the case."""


@dataclass(frozen=True)
class Listed:
    """A finding group with the anchor that links lead to, and whether it is the first of its verdict and of its cause."""

    anchor: str
    group: merge.FindingGroup
    opens_verdict: bool
    opens_cause: bool

    @property
    def reproducer(self) -> str:
        """The reproducer of the worst variant, "" if there is none or none that the page has room for."""
        finding = self.group.worst.finding
        return finding.reproducer if finding and len(finding.reproducer) <= REPRODUCER_SIZE else ""


def list_findings(causes: Sequence[merge.Cause]) -> list[Listed]:
    """Return all findings in the order of their causes, worst first, with their anchors."""
    listed: list[Listed] = []
    for cause in causes:
        for group in cause.groups:
            opens_verdict = not listed or listed[-1].group.worst.verdict != cause.verdict
            listed.append(Listed(f"finding-{len(listed) + 1}", group, opens_verdict, group is cause.groups[0]))
    return listed


def choose_findings(findings: Sequence[Listed], room: int) -> list[Listed]:
    """Return the first findings, as many as fit on about ``room`` bytes of the page."""
    chosen: list[Listed] = []
    for finding in findings:
        room -= _estimate_size(finding)
        if room < 0:
            break
        chosen.append(finding)
    return chosen


def _estimate_size(listed: Listed) -> int:
    """Return about how many bytes a finding takes on the page."""
    size = GROUP_SIZE + len(repr(listed.reproducer)) + sum(len(regime) + 40 for regime in listed.group.regimes)
    for variant in listed.group.variants:
        finding = variant.records[0].finding
        size += VARIANT_SIZE + len(str(finding)) - (len(repr(finding.reproducer)) if finding else 0)
    return size


def index_anchors(findings: Sequence[Listed]) -> dict[tuple, str]:
    """Return the anchor of the worst finding by column, loss and API, and by column, loss, API and clause."""
    anchors: dict[tuple, str] = {}
    for listed in sorted(findings, key=lambda listed: merge.badness(listed.group.worst)):
        record = listed.group.worst
        key = listed.group.column, record.loss, record.api
        anchors.setdefault(key, listed.anchor)
        anchors.setdefault((*key, record.clause), listed.anchor)
    return anchors


@dataclass(frozen=True)
class Part:
    """A part of a reproducer: its text with the anchor of its own, or the anchor of the earlier part that has the same text."""

    text: str
    anchor: str
    same: str


def share_parts(findings: Sequence[Listed]) -> Iterator[tuple[Listed, list[Part]]]:
    """Yield each finding with the parts of its reproducer: thousands of them are made of some hundreds of parts."""
    anchors: dict[str, str] = {}
    for listed in findings:
        parts = []
        for text in listed.reproducer.split(BETWEEN_PARTS) if listed.reproducer else ():
            same = anchors.get(text, "")
            anchor = anchors.setdefault(text, f"part-{len(anchors) + 1}")
            parts.append(Part("", "", same) if same else Part(text, anchor, ""))
        yield listed, parts
