"""fastpre in each of its ways."""

from __future__ import annotations

import collections
import math
import os
import time
from collections.abc import Callable
from typing import Any, Literal

import torch
from tasks import Job

import fastpre

from .base import Array, Implementation, Run

Fidelity = Literal["exact", "fast"]

# FASTPRE_CUDA_DECODER, and the decoder that a record names then.
RAN_AS = {"hardware": "nvjpeg-hardware", "hybrid": "nvjpeg-cuda", "coefficients": "fastpre"}


def spec_of(job: Job, fidelity: Fidelity = "exact") -> fastpre.Spec:
    return fastpre.Spec(
        resize=job.resize,
        crop=job.crop,
        interpolation=job.interpolation,
        dtype=torch.uint8 if job.decode_only else torch.float32,
        fidelity=fidelity,
    )


class Fastpre(Run):
    """`fastpre.Preprocessor`.

    Args:
        decoder: FASTPRE_CUDA_DECODER, which is read at every call on a device.
    """

    def __init__(self, job: Job, device: str, threads: int, fidelity: Fidelity, decoder: str) -> None:
        self.decoder = None if device == "cpu" else decoder
        self.preprocessor = fastpre.Preprocessor(spec_of(job, fidelity), device, threads)

    def __call__(self, images: list[bytes]) -> Array:
        if self.decoder is not None:
            os.environ["FASTPRE_CUDA_DECODER"] = self.decoder
        return self.preprocessor(images)

    def stages_us(self, data: bytes) -> dict[str, float]:
        """One call's microseconds by stage, and "outside": what the call took beyond them."""
        start = time.perf_counter()
        result = self.preprocessor.run([data])
        call_us = 1e6 * (time.perf_counter() - start)
        stages = result.images[0].stages_us
        return stages | {"outside": call_us - sum(stages.values())}

    def decoders(self, images: list[bytes]) -> dict[str, int]:
        """Which decoders ran, and how many images went back to the CPU."""
        if self.decoder is not None:
            os.environ["FASTPRE_CUDA_DECODER"] = self.decoder
        records = self.preprocessor.run(images).images
        counts = collections.Counter(record.decoder for record in records)
        counts.update("retried" for record in records if record.retried)
        return dict(counts)


class Copied(Run):
    """The CPU backend on all cores, then one copy from pinned memory."""

    def __init__(self, job: Job, device: str, threads: int) -> None:
        self._preprocessor = fastpre.Preprocessor(spec_of(job), "cpu", threads, pin_memory=True)

    def __call__(self, images: list[bytes]) -> Array:
        return self._preprocessor(images).to("cuda", non_blocking=True)


def _fastpre(fidelity: Fidelity, decoder: str = "auto") -> Callable[[Job, str, int], Run]:
    return lambda job, device, threads: Fastpre(job, device, threads, fidelity, decoder)


def _fast(name: str, label: str, decoder: str) -> Implementation:
    return Implementation(f"fastpre-{name}", f"fastpre, fast, {label}", _fastpre("fast", decoder), ("cuda",))


BOTH: dict[str, Any] = {"devices": ("cpu", "cuda")}
ALL = (
    Implementation("fastpre-exact", "fastpre", _fastpre("exact"), required_db=math.inf, **BOTH),
    Implementation(
        *("fastpre-fast", "fastpre, fidelity=fast", _fastpre("fast")),
        does=lambda job: not job.decode_only,
        required_db=34.0,
        **BOTH,
    ),
    _fast("hardware", "engines only", "hardware"),
    _fast("hybrid", "nvJPEG's CUDA decoder", "hybrid"),
    _fast("coefficients", "own entropy decoding", "coefficients"),
    Implementation("fastpre-copied", "fastpre on the CPU, then .to(cuda)", Copied, ("cuda",), required_db=math.inf),
)
