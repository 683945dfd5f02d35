"""A training job's input: an epoch of torch's DataLoader with worker processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import check
import measure
import torch
from competitor import Competitor
from competitors import BY_KEY
from outcome import Outcome, Row
from tasks import Task
from torch.utils.data import DataLoader, Dataset, default_collate

ENTRANTS = ("fastpre-exact", "torchvision-tensor", "torchvision-pil")
BATCH = 32
WORKERS = 2
REPEATS = 4  # each photograph so many times an epoch: starting and draining the workers is then a small part


class Photographs(Dataset[bytes]):
    """Compressed bytes, held in memory, `REPEATS` times over."""

    def __init__(self, images: list[bytes]) -> None:
        self.images = images

    def __len__(self) -> int:
        return REPEATS * len(self.images)

    def __getitem__(self, index: int) -> bytes:
        return self.images[index % len(self.images)]


class Transformed(Photographs):
    """The same through a competitor, one image at a time, as datasets with a transform do."""

    def __init__(self, images: list[bytes], competitor: Competitor) -> None:
        super().__init__(images)
        self.competitor = competitor

    def __getitem__(self, index: int) -> Any:
        return self.competitor.one(super().__getitem__(index))


class Collated:
    """A collate function that takes a batch of compressed bytes to its tensor in one call.

    In a worker the tensor is made in shared memory, as torch's own `default_collate` does.
    """

    def __init__(self, competitor: Any) -> None:
        self.preprocessor = competitor.preprocessor
        self.side = competitor.job.crop

    def __call__(self, images: list[bytes]) -> torch.Tensor:
        shape = (len(images), 3, self.side, self.side)
        elements = len(images) * 3 * self.side * self.side
        storage = torch.UntypedStorage._new_shared(4 * elements)
        out = torch.empty(0).set_(storage, 0, shape, torch.empty(shape, device="meta").stride())  # type: ignore[call-overload]
        return self.preprocessor(images, out=out)


def run(task: Task, images: list[bytes], threads: int, rounds: int, only: list[str] | None) -> Outcome:
    """Times whole epochs, images/s at the receiving end; the workers stay alive between epochs."""
    competitors = {key: BY_KEY[key](task.job, 1) for key in ENTRANTS if only is None or key in only}
    loaders = {key: _loader(competitor, images) for key, competitor in competitors.items()}
    checked = images[:BATCH]
    found = {
        key: check.of_batch(competitors[key], next(iter(loader))[: len(checked)], checked)
        for key, loader in loaders.items()
    }
    absent = {key: f"refused: {a.refusal}" for key, a in found.items() if a.refusal}
    passes = {key: _epoch(loader) for key, loader in loaders.items() if key not in absent}
    for once in passes.values():
        once()
    timings = measure.interleave(passes, rounds)
    rows = [Row(key, BY_KEY[key].label, measure.Timing(timings[key].rounds_ms), found[key]) for key in passes]
    return Outcome(rows, absent)


def _loader(competitor: Competitor, images: list[bytes]) -> DataLoader[Any]:
    batches = competitor.key.startswith("fastpre")
    return DataLoader(
        Photographs(images) if batches else Transformed(images, competitor),
        batch_size=BATCH,
        num_workers=WORKERS,
        collate_fn=Collated(competitor) if batches else default_collate,
        multiprocessing_context="fork",
        persistent_workers=True,
    )


def _epoch(loader: DataLoader[Any]) -> Callable[[], int]:
    def once() -> int:
        return sum(_sizes(loader))

    return once


def _sizes(loader: DataLoader[Any]) -> Iterator[int]:
    for batch in loader:
        yield len(batch)
