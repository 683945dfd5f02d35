"""Tar shards as WebDataset reads them: `key.jpg`, and `key.cls` with the label's number."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Sequence
from typing import Any, BinaryIO

from ..output_file import PartialFile
from .samples import Sample
from .shard import Shard

__all__ = ["TarShard"]

BLOCK, RECORD = tarfile.BLOCKSIZE, tarfile.RECORDSIZE


class TarShard(Shard):
    """A tar of fixed owner, mode and time, so that equal samples make equal bytes.

    Beside it lies an index of its images, `shard-000000.idx.json`: `keys`, `labels` (null without classes), and
    where each JPEG begins in the tar and how long it is, `offsets` and `sizes`.
    """

    suffix = ".tar"

    def __init__(self, stem: str, classes: Sequence[str]) -> None:
        super().__init__(stem, classes)
        self._index_file = PartialFile(f"{stem}.idx.json")
        self._index: dict[str, list[Any]] = {"keys": [], "offsets": [], "sizes": [], "labels": []}

    def open(self) -> None:
        """Begins the tar."""
        self._stream = self.file.open()
        self._tar = tarfile.TarFile(fileobj=self._stream, mode="w", format=tarfile.PAX_FORMAT)

    def bytes_with(self, sample: Sample, data: bytes) -> int:
        """With the blocks of zeros at the end of every tar."""
        members = self._members(sample, data)
        added = sum(self._header_bytes(info) + _padded(len(body), BLOCK) for info, body in members)
        return _padded(self._tar.offset + added + 2 * BLOCK, RECORD)

    def add(self, sample: Sample, data: bytes) -> None:
        """Appends the image, then its label."""
        for info, body in self._members(sample, data):
            self._tar.addfile(info, io.BytesIO(body))
            if body is data:
                self._index["offsets"].append(self._tar.offset - _padded(len(data), BLOCK))
        self._index["keys"].append(sample.key)
        self._index["sizes"].append(len(data))
        self._index["labels"].append(sample.label)

    def complete(self) -> BinaryIO:
        """Ends the tar, and writes its index."""
        self._tar.close()
        index: dict[str, object] = {**self._index}
        if not self.classes:
            index["labels"] = None
        self._index_file.open().write(json.dumps(index, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
        self._index_file.close()
        return self._stream

    def publish(self) -> None:
        """The index first: where there is a tar there is its index."""
        self._index_file.publish()
        super().publish()

    def discard(self) -> None:
        """Removes both, unless both are published."""
        super().discard()
        self._index_file.discard()
        if not os.path.lexists(self.file.path) and os.path.lexists(self._index_file.path):
            os.remove(self._index_file.path)

    def _members(self, sample: Sample, data: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
        bodies = {"jpg": data} if sample.label is None else {"jpg": data, "cls": str(sample.label).encode()}
        members = []
        for suffix, body in bodies.items():
            info = tarfile.TarInfo(f"{sample.key}.{suffix}")  # mode 644, owner 0, time 0
            info.size = len(body)
            members.append((info, body))
        return members

    def _header_bytes(self, info: tarfile.TarInfo) -> int:
        return len(info.tobuf(self._tar.format, self._tar.encoding or "utf-8", self._tar.errors))


def _padded(size: int, unit: int) -> int:
    return -(-size // unit) * unit
