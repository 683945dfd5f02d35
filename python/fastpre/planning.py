"""What will be done to an image, without doing it."""

from __future__ import annotations

import dataclasses
from typing import Any

from . import _core
from ._backend.sources import source
from .augment import Draw
from .spec import Spec
from .typing import Image

__all__ = ["Plan", "plan"]


@dataclasses.dataclass(frozen=True)
class Plan:
    """Every decision about one image, made from its header and the spec alone.

    Attributes:
        header: width, height, components, sampling, sof, progressive, restart_interval, scans,
            orientation (EXIF 1..8), bytes, ...: as the stream says.
        size: (height, width) as displayed.
        part: (top, left, height, width) of the displayed image that is resized; all of it without a draw.
        resized: (height, width) after resizing, before the crop.
        output: (height, width) of the result.
        window: (top, left, height, width) of the resized image that the crop keeps.
        padding: (top, left) zero pixels where the crop is larger than the image.
        rectangle: (top, left, height, width) of the stored pixels that the output depends on.
        taps: (vertical, horizontal) largest number of source pixels per output pixel.
        decode_scale: (numerator, denominator) of the decoder's own reduction; (8, 8) is full size.
        decoder: which decoder will run, as far as the headers tell: "fastpre" or "libjpeg-turbo". Damage in
            the coded data, which a plan does not read, also leads to libjpeg-turbo.
        declined: why it will not be fastpre's own; empty if it will.
        transpose, flip: how EXIF orientation maps stored to displayed pixels; flip is (y, x), stored.
        vertical_first: True if the stored columns are resampled before the rows (Pillow's order matters
            to the last bit).
        cost: predicted cost in arbitrary units; batches start with the costliest image.
    """

    header: dict[str, Any]
    size: tuple[int, int]
    part: tuple[int, int, int, int]
    resized: tuple[int, int]
    output: tuple[int, int]
    window: tuple[int, int, int, int]
    padding: tuple[int, int]
    rectangle: tuple[int, int, int, int]
    taps: tuple[int, int]
    decode_scale: tuple[int, int]
    decoder: str
    declined: str
    transpose: bool
    flip: tuple[bool, bool]
    vertical_first: bool
    cost: float


def plan(image: Image, spec: Spec | None = None, *, draw: Draw | None = None) -> Plan:
    """Reads one image's header and says what `Preprocessor` will do with it.

    Args:
        image: bytes-like, 1-D uint8 array or tensor, or a path.
        spec: default `Spec()`.
        draw: its own geometry instead of the Spec's, such as `ImageResult.draws` holds.

    Raises:
        ImageError: the header is broken, unsupported or over a limit.
    """
    spec = Spec() if spec is None else spec
    d = _core.plan(source(image, 0), spec.compiled(), draw=None if draw is None else draw.compiled())
    return Plan(
        header=d["header"],
        size=d["oriented"],
        part=d["part"],
        resized=d["resized"],
        output=d["output"],
        window=d["window"],
        padding=d["padding"],
        rectangle=d["source"],
        taps=d["taps"],
        decode_scale=d["decode_scale"],
        decoder=d["decoder"],
        declined=d["declined"],
        transpose=d["transpose"],
        flip=d["flip"],
        vertical_first=d["vertical_first"],
        cost=d["cost"],
    )
