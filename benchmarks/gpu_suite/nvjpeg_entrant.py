"""nvJPEG alone as an entrant: the ceiling of everything that ends with its engines' planes."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from check import psnr_db
from PIL import Image

from gpu_suite.entrants import Entrant
from gpu_suite.nvjpeg_alone import Batch, NvjpegAlone

KEPT = 4  # batches with their planes' memory
CHECKED = 32  # images whose luma is compared


class NvjpegCeiling(Entrant):
    """Planes alone: no resampling, no tensor. Only images that the engines take are in it, and counted."""

    key, label, role = "nvjpeg-alone", "nvJPEG engines alone (no tensor)", "ceiling"

    @classmethod
    def version(cls) -> str | None:
        from fastpre import _core
        from fastpre._backend import nvjpeg

        nvjpeg.announce()
        version: str | None = _core.nvjpeg_info()["version"]
        return version

    @classmethod
    def missing(cls) -> str | None:
        from fastpre import _core

        return None if cls.version() is not None else " ".join(_core.nvjpeg_info()["missing"].split())[:200]

    def prepare(self) -> None:
        import torch

        from fastpre import _core

        torch.cuda.current_stream().synchronize()  # makes the context that nvJPEG finds
        self._torch = torch
        self._nvjpeg = NvjpegAlone(_core.nvjpeg_info()["path"])
        if self._nvjpeg.engines() == 0:
            raise RuntimeError("this device has no JPEG engines, or this nvJPEG does not find them")
        self._supported: dict[bytes, bool] = {}
        self._batches: dict[tuple[int, ...], Batch] = {}

    def taken(self, images: list[bytes]) -> list[bytes]:
        for data in images:
            if data not in self._supported:
                self._supported[data] = self._nvjpeg.supports(data)
        return [data for data in images if self._supported[data]]

    def _allocate(self, count: int) -> tuple[Any, int]:
        memory = self._torch.empty(count, dtype=self._torch.uint8, device="cuda")
        return memory, memory.data_ptr()

    def _batch(self, images: list[bytes]) -> Batch:
        key = tuple(map(id, images))  # the batch keeps the images, so that an id stays theirs
        if key not in self._batches:
            if len(self._batches) >= KEPT:
                self._torch.cuda.synchronize()
                self._batches.pop(next(iter(self._batches)))
            self._batches[key] = self._nvjpeg.batch(self.taken(images), self._allocate)
        return self._batches[key]

    def run(self, images: list[bytes]) -> Any:
        stream = self._torch.cuda.current_stream()
        batch = self._batch(images)
        if not batch.images:
            raise ValueError("none of these images is one for the engines")
        self._nvjpeg.decode(batch, stream.cuda_stream)
        stream.synchronize()
        return batch

    def psnr_db(self, images: list[bytes], expected: Any) -> tuple[float, int]:
        """Of luma, against Pillow's."""
        batch = self.run(images)
        memory = batch.memory.cpu().numpy()
        squares = values = equal = 0
        for data, planes in list(zip(batch.images, batch.planes, strict=True))[:CHECKED]:
            p = planes[0]
            rows = memory[p.offset : p.offset + p.height * p.pitch].reshape(p.height, p.pitch)[:, : p.width]
            difference = rows.astype(np.int64) - luma(data)
            squares += int(np.square(difference).sum())
            values += difference.size
            equal += not difference.any()
        return psnr_db(squares, values), equal


def luma(data: bytes) -> np.ndarray[Any, Any]:
    """The first component as Pillow decodes it, without colour conversion."""
    with Image.open(io.BytesIO(data)) as image:
        if image.mode == "RGB":
            image.draft("YCbCr", image.size)
        pixels = np.asarray(image)
    return pixels if pixels.ndim == 2 else pixels[..., 0]
