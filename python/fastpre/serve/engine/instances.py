"""Threads that carry batches to the model, one for each instance of it."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import ModelFailed
from ..handover import Handover, ModelRaised, WorkerDied
from ..scheduling.items import Batch, Job
from ..scheduling.scheduler import Scheduler

if TYPE_CHECKING:
    import torch

__all__ = ["Instances"]

log = logging.getLogger(__name__)

WORKER_POLL_S = 0.02


class Instances:
    """The threads of one engine's model.

    Args:
        lock: guards the scheduler.
        ended: tells of jobs that ended; called without the lock.
        freed: called when slots are free again, without the lock.
        ran: told of each batch's size, seconds and moves.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        lock: threading.Lock,
        handover: Handover,
        memory: torch.Tensor,
        ended: Callable[[list[Job]], None],
        freed: Callable[[], None],
        ran: Callable[[int, float, int], None],
    ) -> None:
        self._scheduler = scheduler
        self._lock = lock
        self._handover = handover
        self._memory = memory
        self._ended = ended
        self._freed = freed
        self._ran = ran
        self._tokens: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._idle = 0  # under the lock
        self._threads: list[threading.Thread] = []
        self._alarm = float("inf")  # when an idle thread looks by itself, under the lock
        self._stopping = threading.Event()

    def start(self) -> None:
        """Starts a thread for each instance."""
        for i in range(self._handover.instances):
            thread = threading.Thread(target=self._run, args=(i,), name=f"fastpre-model-{i}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self, wait_s: float) -> bool:
        """Ends the threads, each after the batch that it runs; False if one still runs it after `wait_s`."""
        self._stopping.set()
        for _ in self._threads:
            self._tokens.put(False)
        ends = time.monotonic() + wait_s
        for thread in self._threads:
            thread.join(max(0.0, ends - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def needed(self, now: float) -> bool:
        """True if an idle thread should look; called with the lock held, when an image is ready.

        Waking a thread costs about as much as parsing a request, so it is not done for every image of a batch.
        """
        if not self._idle or not self._scheduler.ready:
            return False
        return self._alarm == float("inf") or self._scheduler.should_run(now)

    def wake(self) -> None:
        """Makes one thread look."""
        self._tokens.put(True)

    def _run(self, instance: int) -> None:
        while True:
            now = time.monotonic()
            with self._lock:
                batch, due, ended = self._scheduler.next_batch(now)
                if batch is None:
                    self._idle += 1
                    self._alarm = min(self._alarm, float("inf") if due is None else due)
            if ended:
                self._ended(ended)
                self._freed()
            if batch is not None:
                if not self._carry(batch, instance):
                    self._await_worker()
                continue
            try:
                go_on = self._tokens.get(timeout=None if due is None else max(0.0, due - now))
            except queue.Empty:
                go_on = True
            with self._lock:
                self._idle -= 1
                self._alarm = float("inf")  # the others that are idle have timeouts of their own
            if not go_on:
                return

    def _await_worker(self) -> None:
        """Waits for the next worker process, or the images' second try would be lost before it is there."""
        self.wake()  # another instance may have its worker still
        while not self._handover.ready and not self._stopping.wait(WORKER_POLL_S):
            pass

    def _carry(self, batch: Batch, instance: int) -> bool:
        """Runs a batch; False if its worker is gone."""
        if batch.moves:
            for source, target in batch.moves:
                self._memory[target].copy_(self._memory[source])
            with self._lock:
                self._scheduler.moved(batch)
        count = len(batch.items)
        begun = time.monotonic()
        alive = True
        try:
            outputs = self._handover.run(self._memory, batch.first, count, instance)
        except WorkerDied as error:
            log.warning("a batch of %d was lost: %s", count, error)
            alive = False
            with self._lock:
                ended = self._scheduler.lost_batch(batch, str(error), time.monotonic())
        except Exception as error:
            log.exception("the model raised")
            what = str(error) if isinstance(error, ModelRaised) else f"{type(error).__name__}: {error}"
            failed = ModelFailed(f"the model raised {what}")
            with self._lock:
                ended = self._scheduler.failed_batch(batch, failed, time.monotonic())
        else:
            now = time.monotonic()
            self._ran(count, now - begun, len(batch.moves))
            with self._lock:
                ended = self._scheduler.done_batch(batch, outputs, now)
        self._ended(ended)
        self._freed()
        return alive
