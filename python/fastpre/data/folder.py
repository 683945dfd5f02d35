"""A folder of photographs by class, as compressed bytes."""

from __future__ import annotations

import collections
import os
import warnings
from collections.abc import Callable
from typing import Any

from ..transforms import read_bytes

try:
    from torchvision.datasets import DatasetFolder  # type: ignore[import-untyped]
except ImportError as e:
    msg = "fastpre.data.ImageFolder walks folders as torchvision does: pip install torchvision"
    raise ImportError(msg) from e

__all__ = ["IgnoredImagesWarning", "ImageFolder"]

JPEGS = (".jpg", ".jpeg")
# What else photographs are kept as: torchvision's IMG_EXTENSIONS, other names of JPEGs, and newer formats.
OTHERS = frozenset(
    {
        *(".bmp", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"),
        *(".jfif", ".jif", ".jpe"),
        *(".avif", ".gif", ".heic", ".heif", ".jp2", ".jxl", ".pnm", ".tga"),
    }
)


class IgnoredImagesWarning(UserWarning):
    """A folder holds images that are no JPEGs by name, and the dataset leaves them out."""


class ImageFolder(DatasetFolder):  # type: ignore[misc]
    """torchvision's `ImageFolder` whose items are (compressed bytes, label): nothing is decoded.

    Args:
        root: a folder with one folder per class; the class's number is its place in their sorted names.
        extensions: what a file's name ends with, in any case; other files are left out. None: .jpg and .jpeg, with a
            warning that counts other images.
        target_transform: called with the label.

    Attributes:
        classes, class_to_idx, samples, imgs, targets: as torchvision's, for the files that count.

    Raises:
        FileNotFoundError: no class folder, or one without any such file.

    Warns:
        IgnoredImagesWarning: there are PNGs, WebPs or the like, and `extensions` does not say what is wanted.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        extensions: tuple[str, ...] | str | None = None,
        target_transform: Callable[[int], Any] | None = None,
    ) -> None:
        wanted = JPEGS if extensions is None else (extensions,) if isinstance(extensions, str) else extensions
        wanted = tuple(extension.lower() for extension in wanted)
        ignored: collections.Counter[str] = collections.Counter()

        def is_wanted(path: str) -> bool:
            name = path.lower()
            if name.endswith(wanted):
                return True
            ending = os.path.splitext(name)[1]
            if ending in OTHERS:
                ignored[ending] += 1
            return False

        try:
            super().__init__(
                os.fspath(root), loader=read_bytes, is_valid_file=is_wanted, target_transform=target_transform
            )
        except FileNotFoundError as error:
            if not ignored:
                raise
            raise FileNotFoundError(f"{str(error).strip()} {_left_out(wanted, ignored)}") from None
        self.extensions = wanted
        self.imgs = self.samples
        if ignored and extensions is None:
            message = f"{_left_out(wanted, ignored)}. Without this warning: ImageFolder(root, extensions={wanted})"
            warnings.warn(message, IgnoredImagesWarning, stacklevel=2)

    def __repr__(self) -> str:
        return f"ImageFolder({os.fspath(self.root)!r}, {len(self)} images in {len(self.classes)} classes)"


def _left_out(wanted: tuple[str, ...], ignored: collections.Counter[str]) -> str:
    found = ", ".join(f"{count} {ending}" for ending, count in sorted(ignored.items()))
    return f"fastpre decodes JPEGs and takes {', '.join(wanted)} files; it leaves out {ignored.total()} images: {found}"
