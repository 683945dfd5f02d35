"""A NumPy file that is written while its rows are made, and a JSON file with what it has no room for."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence

import numpy as np

from fastpre import Spec

from ..output_file import PartialFile
from .shard import Shard

__all__ = ["NpyShard"]


class NpyShard(Shard):
    """One array, as `numpy.load` takes it, mapped or not.

    Beside it `NAME.npy.json` says which `files` its rows are, the `spec`, the `layout` and fastpre's version.
    """

    dtypes = ("float32", "float16", "uint8")

    def __init__(self, path: str, most: Sequence[str], spec: Spec, size: tuple[int, int]) -> None:
        super().__init__(path, most, spec, size)
        self._description = PartialFile(self.paths_of(path)[1])

    @classmethod
    def paths_of(cls, path: str) -> list[str]:
        """The array and its description."""
        return [path, f"{path}.json"]

    def open(self) -> None:
        """Leaves room for the header."""
        self.stream = self.file.open()
        self.stream.write(self._header())

    def finish(self) -> None:
        """Writes the header and the description."""
        self.stream.seek(0)
        self.stream.write(self._header())
        self.file.close()
        description = {"files": self.names, **self.metadata()}
        self._description.open().write(json.dumps(description, indent=2).encode())
        self._description.close()

    def publish(self) -> None:
        """Gives both their names."""
        self._description.publish()
        super().publish()

    def discard(self) -> None:
        """Removes both."""
        self._description.discard()
        super().discard()

    def _header(self) -> bytes:
        """As many bytes whatever the number of rows: numpy.lib.format leaves room for the first axis to grow."""
        buffer = io.BytesIO()
        described = {
            "descr": np.lib.format.dtype_to_descr(np.dtype(self.spec.dtype_name)),
            "fortran_order": False,
            "shape": self.shape,
        }
        np.lib.format.write_array_header_1_0(buffer, described)
        return buffer.getvalue()
