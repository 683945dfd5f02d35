"""A training job's input: an epoch of torch's DataLoader with worker processes.

fastpre takes part in two arrangements: decoding in the workers, as everybody does, and with workers
that only fetch the compressed bytes, which the receiving process decodes on all its cores. The second
sends 110 KB an image through the pipe instead of 600 KB through shared memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import check
import measure
import torch
from competitor import Competitor
from competitors import BY_KEY
from outcome import Outcome, Row
from tasks import Task
from torch.utils.data import DataLoader, Dataset, default_collate

import fastpre

ENTRANTS = ("fastpre-exact", "torchvision-tensor", "torchvision-pil")
HERE = "fastpre-here"
LABELS = {HERE: "fastpre, workers send bytes"}
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


class DecodedHere:
    """A loader of lists of compressed bytes, each decoded by this process on all its cores."""

    def __init__(self, competitor: Any, images: list[bytes]) -> None:
        self.preprocessor = fastpre.Preprocessor(competitor.preprocessor.spec)
        self.loader = _loader(Photographs(images), list)

    def __iter__(self) -> Iterator[torch.Tensor]:
        for images in self.loader:
            yield self.preprocessor(images)


def run(task: Task, images: list[bytes], threads: int, rounds: int, only: list[str] | None) -> Outcome:
    """Times whole epochs, images/s at the receiving end; the workers stay alive between epochs."""
    competitors = {key: BY_KEY[key](task.job, 1) for key in ENTRANTS if only is None or key in only}
    loaders: dict[str, Iterable[Any]] = {key: _loader_of(c, images) for key, c in competitors.items()}
    if "fastpre-exact" in competitors:
        competitors[HERE] = competitors["fastpre-exact"]
        loaders[HERE] = DecodedHere(competitors[HERE], images)
    checked = images[:BATCH]
    found = {
        key: check.of_batches(competitors[key], [(next(iter(loader))[: len(checked)], checked)])
        for key, loader in loaders.items()
    }
    absent = {key: f"refused: {a.refusal}" for key, a in found.items() if a.refusal}
    passes = {key: _epoch(loader) for key, loader in loaders.items() if key not in absent}
    for once in passes.values():
        once()
    timings = measure.interleave(passes, rounds)
    labels = LABELS | {key: BY_KEY[key].label for key in ENTRANTS}
    rows = [Row(key, labels[key], measure.Timing(timings[key].rounds_ms), found[key]) for key in passes]
    return Outcome(rows, absent)


def _loader_of(competitor: Competitor, images: list[bytes]) -> DataLoader[Any]:
    if competitor.key.startswith("fastpre"):
        return _loader(Photographs(images), Collated(competitor))
    return _loader(Transformed(images, competitor), default_collate)


def _loader(dataset: Dataset[Any], collate: Callable[[list[Any]], Any]) -> DataLoader[Any]:
    return DataLoader(
        dataset,
        batch_size=BATCH,
        num_workers=WORKERS,
        collate_fn=collate,
        multiprocessing_context="fork",
        persistent_workers=True,
    )


def _epoch(loader: Iterable[Any]) -> Callable[[], int]:
    def once() -> int:
        return sum(_sizes(loader))

    return once


def _sizes(loader: Iterable[Any]) -> Iterator[int]:
    for batch in loader:
        yield len(batch)
