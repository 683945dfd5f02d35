"""What it takes to be compared: one small class."""

from __future__ import annotations

import concurrent.futures
import importlib.util
from typing import Any, ClassVar

import numpy as np
from tasks import Job

Array = Any  # a torch tensor or a NumPy array


def importable(module: str, package: str) -> str | None:
    """Why `import module` cannot work, or None; does not import it."""
    try:
        found = importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the parent of a dotted name is missing
        found = False
    return None if found else f"{package} is not installed"


class Competitor:
    """One way to do a job.

    Args:
        job: what to do.
        threads: over how many threads a batch is spread: by default over images, in a thread pool.

    Attributes:
        key: its name in results and on the command line.
        label: its name in tables and charts.
        layout: axes of one result, "CHW" or "HWC".
        normalized: False if results of a resizing job stay uint8, so that less work is done.
        required_db: what it takes to be timed: the least mean PSNR of an image to the reference; infinite:
            every bit equal; None: nothing but sense (`check.ABSURD_PSNR_DB`).
    """

    key: ClassVar[str]
    label: ClassVar[str]
    layout: str = "CHW"
    normalized: ClassVar[bool] = True
    required_db: ClassVar[float | None] = None

    def __init__(self, job: Job, threads: int = 1) -> None:
        self.job = job
        self.threads = threads
        self._pool = concurrent.futures.ThreadPoolExecutor(threads) if threads > 1 else None
        self.prepare()

    @classmethod
    def missing(cls) -> str | None:
        """Why it cannot run here, or None."""
        return None

    @classmethod
    def enters(cls, job: Job) -> bool:
        """Whether it takes part in this job."""
        return True

    def prepare(self) -> None:
        """Imports and builds what is made once."""

    def one(self, data: bytes) -> Array:
        """One image's result, without a batch axis."""
        raise NotImplementedError

    def run(self, images: list[bytes]) -> Array:
        """The batch: (N, C, H, W) or (N, H, W, C), one image or all of the same output size."""
        if len(images) == 1:
            return self.one(images[0])[None]
        rows = list(map(self.one, images) if self._pool is None else self._pool.map(self.one, images))
        if isinstance(rows[0], np.ndarray):
            return np.stack(rows)
        import torch

        return torch.stack(rows)
