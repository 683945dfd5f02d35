"""Tensors between the protocol's raw bytes and NumPy: the same over HTTP's binary extension, gRPC and shared memory.

Raw bytes are the elements in row-major order, little-endian, without gaps; elements of BYTES stand each after its
length in 4 bytes.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..errors import BadRequest
from ..inference import DTYPES

__all__ = ["MAX_ELEMENTS", "checked_shape", "element_count", "from_raw", "joined_elements", "split_elements", "to_raw"]

MAX_RANK = 8
# BYTES elements of one input. Each becomes an object of some 200 bytes, for as little as 4 of the message.
MAX_ELEMENTS = 16_384

_LENGTH = struct.Struct("<I")


def checked_shape(name: str, shape: Iterable[int]) -> tuple[int, ...]:
    """The shape of an input of that name.

    Raises:
        BadRequest: more than 8 dimensions, or one that is negative or no 31-bit number.
    """
    sizes = tuple(shape)
    if len(sizes) > MAX_RANK:
        raise BadRequest(f"input {name!r} has {len(sizes)} dimensions; the most is {MAX_RANK}")
    if any(not 0 <= size < 2**31 for size in sizes):
        raise BadRequest(f"input {name!r} has the shape {list(sizes)}: a size is negative or too large")
    return sizes


def element_count(name: str, datatype: str, shape: Sequence[int]) -> int:
    """The number of elements of an input.

    Raises:
        BadRequest: there is no such datatype, or more BYTES elements than `MAX_ELEMENTS`.
    """
    count = math.prod(shape)
    if datatype == "BYTES":
        if count > MAX_ELEMENTS:
            raise BadRequest(f"input {name!r} has {count} BYTES elements; the most is {MAX_ELEMENTS}")
    elif datatype not in DTYPES:
        raise BadRequest(f"input {name!r} has the datatype {datatype!r}; known are BYTES, {', '.join(DTYPES)}")
    return count


def from_raw(
    name: str, datatype: str, shape: tuple[int, ...], raw: bytes | memoryview
) -> list[bytes | memoryview] | np.ndarray[Any, Any]:
    """An input's data, as `InputTensor.data` has it: views of `raw`, nothing is copied.

    Args:
        name: of the input, for errors.
        datatype: "BYTES" or a key of `DTYPES`.
        shape: as `checked_shape` gave it.
        raw: all of its bytes.

    Raises:
        BadRequest: the bytes are not what datatype and shape say.
    """
    count = element_count(name, datatype, shape)
    if datatype == "BYTES":
        return split_elements(name, raw, count)
    dtype = DTYPES[datatype]
    if len(raw) != count * dtype.itemsize:
        raise BadRequest(
            f"input {name!r} has {len(raw)} bytes; {datatype} {list(shape)} takes {count * dtype.itemsize}"
        )
    if datatype == "BOOL" and count and np.frombuffer(raw, np.uint8).max() > 1:
        raise BadRequest(f"input {name!r} is BOOL and has bytes other than 0 and 1")
    try:
        array = np.frombuffer(raw, dtype).reshape(shape)
    except ValueError:  # sizes whose product NumPy cannot hold, beside one of 0
        raise BadRequest(f"input {name!r} has the shape {list(shape)}, which is too large") from None
    array.flags.writeable = False
    return array


def split_elements(name: str, raw: bytes | memoryview, count: int) -> list[bytes | memoryview]:
    """The elements of a BYTES input, as views.

    Raises:
        BadRequest: the lengths do not add up to `count` elements and no more.
    """
    view = memoryview(raw)
    end = len(view)
    elements: list[bytes | memoryview] = []
    position = 0
    for index in range(count):
        if end - position < 4:
            raise BadRequest(f"input {name!r} has {index} elements; its shape says {count}")
        (length,) = _LENGTH.unpack_from(view, position)
        position += 4
        if length > end - position:
            raise BadRequest(
                f"input {name!r}: element {index} says it has {length} bytes; {end - position} follow", index=index
            )
        elements.append(view[position : position + length])
        position += length
    if position != end:
        raise BadRequest(f"input {name!r} has {end - position} bytes after its last element")
    return elements


def joined_elements(elements: Iterable[bytes]) -> bytes:
    """Elements of a BYTES tensor as raw bytes."""
    parts: list[bytes] = []
    for element in elements:
        parts += (_LENGTH.pack(len(element)), element)
    return b"".join(parts)


def to_raw(datatype: str, array: np.ndarray[Any, Any]) -> bytes:
    """An output's array as raw bytes; for BYTES an object array of bytes."""
    if datatype == "BYTES":
        return joined_elements(array.ravel())
    return array.tobytes()
