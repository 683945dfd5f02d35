"""What is compared: ways from JPEG bytes in host memory to tensors, on the CPU or on a CUDA device.

A new one is an entry in one of the lists: a key, a label, and a function that makes what handles an image or a batch.
"""

from __future__ import annotations

from tasks import Job

from . import dali, nvjpeg, opencv, others, ours, parts, pillow, torchvision
from .base import Implementation

ALL: tuple[Implementation, ...] = (
    *ours.ALL,
    *torchvision.ALL,
    *pillow.ALL,
    *opencv.ALL,
    *dali.ALL,
    *others.ALL,
    *parts.ALL,
    *nvjpeg.ALL,
)
BY_KEY = {implementation.key: implementation for implementation in ALL}


def able(job: Job, device: str = "cpu", only: list[str] | None = None) -> tuple[list[Implementation], dict[str, str]]:
    """Those that can do `job` here, and why others of `only` cannot, by key; "emulated" counts as a CUDA device."""
    place = "cuda" if device == "emulated" else device
    wanted = [i for i in ALL if place in i.devices and i.does(job) and (only is None or i.key in only)]
    if device == "emulated":
        wanted = [i for i in wanted if i.ours]
    reasons = {i.key: i.missing() for i in wanted}
    return [i for i in wanted if not reasons[i.key]], {key: why for key, why in reasons.items() if why}
