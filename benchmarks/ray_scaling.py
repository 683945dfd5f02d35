"""What Ray Data adds to decoding, and how far nodes can be added: python benchmarks/ray_scaling.py.

Measured here, in interleaved rounds on the same photographs: a bare loop of `Preprocessor` calls with one thread, and
`map_batches(fastpre.interop.ray.Decode)` with one actor and with two, of one thread each, from images in the object
store to tensors in the object store. From the runs with one actor a model predicts those with two, and a cluster's
throughput by its number of nodes, until something other than cores bounds it: the nodes' links, the storage, or the
one driver that schedules all blocks.

The cluster is assumed (`--node-cores` and so on), and its cores are taken to be this machine's: run it on a node.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import os
import pathlib
import statistics
import time
from typing import Any

import machine
import numpy as np
import photographs
import pyarrow as pa
import pyarrow.parquet as pq
import ray
import ray.data
from quiet import undisturbed
from ray_model import BATCH, BLOCK, Cluster, Costs, actors_rate, bounds, per_image, steady_rate

import fastpre
from fastpre.interop.ray import Decode

RESULTS = pathlib.Path(__file__).resolve().parent / "results" / "ray"
TICKS = os.sysconf("SC_CLK_TCK")
NODES = (1, 2, 4, 8, 16, 32, 64, 128)


class Timed(Decode):
    """Says in columns which actor did a batch, how long the call took, and two clocks at its end."""

    def __call__(self, batch: Any) -> pa.Table:
        began = time.monotonic()
        table = super().__call__(batch)
        ended = time.monotonic()
        said = (os.getpid(), ended - began, ended, time.process_time())
        for name, value in zip(SAID, said, strict=True):
            table = table.append_column(name, pa.array([float(value)] * table.num_rows))
        return table


SAID = ("actor", "call_s", "ended_s", "cpu_s")


@dataclasses.dataclass(frozen=True)
class Run:
    """One execution, without the start and the end of its actors.

    Attributes:
        rate: images/s of all actors.
        call_s: seconds per image inside `Decode`.
        worker_s, worker_cpu_s, daemons_cpu_s, driver_cpu_s: as in `Costs`.
    """

    rate: float
    call_s: float
    worker_s: float
    worker_cpu_s: float
    daemons_cpu_s: float
    driver_cpu_s: float


def execute(blocks: list[Any], spec: fastpre.Spec, workers: int) -> Run:
    """Decodes all blocks; the driver lets go of each one as it comes."""
    dataset = ray.data.from_arrow_refs(blocks).map_batches(
        Timed,
        fn_constructor_kwargs={"spec": spec, "num_threads": 1},
        batch_format="pyarrow",
        batch_size=BATCH,
        compute=ray.data.ActorPoolStrategy(size=workers),
    )
    beside = daemons()
    parts, marks = [], []
    for block in dataset.iter_batches(batch_size=None, batch_format="pyarrow"):
        parts.append(np.stack([block[name].to_numpy() for name in SAID]))
        marks.append((block.num_rows, time.process_time(), sum(map(cpu_s, beside))))
        del block
    actor, call_s, ended_s, process_s = np.concatenate(parts, axis=1)
    assert len(np.unique(actor)) == workers
    (_, driver_began, daemons_began), (_, driver_ended, daemons_ended) = marks[0], marks[-1]
    return Run(
        rate=steady_rate(actor, ended_s),
        call_s=float(call_s.mean()) / BATCH,
        worker_s=per_image(actor, ended_s),
        worker_cpu_s=per_image(actor, process_s),
        daemons_cpu_s=(daemons_ended - daemons_began) / sum(rows for rows, *_ in marks[1:]),
        driver_cpu_s=(driver_ended - driver_began) / (len(marks) - 1),
    )


def daemons() -> list[pathlib.Path]:
    """/proc of what Ray runs on a node beside its workers."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().split(b"\0")[0]
        except OSError:  # it has ended
            continue
        if command.endswith((b"/raylet", b"/gcs_server")):
            found.append(process)
    return found


def cpu_s(process: pathlib.Path) -> float:
    """Processor time so far (proc(5): utime and stime)."""
    fields = (process / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def bare_s(images: list[bytes], spec: fastpre.Spec) -> float:
    """Seconds per image of a loop over the same batches in this process."""
    pre = fastpre.Preprocessor(spec, num_threads=1)
    start = time.perf_counter()
    for i in range(0, len(images), BATCH):
        pre.run(images[i : i + BATCH])
    return (time.perf_counter() - start) / len(images)


def read_s(parquet: pa.Buffer, images: int) -> float:
    """Processor seconds per image of reading a Parquet file that is in memory."""
    start = time.process_time()
    pq.read_table(pa.BufferReader(parquet), use_threads=False)
    return (time.process_time() - start) / images


def measure(images: list[bytes], dtype: str, count: int, rounds: int) -> dict[str, Any]:
    """Every round's figures: the bare loop, reading, and runs of one and two actors."""
    spec = fastpre.Spec(dtype=dtype)
    repeated = [images[i % len(images)] for i in range(count)]
    blocks = [ray.put(pa.table({"bytes": repeated[i : i + BLOCK]})) for i in range(0, count, BLOCK)]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"bytes": images}), sink)
    parquet = sink.getvalue()
    passes: dict[str, Any] = {
        "bare": lambda: bare_s(repeated, spec),
        "read": lambda: read_s(parquet, len(images)),
        "one": lambda: execute(blocks, spec, 1),
        "two": lambda: execute(blocks, spec, 2),
    }
    for run in passes.values():
        run()  # fills the object store's pages
    found: dict[str, list[Any]] = {name: [] for name in (*passes, "others")}
    for turn in range(rounds):
        for name in [*passes][turn % len(passes) :] + [*passes][: turn % len(passes)]:
            value, others = undisturbed(passes[name])
            found[name].append(dataclasses.asdict(value) if isinstance(value, Run) else value)
            found["others"].append(others)
    return {"dtype": dtype, "images": count, **found}


