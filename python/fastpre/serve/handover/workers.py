"""The worker processes of one handover, all of one kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from . import WorkerDied
from .description import Description
from .job import Job
from .keeper import Keeper, Worker
from .options import Options

__all__ = ["Workers"]


class Workers:
    """A worker for each job, kept running.

    Args:
        on_end: called when a worker that was ready has ended: its number, and how it did.
    """

    def __init__(self, jobs: Sequence[Job], options: Options, on_end: Callable[[int, str], None] | None = None) -> None:
        def told(number: int) -> Callable[[Worker, str], None] | None:
            return None if on_end is None else lambda _, end: on_end(number, end)

        self._closed = False
        self._keepers = [Keeper(number, job, options, told(number)) for number, job in enumerate(jobs)]

    def start(self) -> Description:
        """Starts all of them at the same time, and returns when all are ready; ends all if one does not get there.

        Raises:
            ModelRaised, WorkerDied: as `Handover.start`.
        """
        try:
            for keeper in self._keepers:
                keeper.start()
            descriptions = [keeper.wait_for_first() for keeper in self._keepers]
        except BaseException:
            self.close()
            raise
        return descriptions[0]

    def ready(self) -> bool:
        """True if all take batches."""
        return all(keeper.worker is not None for keeper in self._keepers)

    def get(self, number: int) -> Worker:
        """The worker of that number.

        Raises:
            WorkerDied: the last one ended, and the next one is not there yet.
        """
        worker = self._keepers[number].worker
        if worker is None:
            if self._closed:
                raise WorkerDied("the handover is closed")
            raise WorkerDied(f"worker {number} is being started")
        return worker

    def lose(self, number: int, worker: Worker, *, kill: bool = False) -> str:
        """As `Keeper.lose`."""
        return self._keepers[number].lose(worker, kill=kill)

    def close(self) -> None:
        """Ends all of them; returns when none is left."""
        self._closed = True
        for keeper in self._keepers:
            keeper.close()
        for keeper in self._keepers:
            keeper.join()
