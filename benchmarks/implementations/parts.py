"""Parts of decoding, each alone: entropy decoding, and whole decodes to rows that are not kept.

They run inside an extension (benchmarks/decoder_probe.cpp), so that libjpeg-turbo and fastpre's own decoder are called
in the same way and nothing of Python's is timed but one call an image. Development builds have it; wheels do not.
"""

from __future__ import annotations

import concurrent.futures
import importlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from difference import Difference, Reference
from tasks import ENTROPY, RGB, SKIP, TURBO_ENTROPY, TURBO_RGB, Job

import fastpre
from fastpre.errors import ImageError

from .base import Array, Implementation, Run


def extension() -> Callable[..., int]:
    """The function probe(image, what, checksum=False): what a part comes to, a count or a checksum.

    Raises:
        ImportError: fastpre was built without it.
    """
    try:
        return importlib.import_module("fastpre_probe").probe  # type: ignore[no-any-return]
    except ModuleNotFoundError:
        raise ImportError("fastpre_probe is part of development builds (make test; FASTPRE_BUILD_PROBE=ON)") from None


def probe(data: bytes, what: str, checksum: bool = False) -> int:
    """One image, once."""
    return extension()(data, what, checksum)


class Part(Run):
    """One part, by its key."""

    def __init__(self, key: str, job: Job, threads: int) -> None:
        self._key = key
        self._parts = job.parts
        self._map = map if threads == 1 else concurrent.futures.ThreadPoolExecutor(threads).map
        self._probe = extension()

    def __call__(self, images: list[bytes]) -> Array:
        return list(self._map(lambda data: self._probe(data, self._key), images))

    def taken(self, images: list[bytes]) -> list[bytes]:
        """Parts of the two decoders are compared on the same images: those that both decode."""
        refused = declined(images) if ENTROPY in self._parts else {}
        return [data for i, data in enumerate(images) if i not in refused]

    def check(self, difference: Difference, images: list[bytes], right: Reference) -> None:
        for data, pixels in zip(images, right.pixels, strict=True):
            agrees = self._agrees(data, pixels.numpy())
            if agrees is not None:
                difference.count(agrees)

    def _agrees(self, data: bytes, pixels: np.ndarray[Any, Any]) -> bool | None:
        """Whether the part is right; None: there is nothing to compare it with."""
        if self._key in (RGB, TURBO_RGB):
            return probe(data, self._key, True) == checksum(pixels.transpose(1, 2, 0))
        if self._key == SKIP:  # keeps nothing that could be compared: it has to get to the end of the image
            return probe(data, SKIP) == probe(data, TURBO_ENTROPY)
        if declined([data]):
            return None
        return probe(data, TURBO_ENTROPY, True) == probe(data, ENTROPY, True)


def declined(images: Sequence[bytes]) -> dict[int, str]:
    """By index, why fastpre's own decoder cannot do an image, which it then leaves to libjpeg-turbo."""
    reasons = {}
    for i, data in enumerate(images):
        try:
            probe(data, RGB)
        except fastpre.InternalError:
            raise
        except (RuntimeError, ImageError) as e:
            reasons[i] = str(e)
    return reasons


def checksum(pixels: np.ndarray[Any, Any]) -> int:
    """Of dense values, each with a weight of its place in C order: `Weight` of benchmarks/decoder_probe.cpp."""
    x = np.arange(1, pixels.size + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    weights = (x ^ (x >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    return int((pixels.reshape(-1) * weights).sum(dtype=np.uint64))


def _part(key: str, label: str) -> Implementation:
    def make(job: Job, device: str, threads: int) -> Run:
        return Part(key, job, threads)

    return Implementation(key, label, make, does=lambda job: key in job.parts, required_db=math.inf, part=True)


ALL = (
    _part(TURBO_ENTROPY, "entropy decoding, libjpeg-turbo"),
    _part(ENTROPY, "entropy decoding, fastpre"),
    _part(SKIP, "entropy decoding, fastpre, skipped"),
    _part(TURBO_RGB, "decode to rows, libjpeg-turbo"),
    _part(RGB, "decode to rows, fastpre"),
)
