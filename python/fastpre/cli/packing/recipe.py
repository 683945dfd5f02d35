"""What becomes of one image on its way into a shard."""

from __future__ import annotations

import dataclasses
import io
import os
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from fastpre import ImageError, ImageReadError, LimitExceeded, Plan, Preprocessor, Spec, UnsupportedImage, _core, plan
from fastpre.transcoding import TranscodeOptions
from fastpre.typing import Interpolation, Metadata, Size

from ..errors import Unusable

__all__ = ["KEPT", "RESIZED", "SUBSAMPLINGS", "TRANSCODED", "Packed", "Recipe", "require_encoder"]

SUBSAMPLINGS = ("4:4:4", "4:2:2", "4:2:0")

RESIZED, TRANSCODED, KEPT = "re-encoded", "transcoded", "unchanged"


class Packed(NamedTuple):
    """One image, ready for a shard.

    Attributes:
        data: its JPEG stream.
        bytes_before: of the file that it comes from.
        how: RESIZED, TRANSCODED or KEPT.
        refusal: why it is KEPT where it was to be transcoded; empty otherwise.
    """

    data: bytes
    bytes_before: int
    how: str
    refusal: str = ""


def require_encoder() -> None:
    """Says what is missing before any work.

    Raises:
        Unusable: Pillow is not installed.
    """
    try:
        import PIL.JpegImagePlugin  # noqa: F401
    except ImportError:
        raise Unusable("--resize and --reencode-all need Pillow: pip install 'fastpre[pack]'") from None


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What is asked for, the same for every image; `apply` may be called from many threads.

    Attributes:
        resize: images whose shorter side is longer than this are re-encoded with it; none is enlarged.
        reencode_all: so are all others, at their own size.
        quality, subsampling, interpolation: of what is re-encoded: Pillow's, libjpeg's quality.
        transcode: what is not re-encoded is made sequential, without loss.
        crop: a centre crop of that, at MCUs.
        optimize, restart_rows: of whatever is re-encoded or transcoded.
        metadata: what is kept of it; of what is re-encoded the colour profile at most, since the rest describes a file
            that is no more.
        limits: fields of `Spec`: max_pixels, max_bytes, max_work.
    """

    resize: int | None
    reencode_all: bool
    quality: int
    subsampling: str
    interpolation: Interpolation
    transcode: bool
    crop: Size | None
    optimize: bool
    restart_rows: int
    metadata: Metadata
    limits: dict[str, int]

    @property
    def reencodes(self) -> bool:
        """True if any image may be re-encoded."""
        return self.resize is not None or self.reencode_all

    def apply(self, path: str, cancellation: _core.Cancellation) -> Packed:
        """One file's image.

        Raises:
            ImageError: fastpre cannot decode it.
            CancelledError: by `cancellation`.
        """
        data = self._read(path)
        planned = plan(data, self._spec("RGB", None))
        size = self._size_of(planned)
        if size is not None:
            return Packed(self._encoded(data, planned, size, cancellation), len(data), RESIZED)
        self._check(data, cancellation)
        if not self.transcode:
            return Packed(data, len(data), KEPT)
        try:
            transcoded = self._transcoding(self.crop, self.metadata).apply(data, cancellation)
        except ImageError as e:  # it can be decoded, so it is no bad file
            return Packed(data, len(data), KEPT, e.reason)
        return Packed(transcoded, len(data), TRANSCODED)

    def _read(self, path: str) -> bytes:
        most = self.limits["max_bytes"]
        try:
            with open(path, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size > most:
                    raise LimitExceeded(f"{size} bytes is over max_bytes={most}")
                return file.read()
        except OSError as e:
            raise ImageReadError(f"cannot read: {e.strerror}") from e

    def _size_of(self, planned: Plan) -> tuple[int, int] | None:
        """(height, width) that an image is re-encoded with; None if it is not.

        The longer side is rounded to the nearest pixel. torchvision's Resize cuts its fraction off, and what is cut off
        twice, here and by the model's own resizing, shifts a centre crop by half a pixel more often.
        """
        shorter = min(planned.size)
        if self.resize is not None and shorter > self.resize:
            height, width = ((2 * side * self.resize + shorter) // (2 * shorter) for side in planned.size)
            return height, width
        # Pixels that are turned by EXIF would lie among others that are not: all are upright where any is re-encoded.
        turned = planned.header["orientation"] != 1
        return planned.size if self.reencode_all or (self.resize is not None and turned) else None

    def _spec(self, color: Literal["RGB", "L"], size: tuple[int, int] | None) -> Spec:
        return Spec(
            resize=size,
            crop=None,
            interpolation=self.interpolation,
            dtype="uint8",
            memory_format="channels_last",
            color=color,
            exif_orientation=True,
            max_output_pixels=self.limits["max_pixels"],  # outputs are no larger than images
            **self.limits,  # type: ignore[arg-type]
        )

    def _transcoding(self, crop: Size | None, metadata: Metadata) -> TranscodeOptions:
        return TranscodeOptions(crop, self.optimize, self.restart_rows, metadata, **self.limits)

    def _check(self, data: bytes, cancellation: _core.Cancellation) -> None:
        """Decodes one pixel: every symbol is read, little is transformed, and acceptance is that of all pixels."""
        spec = Spec(resize=None, crop=1, dtype="uint8", **self.limits)  # type: ignore[arg-type]
        _run(spec, data, np.empty((1, 1, 1, 3), np.uint8), cancellation)

    def _encoded(self, data: bytes, planned: Plan, size: tuple[int, int], cancellation: _core.Cancellation) -> bytes:
        """Decoded upright and resized by fastpre, encoded by Pillow."""
        color: Literal["RGB", "L"] = "L" if planned.header["components"] == 1 else "RGB"
        pixels = np.empty((1, *size, 1 if color == "L" else 3), np.uint8)
        _run(self._spec(color, size), data, pixels, cancellation)
        # A CMYK profile is not one of the RGB pixels that are made of it.
        profile = _icc_profile(data) if self.metadata != "none" and planned.header["components"] != 4 else None
        jpeg = self._jpeg(pixels[0, :, :, 0] if color == "L" else pixels[0], profile)
        if not self.optimize and not self.restart_rows:
            return jpeg
        return self._transcoding(None, "icc").apply(jpeg, cancellation)

    def _jpeg(self, pixels: npt.NDArray[np.uint8], profile: bytes | None) -> bytes:
        """With general Huffman tables: Pillow's buffer is too small for noise where it is to optimize them."""
        from PIL import Image

        options: dict[str, Any] = {} if pixels.ndim == 2 else {"subsampling": self.subsampling}
        out = io.BytesIO()
        try:
            Image.fromarray(pixels).save(out, "JPEG", quality=self.quality, icc_profile=profile, **options)
        except OSError as e:  # libjpeg's reasons, such as a side of more than 65500 pixels
            raise UnsupportedImage(f"cannot be encoded: {e}") from e
        return out.getvalue()


def _run(spec: Spec, data: bytes, nhwc: npt.NDArray[np.uint8], cancellation: _core.Cancellation) -> None:
    """One image on this thread, into an array of shape (1, H, W, C)."""
    pre = Preprocessor(spec, num_threads=1)
    call = pre._call(0.0, cancellation=cancellation)
    pre._run([data], nhwc.transpose(0, 3, 1, 2), "raise", call)


def _icc_profile(data: bytes) -> bytes | None:
    """Without the warnings that Image.open has about sizes: the header is known to be within limits."""
    from PIL.JpegImagePlugin import JpegImageFile

    with JpegImageFile(io.BytesIO(data)) as image:
        profile = image.info.get("icc_profile")
    return profile if isinstance(profile, bytes) else None
