"""Where a loader's decoded batches come from: the consuming thread, or a background thread that prefetches."""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import enum
import os
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Final, Literal, TypeAlias

from .. import _core
from ..errors import ImageError
from .compressed import Compressed
from .decoder import Decoded
from .source import Source

STUCK_S = 5.0  # as long as torch waits for a worker that should end


@dataclasses.dataclass(frozen=True)
class Failed:
    """A batch that could not be read or decoded, and why.

    Attributes:
        error: to be raised in the batch's place.
        errors: of all its bad images, where that is why.
        advanced: the batch is lost, and the next one is that after it; not so if the workers' queue is what failed.
    """

    error: BaseException
    errors: list[ImageError] = dataclasses.field(default_factory=list)
    advanced: bool = True


class _Mark(enum.Enum):
    END = "the source has no more batches"
    READ = "the background thread reads the batch itself"


END: Final = _Mark.END
READ: Final = _Mark.READ
Request: TypeAlias = Compressed | Failed | _Mark
Outcome: TypeAlias = Decoded | Failed | Literal[_Mark.END]


class Inline:
    """Batches read and decoded when they are asked for."""

    def __init__(self, source: Source, decode: Callable[[Compressed], Decoded]) -> None:
        self._source: Source | None = source
        self._decode = decode
        self._owner = os.getpid()

    @property
    def open(self) -> bool:
        """False once the source may be given to another iteration."""
        return self._source is not None

    def take(self) -> Outcome:
        """The next batch, or why there is none."""
        batch = _read(self._source)
        return _decoded(self._decode, batch) if isinstance(batch, Compressed) else batch

    def close(self) -> None:
        """Ends the source's workers unless they are persistent."""
        if os.getpid() != self._owner:
            return  # a forked copy: nothing here is its own
        source, self._source = self._source, None
        if source is not None:
            source.close()


class Prefetcher:
    """Batches decoded by a background thread, up to `depth` of them before they are asked for.

    Of decoded batches, those under way included, there are `depth` here at most.

    The consumer puts requests into one queue, and the thread puts results into another. Both are SimpleQueues because
    `close` may run in the garbage collector, in the middle of anything: their `put` takes no lock that could be held
    there.

    Args:
        cancellation: ends the decoding that is under way; `close` does.
        reads_here: the consumer takes batches from the source and requests their decoding; else the thread does both,
            so that unpickling what workers send is off the consumer's path too.
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
        self._source: Source | None = source
        self._decode = decode
        self._owner = os.getpid()
        self._depth = depth
        self._cancellation = cancellation
        self._reads_here = reads_here
        self._requests: SimpleQueue[Request] = SimpleQueue()
        self._outcomes: SimpleQueue[Outcome] = SimpleQueue()
        self._pending = 0  # batches that were requested and not taken
        self._taken: Outcome | None = None  # and not given yet
        self._all_requested = False
        self._stopped = False
        self._decoding = False
        self._thread = threading.Thread(target=self._serve, name="fastpre.data.Loader", daemon=True)
        self._thread.start()
        # A daemon, so that it does not keep the interpreter from ending. It is ended at exit, while Python is whole: it
        # must not return from C++ to an interpreter that is gone. Last in, first out: before torch and multiprocessing
        # end the workers.
        atexit.register(self.close)

    @property
    def open(self) -> bool:
        """False once the source may be given to another iteration."""
        return self._source is not None or self._thread.is_alive()

    def take(self) -> Outcome:
        """The next batch, or why there is none."""
        if self._stopped:
            return END
        if self._taken is None:
            self._request()
            self._taken = self._outcomes.get()
            self._pending -= 1
        # Only now, so that there are never more than `depth` besides the consumer's. An interrupt that comes while the
        # source is read loses nothing: what is taken is given next time.
        self._request()
        outcome, self._taken = self._taken, None
        return outcome

    def _request(self) -> None:
        while self._pending < self._depth and not self._all_requested:
            request: Request = _read(self._source) if self._reads_here else READ
            self._all_requested = request is END
            self._requests.put(request)
            self._pending += 1

    def close(self) -> None:
        """Ends the thread, and the source's workers unless they are persistent."""
        atexit.unregister(self.close)
        if os.getpid() != self._owner:
            return  # a forked copy: neither the thread nor the workers are its own
        self._stopped = True
        self._cancellation.cancel()
        self._requests.put(END)
        while self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(STUCK_S)
            if not self._decoding:  # decoding ends; a worker may not, and then the thread waits for it alone
                break
        source, self._source = self._source, None
        if source is not None and not self._thread.is_alive():
            source.close()
        with contextlib.suppress(Empty):
            while True:
                self._outcomes.get_nowait()
        self._outcomes.put(END)  # for a consumer that waits in another thread

    def _serve(self) -> None:
        while True:
            request = self._requests.get()
            if self._stopped:
                return
            try:
                outcome = self._outcome(request)
            except BaseException as error:  # a dataset's SystemExit, say: the consumer must not wait for ever
                outcome = Failed(error)
            last = outcome is END
            self._outcomes.put(outcome)
            if last:
                return
            del request, outcome  # the batch's memory is the consumer's to free, not this frame's

    def _outcome(self, request: Request) -> Outcome:
        batch = _read(self._source) if request is READ else request
        if self._stopped:
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
        return Failed(error, advanced=not _is_the_queues(error))


def _is_the_queues(error: Exception) -> bool:
    """True if DataLoader has lost a worker, or waited too long: the dataset raised nothing."""
    return type(error) is RuntimeError and str(error).startswith(("DataLoader ", "Pin memory thread"))


def _decoded(decode: Callable[[Compressed], Decoded], batch: Compressed) -> Decoded | Failed:
    try:
        return decode(batch)
    except Exception as error:
        return Failed(error)
