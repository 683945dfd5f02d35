"""A folder of photographs by class, as compressed bytes."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from ..transforms import read_bytes

try:
    from torchvision.datasets import DatasetFolder  # type: ignore[import-untyped]
except ImportError as e:
    msg = "fastpre.data.ImageFolder walks folders as torchvision does: pip install torchvision"
    raise ImportError(msg) from e

__all__ = ["ImageFolder"]


class ImageFolder(DatasetFolder):  # type: ignore[misc]
    """torchvision's `ImageFolder` whose items are (compressed bytes, label): nothing is decoded.

    Args:
        root: a folder with one folder per class; the class's number is its place in their sorted names.
        extensions: what a file's name ends with, in any case; other files are ignored, PNGs and the like included.
        target_transform: called with the label.

    Attributes:
        classes, class_to_idx, samples, imgs, targets: as torchvision's, for the files that count.

    Raises:
        FileNotFoundError: no class folder, or one without any such file.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        extensions: tuple[str, ...] | str = (".jpg", ".jpeg"),
        target_transform: Callable[[int], Any] | None = None,
    ) -> None:
        wanted = (extensions,) if isinstance(extensions, str) else extensions
        super().__init__(
            os.fspath(root),
            loader=read_bytes,
            extensions=tuple(extension.lower() for extension in wanted),
            target_transform=target_transform,
        )
        self.imgs = self.samples
