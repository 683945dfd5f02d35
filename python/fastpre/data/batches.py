"""One epoch of a loader, as an iterator."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from ..errors import ImageError
from .cuda_stream import hand_over
from .epoch import Epoch
from .prefetch import END, Ending, Failed, Inline, Outcome, Prefetcher

__all__ = ["Batches"]


class Owner(Protocol):
    """The loader, which says what was wrong with the batch that was given last."""

    errors: list[ImageError]


class Batches(Iterator[Any]):
    """One epoch of a `Loader`, which begins with the first `next()`. Dropping it, or `close()`, ends its workers."""

    def __init__(self, loader: Owner, begin: Callable[[], tuple[Epoch, Inline | Prefetcher]]) -> None:
        self._loader = loader
        self._begin = begin
        self._begun: tuple[Epoch, Inline | Prefetcher] | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"Batches({self._loader!r}, {'closed' if self._closed else 'open'})"

    def __next__(self) -> Any:
        """The next batch.

        Raises:
            ImageError: with on_error="raise".
            Exception: whatever the dataset, a worker or the device raised, in its batch's place.
        """
        if self._closed:
            raise StopIteration
        outcome: Outcome = END
        try:
            if self._begun is None:
                self._begun = self._begin()
                self._finalizer = weakref.finalize(self, _end, self._begun[0], self._begun[1].ending)
                self._finalizer.atexit = False  # too late by then; see Prefetcher
            outcome = self._begun[0].take(self._begun[1])
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
        self._closed = True
        if self._begun is not None:
            self._finalizer()


def _end(epoch: Epoch, ending: Ending) -> None:
    ending.close()
    epoch.close()
