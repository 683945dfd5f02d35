"""The images that are sent: their size classes, and damaged ones made from good ones."""

from __future__ import annotations

import dataclasses

__all__ = ["SIZE_CLASSES", "LoadImage", "damaged", "size_class"]

# Upper bounds in bytes. The study that this answers (arXiv 2403.12981) has images of 4 kB, 121 kB and 9.5 MB.
SIZE_CLASSES = {"small": 32_000, "medium": 1_000_000, "large": 1 << 62}
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclasses.dataclass(frozen=True, slots=True)
class LoadImage:
    """An encoded image.

    Attributes:
        name: with `/` between folders and file, as in "large/cat.jpg".
    """

    name: str
    data: bytes

    @property
    def folders(self) -> list[str]:
        """The folders of its name, from the outermost in."""
        return [folder for folder in self.name.split("/")[:-1] if folder]


def size_class(size: int) -> str:
    """`small` (below 32 kB), `medium` (below 1 MB) or `large`."""
    return next(name for name, bound in SIZE_CLASSES.items() if size < bound)


def damaged(data: bytes, turn: int) -> bytes:
    """The image so damaged that no decoder may take it: by turns cut off in the middle, or with a PNG's first bytes.

    The first is a broken upload (to fastpre a CorruptImage), the second another format (an UnsupportedImage) and
    damaged for every decoder of that, too.
    """
    if turn % 2:
        return PNG_SIGNATURE + data[len(PNG_SIGNATURE) :]
    return data[: len(data) // 2]
