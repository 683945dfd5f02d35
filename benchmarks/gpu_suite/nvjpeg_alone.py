"""nvJPEG's hardware engines and nothing else, through ctypes: planes as they are coded, into memory that is there.

Only what csrc/cuda/nvjpeg/api.h declares is used, besides nvjpegCreateEx.
"""

from __future__ import annotations

import ctypes
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

BACKEND_HARDWARE, OUTPUT_UNCHANGED = 3, 0
PITCH = 64  # bytes that rows begin at multiples of, as in csrc/cuda/job.cpp
MCU_ROWS = 16  # planes have room for whole MCUs


class NvjpegImage(ctypes.Structure):
    """nvjpegImage_t."""

    _fields_ = (("channel", ctypes.c_void_p * 4), ("pitch", ctypes.c_size_t * 4))


class NvjpegAllocator(ctypes.Structure):
    """nvjpegDevAllocatorV2_t and nvjpegPinnedAllocatorV2_t."""

    ALLOCATE = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p), ctypes.c_size_t, ctypes.c_void_p
    )
    FREE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)
    _fields_ = (("allocate", ALLOCATE), ("free", FREE), ("context", ctypes.c_void_p))


class NvjpegError(RuntimeError):
    """A call that did not return success."""


@dataclasses.dataclass(frozen=True)
class Plane:
    """One component's samples: where they are in a batch's memory, in bytes."""

    width: int
    height: int
    pitch: int
    offset: int


@dataclasses.dataclass
class Batch:
    """Everything one call of nvJPEG takes, ready; the memory is as large as it has to be.

    Attributes:
        images, planes: the streams, and of each its components' places in `memory`.
        memory: whatever `allocate` gave.
    """

    images: list[bytes]
    planes: list[list[Plane]]
    memory: Any
    data: Any
    lengths: Any
    destinations: Any


class NvjpegAlone:
    """The library at `path`, with a handle on the engines of the current device.

    Args:
        allocators: device's and pinned memory's, for nvjpegCreateExV2; None: CUDA's own.

    Raises:
        OSError, NvjpegError: no such library, or no engines.
    """

    def __init__(self, path: str, allocators: tuple[NvjpegAllocator, NvjpegAllocator] | None = None) -> None:
        self._library = ctypes.CDLL(path)
        self._handle, self._state, self._header = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
        self._initialized_for = 0
        flags, handle = ctypes.c_uint(0), ctypes.byref(self._handle)
        if allocators is None:
            self._call("CreateEx", BACKEND_HARDWARE, None, None, flags, handle)
        else:
            device, pinned = (ctypes.byref(a) for a in allocators)
            self._call("CreateExV2", BACKEND_HARDWARE, device, pinned, flags, handle)
        self._call("JpegStateCreate", self._handle, ctypes.byref(self._state))
        self._call("JpegStreamCreate", self._handle, ctypes.byref(self._header))

    def _call(self, name: str, *arguments: Any) -> None:
        status = getattr(self._library, f"nvjpeg{name}")(*arguments)
        if status:
            raise NvjpegError(f"nvjpeg{name}: status {status}")

    def engines(self) -> int:
        """How many; 0 is none."""
        engines, cores = ctypes.c_uint(), ctypes.c_uint()
        self._call("GetHardwareDecoderInfo", self._handle, ctypes.byref(engines), ctypes.byref(cores))
        return engines.value

    def supports(self, data: bytes) -> bool:
        """Whether the engines take it, by nvJPEG's word."""
        unsupported = ctypes.c_int(1)  # 0 is yes
        try:
            self._call("JpegStreamParseHeader", self._handle, data, ctypes.c_size_t(len(data)), self._header)
            self._call("DecodeBatchedSupported", self._handle, self._header, ctypes.byref(unsupported))
        except NvjpegError:
            return False
        return unsupported.value == 0

    def batch(self, images: Sequence[bytes], allocate: Callable[[int], tuple[Any, int]]) -> Batch:
        """Lays out planes for these images.

        Args:
            images: all of them supported.
            allocate: takes a number of bytes to an object that keeps the memory, and its address.
        """
        offset, planes = 0, []
        for data in images:
            planes.append(_planes(data, offset))
            last = planes[-1][-1]
            offset = last.offset + _bytes(last)
        memory, address = allocate(offset)
        count = len(images)
        data_pointers = (ctypes.c_void_p * count)(
            *(ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value for data in images)
        )
        destinations = (NvjpegImage * count)()
        for image, of_image in zip(destinations, planes, strict=True):
            for c, plane in enumerate(of_image):
                image.channel[c], image.pitch[c] = address + plane.offset, plane.pitch
        lengths = (ctypes.c_size_t * count)(*map(len, images))
        return Batch(list(images), planes, memory, data_pointers, lengths, destinations)

    def decode(self, batch: Batch, stream: int) -> None:
        """Asks for all of it; complete when the stream is, and not to be followed by another before that."""
        count = len(batch.images)
        if count != self._initialized_for:
            self._call("DecodeBatchedInitialize", self._handle, self._state, count, 1, OUTPUT_UNCHANGED)
            self._initialized_for = count
        self._call(
            *("DecodeBatched", self._handle, self._state, batch.data, batch.lengths, batch.destinations),
            ctypes.c_void_p(stream),
        )


def _planes(data: bytes, offset: int) -> list[Plane]:
    import fastpre

    header = fastpre.plan(data).header
    sampling = header["sampling"]
    if len(sampling) == 1:
        sampling = [(1, 1)]  # a single component's factors mean nothing
    widest, highest = (max(s[axis] for s in sampling) for axis in (0, 1))
    planes = []
    for h, v in sampling:
        width, height = -(-header["width"] * h // widest), -(-header["height"] * v // highest)
        planes.append(Plane(width, height, -(-width // PITCH) * PITCH, offset))
        offset += _bytes(planes[-1])
    return planes


def _bytes(plane: Plane) -> int:
    """With room for whole MCUs; a multiple of 256, so that the next one is aligned."""
    return -(-plane.pitch * (-(-plane.height // MCU_ROWS) * MCU_ROWS) // 256) * 256
