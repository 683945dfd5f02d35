"""How long a batch and a start may take, and what a worker process may use."""

from __future__ import annotations

import dataclasses
import os

__all__ = ["Options"]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """The same for all kinds. With "threads" there is no process to kill, and none of them has an effect.

    Attributes:
        timeout_s: how long a batch may take. A worker that has not answered by then is killed and counts as dead.
        start_timeout_s: how long a worker may take to start, import torch and load its model.
        threads: of torch and OpenMP in each worker; 0: its share of the cores of this process.
        max_output_bytes: of one batch. More is an error of the model.
    """

    timeout_s: float = 60.0
    start_timeout_s: float = 300.0
    threads: int = 0
    max_output_bytes: int = 1 << 30

    def __post_init__(self) -> None:
        for name in ("timeout_s", "start_timeout_s", "max_output_bytes"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be more than 0, got {getattr(self, name)}")
        if self.threads < 0:
            raise ValueError(f"threads must be at least 0, got {self.threads}")

    def worker_threads(self, workers: int) -> int:
        """How many threads each of so many workers has."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return self.threads or max(1, cores // workers)
