"""Parts of decoding, each alone: entropy decoding, and whole decodes to rows that nobody keeps.

They run inside fastpre's extension (csrc/jpeg/probe.h), so that libjpeg-turbo and fastpre's own decoder
are called in the same way and nothing of Python's is timed but one call an image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from competitor import Array, Competitor
from tasks import Job


class Part(Competitor):
    """One part; `key` is its name in `_core.probe`. Its result is a count, and a checksum where it is checked."""

    required_db: ClassVar[float] = math.inf

    @classmethod
    def enters(cls, job: Job) -> bool:
        return cls.key in job.parts

    def prepare(self) -> None:
        from fastpre import _core

        self._probe = _core.probe

    def one(self, data: bytes) -> Array:
        return self._probe(data, self.key)

    def run(self, images: list[bytes]) -> Array:
        return list(map(self.one, images) if self._pool is None else self._pool.map(self.one, images))

    def agrees(self, data: bytes, pixels: np.ndarray[Any, Any]) -> bool | None:
        """Whether it does its part of decoding `data`, whose RGB pixels are `pixels` (CHW).

        None: there is nothing to compare it with.
        """
        raise NotImplementedError


class TurboCoefficients(Part):
    """`jpeg_read_coefficients`; compared with fastpre's where that decoder takes the image."""

    key = "coefficients/libjpeg-turbo"
    label = "entropy decoding, libjpeg-turbo"

    def agrees(self, data: bytes, pixels: np.ndarray[Any, Any]) -> bool | None:
        if 0 in declined([data]):
            return None
        found = {self._probe(data, key, True) for key in (TurboCoefficients.key, Coefficients.key)}
        return len(found) == 1


class Coefficients(TurboCoefficients):
    """The same by fastpre: every coefficient is libjpeg-turbo's."""

    key = "coefficients/fastpre"
    label = "entropy decoding, fastpre"


class Skip(Part):
    """Nothing is kept that could be compared: it has to arrive at the end of the image."""

    key = "skip/fastpre"
    label = "entropy decoding, fastpre, skipped"

    def agrees(self, data: bytes, pixels: np.ndarray[Any, Any]) -> bool | None:
        return bool(self.one(data) == self._probe(data, TurboCoefficients.key))


class TurboRgb(Part):
    """Every row by `jpeg_read_scanlines`; equal to Pillow's pixels."""

    key = "rgb/libjpeg-turbo"
    label = "decode to rows, libjpeg-turbo"

    def agrees(self, data: bytes, pixels: np.ndarray[Any, Any]) -> bool | None:
        return bool(self._probe(data, self.key, True) == checksum(pixels.transpose(1, 2, 0)))


class Rgb(TurboRgb):
    """The same by fastpre's decoder."""

    key = "rgb/fastpre"
    label = "decode to rows, fastpre"


PARTS: tuple[type[Part], ...] = (TurboCoefficients, Coefficients, Skip, TurboRgb, Rgb)


def declined(images: Sequence[bytes]) -> dict[int, str]:
    """By index, why fastpre's own decoder cannot do an image, which it then leaves to libjpeg-turbo."""
    from fastpre import InternalError, _core
    from fastpre.errors import ImageError

    reasons = {}
    for i, data in enumerate(images):
        try:
            _core.probe(data, Rgb.key)
        except InternalError:
            raise
        except (RuntimeError, ImageError) as e:
            reasons[i] = str(e)
    return reasons


def checksum(pixels: np.ndarray[Any, Any]) -> int:
    """Of dense values, each with a weight of its place in C order: `Weight` of csrc/jpeg/probe.cpp."""
    x = np.arange(1, pixels.size + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    weights = (x ^ (x >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    return int((pixels.reshape(-1) * weights).sum(dtype=np.uint64))
