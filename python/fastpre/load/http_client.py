"""HTTP/1.1 as cheap as Python allows: httptools parses, and a request is one `write` of bytes that were made before.

aiohttp, asked to say when a request went out, takes three times as much CPU for it, and httpx thirty times
(benchmarks/load_clients.py), on cores that the server needs.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import Callable
from typing import cast

import httptools

from . import outcome as outcomes
from .client import Ticket
from .outcome import Outcome
from .plan import Plan

__all__ = ["HttpClient"]

# Longer than the least that servers close idle connections after (gunicorn: 2 s, uvicorn: 5 s) it would be a race.
LONGEST_IDLE_S = 1.5
LONGEST_ERROR = 65_536  # bytes of an error's body that are kept to find its code in

Finished = Callable[[Ticket, Outcome, float], None]


class HttpClient:
    """A pool of connections, each with one request at a time; a new one is opened when all are busy.

    Nothing is sent twice: a connection that ends before its answer is an error, and is reported as one.
    """

    def __init__(self, plan: Plan, finished: Finished) -> None:
        self._plan = plan
        self._finished = finished
        self._idle: list[Connection] = []  # the last one used is the first one taken
        self._busy: dict[Ticket, None] = {}  # in the order of sending
        self._opening: set[asyncio.Task[None]] = set()
        self._all: set[Connection] = set()
        self._open = True

    async def open(self) -> None:
        """Looks the host's name up, and keeps the first of its addresses that answers, with the connection."""
        loop = asyncio.get_running_loop()
        self._address = host, port = self._plan.address
        opening = loop.create_connection(functools.partial(Connection, self), host, port)
        with contextlib.suppress(OSError, asyncio.TimeoutError):  # what is wrong is each request's to say
            transport, connection = await asyncio.wait_for(opening, self._plan.timeout_s)
            self._address = transport.get_extra_info("peername")[0], port
            connection.idle_since = time.monotonic()
            self.keep(connection)

    def send(self, ticket: Ticket) -> None:
        """Sends on an idle connection, or opens one."""
        self._busy[ticket] = None
        if self._idle:
            self._idle.pop().send(ticket)
            return
        ticket.opened = True
        task = asyncio.get_running_loop().create_task(self._send_on_new(ticket))
        ticket.place = task
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    def tick(self, now: float) -> None:
        """Gives up requests after their timeout, and connections that have been idle for long."""
        expired = []
        for ticket in self._busy:
            if now - ticket.handled < self._plan.timeout_s:
                break
            expired.append(ticket)
        for ticket in expired:
            place = ticket.place
            if isinstance(place, Connection):
                place.abandon()
            elif isinstance(place, asyncio.Task):
                place.cancel()
            self.report(ticket, Outcome(outcomes.TIMEOUT, "timeout" if ticket.sent else "connect_timeout"), now)
        while self._idle and now - self._idle[0].idle_since > LONGEST_IDLE_S:
            self._idle.pop(0).abandon()

    async def close(self) -> None:
        """Closes all connections."""
        self._open = False
        for task in self._opening:
            task.cancel()
        for connection in list(self._all):
            connection.abandon()
        await asyncio.gather(*self._opening, return_exceptions=True)
        while self._all:
            await asyncio.sleep(0)

    def report(self, ticket: Ticket, outcome: Outcome, now: float) -> None:
        """Ends a request."""
        if ticket in self._busy:
            del self._busy[ticket]
            if self._open:
                self._finished(ticket, outcome, now)

    def keep(self, connection: Connection) -> None:
        """Takes a connection back that is ready for the next request."""
        self._idle.append(connection)

    def add(self, connection: Connection) -> None:
        """Knows a connection that has been opened."""
        self._all.add(connection)

    def retire(self, connection: Connection) -> None:
        """Sends nothing more on a connection."""
        if connection in self._idle:
            self._idle.remove(connection)

    def lose(self, connection: Connection) -> None:
        """Forgets a connection that is closed."""
        self.retire(connection)
        self._all.discard(connection)

    async def _send_on_new(self, ticket: Ticket) -> None:
        loop = asyncio.get_running_loop()
        try:
            host, port = self._address
            _, connection = await loop.create_connection(functools.partial(Connection, self), host, port)
        except OSError as e:
            word = "connection_refused" if isinstance(e, ConnectionRefusedError) else f"connect: {e.strerror or e}"
            self.report(ticket, Outcome(outcomes.CONNECTION_ERROR, word), time.monotonic())
            return
        connection.send(ticket)
        if connection.closed:  # since it was opened
            connection.fail("closed_before_answer")


