"""The random steps of geometry, with torchvision's arguments, defaults and draws."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from .._backend import fields
from ..typing import Interpolation
from .draw import CannotDraw, Draw
from .random import Random, in_float32, log_ratio, sides

__all__ = [
    "Augmentation",
    "Pad",
    "RandomCrop",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "RandomVerticalFlip",
    "Step",
]

# What a step takes the place of: the Spec's crop, or its resize and crop.
Replaces = Literal["resize", "crop"]
Fill = tuple[int, int, int]


class Augmentation:
    """What an augmentation is made of.

    Attributes:
        replaces: what of the Spec's geometry it takes the place of.
    """

    replaces: ClassVar[Replaces | None] = None


class Step(Augmentation):
    """One step of geometry."""

    def draw(self, before: Draw, random: Random) -> Draw:
        """What the step makes of an image."""
        raise NotImplementedError


def pair(name: str, value: object) -> tuple[int, int]:
    """(height, width); an int is a square."""
    size = fields.size(name, value)
    if size is None:
        raise TypeError(f"{name} must be an int or (height, width), got None")
    return (size, size) if isinstance(size, int) else size


def interval(name: str, value: Any, low: float | None = None) -> tuple[float, float]:
    """(smallest, largest)."""
    try:
        first, last = (float(v) for v in value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be two numbers, got {value!r}") from None
    if not first <= last or (low is not None and first < low):
        raise ValueError(f"{name} must be (smallest, largest), got {value!r}")
    return first, last


def probability(value: Any) -> float:
    """A number of [0, 1]."""
    number = float(value)
    if not 0.0 <= number <= 1.0:
        raise ValueError(f"p must be in [0, 1], got {value!r}")
    return number


def color(value: Any) -> Fill:
    """8-bit RGB; one number stands for all three."""
    values = tuple(value) if isinstance(value, Sequence) else (value,) * 3
    if len(values) == 1:
        values *= 3
    if len(values) != 3 or any(isinstance(v, bool) or int(v) != v or not 0 <= v <= 255 for v in values):
        raise ValueError(f"fill must be a number or (R, G, B), whole and in 0..255, got {value!r}")
    return int(values[0]), int(values[1]), int(values[2])


def borders(value: Any) -> tuple[int, int, int, int]:
    """(left, top, right, bottom), as torchvision takes padding: one number, (left/right, top/bottom), or four."""
    values = tuple(value) if isinstance(value, Sequence) else (value,)
    if len(values) in (1, 2, 4) and all(isinstance(v, int) and not isinstance(v, bool) and v >= 0 for v in values):
        left, top, right, bottom = values * (4 // len(values))
        return left, top, right, bottom
    raise ValueError(f"padding must be one, two or four numbers of pixels, got {value!r}")


def padded(before: Draw, left: int, top: int, right: int, bottom: int, fill: Fill) -> Draw:
    """The image with borders."""
    height, width = before.size
    if not (left or top or right or bottom):
        return before
    return before.cropped(-top, -left, height + top + bottom, width + left + right, fill)


@dataclasses.dataclass(frozen=True)
class RandomResizedCrop(Step):
    """A rectangle of random area and aspect ratio, resized; as torchvision's, v1 and v2.

    Args:
        size: int: a square; or (height, width).
        scale: bounds of the rectangle's area, as a part of the image's.
        ratio: bounds of its aspect ratio, width by height, drawn uniformly in the logarithm.
        interpolation: None: the Spec's.
    """

    size: int | tuple[int, int]
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    interpolation: Interpolation | None = None
    replaces: ClassVar[Replaces | None] = "resize"

    def __post_init__(self) -> None:
        pair("size", self.size)
        object.__setattr__(self, "scale", interval("scale", self.scale, 0.0))
        object.__setattr__(self, "ratio", interval("ratio", self.ratio, 2.0**-32))
        if self.interpolation is not None:
            object.__setattr__(self, "interpolation", fields.interpolation(self.interpolation))

    @functools.cached_property
    def _log_ratio(self) -> tuple[float, float]:
        return log_ratio(self.ratio)

    def draw(self, before: Draw, random: Random) -> Draw:
        """Up to ten rectangles, the first that fits; then the largest in the middle of a ratio within bounds."""
        top, left, height, width = self._rectangle(*before.size, random)
        part = before.cropped(top, left, height, width)
        return part.resized_to(*pair("size", self.size), self.interpolation or before.interpolation)

    def _rectangle(self, height: int, width: int, random: Random) -> tuple[int, int, int, int]:
        for _ in range(10):
            w, h = sides(height * width * random.uniform(*self.scale), random.exp_uniform(*self._log_ratio))
            if 0 < w <= width and 0 < h <= height:
                top = random.below(height - h + 1)
                return top, random.below(width - w + 1), h, w
        aspect = width / height
        w, h = width, height
        if aspect < min(self.ratio):
            h = round(width / min(self.ratio))
        elif aspect > max(self.ratio):
            w = round(height * max(self.ratio))
        return (height - h) // 2, (width - w) // 2, h, w


@dataclasses.dataclass(frozen=True)
class RandomCrop(Step):
    """A rectangle of a given size at a random place; as torchvision's v2, with constant padding.

    Args:
        size: int: a square; or (height, width).
        padding: added first: one number of pixels, (left and right, top and bottom), or (left, top, right, bottom).
        pad_if_needed: what is smaller than `size` is padded on both sides by as much as is missing.
        fill: of the padding: 8-bit, a number or (R, G, B).

    `draw` raises ValueError for an image smaller than `size`.
    """

    size: int | tuple[int, int]
    padding: int | Sequence[int] | None = None
    pad_if_needed: bool = False
    fill: int | Sequence[int] = 0
    replaces: ClassVar[Replaces | None] = "crop"

    def __post_init__(self) -> None:
        pair("size", self.size)
        color(self.fill)
        if self.padding is not None:
            object.__setattr__(self, "padding", borders(self.padding))
        if isinstance(self.fill, Sequence):
            object.__setattr__(self, "fill", tuple(self.fill))

    def draw(self, before: Draw, random: Random) -> Draw:
        """The place is drawn along an axis only where there is a choice, the vertical one first."""
        left, top, right, bottom = (0, 0, 0, 0) if self.padding is None else borders(self.padding)
        crop = pair("size", self.size)
        height, width = before.size
        missing = [
            max(crop[0] - height - top - bottom, 0) if self.pad_if_needed else 0,
            max(crop[1] - width - left - right, 0) if self.pad_if_needed else 0,
        ]
        top, bottom = top + missing[0], bottom + missing[0]
        left, right = left + missing[1], right + missing[1]
        room = (height + top + bottom - crop[0], width + left + right - crop[1])
        if min(room) < 0:
            msg = f"RandomCrop of {crop[0]}x{crop[1]} is larger than the image, {height}x{width}: pad_if_needed=True"
            raise CannotDraw(msg)
        y = random.below(room[0] + 1) if room[0] else 0
        x = random.below(room[1] + 1) if room[1] else 0
        return before.cropped(y - top, x - left, *crop, color(self.fill))


@dataclasses.dataclass(frozen=True)
class Pad(Step):
    """Borders of one colour; as torchvision's `Pad`.

    Args:
        padding: one number of pixels, (left and right, top and bottom), or (left, top, right, bottom).
        fill: 8-bit, a number or (R, G, B).
    """

    padding: int | Sequence[int]
    fill: int | Sequence[int] = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "padding", borders(self.padding))
        color(self.fill)
        if isinstance(self.fill, Sequence):
            object.__setattr__(self, "fill", tuple(self.fill))

    def draw(self, before: Draw, random: Random) -> Draw:
        """Draws nothing."""
        return padded(before, *borders(self.padding), color(self.fill))


@dataclasses.dataclass(frozen=True)
class RandomHorizontalFlip(Step):
    """Mirrored left to right with probability `p`; as torchvision's, v1 and v2."""

    p: float = 0.5

    def __post_init__(self) -> None:
        object.__setattr__(self, "p", probability(self.p))

    def draw(self, before: Draw, random: Random) -> Draw:
        """One number, whatever `p` is."""
        return before.flipped_by(False, True) if random.happens(in_float32(self.p)) else before


@dataclasses.dataclass(frozen=True)
class RandomVerticalFlip(Step):
    """Mirrored top to bottom with probability `p`; as torchvision's, v1 and v2."""

    p: float = 0.5

    def __post_init__(self) -> None:
        object.__setattr__(self, "p", probability(self.p))

    def draw(self, before: Draw, random: Random) -> Draw:
        """One number, whatever `p` is."""
        return before.flipped_by(True, False) if random.happens(in_float32(self.p)) else before
