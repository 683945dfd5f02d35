"""Where a loader's decoded batches come from: the consuming thread, or a background thread that prefetches."""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import enum
import os
import threading
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Final, Literal, Protocol, TypeAlias

from .. import _core
from .compressed import Compressed
from .decoder import Decoded
from .source import Source

STUCK_S = 5.0  # as long as torch waits for a worker that should end


@dataclasses.dataclass(frozen=True)
class Failed:
    """A batch that could not be read or decoded, and why.

    Attributes:
        error: to be raised in the batch's place.
        advanced: the batch is lost, and the next one is that after it; not so if the workers' queue is what failed.
    """

    error: BaseException
    advanced: bool = True


class _Mark(enum.Enum):
    END = "the source has no more batches"
    READ = "the background thread reads the batch itself"
    FAILED = "the consumer could not read the batch, and knows why"


END: Final = _Mark.END
READ: Final = _Mark.READ
FAILED: Final = _Mark.FAILED
Request: TypeAlias = Compressed | _Mark
Outcome: TypeAlias = Decoded | Failed | Literal[_Mark.END]


class Ending(Protocol):
    """The end of an iteration that may be kept while the iteration itself is dropped."""

    @property
    def open(self) -> bool:
        """False once the source may be given to another iteration."""

    def close(self) -> None:
        """Ends the thread, if there is one, and the source's workers unless they are persistent."""


class Inline:
    """Batches read and decoded when they are asked for."""

    def __init__(self, source: Source, decode: Callable[[Compressed], Decoded]) -> None:
        self._source: Source | None = source
        self._decode = decode
        self._owner = os.getpid()

    @property
    def ending(self) -> Ending:
        """Itself: no error waits here."""
        return self

    @property
    def open(self) -> bool:
        """See `Ending`."""
        return self._source is not None

    def take(self) -> Outcome:
        """The next batch, or why there is none."""
        batch = _read(self._source)
        return _decoded(self._decode, batch) if isinstance(batch, Compressed) else batch

    def close(self) -> None:
        """See `Ending`."""
        if os.getpid() != self._owner:
            return  # a forked copy: nothing here is its own
        source, self._source = self._source, None
        if source is not None:
            source.close()


class Prefetcher:
    """Batches decoded by a background thread, up to `depth` of them before they are asked for.

    Of decoded batches, those under way included, there are `depth` here at most.

    Args:
        cancellation: ends the decoding that is under way when the iteration ends.
        reads_here: the consumer takes batches from the source and requests their decoding; else the thread does both,
            so that unpickling what workers send is off the consumer's path too.

    Attributes:
        ending: knows nothing of the consumer. An error that waits here does: the frames in its traceback lead there.
    """

    def __init__(
        self,
        source: Source,
        decode: Callable[[Compressed], Decoded],
        depth: int,
        cancellation: _core.Cancellation,
        *,
        reads_here: bool,
    ) -> None:
        self.ending = _Background(source, decode, cancellation)
        self._source = source if reads_here else None
        self._depth = depth
        self._pending = 0  # batches that were requested and not taken
        self._failed: deque[Failed] = deque()  # of these, what could not be read here
        self._taken: Outcome | None = None  # and not given yet
        self._all_requested = False

    def take(self) -> Outcome:
        """The next batch, or why there is none."""
        if self.ending.stopped:
            return END
        if self._taken is None:
            self._request()
            outcome = self.ending.outcomes.get()
            self._taken = self._failed.popleft() if outcome is FAILED else outcome
            self._pending -= 1
        # Only now, so that there are never more than `depth` besides the consumer's. An interrupt that comes while the
        # source is read loses nothing: what is taken is given next time.
        self._request()
        taken, self._taken = self._taken, None
        return taken

    def _request(self) -> None:
        while self._pending < self._depth and not self._all_requested:
            batch = READ if self._source is None else _read(self._source)
            self._all_requested = batch is END
            if isinstance(batch, Failed):
                self._failed.append(batch)
                self.ending.requests.put(FAILED)
            else:
                self.ending.requests.put(batch)
            self._pending += 1


class _Background:
    """The thread of a `Prefetcher`, and what it knows.

    The consumer puts requests into one queue, and the thread puts results into another. Both are SimpleQueues because
    `close` may run in the garbage collector, in the middle of anything: their `put` takes no lock that could be held
    there.
    """

    def __init__(
        self, source: Source, decode: Callable[[Compressed], Decoded], cancellation: _core.Cancellation
    ) -> None:
        self.requests: SimpleQueue[Request] = SimpleQueue()
        self.outcomes: SimpleQueue[Outcome | Literal[_Mark.FAILED]] = SimpleQueue()
        self.stopped = False
        self._source: Source | None = source
        self._decode = decode
        self._cancellation = cancellation
        self._decoding = False
        self._owner = os.getpid()
        self._thread = threading.Thread(target=self._serve, name="fastpre.data.Loader", daemon=True)
        self._thread.start()
        # A daemon, so that it does not keep the interpreter from ending. It is ended at exit, while Python is whole: it
        # must not return from C++ to an interpreter that is gone. Last in, first out: before torch and multiprocessing
        # end the workers.
        atexit.register(self.close)

    @property
    def open(self) -> bool:
        """See `Ending`."""
        return self._source is not None or self._thread.is_alive()

    def close(self) -> None:
        """See `Ending`."""
        atexit.unregister(self.close)
        if os.getpid() != self._owner:
            return  # a forked copy: neither the thread nor the workers are its own
        self.stopped = True
        self._cancellation.cancel()
        self.requests.put(END)
        while self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(STUCK_S)
            if not self._decoding:  # decoding ends; a worker may not, and then the thread waits for it alone
                break
        source, self._source = self._source, None
        if source is not None and not self._thread.is_alive():
            source.close()
        with contextlib.suppress(Empty):
            while True:
                self.outcomes.get_nowait()
        self.outcomes.put(END)  # for a consumer that waits in another thread

    def _serve(self) -> None:
        while True:
            request = self.requests.get()
            if self.stopped:
                return
            try:
                outcome = self._outcome(request)
            except BaseException as error:  # a dataset's SystemExit, say: the consumer must not wait for ever
                outcome = Failed(error)
            last = outcome is END
            self.outcomes.put(outcome)
            if last:
                return
            del request, outcome  # the batch's memory is the consumer's to free, not this frame's

    def _outcome(self, request: Request) -> Outcome | Literal[_Mark.FAILED]:
        batch = _read(self._source) if request is READ else request
        if self.stopped:
            return END
        if not isinstance(batch, Compressed):
            return batch
        self._decoding = True
        try:
            return _decoded(self._decode, batch)
        finally:
            self._decoding = False


def _read(source: Source | None) -> Compressed | Failed | Literal[_Mark.END]:
    """The next batch, or why there is none; an interrupt goes through, because the consumer may be here."""
    if source is None:
        return END
    try:
        return next(source)
    except StopIteration:
        return END
    except Exception as error:
        return Failed(error, advanced=source.advanced(error))


def _decoded(decode: Callable[[Compressed], Decoded], batch: Compressed) -> Decoded | Failed:
    try:
        return decode(batch)
    except Exception as error:
        return Failed(error)
