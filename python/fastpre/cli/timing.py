"""Fair timing: rounds interleaved, so that a busy moment of the machine slows everything that is compared alike."""

from __future__ import annotations

import dataclasses
import gc
import statistics
import time
from collections.abc import Callable, Mapping

__all__ = ["Rate", "Timing", "interleaved"]


@dataclasses.dataclass(frozen=True)
class Rate:
    """Images per second over some rounds."""

    median: float
    least: float
    most: float


@dataclasses.dataclass(frozen=True)
class Timing:
    """Milliseconds per image, one figure for each round.

    Attributes:
        rounds_ms: wall clock.
        cores_used: processor time of this process, all its threads, per wall clock, the median over rounds; short of
            the number of threads means that they waited, for each other or for the machine.
    """

    rounds_ms: list[float]
    cores_used: float | None = None

    @property
    def median(self) -> float:
        """Of the rounds."""
        return statistics.median(self.rounds_ms)

    @property
    def iqr(self) -> float:
        """Distance of the upper from the lower quartile; 0 for a single round."""
        if len(self.rounds_ms) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.rounds_ms, n=4, method="inclusive")
        return high - low

    @property
    def rate(self) -> Rate:
        """The same as images per second."""
        return Rate(1e3 / self.median, 1e3 / max(self.rounds_ms), 1e3 / min(self.rounds_ms))


def interleaved(
    passes: Mapping[str, Callable[[], int]], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, Timing]:
    """Times every pass once a round: A B C, B C A, C A B, ...

    Each round starts one place later, so that none always runs behind the same neighbour. The garbage collector runs
    between passes only.

    Args:
        passes: each handles some images and returns how many; call them once before, where the first call is special.
        rounds: passes of each.
        clock: seconds; `time.process_time` leaves out what other processes take.
    """
    names = list(passes)
    times: dict[str, list[float]] = {name: [] for name in names}
    shares: dict[str, list[float]] = {name: [] for name in names}
    collecting = gc.isenabled()
    gc.disable()
    try:
        for turn in range(rounds):
            first = turn % len(names)
            for name in names[first:] + names[:first]:
                gc.collect()
                start, cpu_start = clock(), time.process_time()
                images = passes[name]()
                seconds, cpu_seconds = clock() - start, time.process_time() - cpu_start
                times[name].append(1e3 * seconds / images)
                shares[name].append(cpu_seconds / seconds)
    finally:
        if collecting:
            gc.enable()
    return {name: Timing(times[name], statistics.median(shares[name])) for name in names}
