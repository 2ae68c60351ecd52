"""Rows judged in a second: value and gradient of PyTorch's cross_entropy, eager, 10 classes, float32; all but the imports."""

import sys
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path(__file__).parents[1]))

from adapters.loading import load
from conformance.cases import Case, fill
from conformance.properties.special_values import value_and_gradient
from conformance.regimes import regimes_for
from conformance.trial import Trial
from reference.losses import LOSSES

ROWS, BATCHES = 4096, 50
LOSS, API = "sparse_softmax_cross_entropy_with_logits", "torch.nn.functional.cross_entropy"


def judge(trial: Trial, case: Case) -> int:
    """Fill a case, compute what is expected, run the binding once, judge value and gradient; return the violating rows."""
    return sum(int(judgement.violating.sum()) for judgement in value_and_gradient(trial, fill(case, trial.dtype)))


def main() -> None:
    """Print the rate."""
    adapter = load("pytorch")
    binding = next(b for b in adapter.bindings if (b.loss, b.api) == (LOSS, API))
    trial = Trial(binding, adapter.framework, "eager", "float32", "cpu", grade=binding.grade)
    regimes = tuple(regimes_for(LOSSES[LOSS].prediction, LOSSES[LOSS].has_classes))
    start = perf_counter()
    violating = sum(judge(trial, Case(LOSS, ROWS, 10, "rowwise", regimes, f"{number:016x}")) for number in range(BATCHES))
    seconds = perf_counter() - start
    rows = ROWS * BATCHES
    print(f"{rows / seconds:,.0f} rows/s: {rows:,} rows of 10 classes in {seconds:.2f} s, {violating} violating")


if __name__ == "__main__":
    main()
