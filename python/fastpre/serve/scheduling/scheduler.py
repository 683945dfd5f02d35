"""Which image is preprocessed next, and which ones make the next batch of one model."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ..errors import DeadlinePassed, Overloaded, ServeError, WorkerLost
from .items import Batch, Item, Job, State, Work
from .ladder import Ladder
from .measures import ArrivalRate, Average, ServiceCurve
from .places import Places, Ticket
from .policy import Choice, Chooses, Load
from .slots import Slots

__all__ = ["Scheduler"]

# A choice holds for this long: it costs 10 to 20 us, and loads do not change faster.
CHOICE_LASTS_S = 0.02
# An image is slow if its preprocessing takes this many times the average, and longer than a hand-over costs.
SLOW_TIMES = 4
SLOW_S = 0.004


class Scheduler:
    """The way of images through one model: queue, preprocessing, batch.

    An image takes a slot of the model's batch memory when its preprocessing begins, so work is begun only if there is
    room downstream. Priorities go first, then earlier deadlines, then earlier arrivals.

    It has no lock and no clock: one call at a time, with `now` in seconds. Calls that end jobs return them, for the
    caller to say so once it holds no lock.

    Args:
        slots: of the batch memory; the images that are under way between the queue and the answer.
        before: the knobs before preprocessing.
        policy: the knobs before the model.
        queue_limit: images that may wait for preprocessing.
        threads: that preprocess.
        instances: batches that run at a time.
        cores: that both share; 0 if the model has a device of its own.
        ladder: of quality under load.
    """

    def __init__(
        self,
        slots: int,
        before: Choice,
        policy: Chooses,
        queue_limit: int,
        threads: int,
        instances: int,
        cores: int,
        ladder: Ladder | None = None,
    ) -> None:
        self.slots = Slots(slots)
        self.before = before
        self.policy = policy
        self.queue_limit = queue_limit
        self.threads = threads
        self.instances = instances
        self.cores = cores
        self.ladder = ladder
        self.arrivals = ArrivalRate()
        self.curve = ServiceCurve()
        self.preprocess_s = Average()
        self.queued = 0
        self.preprocessing = 0
        self.running = 0
        self.places = Places()
        self._queued_cost_s = 0.0
        self._queue: list[tuple[int, float, int, Item]] = []
        self._ready: list[Item] = []
        self._sequence = 0
        self._choice = Choice(1, 0.0)
        self._choice_until = -1.0

    @property
    def ready(self) -> int:
        """Images that are preprocessed and wait for the model."""
        return len(self._ready)

    # --- arrival ---

    def add(self, job: Job, now: float, *, kept: bool = False) -> None:
        """Puts a job's images into the queue.

        Args:
            kept: their places were kept (`keep`), so that there is room.

        Raises:
            Overloaded: the queue has no room for all of them, or they would be done after the job's deadline.
        """
        count = len(job.items)
        self.arrivals.add(count, now)
        if kept:
            self.places.kept -= count
        else:
            self._admit(count, job.deadline, now)
        for item in job.items:
            heapq.heappush(self._queue, (job.priority, job.deadline, self._sequence, item))
            self._sequence += 1
            self._queued_cost_s += item.cost_s
        self.queued += count

    def _admit(self, count: int, deadline: float, now: float) -> None:
        """Raises `Overloaded` if so many images have no room, or would be too late."""
        full = self._room - self.places.wanted < count
        # With nothing ahead it is taken: one slow batch would otherwise refuse all requests, and no other be measured.
        hurried = deadline < float("inf") and self._ahead > 0
        wait = self.predicted_wait_s() if full or hurried else 0.0
        if full:
            reason = f"the queue is full: {self.queued} images wait, of {self.queue_limit} at most"
        elif hurried and now + wait > deadline:
            reason = f"the answer would take about {wait * 1e3:.0f} ms, longer than the request's timeout"
        else:
            return
        raise Overloaded(reason, retry_after_s=wait / 2)

    @property
    def _room(self) -> int:
        """Places of the queue that are neither taken nor kept."""
        return self.queue_limit - self.queued - self.places.kept

    def keep(self, count: int, deadline: float, now: float) -> None:
        """Keeps places for images that will be added later.

        Raises:
            Overloaded: as `add`.
        """
        self._admit(count, deadline, now)
        self.places.kept += count

    def grant(self) -> list[Ticket]:
        """The tickets of `places` that have their places now."""
        return self.places.grant(self._room)

    @property
    def _ahead(self) -> int:
        """Images that are not done."""
        return self.queued + self.preprocessing + len(self._ready) + self.running

    def predicted_wait_s(self) -> float:
        """How long an image that arrives now will take to its answer, by the measured rates; 0 if nothing is known."""
        return self.backlog_s() + self.preprocess_s.value + self.curve.seconds(1)

    def backlog_s(self) -> float:
        """How long what is under way will take, by the measured rates; 0 without load, or if nothing is known."""
        ahead = self._ahead
        if not ahead:
            return 0.0
        preprocess = (self._queued_cost_s + self.preprocessing * self.preprocess_s.value) / self.threads
        batch = max(1, min(self._choice.batch, ahead))
        model = self.curve.seconds(batch) / batch * ahead / self.instances
        # They run at the same time where each has its own device, and one after the other where they share the cores.
        return preprocess + model if self.cores and self.cores <= self.threads else max(preprocess, model)

    # --- preprocessing ---

    def next_work(self, now: float) -> tuple[Work | None, float | None, list[Job]]:
        """What a free thread preprocesses next.

        Returns:
            The work, or None; then when to ask again in seconds, or None: after the next event; and jobs that ended
            because their deadline has passed.
        """
        ended = self._drop_late(now)
        if not self._queue or not self.slots.free:
            return None, None, ended
        oldest = self._queue[0][3].job.arrived
        if self.before.batch > 1 and self.queued < self.before.batch and now < oldest + self.before.wait_s:
            return None, oldest + self.before.wait_s, ended
        items, first = self._pop(min(self.before.batch, self.queued))
        self.queued -= len(items)
        rung = self.ladder.choose(self.backlog_s(), now) if self.ladder is not None else 0
        for item in items:
            item.state = State.PREPROCESSING
            item.begun = now
            item.rung = rung if item.job.rung is None else item.job.rung
        self.preprocessing += len(items)
        return Work(items, first), None, ended

    def _pop(self, count: int) -> tuple[list[Item], int]:
        """Images from the queue with neighbouring slots, as many as there is room for, at least one."""
        while count > 1:
            first = self.slots.take_run(count)
            if first is not None:
                items = [self._pop_one() for _ in range(count)]
                for slot, item in enumerate(items, first):
                    item.slot = slot
                return items, first
            count -= 1
        item = self._pop_one()
        slow = item.cost_s > SLOW_S and item.cost_s > SLOW_TIMES * self.preprocess_s.value
        taken = self.slots.take(slow)
        assert taken is not None  # `next_work` has asked
        item.slot = taken
        return [item], taken

    def _pop_one(self) -> Item:
        """The next image; there is one, because `queued` counts those that are not cancelled."""
        while True:
            item = heapq.heappop(self._queue)[3]
            if item.state is State.QUEUED:
                self._queued_cost_s = self._queued_cost_s - item.cost_s if self._queue else 0.0
                return item

    def _drop_late(self, now: float) -> list[Job]:
        """Takes images from the head of the queue that are cancelled, or too late to be begun."""
        ended: list[Job] = []
        while self._queue:
            _, _, _, item = self._queue[0]
            late = item.state is State.QUEUED and item.job.deadline < now
            if item.state is State.QUEUED and not late:
                break
            heapq.heappop(self._queue)
            if item.state is State.QUEUED:
                self.queued -= 1
                self._queued_cost_s = max(0.0, self._queued_cost_s - item.cost_s)
                self._end(item, DeadlinePassed("the deadline passed while the image waited"), now, ended)
        return ended

    def done_work(self, work: Work, now: float) -> list[Job]:
        """The images are in their slots, or have an `error`. Returns the jobs that ended by it."""
        ended: list[Job] = []
        self.preprocessing -= len(work.items)
        for item in work.items:
            item.image = None
            item.ready = now
            self.preprocess_s.add((now - item.begun) / len(work.items))
            if item.error is None and not item.job.cancelled:
                item.state = State.READY
                self._ready.append(item)
            else:
                self._free(item)
                self._end(item, item.error, now, ended)
        return ended

    # --- batches ---

    def next_batch(self, now: float) -> tuple[Batch | None, float | None, list[Job]]:
        """What a free instance of the model runs next; returns as `next_work`."""
        ended = self._drop_late_ready(now)
        if not self._ready:
            return None, None, ended
        due = self._due(now)
        if now < due:
            return None, due, ended
        wanted = self._suspects() or self._ready
        largest = self._choice.batch
        if len(wanted) > largest:
            wanted = sorted(wanted, key=lambda item: (item.job.priority, item.ready))[:largest]
        by_slot = {item.slot: item for item in wanted}
        run = self.slots.choose(list(by_slot))
        moved = dict(run.moves)
        for old, new in moved.items():
            by_slot[new] = by_slot.pop(old)
        items = [by_slot[slot] for slot in range(run.first, run.first + run.size)]
        for slot, item in enumerate(items, run.first):
            item.slot = slot
            item.state = State.RUNNING
            item.run = now
        self._ready = [item for item in self._ready if item.state is State.READY]
        self.running += run.size
        return Batch(items, run.first, run.moves), None, ended

    def should_run(self, now: float) -> bool:
        """True if a batch should be on its way now."""
        return bool(self._ready) and now >= self._due(now)

    def _due(self, now: float) -> float:
        """When the finished images should go to the model."""
        choice = self._choose(now)
        count = len(self._ready)
        if count >= choice.batch or any(item.most for item in self._ready):
            return now
        if not choice.patient and self.queued + self.preprocessing <= count:
            return now
        return self._ready[0].ready + choice.wait_s

    def _choose(self, now: float) -> Choice:
        if now >= self._choice_until:
            rate, each_s, waiting = self.arrivals.per_second(now), self.preprocess_s.value, self._ahead - self.running
            self._choice = self.policy.choose(Load(rate, self.curve, each_s, self.instances, self.cores, waiting))
            self._choice_until = now + CHOICE_LASTS_S
        return self._choice

    def _drop_late_ready(self, now: float) -> list[Job]:
        ended: list[Job] = []
        if any(item.job.deadline < now for item in self._ready):
            for item in self._ready:
                if item.job.deadline < now:
                    self._free(item)
                    self._end(item, DeadlinePassed("the deadline passed before the model ran"), now, ended)
            self._ready = [item for item in self._ready if item.state is State.READY]
        return ended

    def moved(self, batch: Batch) -> None:
        """The batch's moves are done: until then their sources must not be written to."""
        for source, _ in batch.moves:
            self.slots.back(source)

    def done_batch(self, batch: Batch, outputs: Mapping[str, np.ndarray[Any, Any]], now: float) -> list[Job]:
        """The model has answered; row i is that of item i. Returns the jobs that ended by it."""
        self.curve.add(len(batch.items), now - batch.items[0].run)
        ended: list[Job] = []
        for row, item in enumerate(batch.items):
            item.outputs, item.row = outputs, row
            self._leave(item, None, now, ended)
        return ended

    def failed_batch(self, batch: Batch, error: Exception, now: float) -> list[Job]:
        """The model raised. Of one request it is the answer; several are run again, in halves, to find which it was."""
        ended: list[Job] = []
        several = len({id(item.job) for item in batch.items}) > 1
        for item in batch.items:
            if several and not item.job.cancelled:
                item.most = (len(batch.items) + 1) // 2
                self._again(item)
            else:
                self._leave(item, error, now, ended)
        return ended

    def _suspects(self) -> list[Item]:
        """Images of a batch that failed, as many as may be in the next one; they go by themselves."""
        most = min((item.most for item in self._ready if item.most), default=0)
        return [item for item in self._ready if item.most == most][:most] if most else []

    def lost_batch(self, batch: Batch, reason: str, now: float) -> list[Job]:
        """What ran the batch is gone. Its images are in their slots still and run once more, then give up."""
        ended: list[Job] = []
        for item in batch.items:
            item.tries += 1
            if item.tries > 1 or item.job.cancelled:
                self._leave(item, WorkerLost(reason), now, ended)
            else:
                self._again(item)
        return ended

    def _again(self, item: Item) -> None:
        """It is in its slot still, and waits for another batch."""
        self.running -= 1
        item.state = State.READY
        self._ready.append(item)

    def _leave(self, item: Item, error: Exception | None, now: float, ended: list[Job]) -> None:
        self.running -= 1
        self._free(item)
        self._end(item, error, now, ended)

    # --- ends ---

    def cancel(self, job: Job) -> None:
        """Nothing waits for the job any more: what is not being worked on gives its place back at once."""
        job.cancelled = True
        for item in job.items:
            if item.state is State.QUEUED:
                self.queued -= 1
                self._queued_cost_s = max(0.0, self._queued_cost_s - item.cost_s)
                item.state = State.DONE
                item.image = None  # its place in the queue is found again when its turn comes, which may be late
            elif item.state is State.READY:
                self._free(item)
                item.state = State.DONE
        self._ready = [item for item in self._ready if item.state is State.READY]
        if len(self._queue) > 2 * self.queued + 64:  # most are cancelled, and wait for their turn to leave
            self._queue = [entry for entry in self._queue if entry[3].state is State.QUEUED]
            heapq.heapify(self._queue)

    def drain(self, error: ServeError, now: float) -> list[Job]:
        """Ends everything that waits, with an error: the engine closes."""
        ended: list[Job] = []
        waiting: Iterable[Item] = [entry[3] for entry in self._queue]
        for item in (*waiting, *self._ready):
            if item.state in (State.QUEUED, State.READY):
                self._free(item)
                self._end(item, error, now, ended)
        self._queue, self._ready, self.queued, self._queued_cost_s = [], [], 0, 0.0
        return ended

    def _free(self, item: Item) -> None:
        if item.slot >= 0:
            self.slots.back(item.slot)
            item.slot = -1

    @staticmethod
    def _end(item: Item, error: Exception | None, now: float, ended: list[Job]) -> None:
        item.error = error
        item.finished = now
        item.state = State.DONE
        item.image = None
        job = item.job
        del item.job
        job.left -= 1
        if job.left == 0 and not job.cancelled:
            ended.append(job)
