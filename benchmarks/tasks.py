"""What is measured: a set of photographs and the job that every implementation does on each of them."""

from __future__ import annotations

import dataclasses
from typing import Literal

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


@dataclasses.dataclass(frozen=True)
class Job:
    """JPEG to normalized float32 CHW of `crop` x `crop`, or with `resize=None` to its uint8 pixels.

    Attributes:
        resize: the shorter side, in pixels; None: decode only.
        crop: the side of the central square that is kept; None: decode only.
        interpolation: "bilinear" or "bicubic", antialiased where the implementation can.
        scaled_decode: implementations that let libjpeg shrink while it decodes (DCT scaling) take part too.
        parts: keys of the parts of decoding that are timed beside whole calls (implementations/parts.py).
    """

    resize: int | None = 256
    crop: int | None = 224
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    scaled_decode: bool = False
    parts: tuple[str, ...] = ()

    @property
    def decode_only(self) -> bool:
        return self.resize is None

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) after resizing, rounded down as torchvision's `Resize(int)` does."""
        assert self.resize is not None
        shorter = min(height, width)
        return self.resize * height // shorter, self.resize * width // shorter

    def window(self, height: int, width: int) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) of the crop in a resized image, rounded as torchvision's `CenterCrop` does."""
        assert self.crop is not None
        left, top = round((width - self.crop) / 2), round((height - self.crop) / 2)
        return left, top, left + self.crop, top + self.crop


@dataclasses.dataclass(frozen=True)
class Task:
    """One table of the report.

    Attributes:
        photos: which set of the corpus: natural, large or small.
        limit: at most this many images, which bounds the time of a round.
        kind: "images": one call an image, or batches with all cores; "scaling": the same batch with one thread and
            with all; "single": one call an image with one thread and with two; "loader": an epoch of a DataLoader over
            files, "memory": over bytes in memory.
    """

    name: str
    title: str
    photos: Literal["natural", "large", "small"]
    job: Job
    limit: int
    kind: Literal["images", "scaling", "single", "loader", "memory"] = "images"


BASELINE = "torchvision-tensor"  # what ratios are to
TURBO_ENTROPY, ENTROPY = "coefficients/libjpeg-turbo", "coefficients/fastpre"
TURBO_RGB, RGB = "rgb/libjpeg-turbo", "rgb/fastpre"
SKIP = "skip/fastpre"

NATURAL = Job(parts=(TURBO_ENTROPY,))
LARGE = Job(scaled_decode=True, parts=(ENTROPY,))
DECODE = Job(None, None, parts=(TURBO_ENTROPY, ENTROPY, SKIP, TURBO_RGB, RGB))

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task("natural", "photographs of about 500x375, resize 256, crop 224", "natural", NATURAL, 159),
        Task("large", "photographs of 8 to 16 MP, resize 256, crop 224", "large", LARGE, 11),
        Task("small", "thumbnails of about 100x75, resize 256, crop 224", "small", Job(), 22),
        Task("thumbnail", "resize 512, crop 512", "natural", Job(512, 512), 48),
        Task("bicubic", "resize 384, crop 384, bicubic", "natural", Job(384, 384, "bicubic"), 48),
        Task("decode", "decode to uint8 RGB, nothing else", "natural", DECODE, 96),
        Task("large-one", "photographs of 8 to 16 MP, one at a time, one thread and two", "large", Job(), 11, "single"),
        Task("scaling", "batches with one thread and with all cores", "natural", Job(), 159, "scaling"),
        Task("loader", "an epoch of a folder with 2 worker processes", "natural", Job(), 159, "loader"),
        Task("loader-memory", "an epoch from memory with 2 worker processes", "natural", Job(), 159, "memory"),
    )
}
