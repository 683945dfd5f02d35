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
        self.outputs, self.labels, self.max_batch = self._model.outputs, self._model.labels, 0

    def __call__(self, batch: torch.Tensor) -> Mapping[str, np.ndarray[Any, Any]]:
        """See `Model`."""
        return self._model((batch.float() - self._shift) / self._scale)


def make(num_threads: int = 1) -> OfPixels:
    """For `python:pixels_model:make`."""
    return OfPixels(num_threads)
