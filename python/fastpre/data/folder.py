"""A folder of photographs by class, as compressed bytes."""

from __future__ import annotations

import collections
import os
import warnings
from collections.abc import Callable
from typing import Any

from ..transforms import DecodeResizeNormalize, FusedTransform, fuse, read_bytes
from ..transforms.files import read_image

try:
    from torchvision.datasets import DatasetFolder  # type: ignore[import-untyped]
    from torchvision.datasets.folder import IMG_EXTENSIONS  # type: ignore[import-untyped]
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
    """torchvision's `ImageFolder`, with JPEGs that fastpre decodes.

    With a `transform`, in place of torchvision's: the same files, the same draws and the same tensors to the last bit,
    decoded and transformed in one pass. Without one, items are (compressed bytes, label), and nothing is decoded: for
    `Loader` and `collate`.

    Args:
        root: a folder with one folder per class; the class's number is its place in their sorted names.
        transform: of torchvision or timm, or what `fastpre.transforms.fuse` made of one: items are (its result, label).
            Files that are no JPEGs are decoded by Pillow.
        extensions: what a file's name ends with, in any case; other files are left out. None: with a `transform`,
            torchvision's; without, .jpg and .jpeg, with a warning that counts other images.
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
        transform: Any = None,
        *,
        extensions: tuple[str, ...] | str | None = None,
        target_transform: Callable[[int], Any] | None = None,
    ) -> None:
        usual = JPEGS if transform is None else IMG_EXTENSIONS
        wanted = usual if extensions is None else (extensions,) if isinstance(extensions, str) else extensions
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
                os.fspath(root),
                loader=read_bytes if transform is None else read_image,
                is_valid_file=is_wanted,
                transform=None if transform is None else _fused(transform),
                target_transform=target_transform,
            )
        except FileNotFoundError as error:
            if not ignored:
                raise
            raise FileNotFoundError(f"{str(error).strip()} {_left_out(wanted, ignored)}") from None
        self.extensions = wanted
        self.imgs = self.samples
        if ignored and extensions is None and transform is None:
            message = f"{_left_out(wanted, ignored)}. Without this warning: ImageFolder(root, extensions={wanted})"
            warnings.warn(message, IgnoredImagesWarning, stacklevel=2)

    def __repr__(self) -> str:
        counts = f"{len(self)} images in {len(self.classes)} classes"
        how = "" if self.transform is None else f", {self.transform!r}"
        return f"ImageFolder({os.fspath(self.root)!r}, {counts}{how})"


def _fused(transform: Any) -> Any:
    fused = isinstance(transform, (DecodeResizeNormalize, FusedTransform))
    return transform if fused else fuse(transform)


def _left_out(wanted: tuple[str, ...], ignored: collections.Counter[str]) -> str:
    found = ", ".join(f"{count} {ending}" for ending, count in sorted(ignored.items()))
    return f"fastpre decodes JPEGs and takes {', '.join(wanted)} files; it leaves out {ignored.total()} images: {found}"
