"""The certificate of the reference: its worst errors against interval arithmetic, as the tests last measured them."""

import json
from pathlib import Path
from typing import Any

PATH = Path(__file__).parent / "certificate.json"


def load_certificate() -> list[dict[str, Any]]:
    """Return a line for each loss, regime and quantity: rows, worst error in ulp, and its witness row.

    A gradient at soft targets, which cancels, is measured in units of ulp(g) + 2^-20 u (T p + |t|), and a divergence and its
    target gradient likewise, beside the terms that they add.
    """
    return json.loads(PATH.read_text(encoding="utf-8"))
