"""The command line as its users have it: in a process of its own, and without one where only its words matter."""

import os
import re
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner, Result

from crossproof import ROOT, main

TINY = ROOT / "tests" / "conformance" / "tiny.py"
"""The adapter file that starts at once."""


def run_command(
    *words: object, cwd: Path | None = None, code: str = "", stdout: int = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    """Run crossproof.py, or other code in its place, with one thread: the tests share the machine."""
    start = ["-c", code] if code else [str(ROOT / "crossproof.py")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    environment.pop("PYTEST_ADDOPTS", None)
    return subprocess.run(
        [sys.executable, *start, *map(str, words)],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
        cwd=cwd,
        env=environment,
    )


def invoke(*words: object) -> Result:
    """Run a command in this process: for those that end before pytest would start."""
    return CliRunner().invoke(main, [str(word) for word in words])


def write_adapter(path: Path, body: str, *, head: str = "") -> Path:
    """Write an adapter file in the NumPy of `TINY`: the lines of ``head``, its imports, then ``body``."""
    imports = (
        "import numpy as np\nfrom adapters.binding import implements\nfrom tests.conformance.tiny import framework, log_loss\n"
    )
    path.write_text(f"{head}{imports}\n{body}", encoding="utf-8")
    return path


def broken(change: str, api: str = "broken") -> str:
    """Return the text of a binding in which one line changes value or gradient."""
    name = re.sub(r"\W", "_", api)
    return (
        f'\n@implements("sparse_categorical_cross_entropy", api={api!r})\n'
        f"def {name}(p, labels):\n"
        "    value, gradient = log_loss(p, labels)\n"
        f"    {change}\n"
        "    return value, gradient\n"
    )
