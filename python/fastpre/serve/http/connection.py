"""uvicorn's HTTP connection with bounds that it lacks: for headers, for what follows a refusal, for slow readers."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

__all__ = ["Connection"]


class Connection(HttpToolsProtocol):
    """For `uvicorn.Config(http=Connection)`.

    What comes in before the first request, or between two, is the start of headers, or the rest of a body that was
    refused: both are bounded here. Bodies are bounded by the application.

    Attributes:
        header_timeout_s: from a connection's start, or a request's first byte, to the end of its headers.
        max_header_bytes: of one request, with its first line.
        max_dropped_bytes: of the rest of a body that was refused.
        read_ahead: requests that may wait for their turn while more is read.
        max_pipelined: requests that may wait for it; with more of them the connection ends.
        drain_timeout_s: in which a client takes 64 KB of an answer, or what is left of it.
    """

    header_timeout_s: ClassVar[float] = 10.0
    max_header_bytes: ClassVar[int] = 64 << 10
    max_dropped_bytes: ClassVar[int] = 2 << 20
    read_ahead: ClassVar[int] = 16
    max_pipelined: ClassVar[int] = 1024
    drain_timeout_s: ClassVar[float] = 30.0

    _waiting: asyncio.TimerHandle | None = None
    _draining: asyncio.TimerHandle | None = None
    _pending_bytes = 0
    _answered: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins to wait for the first headers."""
        super().connection_made(transport)
        self._waiting = self.loop.call_later(self.header_timeout_s, self._give_up)

    def on_headers_complete(self) -> None:
        """Begins a request. One that comes before the last was answered waits, and does not end the reading at once.

        uvicorn stops reading then, and would not see that the client has gone.
        """
        if len(self.pipeline) >= self.max_pipelined:
            self.transport.abort()
            raise ConnectionAbortedError("too many requests at a time")  # for the parser, which stops
        super().on_headers_complete()
        if 0 < len(self.pipeline) <= self.read_ahead:
            self.flow.resume_reading()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    def send_400_response(self, msg: str) -> None:
        """Refuses what is no HTTP, unless the connection is closed already."""
        if not self.transport.is_closing():
            super().send_400_response(msg)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends all waiting."""
        cycle = self._answered  # uvicorn tells the newest request, and with pipelining that is another one
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
        self.pipeline.clear()
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

    def pause_writing(self) -> None:
        """The client takes an answer more slowly than it is made: from now on it is watched."""
        super().pause_writing()
        self._watch_draining()

    def timeout_keep_alive_handler(self) -> None:
        """Closes an idle connection, once the client has taken what is unsent."""
        super().timeout_keep_alive_handler()
        self._watch_draining()

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        self._pending_bytes = 0

    def _give_up(self) -> None:
        self._stop_waiting()
        if not self.transport.is_closing():
            self.transport.close()
            self._watch_draining()

    def _watch_draining(self) -> None:
        unsent = self.transport.get_write_buffer_size()
        if unsent and self._draining is None:
            self._draining = self.loop.call_later(self.drain_timeout_s, self._check_draining, unsent)

    def _check_draining(self, before: int) -> None:
        self._draining = None
        if self.transport.get_write_buffer_size() > max(0, before - (64 << 10)):
            # Without this the system would go on to offer the client what it holds itself, for many minutes.
            self.transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
            self.transport.abort()
        else:
            self._watch_draining()
