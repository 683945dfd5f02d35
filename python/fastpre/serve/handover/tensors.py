"""Batches and outputs as bytes: what is in front of the raw elements, so that the other side knows what they are.

A batch is 20 bytes and its elements, slot by slot, in its own memory format. Outputs are a table of names, dtypes,
shapes and offsets, and the arrays, each at a multiple of 64 bytes. All numbers are little-endian.
"""

from __future__ import annotations

import functools
import math
import struct
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import torch

__all__ = ["BATCH_HEADER_BYTES", "BatchLayout", "Outputs", "outputs_at"]

DTYPES = ("float32", "float16", "bfloat16", "uint8")  # those that a Spec can ask for
ALIGNMENT = 64
BATCH = struct.Struct("<BB2xIIII")
BATCH_HEADER_BYTES = BATCH.size
COUNT = struct.Struct("<I")
ENTRY = struct.Struct("<BBBxQ")  # bytes of the name, bytes of the dtype, dimensions, offset


class BatchLayout(NamedTuple):
    """How slots lie in memory, one after another.

    Attributes:
        shape: (C, H, W).
        dtype: one of `DTYPES`.
    """

    slots: int
    shape: tuple[int, int, int]
    dtype: str
    channels_last: bool

    @classmethod
    def of(cls, slots: int, shape: tuple[int, int, int], dtype: torch.dtype, *, memory_format: str) -> BatchLayout:
        """From a torch.dtype, and a torch.memory_format's name.

        Raises:
            ValueError: the shape is empty, or the dtype is none that a Spec can ask for.
        """
        name = str(dtype).removeprefix("torch.")
        if name not in DTYPES:
            raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, got {name}")
        if slots < 1 or min(shape) < 1:
            raise ValueError(f"there must be at least one slot of one element, got {slots} of {shape}")
        return cls(slots, shape, name, memory_format == "channels_last")

    @property
    def slot_bytes(self) -> int:
        """Bytes of one slot."""
        return self.slot_elements * {"float32": 4, "uint8": 1}.get(self.dtype, 2)

    def header(self) -> bytes:
        """The 20 bytes that say it."""
        return BATCH.pack(DTYPES.index(self.dtype), self.channels_last, self.slots, *self.shape)

    @classmethod
    def parse(cls, data: bytes | memoryview) -> BatchLayout:
        """What `header` said."""
        dtype, channels_last, slots, channels, height, width = BATCH.unpack(data)
        return cls(slots, (channels, height, width), DTYPES[dtype], bool(channels_last))

    def tensor(self, data: Any) -> torch.Tensor:
        """A tensor of (slots, C, H, W) over a writable buffer, to which it refers."""
        import torch

        flat = torch.frombuffer(data, dtype=getattr(torch, self.dtype), count=self.slots * self.slot_elements)
        channels, height, width = self.shape
        if self.channels_last:
            return flat.view(self.slots, height, width, channels).permute(0, 3, 1, 2)
        return flat.view(self.slots, channels, height, width)

    @property
    def slot_elements(self) -> int:
        """Elements of one slot."""
        return math.prod(self.shape)


class Placed(NamedTuple):
    """Where an array stands behind its table."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int


class Table(NamedTuple):
    """Where all arrays of some names, dtypes and shapes go.

    Attributes:
        data: the bytes that say it.
        size: of all arrays with what is between them, in bytes.
    """

    data: bytes
    offsets: tuple[int, ...]
    size: int


# A model's batches of one size have the same table: making it, and reading it, would be a third of the way's time.
@functools.lru_cache(maxsize=256)
def table_of(*kinds: tuple[str, np.dtype[Any], tuple[int, ...]]) -> Table:
    """For arrays of such names, dtypes and shapes."""
    parts, offsets, size = [COUNT.pack(len(kinds))], [], 0
    for name, dtype, shape in kinds:
        if dtype.hasobject or dtype.kind == "V":
            raise TypeError(f"output {name!r} is {dtype}, which is no array of numbers")
        offset = -(-size // ALIGNMENT) * ALIGNMENT
        words = name.encode(), dtype.str.encode()
        parts += [ENTRY.pack(len(words[0]), len(words[1]), len(shape), offset), *words]
        parts.append(struct.pack(f"<{len(shape)}Q", *shape))
        offsets.append(offset)
        size = offset + math.prod(shape) * dtype.itemsize
    return Table(b"".join(parts), tuple(offsets), size)


class Outputs:
    """What a model returned, about to be sent.

    Attributes:
        table: what `outputs_at` needs beside the bytes.
        size: of all arrays with what is between them, in bytes.

    Raises:
        TypeError: it is not a mapping of names to arrays of numbers, booleans or strings of a fixed length.
    """

    def __init__(self, outputs: Mapping[str, np.ndarray[Any, Any]]) -> None:
        if not isinstance(outputs, Mapping):
            raise TypeError(f"the model returned {type(outputs).__name__}, not a mapping of names to arrays")
        for name, array in outputs.items():
            if not isinstance(array, np.ndarray):
                raise TypeError(f"output {name!r} is {type(array).__name__}, which is no array of numbers")
        self._arrays = outputs.values()
        self.table, self._offsets, self.size = table_of(
            *((name, array.dtype, array.shape) for name, array in outputs.items())
        )

    def write(self, buffer: Any) -> None:
        """Copies the arrays into a buffer of at least `size` bytes."""
        for array, offset in zip(self._arrays, self._offsets, strict=True):
            np.ndarray(array.shape, array.dtype, buffer, offset)[...] = array

    def to_bytes(self) -> bytearray:
        """The arrays behind one another, as `write` places them."""
        data = bytearray(self.size)
        self.write(data)
        return data


def outputs_at(table: bytes, buffer: Any) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of a table, copied out of the buffer where `Outputs.write` put them."""
    return {name: np.ndarray(shape, dtype, buffer, offset).copy() for name, dtype, shape, offset in parsed_table(table)}


@functools.lru_cache(maxsize=256)
def parsed_table(table: bytes) -> Sequence[Placed]:
    """What it says."""
    found = []
    (count,) = COUNT.unpack_from(table)
    at = COUNT.size
    for _ in range(count):
        name_bytes, dtype_bytes, dimensions, offset = ENTRY.unpack_from(table, at)
        at += ENTRY.size
        name = table[at : at + name_bytes].decode()
        at += name_bytes
        dtype = np.dtype(table[at : at + dtype_bytes].decode())
        at += dtype_bytes
        shape = struct.unpack_from(f"<{dimensions}Q", table, at)
        at += 8 * dimensions
        found.append(Placed(name, dtype, shape, offset))
    return tuple(found)
