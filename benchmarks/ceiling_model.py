"""What a server can give at most, by its measured parts: pure arithmetic, without a server.

A request costs core time: its image is preprocessed (pixels / pixels per second of a core), the model runs, and the
request itself is received, scheduled and answered, which has a fixed part and one for each byte. Cores, instances of
the model, memory and the link each bound the rate; the ceiling is the least of these bounds. Nothing waits in this
model: what a server loses to waiting, to batches that do not fill and to threads that take turns is what lies between
the ceiling and what is measured. (The idea is MoE-Lens': a holistic bound from parts, beside which results are held.)
"""

from __future__ import annotations

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class Host:
    """What there is.

    Attributes:
        cores: that all of it shares, the client too.
        memory_bytes_s: of copies, all cores together.
        link_bytes_s: of the network; infinite on one machine.
    """

    cores: int
    memory_bytes_s: float
    link_bytes_s: float = math.inf


@dataclasses.dataclass(frozen=True)
class Parts:
    """What one image costs, as measured with all cores at work.

    Attributes:
        megapixels: of the image, in the mean.
        megapixels_s: preprocessed by one core in a second.
        bytes_in: of the request's body.
        bytes_moved: read and written by everything that copies: body, slots, batches.
        request_s: core seconds of a request apart from its bytes: client, protocol, scheduling.
        byte_s: core seconds for each byte of the body.
        inference_core_s: core seconds of the model.
        inference_s: seconds of an instance, its share of a batch.
        instances: of the model.
    """

    megapixels: float
    megapixels_s: float
    bytes_in: float
    bytes_moved: float
    request_s: float
    byte_s: float
    inference_core_s: float
    inference_s: float
    instances: int = 1


def core_s(parts: Parts) -> dict[str, float]:
    """Core seconds of one request by stage."""
    return {
        "request": parts.request_s + parts.byte_s * parts.bytes_in,
        "preprocessing": parts.megapixels / parts.megapixels_s,
        "inference": parts.inference_core_s,
    }


def bounds(parts: Parts, host: Host) -> dict[str, float]:
    """Images/s that each resource allows."""
    return {
        "cores": host.cores / sum(core_s(parts).values()),
        "model": parts.instances / parts.inference_s,
        "memory": host.memory_bytes_s / parts.bytes_moved,
        "link": host.link_bytes_s / parts.bytes_in,
    }


def ceiling(parts: Parts, host: Host) -> tuple[str, float]:
    """What bounds the rate, and the rate in images/s."""
    found = bounds(parts, host)
    least = min(found, key=lambda name: found[name])
    return least, found[least]


def line(first: tuple[float, float], second: tuple[float, float]) -> tuple[float, float]:
    """(at 0, slope) of the line through two points: fixed and proportional costs of two measurements.

    Raises:
        ValueError: both are at the same place.
    """
    (x0, y0), (x1, y1) = first, second
    if x0 == x1:
        raise ValueError(f"two measurements at {x0} give no slope")
    slope = (y1 - y0) / (x1 - x0)
    return y0 - slope * x0, slope


def per_image(curve: dict[int, float], size: float) -> float:
    """Seconds for each image of a batch of `size` (a mean may be no whole number), by the seconds of whole batches.

    Between the two nearest measured sizes the batch's time is taken as a straight line, past the last one too.
    """
    if not curve or size < 1:
        raise ValueError(f"batches of {size} by {sorted(curve)}")
    sizes = sorted(curve)
    if len(sizes) == 1:
        return curve[sizes[0]] / sizes[0]
    after = next((i for i, each in enumerate(sizes) if each >= size), len(sizes) - 1)
    low, high = sizes[max(0, after - 1)], sizes[max(1, after)]
    at_zero, slope = line((low, curve[low]), (high, curve[high]))
    return (at_zero + slope * size) / size
