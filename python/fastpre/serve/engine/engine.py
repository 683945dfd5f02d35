"""One model behind a queue: `Engine`."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

import numpy as np

from ...errors import ImageError
from ...preprocessor import Preprocessor
from ..errors import DeadlinePassed, Draining, ImageRefused, ServeError
from ..handover import Handover
from ..handover.threads import Threads
from ..model import Described, Model
from ..scheduling.items import Item, Job
from ..scheduling.scheduler import Scheduler
from .filling import Filler
from .instances import Instances
from .preprocessing import Pool
from .settings import Settings
from .waiting import inbox

if TYPE_CHECKING:
    import torch
    from typing_extensions import Self

__all__ = ["Engine", "Observer", "Prediction"]

log = logging.getLogger(__name__)

SECONDS_PER_COST = 4e-9  # at most, beyond what any image takes; a core of 2022 takes 1.2e-9 to 1.5e-9 for photographs
STOP_S = 1.0  # for a batch that still runs when the time to drain is over


class Observer(Protocol):
    """What counts. Called on the engine's threads, so it is quick."""

    def job(self, job: Job) -> None:
        """A job ended, well or not."""

    def batch(self, size: int, seconds: float, moves: int) -> None:
        """A batch ran; `moves` of its images were copied to another slot first."""


class Prediction(NamedTuple):
    """What one image gave.

    Attributes:
        outputs: arrays of (1, ...) by output.
        stages_ms: milliseconds by stage: queue, preprocess, batch (the wait for it), inference.
        quality: the rung of the ladder, "full" at the top.
        image: what became of the image (`fastpre.ImageResult`); None for pixels.
    """

    outputs: Mapping[str, np.ndarray[Any, Any]]
    stages_ms: Mapping[str, float]
    quality: str
    image: Any


class Live(NamedTuple):
    """What an engine has while it runs."""

    handover: Handover
    memory: torch.Tensor
    filler: Filler
    instances: Instances


