"""Counts in fixed buckets, as Prometheus keeps them."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence

__all__ = ["SECONDS", "Histogram"]

# 50 us to 100 s, three buckets to a factor of 10.
SECONDS = (
    *(5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2),
    *(5e-2, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0),
)


class Histogram:
    """Counts of values by their upper bounds. Not locked.

    Attributes:
        total, count: sum and number of all values.
    """

    __slots__ = ("_bounds", "_counts", "count", "total")

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        self.count = 0

    def add(self, value: float) -> None:
        """One more value."""
        self._counts[bisect.bisect_left(self._bounds, value)] += 1
        self.total += value
        self.count += 1

    def cumulative(self) -> list[tuple[str, int]]:
        """(upper bound as text, how many values are not above it), ending with "+Inf"."""
        bounds = [*(repr(bound) for bound in self._bounds), "+Inf"]
        return list(zip(bounds, itertools.accumulate(self._counts), strict=True))
