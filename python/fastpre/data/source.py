"""Packed batches as a DataLoader's workers send them, or as they are read in this process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from .compressed import Compressed
from .stats import Clock

__all__ = ["Source"]


class Source(Iterator[Compressed]):
    """A DataLoader's iterator whose batches know their epoch.

    Args:
        batches: the iterator.
        workers: it has worker processes.
        seed, epoch, first: see `Compressed`.
        clock: where the time goes that reading takes.
    """

    def __init__(self, batches: Iterator[Any], workers: bool, seed: int, epoch: int, first: int, clock: Clock) -> None:
        self._batches = batches
        self._workers = workers
        self._seed = seed
        self._epoch = epoch
        self._first = first
        self._clock = clock

    def __next__(self) -> Compressed:
        began = time.perf_counter()
        try:
            batch = next(self._batches)
            while batch is None:  # see Stream
                batch = next(self._batches)
        except (ConnectionError, EOFError) as error:
            if self.advanced(error):
                raise
            raise RuntimeError("a DataLoader worker died: the connection to it broke") from error
        finally:
            self._clock.fetching_s += time.perf_counter() - began
        first = self._first
        self._first += len(batch.images)
        return batch._replace(seed=self._seed, epoch=self._epoch, first=first)  # type: ignore[no-any-return]

    def advanced(self, error: Exception) -> bool:
        """True if the batch is lost: the dataset raised the error, and it is no lost worker's or the sampler's."""
        return not self._workers or "in DataLoader worker process" in str(error)

    def close(self) -> None:
        """Ends the DataLoader's workers, unless they are persistent.

        Its iterator's `__del__` would too, but an error from a worker has a traceback that keeps it, in a cycle; and
        when the garbage collector gets to it, the queues are closed first and torch waits 5 s for each worker.
        """
        shut_down = getattr(self._batches, "_shutdown_workers", None)
        if shut_down is not None and not getattr(self._batches, "_persistent_workers", True):
            shut_down()
