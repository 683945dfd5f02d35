"""What the engine asks of a model: a batch in, arrays out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..spec import Spec
from .inference import TensorInfo

if TYPE_CHECKING:
    import torch

__all__ = ["Model"]


class Model(Protocol):
    """A model that is loaded. One thread at a time calls it.

    Attributes:
        platform: what runs it, such as "torchvision" or "onnxruntime".
        task: "classification", "segmentation", "detection", "depth", or another word.
        spec: what turns an image into its input; it has a fixed output size.
        device: where it takes its input: "cpu", "cuda:0".
        outputs: their names, datatypes and shapes, -1 for the batch.
        labels: the classes' names, or empty.
        max_batch: the largest batch that it can take; 0: any.
    """

    name: str
    platform: str
    task: str
    spec: Spec
    device: str
    outputs: tuple[TensorInfo, ...]
    labels: tuple[str, ...]
    max_batch: int

    def __call__(self, batch: torch.Tensor) -> Mapping[str, np.ndarray[Any, Any]]:
        """Arrays of (N, ...) by output, for a batch of (N, C, H, W). They are the caller's: no later call changes them.

        Whatever it raises is reported to the requests of this batch.
        """
