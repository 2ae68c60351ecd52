"""Peak memory of a run over that of the framework alone: imported, and each of its bindings called once."""

import resource
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

ALONE = """
import sys
import numpy as np
from adapters.framework import Call
from adapters.loading import load
adapter = load(sys.argv[1])
for binding in adapter.bindings:
    options = {"reduction": "none"} if "reduction" in binding.options else {}
    target = np.zeros(64, np.int64) if binding.loss.startswith("sparse") else np.full((64, 10), 0.1, np.float32)
    loss = lambda x, t: binding.function(x, t, **options)
    call = Call(np.full((64, 10), 0.1, np.float32), target)
    adapter.framework.run(loss, call, key=binding.api, mode=adapter.framework.modes[0], device="cpu")
"""


def peak(command: list[str]) -> float:
    """Return the peak resident memory of a command in MiB; commands must be measured in growing order."""
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def main() -> None:
    """Print both figures for the adapter that is named."""
    adapter = sys.argv[1]
    alone = peak([sys.executable, "-c", ALONE, adapter])
    run = peak([sys.executable, "crossproof.py", "run", "--adapter", adapter, "--results", "results/benchmark.jsonl"])
    print(f"{adapter}: framework alone {alone:,.0f} MiB, run {run:,.0f} MiB, the suite adds {run - alone:,.0f} MiB")


if __name__ == "__main__":
    main()
