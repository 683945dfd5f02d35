"""Ends the work for a client that has gone away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from .alarm import uncancel
from .exchange import ClientGone, Receive

__all__ = ["watched"]

T = TypeVar("T")

# Quick answers pay for a timer (1 µs) and not for a task that listens (20 µs).
_WATCH_AFTER_S = 0.02


class _Watch:
    """Cancels the current task when `receive` says that the client is gone, first asked after a while."""

    __slots__ = ("_handle", "_listener", "_receive", "_task", "gone")

    def __init__(self, receive: Receive) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._receive = receive
        self._listener: asyncio.Task[None] | None = None
        self._handle = task.get_loop().call_later(_WATCH_AFTER_S, self._start)
        self.gone = False

    def _start(self) -> None:
        self._listener = self._task.get_loop().create_task(self._listen())

    async def _listen(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        self._task.cancel()

    def stop(self) -> None:
        """Ends the watching, and lets go of what refers to the watch: as a cycle it would keep the request for long."""
        self._handle.cancel()
        del self._handle
        if self._listener is not None:
            self._listener.cancel()
            self._listener = None

    def uncancel(self) -> None:
        uncancel(self._task)


async def watched(work: Awaitable[T], receive: Receive) -> T:
    """What the work gives.

    Raises:
        ClientGone: its client closed the connection; the work has been cancelled.
    """
    watch = _Watch(receive)
    try:
        return await work
    except asyncio.CancelledError:
        if not watch.gone:
            raise
        watch.uncancel()
        raise ClientGone from None
    finally:
        watch.stop()
