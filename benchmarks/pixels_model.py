"""`builtin:tiny` for 8-bit pixels, which it normalizes itself: a quarter of the bytes to hand over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

import fastpre
from fastpre.serve.models.loading import load


class OfPixels:
    """A `Model`; the arithmetic is that of `builtin:tiny`."""

    def __init__(self, num_threads: int) -> None:
        self._model = load("builtin:tiny", num_threads=num_threads)
        spec = self._model.spec
        self._scale = torch.tensor(spec.std).view(3, 1, 1) * 255
        self._shift = torch.tensor(spec.mean).view(3, 1, 1) * 255
        self.name, self.platform, self.task, self.device = "tiny", "builtin", "classification", "cpu"
        self.spec: fastpre.Spec = spec.replace(dtype="uint8", mean=None, std=None)
        self._normalized = torch.empty(0, *spec_shape(self.spec))
        self.outputs, self.labels, self.max_batch = self._model.outputs, self._model.labels, 0

    def __call__(self, batch: torch.Tensor) -> Mapping[str, np.ndarray[Any, Any]]:
        """See `Model`."""
        if len(self._normalized) < len(batch):  # kept: fresh memory costs more than the arithmetic
            shape = (len(batch), *spec_shape(self.spec))
            self._normalized = torch.empty(shape).contiguous(memory_format=self.spec.memory_format)
        normalized = self._normalized[: len(batch)]
        torch.sub(batch, self._shift, out=normalized)
        return self._model(normalized.div_(self._scale))


def spec_shape(spec: fastpre.Spec) -> tuple[int, int, int]:
    """(C, H, W) of one image."""
    size = spec.output_size
    assert size is not None
    return spec.channels, *size


def make(num_threads: int = 1) -> OfPixels:
    """For `python:pixels_model:make`."""
    return OfPixels(num_threads)