class Connection(asyncio.Protocol):
    """One connection. httptools calls its `on_` methods."""

    _transport: asyncio.Transport

    def __init__(self, client: HttpClient) -> None:
        self._client = client
        self._ticket: Ticket | None = None
        self._timing = self._retry_after = self._error = b""
        self._done = self._sized = self._kept_alive = self._surplus = False
        self._parser = httptools.HttpResponseParser(self)
        self.idle_since = 0.0
        self.closed = False
        self._begin()

    def send(self, ticket: Ticket) -> None:
        """Sends a request."""
        self._ticket = ticket
        ticket.place = self
        ticket.sent = time.monotonic()
        self._transport.write(ticket.request.payload)

    def abandon(self) -> None:
        """Ends it at once, whatever is under way."""
        self._ticket = None
        self._transport.abort()
        self._client.retire(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are not of its classes
        self._client.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed, by either side."""
        self.closed = True
        self._client.lose(self)
        if self._ticket is None:
            return
        if exc is None and self._status and not self._sized:  # the end of the answer is the end of the connection
            self._finish()
        else:
            word = "closed_within_answer" if self._status else "closed_before_answer"
            self.fail("connection_reset" if isinstance(exc, ConnectionResetError) else word)

    def data_received(self, data: bytes) -> None:
        """A part of an answer."""
        if self._ticket is None:  # what nothing has asked for
            self.abandon()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.fail("unexpected_upgrade")
        except httptools.HttpParserError:
            self.fail("malformed_answer")
        else:
            if self._done:
                self._finish()

    def on_message_begin(self) -> None:
        """An answer begins; behind one that is complete nothing has asked for it."""
        self._surplus = self._done

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header of the answer."""
        if self._surplus:
            return
        if len(name) == 13 and name.lower() == b"server-timing":
            self._timing = value if not self._timing else self._timing + b", " + value
        elif len(name) == 11 and name.lower() == b"retry-after":
            self._retry_after = value
        elif len(name) in (14, 17) and name.lower() in (b"content-length", b"transfer-encoding"):
            self._sized = True

    def on_headers_complete(self) -> None:
        """The answer's headers have come."""
        if not self._surplus:
            self._status = self._parser.get_status_code()
            self._kept_alive = self._parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        """A part of the answer's body, of which only an error's is looked at."""
        if self._status >= 400 and not self._surplus and len(self._error) < LONGEST_ERROR:
            self._error += body

    def on_message_complete(self) -> None:
        """The answer is complete, unless it was one of those that come before (100 Continue)."""
        self._done = self._status >= 200

    def _finish(self) -> None:
        now = time.monotonic()
        ticket = self._ticket
        assert ticket is not None
        outcome = outcomes.of_http(self._status, self._error, self._retry_after, self._timing)
        self._ticket = None
        # A server may answer before it has read everything, and then mostly closes.
        if self._kept_alive and not self._surplus and self._transport.get_write_buffer_size() == 0:
            self._begin()
            self.idle_since = now
            self._client.keep(self)
        else:
            self.abandon()
        self._client.report(ticket, outcome, now)

    def fail(self, word: str) -> None:
        """Ends it with an error for the request that is under way, if there is one."""
        ticket, self._ticket = self._ticket, None
        if ticket is not None:
            self._transport.abort()
            self._client.report(ticket, Outcome(outcomes.CONNECTION_ERROR, word), time.monotonic())

    def _begin(self) -> None:
        self._status = 0
        self._done = self._sized = self._kept_alive = self._surplus = False
        self._timing = self._retry_after = self._error = b""
