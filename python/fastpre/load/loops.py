"""The two ways to send: when requests are due, or when a client is free."""

from __future__ import annotations

import abc
import asyncio
import time
from collections.abc import Callable, Iterator

from . import outcome as outcomes
from .alarm import Alarm
from .client import Client, Ticket
from .deck import Request
from .histogram import seconds_to_unit
from .outcome import Outcome
from .plan import Plan
from .tally import Tally

__all__ = ["ClosedLoop", "Loop", "OpenLoop"]

TICK_S = 0.02  # a process that slept needs 0.1 ms of CPU to wake, look and sleep again
# A generator that is behind catches up for so long after the end; what is still not sent then never is.
GRACE_S = 1.0
MOST_AT_ONCE = 32  # requests sent before the loop turns to the answers that have come
PAUSE_S = 0.1  # of a closed-loop client whose connection failed: a server that is gone is not hammered


class Loop(abc.ABC):
    """Sends from now on, until the plan's end or `stop`.

    Args:
        plan: what to do.
        requests: what to send, without end.
        on_second: called after each second with its number, from 0 on.

    Attributes:
        tally: what became of the requests.
        outstanding: requests without an answer.
        never_sent: requests that were due in the window, and were not sent by its end.
        behind: how many of them for no other reason than that the generator was late.
        ended: moment when the last one was sent, or the window ended.
        cpu_s, cpu_over_s: CPU time of this process while it sent, after the warm-up, and the time that this was.
        launched: requests sent meanwhile.
    """

    def __init__(self, plan: Plan, requests: Iterator[Request], on_second: Callable[[int, Tally], None] | None) -> None:
        self.plan = plan
        self.outstanding = 0
        self.never_sent = self.behind = 0
        self.ended = 0.0
        self.cpu_s = self.cpu_over_s = 0.0
        self.launched = 0
        self._requests = requests
        self._on_second = on_second
        self._sending = True
        self._counted = 0
        self._cpu_from: tuple[float, float] | None = None
        self._said = 0

    @property
    def precise(self) -> bool:
        """True if moments are met within some tens of microseconds."""
        return self._ticks.precise

    def begin(self, client: Client) -> None:
        """Starts, in a running loop."""
        self._client = client
        self._event_loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._event_loop.create_future()
        self.started = time.monotonic()
        first = self.started + self.plan.warmup_s
        self.tally = Tally(first, first + (self.plan.duration_s or float("inf")))
        self._ticks = Alarm(self._event_loop, self._tick)
        self._next_tick = self.started + TICK_S
        self._ticks.set(self._next_tick)
        self._begin_sending()

    async def over(self) -> None:
        """Waits until nothing more is sent, and every answer has come or is given up."""
        try:
            await self._over
        finally:
            self._end_sending()
            self._ticks.close()

    def stop(self) -> None:
        """Ends it now; requests that are under way have no outcome."""
        self._end_sending()
        if not self._over.done():
            self._over.set_result(None)

    def fail(self, error: BaseException) -> None:
        """Ends it with an error that no request has: `over` raises it."""
        if not self._over.done():
            self._over.set_exception(error)

    def finished(self, ticket: Ticket, outcome: Outcome, now: float) -> None:
        """Takes the end of a request from the client."""
        self.outstanding -= 1
        self.tally.add(ticket, outcome, now)
        self._answered(outcome, now)
        self._end_if_done()

    @abc.abstractmethod
    def _begin_sending(self) -> None:
        """Sends what is due at once, and sees to the rest."""

    @abc.abstractmethod
    def _answered(self, outcome: Outcome, now: float) -> None:
        """A request has ended."""

    @abc.abstractmethod
    def _passed(self, now: float) -> bool:
        """True if nothing more is to be sent."""

    def _launch(self, due: float, now: float, held: bool) -> None:
        counted = due >= self.tally.begin
        self._counted += counted
        self.launched += counted
        self.outstanding += 1
        self._client.send(Ticket(next(self._requests), due, now, counted, held))

    def _enough(self) -> bool:
        """True if as many requests are sent as were asked for."""
        return self.plan.requests is not None and self._counted >= self.plan.requests

    def _tick(self) -> None:
        now = time.monotonic()
        counted = self._sending and now >= self.tally.begin
        if counted and self._cpu_from is None:
            self._cpu_from = time.process_time(), now
        while self._next_tick <= now:  # also those that a long halt left out
            if counted:
                self.tally.loop_lag.record_value(seconds_to_unit(now - self._next_tick))
            self._next_tick += TICK_S
        self._ticks.set(self._next_tick)
        self._client.tick(now)
        if self._sending and self._passed(now):
            self._end_sending()
        if self._on_second is not None and now - self.tally.begin >= self._said + 1:
            self._on_second(self._said, self.tally)
            self._said += 1
        self._end_if_done()

    def _end_sending(self) -> None:
        if self._sending:
            self._sending = False
            self.ended = time.monotonic()
            if self._cpu_from is not None:
                cpu, since = self._cpu_from
                self.cpu_s, self.cpu_over_s = time.process_time() - cpu, self.ended - since

    def _end_if_done(self) -> None:
        if not self._sending and not self.outstanding and not self._over.done():
            self._over.set_result(None)


