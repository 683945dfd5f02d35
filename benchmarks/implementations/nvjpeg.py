"""nvJPEG's hardware engines and nothing else, through ctypes: planes as they are coded, into memory that is there.

The bound of everything that ends with its engines' planes. Of the library, only what csrc/cuda/nvjpeg/api.h declares is
used, besides nvjpegCreateEx.
"""

from __future__ import annotations

import ctypes
import dataclasses
import io
from typing import Any

import numpy as np
import torch
from difference import Difference, Reference
from PIL import Image
from tasks import Job

import fastpre
from fastpre.cli.cuda_report import cuda_report

from .base import Implementation, Run

BACKEND_HARDWARE, OUTPUT_UNCHANGED = 3, 0
PITCH = 64  # bytes that rows begin at multiples of, as in csrc/cuda/image_job.cpp
MCU_ROWS = 16  # planes have room for whole MCUs
KEPT = 4  # batches with their planes' memory
CHECKED = 32  # images of a batch whose luma is compared


class NvjpegImage(ctypes.Structure):
    """nvjpegImage_t."""

    _fields_ = (("channel", ctypes.c_void_p * 4), ("pitch", ctypes.c_size_t * 4))


class NvjpegError(RuntimeError):
    """A call that did not return success."""


@dataclasses.dataclass(frozen=True)
class Plane:
    """One component's samples: where they are in a batch's memory, in bytes."""

    width: int
    height: int
    pitch: int
    offset: int

    @property
    def end(self) -> int:
        """With room for whole MCUs; at a multiple of 256, so that the next one is aligned."""
        return -(-(self.offset + self.pitch * (-(-self.height // MCU_ROWS) * MCU_ROWS)) // 256) * 256


@dataclasses.dataclass(frozen=True)
class Batch:
    """Everything that one call takes: streams, places of their components in `memory`, and pointers to all of it."""

    images: list[bytes]
    planes: list[list[Plane]]
    memory: torch.Tensor
    arguments: tuple[Any, Any, Any]


class Engines(Run):
    """Decodes to planes: no resampling, no tensor. Only images that the engines take are in it.

    Args:
        path: of the library.
        device: where the planes are.

    Raises:
        OSError, NvjpegError: no such library, or no engines.
    """

    def __init__(self, path: str, device: str = "cuda") -> None:
        self._library, self._device = ctypes.CDLL(path), device
        self._handle, self._state, self._header = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
        self._initialized_for = 0
        self._supported: dict[bytes, bool] = {}
        self._batches: dict[tuple[int, ...], Batch] = {}
        self._create(BACKEND_HARDWARE, ctypes.c_uint(0), ctypes.byref(self._handle))
        self._call("JpegStateCreate", self._handle, ctypes.byref(self._state))
        self._call("JpegStreamCreate", self._handle, ctypes.byref(self._header))
        engines, cores = ctypes.c_uint(), ctypes.c_uint()
        self._call("GetHardwareDecoderInfo", self._handle, ctypes.byref(engines), ctypes.byref(cores))
        if engines.value == 0:
            raise NvjpegError("this device has no JPEG engines, or this nvJPEG does not find them")

    def _create(self, backend: int, flags: Any, handle: Any) -> None:
        self._call("CreateEx", backend, None, None, flags, handle)  # with CUDA's own allocators

    def _call(self, name: str, *arguments: Any) -> None:
        status = getattr(self._library, f"nvjpeg{name}")(*arguments)
        if status:
            raise NvjpegError(f"nvjpeg{name}: status {status}")

    def _supports(self, data: bytes) -> bool:
        unsupported = ctypes.c_int(1)  # 0 is yes
        try:
            self._call("JpegStreamParseHeader", self._handle, data, ctypes.c_size_t(len(data)), self._header)
            self._call("DecodeBatchedSupported", self._handle, self._header, ctypes.byref(unsupported))
        except NvjpegError:
            return False
        return unsupported.value == 0

    def taken(self, images: list[bytes]) -> list[bytes]:
        for data in images:
            if data not in self._supported:
                self._supported[data] = self._supports(data)
        return [data for data in images if self._supported[data]]

    def batch(self, images: list[bytes]) -> Batch:
        """Laid out once for these images; the memory is as large as it has to be."""
        key = tuple(map(id, images))  # the batch keeps the images, so that an id stays theirs
        if key not in self._batches:
            if len(self._batches) >= KEPT:
                torch.cuda.synchronize()
                self._batches.pop(next(iter(self._batches)))
            self._batches[key] = self._lay_out(self.taken(images))
        return self._batches[key]

    def _lay_out(self, images: list[bytes]) -> Batch:
        if not images:
            raise ValueError("none of these images is one for the engines")
        planes: list[list[Plane]] = []
        for data in images:
            planes.append(_planes(data, planes[-1][-1].end if planes else 0))
        memory = torch.zeros(planes[-1][-1].end, dtype=torch.uint8, device=self._device)
        count, address = len(images), memory.data_ptr()
        destinations = (NvjpegImage * count)()
        for image, of_image in zip(destinations, planes, strict=True):
            for c, plane in enumerate(of_image):
                image.channel[c], image.pitch[c] = address + plane.offset, plane.pitch
        pointers = (ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value for data in images)
        lengths = (ctypes.c_size_t * count)(*map(len, images))
        return Batch(images, planes, memory, ((ctypes.c_void_p * count)(*pointers), lengths, destinations))

    def __call__(self, images: list[bytes]) -> Batch:
        batch = self.batch(images)
        count = len(batch.images)
        if count != self._initialized_for:
            self._call("DecodeBatchedInitialize", self._handle, self._state, count, 1, OUTPUT_UNCHANGED)
            self._initialized_for = count
        stream = torch.cuda.current_stream() if self._device == "cuda" else None
        pointer = ctypes.c_void_p(stream.cuda_stream if stream else 0)
        self._call("DecodeBatched", self._handle, self._state, *batch.arguments, pointer)
        if stream is not None:
            stream.synchronize()  # the state is not to be used again before that
        return batch

    def check(self, difference: Difference, images: list[bytes], right: Reference) -> None:
        """Luma, against Pillow's."""
        batch = self(images)
        memory = batch.memory.cpu()
        for data, (p, *_) in list(zip(batch.images, batch.planes, strict=True))[:CHECKED]:
            rows = memory[p.offset : p.offset + p.height * p.pitch].reshape(p.height, p.pitch)[:, : p.width]
            difference.add(rows[None, None], torch.tensor(luma(data))[None, None])


def _planes(data: bytes, offset: int) -> list[Plane]:
    header = fastpre.plan(data).header
    sampling = header["sampling"]
    if len(sampling) == 1:
        sampling = [(1, 1)]  # a single component's factors mean nothing
    widest, highest = (max(s[axis] for s in sampling) for axis in (0, 1))
    planes: list[Plane] = []
    for h, v in sampling:
        width, height = -(-header["width"] * h // widest), -(-header["height"] * v // highest)
        begin = planes[-1].end if planes else offset
        planes.append(Plane(width, height, -(-width // PITCH) * PITCH, begin))
    return planes


def luma(data: bytes) -> np.ndarray[Any, Any]:
    """The first component as Pillow decodes it, without colour conversion."""
    with Image.open(io.BytesIO(data)) as image:
        if image.mode == "RGB":
            image.draft("YCbCr", image.size)
        pixels = np.asarray(image)
    return pixels if pixels.ndim == 2 else pixels[..., 0]


def _missing() -> str | None:
    nvjpeg = cuda_report()["nvjpeg"]
    return None if nvjpeg["version"] else " ".join(nvjpeg["missing"].split())[:200]


def _engines(job: Job, device: str, threads: int) -> Run:
    torch.cuda.current_stream().synchronize()  # makes the context that nvJPEG finds
    return Engines(cuda_report()["nvjpeg"]["path"])


ALL = (Implementation("nvjpeg-alone", "nvJPEG engines alone (no tensor)", _engines, ("cuda",), _missing, part=True),)
