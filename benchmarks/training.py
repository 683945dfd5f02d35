"""Epochs of training input, on all cores: `python benchmarks/training.py [--rounds 5] [--out DIR]`.

Center crop and RandomResizedCrop + flip, from a folder and from memory: `fastpre.data.Loader`, DataLoader with a fused
transform in 2 workers, and torchvision's tensor and PIL paths in 2 workers; beside them a bare loop of `Preprocessor`
calls. Epochs are interleaved; a ratio is the median over rounds. Before that the first batches are compared with
torchvision's PIL path, bit for bit. Then: a Loader's first batch, and memory over ten epochs of varied sizes.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import json
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import machine
import photographs
import torch
from implementations import BY_KEY
from loader import BATCH, OPTIONS, write
from memory import resident_kb
from tasks import MEAN, STD, Job
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import DatasetFolder, ImageFolder

import fastpre
import fastpre.augment as fa
import fastpre.data
from fastpre.cli.timing import Timing, interleaved
from fastpre.transforms import read_bytes

CENTER = "center crop: "
RANDOM = "random crop: "
EPOCHS_OF_MEMORY = 10


def steps(*geometry: Any) -> Any:
    return transforms.Compose([*geometry, transforms.ToTensor(), transforms.Normalize(MEAN, STD)])


def ways(root: str) -> dict[str, Any]:
    """Iterables of (images, labels), each of which may be iterated again."""
    job = Job()
    center = steps(transforms.Resize(job.resize), transforms.CenterCrop(job.crop))
    rrc = steps(transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip())
    tensors = BY_KEY["torchvision-tensor"].make(job, "cpu", 1)
    augment = [fa.RandomResizedCrop(224), fa.RandomHorizontalFlip()]
    files = fastpre.data.ImageFolder(root)
    memory = [(pathlib.Path(path).read_bytes(), label) for path, label in files.samples]
    in_folder = DatasetFolder(root, read_bytes, extensions=(".jpg",), transform=lambda data: tensors([data])[0])
    return {
        f"{CENTER}Loader, folder": fastpre.data.Loader(files, batch_size=BATCH),
        f"{CENTER}Loader, memory": fastpre.data.Loader(memory, batch_size=BATCH),
        f"{CENTER}bare calls, memory": Calls(memory, None),
        f"{CENTER}torchvision tensors, 2 workers": DataLoader(in_folder, **OPTIONS),
        f"{CENTER}torchvision PIL, 2 workers": DataLoader(ImageFolder(root, center), **OPTIONS),
        f"{RANDOM}Loader(augment), folder": fastpre.data.Loader(files, augment=augment, seed=1, batch_size=BATCH),
        f"{RANDOM}Loader(augment), memory": fastpre.data.Loader(memory, augment=augment, seed=1, batch_size=BATCH),
        f"{RANDOM}Loader(ImageFolder(transform))": fastpre.data.Loader(
            fastpre.data.ImageFolder(root, rrc), batch_size=BATCH
        ),
        f"{RANDOM}fused, 2 workers": DataLoader(fastpre.data.ImageFolder(root, rrc), **OPTIONS),
        f"{RANDOM}torchvision PIL, 2 workers": DataLoader(ImageFolder(root, rrc), **OPTIONS),
    }


class Calls:
    """What a Loader cannot be faster than: the same batches by `Preprocessor` alone."""

    def __init__(self, samples: list[tuple[bytes, int]], augment: Any) -> None:
        self.samples, self.augment = samples, augment
        self.preprocessor = fastpre.Preprocessor()

    def __iter__(self) -> Any:
        for i in range(0, len(self.samples), BATCH):
            batch = self.samples[i : i + BATCH]
            images = self.preprocessor([data for data, _ in batch], augment=self.augment)
            yield images, torch.tensor([label for _, label in batch])


def check(found: dict[str, Any]) -> None:
    """First batches, from the same seed where they draw in the same place."""
    for kind, reference, others in (
        (CENTER, "torchvision PIL, 2 workers", ("Loader, folder", "Loader, memory", "bare calls, memory")),
        (RANDOM, "torchvision PIL, 2 workers", ("fused, 2 workers",)),
    ):
        torch.manual_seed(0)
        want = next(iter(found[kind + reference]))[0]
        for other in others:
            torch.manual_seed(0)
            if not torch.equal(next(iter(found[kind + other]))[0], want):
                raise SystemExit(f"{kind}{other} differs from {reference}")


def first_batch_s(samples: list[tuple[bytes, int]]) -> float:
    start = time.perf_counter()
    next(iter(fastpre.data.Loader(samples, batch_size=BATCH)))
    return time.perf_counter() - start


def memory_mb() -> list[float]:
    """Resident MB after each of ten epochs of 24 photographs of very different sizes."""
    varied = [data for i in range(24) for data in photographs.generated(1, 200 + 60 * i, 300 + 90 * (23 - i), i)]
    loader = fastpre.data.Loader(varied, batch_size=4, shuffle=True, augment=[fa.RandomResizedCrop(224)])
    held = []
    for _ in range(EPOCHS_OF_MEMORY):
        for _batch in loader:
            pass
        gc.collect()
        held.append(resident_kb("VmRSS") / 1024)
    return held


def ratio(timings: dict[str, Timing], slow: str, fast: str) -> float:
    pairs = zip(timings[slow].rounds_ms, timings[fast].rounds_ms, strict=True)
    return statistics.median(a / b for a, b in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=96, help="photographs at most")
    parser.add_argument("--out", type=pathlib.Path, help="a folder for the JSON")
    arguments = parser.parse_args()
    chosen = photographs.load("natural", arguments.count)
    with tempfile.TemporaryDirectory() as folder:
        write(pathlib.Path(folder), chosen.images)
        found = ways(folder)
        check(found)

        def epoch(batches: Any) -> Callable[[], int]:
            return lambda: sum(len(images) for images, _ in batches)

        passes = {name: epoch(batches) for name, batches in found.items()}
        for once in passes.values():
            once()
        timings = interleaved(passes, arguments.rounds)
    samples = [(data, 0) for data in chosen.images]
    first = statistics.median(first_batch_s(samples) for _ in range(5))
    held = memory_mb()
    print(f"{len(chosen.images)} x 4 images of {chosen.source}; {machine.cpu_model()}, {machine.cores()} cores; "
          f"{arguments.rounds} rounds")  # fmt: skip
    for name, t in timings.items():
        base = name[: len(CENTER)] + "torchvision PIL, 2 workers"
        print(f"  {name:44} {t.rate.median:7.0f} images/s (IQR {100 * t.iqr / t.median:.0f}%), "
              f"{ratio(timings, base, name):.2f} x PIL")  # fmt: skip
    overhead = ratio(timings, f"{CENTER}Loader, memory", f"{CENTER}bare calls, memory") - 1
    loaders = {
        "Loader, folder, over torchvision tensors": (
            f"{CENTER}torchvision tensors, 2 workers",
            f"{CENTER}Loader, folder",
        ),
        "random over center crop, Loader, memory": (f"{CENTER}Loader, memory", f"{RANDOM}Loader(augment), memory"),
    }
    ratios = {name: ratio(timings, *pair) for name, pair in loaders.items()}
    for name, value in ratios.items():
        print(f"  {name}: {value:.2f}")
    print(f"  Loader's overhead over bare calls: {100 * overhead:.1f}%; first batch: {first:.3f} s")
    print(f"  resident after epochs 1, 2, 10: {held[0]:.0f}, {held[1]:.0f}, {held[-1]:.0f} MB")
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        date = datetime.date.today().isoformat()
        rows = {n: {"images_per_s": t.rate.median, "rounds_ms": t.rounds_ms} for n, t in timings.items()}
        report = {
            "date": date,
            "machine": machine.describe(),
            "source": chosen.source,
            "rows": rows,
            "ratios": ratios,
            "overhead": overhead,
            "first_batch_s": first,
            "resident_mb": held,
        }
        path = arguments.out / f"{date}-training-all.json"
        path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