class Engine:
    """A model that takes images from any thread or event loop, in batches.

    ```python
    engine = Engine(model)            # fastpre.serve.models.load("torchvision:resnet18")
    with engine:
        prediction = await engine.infer(image_bytes)       # or engine.run(image_bytes), in a thread
        prediction.outputs["logits"]
    ```

    Args:
        model: what runs the batches; with a `handover`, what that one says of it.
        settings: the knobs.
        handover: the way to where the model runs, which the engine closes; None: it runs in this process.
        pool: threads that preprocess, to share them with other engines; None: its own.
        observe: told of each job that ends and of each batch, on the thread where it ended.
    """

    def __init__(
        self,
        model: Described,
        settings: Settings | None = None,
        *,
        handover: Handover | None = None,
        pool: Pool | None = None,
        observe: Observer | None = None,
    ) -> None:
        if model.spec.output_size is None:
            raise ValueError("the model's spec must have a fixed output size, such as crop=224")
        self.model = model
        self.settings = settings = Settings() if settings is None else settings
        if handover is None:
            if not callable(model):
                raise TypeError(f"{model.name}: a description alone cannot run; give the handover, or the model itself")
            handover = Threads(lambda: cast("Model", model), instances=settings.instances)
        self._handover = handover
        self.pool = Pool(settings.threads) if pool is None else pool
        self._observe = observe
        self.largest = min(settings.batch, model.max_batch or settings.batch)
        slots = settings.slots_for(self.pool.threads, self.largest)
        own_device = model.device.partition(":")[0] != "cpu"
        cores = 0 if own_device else self.pool.threads
        self.scheduler = Scheduler(
            slots,
            settings.before(),
            settings.policy(self.largest),
            settings.queue_limit,
            self.pool.threads,
            settings.instances,
            cores,
            settings.steps(),
        )
        self.qualities = ("full", *(rung.name for rung in settings.ladder))
        self._specs = [model.spec, *(rung.spec for rung in settings.ladder)]
        self._header = Preprocessor(model.spec)
        self._lock = threading.Lock()
        self._live: Live | None = None
        self._draining = False
        self._flying = 0
        self._still = threading.Condition(self._lock)
        self._seconds_per_cost = 0.0

    # --- life ---

    def start(self) -> Self:
        """Starts the model and the threads, and measures the model once. Returns itself."""
        if self._live is None:
            handover = self._handover
            if not handover.ready:
                handover.start()
            size = self.model.spec.output_size
            assert size is not None
            shape = (self.model.spec.channels, *size)
            memory = handover.allocate(self.scheduler.slots.count, shape, self.model.spec.dtype)
            instances = Instances(self.scheduler, self._lock, handover, memory, self._tell, self._wake_pool, self._ran)
            self._live = Live(handover, memory, Filler(self._specs, self.settings.device, memory), instances)
            self._warm(self._live)
            self.pool.open()
            instances.start()
            self._draining = False
        return self

    def _warm(self, live: Live) -> None:
        """Two sizes of batch, twice each: allocations are made, and the policy knows the curve's both ends."""
        live.memory.zero_()
        for size in sorted({1, min(8, self.largest)}):
            for again in (False, True):
                begun = time.monotonic()
                live.handover.run(live.memory, 0, size, 0)
                if again:
                    self.scheduler.curve.add(size, time.monotonic() - begun)

    def close(self, drain_s: float = 10.0) -> None:
        """Takes nothing new, waits up to `drain_s` for what is under way, refuses the rest, and stops.

        A model that does not return is left behind a second later, in a thread that does not outlive the process.
        """
        live = self._live
        if live is None:
            return
        self.drain()
        with self._still:
            self._still.wait_for(lambda: self._flying == 0, drain_s)
            ended = self.scheduler.drain(Draining("the server is shutting down"), time.monotonic())
        self._tell(ended)
        stopped = live.instances.stop(STOP_S)
        self.pool.close()
        self._live = None
        if stopped:
            live.handover.release(live.memory)
        else:
            log.warning("model %s has not returned from a batch, and is left behind", self.model.name)
        live.handover.close()
        if not stopped and live.instances.stop(STOP_S):  # its worker process was killed, and its images came back
            with self._lock:
                ended = self.scheduler.drain(Draining("the server is shutting down"), time.monotonic())
            self._tell(ended)

    def drain(self) -> None:
        """Takes nothing new from now on; what is under way is finished."""
        with self._lock:
            self._draining = True

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def accepts(self) -> bool:
        """True if images are taken."""
        return self._live is not None and not self._draining

    @property
    def ready(self) -> bool:
        """True if images are taken and every instance of the model can run."""
        return self._live is not None and not self._draining and self._live.handover.ready

    # --- work ---

    def submit(
        self,
        images: Sequence[Any],
        done: Callable[[Job], None],
        *,
        deadline: float | None = None,
        priority: int = 0,
        partial: bool = False,
    ) -> Job:
        """Puts images into the queue; `done` is called once, on any thread, when all of them are done.

        Args:
            images: compressed bytes, `Pixels` or `Prepared`.
            deadline: `time.monotonic()` after which the answer is worth nothing; None: `Settings.timeout_s` from now.
            priority: lower ones go first.
            partial: of a truncated image, what arrived will do, as `fastpre.Spec(truncated="partial")`.

        Raises:
            ImageRefused: an image's header is refused; `index` says which one.
            Overloaded, Draining: the job is not taken.
        """
        now = time.monotonic()
        last = now + self.settings.timeout_s
        job = Job(images, done, now, last if deadline is None else min(deadline, last), priority, partial)
        try:
            for index, item in enumerate(job.items):
                item.cost_s = self._cost_s(item, index)
            with self._lock:
                if self._draining or self._live is None:
                    raise Draining("the server is shutting down" if self._draining else "the engine is not started")
                self.scheduler.add(job, now)
                self._flying += 1
        except ServeError:
            job.items.clear()  # they refer to each other, and would keep the images
            raise
        self.pool.wake(self, len(job.items))
        return job

    def _cost_s(self, item: Item, index: int) -> float:
        """The thread seconds that an image will take, by its header and what others took."""
        if isinstance(item.image, tuple):
            return 0.0
        try:
            cost = self._header.header(item.image).cost
        except ImageError as error:
            raise ImageRefused.of(error, index) from None
        item.cost = cost
        # 0 until the first image was preprocessed. Of small images most is what any image takes, which does not grow.
        most = max(cost * SECONDS_PER_COST, self.scheduler.preprocess_s.value)
        return min(cost * self._seconds_per_cost, most)

    def cancel(self, job: Job) -> None:
        """Nothing waits for the job any more: its slots are given back."""
        with self._lock:
            if job.cancelled or job.left == 0:
                return  # told already, or about to be
            self.scheduler.cancel(job)
            self._landed(1)
        self._wake_pool()

    async def infer(self, image: Any, *, deadline: float | None = None, priority: int = 0) -> Prediction:
        """One image's prediction, awaited; cancelling gives its slot back.

        Raises:
            ServeError: why there is none.
        """
        job = await self.infer_all([image], deadline=deadline, priority=priority)
        return self.prediction(job.items[0])

    async def infer_all(
        self,
        images: Sequence[Any],
        *,
        deadline: float | None = None,
        priority: int = 0,
        partial: bool = False,
    ) -> Job:
        """The job of some images as `submit` takes them, done: each item has an `error` or a result."""
        future, done = inbox().waiter()
        job = self.submit(images, done, deadline=deadline, priority=priority, partial=partial)
        late = asyncio.get_running_loop().call_later(job.deadline - time.monotonic(), self._late, job, future)
        try:
            found = await future
        except asyncio.CancelledError:
            self.cancel(job)
            raise
        finally:
            late.cancel()
        if found is None:
            raise DeadlinePassed("the deadline passed before the answer was ready")
        return found

    def _late(self, job: Job, future: asyncio.Future[Job | None]) -> None:
        self.cancel(job)
        if not future.done():
            future.set_result(None)  # an exception and the frame that awaits it would keep each other, and the images

    def run(self, image: Any, *, timeout_s: float | None = None) -> Prediction:
        """One image's prediction, waited for in this thread.

        Raises:
            ServeError: why there is none.
        """
        future: concurrent.futures.Future[Job] = concurrent.futures.Future()
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        job = self.submit([image], future.set_result, deadline=deadline)
        try:
            return self.prediction(future.result(job.deadline - time.monotonic()).items[0])
        except concurrent.futures.TimeoutError:
            self.cancel(job)
            raise DeadlinePassed("the deadline passed before the answer was ready") from None

    def prediction(self, item: Item) -> Prediction:
        """What a finished item has.

        Raises:
            ServeError: why it has nothing.
        """
        if item.error is not None:
            raise item.error
        return Prediction(item.result(), stages_ms(item), self.qualities[item.rung], item.record)

    # --- on the threads ---

    def step(self) -> float | None:
        """What a thread of the pool does: images into slots until there is nothing to do."""
        live = self._live
        while live is not None:
            now = time.monotonic()
            with self._lock:
                work, due, ended = self.scheduler.next_work(now)
            if ended:
                self._tell(ended)
            if work is None:
                return due
            live.filler.fill(work)
            now = time.monotonic()
            with self._lock:
                ended = self.scheduler.done_work(work, now)
                self._learn(work.items, now)
                wake = live.instances.needed(now)
            if wake:
                live.instances.wake()
            if ended:
                self._tell(ended)
        return None

    def _learn(self, items: list[Item], now: float) -> None:
        """What the header's cost stands for, from the last images."""
        for item in items:
            if item.cost and item.error is None:
                seconds = (now - item.begun) / len(items) / item.cost
                known = self._seconds_per_cost
                self._seconds_per_cost = known + 0.05 * (seconds - known) if known else seconds

    def _wake_pool(self) -> None:
        if self.scheduler.queued:
            self.pool.wake(self, self.scheduler.queued)

    def _ran(self, size: int, seconds: float, moves: int) -> None:
        if self._observe is not None:
            self._observe.batch(size, seconds, moves)

    def _tell(self, ended: list[Job]) -> None:
        for job in ended:
            if self._observe is not None:
                self._observe.job(job)
            done, job.done = job.done, _told
            done(job)
        if ended:
            with self._lock:
                self._landed(len(ended))

    def _landed(self, jobs: int) -> None:
        self._flying -= jobs
        if self._flying == 0:
            self._still.notify_all()


def _told(job: Job) -> None:
    """Stands for a job's `done` once that was called, which may refer to the job and would keep its outputs."""


def stages_ms(item: Item) -> dict[str, float]:
    """How long an image was in each stage, in milliseconds, as far as it came."""
    ends = (item.begun, item.ready, item.run, item.finished)
    stages: dict[str, float] = {}
    last = item.arrived
    for name, end in zip(("queue", "preprocess", "batch", "inference"), ends, strict=True):
        if end:
            stages[name] = (end - last) * 1e3
            last = end
    return stages
