"""Which part of a dataset is this process's: its rank's among ranks, its worker's among workers."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.utils.data import get_worker_info

__all__ = ["Ranks", "Share"]


class Share(NamedTuple):
    """One of `world_size` ranks' shares, and one of `workers` parts of it."""

    rank: int
    world_size: int
    worker: int
    workers: int

    def words(self) -> str:
        """For messages."""
        return f"rank {self.rank} of {self.world_size}, worker {self.worker} of {self.workers}"


class Ranks:
    """Where this process stands among those that train together.

    Args:
        rank, world_size: None: as `torch.distributed` has it when it is first asked for; alone where it is not
            initialised. Spawned workers, which do not have it, get what held in the process that made them.

    Raises:
        ValueError: one without the other, or a rank that is not below `world_size`.
    """

    def __init__(self, rank: int | None, world_size: int | None) -> None:
        if (rank is None) != (world_size is None):
            raise ValueError(f"give rank and world_size together, got rank={rank} and world_size={world_size}")
        if rank is not None and world_size is not None and not 0 <= rank < world_size:
            raise ValueError(f"rank must be from 0 to world_size - 1, got rank={rank} and world_size={world_size}")
        self._given = None if rank is None or world_size is None else (rank, world_size)

    def __getstate__(self) -> dict[str, tuple[int, int] | None]:
        # Without torch.distributed nothing is settled: a copy may be on its way to a process that has yet to join it.
        return {"_given": self._given or _distributed()}

    def share(self) -> Share:
        """This process's."""
        rank, world_size = self._given or _distributed() or (0, 1)
        worker = get_worker_info()
        return Share(rank, world_size, *((0, 1) if worker is None else (worker.id, worker.num_workers)))


def _distributed() -> tuple[int, int] | None:
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return None
