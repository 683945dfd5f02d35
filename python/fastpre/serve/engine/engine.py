"""One model behind a queue: `Engine`."""

from __future__ import annotations

import concurrent.futures
import functools
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from ..errors import DeadlinePassed, Draining, ServeError
from ..handover import Handover
from ..handover.threads import Threads
from ..model import Described, Model
from ..scheduling.items import Item, Job
from ..scheduling.places import Ticket, answer
from ..scheduling.scheduler import Scheduler
from .answers import Observer, Prediction, stages_ms
from .costs import Costs
from .filling import Filler
from .instances import Instances
from .preprocessing import Pool
from .settings import Settings
from .waiting import finished, told

if TYPE_CHECKING:
    import torch
    from typing_extensions import Self

__all__ = ["Engine", "Observer", "Prediction", "stages_ms"]

log = logging.getLogger(__name__)

STOP_S = 1.0  # for a batch that still runs when the time to drain is over


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
        self.cores = cores = 0 if own_device else self.pool.threads
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
        rungs = (*settings.ladder, *settings.apart)
        for rung in rungs:
            rung.check(model.spec)
        self.qualities: tuple[str, ...] = ("full", *(rung.name for rung in rungs))
        self.specs = [model.spec, *(rung.spec for rung in rungs)]
        self._costs = Costs(model.spec)
        self._lock = threading.Lock()
        self._live: Live | None = None
        self._draining = False
        self._flying = 0
        self._still = threading.Condition(self._lock)

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
            self._live = Live(handover, memory, Filler(self.specs, self.settings.device, memory), instances)
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
            error = Draining("the server is shutting down")
            ended = self.scheduler.drain(error, time.monotonic())
            waiting = self.scheduler.places.clear()
        self._tell(ended)
        answer(waiting, error)
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
    def local(self) -> bool:
        """True if the model runs in this process."""
        return isinstance(self._handover, Threads)

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
        rung: int | None = None,
        kept: bool = False,
    ) -> Job:
        """Puts images into the queue; `done` is called once, on any thread, when all of them are done.

        Args:
            images: compressed bytes, `Pixels`, `Prepared` or `cropping.Crop`.
            deadline: `time.monotonic()` after which the answer is worth nothing; None: `Settings.timeout_s` from now.
            priority: lower ones go first.
            partial: of a truncated image, what arrived will do, as `fastpre.Spec(truncated="partial")`.
            rung: which of `qualities`; None: the load decides.
            kept: `keep` or `wait_for_places` has seen to it that there is room.

        Raises:
            ImageRefused: an image's header is refused; `index` says which one.
            Overloaded, Draining: the job is not taken.
        """
        now = time.monotonic()
        last = now + self.settings.timeout_s
        job = Job(images, done, now, last if deadline is None else min(deadline, last), priority, partial, rung)
        try:
            for index, item in enumerate(job.items):
                self._costs.predict(item, index, self.scheduler.preprocess_s.value)
            with self._lock:
                self._check_open()
                self.scheduler.add(job, now, kept=kept)
                self._flying += 1
        except ServeError:
            job.items.clear()  # as in `_tell`: images, job and what waits would keep each other
            job.done = told
            raise
        self.pool.wake(self, len(job.items))
        return job

    def _check_open(self) -> None:
        if self._draining or self._live is None:
            raise Draining("the server is shutting down" if self._draining else "the engine is not started")

    def check(self, images: Sequence[Any]) -> None:
        """Reads the headers, as `submit` does.

        Raises:
            ImageRefused: as `submit`.
        """
        for index, image in enumerate(images):
            if not isinstance(image, tuple):
                self._costs.check(image, index)

    # --- places in the queue, for stages that feed it ---

    def keep(self, count: int, deadline: float) -> None:
        """Keeps places in the queue, for images that `submit` brings later; or `give_back` returns them.

        Raises:
            Overloaded, Draining: as `submit`.
        """
        with self._lock:
            self._check_open()
            self.scheduler.keep(count, deadline, time.monotonic())

    def wait_for_places(self, ticket: Ticket, priority: int, deadline: float) -> None:
        """As `keep` once there is room: the ticket is answered then, by any thread, or by this one at once."""
        with self._lock:
            self._check_open()
            self.scheduler.places.wait(ticket, priority, deadline)
            granted = self.scheduler.grant()
        answer(granted)

    def give_back(self, count: int) -> None:
        """Places that were kept are not needed."""
        with self._lock:
            self.scheduler.places.kept -= count
            granted = self.scheduler.grant()
        answer(granted)

    def cancel(self, job: Job) -> None:
        """Nothing waits for the job any more: its slots are given back."""
        with self._lock:
            if job.cancelled or job.left == 0:
                return  # told already, or about to be
            self.scheduler.cancel(job)
            granted = self.scheduler.grant()
            self._landed(1)
        answer(granted)
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
        submit = functools.partial(self.submit, images, deadline=deadline, priority=priority, partial=partial)
        return await finished(submit, self.cancel)

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
                granted = self.scheduler.grant()
            answer(granted)
            if ended:
                self._tell(ended)
            if work is None:
                return due
            live.filler.fill(work)
            now = time.monotonic()
            with self._lock:
                ended = self.scheduler.done_work(work, now)
                self._costs.learn(work.items, now)
                wake = live.instances.needed(now)
            if wake:
                live.instances.wake()
            if ended:
                self._tell(ended)
        return None

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
            done, job.done = job.done, told  # what waits has the job: they are not to keep each other
            done(job)
        if ended:
            with self._lock:
                self._landed(len(ended))

    def _landed(self, jobs: int) -> None:
        self._flying -= jobs
        if self._flying == 0:
            self._still.notify_all()
