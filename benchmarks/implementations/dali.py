"""NVIDIA DALI: every operator on the CPU, or decoding on both ("mixed") and the rest on the device.

Without prefetching: what is timed is from bytes to tensor, as for all others.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from tasks import MEAN, STD, Job

from .base import Array, Implementation, Run, needs


class Dali(Run):
    """A pipeline, with its own threads, for each size of batch."""

    def __init__(self, job: Job, device: str, threads: int) -> None:
        self._job, self._threads, self._cpu = job, threads, device == "cpu"
        self._pipelines: dict[int, Any] = {}

    def _pipeline(self, batch_size: int) -> Any:
        from nvidia.dali import fn, pipeline_def, types

        job = self._job
        filters = {"bilinear": types.INTERP_LINEAR, "bicubic": types.INTERP_CUBIC}
        device = None if self._cpu else torch.cuda.current_device()

        @pipeline_def(batch_size=batch_size, num_threads=self._threads, device_id=device, prefetch_queue_depth=1)
        def graph() -> Any:
            jpegs = fn.external_source(name="jpegs", dtype=types.UINT8, ndim=1)
            where = "cpu" if self._cpu else "mixed"
            images = fn.decoders.image(jpegs, device=where, output_type=types.RGB, adjust_orientation=False)
            if job.decode_only:
                return images
            images = fn.resize(
                images, resize_shorter=job.resize, interp_type=filters[job.interpolation], antialias=True
            )
            return fn.crop_mirror_normalize(
                images,
                crop=(job.crop, job.crop),
                mean=[255 * m for m in MEAN],
                std=[255 * s for s in STD],
                dtype=types.FLOAT,
                output_layout="CHW",
            )

        pipeline = graph(exec_async=False, exec_pipelined=False) if self._cpu else graph()
        pipeline.build()
        return pipeline

    def __call__(self, images: list[bytes]) -> Array:
        count = len(images)
        if count not in self._pipelines:
            # A pipeline keeps its buffers: one at a time on a device.
            kept = self._pipelines if self._cpu else {}
            self._pipelines = kept | {count: self._pipeline(count)}
        pipeline = self._pipelines[count]
        pipeline.feed_input("jpegs", [np.frombuffer(data, np.uint8) for data in images])
        (result,) = pipeline.run()
        return np.array(result.as_array()) if self._cpu else torch.from_dlpack(result.as_tensor())


NEEDED = needs(
    ("nvidia.dali", "nvidia-dali-cuda130"), ("nvidia.nvimgcodec", "nvidia-nvimgcodec-cu13, which DALI decodes with,")
)
ALL = (Implementation("dali", "NVIDIA DALI", Dali, ("cpu", "cuda"), NEEDED),)
