"""One request and its answer: the body comes in, and the answer goes out, within bounds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..errors import BadRequest, BodyTooLarge, TooSlow
from ..holding import Holding
from ..protocol.http_response import Chunks, Headers
from .alarm import Alarm
from .limits import Limits

__all__ = ["Answer", "ClientGone", "Exchange", "Receive", "Scope", "Send"]

Scope: TypeAlias = "MutableMapping[str, Any]"
Receive: TypeAlias = "Callable[[], Awaitable[MutableMapping[str, Any]]]"
Send: TypeAlias = "Callable[[MutableMapping[str, Any]], Awaitable[None]]"

# Chunks are joined up to here: one copy of a small body costs less than another message.
_JOIN_BYTES = 64 << 10

# Bodies of more are not joined in the event loop.
_ALLOT_BYTES = 1 << 20

# A refused request's rest: so little is let in and dropped, and the connection serves on.
_DROP_BYTES = 1 << 20

# A connection that is closed while its client still sends is reset, and the answer may be lost with it. So the client
# gets the answer first, and so much time and data to take notice.
_LINGER_S = 1.0
_LINGER_BYTES = 16 << 20

_CLOSE = (b"connection", b"close")


class ClientGone(Exception):
    """The connection is closed; an answer would reach no client."""


class Answer(NamedTuple):
    """What is sent back; Content-Length is not yet among the headers."""

    status: int
    headers: Headers
    chunks: Chunks


class Exchange:
    """One request, from its headers on.

    Attributes:
        headers: by lower-case name; of several of one name, the last.
        received: `time.monotonic()` when its headers were there.
        unread: True until the whole body has been read.
    """

    __slots__ = ("_held", "_holding", "_send", "headers", "receive", "received", "scope", "unread")

    def __init__(self, scope: Scope, receive: Receive, send: Send, holding: Holding | None = None) -> None:
        self.scope = scope
        self.receive = receive
        self._send = send
        self.headers: Mapping[bytes, bytes] = dict(scope["headers"])
        self.received = time.monotonic()
        self.unread = True
        self._holding = holding
        self._held = 0

    def hold(self, count: int) -> None:
        """`count` bytes more are in memory for this request.

        Raises:
            Overloaded: all requests together hold as much as they may.
        """
        if self._holding is not None:
            self._holding.take(count)
            self._held += count

    def release(self) -> None:
        """Nothing of the body is needed any more."""
        if self._holding is not None:
            self._holding.give(self._held)
            self._held = 0

    async def body(self, limits: Limits) -> bytes | memoryview:
        """The whole body.

        Raises:
            BodyTooLarge: it has, or announces, more bytes than `limits` allow.
            TooSlow: it was not there in time.
            Overloaded: with it, all requests would hold more than they may.
            ClientGone: its client closed the connection.
        """
        announced = self._check_announced(limits)
        with Alarm(limits.body_timeout_s, _too_slow(limits)):
            if announced > _ALLOT_BYTES:
                return await self._allotted(announced)
            parts: list[bytes] = []
            size = 0
            while self.unread:
                part = await self._part()
                size += len(part)
                if size > limits.max_body_bytes:
                    raise _too_large(limits)
                self.hold(len(part))
                parts.append(part)
        if size > _ALLOT_BYTES:
            return await asyncio.to_thread(_joined, parts, size)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _allotted(self, size: int) -> memoryview:
        """A body of so many bytes, each part copied to its place as it comes.

        To join 60 MB at the end takes 100 ms, most of it for pages of memory that are new, and nothing else runs
        meanwhile.
        """
        body = np.empty(size, np.uint8)
        at = 0
        while self.unread:
            part = await self._part()
            self.hold(len(part))
            body[at : at + len(part)] = np.frombuffer(part, np.uint8)
            at += len(part)
        return body.data.toreadonly()

    async def parts(self, limits: Limits) -> AsyncIterator[bytes]:
        """The body as it comes in; raises as `body` does."""
        self._check_announced(limits)
        size = 0
        ends = time.monotonic() + limits.body_timeout_s
        while self.unread:
            # An alarm for each part: what is done with the parts in between may be suspended, and is not to be ended.
            with Alarm(max(0.0, ends - time.monotonic()), _too_slow(limits)):
                part = await self._part()
            size += len(part)
            if size > limits.max_body_bytes:
                raise _too_large(limits)
            self.hold(len(part))
            yield part

    async def answer(self, status: int, headers: Headers, chunks: Chunks) -> None:
        """Sends the answer. A body that is not read by now is refused with it."""
        size = sum(map(len, chunks))
        headers.append((b"content-length", b"%d" % size))
        closing = self.unread and not self._rest_is_short(status)
        if closing and _CLOSE not in headers:
            headers.append(_CLOSE)
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        if size <= _JOIN_BYTES:
            chunks = [chunks[0] if len(chunks) == 1 else b"".join(chunks)]
        for chunk in chunks[:-1]:
            await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
        large = size > _JOIN_BYTES  # its end waits for the client to have taken it, so that it counts for as long
        await self._send({"type": "http.response.body", "body": chunks[-1], "more_body": closing or large})
        if closing:
            await self._linger()
        if closing or large:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _part(self) -> bytes:
        message = await self.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        self.unread = message.get("more_body", False)
        part: bytes = message.get("body", b"")
        return part

    def _announced(self) -> int | None:
        value = self.headers.get(b"content-length")
        if value is None:
            return None
        if not value.isdigit() or len(value) > 19:  # the server's parser has seen to it
            raise BadRequest("Content-Length is no number")
        return int(value)

    def _check_announced(self, limits: Limits) -> int:
        """The bytes that are announced; 0: none are, or it is not said how many."""
        announced = self._announced() or 0
        if announced > limits.max_body_bytes:
            raise _too_large(limits)
        return announced

    def _rest_is_short(self, status: int) -> bool:
        if b"transfer-encoding" in self.headers or b"expect" in self.headers or status == TooSlow.status:
            return False
        value = self.headers.get(b"content-length", b"0")
        return value.isdigit() and len(value) < 10 and int(value) <= _DROP_BYTES

    async def _linger(self) -> None:
        left = _LINGER_BYTES
        try:
            with Alarm(_LINGER_S, ClientGone()):
                while self.unread and left > 0:
                    left -= len(await self._part())
        except ClientGone:
            pass


def _joined(parts: list[bytes], size: int) -> memoryview:
    """The parts as one. NumPy copies without the GIL, which `join` keeps."""
    body = np.empty(size, np.uint8)
    at = 0
    for part in parts:
        body[at : at + len(part)] = np.frombuffer(part, np.uint8)
        at += len(part)
    return body.data.toreadonly()


def _too_large(limits: Limits) -> BodyTooLarge:
    return BodyTooLarge(f"the body has more than the {limits.max_body_bytes} bytes that are taken")


def _too_slow(limits: Limits) -> TooSlow:
    return TooSlow(f"the body was not complete after {limits.body_timeout_s:g} seconds")
