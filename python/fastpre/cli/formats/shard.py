"""What every format has in common: rows come batch by batch, their number is known last, and memory holds one batch."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import BinaryIO, ClassVar

import numpy as np
import numpy.typing as npt

from fastpre import Spec, __version__

from ..batch import is_channels_last, row_shape
from ..output_file import PartialFile

__all__ = ["TENSOR", "Shard"]

TENSOR = "images"

ITEM_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2, "uint8": 1}


class Shard(abc.ABC):
    """One file of images: `open`, `write` some times, `finish`; then `publish`, and in any case `discard`.

    Args:
        path: of the finished file.
        most: the names of all images that may be written to it.
        spec: of the images.
        size: (height, width) of every one.
    """

    dtypes: ClassVar[tuple[str, ...]] = tuple(ITEM_BYTES)  # that the format has
    stream: BinaryIO

    def __init__(self, path: str, most: Sequence[str], spec: Spec, size: tuple[int, int]) -> None:
        self.path = path
        self.names: list[str] = []
        self.most = most
        self.spec = spec
        self.row_shape = row_shape(spec, size)
        self.row_bytes = int(np.prod(self.row_shape)) * ITEM_BYTES[spec.dtype_name]
        self.file = PartialFile(path)

    @classmethod
    def paths_of(cls, path: str) -> list[str]:
        """All files that one shard consists of, its own first."""
        return [path]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what has been written: (N, C, H, W), or (N, H, W, C) for channels_last."""
        return (len(self.names), *self.row_shape)

    def metadata(self) -> dict[str, str]:
        """What a reader must know of the rows, apart from their `files`."""
        layout = "NHWC" if is_channels_last(self.spec) else "NCHW"
        return {"fastpre": __version__, "spec": repr(self.spec), "layout": layout}

    @abc.abstractmethod
    def open(self) -> None:
        """Begins the file: `stream` is where rows go.

        Raises:
            OSError: it cannot be written.
        """

    def write(self, names: Sequence[str], data: npt.NDArray[np.uint8]) -> None:
        """Appends rows; `data` is their 1-D bytes, C order."""
        assert data.size == len(names) * self.row_bytes
        self.stream.write(data.data)
        self.names += names

    @abc.abstractmethod
    def finish(self) -> None:
        """Completes the file, still under its partial name."""

    def publish(self) -> None:
        """Gives the finished file its name."""
        self.file.publish()

    def discard(self) -> None:
        """Removes what was written, unless it has been published."""
        self.file.discard()
