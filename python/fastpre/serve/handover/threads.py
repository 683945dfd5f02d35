"""The model in this process, called by the engine's own threads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ..model import Model

__all__ = ["Threads"]


class Threads:
    """Calls the model where it is."""

    def __init__(self, model: Model, instances: int = 1) -> None:
        self._model = model
        self.instances = instances
        self.ready = False

    def allocate(self, slots: int, shape: tuple[int, int, int], dtype: torch.dtype) -> torch.Tensor:
        """Plain memory."""
        return torch.empty((slots, *shape), dtype=dtype)

    def release(self, memory: torch.Tensor) -> None:
        """Nothing: the last reference gives it back."""

    def start(self) -> None:
        """The model is loaded already."""
        self.ready = True

    def run(self, memory: torch.Tensor, first: int, count: int, instance: int) -> Mapping[str, np.ndarray[Any, Any]]:
        """Calls the model."""
        return self._model(memory[first : first + count])

    def close(self) -> None:
        """Nothing was started."""
        self.ready = False
