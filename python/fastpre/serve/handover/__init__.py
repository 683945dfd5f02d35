"""How a batch goes from the stage that filled it to the one that runs it: threads, shared memory, or a broker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from .description import Description

if TYPE_CHECKING:
    import torch

__all__ = ["Description", "Handover", "ModelRaised", "WorkerDied"]


class WorkerDied(RuntimeError):
    """The process that had the batch is gone, or the broker is; nothing is known of the batch."""


class ModelRaised(RuntimeError):
    """What a model in another process raised, as its type and text: "ValueError: no such class".

    Attributes:
        traceback: where it was raised, as text.
    """

    def __init__(self, text: str, traceback: str = "") -> None:
        super().__init__(text)
        self.traceback = traceback


class Handover(Protocol):
    """The way to one model, wherever it runs.

    The preprocessing stage writes images into slots of what `allocate` gave; `run` carries a run of slots to the model
    and brings back what it returned. `instances` threads call `run` at the same time, each with its own number.
    """

    @property
    def instances(self) -> int:
        """How many batches run at a time."""

    @property
    def description(self) -> Description:
        """What the model says of itself; known once `start` has returned."""

    def allocate(self, slots: int, shape: tuple[int, int, int], dtype: torch.dtype) -> torch.Tensor:
        """Memory of (slots, C, H, W) in the model's own memory format; given back by `release`."""

    def release(self, memory: torch.Tensor) -> None:
        """Gives back what `allocate` gave."""

    def start(self) -> None:
        """Starts what runs the model, and returns once it is ready. Comes before `allocate`.

        Raises:
            WorkerDied: the process ended, or took too long, while it loaded the model; or the broker is away.
            Exception: what loading the model raised; from another process as a `ModelRaised`.
        """

    def run(self, memory: torch.Tensor, first: int, count: int, instance: int) -> Mapping[str, np.ndarray[Any, Any]]:
        """Runs the model on slots [first, first + count), and returns its arrays of (count, ...).

        Raises:
            WorkerDied: its process or the broker is gone. A new one is being started; `ready` says when it is there.
            Exception: what the model raised; from another process as a `ModelRaised`.
        """

    @property
    def ready(self) -> bool:
        """True if every instance can take a batch."""

    def close(self) -> None:
        """Stops everything that `start` started, and removes what it left in shared memory or with the broker."""
