"""One epoch of a loader, as an iterator."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any, Protocol

from ..errors import ImageError
from .cuda_stream import hand_over
from .prefetch import END, Failed, Inline, Outcome, Prefetcher

__all__ = ["Batches"]


class Owner(Protocol):
    """The loader, which says what was wrong with the batch that was given last."""

    errors: list[ImageError]


class Batches(Iterator[Any]):
    """One epoch of a `Loader`. Dropping it, or `close()`, ends its thread and workers."""

    def __init__(self, loader: Owner, decoded: Inline | Prefetcher) -> None:
        self._loader = loader
        self._decoded = decoded
        self._finalizer = weakref.finalize(self, decoded.close)
        self._finalizer.atexit = False  # too late by then; see Prefetcher

    def __repr__(self) -> str:
        return f"Batches({self._loader!r}, {'open' if self._finalizer.alive else 'closed'})"

    def __next__(self) -> Any:
        """The next batch.

        Raises:
            ImageError: with on_error="raise".
            Exception: whatever the dataset, a worker or the device raised, in its batch's place.
        """
        outcome: Outcome = END
        try:
            outcome = self._decoded.take()
            if isinstance(outcome, Failed):
                raise outcome.error
        except BaseException:
            # Or the traceback would keep the iterator, its thread and its workers as long as the error is kept, which a
            # notebook does after Ctrl-C.
            outcome = END
            del self
            raise
        if outcome is END:
            self.close()
            raise StopIteration
        hand_over(outcome)
        self._loader.errors = outcome.errors
        return outcome.value

    def close(self) -> None:
        """Ends the iteration: its thread, and its workers unless they are persistent. May be called twice."""
        self._finalizer()
