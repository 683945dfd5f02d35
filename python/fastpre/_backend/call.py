"""One call's own settings: threads, the fill value, and how the call can end early."""

from __future__ import annotations

import math
import time
from typing import NamedTuple

from .. import _core
from .arguments import thread_count


class Call(NamedTuple):
    """What belongs to one call, and to no image and no device.

    Attributes:
        threads: of the host, the caller's included.
        fill: the value of a failed image's slot, in the output's scale.
        deadline: `time.monotonic()` seconds until which images are begun; None: no deadline.
        cancellation: ends the call from another thread.
    """

    threads: int
    fill: float = 0.0
    deadline: float | None = None
    cancellation: _core.Cancellation | None = None

    @classmethod
    def of(
        cls,
        num_threads: int | None,
        fill: float,
        dtype: str,
        deadline_s: float | None = None,
        cancellation: _core.Cancellation | None = None,
    ) -> Call:
        """The settings as the public calls take them, checked; the deadline starts to run here.

        Args:
            dtype: the output's, by name.
            deadline_s: seconds from now.

        Raises:
            TypeError, ValueError: one of them is of the wrong type or out of range.
        """
        value = float(fill)
        if math.isnan(value) and dtype == "uint8":
            raise ValueError("fill must be a number for dtype=uint8, got nan")
        deadline = None
        if deadline_s is not None:
            seconds = math.fsum([deadline_s])  # float() would take a string
            if not seconds >= 0:
                raise ValueError(f"deadline_s must be at least 0, got {deadline_s!r}")
            deadline = time.monotonic() + seconds
        return cls(thread_count(num_threads), value, deadline, cancellation)

    def ending(self) -> tuple[float | None, _core.Cancellation | None]:
        """The core's last two arguments: the seconds that are left, and the cancellation."""
        left = None if self.deadline is None else self.deadline - time.monotonic()
        return left, self.cancellation
