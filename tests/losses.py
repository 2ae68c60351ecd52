"""The losses of a prediction alone; one that has parameters beside it has tests of its own."""

from reference.losses import LOSSES

ALONE = {name: loss for name, loss in LOSSES.items() if not loss.parameters}
