"""Rows of Arrow tables, whose images stay where Arrow has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..._backend import sources
from ...errors import ImageReadError
from .lost import LOST, LOST_LABEL
from .named import named
from .optional import needed

__all__ = ["ArrowColumns", "ArrowRows"]


class ArrowColumns:
    """Which columns are the image and its targets.

    Args:
        schema: a `pyarrow.Schema` that has them.
        image: a column of binary values or of structs with binary "bytes" and perhaps a "path", as Hugging Face's
            images are; "column.field" is a field of a struct.
        targets: columns of anything else.

    Raises:
        KeyError: there is no such column.
        TypeError: images are of another type.
    """

    def __init__(self, schema: Any, image: str, targets: Sequence[str]) -> None:
        self.image = image
        self.targets = tuple(targets)
        kind = _type(schema, image)
        types = needed("pyarrow.types", "Columns")
        self._fields = {kind.field(number).name for number in range(kind.num_fields)} if types.is_struct(kind) else None
        binary = kind.field("bytes").type if self._fields is not None and "bytes" in self._fields else kind
        if str(binary).partition("[")[0] not in ("binary", "large_binary", "binary_view", "fixed_size_binary"):
            raise TypeError(f"column {image!r} holds {kind}; images are binary, or structs with binary 'bytes'")
        self._blanks = tuple(_blank(types, _type(schema, target)) for target in self.targets)

    def sample(self, image: Any, targets: Sequence[Any]) -> Any:
        """(image, *targets), or the image alone if there are no targets; a null among them is the image's error."""
        nulls = [column for column, target in zip(self.targets, targets, strict=True) if target is None]
        if nulls:
            return self.lost(f"its {nulls[0]!r} is null", sources.name(image) or "")
        return (image, *targets) if self.targets else image

    def lost(self, reason: str, name: str) -> Any:
        """A sample that could not be had."""
        error = ImageReadError(reason, name=name)
        return (error, *self._blanks) if self.targets else error

    def columns(self, table: Any) -> tuple[Any, Any | None, list[Any]]:
        """(images' bytes, their paths, targets), each a `pyarrow.ChunkedArray`."""
        image = _column(table, self.image)
        paths = None
        if self._fields is not None:
            paths = _field(image, "path") if "path" in self._fields else None
            image = _field(image, "bytes")
        return image, paths, [_column(table, target) for target in self.targets]


class ArrowRows:
    """Rows of a table.

    Args:
        table: a `pyarrow.Table`.
        columns: which of its columns count.
        name: how to call a row in messages, by its place in the table.

    Attributes:
        image_bytes: of all images together.
    """

    def __init__(self, table: Any, columns: ArrowColumns, name: Callable[[int], str]) -> None:
        self._columns = columns
        self._name = name
        images, self._paths, self._targets = columns.columns(table)
        self._chunks = [_Chunk(chunk) for chunk in images.chunks]
        self._ends = np.cumsum([len(chunk) for chunk in images.chunks], dtype=np.int64)
        self.image_bytes = sum(chunk.total_bytes for chunk in self._chunks)

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def row(self, row: int) -> Any:
        """A sample, whose image is a read-only view of Arrow's memory and keeps it."""
        number = int(np.searchsorted(self._ends, row, side="right"))
        data = self._chunks[number].image(row - int(self._ends[number - 1]) if number else row)
        path = None if self._paths is None else self._paths[row].as_py()
        image = named({"bytes": data, "path": path}, self._name(row))
        return self._columns.sample(image, [target[row].as_py() for target in self._targets])


class _Chunk:
    """The binary values of one array, without a copy: a value that pyarrow gives, `array[i]`, is one."""

    def __init__(self, array: Any) -> None:
        kind = str(array.type)
        if kind not in ("binary", "large_binary"):
            array, kind = array.cast("large_binary"), "large_binary"  # other layouts
        _, ends, data = array.buffers()
        offset_type = np.int32 if kind == "binary" else np.int64
        self._offsets = np.frombuffer(ends, offset_type, len(array) + 1, array.offset * np.dtype(offset_type).itemsize)
        self._data = memoryview(b"" if data is None else data).toreadonly()
        self._nulls = array.is_null().to_numpy(zero_copy_only=False) if array.null_count else None
        self.total_bytes = int(self._offsets[-1] - self._offsets[0])

    def image(self, index: int) -> memoryview | None:
        if self._nulls is not None and self._nulls[index]:
            return None
        return self._data[self._offsets[index] : self._offsets[index + 1]]


def _column(table: Any, path: str) -> Any:
    """A column, or "column.field" of structs."""
    if path in table.column_names:
        return table.column(path)
    name, *fields = path.split(".")
    column = table.column(name)
    for field in fields:
        column = _field(column, field)
    return column


def _field(column: Any, name: str) -> Any:
    """A field of structs; null where they are."""
    return needed("pyarrow.compute", "Columns").struct_field(column, name)


def _type(schema: Any, path: str) -> Any:
    name, *fields = (path,) if path in schema.names else path.split(".")
    try:
        kind = schema.field(name).type
        for field in fields:
            kind = kind.field(field).type
    except KeyError:
        raise KeyError(f"there is no column {path!r}; there are {', '.join(schema.names)}") from None
    return kind


def _blank(types: Any, kind: Any) -> Any:
    """What stands for a target in a sample that was lost."""
    if types.is_boolean(kind):
        return False
    if types.is_integer(kind):
        return LOST_LABEL
    if types.is_floating(kind):
        return float("nan")
    if types.is_string(kind) or types.is_large_string(kind):
        return ""
    return LOST
