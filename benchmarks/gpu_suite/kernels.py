"""Section "kernels": our kernels' own time, against what they move and against nvJPEG alone."""

from __future__ import annotations

import json
import pathlib
import tempfile
from typing import Any

import photographs
import torch
from comparison import pass_over
from implementations import BY_KEY
from implementations.ours import Fastpre, spec_of
from machine import cores
from tasks import Job
from torch.profiler import ProfilerActivity

import fastpre
from fastpre.cli.timing import interleaved

from .context import Context

JOB = Job()
OURS = ("ResampleKernel", "IdctKernel", "CanaryKernel")
MODES = ("fastpre-hardware", "fastpre-exact", "fastpre-fast")
BATCH = 256
PROFILED = 6  # batches
COPY_BYTES = 1 << 30


def run(context: Context) -> None:
    result = context.result
    result["copy"] = {"bytes": COPY_BYTES, "bytes_per_second": copy_bandwidth(context, COPY_BYTES)}
    images = photographs.load("natural", 8 if context.quick else None).images
    batch = (images * BATCH)[: 8 if context.quick else BATCH]
    failures: dict[str, str] = {}
    result |= {"modes": {}, "absent": failures}
    alone = BY_KEY["nvjpeg-alone"]
    with context.attempt(alone.key, failures):
        why = alone.missing()
        if why:
            raise RuntimeError(why)
        engines = alone.make(JOB, "cuda", cores())
        # The images that the engines take, so that all times are of the same ones.
        batch = engines.taken(batch) or batch
        once = pass_over(engines, batch, len(batch), context.synchronize)
        once()
        result["nvjpeg_alone_ms"] = round(len(batch) * interleaved({"alone": once}, 15)["alone"].median, 4)
    moved = sum(map(bytes_of, batch))
    result |= {"batch": len(batch), "moved_bytes": moved}
    for key in MODES:
        with context.attempt(key, failures):
            mode = _mode(BY_KEY[key].make(JOB, "cuda", cores()), batch)
            result["modes"][key] = mode
            kernel = mode["kernels"].get("ResampleKernel")
            if kernel is None:
                raise RuntimeError("the profiler saw no ResampleKernel")
            mode["bytes_per_second"] = moved / (kernel["ms_a_batch"] / 1e3)
            mode["fraction_of_copy"] = round(mode["bytes_per_second"] / result["copy"]["bytes_per_second"], 4)
            if "nvjpeg_alone_ms" in result:
                added = sum(k["ms_a_batch"] for name, k in mode["kernels"].items() if name != "IdctKernel")
                mode["adds_to_nvjpeg_alone"] = round(added / result["nvjpeg_alone_ms"], 5)


def copy_bandwidth(context: Context, count: int) -> float:
    """Bytes read and written a second, of the fastest of some device-to-device copies of `count` bytes."""
    source = torch.zeros(count, dtype=torch.uint8, device=context.memory)
    target = torch.empty_like(source)

    def once() -> int:
        target.copy_(source)
        context.synchronize()
        return 1

    once()
    return 2 * count / (min(interleaved({"copy": once}, 12)["copy"].rounds_ms) / 1e3)


def bytes_of(data: bytes) -> int:
    """What the resampling kernel has to move for one image: samples that its output depends on, and the output.

    Each once, at full size: what neighbouring tiles read twice is not counted.
    """
    plan = fastpre.plan(data, spec_of(JOB))
    sampling = plan.header["sampling"]
    widest, highest = (max(s[axis] for s in sampling) for axis in (0, 1))
    _, _, height, width = plan.rectangle
    samples = sum(-(-width * h // widest) * -(-height * v // highest) for h, v in sampling)
    assert JOB.crop is not None
    return samples + 4 * 3 * JOB.crop * JOB.crop


def _mode(run: Any, images: list[bytes]) -> dict[str, Any]:
    assert isinstance(run, Fastpre)
    for _ in range(3):
        run(images)
    torch.cuda.synchronize()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "trace.json"
        # The trace has all that CUDA did in this process, also kernels that torch knows nothing of.
        with torch.profiler.profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as profiler:
            for _ in range(PROFILED):
                run(images)
                torch.cuda.synchronize()
        profiler.export_chrome_trace(str(path))
        events = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    return {"decoders": run.decoders(images)} | sums(events, PROFILED)


def sums(events: list[dict[str, Any]], batches: int) -> dict[str, Any]:
    """Milliseconds and launches a batch of our kernels and of all others together; of copies, with their bytes."""
    found: dict[str, dict[str, dict[str, float]]] = {"kernels": {}, "copies": {}}
    for event in events:
        kind, ms = event.get("cat"), float(event.get("dur", 0)) / 1e3 / batches
        if kind == "kernel":
            name = next((name for name in OURS if name in event["name"]), "other")
            group, field, amount = "kernels", "launches_a_batch", 1.0
        elif kind == "gpu_memcpy":
            name = next((d for d in ("HtoD", "DtoH", "DtoD") if d in event["name"]), "other")
            group, field, amount = "copies", "bytes_a_batch", float(event.get("args", {}).get("bytes", 0))
        else:
            continue
        entry = found[group].setdefault(name, {"ms_a_batch": 0.0, field: 0.0})
        entry["ms_a_batch"] = round(entry["ms_a_batch"] + ms, 6)
        entry[field] = round(entry[field] + amount / batches, 6)
    found["other_kernels"] = {"all": found["kernels"].pop("other", {})}
    return found
