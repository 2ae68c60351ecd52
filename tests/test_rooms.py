"""Four rooms, one direction: who may import whom."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.run import SUITE_VERSION
from crossproof import ROOT

ROOMS = {"reference", "adapters", "conformance", "reports", "tests", "crossproof", "benchmarks", "tools"}
FRAMEWORKS = {"torch", "tensorflow", "keras", "jax", "jaxlib", "optax"}
FRAMEWORK_MODULES = {
    f"adapters/{name}.py"
    for name in (
        "pytorch",
        "pytorch_options",
        "tensorflow",
        "tensorflow_options",
        "jax",
        "jax_options",
        "keras",
        "keras_grades",
        "keras_model",
        "keras_options",
    )
}

MAY_IMPORT = {
    "reference": {"reference"},
    "adapters": {"adapters", "reference.losses", "reference.options", "reference.semantics"},
    "conformance": {"conformance", "adapters", "reference", "reports.record"},
    "reports": {"reports"},
}
"""For each room, what it may import of the project."""


def imported(text: str) -> Iterator[str]:
    """Yield what a module imports, wherever in it: "reports.record.Record" for a name, "numpy" for a module."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "rooms are named in full"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules(*rooms: str) -> list[str]:
    return [str(path.relative_to(ROOT)) for room in rooms for path in sorted((ROOT / room).rglob("*.py"))]


def forbidden(module: str, text: str) -> list[str]:
    """Return what a module imports against the direction."""
    allowed = MAY_IMPORT[Path(module).parts[0]]
    return [
        name
        for name in imported(text)
        if name.partition(".")[0] in ROOMS and not any(name == other or name.startswith(f"{other}.") for other in allowed)
    ]


@pytest.mark.parametrize("module", modules(*MAY_IMPORT))
def test_imports_go_one_way(module: str) -> None:
    assert forbidden(module, (ROOT / module).read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("reference/a.py", "import adapters.binding"),
        ("reference/a.py", "from reports.record import Record"),
        ("adapters/a.py", "from reference.bounds import error_bounds"),
        ("adapters/a.py", "def f():\n    from reports import record"),
        ("adapters/a.py", "import conformance"),
        ("conformance/a.py", "from reports.results import read_results"),
        ("conformance/a.py", "from tests import command"),
        ("reports/a.py", "from conformance.clauses import CLAUSES"),
        ("reports/a.py", "import crossproof"),
    ],
)
def test_import_against_the_direction_is_found(module: str, line: str) -> None:
    assert len(forbidden(module, line)) == 1


@pytest.mark.parametrize("module", ["crossproof.py", *modules(*MAY_IMPORT)])
def test_only_adapters_import_frameworks(module: str) -> None:
    found = {name.partition(".")[0] for name in imported((ROOT / module).read_text("utf-8"))} & FRAMEWORKS
    assert not found or module in FRAMEWORK_MODULES


@pytest.mark.parametrize("module", sorted(FRAMEWORK_MODULES))
def test_adapter_imports_its_framework(module: str) -> None:
    assert {name.partition(".")[0] for name in imported((ROOT / module).read_text("utf-8"))} & FRAMEWORKS


@pytest.mark.parametrize("module", modules("reference"))
def test_reference_imports_numpy_alone(module: str) -> None:
    found = {name.partition(".")[0] for name in imported((ROOT / module).read_text("utf-8"))}
    assert found <= {"numpy", "reference", *sys.stdlib_module_names}


def test_record_imports_nothing_of_the_project() -> None:
    found = {name.partition(".")[0] for name in imported((ROOT / "reports" / "record.py").read_text("utf-8"))}
    assert not found & ROOMS and "msgspec" in found


@pytest.mark.parametrize("module", ["crossproof.py", *modules(*MAY_IMPORT)])
def test_nothing_imports_the_tests(module: str) -> None:
    assert "tests" not in {name.partition(".")[0] for name in imported((ROOT / module).read_text("utf-8"))}


@pytest.mark.parametrize("name", ["SPECIFICATION_VERSION", "number"])
def test_what_the_rooms_share_is_written_once(name: str) -> None:
    definitions = []
    for module in modules(*MAY_IMPORT):
        for node in ast.parse((ROOT / module).read_text("utf-8")).body:
            targets = node.targets if isinstance(node, ast.Assign) else [node] if isinstance(node, ast.FunctionDef) else []
            definitions += [module for target in targets if name in (getattr(target, "id", ""), getattr(target, "name", ""))]
    assert definitions == ["reports/record.py"]


def test_version_is_that_of_the_project() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"] == SUITE_VERSION
    assert f'"{SUITE_VERSION}"' not in (ROOT / "conformance" / "run.py").read_text("utf-8")
