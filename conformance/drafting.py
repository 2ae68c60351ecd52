"""Drafts of expectation entries, for what a run found that is not listed."""

from collections.abc import Iterable
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import tomlkit

from reports.record import Record

UNLISTED = ("defect", "crash", "changed")


def around(typical: Iterable[float]) -> list[float]:
    """Return between which numbers typical errors lie, half and twice as large rounded outwards to a digit.

    Half and twice: what is wrong by accident of rounding is so by another amount on another processor.
    """
    found = [*typical]
    return [_one_digit(min(found) / 2, ROUND_FLOOR), _one_digit(max(found) * 2, ROUND_CEILING)]


def _one_digit(number: float, rounding: str) -> float:
    exact = Decimal(number)
    return float(exact.quantize(Decimal(1).scaleb(exact.adjusted()), rounding)) if exact.is_finite() else number


def draft(records: Iterable[Record]) -> str:
    """Return TOML entries for the unlisted findings, one for each API and behaviour: what is got, and in which regimes.

    ``reason`` and ``upstream`` are left empty for a person to write; the suite refuses an entry without them. One who knows
    what the API computes instead puts the choice, form or composition in place of ``got`` and ``regimes``.
    """
    asked = [record for record in records if record.verdict in UNLISTED and record.kinds]
    modes = {record.mode for record in asked}
    groups: dict[tuple, list[Record]] = {}
    for record in asked:
        behaviour = record.loss, record.api, tuple(record.kinds), tuple(record.regimes)
        groups.setdefault((*behaviour, record.dtype, record.mode), []).append(record)
    entries = tomlkit.aot()
    for (loss, api, kinds, regimes, dtype, mode), found in groups.items():
        entry = tomlkit.table()
        entry["loss"] = loss
        entry["api"] = [api]
        entry["clauses"] = sorted({int(record.clause.rpartition("-")[2]) for record in found})
        entry["dtypes"] = [dtype]
        if len(modes) > 1:
            entry["modes"] = [mode]
        observed = tomlkit.inline_table()
        observed["got"] = list(kinds)
        if regimes:
            observed["regimes"] = list(regimes)
        if "inaccurate" in kinds:
            observed["error"] = around([float(record.typical) for record in found])
        entry["observed"] = observed
        entry["reason"] = ""
        entry["upstream"] = ""
        entries.append(entry)
    document = tomlkit.document()
    document["expect"] = entries
    return tomlkit.dumps(document)
