"""What happened to the requests of one model."""

from __future__ import annotations

import collections
import dataclasses
import threading
import time
from collections.abc import Sequence

from ..errors import ServeError
from ..scheduling.items import Item, Job
from .histogram import Histogram

__all__ = ["STAGES", "BatchCount", "Failure", "Recorder"]

STAGES = ("queue", "preprocess", "batch", "inference")
RECENT_REQUESTS = 4096  # for percentiles: at 1000 requests/s the last four seconds
RECENT_FAILURES = 50
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


@dataclasses.dataclass(frozen=True)
class Failure:
    """A request that failed, for the live page.

    Attributes:
        at: Unix time in seconds.
        code, reason: of the error.
        id: of the request, as its client named it.
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
        recent: (when, seconds) of the last requests that had an answer.
        failures: the last ones.
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
        self.sizes = Histogram(SIZES)
        self.moves = 0
        self.qualities: collections.Counter[int] = collections.Counter()
        self.last_inference = 0.0
        self.recent: collections.deque[tuple[float, float]] = collections.deque(maxlen=RECENT_REQUESTS)
        self.failures: collections.deque[Failure] = collections.deque(maxlen=RECENT_FAILURES)

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
        stages["queue"].add(item.begun - item.job.arrived)
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

    def answered(self, seconds: float) -> None:
        """A request had its answer, `seconds` after its first byte."""
        with self.lock:
            self.outcomes["ok"] += 1
            self.latency.add(seconds)
            self.recent.append((time.monotonic(), seconds))

    def failed(self, error: ServeError, seconds: float, request: str) -> None:
        """A request had an error as its answer."""
        with self.lock:
            self.outcomes[error.code] += 1
            self.failed_seconds += seconds
            self.failures.append(Failure(time.time(), error.code, error.reason, request))

    def percentiles(self, shares: Sequence[float], window_s: float = 10.0) -> list[float]:
        """Seconds that the shares of the last requests took at most, of those within the window; empty without any."""
        since = time.monotonic() - window_s
        with self.lock:
            values = sorted(seconds for at, seconds in self.recent if at >= since)
        if not values:
            return []
        return [values[min(len(values) - 1, int(share * len(values)))] for share in shares]


class Batches:
    """See `Recorder.batches_alone`."""

    def __init__(self, recorder: Recorder) -> None:
        self.batch = recorder.batch

    def job(self, job: Job) -> None:
        """Counts nothing."""
