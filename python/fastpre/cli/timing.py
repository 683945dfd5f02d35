"""Fair timing: rounds interleaved, so that a busy moment of the machine hits all contestants alike."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping

__all__ = ["Rate", "interleaved"]


@dataclasses.dataclass(frozen=True)
class Rate:
    """Images per second over some rounds."""

    median: float
    least: float
    most: float


def interleaved(calls: Mapping[str, Callable[[], object]], images: int, rounds: int) -> dict[str, Rate]:
    """Times each call once a round, starting each round with the next one.

    Args:
        calls: each handles `images` images; call them once before, where the first call is special.
        images: that one call handles.
        rounds: calls of each.
    """
    names = list(calls)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            start = time.perf_counter()
            calls[name]()
            seconds[name].append(time.perf_counter() - start)
    return {
        name: Rate(images / statistics.median(times), images / max(times), images / min(times))
        for name, times in seconds.items()
    }
