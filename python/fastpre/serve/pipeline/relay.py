"""Two engines in a row for each image: `Relay`."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from ..engine import Engine
from ..engine.answers import Observer
from ..engine.waiting import finished, told
from ..scheduling.items import Job
from .passage import Joint, Passage

__all__ = ["Relay"]


class Trip(Job):
    """A request's images on their way through both engines."""

    __slots__ = ("passages",)

    passages: Sequence[Passage]


class Relay:
    """For each image a pass through one engine, and then none, one or several through another.

    An image keeps `Joint.most` places in the second engine's queue before its first pass begins, and waits for them
    without having cost anything but a header. So what the second stage cannot take stops the first one, and no request
    is refused half-way. Places that turn out not to be needed are given back at once. Both stages have the request's
    priority and deadline, and end with it if it is cancelled. An image fails if either pass does: with its own error,
    while other images of the request go on.

    Args:
        first, second: started by the caller; they may be the same engine.
        joint: what goes from one to the other, and what becomes of both answers.
        observe: told of each request's job.

    Raises:
        ValueError: the second engine's queue is too short.
    """

    def __init__(self, first: Engine, second: Engine, joint: Joint, observe: Observer | None = None) -> None:
        self.first = first
        self.second = second
        self.joint = joint
        self.qualities = joint.qualities
        self.lock = threading.Lock()
        self._observe = observe
        # Of the first queue, for each image. Of an engine that runs both passes, all of them at once: were they kept
        # one after the other, a queue full of first passes would wait for itself.
        self._places = 1 + joint.most if first is second else 1
        needed, there = max(self._places, joint.most), second.scheduler.queue_limit
        if needed > there:
            raise ValueError(f"an image keeps {needed} places in the queue of {second.model.name!r}, which has {there}")

    @property
    def accepts(self) -> bool:
        """True if images are taken."""
        return self.first.accepts and self.second.accepts

    @property
    def ready(self) -> bool:
        """True if both engines are."""
        return self.first.ready and self.second.ready

    def submit(
        self,
        images: Sequence[Any],
        done: Callable[[Job], None],
        *,
        deadline: float | None = None,
        priority: int = 0,
        partial: bool = False,
    ) -> Job:
        """As `Engine.submit`: `done` is called once, on any thread, when every image is through."""
        now = time.monotonic()
        last = now + self.first.settings.timeout_s
        trip = Trip(images, done, now, last if deadline is None else min(deadline, last), priority, partial)
        self.first.check(images)
        self.first.keep(len(images) * self._places, trip.deadline)
        trip.passages = [Passage(self, trip, item) for item in trip.items]
        for passage in trip.passages:
            passage.begin()
        return trip

    def cancel(self, trip: Job) -> None:
        """Nothing waits for the job any more: whatever it holds is given back."""
        assert isinstance(trip, Trip)
        with self.lock:
            if trip.cancelled or trip.left == 0:
                return
            trip.cancelled = True
        for passage in trip.passages:
            passage.cancel()
        trip.passages = ()

    async def infer_all(
        self,
        images: Sequence[Any],
        *,
        deadline: float | None = None,
        priority: int = 0,
        partial: bool = False,
    ) -> Job:
        """As `Engine.infer_all`."""
        submit = functools.partial(self.submit, images, deadline=deadline, priority=priority, partial=partial)
        return await finished(submit, self.cancel)

    def ended(self, trip: Job) -> None:
        """The last image of a job is through."""
        if self._observe is not None:
            self._observe.job(trip)
        assert isinstance(trip, Trip)
        trip.passages = ()
        done, trip.done = trip.done, told
        done(trip)
