"""A training job's input: epochs of a folder of photographs, with worker processes.

fastpre takes part in its two arrangements: `fastpre.data.collate`, which decodes in the workers, as all others do, and
`fastpre.data.Loader`, whose workers send bytes that the receiving process decodes on all its cores. The second sends
110 KB an image through the pipe instead of 600 KB through shared memory.
"""

from __future__ import annotations

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
from tasks import MEAN, STD, Job, Task
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import DatasetFolder, ImageFolder

import fastpre.data
from fastpre.cli.timing import Timing, interleaved
from fastpre.transforms import read_bytes

OURS = {"fastpre-exact": "fastpre.data.collate", "fastpre-here": "fastpre.data.Loader"}
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
        loaders = {key: loader for key, loader in _loaders(task.job, str(root)).items() if only is None or key in only}
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


def _loaders(job: Job, root: str) -> dict[str, Iterable[Any]]:
    spec, run = spec_of(job), BY_KEY["torchvision-tensor"].make(job, "cpu", 1)
    steps = [transforms.Resize(job.resize), transforms.CenterCrop(job.crop), transforms.ToTensor()]
    pil = transforms.Compose([*steps, transforms.Normalize(MEAN, STD)])
    tensors = DatasetFolder(root, read_bytes, extensions=(".jpg",), transform=lambda data: run([data])[0])
    files = fastpre.data.ImageFolder(root)
    return {
        "fastpre-exact": DataLoader(files, collate_fn=fastpre.data.collate(spec), **OPTIONS),
        "fastpre-here": fastpre.data.Loader(files, spec, **OPTIONS),
        "torchvision-tensor": DataLoader(tensors, **OPTIONS),
        "torchvision-pil": DataLoader(ImageFolder(root, pil), **OPTIONS),
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
