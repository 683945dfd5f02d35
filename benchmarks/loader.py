"""A training job's input: epochs of photographs, from a folder or from memory, with worker processes.

fastpre takes part in three arrangements: `fastpre.data.collate`, which decodes in the workers, as all others do;
`fastpre.data.Loader`, whose workers send bytes that the receiving process decodes on all its cores (110 KB an image
through the pipe instead of 600 KB through shared memory); and the same without workers, where the decoding threads read
the files.
"""

from __future__ import annotations

import io
import math
import os
import pathlib
import tempfile
from collections.abc import Callable, Iterable
from typing import Any

import comparison
from difference import Difference, reference
from implementations import BY_KEY
from implementations.ours import spec_of
from PIL import Image
from tasks import MEAN, STD, Job, Task
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.datasets import DatasetFolder, ImageFolder

import fastpre.data
from fastpre.cli.timing import Timing, interleaved
from fastpre.transforms import read_bytes

OURS = {
    "fastpre-exact": "fastpre.data.collate",
    "fastpre-here": "fastpre.data.Loader",
    "fastpre-threads": "fastpre.data.Loader, no workers",
}
BATCH = 32
WORKERS = 2
CLASSES = 4  # with each photograph in all of them: starting and draining the workers is then a small part of an epoch
OPTIONS: dict[str, Any] = {
    "batch_size": BATCH,
    "num_workers": WORKERS,
    "multiprocessing_context": "fork",
    "persistent_workers": True,
}


def compare(task: Task, images: list[bytes], rounds: int, only: list[str] | None) -> dict[str, Any]:
    """Times whole epochs, images/s at the receiving end; the workers stay alive between epochs."""
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        write(root, images)
        made = _from_memory(task.job, images) if task.kind == "memory" else _from_disk(task.job, str(root))
        loaders = {key: loader for key, loader in made.items() if only is None or key in only}
        found = {key: _check(task.job, key, loader, images[:BATCH]) for key, loader in loaders.items()}
        absent = {key: f"refused: {d.refusal}" for key, d in found.items() if d.refusal}
        passes = {key: _epoch(loader) for key, loader in loaders.items() if key not in absent}
        for once in passes.values():
            once()
        timings = interleaved(passes, rounds)
    rows = []
    for key in passes:
        label = OURS[key] if key in OURS else BY_KEY[key].label
        rows.append(comparison.row(key, label, Timing(timings[key].rounds_ms), found[key]))
    return {"rows": rows, "absent": absent, "left_out": {}}


def write(root: pathlib.Path, images: list[bytes]) -> None:
    """A folder of classes, whose files are in the images' order."""
    for label in range(CLASSES):
        (root / str(label)).mkdir()
        for i, data in enumerate(images):
            path = root / str(label) / f"{i:05}.jpg"
            if label == 0:
                path.write_bytes(data)
            else:
                os.link(root / "0" / path.name, path)


def _from_disk(job: Job, root: str) -> dict[str, Iterable[Any]]:
    tensors = DatasetFolder(root, read_bytes, extensions=(".jpg",), transform=_tensors(job))
    return _loaders(job, fastpre.data.ImageFolder(root), tensors, ImageFolder(root, _pil(job)))


def _from_memory(job: Job, images: list[bytes]) -> dict[str, Iterable[Any]]:
    samples = [(data, label) for label in range(CLASSES) for data in images]
    pil = _pil(job)
    opened = Mapped(samples, lambda data: pil(Image.open(io.BytesIO(data)).convert("RGB")))
    return _loaders(job, samples, Mapped(samples, _tensors(job)), opened)


class Mapped(Dataset[Any]):
    """Samples in memory, with a transform."""

    def __init__(self, samples: list[tuple[bytes, int]], transform: Callable[[bytes], Any]) -> None:
        self.samples, self.transform = samples, transform

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Any:
        data, label = self.samples[index]
        return self.transform(data), label


def _tensors(job: Job) -> Callable[[bytes], Any]:
    run = BY_KEY["torchvision-tensor"].make(job, "cpu", 1)
    return lambda data: run([data])[0]


def _pil(job: Job) -> Callable[[Any], Any]:
    steps = [transforms.Resize(job.resize), transforms.CenterCrop(job.crop), transforms.ToTensor()]
    return transforms.Compose([*steps, transforms.Normalize(MEAN, STD)])  # type: ignore[no-any-return]


def _loaders(job: Job, files: Any, tensors: Any, pil: Any) -> dict[str, Iterable[Any]]:
    spec = spec_of(job)
    return {
        "fastpre-exact": DataLoader(files, collate_fn=fastpre.data.collate(spec), **OPTIONS),
        "fastpre-here": fastpre.data.Loader(files, spec, **OPTIONS),
        "fastpre-threads": fastpre.data.Loader(files, spec, batch_size=BATCH),
        "torchvision-tensor": DataLoader(tensors, **OPTIONS),
        "torchvision-pil": DataLoader(pil, **OPTIONS),
    }


def _check(job: Job, key: str, loader: Iterable[Any], images: list[bytes]) -> Difference:
    """Its first batch."""
    difference = Difference(required_db=math.inf if key in OURS else None)
    batch, labels = next(iter(loader))
    difference.add(batch[: len(images)], reference(job, images).result)
    if labels[: len(images)].any():
        difference.failure = "the labels are wrong"
    return difference


def _epoch(loader: Iterable[Any]) -> Callable[[], int]:
    return lambda: sum(len(batch) for batch, _ in loader)
