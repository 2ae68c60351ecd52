"""An adapter of NumPy alone, which starts at once: one sound loss, and a framework that takes (value, gradient) from it."""

from collections.abc import Mapping

import numpy as np

from adapters.binding import implements
from adapters.framework import Call, Loss, Outcome, describe_error, private_copy, same_bytes


def value_and_gradient(loss, prediction, target, cotangent=None, arrays=None):
    """Return the value, the gradient with respect to the prediction, and None."""
    value, gradient = loss(prediction, target, **(arrays or {}))
    upstream = np.ones_like(value) if cotangent is None else cotangent
    return value, gradient * upstream[..., None], None


class Tiny:
    """NumPy as a framework."""

    name = "tiny"
    packages = ("numpy",)
    modes: tuple[str, ...] = ("eager",)
    own_modes: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ("float32",)
    keeps_answers = True
    sparing: tuple[str, ...] = ()
    environment: Mapping[str, str] = {}
    mode_arguments: Mapping[str, str] = {}
    value_and_gradient = staticmethod(value_and_gradient)

    def devices(self) -> Mapping[str, str]:
        """Return the only device."""
        return {"cpu": "NumPy"}

    def run(self, loss: Loss, call: Call, *, key: object, mode: str, device: str) -> Outcome:
        """Run a loss as it is."""
        prediction, target = private_copy(call.prediction), private_copy(call.target)
        try:
            with np.errstate(all="ignore"):
                value, gradient, nothing = value_and_gradient(loss, prediction, target, call.cotangent, call.arrays)
        except Exception as error:
            return Outcome(error=describe_error(error))
        intact = same_bytes(call.prediction, prediction) and same_bytes(call.target, target)
        return Outcome(value, gradient, nothing, str(value.dtype), modified=not intact)


framework = Tiny()


def log_loss(p, labels):
    """Return -log p_j and its gradient; a label out of range is an error."""
    if labels.shape != p.shape[:-1]:
        raise ValueError("there is not one label for each row")
    if (labels < 0).any():
        raise IndexError("a label is negative")
    rows = np.arange(len(p))
    gradient = np.zeros_like(p)
    gradient[rows, labels] = -1 / p[rows, labels]
    return -np.log(p[rows, labels]), gradient


@implements("sparse_categorical_cross_entropy", api="numpy.log")
def sound(p, labels):
    """Return a loss that conforms."""
    return log_loss(p, labels)
