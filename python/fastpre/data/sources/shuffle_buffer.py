"""Shuffling of a stream, as far as a buffer reaches."""

from __future__ import annotations

import random
from typing import Any, Final

__all__ = ["NOTHING", "ShuffleBuffer", "buffer_size"]

NOTHING: Final = object()  # the buffer is not full yet
DEFAULT_SIZE = 1000  # images: 100 MB of photographs


def buffer_size(shuffle: bool | int) -> int:
    """The size that `shuffle` asks for; 0: none.

    Raises:
        TypeError, ValueError: it is neither a bool nor a number from 0.
    """
    if isinstance(shuffle, bool):
        return DEFAULT_SIZE if shuffle else 0
    if not isinstance(shuffle, int):
        raise TypeError(f"shuffle must be a bool or the buffer's size in samples, got {shuffle!r}")
    if shuffle < 0:
        raise ValueError(f"shuffle must be 0 or more samples, got {shuffle}")
    return shuffle


class ShuffleBuffer:
    """Holds `size` things, and gives a random one of them for each that is put in.

    Attributes:
        held: what is in it.
    """

    def __init__(self, size: int, draws: random.Random) -> None:
        self._size = size
        self._draws = draws
        self.held: list[Any] = []

    def exchange(self, thing: Any) -> Any:
        """Puts one in, and takes one out if there are enough, else `NOTHING`."""
        if self._size == 0:
            return thing
        if len(self.held) < self._size:
            self.held.append(thing)
            return NOTHING
        place = self._draws.randrange(self._size)
        taken, self.held[place] = self.held[place], thing
        return taken

    def close(self) -> None:
        """There are no more: what is held is to be taken from the end of `held`."""
        self._draws.shuffle(self.held)
