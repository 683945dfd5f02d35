"""How those who wait for a job hear that it is done: event loops, and threads."""

from __future__ import annotations

import asyncio
import collections
import time
import weakref
from collections.abc import Callable

from ..errors import DeadlinePassed
from ..scheduling.items import Job

__all__ = ["Inbox", "finished", "inbox", "told"]


class Inbox:
    """Jobs that are done, on their way to one event loop.

    `call_soon_threadsafe` wakes the loop with a system call. A batch ends many jobs at once, so they are collected, and
    the loop is woken once for as many as there are when it comes.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._done: collections.deque[tuple[asyncio.Future[Job | None], Job]] = collections.deque()
        self._woken = False

    def waiter(self) -> tuple[asyncio.Future[Job | None], Callable[[Job], None]]:
        """A future of the loop, and the job's `done` that any thread may call."""
        future: asyncio.Future[Job | None] = self._loop.create_future()

        def done(job: Job) -> None:
            self._done.append((future, job))
            if not self._woken:
                self._woken = True
                try:
                    self._loop.call_soon_threadsafe(self._deliver)
                except RuntimeError:  # the loop is closed: what it waited for is of no use
                    self._done.clear()

        return future, done

    def _deliver(self) -> None:
        self._woken = False  # before the look: what comes later wakes again
        while self._done:
            future, job = self._done.popleft()
            if not future.done():
                future.set_result(job)


_inboxes: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Inbox] = weakref.WeakKeyDictionary()


def inbox() -> Inbox:
    """The running loop's inbox."""
    loop = asyncio.get_running_loop()
    found = _inboxes.get(loop)
    if found is None:
        found = _inboxes[loop] = Inbox(loop)
    return found


def told(job: Job) -> None:
    """Takes the place of a job's `done` once that is called: what waits has the job, and they would keep each other."""


async def finished(submit: Callable[[Callable[[Job], None]], Job], cancel: Callable[[Job], None]) -> Job:
    """What `submit` begins, once it is done. It is cancelled with the task that awaits it, and at its deadline.

    Args:
        submit: takes the job's `done`.

    Raises:
        DeadlinePassed: that came first.
    """
    future, done = inbox().waiter()
    job = submit(done)

    timer = asyncio.get_running_loop().call_later(job.deadline - time.monotonic(), _late, job, future, cancel)
    try:
        found = await future
    except asyncio.CancelledError:
        cancel(job)
        raise
    finally:
        timer.cancel()
    if found is None:
        raise DeadlinePassed("the deadline passed before the answer was ready")
    return found


def _late(job: Job, future: asyncio.Future[Job | None], cancel: Callable[[Job], None]) -> None:
    cancel(job)
    if not future.done():
        future.set_result(None)  # an exception and the frame that awaits it would keep each other, and the images
