"""A finding says what happened in numbers that are exact, and its script prints them without the suite."""

import ast
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from adapters.binding import implements
from adapters.loading import Adapter, load
from adapters.pytorch import framework
from conformance.engine import Examination, answer, questions
from conformance.expectations import Expectations
from conformance.findings import _literal, show
from conformance.profiles import PROFILES
from reports.record import Finding, number


@implements("sparse_softmax_cross_entropy_with_logits", api="clipped probability", options=("reduction",))
def clipped(logits, labels, *, reduction):
    p = torch.softmax(logits, -1).clamp(1e-7, 1 - 1e-7)
    value = -torch.log(p.gather(-1, labels[:, None]))[:, 0]
    return value if reduction == "none" else getattr(value, reduction)()


ASKED = [
    ("own", "SPARSE-1/clipped probability/eager/float32"),
    ("own", "SPARSE-2/clipped probability/eager/float64"),
    ("own", "SPARSE-29/clipped probability/eager/float32"),
    ("pytorch", "SPARSE-5/torch.nn.functional.cross_entropy/eager/float32"),
    ("pytorch", "SPARSE-5/torch.nn.functional.cross_entropy/eager/float64"),
    ("pytorch", "SIGMOID-11/torch.nn.functional.binary_cross_entropy_with_logits/eager/float32"),
    ("pytorch", "SOFTMAX-8/torch.nn.functional.cross_entropy/eager/float32"),
    ("pytorch", "BINARY-13/torch.nn.functional.binary_cross_entropy/eager/float32"),
    ("pytorch", "SPARSE-9/torch.nn.functional.nll_loss over log(softmax(x))/eager/float32"),
    ("pytorch", "SOFTMAX-3/log(softmax(x))/eager/float32"),
    ("pytorch", "SPARSE-27/torch.nn.functional.nll_loss over log(softmax(x))/eager/float64"),
    ("pytorch", "SPARSE-CATEGORICAL-5/torch.nn.functional.nll_loss over log/eager/float64"),
]


def find(adapter: Adapter, question: str) -> Finding | None:
    (asked,) = questions(adapter, question=question)
    return answer(Examination(adapter, "cpu", PROFILES["quick"], Expectations((), {})), asked).record.finding


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Finding, str]]:
    """The findings of `ASKED`, and what their scripts print in a process that sees nothing of this checkout."""
    folder = tmp_path_factory.mktemp("scripts")
    adapters = {"own": Adapter("own", "own.py", framework, (clipped,)), "pytorch": load("pytorch")}
    findings = [found for name, question in ASKED if (found := find(adapters[name], question)) is not None]
    mark = "=" * 20
    for place, finding in enumerate(findings):
        (folder / f"{place}.py").write_text(finding.reproducer)
    runner = (
        "import runpy\n"
        f"for place in range({len(findings)}):\n    runpy.run_path(f'{folder}/{{place}}.py')\n    print({mark!r})\n"
        "import sys\nassert not {'adapters', 'reference', 'conformance', 'reports'} & set(sys.modules)\n"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.run(
        [sys.executable, "-I", "-c", runner], capture_output=True, text=True, timeout=120, cwd=folder, env=environment
    )
    assert process.returncode == 0, process.stderr
    return list(zip(findings, process.stdout.split(mark), strict=False))


def test_there_are_findings(printed: list[tuple[Finding, str]]) -> None:
    assert len(printed) >= len(ASKED) // 2
    assert {quantity for finding, _ in printed for quantity in [finding.quantity]} >= {"value", "gradient"}


def test_script_prints_what_the_finding_says(printed: list[tuple[Finding, str]]) -> None:
    for finding, output in printed:
        line = next(line for line in output.splitlines() if line.startswith(f"{finding.quantity} "))
        assert without_spaces(finding.got) in without_spaces(line), finding
        assert f"expected {finding.quantity}: {finding.expected}" in output
        assert without_spaces(finding.got) != without_spaces(finding.expected)


def without_spaces(text: str) -> str:
    return text.replace(" ", "")


def test_script_imports_numpy_and_the_framework_alone(printed: list[tuple[Finding, str]]) -> None:
    for finding, _ in printed:
        nodes = [node for node in ast.walk(ast.parse(finding.reproducer)) if isinstance(node, ast.Import | ast.ImportFrom)]
        names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        names |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
        assert {name.partition(".")[0] for name in names} == {"numpy", "torch"}


def test_small_losses_of_pytorch_are_found(printed: list[tuple[Finding, str]]) -> None:
    finding = next(
        finding for finding, _ in printed if "SPARSE-5/torch.nn.functional.cross_entropy/eager/float32" in finding.command
    )
    assert finding.quantity == "value" and float(finding.expected.strip("[]")) > 0 == float(finding.got.strip("[]"))


def test_script_of_another_mode_runs_in_that_mode() -> None:
    """Under jit XLA drops 0 * -inf, and nothing is wrong."""
    api = "jax.nn.log_softmax, jax.nn.one_hot"
    finding = find(load("jax"), f"SPARSE-8/{api}/eager/float32")
    assert finding is not None and finding.got == "[nan]" and find(load("jax"), f"SPARSE-8/{api}/jit/float32") is None
    under_jit = finding.reproducer.replace(", jit=lambda function: function)", ")")
    eagerly, compiled = (
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True).stdout
        for script in (finding.reproducer, under_jit)
    )
    assert "value           [nan]" in eagerly and "value           [nan]" not in compiled


