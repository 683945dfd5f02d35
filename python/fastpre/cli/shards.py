"""A safetensors file that is written while its rows are made, so that memory holds one batch.

    | length: uint64 | header: JSON, padded with spaces | rows ... |

The header counts the rows, which is known last: room for the longest one is left, and filled in the end.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["TENSOR", "ShardWriter", "shard_paths"]

TENSOR = "images"

DTYPES = {"float32": ("F32", 4), "float16": ("F16", 2), "bfloat16": ("BF16", 2), "uint8": ("U8", 1)}


def shard_paths(path: str, images: int, shard_size: int) -> list[str]:
    """`out.safetensors`, or `out-00001-of-00003.safetensors` and so on, if there are more images than fit."""
    count = max(1, -(-images // shard_size))
    if count == 1:
        return [path]
    stem, suffix = os.path.splitext(path)
    return [f"{stem}-{i:05}-of-{count:05}{suffix}" for i in range(1, count + 1)]


class ShardWriter:
    """Writes `path + ".partial"`; `finish` completes it, `publish` gives it its name, `discard` removes it.

    Args:
        path: of the finished file.
        names: of all images that may be written to it; those that are bounds the header's length.
        row_shape: of one image, without N.
        dtype: fastpre's name of it.
        metadata: goes into the header beside the list of file names.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(
        self, path: str, names: Sequence[str], row_shape: tuple[int, ...], dtype: str, metadata: Mapping[str, str]
    ) -> None:
        self.path = path
        self.names: list[str] = []
        self._row_shape = row_shape
        self._dtype, item_bytes = DTYPES[dtype]
        self._row_bytes = int(np.prod(row_shape)) * item_bytes
        self._metadata = dict(metadata)
        longest = len(self._header(names))
        self._header_bytes = -(-longest // 8) * 8  # rows start aligned
        self._partial = path + ".partial"
        self._file = open(self._partial, "wb")  # noqa: SIM115 (closed by finish or discard)
        self._file.seek(8 + self._header_bytes)

    def write(self, names: Sequence[str], data: npt.NDArray[np.uint8]) -> None:
        """Appends rows; `data` is their 1-D bytes, C order."""
        assert data.size == len(names) * self._row_bytes
        self._file.write(data.data)
        self.names += names

    def finish(self) -> None:
        """Writes the header and closes the file."""
        header = self._header(self.names).ljust(self._header_bytes)
        self._file.seek(0)
        self._file.write(len(header).to_bytes(8, "little") + header)
        self._file.close()

    def publish(self) -> None:
        """Gives the finished file its name."""
        os.replace(self._partial, self.path)

    def discard(self) -> None:
        """Removes what was written, unless it has been published."""
        self._file.close()
        if os.path.exists(self._partial):
            os.remove(self._partial)

    def _header(self, names: Sequence[str]) -> bytes:
        header: dict[str, Any] = {
            "__metadata__": {**self._metadata, "files": json.dumps(list(names))},
            TENSOR: {
                "dtype": self._dtype,
                "shape": [len(names), *self._row_shape],
                "data_offsets": [0, len(names) * self._row_bytes],
            },
        }
        return json.dumps(header, separators=(",", ":")).encode()
