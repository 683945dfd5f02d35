"""A training job's input: epochs of a folder of photographs, with worker processes.

fastpre takes part in its two arrangements: `fastpre.data.collate`, which decodes in the workers, as all others do, and
`fastpre.data.Loader`, whose workers send bytes that the receiving process decodes on all its cores. The second sends
110 KB an image through the pipe instead of 600 KB through shared memory.
"""

from __future__ import annotations

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
from torchvision.datasets import DatasetFolder, ImageFolder

import fastpre.data
from fastpre.cli.timing import Timing, interleaved
from fastpre.transforms import read_bytes

HERE = "fastpre-here"
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
        makers = {"fastpre-exact": _collate, HERE: _loader, "torchvision-tensor": _tensors, "torchvision-pil": _pil}
        loaders = {key: make(task.job, root) for key, make in makers.items() if only is None or _name(key) in only}
        found = {key: _check(task.job, key, loader, images[:BATCH]) for key, loader in loaders.items()}
        absent = {key: f"refused: {d.refusal}" for key, d in found.items() if d.refusal}
        passes = {key: _epoch(loader) for key, loader in loaders.items() if key not in absent}
        for once in passes.values():
            once()
        timings = interleaved(passes, rounds)
    labels = {HERE: "fastpre.data.Loader", "fastpre-exact": "fastpre.data.collate"}
    rows = [
        comparison.row(key, labels.get(key) or BY_KEY[key].label, Timing(timings[key].rounds_ms), found[key])
        for key in passes
    ]
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


def _name(key: str) -> str:
    return "fastpre-exact" if key == HERE else key


def _collate(job: Job, root: pathlib.Path) -> Iterable[Any]:
    return DataLoader(fastpre.data.ImageFolder(root), collate_fn=fastpre.data.collate(spec_of(job)), **OPTIONS)


def _loader(job: Job, root: pathlib.Path) -> Iterable[Any]:
    return fastpre.data.Loader(fastpre.data.ImageFolder(root), spec_of(job), **OPTIONS)


def _tensors(job: Job, root: pathlib.Path) -> Iterable[Any]:
    run = BY_KEY["torchvision-tensor"].make(job, "cpu", 1)
    dataset = DatasetFolder(str(root), read_bytes, extensions=(".jpg",), transform=lambda data: run([data])[0])
    return DataLoader(dataset, **OPTIONS)


def _pil(job: Job, root: pathlib.Path) -> Iterable[Any]:
    from torchvision import transforms

    steps = [transforms.Resize(job.resize), transforms.CenterCrop(job.crop), transforms.ToTensor()]
    return DataLoader(
        ImageFolder(str(root), transforms.Compose([*steps, transforms.Normalize(MEAN, STD)])),
        **OPTIONS,
    )


def _check(job: Job, key: str, loader: Iterable[Any], images: list[bytes]) -> Difference:
    """Its first batch."""
    difference = Difference(required_db=BY_KEY[_name(key)].required_db)
    batch, labels = next(iter(loader))
    right = reference(job, images).result
    difference.add(batch[: len(images)], right)
    if labels[: len(images)].any():
        difference.failure = "the labels are wrong"
    return difference


def _epoch(loader: Iterable[Any]) -> Callable[[], int]:
    def once() -> int:
        return sum(len(batch) for batch, _ in loader)

    return once
