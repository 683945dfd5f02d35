"""One image on its way, and the images of one request together."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Batch", "Item", "Job", "Pixels", "Prepared", "State", "Work"]


class Pixels(NamedTuple):
    """An image that is decoded already: uint8 (H, W, 3) or (H, W, 1)."""

    array: np.ndarray[Any, Any]


class Prepared(NamedTuple):
    """What the model takes, made by the client: (C, H, W) of the model's dtype."""

    array: np.ndarray[Any, Any]


class State(enum.IntEnum):
    """Where an image is."""

    QUEUED = 0
    PREPROCESSING = 1
    READY = 2
    RUNNING = 3
    DONE = 4


class Job:
    """The images of one request; `done` is called once, when the last one is.

    Attributes:
        items: in the request's order.
        deadline: seconds, as the engine's clock has it; infinity: none.
        priority: lower ones first.
        partial: of a truncated image, what arrived will do.
        rung: of the quality ladder, if that is not the load's to choose.
        left: how many are not done.
        cancelled: nothing waits for it any more.
    """

    __slots__ = ("arrived", "cancelled", "deadline", "done", "items", "left", "partial", "priority", "rung")

    def __init__(
        self,
        images: Sequence[Any],
        done: Callable[[Job], None],
        arrived: float,
        deadline: float = float("inf"),
        priority: int = 0,
        partial: bool = False,
        rung: int | None = None,
    ) -> None:
        self.arrived = arrived
        self.items = [Item(self, image) for image in images]
        self.left = len(self.items)
        self.done = done
        self.deadline = deadline
        self.priority = priority
        self.partial = partial
        self.rung = rung
        self.cancelled = False


class Item:
    """One image. Times are seconds of the engine's clock, 0 where it did not come so far.

    Requests have large images and outputs: a cycle of references would keep them until Python looks for cycles. So an
    item lets go of its image once it is preprocessed, and of its job once it is done.

    Attributes:
        arrived: when its job did.
        image: compressed bytes, `Pixels`, `Prepared`, or a `Crop` of an image.
        cost: of its header, in arbitrary units; 0 for pixels.
        cost_s: thread seconds that its preprocessing was predicted to take.
        slot: where it is written to, or -1.
        error: why it has no result.
        outputs, row: the arrays of its batch, and its row in them.
        record: what the library says of it (`fastpre.ImageResult`).
        tries: batches that it was lost with.
        most: images of the next batch that it may be in; 0: any. Set after a batch of several requests failed.
        rung: of the quality ladder.
        stages: milliseconds by stage where more than one engine had it; None: its times are those of one.
    """

    __slots__ = (
        "arrived",
        "begun",
        "cost",
        "cost_s",
        "error",
        "finished",
        "image",
        "job",
        "most",
        "outputs",
        "ready",
        "record",
        "row",
        "run",
        "rung",
        "slot",
        "stages",
        "state",
        "tries",
    )  # fmt: skip

    def __init__(self, job: Job, image: Any) -> None:
        self.job = job
        self.arrived = job.arrived
        self.image = image
        self.cost = 0.0
        self.cost_s = 0.0
        self.state = State.QUEUED
        self.slot = -1
        self.begun = self.ready = self.run = self.finished = 0.0
        self.error: Exception | None = None
        self.outputs: Mapping[str, np.ndarray[Any, Any]] | None = None
        self.row = 0
        self.record: Any = None
        self.tries = 0
        self.most = 0
        self.rung = 0
        self.stages: Mapping[str, float] | None = None

    def result(self) -> dict[str, np.ndarray[Any, Any]]:
        """Its rows of the outputs, of shape (1, ...)."""
        assert self.outputs is not None
        return {name: array[self.row : self.row + 1] for name, array in self.outputs.items()}


class Work:
    """Images to preprocess in one call, into slots that lie side by side."""

    __slots__ = ("first", "items")

    def __init__(self, items: list[Item], first: int) -> None:
        self.items = items
        self.first = first


class Batch:
    """Finished images for the model: `items` in the order of their slots."""

    __slots__ = ("first", "items", "moves")

    def __init__(self, items: list[Item], first: int, moves: tuple[tuple[int, int], ...]) -> None:
        self.items = items
        self.first = first
        self.moves = moves
