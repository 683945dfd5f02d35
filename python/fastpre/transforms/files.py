"""What a dataset's `loader` gives to a transform that decodes: a file's bytes."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["FileBytes", "read_bytes"]


class FileBytes(bytes):
    """A file's bytes that know where they come from, so that an error can say so.

    Attributes:
        name: the path.
    """

    name: str


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """A dataset `loader` that leaves the decoding to the transform, which is to be `fuse(...)`'s.

    Returns:
        bytes: the file's, with the path as `.name`.
    """
    data = FileBytes(Path(path).read_bytes())
    data.name = os.fsdecode(path)
    return data
