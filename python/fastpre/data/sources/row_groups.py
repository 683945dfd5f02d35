"""The row groups of Parquet files."""

from __future__ import annotations

import collections
import copy
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from torch.utils.data import get_worker_info

from . import places
from .arrow import ArrowColumns, ArrowRows
from .optional import needed

__all__ = ["Group", "RowGroups"]

MOST_OPEN = 16  # files, whose footers are in memory


class Group(NamedTuple):
    """A row group, and the first of its rows in its file."""

    file: int
    number: int
    first: int


class RowGroups:
    """Reads row groups, and keeps the latest ones.

    Args:
        files: as `Parquet`.
        image, targets: as `ArrowColumns`.
        cache_bytes: of images that are kept.
        options: for fsspec.

    Attributes:
        groups: of all files, in order.
        rows: how many each of them has.

    Raises:
        FileNotFoundError: there are no such files.
        KeyError, TypeError: there is no such column, or its values are no images.
        ValueError: a file that is no Parquet file.
    """

    def __init__(
        self,
        files: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        image: str,
        targets: Sequence[str],
        cache_bytes: int,
        options: dict[str, Any],
    ) -> None:
        self._options = options
        self._cache_bytes = cache_bytes
        self._files: list[str] = places.expanded(files, "Parquet", options)
        if len(self._files) == 1 and places.is_folder(self._files[0]):
            found = places.listing(self._files[0], "Parquet", options)
            self._files = [place for place in found if place.endswith(".parquet")]
        if not self._files:
            raise FileNotFoundError(f"there are no Parquet files in {files!r}")
        self._forget()
        self.groups: list[Group] = []
        self.rows: list[int] = []
        for number, file in enumerate(self._files):
            with self._opened(file) as opened:
                if number == 0:
                    self.columns = ArrowColumns(opened.schema_arrow, image, targets)
                self._add(number, opened.metadata)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_open", "_kept", "_process")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    def __repr__(self) -> str:
        return f"{len(self._files)} files, {len(self.groups)} row groups, {sum(self.rows)} rows"

    def without_cache(self) -> RowGroups:
        """The same, to read each group once."""
        groups = copy.copy(self)
        groups._cache_bytes = 0
        return groups

    def read(self, group: int) -> ArrowRows:
        """A row group's rows.

        Raises:
            Exception: whatever pyarrow, the file system or a network raises.
        """
        if self._process != os.getpid():
            self._forget()  # a forked worker opens files of its own
        rows = self._kept.get(group)
        if rows is not None:
            self._kept.move_to_end(group)
            return rows
        file, number, _ = self.groups[group]
        table = self._file(file).read_row_group(
            number, columns=[self.columns.image, *self.columns.targets], use_threads=get_worker_info() is None
        )
        rows = self._kept[group] = ArrowRows(table, self.columns, lambda row: self.name(group, row))
        held = sum(kept.image_bytes for kept in self._kept.values())
        while held > self._cache_bytes and len(self._kept) > 1:
            held -= self._kept.popitem(last=False)[1].image_bytes
        return rows

    def name(self, group: int, row: int | None = None) -> str:
        """How to call a row, or the whole group, in messages."""
        file, number, first = self.groups[group]
        which = f"row group {number}" if row is None else f"row {first + row}"
        return f"{places.split(self._files[file])[1]}, {which}"

    def _forget(self) -> None:
        self._process = os.getpid()
        self._open: collections.OrderedDict[int, Any] = collections.OrderedDict()
        self._kept: collections.OrderedDict[int, ArrowRows] = collections.OrderedDict()

    def _file(self, number: int) -> Any:
        opened = self._open.get(number)
        if opened is None:
            opened = self._open[number] = self._opened(self._files[number])
            if len(self._open) > MOST_OPEN:
                self._open.popitem(last=False)[1].close()
        else:
            self._open.move_to_end(number)
        return opened

    def _opened(self, file: str) -> Any:
        parquet = needed("pyarrow.parquet", "Parquet")
        source = places.open_binary(file, "Parquet", self._options) if places.is_url(file) else file
        try:
            return parquet.ParquetFile(source)
        except needed("pyarrow", "Parquet").ArrowInvalid as error:
            raise ValueError(f"{file} is no Parquet file, or damaged: {error}") from error

    def _add(self, file: int, metadata: Any) -> None:
        first = 0
        for number in range(metadata.num_row_groups):
            rows = metadata.row_group(number).num_rows
            if rows:
                self.groups.append(Group(file, number, first))
                self.rows.append(rows)
            first += rows
