"""The pytest plugin: questions become items, workers hand records to the controller, which writes them."""

import atexit
import faulthandler
import gc
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec
import pytest

from adapters.binding import Binding
from adapters.loading import Adapter, load
from conformance.engine import Examination, Question, answer, questions
from conformance.expectations import Expectations, load_expectations
from conformance.misuse import measured, misuses, unanswered
from conformance.profiles import PROFILES
from conformance.run import Writer, framework_versions, make_header
from conformance.trial import TALLY
from reference.semantics import MATHEMATICAL
from reports.record import FAILING, Footer, Misuse, Record

TIMES = ("import_seconds", "framework_seconds", "compile_seconds")

HANG, WATCH = 300, 1
"""A question that takes so many seconds hangs, and for so many seconds questions share one watch."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what `crossproof.py run` passes on."""
    group = parser.getgroup("crossproof")
    for name, default in (
        ("adapter", ""),
        ("device", "cpu"),
        ("profile", "default"),
        ("loss", ""),
        ("question", ""),
        ("results", ""),
        ("selection", ""),
    ):
        group.addoption(f"--crossproof-{name}", default=default)


def pytest_configure(config: pytest.Config) -> None:
    """Load the adapter and its expectations once in each process; the controller also writes."""
    if not config.getoption("crossproof_adapter"):
        return
    session = Session(config)
    config.pluginmanager.register(session, "crossproof-session")


def option(config: pytest.Config, name: str) -> str:
    """Return one of the suite's options."""
    return str(config.getoption(f"crossproof_{name}"))


