"""Where a loader is, as a plain dict that JSON takes."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple, Protocol

__all__ = ["Arrived", "Made", "Place", "Position", "State"]

VERSION = 1
Place = list[Any]  # of one process: samples that were delivered; states of the dataset and its iterator, or None


class Arrived(NamedTuple):
    """How far the process that read a batch has come in an iterable dataset, after it.

    Attributes:
        worker: the process.
        samples: that it has read.
        state: what the dataset itself says of its place; None if it does not.
    """

    worker: int
    samples: int
    state: Any


@dataclasses.dataclass(frozen=True)
class Made:
    """What must be the same in the loader that a state was saved by and the one that loads it.

    Attributes:
        iterable: the dataset is an iterable one.
        length: of the dataset; None if it has none.
        batch_size: None with a batch sampler.
        seed: the loader's.
        num_workers: of an iterable dataset, which they share between them; None for others, where it may change.
    """

    iterable: bool
    length: int | None
    batch_size: int | None
    seed: int | None
    num_workers: int | None


@dataclasses.dataclass(frozen=True)
class State:
    """A place in an epoch, after so many delivered batches.

    Attributes:
        epoch: its number.
        batches: that were delivered; those that only were read or decoded do not count.
        base_seed: what augmentations' seeds are made from; None before the epoch has begun.
        drawn, digest: of a map-style dataset, see `order.Drawing`. Not drawn yet: None.
        generators: states of the loader's generators, where the epoch's order is yet to be drawn from them.
        places, next_worker: of an iterable dataset, by worker (or in this process), and whose batch comes next.
    """

    epoch: int
    batches: int = 0
    base_seed: int | None = None
    drawn: dict[str, list[str]] | None = None
    digest: int = 0
    generators: dict[str, str] = dataclasses.field(default_factory=dict)
    places: list[Place | None] | None = None
    next_worker: int = 0

    def as_dict(self, made: Made) -> dict[str, Any]:
        """The state for the user."""
        return {"version": VERSION, **dataclasses.asdict(made), **dataclasses.asdict(self)}

    @classmethod
    def of(cls, saved: Any, made: Made) -> State:
        """The reverse, for a loader like the one that saved it.

        Raises:
            TypeError: no dict.
            ValueError: it is of another version, or of a loader that was made otherwise, and how.
        """
        if not isinstance(saved, dict):
            raise TypeError(f"expected what Loader.state_dict() gives, got {type(saved).__name__}")
        if saved.get("version") != VERSION:
            msg = f"expected what Loader.state_dict() gives, in version {VERSION}; got version {saved.get('version')!r}"
            raise ValueError(msg)
        for name, here in dataclasses.asdict(made).items():
            if saved[name] != here:
                raise ValueError(f"the state is of a loader with {name}={saved[name]!r}; this one has {name}={here!r}")
        return cls(**{field.name: saved[field.name] for field in dataclasses.fields(cls)})


class Position(Protocol):
    """What counts an epoch's batches as they are delivered."""

    def deliver(self, arrived: Arrived | None) -> None:
        """Counts the next batch, or an error in its place."""

    def release(self) -> None:
        """Lets go of what is needed for further batches only."""

    def state(self, epoch: int, base_seed: int) -> State:
        """Where the epoch is."""
