"""What one call gave: the tensor, and what became of each image."""

from __future__ import annotations

import dataclasses
from typing import Any

from . import _core, errors

__all__ = ["ImageResult", "Result"]


class ImageResult:
    """What became of one image of the batch."""

    __slots__ = ("_name", "_record", "index")

    def __init__(self, index: int, record: _core.Record, name: str | None) -> None:
        self.index = index
        self._record = record
        self._name = name

    @property
    def ok(self) -> bool:
        """True if its slot holds the image."""
        return self._record.ok

    @property
    def error(self) -> Exception | None:
        """The `ImageError` that says what is wrong, or None."""
        if self._record.ok:
            return None
        assert self._record.error is not None
        return errors.from_record(self._record.error, self._record.reason, self.index, self._name)

    @property
    def width(self) -> int:
        """Pixels, as displayed (after EXIF orientation where that was asked for); 0 if unknown."""
        return self._record.width

    @property
    def height(self) -> int:
        """Pixels, as displayed; 0 if unknown."""
        return self._record.height

    @property
    def decoder(self) -> str:
        """The decoder that ran: "fastpre", "libjpeg-turbo", "nvjpeg-hardware" or "nvjpeg-cuda"; empty if none did."""
        return self._record.decoder

    @property
    def declined(self) -> str:
        """Why fastpre's own decoder left the image to libjpeg-turbo; empty if it did not."""
        return self._record.declined

    @property
    def retried(self) -> str:
        """Why the CPU decoded the image after a GPU decoder had taken it; empty if none had or all went well."""
        return self._record.retried

    @property
    def target(self) -> str:
        """What resampled it: an instruction set such as "AVX2", or "CUDA"."""
        return self._record.target

    @property
    def stages_us(self) -> dict[str, float]:
        """Microseconds of one thread by stage: read, header, decode, resample, normalize."""
        return self._record.stages_us

    @property
    def scratch_bytes(self) -> int:
        """Memory of fastpre's own buffers while this image was processed, without the decoder's."""
        return self._record.peak_bytes

    @property
    def uploaded_bytes(self) -> int:
        """Bytes that went to the device for this image alone: coefficients, 8-bit pixels, or (nvJPEG) the stream."""
        return self._record.uploaded_bytes

    def __repr__(self) -> str:
        if not self.ok:
            return f"ImageResult({self.index}, error={self.error!r})"
        return f"ImageResult({self.index}, ok, {self.width}x{self.height}, {self.decoder})"


@dataclasses.dataclass(frozen=True)
class Result:
    """A batch's tensor and its images' fates.

    Attributes:
        tensor: (N, C, H, W); with on_error="skip", N counts the images that are ok.
        images: one `ImageResult` per input, in input order.
        indices: the input index of each row of `tensor`.
    """

    tensor: Any
    images: list[ImageResult]
    indices: list[int]

    @property
    def ok(self) -> bool:
        """True if no image failed."""
        return all(image.ok for image in self.images)

    @property
    def errors(self) -> list[Exception]:
        """The failed images' errors, in input order."""
        return [image.error for image in self.images if image.error is not None]