def median(found: dict[str, Any], run: str, field: str) -> float:
    return statistics.median(each[field] for each in found[run])


def costs(found: dict[str, Any], images: list[bytes]) -> Costs:
    """The model's, from the runs with one actor."""
    names = ("worker_s", "worker_cpu_s", "daemons_cpu_s", "driver_cpu_s")
    spec = fastpre.Spec(dtype=found["dtype"])
    height, width = spec.output_size or (0, 0)
    return Costs(
        **{name: median(found, "one", name) for name in names},
        read_cpu_s=statistics.median(found["read"]),
        bytes_in=statistics.mean(map(len, images)),
        bytes_out=float(spec.channels * height * width * np.dtype(found["dtype"]).itemsize),
    )


def judge(found: dict[str, Any], each: Costs, cores: int) -> dict[str, float]:
    """What two actors give beside what the model says, in images/s, and how many times one actor's rate it is."""
    predicted = actors_rate(each, 2, cores)
    rates = [run["rate"] for run in found["two"]]
    pairs = [two["rate"] / one["rate"] for one, two in zip(found["one"], found["two"], strict=True)]
    return {
        "predicted": predicted,
        "measured": statistics.median(rates),
        "least": min(rates),
        "most": max(rates),
        "of_the_model": statistics.median(rates) / predicted,
        "of_one_actor": statistics.median(pairs),
    }


def table(found: dict[str, Any], each: Costs, two: dict[str, float], cluster: Cluster) -> str:
    """The measured costs, the two actors, and the cluster, in plain text."""

    def line(name: str, values: list[float]) -> str:
        us = [1e6 * value for value in values]
        return f"  {name:44}{statistics.median(us):7.0f} us ({min(us):.0f} to {max(us):.0f})"

    def of_one(field: str, scale: float = 1.0) -> list[float]:
        return [scale * run[field] for run in found["one"]]

    lines = [
        f"{found['dtype']}: {found['images']} images, {each.bytes_in / 1e3:.0f} KB each, "
        f"to tensors of {each.bytes_out / 1e3:.0f} KB",
        line("bare loop, one thread", found["bare"]),
        line("one actor, from block to block", of_one("worker_s")),
        line("  of which inside Decode", of_one("call_s")),
        line("  its processor time", of_one("worker_cpu_s")),
        line("raylet and GCS, processor time", of_one("daemons_cpu_s")),
        line(f"driver, processor time (blocks of {BLOCK})", of_one("driver_cpu_s", 1 / BLOCK)),
        line("reading Parquet, processor time", found["read"]),
        f"  two actors: {two['measured']:.0f} images/s ({two['least']:.0f} to {two['most']:.0f}), "
        f"{two['of_one_actor']:.2f} times one; the model says {two['predicted']:.0f}, measured / model "
        f"{two['of_the_model']:.2f}",
        f"  other processes had {statistics.median(found['others']):.1%} of the cores meanwhile, at most "
        f"{max(found['others']):.1%}",
        f"  assumed: nodes of {cluster.cores} such cores, links of {cluster.network_bytes_s * 8e-9:.0f} Gbit/s, "
        f"storage of {cluster.storage_bytes_s / 1e9:.0f} GB/s, {cluster.shipped:.0%} of the tensors shipped",
    ]
    for nodes in NODES:
        rates = bounds(each, cluster, nodes)
        bound = min(rates, key=lambda name: rates[name])
        lines.append(f"  {nodes:5} nodes{rates[bound]:10.0f} images/s, bound by {bound}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--images", type=int, default=16 * BLOCK, help="of each run")
    parser.add_argument("--dtypes", nargs="+", choices=["float32", "float16", "uint8"], default=["float32", "uint8"])
    parser.add_argument("--node-cores", type=int, default=32, help="of the assumed cluster")
    parser.add_argument("--network-gbit-s", type=float, default=25, help="of each node")
    parser.add_argument("--storage-gb-s", type=float, default=20, help="of all nodes together")
    parser.add_argument("--shipped", type=float, default=1.0, help="share of the tensors that leave their node")
    parser.add_argument("--out", type=pathlib.Path, default=RESULTS)
    arguments = parser.parse_args()
    cluster = Cluster(
        arguments.node_cores, arguments.network_gbit_s * 1e9 / 8, 1e9 * arguments.storage_gb_s, arguments.shipped
    )
    photos = photographs.load("natural")
    cores = machine.cores()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    ray.data.DataContext.get_current().enable_progress_bars = False
    result: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "machine": machine.describe(),
        "photos": photos.source,
        "rounds": arguments.rounds,
        "cluster": dataclasses.asdict(cluster),
        "dtypes": [],
    }
    print(f"{cores} cores, {result['machine']['cpu']}, {photos.source}, {arguments.rounds} rounds")
    for dtype in arguments.dtypes:
        found = measure(photos.images, dtype, arguments.images, arguments.rounds)
        each = costs(found, photos.images)
        verdict = judge(found, each, cores)
        print(table(found, each, verdict, cluster), flush=True)
        rows = [{"nodes": nodes, **bounds(each, cluster, nodes)} for nodes in NODES]
        result["dtypes"].append({**found, "costs": dataclasses.asdict(each), "two_actors": verdict, "bounds": rows})
    ray.shutdown()
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / f"{result['date']}-scaling.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(path)


if __name__ == "__main__":
    main()
