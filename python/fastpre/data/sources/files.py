"""Files of a list, and how a file becomes a sample."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

from torch.utils.data import Dataset, get_worker_info

from ...transforms import read_bytes
from .texts import Texts

__all__ = ["Files", "file_sample", "labels_of"]


class Files(Dataset[Any]):
    """Files by path, with a label each or without.

    Samples are (image, label), or images alone without labels. A file that cannot be read, or is gone since it was
    listed, is the error of that one image, which names its path.

    Args:
        paths: str or `os.PathLike`; for class folders see `ImageFolder`.
        labels: one for each path, of any kind that `default_collate` takes; None: images alone.

    Raises:
        TypeError: `paths` is a single path.
        ValueError: as many labels as paths are needed.
    """

    def __init__(self, paths: Iterable[str | os.PathLike[str]], labels: Sequence[Any] | None = None) -> None:
        if isinstance(paths, (str, bytes, os.PathLike)):
            msg = (
                f"paths must be a list of paths, got the {type(paths).__name__} {os.fsdecode(paths)!r}; of a folder "
                "write Files(sorted(pathlib.Path(folder).rglob('*.jpg'))), or ImageFolder(folder) if it has class "
                "folders"
            )
            raise TypeError(msg)
        self.paths: Sequence[str] = Texts(paths)
        self.labels = labels_of("paths", self.paths, labels)

    def __repr__(self) -> str:
        return f"Files({len(self)} paths{'' if self.labels is None else ' with labels'})"

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Any:
        image = file_sample(self.paths[index])
        return image if self.labels is None else (image, self.labels[index])


def file_sample(path: str) -> Any:
    """An image as a path; in a worker process as its bytes, because without workers the decoding threads read."""
    if get_worker_info() is None:
        return path
    try:
        return {"bytes": read_bytes(path), "path": path}
    except OSError:
        return path  # the decoder fails on it too, and makes that the one image's error


def labels_of(what: str, items: Sequence[Any], labels: Sequence[Any] | None) -> Sequence[Any] | None:
    """The labels, one for each item.

    Raises:
        ValueError: there are more or fewer.
    """
    if labels is not None and len(labels) != len(items):
        raise ValueError(f"{len(items)} {what} and {len(labels)} labels; there must be one label for each")
    return labels
