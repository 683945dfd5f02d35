"""Images made by threads, taken in order: the shards are the same whatever the number of threads."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from fastpre import ImageError, _core

from ..files import Failure
from .recipe import Packed, Recipe
from .samples import Sample
from .shard import Shards

__all__ = ["Outcome", "pack"]

# Images in memory for each thread: one that it has, and one that waits, be it for an earlier one that takes long.
AHEAD = 2


@dataclasses.dataclass
class Outcome:
    """What became of all images.

    Attributes:
        packed: how many are in the shards.
        failures: the others.
        how: of those packed, by `Packed.how`.
        refusals: why some are unchanged that were to be transcoded.
        bytes_before, bytes_after: of the JPEGs packed.
        seconds: wall clock.
    """

    packed: int = 0
    failures: list[Failure] = dataclasses.field(default_factory=list)
    how: Counter[str] = dataclasses.field(default_factory=Counter)
    refusals: Counter[str] = dataclasses.field(default_factory=Counter)
    bytes_before: int = 0
    bytes_after: int = 0
    seconds: float = 0.0


def pack(
    samples: Sequence[Sample],
    recipe: Recipe,
    shards: Shards,
    threads: int,
    outcome: Outcome,
    progress: Callable[[int, int], object],
) -> None:
    """Packs all samples, in their order; what cannot be decoded is left out and listed.

    Whatever ends it early, a signal for one, ends the threads as well, within a row of MCUs.

    Args:
        outcome: filled in while it runs.
        progress: called with the numbers of samples done and failed so far.

    Raises:
        OSError: a shard cannot be written.
    """
    start = time.perf_counter()
    # Closed here: an exception's traceback would keep the generator, and its threads, alive.
    with contextlib.closing(_in_order(samples, recipe, threads)) as results:
        for done, (sample, packed) in enumerate(results, start=1):
            if isinstance(packed, ImageError):
                outcome.failures.append(Failure(sample.file.name, type(packed).__name__, packed.reason))
            else:
                shards.add(sample, packed.data)
                outcome.packed += 1
                outcome.how[packed.how] += 1
                outcome.bytes_before += packed.bytes_before
                outcome.bytes_after += len(packed.data)
                if packed.refusal:
                    outcome.refusals[packed.refusal] += 1
            progress(done, len(outcome.failures))
    outcome.seconds = time.perf_counter() - start


def _in_order(
    samples: Sequence[Sample], recipe: Recipe, threads: int
) -> Generator[tuple[Sample, Packed | ImageError], None, None]:
    cancellation = _core.Cancellation()

    def made(sample: Sample) -> Packed | ImageError:
        try:
            return recipe.apply(sample.file.path, cancellation)
        except ImageError as e:
            return e.with_traceback(None)

    waiting: collections.deque[tuple[Sample, Future[Packed | ImageError]]] = collections.deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="fastpre-pack") as pool:
        try:
            for sample in samples:
                waiting.append((sample, pool.submit(made, sample)))
                if len(waiting) > AHEAD * threads:
                    first, future = waiting.popleft()
                    yield first, future.result()
            while waiting:
                first, future = waiting.popleft()
                yield first, future.result()
        finally:
            cancellation.cancel()
            pool.shutdown(cancel_futures=True)
