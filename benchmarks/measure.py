"""Timing in interleaved rounds, so that a busy machine slows every competitor alike."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import os
import statistics
import time
from collections.abc import Callable, Iterator


@dataclasses.dataclass(frozen=True)
class Timing:
    """Milliseconds per image, one figure for each round.

    Attributes:
        rounds_ms: wall clock.
        cores_used: processor time of this process, all its threads, per wall clock; short of the number of
            threads means that they waited, for each other or for the machine. None where child
            processes do the work.
    """

    rounds_ms: list[float]
    cores_used: float | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.rounds_ms)

    @property
    def min(self) -> float:
        return min(self.rounds_ms)

    @property
    def max(self) -> float:
        return max(self.rounds_ms)

    @property
    def iqr(self) -> float:
        """Distance of the upper from the lower quartile; 0 for a single round."""
        if len(self.rounds_ms) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.rounds_ms, n=4, method="inclusive")
        return high - low


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))


@contextlib.contextmanager
def pinned_to_one_core() -> Iterator[int]:
    """Runs on one core, the last of those allowed (interrupts favour the first).

    Threads made inside inherit the pin; threads that already run do not get it.
    """
    allowed = os.sched_getaffinity(0)
    core = max(allowed)
    os.sched_setaffinity(0, {core})
    try:
        yield core
    finally:
        os.sched_setaffinity(0, allowed)


def interleave(passes: dict[str, Callable[[], int]], rounds: int) -> dict[str, Timing]:
    """Times every pass once a round: A B C, B C A, C A B, ...

    Each round starts one place later, so that nobody always runs behind the same neighbour.

    Args:
        passes: by name; one call processes the same images as every other and returns how many.
        rounds: how many; warming up is the caller's.
    """
    order = list(passes)
    times: dict[str, list[float]] = {key: [] for key in order}
    shares: dict[str, list[float]] = {key: [] for key in order}
    collecting = gc.isenabled()
    gc.disable()
    try:
        for r in range(rounds):
            first = r % len(order)
            for key in order[first:] + order[:first]:
                gc.collect()
                start, cpu_start = time.perf_counter(), time.process_time()
                images = passes[key]()
                seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
                times[key].append(1e3 * seconds / images)
                shares[key].append(cpu_seconds / seconds)
    finally:
        if collecting:
            gc.enable()
    return {key: Timing(times[key], statistics.median(shares[key])) for key in order}
