"""What it takes to be compared."""

from __future__ import annotations

import abc
import concurrent.futures
import dataclasses
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from difference import Difference, Reference
from tasks import Job

Array = Any  # a torch tensor or a NumPy array
One = Callable[[bytes], Array]


class Run(abc.ABC):
    """An implementation at work: made once, called for every batch.

    Attributes:
        pixels: its results stay uint8 pixels where the job normalizes them, so that it does less work.
    """

    pixels = False

    @abc.abstractmethod
    def __call__(self, images: list[bytes]) -> Array:
        """The batch, (N, C, H, W) or (N, H, W, C); a CUDA device may still be at work on it."""

    def taken(self, images: list[bytes]) -> list[bytes]:
        """Those that it can do."""
        return images

    def check(self, difference: Difference, images: list[bytes], right: Reference) -> None:
        """Adds how far its results for these images are from the right ones."""
        difference.add(self(images), right.pixels if self.pixels else right.result)


class Each(Run):
    """Handles one image at a time, a batch of them in a thread pool."""

    def __init__(self, one: One, threads: int, pixels: bool) -> None:
        self.pixels = pixels
        self._one = one
        self._pool = concurrent.futures.ThreadPoolExecutor(threads) if threads > 1 else None

    def __call__(self, images: list[bytes]) -> Array:
        if len(images) == 1:
            return self._one(images[0])[None]
        rows = list(map(self._one, images) if self._pool is None else self._pool.map(self._one, images))
        return np.stack(rows) if isinstance(rows[0], np.ndarray) else torch.stack(rows)


def each(make: Callable[..., One], pixels: bool = False, **options: Any) -> Callable[[Job, str, int], Run]:
    """For `Implementation.make`, from what handles one image on the CPU."""
    return lambda job, device, threads: Each(make(job, **options), threads, pixels)


def needs(*modules: tuple[str, str]) -> Callable[[], str | None]:
    """For `Implementation.missing`: (module, name of its package) pairs; nothing is imported."""

    def missing() -> str | None:
        for module, package in modules:
            try:
                found = importlib.util.find_spec(module) is not None
            except ModuleNotFoundError:  # the parent of a dotted name
                found = False
            if not found:
                return f"{package} is not installed"
        return None

    return missing


@dataclasses.dataclass(frozen=True)
class Implementation:
    """One way to do a job.

    Attributes:
        key: its name in results and on the command line.
        label: its name in tables and charts.
        make: takes the job, the device and a number of threads to what does it.
        devices: where it can do it.
        missing: why it cannot run here, or None.
        does: whether it takes part in a job.
        required_db: what it takes to be timed: the least mean PSNR of an image to the reference; infinite: every
            bit equal; None: nothing but sense (`difference.ABSURD_DB`).
        part: it does a part of the job only, which bounds what a whole one can reach.
    """

    key: str
    label: str
    make: Callable[[Job, str, int], Run]
    devices: tuple[str, ...] = ("cpu",)
    missing: Callable[[], str | None] = lambda: None
    does: Callable[[Job], bool] = lambda job: True
    required_db: float | None = None
    part: bool = False

    @property
    def ours(self) -> bool:
        """Whether it is a whole call of fastpre."""
        return self.key.startswith("fastpre")
