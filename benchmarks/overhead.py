"""What `fastpre.data.Loader` costs beside its images, and how soon it gives the first ones.

python benchmarks/overhead.py [--rounds N] [--images N]
"""

from __future__ import annotations

import argparse
import datetime
import statistics
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import photographs
import targets
from machine import describe

import fastpre
import fastpre.data
from fastpre.cli.timing import Timing, interleaved

BATCH = 32
# So many times the photographs are in an epoch. Its beginning, and new memory for batches that the last one's end has
# given back, are a small part of it then, as in training.
REPEATED = 10
LOADERS: dict[str, dict[str, Any]] = {
    "Loader": {},
    "Loader, labels, shuffled by a seed": {"shuffle": True, "seed": 0},
    "Loader, prefetch_batches=0": {"prefetch_batches": 0},
}
LABELLED = "Loader, labels, shuffled by a seed"
FIRST = """
import sys, time, torch, fastpre.data
photo = sys.stdin.buffer.read()
begun = time.perf_counter()
loader = fastpre.data.Loader([(photo, 0)] * 640, batch_size=32, num_workers={workers})
next(iter(loader))
print(time.perf_counter() - begun)
"""
IMPORT = """
import time, numpy
begun = time.perf_counter()
import fastpre
print(time.perf_counter() - begun)
"""


def overheads(images: list[bytes], rounds: int) -> dict[str, tuple[float, float, float]]:
    """By loader: the median over rounds of its time over the bare loop's of the same round, and the quartiles."""
    pre = fastpre.Preprocessor()
    places = range(0, len(images), BATCH)

    def bare() -> int:
        return sum(len(pre(images[i : i + BATCH])) for i in places)

    def epoch(loader: fastpre.data.Loader, labelled: bool) -> Callable[[], int]:
        return lambda: sum(len(batch[0] if labelled else batch) for batch in loader)

    passes = {"bare": bare}
    for name, options in LOADERS.items():
        dataset: Any = [(image, i) for i, image in enumerate(images)] if name == LABELLED else images
        passes[name] = epoch(fastpre.data.Loader(dataset, batch_size=BATCH, **options), name == LABELLED)
    for once in passes.values():
        once()
    timings = interleaved(passes, rounds)
    bare_ms = timings["bare"]
    print(f"bare loop of Preprocessor calls: {bare_ms.median:.3f} ms an image, iqr {bare_ms.iqr:.3f}")
    found = {}
    for name in LOADERS:
        print(f"{name}: processor time {_processor_ms(timings[name]) / _processor_ms(bare_ms) - 1:+.2%}")
        pairs = zip(timings[name].rounds_ms, timings["bare"].rounds_ms, strict=True)
        low, middle, high = statistics.quantiles([ours / theirs for ours, theirs in pairs], n=4, method="inclusive")
        found[name] = (middle, low, high)
    return found


def _processor_ms(timing: Timing) -> float:
    """Of all threads, an image: what a busy machine changes less."""
    assert timing.cores_used is not None
    return timing.median * timing.cores_used


def seconds(codes: dict[str, str], given: bytes, rounds: int) -> dict[str, list[float]]:
    """What each piece of code prints, in a new interpreter every time, in turn."""
    found: dict[str, list[float]] = {name: [] for name in codes}
    for _ in range(rounds):
        for name, code in codes.items():
            done = subprocess.run([sys.executable, "-c", code], input=given, stdout=subprocess.PIPE, check=True)
            found[name].append(float(done.stdout))
    return found


def main() -> int:
    """Prints the figures and whether they are what they should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--images", type=int, default=159)
    arguments = parser.parse_args()
    if arguments.rounds < 2:
        parser.error("--rounds must be at least 2, for quartiles")
    photos = photographs.load("natural").first(arguments.images)
    print(f"{datetime.datetime.now(datetime.timezone.utc).date()}, {describe()}")
    print(f"{len(photos.images)} images ({photos.source}), {arguments.rounds} rounds")
    ratios = overheads(photos.images * REPEATED, arguments.rounds)
    for name, (middle, low, high) in ratios.items():
        print(f"{name:40} {middle - 1:+.2%} ({low - 1:+.2%} to {high - 1:+.2%})")
    workers = {f"first batch, num_workers={n}": FIRST.format(workers=n) for n in (0, 2)}
    times = seconds({**workers, "import fastpre, after numpy": IMPORT}, photos.images[0], arguments.rounds)
    for name, values in times.items():
        print(
            f"{name:40} {1e3 * statistics.median(values):.0f} ms ({1e3 * min(values):.0f} to {1e3 * max(values):.0f})"
        )
    figures = {name: middle for name, (middle, _, _) in ratios.items()}
    figures |= {name: 1e3 * statistics.median(values) for name, values in times.items()}
    for record in targets.judge(TARGETS, figures):
        print("target:", targets.line(record))
    return 0


def figure(name: str) -> targets.Value:
    """One of those above."""
    return lambda figures: (figures[name], "")


TARGETS = [
    targets.Target("Loader over a bare loop", 1.03, True, figure("Loader")),
    targets.Target("the same, labels and shuffled", 1.03, True, figure(LABELLED)),
    *(
        targets.Target(f"first batch, num_workers={n}", 200, True, figure(f"first batch, num_workers={n}"), " ms")
        for n in (0, 2)
    ),
    targets.Target("import fastpre, after numpy", 60, True, figure("import fastpre, after numpy"), " ms"),
]

if __name__ == "__main__":
    sys.exit(main())
