"""The random order of a dataset's pieces and samples, and whose is which."""

from __future__ import annotations

import random
from typing import NamedTuple

import torch
from torch.utils.data import get_worker_info

from .share import Share

__all__ = ["Order", "drawn"]


class Order(NamedTuple):
    """What the order is drawn from.

    Attributes:
        shuffled: False: everything comes as it lies.
        among_ranks: numbers that decide which piece is which rank's; the same on all ranks.
        within_rank: numbers that decide everything else.
    """

    shuffled: bool
    among_ranks: tuple[int, int]
    within_rank: tuple[int, int]

    def pieces(self, count: int, share: Share) -> list[int]:
        """This share's pieces."""
        mine = self._shuffle(list(range(count)), f"ranks {self.among_ranks}")[share.rank :: share.world_size]
        return self._shuffle(mine, f"pieces {self.within_rank} {share.rank}")[share.worker :: share.workers]

    def draws(self, share: Share) -> random.Random:
        """The random numbers of this share's shuffle buffer."""
        return random.Random(f"samples {self.within_rank} {share.rank} {share.worker}")

    def _shuffle(self, pieces: list[int], seed: str) -> list[int]:
        if self.shuffled:
            random.Random(seed).shuffle(pieces)
        return pieces


def drawn(begun: int) -> tuple[int, int]:
    """Numbers from torch's generators, the same in all workers of an iteration, and others for the next.

    Args:
        begun: how many iterations this process has begun before.
    """
    worker = get_worker_info()
    if worker is None:
        return int(torch.empty((), dtype=torch.int64).random_()), 0
    return worker.seed - worker.id, begun  # DataLoader's draw for its workers, which those that persist keep
