"""gRPC by grpc.aio, with messages that were serialized before and answers that nothing parses."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import grpc
import grpc.aio

from . import messages
from . import outcome as outcomes
from .client import Ticket
from .outcome import Outcome
from .plan import Plan

__all__ = ["GrpcClient"]

Finished = Callable[[Ticket, Outcome, float], None]


class GrpcClient:
    """One channel, which is one HTTP/2 connection, as clients of a server have it."""

    def __init__(self, plan: Plan, finished: Finished) -> None:
        self._plan = plan
        self._finished = finished
        self._metadata = messages.metadata_of(plan)
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = True

    async def open(self) -> None:
        """Makes the channel; it connects with the first request."""
        self._channel = grpc.aio.insecure_channel(self._plan.authority, options=messages.CHANNEL_OPTIONS)
        self._call = self._channel.unary_unary(messages.METHOD)

    def send(self, ticket: Ticket) -> None:
        """Sends in a task of its own."""
        task = asyncio.get_running_loop().create_task(self._infer(ticket))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def tick(self, now: float) -> None:
        """Nothing: each call has its deadline, which the server is told, too."""

    async def close(self) -> None:
        """Cancels what is under way, and closes the channel."""
        self._open = False
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._channel.close()

    async def _infer(self, ticket: Ticket) -> None:
        ticket.sent = time.monotonic()
        call = self._call(ticket.request.payload, timeout=self._plan.timeout_s, metadata=self._metadata)
        trailers: dict[str, str | bytes] = {}
        try:
            await call
            status = "OK"
        except grpc.aio.AioRpcError as e:
            status = e.code().name
            trailers = dict(e.trailing_metadata() or ())
            now = time.monotonic()
        else:
            now = time.monotonic()
            trailers = dict(await call.trailing_metadata() or ())
        if self._open:
            self._finished(ticket, outcomes.of_grpc(status, trailers), now)
