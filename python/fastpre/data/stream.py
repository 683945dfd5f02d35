"""An iterable dataset that knows how far it has come, and goes on from there in another run."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from torch.utils.data import IterableDataset, get_worker_info

from .state import Arrived, State

__all__ = ["AHEAD", "Stream"]

AHEAD = object()  # stands for a sample of a worker whose turn is over


class Stream(IterableDataset[Any]):
    """The user's dataset. It lives in each process that iterates over it.

    If the dataset or the iterator that it gives have `state_dict` and `load_state_dict`, as torchdata asks for, these
    carry the place over; else what was delivered is read again, and dropped.

    Args:
        dataset: what the user gave.
        batch_size: of the loader.
        resume: where the first iteration begins; None: at the beginning. Persistent workers iterate again.
    """

    def __init__(self, dataset: IterableDataset[Any], batch_size: int, resume: State | None) -> None:
        self.dataset: Any = dataset
        self._resume = resume
        self._batch_size = batch_size
        self._stateful: tuple[Any, Any] = (None, None)  # the dataset and its iterator, where they have a state
        self._samples = 0

    def __len__(self) -> int:
        return len(self.dataset)

    def __iter__(self) -> Iterator[Any]:
        resume, self._resume = self._resume, None
        worker = _worker()
        places = None if resume is None else resume.places
        samples, state = (places and places[worker]) or (0, None)
        iterator = self._iterator(state)
        if state is None:
            for _ in itertools.islice(iterator, samples):
                pass
        self._samples = samples
        if resume is not None and worker < resume.next_worker:
            # DataLoader begins with worker 0. A batch of nothing makes it the turn of the one that is next.
            yield from itertools.repeat(AHEAD, self._batch_size)
        for sample in iterator:
            self._samples += 1
            yield sample

    def arrived(self) -> Arrived:
        """How far this process has come."""
        states = [None if part is None else part.state_dict() for part in self._stateful]
        return Arrived(_worker(), self._samples, None if self._stateful == (None, None) else states)

    def _iterator(self, states: Any) -> Iterator[Any]:
        """The dataset's iterator, at its beginning or where the states say."""
        dataset = self.dataset if _has_state(self.dataset) else None
        if dataset is not None and states is not None:
            dataset.load_state_dict(states[0])
        iterator: Iterator[Any] = iter(self.dataset)
        own: Any = iterator if iterator is not dataset and _has_state(iterator) else None
        if own is not None and states is not None:
            own.load_state_dict(states[1])
        self._stateful = (dataset, own)
        return iterator


def _worker() -> int:
    info = get_worker_info()
    return 0 if info is None else info.id


def _has_state(thing: object) -> bool:
    return callable(getattr(thing, "state_dict", None)) and callable(getattr(thing, "load_state_dict", None))
