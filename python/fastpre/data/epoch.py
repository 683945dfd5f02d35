"""One epoch that is under way: where it is, what it took, and what was wrong."""

from __future__ import annotations

import time

from .._progress import Progress
from .decoder import Decoded
from .prefetch import END, Failed, Inline, Outcome, Prefetcher
from .report import Report
from .state import Position, State
from .stats import Clock, Stats

__all__ = ["Epoch"]


class Epoch:
    """An epoch's batches, counted as they are delivered.

    Args:
        number: of the epoch.
        base_seed: see `State`.
        position: counts the batches.
        raises: a batch with a bad image gives its first error.
        report: gets the bad images.
        clock: gets the times.
        shown: the progress line, or None.

    Attributes:
        over: it has given its last batch.
    """

    def __init__(
        self,
        number: int,
        base_seed: int,
        position: Position,
        *,
        raises: bool,
        report: Report,
        clock: Clock,
        shown: Progress | None,
    ) -> None:
        self.number = number
        self.over = False
        self._base_seed = base_seed
        self._position = position
        self._raises = raises
        self._report = report
        self._clock = clock
        self._shown = shown
        self._gave: float | None = None  # when

    def take(self, decoded: Inline | Prefetcher) -> Outcome:
        """The next batch, or why there is none.

        Args:
            decoded: where it comes from. It is the iteration's alone: an error that waits in there leads to the
                iteration, which must be dropped with its last reference though the loader keeps the epoch.
        """
        asked = time.perf_counter()
        clock = self._clock
        if self._gave is not None:
            clock.consumer_s += asked - self._gave
        outcome: Outcome = END
        try:
            outcome = decoded.take()
        finally:
            self._gave = time.perf_counter()
            clock.waiting_s += self._gave - asked
            clock.first_batch_s = clock.first_batch_s or self._gave - asked
        if outcome is END:
            self.over = True
            return END
        self._count(outcome)
        if self._shown is not None:
            stats = self.stats()
            self._shown.update(stats.images, f"waited {stats.waited:.0%}, {stats.failed:,} failed")
        if self._raises and isinstance(outcome, Decoded) and outcome.errors:
            return Failed(outcome.errors[0])
        return outcome

    def state(self) -> State:
        """Where it is.

        Raises:
            TypeError: it reads a datapipe.
        """
        return self._position.state(self.number, self._base_seed)

    def stats(self) -> Stats:
        """What it took so far."""
        return self._clock.stats(self.number)

    def close(self) -> None:
        """There are no more batches to come."""
        self._position.release()
        if self._shown is not None:
            self._shown.close(f"epoch {self.number}: {self.stats().summary()}")

    def _count(self, outcome: Decoded | Failed) -> None:
        """Counts a batch, or the error in its place: the next one is what comes after."""
        if isinstance(outcome, Failed):
            if outcome.advanced:
                self._position.deliver(None)
            return
        self._clock.add(outcome)
        self._report.add(outcome.errors, self.number)
        self._position.deliver(outcome.arrived)
