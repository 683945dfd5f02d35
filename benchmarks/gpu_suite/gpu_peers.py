"""Other libraries that end on the device; each one the way its documentation shows, with what is fastest there."""

from __future__ import annotations

import concurrent.futures
import importlib.util
from typing import Any

import numpy as np
from tasks import MEAN, STD

from gpu_suite.entrants import CROP, RESIZE, Entrant, finisher


class Torchvision(Entrant):
    key, label, package = "torchvision", "torchvision decode_jpeg(cuda), v2", ("torchvision",)

    def prepare(self) -> None:
        import torch
        from torchvision.io import ImageReadMode, decode_jpeg

        self._torch, self._decode, self._rgb = torch, decode_jpeg, ImageReadMode.RGB
        self._finish = finisher()

    def run(self, images: list[bytes]) -> Any:
        streams = [self._torch.frombuffer(data, dtype=self._torch.uint8) for data in images]
        return self._finish(self._decode(streams, self._rgb, device="cuda"))


class NvImageCodec(Entrant):
    key, label = "nvimagecodec", "nvImageCodec, torch"
    package = ("nvidia-nvimgcodec-cu13", "nvidia-nvimgcodec-cu12")

    def prepare(self) -> None:
        import torch
        from nvidia import nvimgcodec

        self._torch = torch
        self._decoder = nvimgcodec.Decoder(device_id=torch.cuda.current_device())
        self._parameters = nvimgcodec.DecodeParams(apply_exif_orientation=False)
        # Releases before 0.5 took bytes alone.
        self._source = getattr(nvimgcodec, "CodeStream", lambda data: data)
        self._finish = finisher()

    def run(self, images: list[bytes]) -> Any:
        stream = self._torch.cuda.current_stream().cuda_stream
        sources = [self._source(data) for data in images]
        decoded = self._decoder.decode(sources, params=self._parameters, cuda_stream=stream)
        if any(image is None for image in decoded):
            raise ValueError(f"{sum(image is None for image in decoded)} of {len(images)} images were not decoded")
        tensors = [self._torch.as_tensor(image, device="cuda").permute(2, 0, 1) for image in decoded]
        return self._finish(tensors)


class KorniaRs(Entrant):
    """Decodes on the CPU, in a thread pool; torch does the rest on the device."""

    key, label, package = "kornia-rs", "kornia-rs decode (CPU threads), torch", ("kornia-rs",)

    def prepare(self) -> None:
        import kornia_rs
        import torch

        self._torch = torch
        io = getattr(kornia_rs, "io", kornia_rs)
        if hasattr(io, "decode_image_jpegturbo"):
            self._decode = lambda data: io.decode_image_jpegturbo(data, "rgb")
        elif hasattr(io, "ImageDecoder"):
            self._decode = io.ImageDecoder().decode
        else:
            self._decode = io.decode_image_jpeg
        self._pool = concurrent.futures.ThreadPoolExecutor(self.threads)
        self._finish = finisher()

    def _one(self, data: bytes) -> Any:
        pixels = self._torch.from_numpy(np.ascontiguousarray(self._decode(data)))
        return pixels.pin_memory().to("cuda", non_blocking=True).permute(2, 0, 1)

    def run(self, images: list[bytes]) -> Any:
        return self._finish(list(self._pool.map(self._one, images)))


class Dali(Entrant):
    """A pipeline for each batch size, without prefetching: what is timed is from bytes to tensor, as for all others."""

    key, label = "dali", "NVIDIA DALI, mixed"
    package = ("nvidia-dali-cuda130", "nvidia-dali-cuda120")

    @classmethod
    def missing(cls) -> str | None:
        why = super().missing()
        if why is None and importlib.util.find_spec("nvidia.nvimgcodec") is None:
            why = "nvidia-nvimgcodec, which DALI decodes with, is not installed"
        return why

    def prepare(self) -> None:
        import torch

        self._torch = torch
        self._pipelines: dict[int, Any] = {}

    def _pipeline(self, batch_size: int) -> Any:
        from nvidia.dali import fn, pipeline_def, types

        device = self._torch.cuda.current_device()

        @pipeline_def(batch_size=batch_size, num_threads=self.threads, device_id=device, prefetch_queue_depth=1)
        def graph() -> Any:
            jpegs = fn.external_source(name="jpegs", dtype=types.UINT8, ndim=1)
            images = fn.decoders.image(jpegs, device="mixed", output_type=types.RGB, adjust_orientation=False)
            images = fn.resize(images, resize_shorter=RESIZE, interp_type=types.INTERP_LINEAR, antialias=True)
            return fn.crop_mirror_normalize(
                images,
                crop=(CROP, CROP),
                mean=[255 * m for m in MEAN],
                std=[255 * s for s in STD],
                dtype=types.FLOAT,
                output_layout="CHW",
            )

        pipeline = graph()
        pipeline.build()
        return pipeline

    def run(self, images: list[bytes]) -> Any:
        count = len(images)
        if count not in self._pipelines:
            # One at a time: a pipeline keeps its buffers.
            self._pipelines = {count: self._pipeline(count)}
        pipeline = self._pipelines[count]
        pipeline.feed_input("jpegs", [np.frombuffer(data, np.uint8) for data in images])
        (result,) = pipeline.run()
        return self._torch.from_dlpack(result.as_tensor())


PEERS: list[type[Entrant]] = [Torchvision, NvImageCodec, KorniaRs, Dali]
