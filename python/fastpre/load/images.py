"""The images that are sent: their size classes, and damaged ones made from good ones."""

from __future__ import annotations

import dataclasses

__all__ = ["SIZE_CLASSES", "LoadImage", "damaged", "size_class"]

# Upper bounds in bytes. The study that this answers (arXiv 2403.12981) has images of 4 kB, 121 kB and 9.5 MB.
SIZE_CLASSES = {"small": 32_000, "medium": 1_000_000, "large": 1 << 62}


@dataclasses.dataclass(frozen=True, slots=True)
class LoadImage:
    """An encoded image.

    Attributes:
        name: with `/` between folders and file, as in "large/cat.jpg".
    """

    name: str
    data: bytes

    @property
    def folder(self) -> str:
        """The first folder of its name; empty if it has none."""
        return self.name.partition("/")[0] if "/" in self.name else ""


def size_class(size: int) -> str:
    """`small` (below 32 kB), `medium` (below 1 MB) or `large`."""
    return next(name for name, bound in SIZE_CLASSES.items() if size < bound)


def damaged(data: bytes, turn: int) -> bytes:
    """The image so damaged that no decoder may take it: by turns cut off in the middle, or without its beginning.

    The first is a broken upload (to fastpre a CorruptImage), the second is no image at all (an UnsupportedImage).
    """
    if turn % 2:
        return bytes(16) + data[16:]
    return data[: len(data) // 2]
