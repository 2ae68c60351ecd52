"""The certificate of the reference: its worst errors against interval arithmetic, as the tests last measured them."""

import json
from pathlib import Path
from typing import Any

PATH = Path(__file__).parent / "certificate.json"


def load_certificate() -> list[dict[str, Any]]:
    """Return a line for each loss, regime and quantity: rows, worst error in ulp, and the witness row that has it."""
    return json.loads(PATH.read_text()) if PATH.exists() else []
