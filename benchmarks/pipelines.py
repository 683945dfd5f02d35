"""A pipeline of two models, by what carries batches to them: python benchmarks/pipelines.py.

A detector finds boxes in each photograph and a classifier looks at some of them: `builtin:detector`, which takes no
time to speak of, and `builtin:tiny`, 0.34 ms. Both are in this process ("threads"), in processes of their own that read
the batch where it was written ("shared-memory"), or behind Redis Streams or NATS, whose servers run on this machine and
keep nothing on disk. "redis-between" has the broker between the stages alone: the detector is in this process, and
crops go to the classifier through Redis. In every round each kind has its turn, so what else the machine does hits all
alike; ratios are medians of each round's ratio. "core ms" is the time of all cores that a photograph takes, in all
processes: on a machine that does nothing else, the rate is the number of cores by that.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import datetime
import importlib.metadata
import json
import os
import pathlib
import statistics
import sys
import time
from typing import Any, NamedTuple

import machine
import photographs
import torch
from quiet import tree_cpu_s, undisturbed

from fastpre.serve.building import ModelChoice, build
from fastpre.serve.engine import Settings
from fastpre.serve.inference import InferRequest, InferResponse, InputTensor
from fastpre.serve.pipeline.pipeline import Pipeline
from fastpre.serve.service import EngineService

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests"))
import brokers

RESULTS = pathlib.Path(__file__).resolve().parent / "results" / "pipelines"
KINDS = ("threads", "shared-memory", "redis", "nats", "redis-between")
BASELINE = "redis"
TARGET = 2.0
DTYPES = ("float32", "uint8")


class Window(NamedTuple):
    """What one turn gave.

    Attributes:
        rate: photographs per second with all clients.
        p50_ms, p99_ms: of a request, with all clients.
        alone_ms: the median of a request with one client.
        stages_ms: means by stage, with one client.
        crops_per_batch: of the classifier, with all clients.
        core_ms: of all processes' cores, brokers' and workers' too, for a photograph, with all clients.
    """

    rate: float
    p50_ms: float
    p99_ms: float
    alone_ms: float
    stages_ms: dict[str, float]
    crops_per_batch: float
    core_ms: float


def service(kind: str, urls: dict[str, str], dtype: str, crops: int, threads: int) -> EngineService:
    """Both models and the pipeline, started."""
    way = urls.get(kind.removesuffix("-between"), kind)
    first = "threads" if kind.endswith("-between") else way
    model = {"float32": ("builtin:tiny", {"num_threads": 1, "name": "tiny"}), "uint8": ("python:pixels_model:make", {})}
    choices = [
        ModelChoice("builtin:detector?rows=2&columns=4", {"name": "det", "num_threads": 1, "max_detections": 8}, first),
        ModelChoice(*model[dtype], way),
    ]
    pipeline = Pipeline("spot", "det", "tiny", threshold=0.0, most=crops)
    return build(choices, Settings(threads=threads, batch=16, target_p99_ms=200.0), pipelines=[pipeline])


def ask(image: bytes) -> InferRequest:
    now = time.monotonic()
    return InferRequest("spot", (InputTensor("IMAGE", "BYTES", (1,), (image,)),), received=now, arrived=now)


async def turn(found: EngineService, images: list[bytes], clients: int, seconds: float) -> Window:
    """One client for a quarter of the time, then all of them."""
    alone, stages = [], collections.defaultdict[str, list[float]](list)
    end = time.monotonic() + seconds / 4
    count = 0
    while time.monotonic() < end or count < 5:
        begun = time.monotonic()
        response: InferResponse = await found.infer(ask(images[count % len(images)]))
        alone.append(1e3 * (time.monotonic() - begun))
        for stage, value in response.stages_ms.items():
            stages[stage].append(value)
        count += 1
    took: list[float] = []

    async def client(number: int) -> None:
        i = number * 7
        while time.monotonic() < end:
            begun = time.monotonic()
            await found.infer(ask(images[i % len(images)]))
            took.append(1e3 * (time.monotonic() - begun))
            i += 1

    before, cpu_s = batches(found), tree_cpu_s(os.getpid())
    begun = time.monotonic()
    end = begun + seconds
    await asyncio.gather(*(client(i) for i in range(clients)))
    rate = len(took) / (time.monotonic() - begun)
    core_ms = 1e3 * (tree_cpu_s(os.getpid()) - cpu_s) / len(took)
    ran, crops = (now - then for now, then in zip(batches(found), before, strict=True))
    took.sort()
    means = {stage: statistics.mean(values) for stage, values in stages.items()}
    alone_ms = statistics.median(alone)
    return Window(rate, statistics.median(took), took[int(0.99 * len(took))], alone_ms, means, crops / ran, core_ms)


def batches(found: EngineService) -> tuple[int, int]:
    """(batches, crops) of the classifier so far."""
    counts = found.recorders["tiny"].batches
    return sum(each.count for each in counts.values()), sum(size * each.count for size, each in counts.items())


def check(found: dict[str, EngineService], images: list[bytes]) -> None:
    """Every kind gives the same answer."""
    want: InferResponse | None = None
    for kind, each in found.items():
        got = asyncio.run(each.infer(ask(images[0])))
        want = want or got
        for a, b in zip(got.outputs, want.outputs, strict=True):
            close = torch.allclose(torch.from_numpy(a.array).double(), torch.from_numpy(b.array).double(), atol=1e-4)
            assert close, f"{kind}: {a.name} differs"


def measure(found: dict[str, EngineService], images: list[bytes], options: argparse.Namespace) -> dict[str, list[Any]]:
    """Turns by kind, and the share of the machine that other processes had in each round."""
    turns: dict[str, list[Any]] = {kind: [] for kind in (*found, "others")}
    for round_ in range(options.rounds + 1):  # the first one warms up
        for kind, each in found.items():
            window, others = undisturbed(
                lambda each=each: asyncio.run(turn(each, images, options.clients, options.seconds)),  # type: ignore[misc]
                tries=options.tries,
            )
            if round_:
                turns[kind].append(window)
                turns["others"].append(others)
    return turns


def rows(turns: dict[str, list[Any]], kinds: list[str]) -> list[dict[str, Any]]:
    """Medians over the rounds."""
    found = []
    for kind in kinds:
        windows: list[Window] = turns[kind]
        stages = {
            stage: round(statistics.median(w.stages_ms.get(stage, 0.0) for w in windows), 3)
            for stage in windows[0].stages_ms
        }
        row: dict[str, Any] = {
            "kind": kind,
            "images_per_s": spread([w.rate for w in windows]),
            "p50_ms": spread([w.p50_ms for w in windows]),
            "p99_ms": spread([w.p99_ms for w in windows]),
            "alone_ms": spread([w.alone_ms for w in windows]),
            "core_ms": spread([w.core_ms for w in windows]),
            "stages_ms": stages,
            "crops_per_batch": spread([w.crops_per_batch for w in windows]),
        }
        if BASELINE in turns:
            row["times_redis"] = spread([a.rate / b.rate for a, b in zip(windows, turns[BASELINE], strict=True)])
            row["core_times_redis"] = spread(
                [b.core_ms / a.core_ms for a, b in zip(windows, turns[BASELINE], strict=True)]
            )
        found.append(row)
    return found


def spread(values: list[float]) -> dict[str, float]:
    return {name: round(f(values), 3) for name, f in (("median", statistics.median), ("least", min), ("most", max))}


def table(result: dict[str, Any]) -> str:
    """As text."""
    lines = [
        f"{result['dtype']}: {result['crops']} crops of each of {result['photos']}, {result['clients']} clients",
        f"{'':14}{'img/s':>8}{'least':>8}{'most':>8}{'x redis':>9}{'core ms':>9}{'batch':>7}{'p50 ms':>9}{'p99 ms':>9}"
        f"{'alone ms':>10}",
    ]
    for row in result["rows"]:
        rate, times = row["images_per_s"], row.get("times_redis", {}).get("median", float("nan"))
        lines.append(
            f"{row['kind']:14}{rate['median']:8.0f}{rate['least']:8.0f}{rate['most']:8.0f}{times:9.2f}"
            f"{row['core_ms']['median']:9.1f}{row['crops_per_batch']['median']:7.1f}"
            f"{row['p50_ms']['median']:9.1f}{row['p99_ms']['median']:9.1f}{row['alone_ms']['median']:10.2f}"
        )
    lines += ["", "shares of a request's latency, one client at a time:"]
    for row in result["rows"]:
        total = sum(row["stages_ms"].values())
        shares = (f"{stage} {value / total:.0%}" for stage, value in row["stages_ms"].items() if value > 0.02 * total)
        lines.append(f"{row['kind']:14}{', '.join(shares)}")
    return "\n".join(lines)


def main() -> None:
    """Prints a table, and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--dtype", choices=DTYPES, default="float32", help="of the crops")
    parser.add_argument("--crops", type=int, default=4, help="of each photograph")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a turn")
    parser.add_argument("--tries", type=int, default=2, help="of a turn that other processes disturb")
    parser.add_argument("--images", type=int, default=48)
    parser.add_argument("--set", choices=("natural", "large", "small"), default="natural")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    photos = photographs.load(options.set, options.images)
    with contextlib.ExitStack() as stack:
        needed = {kind.partition("-between")[0] for kind in options.kinds} & brokers.COMMANDS.keys()
        urls = {scheme: stack.enter_context(brokers.running(scheme)).url for scheme in needed}
        found = {}
        for kind in options.kinds:
            found[kind] = service(kind, urls, options.dtype, options.crops, machine.cores())
            for engine in found[kind].engines.values():
                stack.callback(engine.close, 0)
        check(found, photos.images)
        turns = measure(found, photos.images, options)
    result = {
        "task": "pipelines",
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "machine": machine.describe(),
        "versions": {name: importlib.metadata.version(name) for name in ("redis", "nats-py")},
        "photos": f"{photos.source}, {len(photos.images)}",
        **{name: getattr(options, name) for name in ("dtype", "crops", "clients", "rounds", "seconds")},
        "others_share": spread(turns.pop("others")),
        "rows": rows(turns, options.kinds),
        "target": {"what": "threads and shared memory, times Redis Streams", "least": TARGET},
    }
    options.results.mkdir(parents=True, exist_ok=True)
    path = options.results / f"{result['date']}-{options.set}-{options.dtype}-{options.crops}.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(table(result))
    print(path)


if __name__ == "__main__":
    main()
