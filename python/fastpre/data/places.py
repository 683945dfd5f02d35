"""How far an iterable dataset's batches have been delivered, process by process."""

from __future__ import annotations

from typing import Any

from .compressed import Compressed, pack
from .state import Arrived, Place, State
from .stream import AHEAD, Stream

__all__ = ["Nowhere", "PackStream", "Places"]


class PackStream:
    """The stream's `collate_fn`: packs samples, and adds how far the stream has come. None: a batch of nothing."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream  # in a worker its own copy: both are pickled together

    def __call__(self, samples: list[Any]) -> Compressed | None:
        """See the class."""
        if samples[0] is AHEAD:
            return None
        return pack(samples)._replace(arrived=self._stream.arrived())


class Places:
    """How far an iterable dataset has been delivered, by the process that reads it."""

    def __init__(self, workers: int, resume: State | None) -> None:
        begin = State(0) if resume is None else resume
        self._delivered = begin.batches
        self._places: list[Place | None] = begin.places or [None] * max(1, workers)
        self._next_worker = begin.next_worker

    @property
    def samples(self) -> int:
        """Delivered, from all of them."""
        return sum(place[0] for place in self._places if place is not None)

    def deliver(self, arrived: Arrived | None) -> None:
        """Counts the next batch, or an error in its place."""
        self._delivered += 1
        if arrived is not None:
            self._places = list(self._places)
            self._places[arrived.worker] = [arrived.samples, arrived.state]
            self._next_worker = (arrived.worker + 1) % len(self._places)

    def release(self) -> None:
        """Nothing to let go of."""

    def state(self, epoch: int, base_seed: int) -> State:
        """Where the epoch is."""
        return State(epoch, self._delivered, base_seed, places=self._places, next_worker=self._next_worker)


class Nowhere:
    """Of a datapipe, which torch changes before it is read: its place is not known."""

    samples = 0

    def deliver(self, arrived: Arrived | None) -> None:
        """Nothing is counted."""

    def release(self) -> None:
        """Nothing to let go of."""

    def state(self, epoch: int, base_seed: int) -> State:
        """See the class."""
        raise TypeError("the place in a datapipe is not known; those in map-style and iterable datasets are")
