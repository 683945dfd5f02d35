"""Parquet shards as Hugging Face's `datasets` writes images: a struct of bytes and path, and the label."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from .samples import Sample
from .shard import Shard

__all__ = ["ParquetShard"]

# A reader takes a whole group for one row of it; `datasets` writes images in groups of 100, too.
GROUP_ROWS = 100
GROUP_BYTES = 64 << 20
ROW_BYTES = 16  # of offsets, lengths and the label, about


class ParquetShard(Shard):
    """Columns `image` (struct of `bytes` and `path`) and, with classes, `label` (int64).

    The schema's metadata have the features, so that `datasets.load_dataset("parquet", data_files=...)` gives an `Image`
    and a `ClassLabel`. JPEGs are not compressed once more.
    """

    suffix = ".parquet"

    def __init__(self, stem: str, classes: Sequence[str]) -> None:
        super().__init__(stem, classes)
        self._rows: list[dict[str, Any]] = []
        self._pending = 0  # bytes of these rows
        self._bytes = 0  # of all rows
        image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        features: dict[str, Any] = {"image": {"_type": "Image"}}
        columns = [("image", image)]
        if classes:
            features["label"] = {"names": list(classes), "_type": "ClassLabel"}
            columns.append(("label", pa.int64()))
        metadata = {"huggingface": json.dumps({"info": {"features": features}})}
        self._schema = pa.schema(columns, metadata=metadata)

    def open(self) -> None:
        """Begins the file."""
        self._stream = self.file.open()
        # Statistics of a JPEG's bytes say nothing, a dictionary of them saves nothing.
        self._writer = pq.ParquetWriter(
            self._stream, self._schema, compression="none", use_dictionary=False, write_statistics=["label"]
        )

    def bytes_with(self, sample: Sample, data: bytes) -> int:
        """About: groups have some bytes around them."""
        return self._bytes + len(data) + len(sample.key) + ROW_BYTES

    def add(self, sample: Sample, data: bytes) -> None:
        """Appends a row, and writes the group if it is full."""
        row: dict[str, Any] = {"image": {"bytes": data, "path": f"{sample.key}.jpg"}}
        if self.classes:
            row["label"] = sample.label
        self._bytes = self.bytes_with(sample, data)
        self._rows.append(row)
        self._pending += len(data)
        if len(self._rows) == GROUP_ROWS or self._pending >= GROUP_BYTES:
            self._write_group()

    def complete(self) -> BinaryIO:
        """Writes the last group and the footer."""
        self._write_group()
        self._writer.close()
        return self._stream

    def _write_group(self) -> None:
        if self._rows:
            table = pa.Table.from_pylist(self._rows, schema=self._schema)
            self._writer.write_table(table, row_group_size=len(self._rows))
        self._rows, self._pending = [], 0
