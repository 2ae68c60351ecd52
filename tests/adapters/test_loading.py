"""Adapters are found by name or by path; what cannot be used is refused in one sentence that says why and what to do."""

import builtins
import sys
from pathlib import Path

import pytest

from adapters.loading import MEMBERS, REQUIREMENTS, AdapterError, load
from tests.command import TINY, broken, write_adapter


def refusal(option: object) -> str:
    with pytest.raises(AdapterError) as caught:
        load(str(option))
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_file_is_loaded_with_its_own_bindings_only(tmp_path: Path) -> None:
    path = write_adapter(tmp_path / "own.py", "from tests.conformance.tiny import sound\n" + broken("pass", "mine"))
    adapter = load(str(path))
    assert [binding.api for binding in adapter.bindings] == ["mine"]
    assert (adapter.name, adapter.option, adapter.framework.name) == ("own", str(path), "tiny")


def test_relative_path_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deep").mkdir()
    write_adapter(tmp_path / "own.py", broken("pass", "mine"))
    monkeypatch.chdir(tmp_path / "deep")
    assert load("../own.py").name == "own"


def test_file_named_like_a_package_does_not_shadow_it(tmp_path: Path) -> None:
    load(str(write_adapter(tmp_path / "numpy.py", broken("pass", "mine"))))
    assert Path(str(sys.modules["numpy"].__file__)).name == "__init__.py"
    assert "adapter_numpy" in sys.modules


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_file_named_like_an_adapter_of_the_suite_is_refused(name: str, tmp_path: Path) -> None:
    path = write_adapter(tmp_path / f"{name}.py", broken("pass", "mine"))
    assert refusal(path) == f"{path} has the name of an adapter of the suite, and its results would replace those: rename it"


@pytest.mark.parametrize("name", ["", "numpy", "pytorch2", "own.txt", "../adapters/pytorch"])
def test_unknown_name_lists_those_that_exist(name: str) -> None:
    assert refusal(name) == (
        f"there is no adapter {name!r}: use one of {', '.join(REQUIREMENTS)}, or the path of a file that ends in .py"
    )


