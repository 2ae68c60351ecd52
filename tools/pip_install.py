"""Install packages for tox, preferring PyTorch's CPU build on Linux, where PyPI's build brings gigabytes of CUDA packages.

The CPU builds are on an index of PyTorch's own. It gets one short try; where it is out of reach, pip installs what its
own configuration offers.
"""

import subprocess
import sys
from pathlib import Path

PYTORCH = Path(__file__).parents[1] / "requirements" / "pytorch.txt"
WITH_PYTORCH = ("pytorch.txt", "keras-torch.txt")
"""The files of requirements that ask for PyTorch, one of them by way of the other."""

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
SHORT_TRY = ("--retries", "0", "--timeout", "10")


def main(arguments: list[str]) -> int:
    """Run ``pip install`` with ``arguments`` and return its exit status."""
    install = [sys.executable, "-m", "pip", "install"]
    if any(Path(argument).name in WITH_PYTORCH for argument in arguments) and sys.platform == "linux":
        cpu_build = ["--no-deps", "--index-url", CPU_INDEX, *SHORT_TRY, "--requirement", str(PYTORCH)]
        print(f"PyTorch: asking {CPU_INDEX} for the CPU build.", flush=True)
        if subprocess.run([*install, *cpu_build], stdout=subprocess.DEVNULL, check=False).returncode:
            print(f"{CPU_INDEX} has no PyTorch for this machine or is out of reach: pip takes its usual source.", flush=True)
    return subprocess.run([*install, *arguments], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
