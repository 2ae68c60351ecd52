"""The certificate of the reference: its worst errors against interval arithmetic, as the tests last measured them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATH = Path(__file__).parent / "certificate.json"


ADMITTED = 2.0**-20 * 2.0**-53
"""What a sum may err by beside its ulp where its terms cancel: this much of each."""


@dataclass(frozen=True)
class Line:
    """The worst error of one quantity of one loss in one regime; ``rows`` prediction/target pairs were measured."""

    loss: str
    regime: str
    quantity: str
    rows: int
    worst_ulp: float
    witness: str


def load_certificate() -> list[dict[str, Any]]:
    """Return a line for each loss, regime and quantity: rows, worst error in ulp, and its witness row.

    A gradient at soft targets, which cancels, is measured in units of ulp(g) + 2^-20 u (T p + |t|), and a divergence and its
    target gradient likewise, beside the terms that they add. So are the three gradients of linear cross-entropy: at labels they
    add p - t times a number, at soft targets T p and t apart.
    """
    return json.loads(PATH.read_text(encoding="utf-8"))