@pytest.mark.parametrize(("name", "package"), [("pytorch", "torch"), ("tensorflow", "tensorflow"), ("jax", "optax")])
def test_missing_framework_says_what_to_install(name: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    block_import(package, ModuleNotFoundError(f"No module named {package!r}", name=package), monkeypatch)
    monkeypatch.delitem(sys.modules, f"adapters.{name}", raising=False)
    assert refusal(name) == (
        f"the adapter {name!r} needs a package that is not installed ({package}): "
        f"run `python -m pip install {REQUIREMENTS[name]}`"
    )


def test_framework_that_is_damaged_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    block_import("torch", OSError("libtorch.so: no such file\nand more"), monkeypatch)
    monkeypatch.delitem(sys.modules, "adapters.pytorch", raising=False)
    assert "the adapter 'pytorch' cannot be imported (OSError: libtorch.so: no such file)" in refusal("pytorch")


def block_import(package: str, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the import of a package fail, whether it was imported before or not."""
    real = builtins.__import__

    def blocked(name, *rest, **more):
        if name.partition(".")[0] == package:
            raise error
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", blocked)


HEAD = "from adapters.binding import implements\nfrom tests.conformance.tiny import framework\n"
DECLARED = '@implements("sparse_categorical_cross_entropy", api="x")\ndef f(p, t):\n    return 0\n'
FILES = {
    "syntax": ("x = 1\ndef f(:\n", ", line 2: SyntaxError: invalid syntax"),
    "exception": ("\n\nx = 1 / 0\n", ", line 3: ZeroDivisionError: division by zero"),
    "exception below": ("def f():\n    raise ValueError('first\\nsecond')\n\nf()\n", ", line 2: ValueError: first"),
    "exception elsewhere": ("import json\njson.loads('{')\n", ", line 2: JSONDecodeError: Expecting property name"),
    "exit": ("x = 1\nraise SystemExit(3)\n", ", line 2: SystemExit: 3"),
    "missing package": ("import nowhere_to_be_found\n", "nowhere_to_be_found'; install nowhere_to_be_found, or leave it out"),
    "null": ("x = 1\0\n", "null bytes"),
    "empty": ("", "has no `framework`: write `from adapters.pytorch import framework` (or another adapter)"),
    "no framework": ("from adapters.binding import implements\n" + DECLARED, "has no `framework`"),
    "odd framework": (
        "framework = 3\n" + DECLARED.replace("@", "from adapters.binding import implements\n@"),
        f"has no {MEMBERS[0]}",
    ),
    "no binding": (HEAD, "has no binding: put `@implements(loss, api=...)` over a function"),
    "unknown loss": (
        HEAD + DECLARED.replace("sparse_", "sparce_"),
        ", line 3: ValueError: 'sparce_categorical_cross_entropy' is not",
    ),
    "unknown option": (
        HEAD + DECLARED.replace('"x"', '"x", options=("weight",)'),
        ", line 3: ValueError: 'weight' is no option of",
    ),
    "twice": (HEAD + DECLARED + DECLARED.replace("def f", "def g"), "declares 'x' of sparse_categorical_cross_entropy twice"),
    "unknown dtype": (
        HEAD + DECLARED.replace('"x"', '"x", dtypes=("bfloat8",)'),
        "'x' names the dtype 'bfloat8': use one of float32, float64",
    ),
    "unknown mode": (
        HEAD + DECLARED.replace('"x"', '"x", modes=("eager", "warp")'),
        ": 'x' names the mode 'warp': use one of eager",
    ),
    "unknown mode of its own": (
        HEAD + DECLARED.replace('"x"', '"x", mode="warp"'),
        ": 'x' names 'warp' as the mode that it runs in by itself: leave `mode` out to have it run in eager",
    ),
    "mode of the framework as its own": (
        HEAD + DECLARED.replace('"x"', '"x", mode="eager"'),
        ": 'x' names 'eager' as the mode that it runs in by itself: leave `mode` out to have it run in eager",
    ),
    "another mode of its own": (
        "from adapters.binding import implements\nfrom tests.conformance.tiny import Tiny\n"
        "class WithModels(Tiny):\n    own_modes = ('model', 'metric')\nframework = WithModels()\n"
        + DECLARED.replace('"x"', '"x", mode="models"'),
        ": 'x' names 'models' as the mode that it runs in by itself: use one of model, metric, or leave `mode` out to",
    ),
    "api not ASCII": (HEAD + DECLARED.replace('"x"', '"µ"'), ", line 3: ValueError: 'µ' cannot be the name of an API"),
    "lambda": (
        HEAD + 'f = implements("sparse_categorical_cross_entropy", api="x")(lambda p, t: 0)\n',
        ", line 3: ValueError: <function",
    ),
    "option that the function lacks": (
        HEAD + DECLARED.replace('"x"', '"x", options=("reduction",)'),
        ", line 3: ValueError: f cannot be called (got an unexpected keyword argument 'reduction'): let it take prediction, "
        "target and the `options` by name, with a default but for reduction",
    ),
    "one argument": (
        HEAD + DECLARED.replace("p, t", "p"),
        ", line 3: ValueError: f cannot be called (too many positional arguments): let it take prediction, target and",
    ),
    "built in": (HEAD + 'f = implements("sparse_categorical_cross_entropy", api="x")(max)\n', "write a function with def"),
    "no api": (
        HEAD + DECLARED.replace(', api="x"', ""),
        "TypeError: implements() missing 1 required keyword-only argument: 'api'",
    ),
    "no alternative": (
        "from reference.semantics import Semantics\nSemantics(log_of_zero='never')\n",
        ", line 2: ValueError: log_of_zero='never' is not an alternative: use one of none,",
    ),
}


@pytest.mark.parametrize(("text", "words"), FILES.values(), ids=FILES)
def test_broken_file_names_the_line_and_why(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text(text, encoding="utf-8")
    message = refusal(path)
    assert message.startswith(str(path)) and words in message


def test_syntax_error_in_an_imported_file_names_the_line_of_the_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "helper_with_an_error.py").write_text("\n\n\n\n\n\n)\n")
    (tmp_path / "own.py").write_text("x = 1\nimport helper_with_an_error\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert refusal(tmp_path / "own.py").startswith(f"{tmp_path}/own.py, line 2: SyntaxError: unmatched ')'")


def test_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_bytes(b"x = '\xff\xfe'\n")
    assert refusal(tmp_path / "own.py").startswith(f"{tmp_path}/own.py")


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: None], ids=["folder", "missing"])
def test_path_that_is_no_file_is_refused(make, tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    make(path)
    names = ", ".join(REQUIREMENTS)
    assert refusal(path) == f"{path} is not a file: give --adapter the path of a Python file, or one of {names}"


def test_broken_file_leaves_no_module(tmp_path: Path) -> None:
    (tmp_path / "unlucky.py").write_text("1 / 0\n")
    refusal(tmp_path / "unlucky.py")
    assert "adapter_unlucky" not in sys.modules


def test_tiny_framework_has_what_a_framework_has() -> None:
    assert all(hasattr(load(str(TINY)).framework, member) for member in MEMBERS)
