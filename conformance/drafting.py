"""Drafts of expectation entries, for what a run found that is not listed."""

from collections.abc import Iterable

import tomlkit

from reports.record import Record

UNLISTED = ("defect", "crash", "changed")


def draft(records: Iterable[Record]) -> str:
    """Return TOML entries for the unlisted findings, one for each API and behaviour.

    ``reason`` and ``upstream`` are left empty for a person to write; the suite refuses an entry without them.
    """
    groups: dict[tuple[str, str, tuple[str, ...]], list[Record]] = {}
    for record in records:
        if record.verdict in UNLISTED and record.kinds:
            groups.setdefault((record.loss, record.api, tuple(record.kinds)), []).append(record)
    entries = tomlkit.aot()
    for (loss, api, kinds), found in groups.items():
        entry = tomlkit.table()
        entry["loss"] = loss
        entry["api"] = [api]
        entry["clauses"] = sorted({int(record.clause.rpartition("-")[2]) for record in found})
        entry["dtypes"] = sorted({record.dtype for record in found})
        observed = tomlkit.inline_table()
        observed["got"] = list(kinds)
        entry["observed"] = observed
        entry["reason"] = ""
        entry["upstream"] = ""
        entries.append(entry)
    document = tomlkit.document()
    document["expect"] = entries
    return tomlkit.dumps(document)
