"""Move the results of earlier runs to results/previous, so that the next report holds nothing stale."""

import shutil
from pathlib import Path

RESULTS = Path(__file__).parents[1] / "results"
PREVIOUS = RESULTS / "previous"


def main() -> None:
    """Replace ``results/previous`` by everything else in ``results``, where there is anything."""
    old = [path for path in RESULTS.glob("*") if path != PREVIOUS]
    if old:
        shutil.rmtree(PREVIOUS, ignore_errors=True)
        PREVIOUS.mkdir()
        for path in old:
            path.rename(PREVIOUS / path.name)


if __name__ == "__main__":
    main()
