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

from fastpre import ImageError, Preprocessor, Spec, __version__

from .batch import Batch, is_channels_last, row_shape
from .files import Found
from .shards import ShardWriter, shard_paths

__all__ = ["Failure", "Outcome", "process"]


@dataclasses.dataclass(frozen=True)
class Failure:
    """A file that gave no tensor, and why: the error's type and its reason."""

    name: str
    error: str
    reason: str


@dataclasses.dataclass
class Outcome:
    """What became of the whole job.

    Attributes:
        kept: the files that are in the tensor, in its order.
        failures: the others.
        outputs: paths written.
        preprocess_s, write_s: wall-clock seconds.
        stages_us: thread time by stage, summed over all images.
        decoders: images by decoder.
        pictures: names and denormalized pixels of images spread over the job.
    """

    kept: list[Found] = dataclasses.field(default_factory=list)
    failures: list[Failure] = dataclasses.field(default_factory=list)
    outputs: list[str] = dataclasses.field(default_factory=list)
    preprocess_s: float = 0.0
    write_s: float = 0.0
    stages_us: Counter[str] = dataclasses.field(default_factory=Counter)
    decoders: Counter[str] = dataclasses.field(default_factory=Counter)
    pictures: list[tuple[str, npt.NDArray[np.uint8]]] = dataclasses.field(default_factory=list)


def process(
    files: Sequence[Found],
    pre: Preprocessor,
    output: str,
    *,
    batch_size: int,
    shard_size: int,
    pictures: int,
    strict: bool,
    progress: Callable[[int], object],
) -> Outcome:
    """Preprocesses `files` and writes the tensor, its names and its spec.

    Each shard stands for `shard_size` consecutive files and holds those of them that are good.
    Files get their names once all are complete; with `strict` and a failure, or when nothing is
    usable, none does.

    Args:
        files: in the order of the tensor's rows.
        pre: what to do with them; its spec must fix the output's size.
        output: path of the file, or the pattern of the shards' paths.
        batch_size: images in memory at a time.
        shard_size: files per shard.
        pictures: at most so many go into `Outcome.pictures`.
        strict: one bad file spoils all.
        progress: called with the number of files done since the last call.

    Raises:
        OSError: the output cannot be written.
    """
    size = pre.spec.output_size
    assert size is not None
    outcome = Outcome()
    every = max(1, len(files) // pictures) if pictures else 0
    batch = Batch(min(batch_size, shard_size, len(files)), pre.spec, size)
    with contextlib.ExitStack() as stack:
        writers: list[ShardWriter] = []
        for number, path in enumerate(shard_paths(output, len(files), shard_size)):
            group = files[number * shard_size : (number + 1) * shard_size]
            writer = _writer(path, group, pre.spec, size)
            stack.callback(writer.discard)
            writers.append(writer)
            for first, part in _chunks(group, batch_size):
                kept = _run(part, pre, batch, outcome)
                start = time.perf_counter()
                writer.write([f.name for f in kept], batch.raw(len(kept)))
                outcome.write_s += time.perf_counter() - start
                if every and len(outcome.pictures) < pictures:
                    wanted = {f.name for f in part[-(number * shard_size + first) % every :: every]}
                    shown = [(f.name, batch.picture(i)) for i, f in enumerate(kept) if f.name in wanted]
                    outcome.pictures += shown[: pictures - len(outcome.pictures)]
                progress(len(part))
            writer.finish()
        if outcome.kept and not (strict and outcome.failures):
            for writer in writers:
                writer.publish()
            outcome.outputs = [writer.path for writer in writers]
    return outcome


def _writer(path: str, files: Sequence[Found], spec: Spec, size: tuple[int, int]) -> ShardWriter:
    shape = row_shape(spec, size)
    layout = "NHWC" if is_channels_last(spec) else "NCHW"
    metadata = {"fastpre": __version__, "spec": repr(spec), "layout": layout}
    return ShardWriter(path, [f.name for f in files], shape, spec.dtype_name, metadata)


def _chunks(items: Sequence[Found], size: int) -> Iterator[tuple[int, Sequence[Found]]]:
    for first in range(0, len(items), size):
        yield first, items[first : first + size]


def _run(part: Sequence[Found], pre: Preprocessor, batch: Batch, outcome: Outcome) -> list[Found]:
    """Fills the first rows of `batch`; returns the files that they are."""
    start = time.perf_counter()
    result: Any = pre.run([f.path for f in part], out=batch.slots(len(part)), on_error="skip")
    outcome.preprocess_s += time.perf_counter() - start
    for file, image in zip(part, result.images, strict=True):
        outcome.stages_us.update(image.stages_us)
        error = image.error
        if error is None:
            outcome.decoders[image.decoder] += 1
        else:
            reason = error.reason if isinstance(error, ImageError) else str(error)
            outcome.failures.append(Failure(file.name, type(error).__name__, reason))
    kept = [part[i] for i in result.indices]
    outcome.kept += kept
    return kept
