"""The types of a result file: header, a record for each question, misuses, footer. Imports nothing of the project."""

import math
from typing import Annotated, Literal, get_args

from msgspec import Meta, Struct

SPECIFICATION_VERSION = "1"
"""The version of the specification that these types and the clauses belong to; a reader refuses a newer one."""

VERSION_PATTERN = r"^[0-9]{1,9}(\.[0-9]{1,9})*$"
"""How a version of the specification is written: "1", "1.10"."""

Number = float | Literal["nan", "inf", "-inf"]
"""JSON has no NaN and no infinities: they are written as these strings."""


def number(x: float) -> Number:
    """Return a float as a result file has it: NaN and the infinities are strings."""
    if math.isfinite(x):
        return float(x)
    return "nan" if math.isnan(x) else "inf" if x > 0 else "-inf"


Verdict = Literal[
    "conforms",
    "documented divergence",
    "undocumented divergence",
    "known defect",
    "fixed",
    "changed",
    "defect",
    "crash",
    "unsupported",
    "not run",
]

VERDICTS: tuple[Verdict, ...] = (
    "crash", "defect", "changed", "fixed", "known defect", "undocumented divergence", "documented divergence", "not run",
    "unsupported", "conforms",
)  # fmt: skip
"""Worst first."""

FAILING: frozenset[Verdict] = frozenset({"crash", "defect", "changed", "fixed"})
"""The verdicts that fail the gate: news, good or bad."""


class Signature(Struct, frozen=True):
    """What a loss takes: the kinds of its prediction and target, and its options. ``prefix`` begins the ids of its clauses."""

    prefix: str
    prediction: str
    target: str
    options: list[str]


class ClauseInfo(Struct, frozen=True):
    """One numbered sentence of the specification: "SPARSE-4"."""

    id: str
    title: str
    sentence: str


class BindingInfo(Struct, frozen=True):
    """One public API as the adapter declares it; ``semantics`` holds only what differs from the mathematics.

    ``composition``: no call of one API, but an expression of several. ``imports`` are the lines that the source needs. Of the
    options ``apart`` it takes one at a time, and those ``alone`` it is asked for by themselves. ``stand_in``: it takes every
    option of the loss, for where no call does.
    """

    loss: str
    api: str
    source: str
    options: list[str]
    semantics: dict[str, str]
    value_form: str
    gradient_form: str
    documentation: str
    textbook: bool
    composition: bool = False
    reductions: list[str] = []
    imports: list[str] = []
    apart: list[str] = []
    alone: list[str] = []
    stand_in: bool = False


class ChoicePointInfo(Struct, frozen=True):
    """One question on which frameworks legitimately differ; ``alternatives`` maps names to formulas."""

    id: str
    question: str
    alternatives: dict[str, str]


class DataKindInfo(Struct, frozen=True):
    """One kind of data that a user has, for the table of wrong helpers.

    ``loss`` is the one that is meant, ``right`` the one whose APIs take the data as they are, "" if none does. ``case`` is
    the worked case that every other API was given. ``lesson`` says what to do with the data.
    """

    name: str
    loss: str
    right: str
    case: str
    lesson: str


class CertificateLine(Struct, frozen=True):
    """The worst error of the reference in one regime against interval arithmetic, in ulp, with the row that has it."""

    loss: str
    regime: str
    quantity: Literal["value", "gradient", "target gradient", "gradient of linear_weight", "gradient of linear_bias"]
    rows: int
    worst_ulp: float
    witness: str


class Specification(Struct, frozen=True):
    """What was specified: ``losses`` maps each loss to its formula, ``options`` and ``reductions`` each name to its meaning."""

    losses: dict[str, str]
    clauses: list[ClauseInfo]
    choice_points: list[ChoicePointInfo]
    signatures: dict[str, Signature] = {}
    options: dict[str, str] = {}
    reductions: dict[str, str] = {}


