"""One image at a time: from bytes in host memory to a tensor that is complete."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable
from typing import Any

from gpu_suite.entrants import Entrant
from gpu_suite.pictures import Pictures

MOST_CALLS = 300
WARM_CALLS = 5
TWELVE_MP = 12_000_000

Guard = Callable[[str], contextlib.AbstractContextManager[None]]


def measure_all(
    everyone: list[Entrant], sets: dict[str, Pictures], seconds: float, guard: Guard
) -> list[dict[str, Any]]:
    """Rows for one natural image, the median one by bytes, and for the one that is closest to 12 megapixels."""
    chosen = {"natural": median_by_bytes(sets["natural"]), "12 MP": closest(sets["large"], TWELVE_MP)}
    share = seconds / (len(chosen) * max(1, len(everyone)))
    rows = []
    for what, (name, data) in chosen.items():
        for entrant in everyone:
            row = {"what": what, "image": name, "key": entrant.key, "label": entrant.label, "role": entrant.role}
            with guard(entrant.key):
                try:
                    row |= one(entrant, data, share)
                except Exception as e:  # whatever a library raises is the finding
                    row["error"] = f"{type(e).__name__}: {e}"[:300]
            rows.append(row)
    return rows


def one(entrant: Entrant, data: bytes, seconds: float) -> dict[str, Any]:
    """Milliseconds of single calls, the device idle before each."""
    import torch

    images = [data]
    for _ in range(WARM_CALLS):
        entrant.run(images)
    torch.cuda.synchronize()
    end = time.perf_counter() + seconds
    calls: list[float] = []
    while len(calls) < MOST_CALLS and (len(calls) < WARM_CALLS or time.perf_counter() < end):
        start = time.perf_counter()
        entrant.run(images)
        torch.cuda.synchronize()
        calls.append(1e3 * (time.perf_counter() - start))
    ordered = sorted(calls)
    return {
        "calls": len(calls),
        "ms": {
            "median": round(statistics.median(ordered), 4),
            "min": round(ordered[0], 4),
            "p95": round(ordered[int(0.95 * (len(ordered) - 1))], 4),
            "max": round(ordered[-1], 4),
        },
    }


def median_by_bytes(p: Pictures) -> tuple[str, bytes]:
    """Neither an easy one nor a hard one."""
    order = sorted(range(len(p.images)), key=lambda i: len(p.images[i]))
    at = order[len(order) // 2]
    return p.names[at], p.images[at]


def closest(p: Pictures, pixels: int) -> tuple[str, bytes]:
    """By the number of pixels."""
    import fastpre

    def distance(i: int) -> int:
        height, width = fastpre.plan(p.images[i]).size
        return abs(height * width - pixels)

    at = min(range(len(p.images)), key=distance)
    return p.names[at], p.images[at]
