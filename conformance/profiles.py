"""Profiles: how much a run asks, from a look to a night."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Profile:
    """How much to draw.

    ``shapes`` are the shape buckets (rows, classes), small first: frameworks that compile do so once for each.
    ``draws`` is the number of cases that Hypothesis draws for each loss and shape; each is put to every binding.
    ``smooth_rows`` is the size of the batches on which bias is measured.
    """

    name: str
    shapes: tuple[tuple[int, int], ...]
    draws: int
    smooth_rows: int


_SMALL = ((7, 3), (64, 2), (64, 10), (33, 33))

PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile("quick", _SMALL, 1, 1024),
        Profile("default", (*_SMALL, (600, 10), (16, 1000), (5, 2051), (2, 65536)), 2, 2048),
        Profile(
            "thorough",
            (*_SMALL, (600, 10), (16, 1000), (5, 2051), (130, 257), (4096, 10), (64, 4096), (2, 65536), (2, 131072)),
            40,
            65536,
        ),
    )
}
"""The profiles, by name."""
