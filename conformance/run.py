"""One run: what it was asked for, its header and footer, and the file it writes."""

import os
import platform
import subprocess
import tomllib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import IO

import msgspec

from adapters.loading import Adapter
from conformance.cases import SEED
from conformance.clauses import clauses_of
from conformance.profiles import Profile
from reference.certificate import load_certificate
from reference.losses import LOSSES
from reference.semantics import CHOICE_POINTS, MATHEMATICAL
from reports.record import (
    SPECIFICATION_VERSION,
    BindingInfo,
    CertificateLine,
    ChoicePointInfo,
    ClauseInfo,
    Footer,
    Header,
    Line,
    Record,
)

ROOT = Path(__file__).resolve().parent.parent
SUITE_VERSION: str = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]


def framework_versions(adapter: Adapter) -> dict[str, str]:
    """Return the versions of the distributions that decide an adapter's results."""
    found = {}
    for package in adapter.framework.packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "unknown"
    return found


def make_header(adapter: Adapter, *, device: str, profile: Profile, selection: str, questions: int) -> Header:
    """Return the first line of a result file: everything that the report says of the run and of the specification."""
    clauses = {clause.id(b.loss): clause for b in adapter.bindings for clause in clauses_of(b)}
    return Header(
        suite_version=SUITE_VERSION,
        specification_version=SPECIFICATION_VERSION,
        commit=_commit(),
        adapter=adapter.name,
        framework=adapter.framework.name,
        versions=framework_versions(adapter),
        python=platform.python_version(),
        platform=platform.platform(),
        processor=f"{_processor()}, {os.cpu_count()} cores",
        device=f"{device} ({adapter.framework.devices()[device]})",
        profile=profile.name,
        seed=SEED,
        selection=selection,
        questions=questions,
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        losses={loss.name: loss.formula for loss in LOSSES.values()},
        clauses=[ClauseInfo(id, clause.title, clause.sentence) for id, clause in clauses.items()],
        bindings=[_binding_info(adapter, number) for number in range(len(adapter.bindings))],
        choice_points=[ChoicePointInfo(p.id, p.question, dict(p.alternatives)) for p in CHOICE_POINTS],
        certificate=[CertificateLine(**line) for line in load_certificate()],
    )


def _binding_info(adapter: Adapter, number: int) -> BindingInfo:
    binding = adapter.bindings[number]
    stated = {name: value for name, value in vars(binding.semantics).items() if value != getattr(MATHEMATICAL, name)}
    return BindingInfo(
        loss=binding.loss,
        api=binding.api,
        source=binding.source,
        options=list(binding.options),
        semantics=stated,
        value_form=binding.grade.value,
        gradient_form=binding.grade.gradient,
        documentation=binding.documentation,
        textbook=binding.textbook,
    )


def _commit() -> str:
    """Return the commit of the checkout, "unknown" outside of one."""
    try:
        asked = subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return asked.stdout.strip()


def _processor() -> str:
    """Return the processor's name: the results of a vectorised library depend on it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


@dataclass
class Writer:
    """The only writer of a result file: puts records down in the order of the questions, whatever order they come in.

    A record waits for those before it, so that two runs write the same file, and one that is killed leaves a file
    whose lines are whole.
    """

    path: Path
    order: dict[str, int]
    stream: IO[bytes] = field(init=False)
    waiting: dict[int, Record] = field(default_factory=dict)
    written: int = 0
    next: int = 0

    def open(self, header: Header) -> None:
        """Start the file anew with its header."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.stream = self.path.open("wb")
        self._line(header)

    def take(self, question: str, record: Record) -> None:
        """Write a record as soon as all before it are written."""
        self.waiting[self.order[question]] = record
        while self.next in self.waiting:
            self._line(self.waiting.pop(self.next))
            self.written += 1
            self.next += 1

    def close(self, footer: Footer | None) -> None:
        """Write the records that still wait for one that never came, and the footer if the run came to its end."""
        for number in sorted(self.waiting):
            self._line(self.waiting[number])
            self.written += 1
        if footer is not None:
            self._line(msgspec.structs.replace(footer, records=self.written))
        self.stream.close()

    def _line(self, line: Line) -> None:
        self.stream.write(msgspec.json.encode(line) + b"\n")
        self.stream.flush()
