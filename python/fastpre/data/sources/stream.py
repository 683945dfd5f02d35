"""An iterable of images as a dataset."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from torch.utils.data import IterableDataset

from ..._backend.arguments import integer
from ...errors import ImageReadError
from .lost import LOST
from .share import Ranks

__all__ = ["Stream"]

ADVICE: Final = "Give the function that makes it, which is called every epoch: Stream(images) and not Stream(images())"


class Stream(IterableDataset[Any]):
    """What a generator function yields, as a dataset that can be iterated over again.

    Samples are what it yields: images, or tuples that begin with one. Ranks and DataLoader workers each run it and take
    turns: of n, each keeps every n-th sample. With `split=True` it is told its part, and reads nothing in vain.

    Args:
        source: a function without arguments that returns an iterable, as a generator function does; or an iterable that
            gives its items anew every time. A generator serves for one epoch.
        split: the function takes (part, parts) and yields its part, 0 <= part < parts, of all samples.
        length: how many samples there are, if that is known: what `len` gives. Where the source gives fewer, the last
            sample is an error that says so.
        rank, world_size: None: those of `torch.distributed`, if it is initialised.

    An exception that the source raises is raised in its batch's place, and ends the epoch: a generator cannot go on.

    Raises:
        TypeError: the source is neither.
        ValueError: `split` without a function.
        RuntimeError: when an iteration begins, of a generator or other iterator that has been used, or that workers
            would have to share.
    """

    def __init__(
        self,
        source: Callable[..., Iterable[Any]] | Iterable[Any],
        *,
        split: bool = False,
        length: int | None = None,
        rank: int | None = None,
        world_size: int | None = None,
    ) -> None:
        if not callable(source) and not isinstance(source, Iterable):
            raise TypeError(f"source must be a generator function or an iterable, got {type(source).__name__}")
        self._is_function = callable(source) and not isinstance(source, Iterable)
        if split and not self._is_function:
            raise ValueError("split=True needs a function of (part, parts)")
        self._source: Any = source
        self._split = split
        self._length = None if length is None else integer("length", length, least=0, below=None)
        self._ranks = Ranks(rank, world_size)
        self._used: Any = None  # an iterator that is not to be used again
        self._given = 0  # by the latest iteration
        self._skip = 0  # of the next one

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_used": None}

    def __repr__(self) -> str:
        length = "" if self._length is None else f", length={self._length}"
        return f"Stream({self._name()}{length})"

    def __len__(self) -> int:
        """Samples of this rank in an epoch.

        Raises:
            TypeError: no `length` was given.
        """
        if self._length is None:
            raise TypeError("this Stream has no length; give it if it is known: Stream(source, length=...)")
        share = self._ranks.share()
        return _every(self._length, share.rank, share.world_size)

    def __iter__(self) -> Iterator[Any]:
        """Begins an epoch, or goes on with one."""
        share = self._ranks.share()
        part, parts = share.rank + share.world_size * share.worker, share.world_size * share.workers
        if isinstance(self._source, Iterator) and share.workers > 1:
            raise RuntimeError(f"{share.workers} workers cannot share the iterator {self._name()}. {ADVICE}")
        whole = self._source() if self._is_function and not self._split else self._source
        items = iter(self._source(part, parts) if self._split else whole)
        if items is self._used:
            raise RuntimeError(f"{self._name()} was used up in the first epoch. {ADVICE}")
        self._used = items
        self._given, self._skip = self._skip, 0
        mine = items if self._split else itertools.islice(items, part, None, parts)
        expected = None if self._length is None or self._split else _every(self._length, part, parts)
        return self._samples(mine, self._given, expected)

    def state_dict(self) -> dict[str, Any]:
        """Where this process's latest iteration stands: how many samples it has given."""
        return {"given": self._given}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The next iteration skips what was given: it runs the source up to there."""
        self._skip = state_dict["given"]

    def _samples(self, items: Iterator[Any], skipped: int, expected: int | None) -> Iterator[Any]:
        sample: Any = None
        for sample in items:
            if skipped:
                skipped -= 1
                continue
            self._given += 1
            yield sample
        if expected is not None and self._given < expected:
            count, self._given = self._given, expected
            error = ImageReadError(f"the source ended after {count} of {expected} samples", name=self._name())
            yield (error, *(LOST for _ in sample[1:])) if isinstance(sample, (tuple, list)) else error

    def _name(self) -> str:
        return getattr(self._source, "__qualname__", None) or type(self._source).__name__


def _every(count: int, first: int, step: int) -> int:
    """How many of `count` come of every `step`-th from `first` on."""
    return max(0, -((first - count) // step))