class Session:
    """The run in this process: its questions, and in the controller its result file."""

    def __init__(self, config: pytest.Config) -> None:
        """Load what the options name."""
        self.config = config
        self.start = self.end = self.collected = perf_counter()
        self.waited = 0.0
        self.adapter: Adapter = load(option(config, "adapter"))
        self.import_seconds = perf_counter() - self.start
        self.versions = framework_versions(self.adapter)
        self.expectations: Expectations = load_expectations(self.adapter.name, self.versions)
        self.profile = replace(PROFILES[option(config, "profile")], sparing=self.adapter.framework.sparing)
        self.examination = Examination(self.adapter, option(config, "device"), self.profile, self.expectations)
        asked = questions(self.adapter, loss=option(config, "loss"), question=option(config, "question"))
        self.questions: dict[str, Question] = {question_id(question): question for question in asked}
        self.all = len(questions(self.adapter))
        self.misused = {f"{b.loss}/misuse/{b.api}": b for b in measured(self.adapter.bindings)}
        self.is_worker = hasattr(config, "workerinput")
        self.selected: list[str] = []
        self.writer: Writer | None = None
        self.met: set[int] = set()
        self.shown: set[tuple[str, str, str]] = set()
        self.failing: set[tuple[str, str]] = set()
        self.tallies: list[dict[str, Any]] = []
        self.watches = not float(config.getini("faulthandler_timeout"))
        self.watched = -float(WATCH)
        self.stderr = os.dup(2)  # before pytest captures it
        gc.freeze()  # what a framework has at its import stays: no collection need look at it again

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make an item of each question, and one of each binding whose misuse is measured."""
        if "question" in metafunc.fixturenames:
            self._parametrize(metafunc, "question", self.questions, [question.binding for question in self.questions.values()])
        if "misused" in metafunc.fixturenames:
            self._parametrize(metafunc, "misused", self.misused, list(self.misused.values()))

    def _parametrize(self, metafunc: pytest.Metafunc, name: str, items: Mapping[str, object], of: list[Binding]) -> None:
        """Make the items; those of one loss share a worker, and with it what is expected of them and compiled for them.

        But for what has a mode of its own, which is compiled by itself: it is a group of its own, so that the work is shared
        out more evenly.
        """
        groups = [pytest.mark.xdist_group(f"{binding.loss} {binding.mode}".strip()) for binding in of]
        named = zip(items.items(), groups, strict=True)
        metafunc.parametrize(name, [pytest.param(item, id=key, marks=group) for (key, item), group in named])

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note what was selected."""
        self.collected = perf_counter()
        self.selected = [key_of(item.nodeid) for item in session.items]

    def pytest_xdist_node_collection_finished(self, node: Any, ids: list[str]) -> None:
        """Note what a worker has selected: it is the same in each."""
        self.selected = [key_of(nodeid) for nodeid in ids]

    def pytest_runtest_logstart(self) -> None:
        """Open the result file when the first question is put: a run that comes to none leaves that of an earlier one."""
        if not self.is_worker and self.writer is None:
            self.writer = self._open()

    def _open(self) -> Writer:
        asked = sum(key in self.questions for key in self.selected)
        header = make_header(
            self.adapter,
            device=option(self.config, "device"),
            profile=self.profile,
            selection=option(self.config, "selection") if asked < self.all else "",
            questions=asked,
        )
        writer = Writer(Path(option(self.config, "results")), {key: n for n, key in enumerate(self.selected)})
        writer.open(header)
        return writer

    def ask(self, question: Question, item: pytest.Item) -> Record:
        """Answer a question and hand its record to the controller."""
        answered = answer(self.examination, question)
        payload = {"record": msgspec.to_builtins(answered.record), "met": list(answered.met), "shown": list(answered.shown)}
        item.user_properties.append(("crossproof", msgspec.json.encode(payload).decode()))
        return answered.record

    def misuse(self, binding: Binding, item: pytest.Item) -> None:
        """Measure what a binding does with data that is not its own, and hand it to the controller."""
        measured = misuses(binding, self.adapter, option(self.config, "device"))
        item.user_properties.append(("crossproof-misuse", msgspec.json.encode(measured).decode()))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write what came of an item that has run; a worker that died leaves a crash."""
        if self.is_worker or self.writer is None:
            return
        key = key_of(report.nodeid)
        properties = dict(report.user_properties)
        payload, measured = properties.get("crossproof"), properties.get("crossproof-misuse")
        if report.when == "call" and payload is not None:
            content = msgspec.json.decode(str(payload))
            record = msgspec.convert(content["record"], Record)
            self.met |= set(content["met"])
            self.shown |= {(record.loss, record.api, choice) for choice in content["shown"]}
            self.failing |= {(record.loss, record.api)} if record.verdict in FAILING else set()
            self.writer.take(key, record)
        elif report.failed and report.when != "teardown" and key in self.questions:
            self.writer.take(key, _crash(self.questions[key], str(report.longrepr)))
        elif report.when == "call" and measured is not None:
            self.writer.take(key, *msgspec.json.decode(str(measured), type=list[Misuse]))
        elif report.failed and report.when != "teardown" and key in self.misused:
            self.writer.take(key, *unanswered(self.misused[key], self.adapter, _last_line(str(report.longrepr))))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self) -> None:
        """Watch over the questions of the next second, and end the process if one of them hangs.

        Pytest sets a watch for each item, a thread: to end it takes as long as some questions, and longer on a busy machine.
        It still does so where `-o faulthandler_timeout` says after how many seconds.
        """
        now = perf_counter()
        self.waited = self.waited or now - self.collected  # until the other workers have collected
        if self.watches and now - self.watched >= WATCH:
            faulthandler.dump_traceback_later(HANG + WATCH, exit=True, file=self.stderr)
            self.watched = now

    def pytest_runtest_logfinish(self) -> None:
        """Remember when the last item ended: a worker then waits for the others."""
        self.end = perf_counter()

    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Take over what a worker has spent."""
        self.tallies.append(getattr(node, "workeroutput", {}).get("tally", {}))

    def pytest_unconfigure(self) -> None:
        """Let a worker that has handed everything over end at once: a compiler takes seconds to give its programs back.

        What was registered to run at the end before this is not run.
        """
        if self.is_worker:
            atexit.register(_end)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the footer, or hand the tally of a worker to the controller."""
        faulthandler.cancel_dump_traceback_later()
        tally = {**asdict(TALLY), "import_seconds": self.import_seconds, "busy": self.end - self.start - self.waited}
        if self.is_worker:
            # pytest-xdist gives the configuration of a worker this attribute.
            self.config.workeroutput["tally"] = tally  # type: ignore[attr-defined]
            return
        if self.writer is None:
            return
        tallies = self.tallies or [tally]
        complete = self.writer.records == self.all
        total = {name: sum(tally.get(name, 0) for tally in tallies) for name in ("rows", "busy", *TIMES)}
        self.footer = Footer(
            records=0,
            complete=complete,
            stale=self._stale() if complete else [],
            idle=self._idle() if complete else [],
            rows=int(total["rows"]),
            **{name: round(total[name], 3) for name in TIMES},
            suite_seconds=round(total["busy"] - sum(total[name] for name in TIMES), 3),
            wall_seconds=round(perf_counter() - self.start, 3),
        )
        self.writer.close(self.footer)

    def _stale(self) -> list[str]:
        """Return the expectations that no question of the whole run has met."""
        entries = self.expectations.entries
        return [
            f"entry {n + 1}: {', '.join(entry.api)}: {entry.reason}"
            for n, entry in enumerate(entries)
            if n not in self.met and self._in_force(entry)
        ]

    def _idle(self) -> list[str]:
        """Return the documented choices that no answer of the whole run has shown, though some question could have.

        A binding with news is left out: what it shows is known when its news is listed.
        """
        return [
            f"{binding.loss}, {binding.api}: the documentation states {name} = {value}"
            for binding in self.adapter.bindings
            for name, value in vars(binding.semantics).items()
            if value != getattr(MATHEMATICAL, name)
            and (binding.loss, binding.api, name) not in self.shown
            and (binding.loss, binding.api) not in self.failing
            and not (name == "computation_dtype" and self._dtypes_of(binding) == {"float32"})
        ]

    def _dtypes_of(self, binding: Binding) -> set[str]:
        """Return the dtypes that a binding is asked in."""
        return {question.dtype for question in self.questions.values() if question.binding is binding}

    def _in_force(self, entry: Any) -> bool:
        """Tell whether this run could have met an entry at all: its device and profile are these, its versions no others."""
        device, profile = option(self.config, "device"), self.profile.name
        elsewhere = self.expectations.knows(entry.versions) and not self.expectations.version_holds(entry.versions)
        return not elsewhere and device in (entry.devices or (device,)) and profile in (entry.profiles or (profile,))


def _end() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def question_id(question: Question) -> str:
    """Return the id of a question as pytest shows it: the loss first, so that -k finds it."""
    return f"{question.binding.loss}/{question.id}"


def key_of(nodeid: str) -> str:
    """Return the question id in a pytest node id, which may end in the name of an xdist group."""
    return nodeid.partition("[")[2].rpartition("]")[0]


def _crash(question: Question, text: str) -> Record:
    return Record(
        loss=question.binding.loss,
        api=question.binding.api,
        mode=question.mode,
        dtype=question.dtype,
        clause=question.clause.id(question.binding.loss),
        verdict="crash",
        rows=0,
        reason=f"the question could not be answered: {_last_line(text)}"[:300],
    )


def _last_line(text: str) -> str:
    return text.strip().splitlines()[-1] if text.strip() else "the process died"
