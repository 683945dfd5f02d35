"""What happened to the requests of one model."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import threading
import time
from collections.abc import Mapping, Sequence

from ..errors import ServeError
from ..scheduling.items import Item, Job
from .histogram import Histogram

__all__ = ["CLIENT_GONE", "REQUEST_STAGES", "STAGES", "BatchCount", "Failure", "Recorder"]

STAGES = ("queue", "preprocess", "batch", "inference")
# Of a request: what the protocol takes before and after. Without a gap, so they add up to its latency.
REQUEST_STAGES = ("receive", "parse", *STAGES, "respond")
RECENT_REQUESTS = 4096  # for percentiles: at 1000 requests/s the last four seconds
SORTED = 1000  # of these requests at most
RECENT_FAILURES = 10  # of each code, so that a flood of one kind hides no other
REASON_CHARACTERS, ID_CHARACTERS = 300, 80  # that are kept: clients choose some of these texts
CLIENT_GONE = "client_gone"  # the outcome of a request whose client did not wait for the answer
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


@dataclasses.dataclass(frozen=True)
class Failure:
    """A request that failed, for the live page.

    Attributes:
        at: Unix time in seconds.
        code, reason: of the error; the reason is cut.
        id: of the request, as its client named it; cut, too.
    """

    at: float
    code: str
    reason: str
    id: str


@dataclasses.dataclass
class BatchCount:
    """Batches of one size: how many, and their seconds in the model."""

    count: int = 0
    seconds: float = 0.0


class Recorder:
    """Counts of one model. Any thread may write and read.

    Args:
        rungs: names of the qualities.
        cheap: which of them answers of a cascade's first pass have; None: there is no cascade.

    Attributes:
        images: that had an answer.
        batches: by size.
        outcomes: requests by code, "ok" among them.
        stages: seconds of each image that had an answer, by stage.
        latency: seconds of each request that had an answer, from its first byte.
        sizes: images of each batch.
        moves: images that were copied to another slot so that a batch had no hole.
        request_seconds: of all requests that had an answer, by stage; their sum is that of `latency`.
        recent: (when, seconds) of the last requests that had an answer.
        failures: the last ones of each code.
    """

    def __init__(self, rungs: Sequence[str] = ("full",), cheap: int | None = None) -> None:
        self.rungs = rungs
        self.cheap = cheap
        self.lock = threading.Lock()
        self.images = 0
        self.batches: dict[int, BatchCount] = collections.defaultdict(BatchCount)
        self.outcomes: collections.Counter[str] = collections.Counter()
        self.failed_seconds = 0.0
        self.stages = {name: Histogram() for name in STAGES}
        self.latency = Histogram()
        self.request_seconds = dict.fromkeys(REQUEST_STAGES, 0.0)
        self.sizes = Histogram(SIZES)
        self.moves = 0
        self.qualities: collections.Counter[int] = collections.Counter()
        self.last_inference = 0.0
        self.recent: collections.deque[tuple[float, float]] = collections.deque(maxlen=RECENT_REQUESTS)
        self.failures: dict[str, collections.deque[Failure]] = {}

    # --- the engine's observer ---

    def job(self, job: Job) -> None:
        """A job ended."""
        with self.lock:
            for item in job.items:
                if item.error is None:
                    self._image(item)

    def _image(self, item: Item) -> None:
        self.images += 1
        self.qualities[item.rung] += 1
        stages = self.stages
        if item.stages is not None:  # two engines had it: their times by stage are added
            for name, histogram in stages.items():
                histogram.add(sum(ms for stage, ms in item.stages.items() if stage.rpartition(".")[2] == name) * 1e-3)
            return
        stages["queue"].add(item.begun - item.arrived)
        stages["preprocess"].add(item.ready - item.begun)
        stages["batch"].add(item.run - item.ready)
        stages["inference"].add(item.finished - item.run)

    def batch(self, size: int, seconds: float, moves: int) -> None:
        """A batch ran."""
        with self.lock:
            count = self.batches[size]
            count.count += 1
            count.seconds += seconds
            self.sizes.add(size)
            self.moves += moves
            self.last_inference = time.time()

    def batches_alone(self) -> Batches:
        """An observer that counts an engine's batches here, and not its images: a relay counts those."""
        return Batches(self)

    # --- the service ---

    def answered(self, seconds: float, stages_ms: Mapping[str, float]) -> None:
        """A request had its answer, `seconds` after its first byte."""
        with self.lock:
            self.outcomes["ok"] += 1
            self.latency.add(seconds)
            self.recent.append((time.monotonic(), seconds))
            for stage, took_ms in stages_ms.items():
                self.request_seconds[stage.rpartition(".")[2]] += took_ms * 1e-3  # of two engines: their sum

    def failed(self, error: ServeError, seconds: float, request: str) -> None:
        """A request had an error as its answer."""
        error.recorded = True
        failure = Failure(time.time(), error.code, error.reason[:REASON_CHARACTERS], request[:ID_CHARACTERS])
        with self.lock:
            self.outcomes[error.code] += 1
            self.failed_seconds += seconds
            if error.code not in self.failures:
                self.failures[error.code] = collections.deque(maxlen=RECENT_FAILURES)
            self.failures[error.code].append(failure)

    def abandoned(self, seconds: float) -> None:
        """A request's client went away before the answer."""
        with self.lock:
            self.outcomes[CLIENT_GONE] += 1
            self.failed_seconds += seconds

    def percentiles(self, shares: Sequence[float], window_s: float = 10.0) -> list[float]:
        """Seconds that the shares of the last requests took at most, of those within the window; empty without any."""
        since = time.monotonic() - window_s
        with self.lock:
            recent = self.recent.copy()
        # The newest stand at the end. Sorting a thousand takes 0.2 ms of the event loop, and tells as much as all.
        within = [seconds for _, seconds in itertools.takewhile(lambda one: one[0] >= since, reversed(recent))]
        values = sorted(within[:: len(within) // SORTED + 1])
        if not values:
            return []
        return [values[min(len(values) - 1, int(share * len(values)))] for share in shares]

    def last_failures(self, most: int) -> list[Failure]:
        """Some of the last failures, the newest first; of each code at least the last one, as far as `most` allows."""
        with self.lock:
            kinds = [list(failures)[::-1] for failures in self.failures.values()]
        by_age = sorted((failure for kind in kinds for failure in kind[1:]), key=lambda failure: -failure.at)
        first = [kind[0] for kind in kinds][:most]
        return sorted([*first, *by_age[: most - len(first)]], key=lambda failure: -failure.at)


class Batches:
    """See `Recorder.batches_alone`."""

    def __init__(self, recorder: Recorder) -> None:
        self.batch = recorder.batch

    def job(self, job: Job) -> None:
        """Counts nothing."""
