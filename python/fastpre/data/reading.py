"""A loader's dataset, and the DataLoaders that read from it, an epoch at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch.utils.data import DataLoader, IterableDataset

from .compressed import pack
from .dataset import InWorker, checked
from .order import Order, Shuffled, current, restore
from .places import Nowhere, PackStream, Places
from .prefetch import Ending
from .source import Source
from .state import Made, Position, State
from .stats import Clock
from .stream import Stream

__all__ = ["Begun", "Reading"]

IterDataPipe: Any = getattr(torch.utils.data, "IterDataPipe", ())  # deprecated: a later torch will not have it


class Begun(NamedTuple):
    """An epoch's packed batches.

    Attributes:
        source: gives them.
        position: counts them.
        base_seed: see `State`.
        workers: they come from the persistent workers, which must not be given to another epoch meanwhile.
    """

    source: Source
    position: Position
    base_seed: int
    workers: bool


class Reading:
    """The dataset, arranged in batches by torch's rules, which DataLoader's constructor knows and checks.

    Args:
        dataset: as the user gave it.
        seed: of the loader.
        arranged: `batch_size`, `shuffle`, `sampler`, `batch_sampler`, `drop_last`.
        options: of every DataLoader that is made here.

    Attributes:
        arranged: a DataLoader with what the user gave, for its attributes.
        served: the iteration that the persistent workers belong to.
    """

    def __init__(
        self,
        dataset: Any,
        seed: int | None,
        arranged: dict[str, Any],
        options: dict[str, Any],
        *,
        persistent_workers: bool,
    ) -> None:
        self._user = dataset
        self._seed = seed
        self._generator: torch.Generator | None = options["generator"]
        self._dataset = checked(dataset)
        self._options = {**options, "worker_init_fn": InWorker(options["worker_init_fn"]), "collate_fn": pack}
        if seed is not None:
            self._options["generator"] = torch.Generator()  # for the workers' seeds
            if arranged["shuffle"] and arranged["sampler"] is None and arranged["batch_sampler"] is None:
                arranged = {**arranged, "shuffle": None, "sampler": Shuffled(self._dataset, seed)}
        self.arranged: DataLoader[Any] = DataLoader(
            self._dataset, persistent_workers=persistent_workers, **arranged, **self._options
        )
        self._order: Order | None = None
        if not self.iterable:
            self._order = Order(self.arranged.batch_sampler, self._generator)  # type: ignore[arg-type]
        self._kept: DataLoader[Any] | None = None  # with the persistent workers
        self.served: Ending | None = None
        self._beginning = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        """Without what belongs to this process: its workers, its iterations and its lock."""
        return {**self.__dict__, "_beginning": None, "_kept": None, "served": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _beginning=threading.Lock())

    @property
    def iterable(self) -> bool:
        """The dataset is an iterable one."""
        return isinstance(self._dataset, IterableDataset)

    @property
    def made(self) -> Made:
        """What a state depends on."""
        loader = self.arranged
        length = None if self.iterable or not hasattr(self._user, "__len__") else len(self._user)
        return Made(self.iterable, length, loader.batch_size, self._seed, loader.num_workers if self.iterable else None)

    def generators(self) -> dict[str, str]:
        """The states of the generators from which the next epoch's order will be drawn, but for torch's own."""
        return {} if self._order is None else current(self._order.generators())

    def restore(self, generators: dict[str, str]) -> None:
        """Sets them."""
        if self._order is not None:
            restore(generators, self._order.generators())

    def images(self, resume: State | None) -> int | None:
        """What is left of an epoch; None where nothing says how many they are."""
        loader = self.arranged
        if loader.batch_size is None:
            return None
        try:
            whole = min(len(self._dataset if self.iterable else loader.sampler), len(loader) * loader.batch_size)  # type: ignore[arg-type]
        except TypeError:
            return None
        return whole if resume is None else max(0, whole - resume.batches * loader.batch_size)

    def begin(self, epoch: int, resume: State | None, clock: Clock) -> Begun:
        """An epoch, from its beginning or where a state of it says."""
        with self._beginning:
            if self._seed is not None:
                self._options["generator"].manual_seed((self._seed + epoch) % (1 << 64))
            base_seed = self._base_seed() if resume is None or resume.base_seed is None else resume.base_seed
            busy = self.served is not None and self.served.open
            model = torch.default_generator.get_state() if resume is not None and resume.base_seed is not None else None
            # The persistent workers' copies of an iterable dataset cannot be told where to go on.
            workers = self.arranged.persistent_workers and not busy and (resume is None or not self.iterable)
            try:
                batches, position = self._batches(workers, resume)
            finally:
                if model is not None:  # what DataLoader draws was drawn before the state was saved
                    torch.default_generator.set_state(model)
        first = position.samples if isinstance(position, Places) else 0
        source = Source(batches, self.arranged.num_workers > 0, base_seed, epoch, first, clock)
        return Begun(source, position, base_seed, workers)

    def _batches(self, workers: bool, resume: State | None) -> tuple[Iterator[Any], Position]:
        """An iterator that no other epoch shares."""
        position: Position
        if self._order is not None:
            position = self._order.begin(resume)
            how: dict[str, Any] = {"batch_sampler": self._order}
            return iter(self._loader(workers, self._dataset, how)), position
        how = {"batch_size": self.arranged.batch_size, "drop_last": self.arranged.drop_last}
        if isinstance(self._dataset, IterDataPipe):
            return iter(self._loader(workers, self._dataset, how)), Nowhere()
        stream = Stream(self._dataset, self.arranged.batch_size, resume)  # type: ignore[arg-type]
        how["collate_fn"] = PackStream(stream)
        return iter(self._loader(workers, stream, how)), Places(self.arranged.num_workers, resume)

    def _loader(self, workers: bool, dataset: Any, how: dict[str, Any]) -> DataLoader[Any]:
        # DataLoader has one iterator for its persistent workers, and would take it from the epoch that has it.
        if workers and self._kept is not None:
            return self._kept
        loader: DataLoader[Any] = DataLoader(dataset, persistent_workers=workers, **{**self._options, **how})
        if workers:
            self._kept = loader
        return loader

    def _base_seed(self) -> int:
        """The seed, or the number that comes next from the generator, which is left as it is."""
        if self._seed is not None:
            return self._seed
        peek = torch.Generator()
        peek.set_state((self._generator or torch.default_generator).get_state())
        return int(torch.empty((), dtype=torch.int64).random_(generator=peek).item())
