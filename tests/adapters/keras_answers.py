"""What the Keras adapter answers on one backend, as JSON: for a process of its own, as a process holds one backend."""

import json
import sys

import numpy as np

from adapters.binding import Binding
from adapters.framework import Call, Framework
from adapters.loading import load
from reference.losses import LOSSES

PROBABILITIES = [[0.2, 0.7, 0.1], [0.5, 0.25, 0.25], [0.1, 0.1, 0.8], [0.25, 0.5, 0.25]]
LOGITS = [[0.5, 2.0, -1.0], [0.0, 0.0, 0.0], [3.0, -4.0, 1.0], [-0.25, 0.75, 0.5]]
SOFT = [[0.1, 0.8, 0.1], [1.0, 0.0, 0.0], [0.25, 0.25, 0.5], [0.0, 0.5, 0.5]]
LABELS = [1, 0, 2, 1]


def case_of(loss: str, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Return four ordinary rows of a loss: nothing that a clip, a sum or a guard would change."""
    spec = LOSSES[loss]
    prediction = np.array(LOGITS if spec.prediction == "logit" else PROBABILITIES, dtype)
    return prediction, np.array(LABELS) if spec.target == "index" else np.array(SOFT, dtype)


def answers_of(framework: Framework, binding: Binding, dtype: str) -> dict[str, object]:
    """Return value, gradient, dtype or error of a binding, its forms, and whether its printed source does the same."""
    names: dict = {}
    exec("\n".join([*binding.imports, binding.source]), names)
    options = {"reduction": "none"} if "reduction" in binding.options else {}
    prediction, target = case_of(binding.loss, dtype)
    outcomes = [
        framework.run(
            lambda x, t, function=function: function(x, t, **options),
            Call(prediction, target),
            key=(binding.loss, binding.api, number),
            mode=binding.mode or framework.modes[0],
            device="cpu",
        )
        for number, function in enumerate((binding.function, names[binding.function.__name__]))
    ]
    value, gradient = outcomes[0].value, outcomes[0].gradient
    if value is None or (gradient is None and not binding.mode):
        return {"error": outcomes[0].error}
    twice = ((value, outcomes[1].value), (gradient, outcomes[1].gradient))
    same = all(a is b if a is None or b is None else np.array_equal(a, b) for a, b in twice)
    return {
        "value": value.tolist(),
        "gradient": None if gradient is None else gradient.tolist(),
        "mode": binding.mode,
        "dtype": outcomes[0].dtype,
        "same": same,
        "forms": [binding.grade.value, binding.grade.gradient],
    }


def main(name: str) -> None:
    """Print the answers of all bindings but stand-ins, and what the framework says of itself."""
    adapter = load(name)
    framework = adapter.framework
    print(
        json.dumps(
            {
                "name": framework.name,
                "packages": framework.packages,
                "environment": framework.environment,
                "devices": list(framework.devices()),
                "answers": {
                    f"{binding.loss}/{binding.api}/{dtype}": answers_of(framework, binding, dtype)
                    for binding in adapter.bindings
                    if not binding.stand_in
                    for dtype in ("float32", "float64")
                },
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1])
