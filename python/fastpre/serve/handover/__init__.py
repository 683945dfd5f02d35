"""How a batch goes from the stage that filled it to the one that runs it: threads, shared memory, or a broker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    import torch

__all__ = ["Handover", "WorkerDied"]


class WorkerDied(RuntimeError):
    """The process that had the batch is gone, or the broker is; nothing is known of the batch."""


class Handover(Protocol):
    """The way to one model, wherever it runs.

    The preprocessing stage writes images into slots of what `allocate` gave; `run` carries a run of slots to the model
    and brings back what it returned. `instances` threads call `run` at the same time, each with its own number.
    """

    @property
    def instances(self) -> int:
        """How many batches run at a time."""

    def allocate(self, slots: int, shape: tuple[int, int, int], dtype: torch.dtype) -> torch.Tensor:
        """Memory of (slots, C, H, W) in the model's own memory format; given back by `release`."""

    def release(self, memory: torch.Tensor) -> None:
        """Gives back what `allocate` gave."""

    def start(self) -> None:
        """Starts what runs the model, and returns once it is ready."""

    def run(self, memory: torch.Tensor, first: int, count: int, instance: int) -> Mapping[str, np.ndarray[Any, Any]]:
        """Runs the model on slots [first, first + count), and returns its arrays of (count, ...).

        Raises:
            WorkerDied: its process or the broker is gone. A new one is being started; `ready` says when it is there.
            Exception: what the model raised.
        """

    @property
    def ready(self) -> bool:
        """True if every instance can take a batch."""

    def close(self) -> None:
        """Stops everything that `start` started, and removes what it left in shared memory or with the broker."""
