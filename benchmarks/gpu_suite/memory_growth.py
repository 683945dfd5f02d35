"""Section "memory": whether memory stays flat over many batches of random sizes."""

from __future__ import annotations

import os
import pathlib
import random
import time
from typing import Any

from gpu_suite import pictures
from gpu_suite.sections import Context

BATCHES = 10_000
POOL = 160  # different images
LARGEST_SIDE = 1400
LARGEST_BATCH = 24
LARGEST_FIRST = 4  # such batches in each mode
EARLY = (10, 100)  # samples; "flat" is judged from the second
TENTHS = 10
POOL_SHARE = 0.25  # of the time, at most


def run(context: Context) -> None:
    import torch

    import fastpre

    result = context.result
    randomness = random.Random(7)
    images = _pool(randomness, context.left() * POOL_SHARE, 12 if context.quick else POOL)
    preprocessors = [fastpre.Preprocessor(fastpre.Spec(fidelity=f), "cuda") for f in ("fast", "exact", "fast")]
    result |= {"images": len(images), "wanted": BATCHES, "batches": 0, "samples": []}
    planned, done = BATCHES, 0
    started = time.monotonic()
    while done < planned and context.left() > 1:
        # The largest batches come first, in each mode: what grows after them is not a size or a kind that was new.
        modes = len(preprocessors)
        if done < LARGEST_FIRST * modes:
            batch = [images[done // modes % 2]] * LARGEST_BATCH
        else:
            batch = randomness.choices(images, k=randomness.randint(1, LARGEST_BATCH))
        preprocessors[done % modes](batch)
        done += 1
        if done == EARLY[-1]:
            # As many as there is time for, so that the samples are spread over all of them.
            rate = done / (time.monotonic() - started)
            planned = min(BATCHES, done + int(rate * max(0.0, context.left() - 4)))
        if done in EARLY or done in milestones(planned):
            torch.cuda.synchronize()
            result["samples"].append({"batches": done} | _sample(torch))
            result["batches"] = done
            context.save()
    torch.cuda.synchronize()
    if result["batches"] != done:
        result["samples"].append({"batches": done} | _sample(torch))
    result["batches"] = done
    result |= growth(result["samples"])


def milestones(planned: int) -> set[int]:
    """Every tenth of what comes after the early samples."""
    first = EARLY[-1]
    return {first + (planned - first) * i // TENTHS for i in range(1, TENTHS + 1)} if planned > first else set()


def growth(samples: list[dict[str, int]]) -> dict[str, Any]:
    """From the hundredth batch to the last, and to the highest: bytes. Null where it did not get that far."""
    base = next((s for s in samples if s["batches"] == EARLY[-1]), None)
    later = [s for s in samples if s["batches"] > EARLY[-1]]
    if base is None or not later:
        return {"growth_bytes": None, "highest_growth_bytes": None}
    return {
        "growth_bytes": {key: later[-1][key] - base[key] for key in base if key != "batches"},
        "highest_growth_bytes": {key: max(s[key] for s in later) - base[key] for key in base if key != "batches"},
    }


def _sample(torch: Any) -> dict[str, int]:
    from fastpre import _core

    free, total = torch.cuda.mem_get_info()
    memory = _core.cuda_memory(torch.cuda.current_device())
    return {
        # The whole device's, without torch's: also what CUDA itself and, should there be any, other processes have.
        "device_beside_torch": total - free - torch.cuda.memory_reserved(),
        "fastpre_device": memory["device"]["used_bytes"],
        "fastpre_pinned": memory["pinned"]["used_bytes"],
        "host_resident": _resident_bytes(),
    }


def _resident_bytes() -> int:
    pages = int(pathlib.Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _pool(randomness: random.Random, seconds: float, count: int) -> list[bytes]:
    """Of all sizes and kinds; the first two are the largest, sequential and progressive."""
    end = time.monotonic() + seconds
    images = [pictures.encode(LARGEST_SIDE, LARGEST_SIDE, subsampling="4:4:4", progressive=p) for p in (False, True)]
    while len(images) < count and (len(images) < 8 or time.monotonic() < end):
        width, height = (randomness.randint(16, LARGEST_SIDE) for _ in range(2))
        options: dict[str, Any] = {
            "quality": randomness.randint(40, 97),
            "subsampling": randomness.choice(("4:2:0", "4:2:2", "4:4:4")),
            "progressive": randomness.random() < 0.1,
        }
        mode = "L" if randomness.random() < 0.1 else "RGB"
        if mode == "L":
            options.pop("subsampling")
        images.append(pictures.encode(width, height, len(images), mode, **options))
    return images
