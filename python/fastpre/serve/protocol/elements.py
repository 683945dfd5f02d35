"""Elements of BYTES tensors: each is its length, 4 bytes, little-endian, and then its bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from ..errors import BadRequest

__all__ = ["MAX_ELEMENTS", "join", "split"]

# A view of an element costs 200 bytes, its length 4: without a bound, a body would grow by 50 times in memory.
MAX_ELEMENTS = 4096

_LENGTH = struct.Struct("<I")


def split(data: memoryview, count: int, where: str) -> list[memoryview]:
    """The elements as views.

    Args:
        data: all of the tensor's bytes.
        count: elements that its shape announces.
        where: the tensor, for messages.

    Raises:
        BadRequest: `data` is not exactly `count` elements, or they are too many.
    """
    if count > MAX_ELEMENTS:
        raise BadRequest(f"{where}: {count} elements; at most {MAX_ELEMENTS} are taken")
    elements: list[memoryview] = []
    at, end = 0, len(data)
    for index in range(count):
        if end - at < 4:
            raise BadRequest(f"{where}: its shape announces {count} elements, its data ends after {index}")
        (length,) = _LENGTH.unpack_from(data, at)
        at += 4
        if length > end - at:
            raise BadRequest(f"{where}: element {index} announces {length} bytes, {end - at} are left")
        elements.append(data[at : at + length])
        at += length
    if at != end:
        raise BadRequest(f"{where}: {end - at} bytes follow the {count} elements that its shape announces")
    return elements


def join(elements: Iterable[bytes]) -> bytes:
    """The tensor's bytes."""
    parts: list[bytes] = []
    for element in elements:
        parts.append(_LENGTH.pack(len(element)))
        parts.append(element)
    return b"".join(parts)
