"""A safetensors file that is written while its rows are made.

    | length: uint64 | header: JSON, padded with spaces | rows ... |

The header counts the rows, which is known last: room for the longest one is left, and filled in the end.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from .shard import TENSOR, Shard

__all__ = ["SafetensorsShard"]

DTYPES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16", "uint8": "U8"}


class SafetensorsShard(Shard):
    """The tensor `images`; the metadata hold `files` (a JSON list), `spec`, `layout` and `fastpre`."""

    def open(self) -> None:
        """Leaves room for the header."""
        longest = len(self._header(self.most))
        self._header_bytes = -(-longest // 8) * 8  # rows start aligned
        self.stream = self.file.open()
        self.stream.seek(8 + self._header_bytes)

    def finish(self) -> None:
        """Writes the header."""
        header = self._header(self.names).ljust(self._header_bytes)
        self.stream.seek(0)
        self.stream.write(len(header).to_bytes(8, "little") + header)
        self.file.close()

    def _header(self, names: Sequence[str]) -> bytes:
        header: dict[str, Any] = {
            "__metadata__": {**self.metadata(), "files": json.dumps(list(names))},
            TENSOR: {
                "dtype": DTYPES[self.spec.dtype_name],
                "shape": [len(names), *self.row_shape],
                "data_offsets": [0, len(names) * self.row_bytes],
            },
        }
        return json.dumps(header, separators=(",", ":")).encode()
