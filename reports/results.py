"""Result files: how a line is written, and how files from anywhere are read without trusting them."""

import gc
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from reports.record import SPECIFICATION_VERSION, VERSION_PATTERN, Footer, Header, Line, Misuse, Record

PROBLEMS_NAMED = 5
"""How many unreadable lines of one file are named one by one; the others are counted."""

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Line)
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class _FirstLine(msgspec.Struct):
    """What tells a result file from a foreign one, whatever its version."""

    kind: str
    specification_version: str


_FIRST_LINE = msgspec.json.Decoder(_FirstLine)


@dataclass(frozen=True)
class ResultFile:
    """What one result file holds: all of its lines that could be read. ``footer`` is None where the run did not end."""

    path: Path
    header: Header
    records: list[Record]
    footer: Footer | None
    misuses: list[Misuse] = field(default_factory=list)


def encode(line: Line) -> bytes:
    """Return a line of a result file as JSON, without the newline that ends it."""
    return _ENCODER.encode(line)


def read_results(paths: Iterable[str | Path]) -> tuple[list[ResultFile], list[str]]:
    """Read result files; a path that is given twice is read once.

    A damaged file keeps the lines that can be read, if its header can. Nothing is raised for what a file holds.

    Returns:
        The files that have a header, in the order given, and the problems, one sentence each:
        "NAME, line N: what is wrong; what to do".
    """
    results, problems = [], []
    with _collector_paused():
        for path in {os.path.realpath(path): Path(path) for path in paths}.values():
            result, found = _read_file(path)
            results += [result] if result else []
            problems += found
    return results, problems


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Pause the garbage collector: it would walk every record read so far again and again, and finds no cycle."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _read_file(path: Path) -> tuple[ResultFile | None, list[str]]:
    """Return what one file holds, None without a header, and its problems."""
    try:
        with path.open("rb") as stream:
            first = stream.readline()
            header, problem = _read_header(first)
            if header is None:
                return None, [f"{path}, line 1: {problem}"]
            records, misuses, footer, problems = _read_lines(stream)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return None, [f"{path}: cannot be read ({_one_line(reason)}); give the path of a result file"]
    named = [f"{path}, line {line}: {text}" for line, text in [(1, problem), *problems] if text]
    return ResultFile(path, header, records, footer, misuses), named


def _read_header(line: bytes) -> tuple[Header | None, str]:
    """Return the header, and what is wrong with it, which may be nothing."""
    if not line.strip():
        return None, "the file is empty; run the suite again"
    try:
        first = _FIRST_LINE.decode(line)
    except _UNREADABLE as error:
        return None, f"not a result file of this suite ({_one_line(error)}); leave it out"
    if first.kind != "header":
        return None, f"the header is missing (a {first.kind[:20]!r} line comes first); run the suite again"
    if not re.fullmatch(VERSION_PATTERN, first.specification_version):
        named = repr(first.specification_version[:20])
        return None, f"{named} is no version of the specification, as {SPECIFICATION_VERSION!r} is; run the suite again"
    newer = ""
    if _version(first.specification_version) > _version(SPECIFICATION_VERSION):
        newer = (
            f"written for specification {first.specification_version[:20]}, newer than {SPECIFICATION_VERSION}; "
            "update this checkout"
        )
    try:
        header = _DECODER.decode(line)
    except _UNREADABLE as error:
        return None, newer or f"the header is malformed ({_one_line(error)}); run the suite again"
    return header, newer


def _read_lines(stream: Iterable[bytes]) -> tuple[list[Record], list[Misuse], Footer | None, list[tuple[int, str]]]:
    """Return the records, misuses and footer that follow a header, and the problems with the number of their line."""
    records: list[Record] = []
    misuses: list[Misuse] = []
    footer: Footer | None = None
    problems: list[tuple[int, str]] = []
    number, decode = 1, _DECODER.decode
    for number, text in enumerate(stream, 2):
        try:
            line = decode(text)
        except _UNREADABLE as error:
            problems.append((number, _describe_damage(text, error)))
            continue
        if footer is not None:
            problems.append((number, "the file goes on after its footer; keep one run in one file"))
        elif type(line) is Record:
            records.append(line)
        elif type(line) is Misuse:
            misuses.append(line)
        elif type(line) is Footer:
            footer = line
        else:
            problems.append((number, "a second header; keep one run in one file"))
    if footer is not None and footer.records != len(records):
        counted = f"the footer counts {footer.records} records and {len(records)} can be read; run the suite again"
        problems.append((number, counted))
    return records, misuses, footer, _shorten(problems)


def _describe_damage(text: bytes, error: BaseException) -> str:
    """Return what is wrong with a line that cannot be decoded."""
    if not text.endswith(b"\n") and _is_cut_short(text):
        return "the line is cut short, as when a run is killed; run the suite again"
    return f"the line is malformed ({_one_line(error)}); run the suite again"


def _is_cut_short(text: bytes) -> bool:
    """Tell whether a text is the beginning of some JSON, whatever that says."""
    try:
        msgspec.json.decode(text)
    except _UNREADABLE as error:
        # A number that ends behind its sign, point or exponent is not called truncated, but malformed where the text ends.
        return str(error).endswith(("truncated", f"(byte {len(text)})"))
    return False


def _shorten(problems: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Name the first problems and count the others."""
    left_out = len(problems) - PROBLEMS_NAMED
    if left_out <= 1:
        return problems
    line = problems[PROBLEMS_NAMED][0]
    return [*problems[:PROBLEMS_NAMED], (line, f"the first of {left_out} more problems; run the suite again")]


def printable(text: object) -> str:
    """Return a text from a file on one line, without the control characters that a terminal would obey."""
    return " ".join("".join(character if character.isprintable() else " " for character in str(text)).split())


def _one_line(error: object) -> str:
    """Return a message on one line, at most 160 characters of it."""
    return printable(error)[:160]


def _version(text: str) -> tuple[int, ...]:
    """Return "1.10" as (1, 10) and "1.0" as (1,), so that versions compare by number."""
    parts = [int(part) for part in text.split(".")]
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)
