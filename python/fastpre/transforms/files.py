"""What a dataset's `loader` gives to a transform that decodes: a file's bytes."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..errors import LimitExceeded

if TYPE_CHECKING:
    import PIL.Image

__all__ = ["FileBytes", "read_bytes", "read_image"]

SOI: Final = b"\xff\xd8"  # how every JPEG begins


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


def read_image(path: str | os.PathLike[str]) -> bytes | PIL.Image.Image:
    """A JPEG's bytes, as `read_bytes`; a file of any other format as Pillow's image in RGB."""
    data = read_bytes(path)
    if data.startswith(SOI):
        return data
    import PIL.Image

    try:
        with PIL.Image.open(io.BytesIO(data)) as image:
            rgb: PIL.Image.Image = image.convert("RGB")
            return rgb
    except PIL.UnidentifiedImageError:
        return data  # the transform says what is wrong with it
    except PIL.Image.DecompressionBombError as error:
        raise LimitExceeded(str(error), None, os.fsdecode(path)) from None
