"""One image's own geometry: what random transforms drew for it, as one crop, one resize, one window and mirroring.

oriented image -> flip -> crop -> resize -> window (crop or padding) -> mirror -> output
"""

from __future__ import annotations

from typing import Any, NamedTuple

from .. import _core
from ..typing import Interpolation

__all__ = ["Box", "CannotDraw", "Draw", "Erasure"]


class CannotDraw(ValueError):
    """Steps that one crop, one resize and one window cannot express, such as a second resize."""


class Box(NamedTuple):
    """A rectangle, in pixels, as torchvision's `crop` takes it."""

    top: int
    left: int
    height: int
    width: int

    def mirrored(self, size: tuple[int, int], flip: tuple[bool, bool]) -> Box:
        """The same pixels' place once what it lies in, (height, width), is flipped (vertically, horizontally)."""
        top = size[0] - self.top - self.height if flip[0] else self.top
        left = size[1] - self.left - self.width if flip[1] else self.left
        return Box(top, left, self.height, self.width)

    def within(self, size: tuple[int, int]) -> bool:
        """True if it lies inside of (height, width)."""
        return (
            self.top >= 0 and self.left >= 0 and self.top + self.height <= size[0] and self.left + self.width <= size[1]
        )


class Erasure(NamedTuple):
    """A rectangle of the output, in pixels, and the float32 tensor that is written there, of (C or 1, ...) shape."""

    top: int
    left: int
    height: int
    width: int
    value: Any

    def apply(self, image: Any) -> None:
        """Writes it into a (C, H, W) tensor of any dtype and device."""
        image[..., self.top : self.top + self.height, self.left : self.left + self.width] = self.value


Flips = tuple[bool, bool]  # vertically, horizontally


class Draw(NamedTuple):
    """What becomes of one image. Made by steps, from `Draw.of(height, width)` on; each gives a new one.

    Attributes:
        image: (height, width) of the image as displayed, for which it was drawn.
        flip: (vertically, horizontally), before everything else.
        part: what is resampled, in the flipped image, as if nothing were around it.
        resized: (height, width) to which; None: as it is.
        window: the output, in the resized image; it may reach past it, and has `fill` there.
        mirror: (vertically, horizontally), after everything else.
        interpolation: of the resize.
        fill: 8-bit RGB, of which color="L" takes the first.
        erasures: rectangles of the output that are overwritten once it is normalized.
    """

    image: tuple[int, int]
    part: Box
    window: Box
    flip: Flips = (False, False)
    resized: tuple[int, int] | None = None
    mirror: Flips = (False, False)
    interpolation: Interpolation = "bilinear"
    fill: tuple[int, int, int] = (0, 0, 0)
    erasures: tuple[Erasure, ...] = ()

    @classmethod
    def of(cls, height: int, width: int) -> Draw:
        """The whole image, as it is."""
        whole = Box(0, 0, height, width)
        return cls((height, width), whole, whole)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the output."""
        return self.window.height, self.window.width

    @property
    def _virtual(self) -> tuple[int, int]:
        """(height, width) of the resized part, of which the output is a window."""
        return self.resized or (self.part.height, self.part.width)

    @property
    def flipped(self) -> Flips:
        """(vertically, horizontally): whether the output shows the image mirrored."""
        return self.flip[0] != self.mirror[0], self.flip[1] != self.mirror[1]

    @property
    def crop(self) -> tuple[float, float, float, float]:
        """(top, left, height, width) of the displayed image that the output shows, in pixels, before any flip.

        Whole numbers, unless a crop followed a resize. It reaches past the image where the output is padded.
        """
        height, width = self._virtual
        part = self.part.mirrored(self.image, self.flip)
        # The window in the frame of the image as displayed: what was flipped first is flipped back.
        window = self.window.mirrored((height, width), self.flip)
        if (height, width) == (part.height, part.width):
            return part.top + window.top, part.left + window.left, window.height, window.width
        if window == (0, 0, height, width):
            return part
        y, x = part.height / height, part.width / width
        return part.top + window.top * y, part.left + window.left * x, window.height * y, window.width * x

    def cropped(self, top: int, left: int, height: int, width: int, fill: tuple[int, int, int] = (0, 0, 0)) -> Draw:
        """That rectangle of the output; what it has outside of the image is `fill`.

        Raises:
            CannotDraw: it reaches past an earlier crop, or has nothing of the image.
        """
        box = Box(top, left, height, width)
        if self.resized is None and self.window == (0, 0, *self._virtual) and box.within(self.size):
            # Nothing but flips and crops so far: those flips come first.
            part = Box(self.part.top + box.top, self.part.left + box.left, box.height, box.width)
            return self._replace(part=part, window=Box(0, 0, box.height, box.width))
        box = box.mirrored(self.size, self.mirror)
        self._check_reach(box, fill)
        window = Box(self.window.top + box.top, self.window.left + box.left, box.height, box.width)
        virtual = self._virtual
        if min(window.top + window.height, virtual[0]) <= max(window.top, 0):
            raise CannotDraw("nothing of the image is left")
        if min(window.left + window.width, virtual[1]) <= max(window.left, 0):
            raise CannotDraw("nothing of the image is left")
        # Padding that is there already keeps its colour.
        return self._replace(resized=virtual, window=window, fill=self.fill if box.within(self.size) else fill)

    def _check_reach(self, box: Box, fill: tuple[int, int, int]) -> None:
        """Refuses to show what an earlier crop has cut off, and two colours of padding."""
        virtual = self._virtual
        low = (self.window.top, self.window.left)
        high = (self.window.top + self.window.height - virtual[0], self.window.left + self.window.width - virtual[1])
        past_low = (box.top < 0, box.left < 0)
        past_high = (box.top + box.height > self.window.height, box.left + box.width > self.window.width)
        cut = any((past_low[i] and low[i] > 0) or (past_high[i] and high[i] < 0) for i in (0, 1))
        if cut:
            raise CannotDraw("padding after a crop")
        if not self.window.within(virtual) and (any(past_low) or any(past_high)) and fill != self.fill:
            raise CannotDraw("padding with two colours")

    def resized_to(self, height: int, width: int, interpolation: Interpolation) -> Draw:
        """The output at another size.

        Raises:
            CannotDraw: it is resized or padded already.
        """
        if (height, width) == self.size:
            return self
        if self.resized is not None:
            raise CannotDraw("a second resize" if self.resized != self.part[2:] else "a resize after padding")
        window = Box(0, 0, height, width)
        return self._replace(resized=(height, width), window=window, interpolation=interpolation)

    def flipped_by(self, vertically: bool, horizontally: bool) -> Draw:
        """The output mirrored."""
        flip = (vertically, horizontally)
        if self.resized is not None:
            mirror = (self.mirror[0] != vertically, self.mirror[1] != horizontally)
            return self._replace(mirror=mirror)
        part = self.part.mirrored(self.image, flip)
        return self._replace(part=part, flip=(self.flip[0] != vertically, self.flip[1] != horizontally))

    def compiled(self) -> _core.Draw:
        """The core's form of it."""
        return _core.Draw(
            flip=self.flip,
            crop=self.part,
            resized=self._virtual,
            window=self.window,
            mirror=self.mirror,
            interpolation=self.interpolation,
            fill=self.fill,
        )
