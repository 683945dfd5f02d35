"""A timer that is precise: an event loop's own rounds to a millisecond, which is as long as a request takes."""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
from collections.abc import Callable

__all__ = ["Alarm"]

# <sys/timerfd.h>, <time.h>
CLOCK_MONOTONIC = 1
TFD_TIMER_ABSTIME = 1
TimeSpecs = ctypes.c_long * 4  # struct itimerspec: interval and value, each as seconds and nanoseconds


class Alarm:
    """Calls a function at a moment of `time.monotonic`, again each time that it has been set.

    On Linux a timerfd wakes the loop within some tens of microseconds; elsewhere the loop's timer within two
    milliseconds.

    Args:
        ring: called in the loop; it may set the alarm.

    Attributes:
        precise: the moment is met within some tens of microseconds.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._ring = ring
        self._handle: asyncio.TimerHandle | None = None
        self._fd = -1
        self.precise = False
        if sys.platform == "linux" and ctypes.sizeof(ctypes.c_long) == 8:
            self._libc = ctypes.CDLL(None, use_errno=True)
            self._fd = self._libc.timerfd_create(CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
            if self._fd >= 0:
                loop.add_reader(self._fd, self._expired)
                self.precise = True

    def set(self, moment: float) -> None:
        """Sets it, in place of what it was set to.

        A moment in the past rings at once, but not within this call; infinity is never.
        """
        if self._fd < 0 or moment == float("inf"):
            self.cancel()
        if moment == float("inf"):
            return
        if self._fd < 0:
            self._handle = self._loop.call_at(moment, self._ring)
            return
        seconds, nanoseconds = divmod(max(1, int(moment * 1e9)), 1_000_000_000)
        self._settime(TFD_TIMER_ABSTIME, TimeSpecs(0, 0, seconds, nanoseconds))

    def cancel(self) -> None:
        """It rings no more until it is set."""
        if self._fd >= 0:
            self._settime(0, TimeSpecs(0, 0, 0, 0))
        elif self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def close(self) -> None:
        """Gives the timer back."""
        self.cancel()
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _settime(self, flags: int, specs: ctypes.Array[ctypes.c_long]) -> None:
        if self._libc.timerfd_settime(self._fd, flags, specs, None) != 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    def _expired(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:  # set anew between its ringing and now
            return
        self._ring()
