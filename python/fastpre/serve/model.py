"""What the engine asks of a model: a batch in, arrays out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..spec import Spec
from .inference import TensorInfo

if TYPE_CHECKING:
    import torch

__all__ = ["Described", "Model"]


class Described(Protocol):
    """What a model says of itself, apart from running."""

    @property
    def name(self) -> str:
        """What clients call it."""

    @property
    def platform(self) -> str:
        """What runs it, such as "torchvision" or "onnxruntime"."""

    @property
    def task(self) -> str:
        """The task: "classification", "segmentation", "detection", "depth", or another word."""

    @property
    def spec(self) -> Spec:
        """What turns an image into its input; it has a fixed output size."""

    @property
    def device(self) -> str:
        """Where it takes its input: "cpu", "cuda:0"."""

    @property
    def outputs(self) -> tuple[TensorInfo, ...]:
        """Their names, datatypes and shapes, -1 for the batch."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes' names, or empty."""

    @property
    def max_batch(self) -> int:
        """The largest batch that it can take; 0: any."""


class Model(Described, Protocol):
    """A model that is loaded. One thread at a time calls it."""

    def __call__(self, batch: torch.Tensor) -> Mapping[str, np.ndarray[Any, Any]]:
        """Arrays of (N, ...) by output, for a batch of (N, C, H, W). They are the caller's: no later call changes them.

        Whatever it raises is reported to the requests of this batch.
        """
