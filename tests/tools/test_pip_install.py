"""How tox installs: PyTorch's CPU build comes first on Linux, for every environment that has PyTorch."""

import subprocess
import sys

import pytest

from crossproof import ROOT
from tools import pip_install


def installed(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Return the commands that are run for these arguments on Linux."""
    commands: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(subprocess, "run", run)
    assert pip_install.main(arguments) == 0
    return commands


@pytest.mark.parametrize("name", ["pytorch", "keras-torch"])
def test_the_cpu_build_is_asked_for_first_wherever_there_is_pytorch(name: str, monkeypatch: pytest.MonkeyPatch):
    arguments = ["-r", "requirements/suite.txt", "-r", f"requirements/{name}.txt"]
    first, last = installed(arguments, monkeypatch)
    assert pip_install.CPU_INDEX in first and first[-1] == str(ROOT / "requirements" / "pytorch.txt")
    assert last[-4:] == arguments


def test_nothing_is_asked_of_the_index_without_pytorch(monkeypatch: pytest.MonkeyPatch):
    (only,) = installed(["-r", "requirements/jax.txt"], monkeypatch)
    assert pip_install.CPU_INDEX not in only


def test_every_requirement_that_brings_pytorch_is_known():
    files = (ROOT / "requirements").glob("*.txt")
    with_pytorch = {file.name for file in files if "torch==" in file.read_text() or "-r pytorch.txt" in file.read_text()}
    assert with_pytorch == set(pip_install.WITH_PYTORCH)
