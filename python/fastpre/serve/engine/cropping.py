"""Rectangles of images into slots: each is decoded where it is needed, and written where the model reads it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...augment import Box
from ...augment.batch import Start
from ...errors import LimitExceeded
from ...preprocessor import Preprocessor

__all__ = ["Crop", "Cropper", "Picture", "crops_of"]

Array = np.ndarray[Any, Any]

# Crops of one JPEG are decoded one by one, each as far as its own rows, until that would read this many times the rows
# that are read if the rectangle around all of them is decoded once. Entropy decoding, which every crop repeats from the
# first row on, is most of the work. Core time one by one, divided by that with one decoding, of crops with a quarter of
# the image's width and height at random places (benchmarks/crops.py; medians, AMD EPYC, one thread):
#
#     image        2 crops   3 crops   4 crops   8 crops
#     500x375        1.06      1.23      1.19      1.21
#     1600x1200      1.12      1.43      1.63      2.32
#     4000x3000      1.23      1.53      1.65      2.46
#     rows read      1.6       2.3       2.9       5.1      times those of one decoding
#
# Two or three crops gain less than they lose, which is that several threads decode at the same time.
ROWS_MANY = 2.5
# Of the rectangle around all crops: 96 MB while they are made.
MOST_PIXELS = 1 << 25


class Picture:
    """An image that crops are taken from.

    Attributes:
        image: compressed bytes, or uint8 (H, W, 3 or 1).
        size: (height, width) in pixels, as displayed.
        whole: the rectangle that is decoded once, for all crops; None: each crop is decoded by itself.
        crops: how many there are. The pixels are let go of once each has asked for them.
    """

    __slots__ = ("_lock", "_pixels", "crops", "image", "size", "whole")

    def __init__(self, image: Any, size: tuple[int, int], whole: Box | None, crops: int = 1) -> None:
        self.image = image
        self.size = size
        self.whole = whole
        self.crops = crops
        self._lock = threading.Lock()
        self._pixels: Array | Exception | None = None

    def pixels(self, decode: Callable[[Any, tuple[int, int], Box], Array]) -> Array:
        """The pixels of `whole`, decoded by the first who asks.

        The others wait, which costs nothing: to decode it themselves would take as long.
        """
        assert self.whole is not None
        with self._lock:
            if self._pixels is None:
                try:
                    self._pixels = decode(self.image, self.size, self.whole)
                except Exception as error:  # the others need not try
                    self._pixels = error
            pixels = self._pixels
            self.crops -= 1
            if self.crops == 0:
                self._pixels = None
        if isinstance(pixels, Exception):
            raise pixels
        return pixels


class Crop(NamedTuple):
    """A rectangle of an image, for an engine.

    Attributes:
        box: in pixels of the image as displayed; where it reaches past the border, it is black.
        cost: as `Item.cost`.
    """

    picture: Picture
    box: Box
    cost: float = 0.0


def crops_of(image: Any, size: tuple[int, int], boxes: Sequence[Box], cost: float = 0.0) -> list[Crop]:
    """Crops of one image, and how they will be decoded.

    Args:
        image: compressed bytes, or uint8 (H, W, 3 or 1).
        size: (height, width) in pixels, as displayed.
        cost: of the whole image, as `Item.cost`.
    """
    inside = [within(box, size) for box in boxes]
    ends = [box.top + box.height for box in inside if box is not None]
    around = _around([box for box in inside if box is not None])
    once = (
        not isinstance(image, np.ndarray)
        and around is not None
        and sum(ends) > ROWS_MANY * max(ends)
        and around.height * around.width <= MOST_PIXELS
    )
    picture = Picture(image, size, around if once else None, sum(box is not None for box in inside))
    if isinstance(image, np.ndarray) or not ends:
        return [Crop(picture, box) for box in boxes]
    # What is read of the stream, in rows; decoded once, each crop has its share of it.
    rows = [max(ends) / len(boxes)] * len(boxes) if once else [0 if b is None else b.top + b.height for b in inside]
    return [Crop(picture, box, cost * row / size[0]) for box, row in zip(boxes, rows, strict=True)]


def within(box: Box, size: tuple[int, int]) -> Box | None:
    """The part of a box that lies in (height, width), or None."""
    top, left = max(box.top, 0), max(box.left, 0)
    bottom, right = min(box.top + box.height, size[0]), min(box.left + box.width, size[1])
    return Box(top, left, bottom - top, right - left) if bottom > top and right > left else None


def _around(boxes: Sequence[Box]) -> Box | None:
    if not boxes:
        return None
    top, left = min(box.top for box in boxes), min(box.left for box in boxes)
    bottom = max(box.top + box.height for box in boxes)
    return Box(top, left, bottom - top, max(box.left + box.width for box in boxes) - left)


class Cropper:
    """Makes of a rectangle of an image what a preprocessor makes of an image.

    The result equals, to the last bit, what the preprocessor gives for the decoded image's `PIL.Image.crop`, with the
    specs whose fidelity is "exact".

    Args:
        preprocessor: of the model.
    """

    def __init__(self, preprocessor: Preprocessor) -> None:
        spec = preprocessor.spec
        self._preprocessor = preprocessor
        self._start = Start(spec.compiled(), spec.interpolation)
        self._most = spec.max_pixels
        pixels = spec.replace(
            resize=None, crop=None, max_size=None, mean=None, std=None, color="RGB", dtype="uint8",
            memory_format="channels_last", fidelity="exact",
        )  # fmt: skip
        self._decoder = Preprocessor(pixels, num_threads=1)
        self._as_is = Start(None, spec.interpolation)

    def write(self, crop: Crop, slot: Any) -> Any:
        """Writes a crop into a slot of (1, C, H, W).

        Returns:
            What the library says of its decoding (`fastpre.ImageResult`), or None.

        Raises:
            ImageError: the image is damaged where the crop is, or the crop is larger than an image may be.
        """
        picture, box = crop.picture, crop.box
        if box.height * box.width > self._most:
            raise LimitExceeded(f"a crop of {box.height}x{box.width} pixels is over max_pixels={self._most}")
        inside = within(box, picture.size)
        if inside != box:
            self._preprocessor.run_pixels(self._padded(picture, box, inside), out=slot[0])
            return None
        if isinstance(picture.image, np.ndarray):
            self._run(picture.image, box, slot)
            return None
        if picture.whole is not None:
            self._run(picture.pixels(self._decode), moved(box, picture.whole), slot)
            return None
        draw = self._start.draw(*picture.size, box)
        return self._preprocessor.run_drawn([picture.image], [draw], out=slot).images[0]

    def _run(self, pixels: Array, box: Box, slot: Any) -> None:
        height, width, _ = pixels.shape
        self._preprocessor.run_pixels(pixels, draw=self._start.draw(height, width, box), out=slot[0])

    def _decode(self, image: Any, size: tuple[int, int], box: Box) -> Array:
        """uint8 (H, W, 3)."""
        result = self._decoder.run_drawn([image], [self._as_is.draw(*size, box)])
        array: Array = result.tensor[0].permute(1, 2, 0).numpy()
        return array

    def _padded(self, picture: Picture, box: Box, inside: Box | None) -> Array:
        """The pixels of a box that reaches past the border: padding takes part in resizing, so it has to be there."""
        channels = picture.image.shape[2] if isinstance(picture.image, np.ndarray) else 3
        canvas = np.zeros((box.height, box.width, channels), np.uint8)
        if inside is not None:
            target = moved(inside, box)
            canvas[target.top :, target.left :][: inside.height, : inside.width] = self._part(picture, inside)
        return canvas

    def _part(self, picture: Picture, box: Box) -> Array:
        if picture.whole is not None:
            return cut(picture.pixels(self._decode), moved(box, picture.whole))
        if isinstance(picture.image, np.ndarray):
            return cut(picture.image, box)
        return self._decode(picture.image, picture.size, box)


def moved(box: Box, origin: Box) -> Box:
    """A box as seen from the corner of another one."""
    return Box(box.top - origin.top, box.left - origin.left, box.height, box.width)


def cut(pixels: Array, box: Box) -> Array:
    """A view of a box."""
    return pixels[box.top : box.top + box.height, box.left : box.left + box.width]
