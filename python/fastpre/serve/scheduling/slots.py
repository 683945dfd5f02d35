"""Slots of one batch tensor: which are free, and which finished ones make the next batch without a hole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Run", "Slots"]


class Run(NamedTuple):
    """Neighbouring slots for one batch.

    Attributes:
        first, size: the batch is slots [first, first + size).
        moves: (from, to): slots to copy first, so that it has no hole.
    """

    first: int
    size: int
    moves: tuple[tuple[int, int], ...]


class Slots:
    """The slots [0, count). A set of slots is an int whose bit i stands for slot i.

    A model takes a batch as one piece of memory, but images finish in any order. So quick images take the lowest free
    slots and slow ones the highest: what finishes together lies together, and mostly nothing is moved. A slot that is
    not part of the run keeps what it has, so an image that is still being decoded holds back no other.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._free = (1 << count) - 1

    @property
    def free(self) -> int:
        """How many are free."""
        return self._free.bit_count()

    def take(self, slow: bool = False) -> int | None:
        """The slot for one image, or None if all are taken.

        Args:
            slow: it will take much longer than others: out of their way, at the far end.
        """
        if not self._free:
            return None
        slot = (self._free if slow else self._free & -self._free).bit_length() - 1
        self._free ^= 1 << slot
        return slot

    def take_run(self, count: int) -> int | None:
        """The first of `count` neighbouring free slots, all taken now, or None."""
        starts = self._free
        for _ in range(count - 1):
            starts &= starts >> 1  # bit i stays if slots i .. i + n are all free
        if not starts:
            return None
        first = (starts & -starts).bit_length() - 1
        self._free ^= ((1 << count) - 1) << first
        return first

    def back(self, slot: int) -> None:
        """The slot is not needed any more, whatever was in it."""
        self._free |= 1 << slot

    def choose(self, wanted: Sequence[int]) -> Run:
        """The run for a batch of finished images, and the moves that it takes.

        A run may cover free slots (their place is filled by moves) and slots of images that are wanted, nothing else.
        Of the runs of the largest possible count the one with the fewest moves is chosen, then the lowest. Slots that
        are moved away from are free once `back` says that they were copied.

        Args:
            wanted: slots of finished images, most urgent first.

        Returns:
            Run: of all of them, or of the first ones if there is no room for a run of all.
        """
        for count in range(len(wanted), 0, -1):
            chosen = 0
            for slot in wanted[:count]:
                chosen |= 1 << slot
            run = self._run(chosen, count)
            if run is not None:
                self._free &= ~(((1 << count) - 1) << run.first)
                return run
        raise ValueError("no image is wanted")

    def _run(self, chosen: int, count: int) -> Run | None:
        low = (chosen & -chosen).bit_length() - 1
        if chosen == ((1 << count) - 1) << low:
            return Run(low, count, ())
        usable = self._free | chosen
        window = (1 << count) - 1
        best, most = None, -1
        for first in range(self.count - count + 1):
            inside = window << first
            if usable & inside == inside:
                staying = (chosen & inside).bit_count()
                if staying > most:
                    best, most = first, staying
        if best is None:
            return None
        inside = window << best
        return Run(best, count, tuple(zip(_bits(chosen & ~inside), _bits(inside & ~chosen), strict=True)))


def _bits(mask: int) -> list[int]:
    """The slots of a set, lowest first."""
    found = []
    while mask:
        bit = mask & -mask
        found.append(bit.bit_length() - 1)
        mask ^= bit
    return found