class OpenLoop(Loop):
    """Sends each request when it is due, whatever became of those before it.

    Args:
        due: moments in seconds from the start of the warm-up.
    """

    def __init__(
        self,
        plan: Plan,
        requests: Iterator[Request],
        due: Iterator[float],
        on_second: Callable[[int, Tally], None] | None = None,
    ) -> None:
        super().__init__(plan, requests, on_second)
        self._due = due
        self._full = False
        self._free_since = 0.0

    def _begin_sending(self) -> None:
        self._alarm = Alarm(self._event_loop, self._send_due)
        self._advance()
        self._alarm.set(self._next)

    def _advance(self) -> None:
        """Goes on to the next moment; a trace that has no more is over."""
        self._next = self.started + next(self._due, float("inf"))

    def _send_due(self) -> None:
        if not self._sending:
            return
        now = time.monotonic()
        for _ in range(MOST_AT_ONCE):
            if self._next > now or self._passed(now):
                break
            if self.outstanding >= self.plan.max_outstanding:
                self._full = True  # goes on with the next answer
                return
            self._launch(self._next, now, held=self._held_back())
            self._advance()
            now = time.monotonic()
        if self._passed(now):
            self._end_sending()
            self._end_if_done()
        else:
            self._alarm.set(self._next)

    def _answered(self, outcome: Outcome, now: float) -> None:
        if self._full and self._sending:
            self._full = False
            self._free_since = now
            self._alarm.set(now)

    def _held_back(self) -> bool:
        """True if the next request waits, or has waited until just now, for others to be answered."""
        return self._full or self._next < self._free_since

    def _passed(self, now: float) -> bool:
        if self._next == float("inf") or self._enough():
            return True
        end = self.tally.end
        return now >= end and (self._next >= end or self._held_back() or now >= end + GRACE_S)

    def _end_sending(self) -> None:
        if self._sending:
            super()._end_sending()
            self._alarm.close()
            # Those of the window that had their time, but not their turn.
            end = min(self.tally.end, self.ended)
            held_back = self._held_back()
            while self._next < end and not self._enough():
                if self._next >= self.tally.begin:
                    self.never_sent += 1
                    self._counted += 1
                self._advance()
            if self.ended >= self.tally.end and not held_back:
                self.behind = self.never_sent


class ClosedLoop(Loop):
    """So many clients, each of which sends when it has the answer to its last request."""

    def _begin_sending(self) -> None:
        for _ in range(self.plan.concurrency or 1):
            self._event_loop.call_soon(self._send)

    def _send(self) -> None:
        now = time.monotonic()
        if self._sending and not self._passed(now):
            self._launch(now, now, held=False)
        elif self._sending:
            self._end_sending()
            self._end_if_done()

    def _answered(self, outcome: Outcome, now: float) -> None:
        if outcome.kind == outcomes.CONNECTION_ERROR:
            self._event_loop.call_later(PAUSE_S, self._send)
        else:
            self._event_loop.call_soon(self._send)

    def _passed(self, now: float) -> bool:
        return now >= self.tally.end or self._enough()
