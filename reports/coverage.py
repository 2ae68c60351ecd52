"""Coverage: which options and reductions of each loss the APIs of each framework take."""

from collections.abc import Sequence

from msgspec import Struct

from reports.merge import name_columns
from reports.record import BindingInfo
from reports.results import ResultFile


class Covered(Struct, frozen=True):
    """What the bindings of one loss in one result file come to: their number, and what at least one of them takes."""

    bindings: int
    options: list[str]
    reductions: list[str]

    @property
    def words(self) -> str:
        """The options, then the reductions: "class_weight, ignore_index; reductions none, sum, mean"."""
        return f"{', '.join(self.options) or 'no option'}; reductions {', '.join(self.reductions)}"


Coverage = dict[str, dict[str, Covered]]
"""By loss and result file; a file that has no binding of a loss is left out."""


def make_coverage(results: Sequence[ResultFile]) -> Coverage:
    """Return what the bindings of each result file cover, loss by loss."""
    coverage: Coverage = {loss: {} for result in results for loss in result.header.losses}
    for name, result in zip(name_columns(results), results, strict=True):
        for loss in coverage:
            if bindings := [binding for binding in result.header.bindings if binding.loss == loss]:
                coverage[loss][name] = _covered(bindings)
    return coverage


def _covered(bindings: Sequence[BindingInfo]) -> Covered:
    taken = {name: None for binding in bindings for name in binding.options if name != "reduction"}
    reductions = {name: None for binding in bindings for name in binding.reductions}
    return Covered(len(bindings), list(taken), list(reductions))
