"""Parquet files with images in a column."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from ...errors import ImageReadError
from .pieces import Pieces
from .row_groups import RowGroups

__all__ = ["Parquet", "ParquetStream"]

MUCH = 4  # a batch that takes a quarter of a row group may hold all of it


class Parquet(Dataset[Any]):
    """Rows of Parquet files, any of them at any time.

    Samples are (image, *values of columns), or images alone without columns. Images are views of Arrow's memory, not
    copies; but a batch (`__getitems__`) that takes less than a quarter of a row group copies, so as not to hold the
    rest of it.

    A row group is the least that can be read, and the last ones stay in memory. With shuffled samples each image costs
    a row group: that is fine with some hundred rows in each, as Hugging Face writes them; of larger ones use `stream`.

    Args:
        files: a folder; a path or URL (fsspec's), in which braces and wildcards are expanded; or a list of them.
        image: a column of binary values, or of structs with "bytes" (and "path") as Hugging Face's images are;
            "image.bytes" is a field of structs.
        columns: others, whose values follow the image.
        cache_bytes: of row groups that stay in memory, in each process; the latest one does in any case.
        storage_options: what fsspec needs to open URLs.

    A row without an image, or with a null among its values, is its own error, which names file and row. Where a file
    is gone or damaged since it was listed, each of its rows is; the values that go with those are -100 (what torch's
    losses ignore), empty, or made like their neighbours'.

    Raises:
        FileNotFoundError: there are no such files.
        KeyError, TypeError: there is no such column, or its values are no images.
        ValueError: a file that is no Parquet file.
        ImportError: pyarrow (or fsspec, braceexpand) is needed and missing.
    """

    def __init__(
        self,
        files: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        image: str = "image",
        columns: Sequence[str] = (),
        *,
        cache_bytes: int = 256 << 20,
        storage_options: dict[str, Any] | None = None,
    ) -> None:
        if isinstance(columns, str):
            raise TypeError(f"columns must be a list of names, got {columns!r}; write columns=[{columns!r}]")
        self._groups = RowGroups(files, image, columns, cache_bytes, storage_options or {})
        self._ends = np.cumsum(self._groups.rows, dtype=np.int64)

    def __repr__(self) -> str:
        return f"Parquet({self._groups!r})"

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, index: int) -> Any:
        group, row = self._place(index)
        try:
            rows = self._groups.read(group)
        except Exception as error:  # of a file system, a network, a damaged file
            return self._lost(group, row, error)
        return rows.row(row)

    def __getitems__(self, indices: list[int]) -> list[Any]:
        """A batch; how DataLoader fetches. Each row group is read once."""
        wanted: dict[int, dict[int, int]] = {}
        for place, index in enumerate(indices):
            group, row = self._place(index)
            wanted.setdefault(group, {})[place] = row
        samples: dict[int, Any] = {}
        for group, places in wanted.items():
            samples.update(self._of_group(group, places))
        return [samples[place] for place in range(len(indices))]

    def stream(
        self,
        *,
        shuffle: bool | int = False,
        seed: int | None = None,
        rank: int | None = None,
        world_size: int | None = None,
    ) -> ParquetStream:
        """The same rows as an iterable dataset, row group by row group.

        Args:
            shuffle: rows that a shuffle buffer holds (True: 1000); row groups are shuffled too. False: all in order.
            seed: as in `Shards`.
            rank, world_size: None: those of `torch.distributed`, if it is initialised.
        """
        return ParquetStream(self._groups, shuffle=shuffle, seed=seed, rank=rank, world_size=world_size)

    def _place(self, index: int) -> tuple[int, int]:
        """(row group, row in it)."""
        row = range(len(self))[index]
        group = int(np.searchsorted(self._ends, row, side="right"))
        return group, row - (int(self._ends[group - 1]) if group else 0)

    def _of_group(self, group: int, places: dict[int, int]) -> dict[int, Any]:
        try:
            rows = self._groups.read(group)
        except Exception as error:
            return {place: self._lost(group, row, error) for place, row in places.items()}
        samples = {place: rows.row(row) for place, row in places.items()}
        if len(places) * MUCH < len(rows):
            return {place: _copied(sample) for place, sample in samples.items()}
        return samples

    def _lost(self, group: int, row: int, error: Exception) -> Any:
        return self._groups.columns.lost(_reason(error), self._groups.name(group, row))


class ParquetStream(Pieces):
    """What `Parquet.stream` makes: rows of Parquet files, row group by row group.

    Every rank and every DataLoader worker reads row groups of its own. Images are views of Arrow's memory; those that
    pass a shuffle buffer are copies, so that it holds no more than them. A row group that cannot be read is one error.
    """

    _unit = "row groups"

    def __init__(
        self, groups: RowGroups, *, shuffle: bool | int, seed: int | None, rank: int | None, world_size: int | None
    ) -> None:
        super().__init__(len(groups.rows), shuffle=shuffle, seed=seed, rank=rank, world_size=world_size)
        self._groups = groups.without_cache()

    def __repr__(self) -> str:
        return f"ParquetStream({self._groups!r}, shuffle={self._buffer_size})"

    def __len__(self) -> int:
        """Rows of this rank in an epoch."""
        return sum(self._groups.rows[group] for group in self._of_this_rank())

    def _read(self, piece: int) -> Iterator[Any]:
        try:
            rows = self._groups.read(piece)
        except Exception as error:  # of a file system, a network, a damaged file
            yield self._lost(piece, _reason(error))
            return
        for row in range(len(rows)):
            sample = rows.row(row)
            yield _copied(sample) if self._buffer_size else sample

    def _lost(self, piece: int, reason: str) -> Any:
        return self._groups.columns.lost(reason, self._groups.name(piece))


def _reason(error: Exception) -> str:
    return f"cannot read: {type(error).__name__}: {error}"


def _copied(sample: Any) -> Any:
    """The sample with an image that holds nothing of Arrow's memory."""
    image, targets = (sample[0], sample[1:]) if isinstance(sample, tuple) else (sample, ())
    if isinstance(image, ImageReadError) or image["bytes"] is None:
        return sample
    image = {**image, "bytes": bytes(image["bytes"])}
    return (image, *targets) if targets else image
