"""One run: what it was asked for, its header and footer, and the file it writes."""

import os
import platform
import subprocess
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import IO

import msgspec

from adapters.loading import Adapter
from conformance.cases import SEED
from conformance.clauses import CLAUSES, Clause, clauses_of
from conformance.misuse import describe_kinds
from conformance.profiles import Profile
from reference.certificate import load_certificate
from reference.losses import LOSSES
from reference.options import LAYOUT_OPTIONS, OPTIONS, PARAMETERS, REDUCTIONS, options_of
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
    Misuse,
    Record,
    Signature,
    Specification,
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


def describe_specification(clauses: Mapping[str, Clause]) -> Specification:
    """Return the specification as a report shows it, with some of its clauses."""
    return Specification(
        losses={loss.name: loss.formula for loss in LOSSES.values()},
        clauses=[ClauseInfo(id, clause.title, clause.sentence) for id, clause in clauses.items()],
        choice_points=[ChoicePointInfo(p.id, p.question, dict(p.alternatives)) for p in CHOICE_POINTS],
        signatures={
            loss.name: Signature(loss.prefix, loss.prediction, loss.target, list(options_of(loss))) for loss in LOSSES.values()
        },
        options=OPTIONS | LAYOUT_OPTIONS | PARAMETERS,
        reductions=REDUCTIONS,
    )


def all_clauses() -> dict[str, Clause]:
    """Return the clauses of every loss by their ids, bound by an adapter or not."""
    return {clause.id(loss.name): clause for loss in LOSSES.values() for clause in CLAUSES if clause.concerns(loss)}


def make_header(adapter: Adapter, *, device: str, profile: Profile, selection: str, questions: int) -> Header:
    """Return the first line of a result file: everything that the report says of the run and of the specification."""
    clauses = {clause.id(b.loss): clause for b in adapter.bindings for clause in clauses_of(b, adapter.bindings)}
    return Header(
        **msgspec.structs.asdict(describe_specification(clauses)),
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
        bindings=[_binding_info(adapter, number) for number in range(len(adapter.bindings))],
        certificate=[CertificateLine(**line) for line in load_certificate()],
        data_kinds=describe_kinds(),
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
        composition=binding.is_composition,
        reductions=list(binding.reductions),
        imports=list(binding.imports),
        apart=list(binding.apart),
        alone=list(binding.alone),
        stand_in=binding.stand_in,
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
    """The only writer of a result file: puts lines down in the order of the questions, whatever order they come in.

    A line waits for those before it, so that two runs write the same file, and one that is killed leaves a file
    whose lines are whole. ``order`` has the number of each question, and of each API whose misuse is measured.
    """

    path: Path
    order: dict[str, int]
    stream: IO[bytes] = field(init=False)
    waiting: dict[int, tuple[Record | Misuse, ...]] = field(default_factory=dict)
    records: int = 0
    next: int = 0

    def open(self, header: Header) -> None:
        """Start the file anew with its header."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.stream = self.path.open("wb")
        self._lines([header])

    def take(self, question: str, *lines: Record | Misuse) -> None:
        """Write what was answered to a question as soon as all before it is written."""
        self.waiting[self.order[question]] = lines
        self.records += sum(isinstance(line, Record) for line in lines)
        while self.next in self.waiting:
            self._lines(self.waiting.pop(self.next))
            self.next += 1

    def close(self, footer: Footer) -> None:
        """Write the lines that still wait for some that never came, and the footer, with the number of records."""
        for number in sorted(self.waiting):
            self._lines(self.waiting[number])
        self._lines([msgspec.structs.replace(footer, records=self.records)])
        self.stream.close()

    def _lines(self, lines: Iterable[Line]) -> None:
        self.stream.write(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
        self.stream.flush()
