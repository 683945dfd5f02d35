"""Reads that block, side by side in threads, none of which is waited for longer than it may take."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import math
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeAlias

from .retry import Retries

__all__ = ["Outcome", "ReaderThreads", "no_answer"]

Outcome: TypeAlias = bytes | Exception
MOST_HUNG: Final = 128  # threads whose storage does not answer; then no more are started

_hung: set[threading.Thread] = set()


def no_answer(timeout_s: float) -> TimeoutError:
    """What became of a read that took too long."""
    return TimeoutError(f"no answer in {timeout_s:g} s")


class _Attempt(NamedTuple):
    """A read that is due (`time_s`: when) or under way (`time_s`: until when)."""

    time_s: float
    read: int
    number: int


class ReaderThreads:
    """Runs reads, at most `concurrency` at once.

    A thread is started for each attempt: it costs a hundredth of what a remote read takes, and one that hangs takes
    nothing from the next ones. They are daemons, so that those do not keep the interpreter from ending.
    """

    def __init__(
        self, reads: Sequence[Callable[[], bytes]], concurrency: int, timeout_s: float, retries: Retries
    ) -> None:
        self._reads = reads
        self._concurrency = concurrency
        self._timeout_s = timeout_s
        self._retries = retries
        self._outcomes: dict[int, Outcome] = {}
        self._due = [_Attempt(0.0, read, 0) for read in range(len(reads))]  # a heap
        self._running: dict[int, tuple[_Attempt, threading.Thread]] = {}
        self._tickets = itertools.count()
        self._finished: queue.SimpleQueue[tuple[int, Outcome]] = queue.SimpleQueue()

    def run(self) -> list[Outcome]:
        """What each read gave, or why it did not."""
        while self._due or self._running:
            self._start()
            with contextlib.suppress(queue.Empty):
                ticket, outcome = self._finished.get(timeout=self._wait_s())
                if ticket in self._running:  # else it was given up
                    self._settle(ticket, outcome)
            now = time.monotonic()
            for ticket in [ticket for ticket, (attempt, _) in self._running.items() if attempt.time_s <= now]:
                _hung.add(self._running[ticket][1])
                self._settle(ticket, no_answer(self._timeout_s))
        return [self._outcomes[read] for read in range(len(self._reads))]

    def _start(self) -> None:
        now = time.monotonic()
        _hung.difference_update([thread for thread in _hung if not thread.is_alive()])
        while self._due and self._due[0].time_s <= now and len(self._running) < self._concurrency:
            attempt = heapq.heappop(self._due)
            if len(_hung) >= MOST_HUNG:
                self._outcomes[attempt.read] = TimeoutError(f"not tried: {len(_hung)} other reads got no answer")
                continue
            ticket = next(self._tickets)
            thread = threading.Thread(
                target=self._attempt, args=(ticket, attempt.read), name="fastpre.data read", daemon=True
            )
            self._running[ticket] = attempt._replace(time_s=now + self._timeout_s), thread
            thread.start()

    def _attempt(self, ticket: int, read: int) -> None:
        try:
            outcome: Outcome = self._reads[read]()
        except Exception as error:
            outcome = error
        self._finished.put((ticket, outcome))

    def _wait_s(self) -> float:
        """Until something is to be done although no read has finished."""
        until = min((attempt.time_s for attempt, _ in self._running.values()), default=math.inf)
        if self._due and len(self._running) < self._concurrency:
            until = min(until, self._due[0].time_s)
        return max(0.0, until - time.monotonic()) if until < math.inf else 0.0

    def _settle(self, ticket: int, outcome: Outcome) -> None:
        attempt, _ = self._running.pop(ticket)
        pause_s = self._retries.pause_s(attempt.number, outcome) if isinstance(outcome, Exception) else None
        if pause_s is None:
            self._outcomes[attempt.read] = outcome
        else:
            heapq.heappush(self._due, _Attempt(time.monotonic() + pause_s, attempt.read, attempt.number + 1))
