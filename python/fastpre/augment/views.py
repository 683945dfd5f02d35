"""Several crops of one image: for testing, not for training."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from .draw import CannotDraw, Draw
from .steps import Augmentation, Replaces, pair

__all__ = ["FiveCrop", "TenCrop", "Views"]


@dataclasses.dataclass(frozen=True)
class FiveCrop(Augmentation):
    """The four corners and the middle; as torchvision's. One image gives five outputs, (5, C, H, W).

    Args:
        size: int: a square; or (height, width).
    """

    size: int | tuple[int, int]
    replaces: ClassVar[Replaces | None] = "crop"
    count: ClassVar[int] = 5

    def __post_init__(self) -> None:
        pair("size", self.size)

    def views(self, before: Draw) -> list[Draw]:
        """Top left, top right, bottom left, bottom right, middle."""
        h, w = pair("size", self.size)
        down, right = before.size[0] - h, before.size[1] - w
        if down < 0 or right < 0:
            msg = f"FiveCrop of {h}x{w} is larger than the image, {before.size[0]}x{before.size[1]}"
            raise CannotDraw(msg)
        places = [(0, 0), (0, right), (down, 0), (down, right), (round(down / 2), round(right / 2))]
        return [before.cropped(top, left, h, w) for top, left in places]


@dataclasses.dataclass(frozen=True)
class TenCrop(Augmentation):
    """The five of `FiveCrop`, and those of the mirrored image; as torchvision's. (10, C, H, W).

    Args:
        size: int: a square; or (height, width).
        vertical_flip: mirrored top to bottom instead of left to right.
    """

    size: int | tuple[int, int]
    vertical_flip: bool = False
    replaces: ClassVar[Replaces | None] = "crop"
    count: ClassVar[int] = 10

    def __post_init__(self) -> None:
        pair("size", self.size)

    def views(self, before: Draw) -> list[Draw]:
        """Five as they are, then five of the mirrored image."""
        five = FiveCrop(self.size)
        return five.views(before) + five.views(before.flipped_by(self.vertical_flip, not self.vertical_flip))


Views = FiveCrop | TenCrop
