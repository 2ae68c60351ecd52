"""Profiles: how much a run asks, from a look to a night."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Profile:
    """How much to draw.

    ``shapes`` are the shape buckets (rows, classes), small first: frameworks that compile do so once for each. Losses beyond
    the founding table go over rows and classes as those in it do, and are asked in ``shapes_beyond`` alone.
    ``draws`` is the number of cases that Hypothesis draws for each loss and shape; each is put to every binding.
    ``shows_all`` tells whether every defect that an expectation lists shows in the cases of the profile. ``compiled`` are
    the shape buckets of the dtypes in ``sparing``, in which a framework compiles each new shape.
    """

    name: str
    shapes: tuple[tuple[int, int], ...]
    shapes_beyond: tuple[tuple[int, int], ...]
    draws: int
    compiled: tuple[tuple[int, int], ...]
    shows_all: bool = True
    sparing: tuple[str, ...] = ()

    def asks(self, dtype: str, shape: tuple[int, int]) -> bool:
        """Tell whether a shape bucket is asked in a dtype.

        More than 1,000 classes are asked in float32 alone: there their sum loses digits, and for float64 the reference is in
        double-double.
        """
        if dtype == "float64" and shape[1] > MOST_CLASSES:
            return False
        return dtype not in self.sparing or shape in self.compiled

    def in_few_shapes(self) -> "Profile":
        """Return the profile with the compiled shape buckets alone, and the long one on which bias is measured."""
        kept = {*self.compiled, LONG}
        shapes, beyond = (tuple(shape for shape in every if shape in kept) for every in (self.shapes, self.shapes_beyond))
        return replace(self, shapes=shapes, shapes_beyond=beyond)


SMALL, TEN, PAIRS, SQUARE, LONG, WIDE = (15, 3), (64, 10), (64, 2), (65, 65), (2048, 10), (16, 2051)
"""The shape buckets that tables and relations share with the draws: a framework that compiles has them compiled.

XLA unrolls a loop over 33 classes, and takes three times as long to compile it as one over 65. Options, each a program of
its own, are asked in `SMALL`: a loop over ten classes for 16 rows and more takes twice as long as one over fewer rows.
"""

SPATIAL = (12, 10)
"""Rows that are laid out in three dimensions."""

MOST_CLASSES = 1000
"""So many are asked in float64."""

_MANY = (SMALL, PAIRS, TEN, SQUARE, LONG, WIDE, (130, 257), (600, 10), (16, 1000), (64, 4096), (2, 65536), (2, 131072))

PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile("quick", (SMALL, PAIRS, TEN, SQUARE), (SMALL, TEN), 1, (SMALL, PAIRS, TEN), shows_all=False),
        Profile(
            "default", (SMALL, PAIRS, TEN, SQUARE, LONG, WIDE, (2, 65536)), (SMALL, TEN, LONG, WIDE), 2, (SMALL, PAIRS, TEN)
        ),
        Profile("thorough", _MANY, _MANY, 40, _MANY),
    )
}
"""The profiles, by name."""
