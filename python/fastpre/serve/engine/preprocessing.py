"""Threads that preprocess, shared by the engines of a process."""

from __future__ import annotations

import queue
import threading
import time
from typing import Protocol

from ...preprocessor import Preprocessor

__all__ = ["Pool", "Step"]


class Step(Protocol):
    """What has work for the pool: an engine."""

    def step(self) -> float | None:
        """Does work until there is none. Returns when to look again, by `time.monotonic()`, or None."""


class Pool:
    """Threads that wait for work. `wake` may be called by any thread, as often as it likes.

    Args:
        threads: how many; None: the CPUs that this process may use.
    """

    def __init__(self, threads: int | None = None) -> None:
        self.threads = Preprocessor(num_threads=threads).threads
        self._tokens: queue.SimpleQueue[Step | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._users = 0

    def open(self) -> None:
        """Starts the threads, for the first of those who use the pool."""
        with self._lock:
            self._users += 1
            if self._users == 1:
                names = (f"fastpre-preprocess-{i}" for i in range(self.threads))
                self._threads = [threading.Thread(target=self._run, name=name, daemon=True) for name in names]
                for thread in self._threads:
                    thread.start()

    def close(self) -> None:
        """Stops the threads, for the last of those who use the pool."""
        with self._lock:
            self._users -= 1
            if self._users:
                return
            for _ in self._threads:
                self._tokens.put(None)
            for thread in self._threads:
                thread.join()
            self._threads = []

    def wake(self, engine: Step, pieces: int = 1) -> None:
        """There may be work: `pieces` that do not depend on each other."""
        for _ in range(min(pieces, self.threads)):
            self._tokens.put(engine)

    def _run(self) -> None:
        due: dict[Step, float] = {}
        while True:
            try:
                timeout = max(0.0, min(due.values()) - time.monotonic()) if due else None
                engine = self._tokens.get(timeout=timeout)
            except queue.Empty:
                engine = min(due, key=due.__getitem__)
            if engine is None:
                return
            again = engine.step()
            if again is None:
                due.pop(engine, None)
            else:
                due[engine] = again
