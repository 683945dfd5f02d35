"""How late the event loop is: a timer that measures itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from .histogram import Histogram

__all__ = ["LoopLag"]

PERIOD_S = 0.1


class LoopLag:
    """A timer every 0.1 s on the running loop; its lateness is what every request on the loop waits, too.

    Args:
        each: called each time, with the seconds that it came late, and the loop's time; on the loop, so it is quick.

    Attributes:
        histogram: seconds that the timer came late.
    """

    def __init__(self, each: Callable[[float, float], None] | None = None) -> None:
        self.histogram = Histogram()
        self._each = each
        self._handle: asyncio.TimerHandle | None = None
        self._due = 0.0

    def start(self) -> None:
        """Begins, on the running loop."""
        loop = asyncio.get_running_loop()
        self._due = loop.time() + PERIOD_S
        self._handle = loop.call_at(self._due, self._tick, loop)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        late = max(0.0, now - self._due)
        self.histogram.add(late)
        if self._each is not None:
            self._each(late, now)
        self._due = now + PERIOD_S
        self._handle = loop.call_at(self._due, self._tick, loop)

    def stop(self) -> None:
        """Ends."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
