"""What an engine tells of an image: to those who asked, and to what counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..scheduling.items import Item, Job

__all__ = ["Observer", "Prediction", "stages_ms"]


class Observer(Protocol):
    """What counts. Called on the engine's threads, so it is quick."""

    def job(self, job: Job) -> None:
        """A job ended, well or not."""

    def batch(self, size: int, seconds: float, moves: int) -> None:
        """A batch ran; `moves` of its images were copied to another slot first."""


class Prediction(NamedTuple):
    """What one image gave.

    Attributes:
        outputs: arrays of (1, ...) by output.
        stages_ms: milliseconds by stage: queue, preprocess, batch (the wait for it), inference.
        quality: the rung of the ladder, "full" at the top.
        image: what became of the image (`fastpre.ImageResult`); None for pixels.
    """

    outputs: Mapping[str, np.ndarray[Any, Any]]
    stages_ms: Mapping[str, float]
    quality: str
    image: Any


def stages_ms(item: Item) -> dict[str, float]:
    """How long an image was in each stage, in milliseconds, as far as it came."""
    if item.stages is not None:
        return dict(item.stages)
    ends = (item.begun, item.ready, item.run, item.finished)
    stages: dict[str, float] = {}
    last = item.arrived
    for name, end in zip(("queue", "preprocess", "batch", "inference"), ends, strict=True):
        if end:
            stages[name] = (end - last) * 1e3
            last = end
    return stages
