"""The model in this process: a batch is handed over by a call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..model import Model
from .description import Description
from .job import called

if TYPE_CHECKING:
    import torch

__all__ = ["Threads"]


class Threads:
    """Calls the model in the thread that calls `run`.

    The factory is called once for each instance, since a model is called by one thread at a time. If it always returns
    the same model, the instances share that.
    """

    def __init__(self, factory: Callable[[], Model], *, instances: int = 1) -> None:
        self._factory = factory
        self._instances = instances
        self._models: list[Model] = []

    @property
    def instances(self) -> int:
        """How many batches run at a time."""
        return self._instances

    @property
    def description(self) -> Description:
        """What the model says of itself."""
        if not self._models:
            raise RuntimeError("start() comes first")
        return Description.of(self._models[0])

    def start(self) -> None:
        """Loads the models."""
        self._models = [self._factory() for _ in range(self._instances)]

    def allocate(self, slots: int, shape: tuple[int, int, int], dtype: torch.dtype) -> torch.Tensor:
        """Memory of (slots, C, H, W); pinned if the model runs on a CUDA device."""
        import torch

        model = self._models[0]
        pinned = torch.device(model.device).type == "cuda"
        memory_format = model.spec.memory_format
        return torch.empty((slots, *shape), dtype=dtype, memory_format=memory_format, pin_memory=pinned)

    def release(self, memory: torch.Tensor) -> None:
        """Does nothing: it is an ordinary tensor."""

    def run(self, memory: torch.Tensor, first: int, count: int, instance: int) -> Mapping[str, np.ndarray[Any, Any]]:
        """Runs the model on slots [first, first + count)."""
        return called(self._models[instance], memory[first : first + count])

    @property
    def ready(self) -> bool:
        """True from `start` to `close`."""
        return bool(self._models)

    def close(self) -> None:
        """Lets go of the models."""
        self._models = []
