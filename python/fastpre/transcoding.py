"""A JPEG's coefficients in another JPEG: smaller or simpler to decode, and the same pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, get_args

from . import _core
from ._backend import fields
from ._backend.arguments import integer, one_of
from ._backend.sources import source
from .spec import DEFAULT_MAX_BYTES, DEFAULT_MAX_PIXELS, DEFAULT_MAX_WORK
from .typing import Image, Metadata

__all__ = ["METADATA", "transcode"]

METADATA: Final[tuple[Metadata, ...]] = get_args(Metadata)


def transcode(
    image: Image,
    *,
    crop: int | Sequence[int] | None = None,
    optimize: bool = True,
    restart_rows: int = 0,
    metadata: Metadata = "icc",
    max_pixels: int = DEFAULT_MAX_PIXELS,
    max_bytes: int = DEFAULT_MAX_BYTES,
    max_work: int = DEFAULT_MAX_WORK,
) -> bytes:
    """The image as a sequential Huffman JPEG of one scan, without loss: coefficients are copied, not quantized again.

    Progressive and arithmetic-coded streams become ones that every decoder takes, and that fastpre decodes itself.
    Every decoder gives the same pixels for the result as for the original; of a crop, all but the outermost ones, whose
    subsampled chroma has lost its neighbours. Ctrl-C and other signals are handled during the call.

    Args:
        image: bytes-like, 1-D uint8 array or tensor, open file, or a path.
        crop: int: a square; (height, width): that, in stored pixels (before EXIF orientation). It begins at the MCU
            (8 or 16 pixels wide and high, mostly) that is nearest to the centred one, and has exactly that size; where
            the image is smaller it stays whole.
        optimize: Huffman tables made for this image (about 5% smaller than with the tables of ITU-T T.81, annex K).
        restart_rows: rows of MCUs between restart markers; 0: no markers, whatever the image has.
        metadata: what is kept of it: "none", "icc" (the colour profile) or "all" (EXIF, XMP, comments as well; not the
            index of an MPO's further pictures, which are not kept). The orientation is kept in any case.
        max_pixels, max_bytes, max_work: as in `Spec`; `max_bytes` bounds the result too.

    Raises:
        CorruptImage: the stream is damaged, even if decoders put up with it, or ends before its EOI marker.
        UnsupportedImage: the pixels would not stay what they are: a progressive stream that lacks scans, a lossless
            one, coefficients or sampling that one sequential scan cannot hold.
        LimitExceeded, ImageReadError: as for a batch.
        TypeError, ValueError: wrong arguments.
    """
    options = TranscodeOptions(crop, optimize, restart_rows, metadata, max_pixels, max_bytes, max_work)
    return options.apply(image)


class TranscodeOptions:
    """The arguments of `transcode`, checked once for many images."""

    def __init__(
        self,
        crop: int | Sequence[int] | None,
        optimize: bool,
        restart_rows: int,
        metadata: Metadata,
        max_pixels: int,
        max_bytes: int,
        max_work: int,
    ) -> None:
        size = fields.size("crop", crop)
        self._arguments: dict[str, Any] = {
            "crop": (size, size) if isinstance(size, int) else size,
            "optimize": bool(optimize),
            "restart_rows": integer("restart_rows", restart_rows, least=0),
            "metadata": one_of("metadata", metadata, METADATA),
            "max_pixels": fields.limit("max_pixels", max_pixels),
            "max_bytes": fields.limit("max_bytes", max_bytes),
            "max_work": fields.limit("max_work", max_work),
        }

    def apply(self, image: Image, cancellation: _core.Cancellation | None = None) -> bytes:
        """`transcode`, which another thread can end.

        Raises:
            CancelledError: one has.
        """
        return _core.transcode(source(image, 0), cancellation=cancellation, **self._arguments)
