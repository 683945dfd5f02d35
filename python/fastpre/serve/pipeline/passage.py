"""One image's way through two engines."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..engine import Engine
from ..engine.answers import stages_ms
from ..errors import ServeError
from ..scheduling.items import Item, Job, State
from ..scheduling.places import Ticket

__all__ = ["Joined", "Joint", "Line", "Passage"]

log = logging.getLogger(__name__)


class Joined(NamedTuple):
    """What is answered for one image.

    Attributes:
        outputs: arrays of (1, ...) by output.
        rung: index into `Joint.qualities`.
    """

    outputs: Mapping[str, np.ndarray[Any, Any]]
    rung: int


class Joint(Protocol):
    """What is between two engines. Called on their threads, so it is quick."""

    @property
    def most(self) -> int:
        """The largest number of images that the second one gets for one of the first."""

    @property
    def rung(self) -> int | None:
        """The quality of the first pass, as `Engine.submit` takes it."""

    @property
    def qualities(self) -> tuple[str, ...]:
        """What the quality of an answer can be, best first."""

    def onward(self, image: Any, item: Item) -> Sequence[Any]:
        """The second engine's images, from what the first one gave; none: the first one's answer will do."""

    def joined(self, image: Any, item: Item, others: Sequence[Item]) -> Joined:
        """The answer, from the first engine's item and the second's."""


class Line(Protocol):
    """A `Relay`."""

    first: Engine
    second: Engine
    joint: Joint
    lock: threading.Lock

    def ended(self, trip: Job) -> None:
        """The last image of a job is through."""


class Passage:
    """One image: it keeps places, runs, hands on, runs, and is joined. Its methods are called on any thread.

    The relay's lock guards what it holds. No engine is called with the lock held, so each step first says what it
    takes over, then acts, then looks whether the passage was cancelled meanwhile.
    """

    __slots__ = ("_first", "_image", "_item", "_jobs", "_kept", "_over", "_relay", "_ticket", "_trip")

    def __init__(self, relay: Line, trip: Job, item: Item) -> None:
        self._relay = relay
        self._trip = trip
        self._item = item
        self._image, item.image = item.image, None
        self._jobs: list[tuple[Engine, Job]] = []
        self._kept = {relay.first: 1} if relay.first is not relay.second else {relay.first: 1 + relay.joint.most}
        self._ticket: Ticket | None = None
        self._first: Item | None = None
        self._over = False

    # --- steps ---

    def begin(self) -> None:
        """Keeps places in the second queue, and goes on once it has them."""
        relay, trip = self._relay, self._trip
        if relay.first is relay.second:
            self._run()
            return
        self._ticket = Ticket(relay.joint.most, self._granted)
        try:
            relay.second.wait_for_places(self._ticket, trip.priority, trip.deadline)
        except ServeError as error:
            self._end(error)

    def _granted(self, error: ServeError | None) -> None:
        if error is not None:
            self._end(error)
            return
        relay = self._relay
        with relay.lock:
            over = self._over
            if not over:
                self._kept[relay.second] = relay.joint.most
        if over:
            relay.second.give_back(relay.joint.most)
        else:
            self._run()

    def _run(self) -> None:
        relay, image = self._relay, self._image
        if self._take(relay.first, 1):
            self._submit(relay.first, [image], relay.joint.rung)

    def _ran(self, job: Job) -> None:
        """The first engine is done."""
        relay, item, image = self._relay, job.items[0], self._image
        if image is None:  # it is over
            return
        if item.error is not None:
            self._end(item.error)
            return
        self._first = item
        try:
            images = relay.joint.onward(image, item)
        except ServeError as error:
            self._end(error)
            return
        except Exception:
            log.exception("what is between two stages failed")
            self._end(ServeError("the pipeline failed; the server's log says why"))
            return
        if not images:
            self._join([])
        elif self._take(relay.second, relay.joint.most):
            relay.second.give_back(relay.joint.most - len(images))
            self._submit(relay.second, images, None)

    def _ran_again(self, job: Job) -> None:
        """The second engine is done."""
        failed = next((item.error for item in job.items if item.error is not None), None)
        if failed is None:
            self._join(job.items)
        else:
            self._end(failed)

    def _submit(self, engine: Engine, images: Sequence[Any], rung: int | None) -> None:
        """Puts images into places that are kept, and were taken over."""
        trip = self._trip
        done = self._ran if self._first is None else self._ran_again
        try:
            job = engine.submit(
                images, done, deadline=trip.deadline, priority=trip.priority, partial=trip.partial, rung=rung, kept=True
            )
        except ServeError as error:
            engine.give_back(len(images))
            self._end(error)
            return
        with self._relay.lock:
            over = self._over
            if not over:
                self._jobs.append((engine, job))
        if over:
            engine.cancel(job)

    def _take(self, engine: Engine, count: int) -> bool:
        """Takes kept places over; False if the passage has ended and given them back."""
        with self._relay.lock:
            if not self._over:
                self._kept[engine] -= count
            return not self._over

    # --- ends ---

    def cancel(self) -> None:
        """Gives back what it holds."""
        with self._relay.lock:
            if self._over:
                return
            self._over = True
            jobs = list(self._jobs)
        self._give_back()
        for engine, job in jobs:
            engine.cancel(job)
        del self._item.job

    def _give_back(self) -> None:
        """Once it is over. It lets go of what it has, because something may refer to it still, as tracebacks do."""
        self._jobs = []
        self._image = self._first = None
        if self._ticket is not None:
            self._ticket.dropped = True
            self._ticket = None
            self._relay.second.give_back(0)  # what waits behind it may have room
        for engine, count in self._kept.items():
            if count:
                engine.give_back(count)

    def _join(self, others: Sequence[Item]) -> None:
        first, item, image = self._first, self._item, self._image
        if first is None or image is None:  # it is over
            return
        try:
            item.outputs, item.rung = self._relay.joint.joined(image, first, others)
        except Exception:
            log.exception("what joins two stages failed")
            self._end(ServeError("the pipeline failed; the server's log says why"))
            return
        item.record = first.record
        item.stages = self._stages(first, others)
        self._end(None)

    def _stages(self, first: Item, others: Sequence[Item]) -> dict[str, float]:
        """Milliseconds by stage, without a gap; of the second engine those of the image that was done last.

        `queue` is the wait for places downstream. `second.queue` begins with the first engine's answer.
        """
        stages = {"queue": (first.arrived - self._trip.arrived) * 1e3}
        stages.update({f"first.{name}": value for name, value in stages_ms(first).items()})
        if others:
            last = max(others, key=lambda item: item.finished)
            stages.update({f"second.{name}": value for name, value in stages_ms(last).items()})
            stages["second.queue"] += (last.arrived - first.finished) * 1e3
        return stages

    def _end(self, error: Exception | None) -> None:
        item, trip = self._item, self._trip
        with self._relay.lock:
            if self._over:
                return
            self._over = True
            item.error = error
            item.finished = time.monotonic()
            item.state = State.DONE
            trip.left -= 1
            last = trip.left == 0 and not trip.cancelled
            del item.job
        self._give_back()
        if last:
            self._relay.ended(trip)
