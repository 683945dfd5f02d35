"""A model for `fastpre serve` that does what the colour of an image says: `python:faulty:model`.

It runs in the server's process, or in a worker's, so what a test wants of it has to come with the image.
"""

from __future__ import annotations

import io
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import fastpre
from fastpre.serve.inference import TensorInfo

SIZE = 16

# What stands for what; any other image is answered with its mean.
POISON = (255, 0, 0)  # the model raises
HELD = (0, 0, 255)  # the batch runs for as long as the file is there
DEADLY = (0, 255, 0)  # the process ends by SIGKILL


def colour(rgb: tuple[int, int, int], size: int = 24) -> bytes:
    """A JPEG of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", (size, size), rgb).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


# An image that is neither.
GOOD = colour((120, 130, 140), 48)


class Faulty:
    """Answers means, slowly or not, unless an image says otherwise."""

    name = "faulty"
    platform = "test"
    task = "embedding"
    device = "cpu"
    labels: tuple[str, ...] = ()
    max_batch = 0

    def __init__(self, ms: float, ms_per_image: float, numbers: int, hold: str) -> None:
        self.spec = fastpre.Spec(resize=SIZE, crop=SIZE, mean=(0, 0, 0), std=(1, 1, 1))
        self.outputs: tuple[TensorInfo, ...] = (TensorInfo("mean", "FP32", (-1, 3)),)
        if numbers:
            self.outputs += (TensorInfo("many", "FP32", (-1, numbers)), TensorInfo("more", "FP32", (-1, numbers)))
        self._seconds, self._each = ms / 1e3, ms_per_image / 1e3
        self._numbers = numbers
        self._hold = Path(hold)

    def __call__(self, batch: torch.Tensor) -> Mapping[str, np.ndarray[Any, Any]]:
        means = batch.mean(dim=(2, 3)).numpy()
        kinds = {tuple((row > 0.5).tolist()) for row in means if (np.abs(row - 0.5) > 0.4).all()}
        if (False, False, True) in kinds:
            while self._hold.exists():
                time.sleep(0.002)
        if (False, True, False) in kinds:
            os.kill(os.getpid(), signal.SIGKILL)
        if (True, False, False) in kinds:
            raise ValueError("poison")
        time.sleep(self._seconds + self._each * len(batch))
        outputs = {"mean": means}
        if self._numbers:
            many = np.ones((len(batch), self._numbers), np.float32)
            outputs.update(many=many, more=many)
        return outputs


def model(ms: float = 0.0, ms_per_image: float = 0.0, numbers: int = 0, hold: str = "/nonexistent") -> Faulty:
    """For `python:faulty:model?ms=20`."""
    return Faulty(float(ms), float(ms_per_image), int(numbers), str(hold))