class Header(Specification, frozen=True, kw_only=True, tag="header", tag_field="kind"):
    """The first line of a result file: what was run, where, and what the specification was."""

    suite_version: str
    specification_version: Annotated[str, Meta(pattern=VERSION_PATTERN)]
    commit: str
    adapter: str
    framework: str
    versions: dict[str, str]
    python: str
    platform: str
    processor: str
    device: str
    profile: str
    seed: int
    selection: str
    questions: Annotated[int, Meta(ge=0)]
    started: str
    bindings: list[BindingInfo]
    certificate: list[CertificateLine]
    data_kinds: list[DataKindInfo]


class Finding(Struct, frozen=True):
    """Why a question does not conform, on the smallest case that shows it.

    ``options`` are those of the call. ``got`` and ``expected`` are what the framework and the reference say of the
    ``quantity`` on that case. ``error_over_bound`` is the error in units of the derived bound, ``error_ulp`` in units in the
    last place.
    """

    case: str
    regime: str
    statement: str
    quantity: str
    prediction: str
    target: str
    options: str
    got: str
    expected: str
    error_ulp: Number
    error_over_bound: Number
    command: str
    reproducer: str


class Answers(Struct, frozen=True):
    """What calls answered on fixed batches, value then gradient, number by number, and the bounds of their errors.

    A bound is infinite where nothing that is known describes the number.
    """

    got: list[Number]
    bounds: list[Number]


class Record(Struct, frozen=True, tag="record", tag_field="kind"):
    """The answer to one question: binding x mode x dtype x clause.

    ``rows`` is the number of prediction/target pairs judged, ``worst`` the largest error over bound of them all. ``regimes``
    counts the violating rows in each regime, ``kinds`` names what they hold instead (nan, inf, zero, error, inaccurate,
    other), and ``typical`` is the relative error of those that are inaccurate, in the geometric mean. ``reason`` and
    ``upstream`` come from the choice point or the expectation that explains the verdict, and ``choices`` are the alternatives
    that do, by choice point: those that the binding does not document are what expectations observe. ``saturates`` says where
    a loss stops following the mathematics. ``answers`` are kept for the clause on which backends are compared.
    """

    loss: str
    api: str
    mode: str
    dtype: str
    clause: str
    verdict: Verdict
    rows: Annotated[int, Meta(ge=0)]
    worst: Number = 0.0
    regimes: dict[str, int] = {}
    kinds: list[str] = []
    typical: Number = 0.0
    reason: str = ""
    upstream: str = ""
    choices: dict[str, str] = {}
    saturates: str = ""
    finding: Finding | None = None
    answers: Answers | None = None


MisuseOutcome = Literal["silently wrong", "wrong shape", "wrong with a warning", "crash", "raises", "harmless"]

MISUSE_OUTCOMES: tuple[MisuseOutcome, ...] = get_args(MisuseOutcome)
"""Worst first."""


class Misuse(Struct, frozen=True, tag="misuse", tag_field="kind", omit_defaults=True):
    """What an API of one loss does with ``data`` that are not its own; no question, and without a verdict.

    ``got`` and ``expected`` are the first two losses of the case that `DataKindInfo` has, or the mean of what gives nothing
    else, or their shapes where these cannot be compared. ``factor`` is the mean of all that was got over the mean of what
    was expected, None where nothing was got. ``message`` is the exception or the warning.
    """

    data: str
    loss: str
    api: str
    outcome: MisuseOutcome
    got: str = ""
    expected: str = ""
    factor: Number | None = None
    message: str = ""


class Footer(Struct, frozen=True, tag="footer", tag_field="kind"):
    """The last line of a result file, missing where the process of the run was killed.

    ``complete`` tells whether each question to the adapter has its record: it is false after an interruption, and where a
    part was asked. ``stale`` lists the expectations that matched no question of a whole run, ``idle`` the documented choices
    of a binding that none of its answers showed. Seconds are those of all workers: importing the framework, in its own calls,
    in its compilers, in the suite itself; and by the clock.
    """

    records: Annotated[int, Meta(ge=0)]
    complete: bool
    stale: list[str]
    idle: list[str]
    rows: int
    import_seconds: float
    framework_seconds: float
    compile_seconds: float
    suite_seconds: float
    wall_seconds: float


Line = Header | Record | Misuse | Footer
"""One line of a result file."""
