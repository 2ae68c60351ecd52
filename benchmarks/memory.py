"""Peak memory of a run over that of the framework alone: imported, and each of its bindings called once.

Name an adapter: `python benchmarks/memory.py pytorch`.
"""

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

ALONE = """
import sys
import numpy as np
from adapters.framework import Call
from adapters.loading import load
from reference.losses import LOSSES

adapter = load(sys.argv[1])
PREDICTIONS = {"log-probability": -2.3}
TARGETS = {"log-probability": -2.3, "sign": 1.0}
for binding in adapter.bindings:
    loss = LOSSES[binding.loss]
    prediction = np.full((64, 10), PREDICTIONS.get(loss.prediction, 0.1), np.float32)
    target = np.full((64, 10), TARGETS.get(loss.target, 0.1), np.float32)
    if loss.target == "index":
        target = np.zeros(64, np.int64)
    numbers = {"reduction": binding.least_reduced} if "reduction" in binding.options else {}
    parameters = {"linear_weight": np.eye(10, dtype=np.float32)} if loss.parameters else {}
    outcome = adapter.framework.run(
        lambda x, t, **given: binding.function(x, t, **numbers, **given),
        Call(prediction, target, binding.least_reduced, numbers=numbers, parameters=parameters),
        key=(binding.loss, binding.api),
        mode=binding.mode or (binding.modes or adapter.framework.modes)[0],
        device="cpu",
    )
    if outcome.error:
        sys.exit(f"{binding.loss}, {binding.api}: {outcome.error}")
"""


def peak(command: list[str]) -> float:
    """Return the peak resident memory of a command in MiB; commands must be measured in growing order."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{done.stdout}{done.stderr}\nexit code {done.returncode}: nothing was measured")
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def main() -> None:
    """Print both figures for the adapter that is named."""
    adapter = sys.argv[1]
    alone = peak([sys.executable, "-c", ALONE, adapter])
    with tempfile.TemporaryDirectory() as folder:
        results = str(Path(folder) / "results.jsonl")
        run = peak([sys.executable, "crossproof.py", "run", "--adapter", adapter, "--results", results])
    print(f"{adapter}: framework alone {alone:,.0f} MiB, run {run:,.0f} MiB, the suite adds {run - alone:,.0f} MiB")


if __name__ == "__main__":
    main()
