"""Rows with an image in one column: Hugging Face's datasets, Arrow tables, and other rows by name."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from torch.utils.data import Dataset, IterableDataset, get_worker_info

from .arrow import ArrowColumns, ArrowRows
from .named import named
from .optional import needed

__all__ = ["Columns"]


class Columns(Dataset[Any]):
    """A dataset's rows as samples: (image, *values of columns), or images alone without columns.

    Args:
        dataset: a `datasets.Dataset` or `IterableDataset` of Hugging Face; a `pyarrow.Table`, `RecordBatch`,
            `ChunkedArray` or `Array` (the last two are the image column itself); or any dataset or sequence, map-style
            or iterable, whose rows are mappings.
        image: the column with the images: whatever `Preprocessor.run` takes. In Arrow tables binary values, or structs
            with "bytes" (and "path"); "image.bytes" is a field of structs.
        *columns: others, whose values follow the image.

    Of Hugging Face's datasets an `Image` column is not decoded, whatever its `decode` says, and no other columns are
    read; a batch is read at once. Images of Arrow tables are views of their memory, not copies.

    Where the dataset is iterable the samples are too: an `IterableDataset` with `set_epoch`, `state_dict` and
    `load_state_dict`, which are the dataset's own if it has them. Hugging Face's ones share their shards among workers.

    A row without an image is its own error; an image without a path is called by its row in messages.

    Raises:
        KeyError, TypeError: an Arrow table without such columns, or whose images are of another type; a dataset that
            gives no rows.
    """

    def __new__(cls, dataset: Any = None, *_: Any, **__: Any) -> Columns:  # noqa: PYI034  # of a subclass
        """A view of the kind that the dataset is; pickle asks for one without a dataset."""
        return object.__new__(_kind(dataset) if cls is Columns else cls)

    def __init__(self, dataset: Any, image: str = "image", *columns: str) -> None:
        self.dataset = dataset
        self.image = image
        self.columns = columns

    def __repr__(self) -> str:
        count = f" of {len(self)}" if hasattr(self, "__len__") else ""
        names = "".join(f", {name!r}" for name in (self.image, *self.columns))
        return f"Columns({type(self.dataset).__name__}{count}{names})"

    def _sample(self, row: Any, name: str) -> Any:
        if not isinstance(row, Mapping):
            raise TypeError(f"{name} of {type(self.dataset).__name__} is no mapping of columns: {type(row).__name__}")
        image, *values = (_value(row, column) for column in (self.image, *self.columns))
        image = named(image, name)
        return (image, *values) if self.columns else image


class _OfArrow(Columns):
    """Rows of a table in memory."""

    def __init__(self, dataset: Any, image: str = "image", *columns: str) -> None:
        super().__init__(dataset, image, *columns)
        self._arrow = ArrowColumns(_table(dataset, image).schema, image, columns)
        self._rows: ArrowRows | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_rows": None}

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        if self._rows is None:
            self._rows = ArrowRows(_table(self.dataset, self.image), self._arrow, "row {}".format)
        return self._rows.row(range(len(self))[index])


class _OfHuggingFace(Columns):
    """Rows of a `datasets.Dataset`: a batch is taken out of its tables at once."""

    def __init__(self, dataset: Any, image: str = "image", *columns: str) -> None:
        super().__init__(dataset, image, *columns)
        self._arrow = ArrowColumns(dataset.features.arrow_schema, image, columns)
        names = [name if name in dataset.column_names else name.partition(".")[0] for name in (image, *columns)]
        self._tables = dataset.select_columns(list(dict.fromkeys(names))).with_format("arrow")

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> list[Any]:
        """A batch; how DataLoader fetches."""
        rows = ArrowRows(self._tables[indices], self._arrow, lambda row: f"row {indices[row]}")
        return [rows.row(row) for row in range(len(indices))]


class _OfRows(Columns):
    """Rows of any map-style dataset."""

    def __init__(self, dataset: Any, image: str = "image", *columns: str) -> None:
        super().__init__(dataset, image, *columns)
        self._source = _undecoded(dataset, image)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        return self._sample(self._source[index], f"row {index}")

    def __getitems__(self, indices: list[int]) -> list[Any]:
        """A batch; how DataLoader fetches."""
        together = getattr(self._source, "__getitems__", None)
        rows = [self._source[index] for index in indices] if together is None else together(indices)
        return [self._sample(row, f"row {index}") for row, index in zip(rows, indices, strict=True)]


class _OfStream(Columns, IterableDataset[Any]):
    """Rows of an iterable dataset."""

    def __init__(self, dataset: Any, image: str = "image", *columns: str) -> None:
        super().__init__(dataset, image, *columns)
        self._source = _undecoded(dataset, image)
        self._given = 0  # rows, by the latest iteration
        self._resume: dict[str, Any] | None = None
        self._was_resumed = False

    def __iter__(self) -> Iterator[Any]:
        resume, self._resume = self._resume, None
        skipped = 0
        if resume is not None and resume["dataset"] is not None:
            self._source.load_state_dict(resume["dataset"])
            self._was_resumed = True
        elif resume is not None:
            skipped = resume["rows"]
        elif self._was_resumed and _is_hugging_face(self._source):
            self._source.load_state_dict(None)  # it would begin every iteration of that epoch there
        self._given = 0 if resume is None else resume["rows"]
        return self._samples(itertools.islice(self._source, skipped, None))

    def set_epoch(self, epoch: int) -> None:
        """The dataset's own, if it has one."""
        set_epoch = getattr(self._source, "set_epoch", None)
        if set_epoch is not None:
            set_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        """Where this process's latest iteration stands: rows given, and the dataset's own state if it has one."""
        own = getattr(self._source, "state_dict", None)
        return {"rows": self._given, "dataset": None if own is None else own()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The next iteration goes on from there: as exactly as the dataset's own state says, else by skipping rows."""
        self._resume = state_dict or None

    def _samples(self, rows: Iterator[Any]) -> Iterator[Any]:
        worker = get_worker_info()
        where = "" if worker is None else f" of worker {worker.id}"
        for row in rows:
            number, self._given = self._given, self._given + 1
            yield self._sample(row, f"row {number}{where}")


def _kind(dataset: Any) -> type[Columns]:
    if _is_arrow(dataset):
        return _OfArrow
    if isinstance(dataset, IterableDataset):
        return _OfStream
    if _is_hugging_face(dataset) and dataset.format["type"] is None:
        return _OfHuggingFace
    if hasattr(dataset, "__getitem__") and not isinstance(dataset, (str, bytes, Mapping)):
        return _OfRows
    if hasattr(dataset, "__iter__") and not isinstance(dataset, (str, bytes, Mapping, Iterator)):
        return _OfStream
    msg = (
        "Columns takes a datasets.Dataset, a pyarrow.Table, or any dataset or sequence of rows, got "
        f"{type(dataset).__name__}"
    )
    raise TypeError(msg)


def _is_arrow(dataset: Any) -> bool:
    pyarrow = sys.modules.get("pyarrow")  # not imported: no such table
    if pyarrow is None:
        return False
    return isinstance(dataset, (pyarrow.Table, pyarrow.RecordBatch, pyarrow.Array, pyarrow.ChunkedArray))


def _table(dataset: Any, image: str) -> Any:
    pyarrow = needed("pyarrow", "Columns")
    if isinstance(dataset, pyarrow.RecordBatch):
        return pyarrow.Table.from_batches([dataset])
    if isinstance(dataset, (pyarrow.Array, pyarrow.ChunkedArray)):
        return pyarrow.table({image: dataset})
    return dataset


def _is_hugging_face(dataset: Any) -> bool:
    datasets = sys.modules.get("datasets")  # not imported: no such dataset
    return datasets is not None and isinstance(dataset, (datasets.Dataset, datasets.IterableDataset))


def _undecoded(dataset: Any, image: str) -> Any:
    """The dataset, but of Hugging Face's one that leaves the images of a column as they are."""
    if not _is_hugging_face(dataset):
        return dataset
    kind = sys.modules["datasets"].Image
    known = (dataset.features or {}).get(image)
    return dataset.cast_column(image, kind(decode=False)) if isinstance(known, kind) and known.decode else dataset


def _value(row: Mapping[str, Any], column: str) -> Any:
    """A column's value, or of "column.field" a field of it."""
    if column in row:
        return row[column]
    name, _, field = column.partition(".")
    if field and isinstance(row.get(name), Mapping):
        return _value(row[name], field)
    raise KeyError(f"there is no column {column!r}; there are {', '.join(map(str, row))}")
