"""What a floating-point type can hold: the constants that the error bounds are made of."""

from dataclasses import dataclass

import numpy as np

from reference.losses import DTYPES


@dataclass(frozen=True)
class Precision:
    """A floating-point type as the error analysis sees it.

    ``u``: unit roundoff of the type that elementwise operations are stored in. ``v``: that of the accumulator of its sums.
    ``smallest``: the smallest normal number; results below it may be flushed to zero. ``largest``: the largest finite number.
    """

    name: str
    u: float
    v: float
    smallest: float
    largest: float

    @property
    def overflow(self) -> float:
        """The magnitude from which rounding to nearest gives an infinity: (2 - u) 2^emax."""
        return self.largest + self.u * 2.0 ** np.floor(np.log2(self.largest)) if self.name != "float64" else np.inf


def _precision(name: str) -> Precision:
    info = np.finfo(name)
    u = float(info.eps) / 2
    return Precision(name, u, u, float(info.smallest_normal), float(info.max))


PRECISIONS: dict[str, Precision] = {name: _precision(name) for name in DTYPES}
"""What each of the dtypes can hold."""
