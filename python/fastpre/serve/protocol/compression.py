"""Compressed bodies: bounded while they grow, and made when a client asks for it."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

from ..errors import BadRequest, BodyTooLarge, UnsupportedMediaType

__all__ = ["accepted", "compress", "decompress"]

# zlib's window bits: 16 more stand for gzip's header; "deflate" is zlib's own format (RFC 9110, 8.4.1.2).
_WINDOW = {"gzip": 31, "x-gzip": 31, "deflate": 15}

# The fastest level: tensors of floats shrink little, whatever is spent on them.
_LEVEL = 1


def decompress(body: bytes | memoryview, encoding: str, limit: int) -> bytes | memoryview:
    """The body without its Content-Encoding.

    Args:
        limit: bytes that it may grow to. No more than these are ever made.

    Raises:
        UnsupportedMediaType: another encoding than gzip and deflate.
        BodyTooLarge: it grows to more.
        BadRequest: it is damaged, truncated, or followed by something else.
    """
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return body
    if encoding not in _WINDOW:
        raise UnsupportedMediaType(f"Content-Encoding {encoding[:40]!r} is not taken; gzip and deflate are")
    decoder = zlib.decompressobj(_WINDOW[encoding])
    try:
        plain = decoder.decompress(body, limit + 1)
    except zlib.error:
        raise BadRequest(f"the body is no {encoding} stream, or a damaged one") from None
    if len(plain) > limit:
        raise BodyTooLarge(f"the body grows to more than {limit} bytes when it is decompressed")
    if not decoder.eof:
        raise BadRequest(f"the body's {encoding} stream is truncated")
    if decoder.unused_data:  # a second member: its cost would not be bounded by what it grows to
        raise BadRequest(f"{len(decoder.unused_data)} bytes follow the body's {encoding} stream")
    return plain


def accepted(header: str) -> str:
    """The encoding that an Accept-Encoding header asks for, "gzip" or "deflate"; empty: none of them."""
    weights: dict[str, float] = {}
    for part in header.lower().split(","):
        name, _, rest = part.partition(";")
        weight = 1.0
        key, _, value = rest.partition("=")
        if key.strip() == "q":
            try:
                weight = float(value)
            except ValueError:
                weight = 0.0
        weights[name.strip()] = weight
    best = max(("gzip", "deflate"), key=lambda name: weights.get(name, 0.0))  # gzip, where they are equal
    return best if weights.get(best, 0.0) > 0.0 else ""


def compress(chunks: Iterable[bytes | memoryview], encoding: str) -> bytes:
    """The chunks as one compressed body; `encoding` is what `accepted` gave."""
    encoder = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW[encoding])
    parts = [encoder.compress(chunk) for chunk in chunks]
    parts.append(encoder.flush())
    return b"".join(parts)
