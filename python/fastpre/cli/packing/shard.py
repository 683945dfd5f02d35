"""Shards one after the other: each is complete before it has its name, and an index of all comes last."""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import hashlib
import json
import os
from collections.abc import Sequence
from typing import BinaryIO, ClassVar

import fastpre

from ..output_file import PartialFile
from .samples import Sample

__all__ = ["INDEX", "Shard", "ShardInfo", "ShardSize", "Shards"]

INDEX, CLASSES = "index.json", "classes.json"
FORMAT_VERSION = 1
BLOCK = 1 << 20


@dataclasses.dataclass(frozen=True)
class ShardSize:
    """When a shard is full: at so many samples, or before it would have more than so many bytes."""

    samples: int | None = None
    bytes: int | None = None


@dataclasses.dataclass(frozen=True)
class ShardInfo:
    """A finished shard, as the index lists it."""

    name: str
    samples: int
    bytes: int
    sha256: str


class Shard(abc.ABC):
    """One file of samples: `open`, `add` some times, `finish`; then `publish`, and in any case `discard`.

    Args:
        stem: its path without the suffix.
        classes: names of the labels.
    """

    suffix: ClassVar[str]

    def __init__(self, stem: str, classes: Sequence[str]) -> None:
        self.file = PartialFile(stem + self.suffix)
        self.classes = classes
        self.count = 0

    @abc.abstractmethod
    def open(self) -> None:
        """Begins the file.

        Raises:
            OSError: it cannot be written.
        """

    @abc.abstractmethod
    def bytes_with(self, sample: Sample, data: bytes) -> int:
        """How large the file would be with one more sample; about, where the format cannot tell."""

    @abc.abstractmethod
    def add(self, sample: Sample, data: bytes) -> None:
        """Appends one image."""

    @abc.abstractmethod
    def complete(self) -> BinaryIO:
        """Writes what is left, and gives back the file, open."""

    def finish(self) -> ShardInfo:
        """Completes the file, still under its partial name."""
        stream = self.complete()
        stream.seek(0)
        digest, size = hashlib.sha256(), 0
        while block := stream.read(BLOCK):
            digest.update(block)
            size += len(block)
        self.file.close()
        return ShardInfo(os.path.basename(self.file.path), self.count, size, digest.hexdigest())

    def publish(self) -> None:
        """Gives the finished file its name."""
        self.file.publish()

    def discard(self) -> None:
        """Removes what was written, unless it has been published."""
        self.file.discard()


class Shards:
    """A folder of shards, written front to back; in any case to be left through `discard`.

    Args:
        folder: of the shards.
        shard_type: what each of them is.
        size: when one is full.
        classes: names of the labels.
        at_once: publish each as soon as it is full; else all in the end.
    """

    def __init__(
        self, folder: str, shard_type: type[Shard], size: ShardSize, classes: Sequence[str], *, at_once: bool
    ) -> None:
        self.folder = folder
        self.infos: list[ShardInfo] = []
        self._type = shard_type
        self._size = size
        self._classes = classes
        self._at_once = at_once
        self._shards: list[Shard] = []  # not yet published, the one that is being written last
        self._open: Shard | None = None
        self._made_folder = not os.path.isdir(folder)

    def add(self, sample: Sample, data: bytes) -> None:
        """Appends one image, to a new shard if the last one is full.

        Raises:
            OSError: it cannot be written.
        """
        if self._open is not None and self._is_full(self._open, sample, data):
            self._finish_shard()
        if self._open is None:
            stem = os.path.join(self.folder, f"shard-{len(self.infos):06}")
            self._open = self._type(stem, self._classes)
            self._shards.append(self._open)  # before there is anything, so that a signal finds no gap
            self._open.open()
        self._open.add(sample, data)
        self._open.count += 1

    def finish(self, recipe: dict[str, object]) -> None:
        """Publishes all shards, the classes, and then the index, by which a folder is known to be complete.

        Args:
            recipe: how its images were made, for the index.
        """
        if self._open is not None:
            self._finish_shard()
        self._publish()
        index = {
            "version": FORMAT_VERSION,
            "format": self._type.suffix[1:],
            "classes": list(self._classes),
            "shards": [dataclasses.asdict(info) for info in self.infos],
            "fastpre": fastpre.__version__,
            "recipe": recipe,
        }
        write_json(os.path.join(self.folder, CLASSES), list(self._classes))
        write_json(os.path.join(self.folder, INDEX), index, indent=1)

    def discard(self) -> None:
        """Removes what is not published, and the folder if that leaves it empty and it is ours."""
        for shard in self._shards:
            shard.discard()
        if self._made_folder:
            with contextlib.suppress(OSError):
                os.rmdir(self.folder)

    def _is_full(self, shard: Shard, sample: Sample, data: bytes) -> bool:
        if self._size.samples is not None:
            return shard.count >= self._size.samples
        return self._size.bytes is not None and shard.bytes_with(sample, data) > self._size.bytes

    def _finish_shard(self) -> None:
        assert self._open is not None
        self.infos.append(self._open.finish())
        self._open = None
        if self._at_once:
            self._publish()

    def _publish(self) -> None:
        while self._shards:
            self._shards[0].publish()
            self._shards.pop(0)


def write_json(path: str, value: object, indent: int | None = None) -> None:
    """A JSON file that has its name once it is complete."""
    file = PartialFile(path)
    try:
        file.open().write(json.dumps(value, indent=indent, ensure_ascii=False).encode() + b"\n")
        file.publish()
    finally:
        file.discard()
