"""Content-Encoding of bodies: what may take long is done in a thread, so that the event loop goes on."""

from __future__ import annotations

import asyncio

from ..protocol import compression
from ..protocol.http_response import Chunks, Headers
from .exchange import Exchange
from .limits import Limits

__all__ = ["decoded_body", "encoded"]

_THREAD_BYTES = 64 << 10

# What fits into one packet arrives no sooner for being smaller.
_WORTH_BYTES = 1400


async def decoded_body(exchange: Exchange, limits: Limits) -> bytes | memoryview:
    """The request's whole body without its Content-Encoding; raises as `Exchange.body` and `decompress` do."""
    body = await exchange.body(limits)
    header = exchange.headers.get(b"content-encoding")
    if header is None:
        return body
    # What it grows to is not known before: always in a thread.
    plain = await asyncio.to_thread(compression.decompress, body, header.decode("latin-1"), limits.max_body_bytes)
    exchange.hold(len(plain))
    return plain


async def encoded(exchange: Exchange, headers: Headers, chunks: Chunks) -> Chunks:
    """The answer's body in the encoding that the client asks for, if it is worth it; `headers` say so then."""
    header = exchange.headers.get(b"accept-encoding")
    if header is None:
        return chunks
    size = sum(map(len, chunks))
    encoding = compression.accepted(header.decode("latin-1"))
    if not encoding or size < _WORTH_BYTES:
        return chunks
    if size < _THREAD_BYTES:
        body = compression.compress(chunks, encoding)
    else:
        body = await asyncio.to_thread(compression.compress, chunks, encoding)
    if len(body) >= size:
        return chunks
    headers.append((b"content-encoding", encoding.encode()))
    return [body]
