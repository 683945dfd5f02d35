"""A bound in time for what one task waits for."""

from __future__ import annotations

import asyncio
import sys
from types import TracebackType

__all__ = ["Alarm", "uncancel"]


def uncancel(task: asyncio.Task[object]) -> None:
    """Takes a cancellation back that was meant for what is left by now."""
    if sys.version_info >= (3, 11):
        task.uncancel()


class Alarm:
    """Ends its block after some seconds with `error`.

    `asyncio.timeout` does that too, from Python 3.11 on.
    """

    __slots__ = ("_error", "_handle", "_rang", "_seconds", "_task")

    def __init__(self, seconds: float, error: Exception) -> None:
        self._seconds = seconds
        self._error = error
        self._rang = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._handle = task.get_loop().call_later(self._seconds, self._ring)

    def _ring(self) -> None:
        self._rang = True
        self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handle.cancel()
        if self._rang and kind is asyncio.CancelledError:
            uncancel(self._task)
            raise self._error from None
