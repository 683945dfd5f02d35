"""Section "kernel": our kernels' own time, against what they move and against nvJPEG alone."""

from __future__ import annotations

import json
import pathlib
import statistics
import tempfile
import time
from typing import Any

from gpu_suite import bench, entrants, nvjpeg_entrant, pictures
from gpu_suite.sections import Context

OURS = ("ResampleKernel", "IdctKernel", "CanaryKernel")
BATCH = 256
PROFILED = 6  # batches
COPY_BYTES = 1 << 30
OUTPUT_BYTES = 4 * 3 * entrants.CROP * entrants.CROP


def run(context: Context) -> None:
    result = context.result
    result["copy"] = {"bytes": COPY_BYTES, "bytes_per_second": copy_bandwidth(COPY_BYTES)}
    context.save()
    images = pictures.load("natural", context.quick).images
    batch = (images * BATCH)[: 8 if context.quick else BATCH]
    ceiling = _ceiling(context, batch)
    result["modes"] = {}
    # Of the images that the engines take where there are any, so that all times are of the same ones.
    same = ceiling.taken(batch) if ceiling is not None else batch
    result["batch"] = len(same)
    moved = sum(map(bytes_of, same))
    result["moved_bytes"] = moved
    result["copy_of_as_many"] = {"bytes": moved, "bytes_per_second": copy_bandwidth(max(2, moved) // 2)}
    for cls in (entrants.FastpreHardware, entrants.FastpreExact, entrants.FastpreAuto):
        if context.left() < 3:
            result["modes"][cls.key] = {"error": "not reached: no time left"}
            continue
        try:
            result["modes"][cls.key] = _of(cls(), same, moved, result["copy"]["bytes_per_second"])
        except Exception as e:  # one mode's fault is not another's
            result["modes"][cls.key] = {"error": f"{type(e).__name__}: {e}"[:500]}
        context.save()
    if ceiling is not None:
        result["nvjpeg_alone_ms"] = _batch_ms(ceiling, same, context.left() / 2)
        for mode in result["modes"].values():
            if "kernels" in mode:
                added = sum(k["ms_a_batch"] for name, k in mode["kernels"].items() if name != "IdctKernel")
                mode["adds_to_nvjpeg_alone"] = round(added / result["nvjpeg_alone_ms"], 5)


def _ceiling(context: Context, batch: list[bytes]) -> nvjpeg_entrant.NvjpegCeiling | None:
    try:
        why = nvjpeg_entrant.NvjpegCeiling.missing()
        ceiling = nvjpeg_entrant.NvjpegCeiling() if why is None else None
        if ceiling is not None and not ceiling.taken(batch):
            why, ceiling = "none of these images is one for the engines", None
    except Exception as e:  # whatever it says is the reason
        why, ceiling = f"{type(e).__name__}: {e}"[:300], None
    if why is not None:
        context.result["nvjpeg_alone_missing"] = why
    return ceiling


def copy_bandwidth(count: int, tries: int = 12) -> float:
    """Bytes read and written a second, of the fastest of some device-to-device copies of `count` bytes."""
    import torch

    source = torch.zeros(count, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    best = float("inf")
    for _ in range(tries):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        target.copy_(source)
        end.record()
        end.synchronize()
        best = min(best, start.elapsed_time(end) / 1e3)
    return 2 * count / best


def bytes_of(data: bytes) -> int:
    """What the resampling kernel has to move for one image: samples that its output depends on, and the output.

    Each once, at full size: what neighbouring tiles read twice is not counted.
    """
    import fastpre

    plan = fastpre.plan(data, fastpre.Spec(resize=entrants.RESIZE, crop=entrants.CROP))
    sampling = plan.header["sampling"]
    widest, highest = (max(s[axis] for s in sampling) for axis in (0, 1))
    _, _, height, width = plan.rectangle
    samples = sum(-(-width * h // widest) * -(-height * v // highest) for h, v in sampling)
    return samples + OUTPUT_BYTES


def _of(entrant: entrants.Fastpre, images: list[bytes], moved: int, copied: float) -> dict[str, Any]:
    import torch

    for _ in range(3):
        entrant.run(images)
    torch.cuda.synchronize()
    mode: dict[str, Any] = {"decoders": entrant.decoders(images)}
    after: list[float] = []
    for _ in range(PROFILED):
        entrant.run(images)
        start = time.perf_counter()
        torch.cuda.synchronize()
        after.append(1e3 * (time.perf_counter() - start))
    # What is still to be done when the call returns: an upper bound of the last kernels, seen without a profiler.
    mode["after_return_ms"] = round(statistics.median(after), 4)
    events = profile(lambda: entrant.run(images), PROFILED)
    mode |= sums(events, PROFILED)
    kernel = mode["kernels"].get("ResampleKernel")
    if kernel is None:
        mode["note"] = "the profiler saw no ResampleKernel"
    else:
        rate = moved / (kernel["ms_a_batch"] / 1e3)
        mode["bytes_per_second"] = rate
        mode["fraction_of_copy"] = round(rate / copied, 4)
    return mode


def profile(once: Any, count: int) -> list[dict[str, Any]]:
    """The trace's events, of all that CUDA did in this process: also of kernels that torch knows nothing of."""
    import torch
    from torch.profiler import ProfilerActivity

    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "trace.json"
        with torch.profiler.profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as profiler:
            for _ in range(count):
                once()
                torch.cuda.synchronize()
        profiler.export_chrome_trace(str(path))
        events: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    return events


def sums(events: list[dict[str, Any]], batches: int) -> dict[str, Any]:
    """Milliseconds and launches a batch of our kernels, of all others together, and of copies with their bytes."""
    kernels: dict[str, dict[str, float]] = {}
    other = {"ms_a_batch": 0.0, "launches_a_batch": 0.0}
    copies: dict[str, dict[str, float]] = {}
    for event in events:
        kind, ms = event.get("cat"), float(event.get("dur", 0)) / 1e3 / batches
        if kind == "kernel":
            ours = next((name for name in OURS if name in event["name"]), None)
            entry = other if ours is None else kernels.setdefault(ours, {"ms_a_batch": 0.0, "launches_a_batch": 0.0})
            entry["ms_a_batch"] += ms
            entry["launches_a_batch"] += 1 / batches
        elif kind == "gpu_memcpy":
            direction = next((d for d in ("HtoD", "DtoH", "DtoD") if d in event["name"]), "other")
            copy = copies.setdefault(direction, {"ms_a_batch": 0.0, "bytes_a_batch": 0.0})
            copy["ms_a_batch"] += ms
            copy["bytes_a_batch"] += float(event.get("args", {}).get("bytes", 0)) / batches
    rounded = {name: {k: round(v, 5) for k, v in entry.items()} for name, entry in kernels.items()}
    return {
        "kernels": rounded,
        "other_kernels": {k: round(v, 5) for k, v in other.items()},
        "copies": {name: {k: round(v, 5) for k, v in entry.items()} for name, entry in copies.items()},
    }


def _batch_ms(entrant: entrants.Entrant, images: list[bytes], seconds: float) -> float:
    once = bench.pass_over(entrant, [images])
    for _ in range(3):
        once()
    times: list[float] = []
    end = time.perf_counter() + min(seconds, 10.0)
    while len(times) < 5 or (len(times) < 50 and time.perf_counter() < end):
        start = time.perf_counter()
        once()
        times.append(1e3 * (time.perf_counter() - start))
    return round(statistics.median(times), 4)
