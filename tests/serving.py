"""A model that does what a test wants."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

import fastpre
from fastpre.serve.inference import TensorInfo


class Means:
    """Each image's mean, of its model input: small enough to compare, and different for different images."""

    name = "means"
    platform = "test"
    task = "classification"
    device = "cpu"
    labels: tuple[str, ...] = ()
    max_batch = 0
    outputs = (TensorInfo("mean", "FP32", (-1, 3)),)

    def __init__(self, hook: Callable[[torch.Tensor], None] | None = None, size: int = 16) -> None:
        self.spec = fastpre.Spec(resize=size, crop=size)
        self.hook = hook
        self.batches: list[int] = []

    def __call__(self, batch: torch.Tensor) -> Mapping[str, np.ndarray[Any, Any]]:
        self.batches.append(len(batch))
        if self.hook is not None:
            self.hook(batch)
        return {"mean": batch.mean(dim=(2, 3)).numpy()}

    def expected(self, image: bytes) -> np.ndarray[Any, Any]:
        """What the model gives for one image."""
        return fastpre.Preprocessor(self.spec)([image]).mean(dim=(2, 3)).numpy()


class Gate:
    """A hook that holds each batch until it is opened."""

    def __init__(self) -> None:
        self.inside = threading.Semaphore(0)
        self._open = threading.Event()

    def __call__(self, batch: torch.Tensor) -> None:
        self.inside.release()
        assert self._open.wait(10)

    def open(self) -> None:
        self._open.set()
