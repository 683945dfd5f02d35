"""What all requests together may hold of memory for their bodies."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from .errors import Overloaded

__all__ = ["Holding"]


class Holding:
    """Bytes of bodies that are being received, or worked on. One body is bounded, but there are many connections.

    For one event loop: it has no lock.

    Args:
        limit: in bytes.

    Attributes:
        held: in bytes, now.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0

    def take(self, count: int) -> None:
        """`count` bytes more.

        Raises:
            Overloaded: that is over the limit; nothing is taken.
        """
        if self.held + count > self.limit:
            raise Overloaded(
                f"requests of {self.limit / 1e6:.0f} MB are being worked on, which is the most", retry_after_s=1.0
            )
        self.held += count

    def give(self, count: int) -> None:
        """`count` bytes are not held any more."""
        self.held -= count

    @contextlib.contextmanager
    def of(self, count: int) -> Iterator[None]:
        """Holds `count` bytes more while the block runs; raises as `take`."""
        self.take(count)
        try:
            yield
        finally:
            self.give(count)
