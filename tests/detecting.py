"""A detector that finds what a test wants, and a pipeline of it and another model."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

import fastpre
from fastpre.serve.engine import Engine, Settings
from fastpre.serve.inference import TensorInfo
from fastpre.serve.pipeline.detections import Detections
from fastpre.serve.pipeline.pipeline import Pipeline
from fastpre.serve.pipeline.relay import Relay
from serving import Means

MOST = 6


class Finds:
    """Boxes for every image, in order of their scores: those that the test sets."""

    name = "finds"
    platform = "test"
    task = "detection"
    device = "cpu"
    labels: tuple[str, ...] = ()
    max_batch = 0
    outputs = (
        TensorInfo("boxes", "FP32", (-1, MOST, 4)),
        TensorInfo("scores", "FP32", (-1, MOST)),
        TensorInfo("classes", "INT64", (-1, MOST)),
        TensorInfo("num_detections", "INT32", (-1,)),
    )

    def __init__(self, spec: fastpre.Spec | None = None, hook: Callable[[torch.Tensor], None] | None = None) -> None:
        self.spec = spec or fastpre.Spec(resize=(16, 16), crop=None)
        self.hook = hook
        self.boxes: Sequence[Sequence[float]] = ()
        self.scores: Sequence[float] = ()
        self.batches: list[int] = []

    def __call__(self, batch: torch.Tensor) -> Mapping[str, np.ndarray[Any, Any]]:
        self.batches.append(len(batch))
        if self.hook is not None:
            self.hook(batch)
        count, n = len(batch), len(self.boxes)
        boxes, scores = np.zeros((count, MOST, 4), np.float32), np.zeros((count, MOST), np.float32)
        classes = np.zeros((count, MOST), np.int64)
        if n:
            boxes[:, :n], scores[:, :n] = self.boxes, self.scores
            classes[:, :n] = np.arange(n) + 10
        return {
            "boxes": boxes,
            "scores": scores,
            "classes": classes,
            "num_detections": np.full(count, n, np.int32),
        }


@contextlib.contextmanager
def pipeline(
    first: Finds, second: Means, *, most: int = 3, first_settings: Any = (), second_settings: Any = ()
) -> Iterator[Relay]:
    """Two engines that share their threads, and what joins them."""
    declared = Pipeline("both", first.name, second.name, threshold=0.5, most=most)
    one = Engine(first, Settings(**{"threads": 2, "batch": 8, **dict(first_settings)}))
    two = Engine(second, Settings(**{"threads": 2, "batch": 8, **dict(second_settings)}), pool=one.pool)
    with one, two:
        yield Relay(one, two, Detections(declared, first, second, one.specs))


def idle(relay: Relay) -> bool:
    """True if neither engine has anything, no place is kept, and nothing waits for one."""
    for engine in (relay.first, relay.second):
        s = engine.scheduler
        if (s.queued, s.preprocessing, s.ready, s.running, s.slots.free) != (0, 0, 0, 0, s.slots.count):
            return False
        if s.places.kept or s.places.wanted:
            return False
    return True
