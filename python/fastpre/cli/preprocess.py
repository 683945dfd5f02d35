"""The work of `fastpre run`: batch by batch from files to shards, within bounded memory."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpre import ImageError, Preprocessor

from .batch import Batch
from .files import Failure, Found, Search
from .formats import Shard, shard_paths

__all__ = ["Outcome", "preprocess"]


@dataclasses.dataclass
class Outcome:
    """What became of all files.

    Attributes:
        kept: the files that are in the tensor, in its order.
        truncated: those of them of which only a part arrived (`--truncated partial`).
        failures: the others.
        outputs: paths written.
        preprocess_s, write_s: wall-clock seconds.
        stages_us: thread time by stage, summed over all images.
        decoders: images by decoder.
        pictures: names and denormalized pixels of images that are spread over all.
    """

    kept: list[Found] = dataclasses.field(default_factory=list)
    truncated: list[Found] = dataclasses.field(default_factory=list)
    failures: list[Failure] = dataclasses.field(default_factory=list)
    outputs: list[str] = dataclasses.field(default_factory=list)
    preprocess_s: float = 0.0
    write_s: float = 0.0
    stages_us: Counter[str] = dataclasses.field(default_factory=Counter)
    decoders: Counter[str] = dataclasses.field(default_factory=Counter)
    pictures: list[tuple[str, npt.NDArray[np.uint8]]] = dataclasses.field(default_factory=list)


def preprocess(
    search: Search,
    pre: Preprocessor,
    output: str,
    file_format: type[Shard],
    *,
    batch_size: int,
    shard_size: int,
    pictures: int,
    strict: bool,
    progress: Callable[[int, int], object],
) -> Outcome:
    """Preprocesses the files found and writes the tensor, its names and its spec.

    Each shard stands for `shard_size` consecutive files and holds those of them that are good.
    Files get their names once all are complete; with `strict` and a failure, or when nothing is
    usable, none does.

    Args:
        search: the files, in the order of the tensor's rows, and what is already known to fail.
        pre: what to do with them; its spec must fix the output's size.
        output: path of the file, or the pattern of the shards' paths.
        file_format: of each of them.
        batch_size: images in memory at a time.
        shard_size: files per shard.
        pictures: at most so many go into `Outcome.pictures`.
        strict: one bad file spoils all.
        progress: called with the numbers of files done and failed so far.

    Raises:
        OSError: the output cannot be written.
    """
    size = pre.spec.output_size
    assert size is not None
    files = search.files
    outcome = Outcome(failures=list(search.failures))
    every = max(1, len(files) // pictures) if pictures else 0
    batch = Batch(min(batch_size, shard_size, len(files)), pre.spec, size, pre.device)
    done = 0
    with contextlib.ExitStack() as stack:
        shards: list[Shard] = []
        for number, path in enumerate(shard_paths(output, len(files), shard_size)):
            group = files[number * shard_size : (number + 1) * shard_size]
            shard = file_format(path, [f.name for f in group], pre.spec, size)
            stack.callback(shard.discard)  # before there is anything, so that a signal finds no gap
            shard.open()
            shards.append(shard)
            for first, part in _chunks(group, batch_size):
                kept = _run(part, pre, batch, outcome)
                start = time.perf_counter()
                shard.write([f.name for f in kept], batch.raw(len(kept)))
                outcome.write_s += time.perf_counter() - start
                if every and len(outcome.pictures) < pictures:
                    wanted = {f.path for f in part[-(number * shard_size + first) % every :: every]}
                    shown = [(f.name, batch.picture(i)) for i, f in enumerate(kept) if f.path in wanted]
                    outcome.pictures += shown[: pictures - len(outcome.pictures)]
                done += len(part)
                progress(done, len(outcome.failures))
            start = time.perf_counter()
            shard.finish()
            outcome.write_s += time.perf_counter() - start
        if outcome.kept and not (strict and outcome.failures):
            for shard in shards:
                shard.publish()
            outcome.outputs = [path for shard in shards for path in shard.paths_of(shard.path)]
    return outcome


def _chunks(items: Sequence[Found], size: int) -> Iterator[tuple[int, Sequence[Found]]]:
    for first in range(0, len(items), size):
        yield first, items[first : first + size]


def _run(part: Sequence[Found], pre: Preprocessor, batch: Batch, outcome: Outcome) -> list[Found]:
    """Fills the first rows of `batch`; returns the files that they are."""
    start = time.perf_counter()
    result: Any = pre.run([f.path for f in part], out=batch.rows(len(part)), on_error="skip")
    kept = [part[i] for i in result.indices]
    batch.fetch(len(kept))
    outcome.preprocess_s += time.perf_counter() - start
    for file, image in zip(part, result.images, strict=True):
        outcome.stages_us.update(image.stages_us)
        error = image.error
        if error is None:
            outcome.decoders[image.decoder] += 1
            if image.truncated:
                outcome.truncated.append(file)
        else:
            reason = error.reason if isinstance(error, ImageError) else str(error)
            outcome.failures.append(Failure(file.name, type(error).__name__, reason))
    outcome.kept += kept
    return kept