def test_command_is_quoted_for_a_shell() -> None:
    finding = find(load("pytorch"), "SPARSE-9/torch.nn.functional.nll_loss over log(softmax(x))/eager/float32")
    finding = finding or find(load("pytorch"), "SPARSE-5/torch.nn.functional.nll_loss over log(softmax(x))/eager/float32")
    assert finding is not None and "--question 'SPARSE-" in finding.command


ARRAYS = [
    np.array([1.5, -0.0, np.nan, np.inf, -np.inf], np.float32),
    np.array([[0.1, 1 / 3], [5e-324, 1.7976931348623157e308]]),
    np.array([[1e-45, 0.1]], np.float32),
    np.arange(6).reshape(2, 3),
    np.zeros((2, 600), np.float32),
    np.where(np.arange(3000) == 7, 1.0, -np.inf).reshape(2, 1500),
    np.random.default_rng(3).normal(size=(7, 11)).astype(np.float32),
    np.zeros((0, 3)),
    np.zeros((0,), np.int64),
    np.array(2.5),
    np.random.default_rng(3).normal(size=(4, 6))[:, ::2],
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}{array.shape}")
def test_literal_is_exact(array: np.ndarray) -> None:
    again = eval(_literal(array), {"np": np})
    assert (again.dtype, again.shape) == (array.dtype, array.shape)
    assert np.array_equal(again, array, equal_nan=True) and (np.signbit(again) == np.signbit(array)).all()


def test_literal_of_many_numbers_is_left_to_the_command() -> None:
    text = _literal(np.random.default_rng(3).normal(size=(70, 70)))
    with pytest.raises(SystemExit, match="4900 numbers, too many for a script: ask again by the command"):
        eval(text, {"np": np})


@pytest.mark.parametrize(
    ("array", "text"),
    [(np.array([0.1], np.float32), "[0.1]"), (np.array([0.1]), "[0.1]"), (np.arange(20), "[ 0,  1,  2, ..., 17, 18, 19]")],
)
def test_numbers_are_shown_with_their_own_digits(array: np.ndarray, text: str) -> None:
    assert show(array) == text


@pytest.mark.parametrize(("x", "text"), [(1.5, 1.5), (float("nan"), "nan"), (float("inf"), "inf"), (-float("inf"), "-inf")])
def test_numbers_that_json_lacks_are_words(x: float, text: float | str) -> None:
    assert number(x) == text and type(number(np.float64(x))) is type(text)
