"""uvicorn's HTTP connection, with the bounds that it lacks: time and bytes for headers, and time to take an answer."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["Connection"]


class Connection(HttpToolsProtocol):
    """For `uvicorn.Config(http=Connection)`.

    Whatever comes in between two requests, or before the first, is the start of headers, or the rest of a body that was
    refused. Both are bounded here; bodies are bounded by the application.

    Attributes:
        header_timeout_s: from a connection's start, or a request's first byte, to the end of its headers.
        max_header_bytes: of one request, its line included; also of the rest of a refused body (with its own bound).
        drain_timeout_s: in which a client takes what is still unsent when its connection is closed.
    """

    header_timeout_s: ClassVar[float] = 10.0
    max_header_bytes: ClassVar[int] = 64 << 10
    drain_timeout_s: ClassVar[float] = 60.0
    max_dropped_bytes: ClassVar[int] = 2 << 20

    _waiting: asyncio.TimerHandle | None = None
    _draining: asyncio.TimerHandle | None = None
    _pending_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins to wait for the first headers."""
        super().connection_made(transport)
        self._waiting = self.loop.call_later(self.header_timeout_s, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends all waiting."""
        super().connection_lost(exc)
        self._stop_waiting()
        if self._draining is not None:
            self._draining.cancel()
            self._draining = None

    def data_received(self, data: bytes) -> None:
        """Takes bytes, and counts those that belong to no request that is being answered."""
        super().data_received(data)
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            if self._waiting is not None:
                self._stop_waiting()
            return
        if self.transport.is_closing() or self.transport.get_protocol() is not self:  # or it is a WebSocket by now
            self._stop_waiting()
            return
        self._pending_bytes += len(data)
        in_headers = cycle is None or self.headers is not cycle.scope["headers"]
        if self._pending_bytes > (self.max_header_bytes if in_headers else self.max_dropped_bytes):
            self._give_up()
        elif self._waiting is None:
            self._waiting = self.loop.call_later(self.header_timeout_s, self._give_up)

    def timeout_keep_alive_handler(self) -> None:
        """Closes an idle connection; one that takes nothing of what is left to send is aborted later."""
        super().timeout_keep_alive_handler()
        self._abort_later()

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        self._pending_bytes = 0

    def _give_up(self) -> None:
        self._stop_waiting()
        if not self.transport.is_closing():
            self.transport.close()
            self._abort_later()

    def _abort_later(self) -> None:
        if self._draining is None and self.transport.get_write_buffer_size():
            self._draining = self.loop.call_later(self.drain_timeout_s, self.transport.abort)
