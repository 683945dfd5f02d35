"""One measurement from beginning to end."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import gc
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from . import plan as plans
from .arrivals import due_times
from .client import Client, Ticket
from .deck import Deck
from .discovery import discover
from .encoding import encoder
from .histogram import log_line, percentile_table, summed
from .images import LoadImage
from .loops import ClosedLoop, Loop, OpenLoop
from .outcome import Outcome
from .plan import Plan
from .report import Report
from .summarize import summarize
from .tally import Tally
from .trace import read_trace

__all__ = ["Measurement", "run"]

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Measurement:
    """A plan that is ready to be carried out: the server has been asked for its model, and requests are encoded.

    Args:
        plan: what to do.
        images: what to send.

    Attributes:
        stopped_by: the signal that ended it early, or None.

    Raises:
        Unreachable: the server does not say what it needs to be sent.
        ValueError: the mix or the trace does not go with what there is.
        OSError: the trace cannot be read.
        ImportError: what the protocol needs is not installed.
    """

    def __init__(self, plan: Plan, images: Sequence[LoadImage]) -> None:
        self.plan = plan
        self._trace = read_trace(plan.arrivals) if plan.trace else []
        self._client = _client_class(plan)
        self.target = discover(plan)
        self._deck = Deck(plan, images, encoder(plan, self.target))
        self._loop: Loop | None = None
        self.stopped_by: int | None = None

    def carry_out(self, *, on_second: Callable[[int, Tally], None] | None = None, until_signal: bool = False) -> Report:
        """Sends, waits for the answers, and reports.

        Args:
            on_second: called in the event loop after each second, with its number from 0 on: be quick.
            until_signal: SIGINT, SIGTERM and SIGHUP end it with the report so far instead of raising.
        """
        event_loop, name = _new_event_loop()
        gc.collect()
        gc.freeze()  # images and requests are not looked through again while times are measured
        try:
            return event_loop.run_until_complete(self._carry_out(event_loop, name, on_second, until_signal))
        finally:
            gc.unfreeze()
            event_loop.run_until_complete(event_loop.shutdown_asyncgens())
            event_loop.close()

    def percentile_distribution(self) -> str:
        """Latencies of ok answers as HdrHistogram's percentile distribution (.hgrm), in milliseconds."""
        return percentile_table(summed([h for (kind, _), h in self._tally().latency.items() if kind == "ok"]))

    def histogram_log(self) -> str:
        """All histograms as a histogram log.

        Tags are `latency.KIND.SIZE`, `service.KIND.SIZE`, `send_lag` and `loop_lag`; values are microseconds.
        """
        tally = self._tally()
        found = {f"latency.{kind}.{size}": h for (kind, size), h in tally.latency.items()}
        found |= {f"service.{kind}.{size}": h for (kind, size), h in tally.service.items()}
        found |= {"send_lag": tally.send_lag, "loop_lag": tally.loop_lag}
        head = "#[Histogram log format version 1.3]\n"
        columns = '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"\n'
        length_s = tally.last_end - tally.begin
        return head + columns + "".join(log_line(tag, h, 0.0, length_s) for tag, h in found.items())

    def _tally(self) -> Tally:
        if self._loop is None:
            raise RuntimeError("nothing has been measured yet")
        return self._loop.tally

    async def _carry_out(
        self,
        event_loop: asyncio.AbstractEventLoop,
        name: str,
        on_second: Callable[[int, Tally], None] | None,
        until_signal: bool,
    ) -> Report:
        requests = iter(self._deck)
        loop: Loop
        if self.plan.open_loop:
            loop = OpenLoop(self.plan, requests, due_times(self.plan, self._trace), on_second)
        else:
            loop = ClosedLoop(self.plan, requests, on_second)
        self._loop = loop
        client = self._client(self.plan, loop.finished)
        await client.open()
        begun = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        loop.begin(client)

        # An error in a callback would otherwise be printed, and the measurement go on without what it was to do.
        event_loop.set_exception_handler(lambda _, context: loop.fail(_error(context)))

        def stop(number: int) -> None:
            self.stopped_by = number
            loop.stop()

        try:
            with _signals(event_loop, stop) if until_signal else contextlib.nullcontext():
                await loop.over()
        finally:
            await client.close()
        return summarize(
            self.plan,
            self.target,
            self._deck.images_by_class,
            loop,
            begun=begun,
            event_loop=name,
            precise=loop.precise,
            stopped=self.stopped_by is not None,
        )


def run(plan: Plan, images: Sequence[LoadImage | bytes]) -> Report:
    """Carries out a plan and reports; blocks until it is over.

    Args:
        plan: what to do.
        images: encoded images, as bytes or with names; all of them stay in memory.

    Raises:
        Unreachable: the server does not answer, has no such model, or its model takes no encoded images.
        ValueError: the plan's mix or trace does not go with what there is.
        OSError: the trace cannot be read.
    """
    named = [LoadImage(str(i), image) if isinstance(image, bytes) else image for i, image in enumerate(images)]
    return Measurement(plan, named).carry_out()


def _error(context: dict[str, Any]) -> BaseException:
    """What an event loop tells its exception handler, as an exception."""
    error = context.get("exception")
    return error if isinstance(error, BaseException) else RuntimeError(str(context.get("message")))


def _client_class(plan: Plan) -> Callable[[Plan, Callable[[Ticket, Outcome, float], None]], Client]:
    if plan.protocol == plans.V2_GRPC:
        from .grpc_client import GrpcClient

        return GrpcClient
    from .http_client import HttpClient

    return HttpClient


def _new_event_loop() -> tuple[asyncio.AbstractEventLoop, str]:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop(), "asyncio"
    return uvloop.new_event_loop(), "uvloop"


@contextlib.contextmanager
def _signals(event_loop: asyncio.AbstractEventLoop, stop: Callable[[int], None]) -> Iterator[None]:
    """Calls `stop` for signals that are not ignored; afterwards their handlers are what they were."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in STOPPING}
    watched = [number for number, handler in before.items() if handler != signal.SIG_IGN]
    for number in watched:
        event_loop.add_signal_handler(number, stop, number)
    try:
        yield
    finally:
        for number in watched:
            event_loop.remove_signal_handler(number)
            signal.signal(number, before[number])
