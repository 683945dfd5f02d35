"""A line in the log for each request that failed, and no more of them than a disk can bear."""

from __future__ import annotations

import collections
import json
import logging
import time
from collections.abc import Callable

from ..errors import ServeError
from .recorder import ID_CHARACTERS, REASON_CHARACTERS

__all__ = ["FailureLog"]

LINES_PER_S = 10.0
BURST = 50.0  # lines that may come at once after a quiet time

log = logging.getLogger("fastpre.serve.requests")


class FailureLog:
    """Writes failures at level WARNING: at most 10 a second for long, and 50 at once; the others are counted.

    Clients choose ids and parts of the reasons: these are cut, and written without control characters, so that no
    client can write a line of its own.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left = BURST
        self._filled = clock()
        self._dropped: collections.Counter[str] = collections.Counter()

    def failed(self, model: str, error: ServeError, request: str) -> None:
        """A request failed; `model` is empty if it came to none."""
        now = self._clock()
        self._left = min(BURST, self._left + (now - self._filled) * LINES_PER_S)
        self._filled = now
        if self._left < 1:
            self._dropped[error.code] += 1
            return
        self._left -= 1
        if self._dropped:
            counts = ", ".join(f"{code}: {count}" for code, count in self._dropped.most_common())
            log.warning("not logged since the last line: %s", counts, extra={"dropped": dict(self._dropped)})
            self._dropped.clear()
        request, reason = request[:ID_CHARACTERS], error.reason[:REASON_CHARACTERS]
        fields = {"code": error.code, "model": model, "request": request, "reason": reason}
        shown = {name: printable(value) for name, value in fields.items()}
        text = "request failed: code=%(code)s model=%(model)s id=%(request)s reason=%(reason)s"
        log.warning(text, shown, extra=fields)


def printable(text: str) -> str:
    """The text if it is a plain word; otherwise in quotes, as JSON has it, with escapes for what is not printable."""
    if text.isascii() and text.replace("-", "").replace("_", "").isalnum():
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())
