"""When a failed read is tried again, and how long after."""

from __future__ import annotations

import random
from typing import NamedTuple

from ..._backend.arguments import integer

__all__ = ["Retries"]

LONGEST_S = 30.0
# They say the same every time; and so do answers that blame the request, but for these.
FINAL = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, ValueError, TypeError, ImportError)
TOO_SLOW_OR_TOO_MANY = (408, 425, 429)
CLIENT_ERRORS = range(400, 500)  # of HTTP

_draws = random.SystemRandom()  # without a state that forked workers would share


class Retries(NamedTuple):
    """How often, and after how long.

    Attributes:
        more: attempts after the first one.
        backoff_s: the longest pause before the first of them; it doubles for each that follows, up to 30 s.
    """

    more: int
    backoff_s: float

    @classmethod
    def checked(cls, retries: int, backoff_s: float) -> Retries:
        """Of a user's arguments.

        Raises:
            TypeError, ValueError: they are none.
        """
        if not backoff_s >= 0:
            raise ValueError(f"backoff_s must be 0 or more, got {backoff_s}")
        return cls(integer("retries", retries, least=0), backoff_s)

    def pause_s(self, attempt: int, error: BaseException) -> float | None:
        """Seconds until attempt + 1; None: there is none, because of the error, or it was the last.

        Args:
            attempt: which one failed, from 0.
        """
        if attempt >= self.more or isinstance(error, FINAL):
            return None
        status = getattr(error, "status", None)
        if status in CLIENT_ERRORS and status not in TOO_SLOW_OR_TOO_MANY:
            return None
        # "Full jitter": clients that failed together do not come back together.
        return _draws.uniform(0, min(LONGEST_S, self.backoff_s * 2**attempt))
