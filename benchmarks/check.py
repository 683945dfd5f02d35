"""Every competitor's result is held against Pillow and torchvision before it is timed."""

from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from competitor import Array, Competitor
from PIL import Image
from tasks import MEAN, STD, Job

ABSURD_PSNR_DB = 20.0  # below it, something other than rounding and filters differs: channels, crop, scale


@dataclasses.dataclass
class Agreement:
    """How close a competitor's results are to the reference, over all images of a task.

    Attributes:
        images: how many were compared.
        equal: how many were equal in every bit.
        max_difference: the largest, in steps of 8-bit pixels.
        squares, values: the sum of squared differences, in those steps, and of how many values.
        failure: why it cannot be compared at all, or None.
    """

    images: int = 0
    equal: int = 0
    max_difference: float = 0.0
    squares: float = 0.0
    values: int = 0
    failure: str | None = None

    @property
    def psnr_db(self) -> float:
        """Of all values together, 255 being the peak; infinite if all are equal."""
        return math.inf if self.squares == 0 else 10 * math.log10(255**2 * self.values / self.squares)

    @property
    def refusal(self) -> str | None:
        """Why its times would mean nothing, or None."""
        if self.failure is not None:
            return self.failure
        return f"PSNR {self.psnr_db:.1f} dB to the reference" if self.psnr_db < ABSURD_PSNR_DB else None


@dataclasses.dataclass(frozen=True)
class Reference:
    """What Pillow and torchvision's PIL path make of an image: uint8 pixels and the float32 result, CHW."""

    pixels: np.ndarray[Any, Any]
    result: np.ndarray[Any, Any]


def reference(job: Job, data: bytes) -> Reference:
    """The right answer; for a decoding job `result` is the pixels."""
    from torchvision import transforms
    from torchvision.transforms import functional

    image = Image.open(io.BytesIO(data)).convert("RGB")
    if job.decode_only:
        pixels = np.asarray(image).transpose(2, 0, 1)
        return Reference(pixels, pixels)
    assert job.crop is not None
    image = functional.resize(image, [job.resize], transforms.InterpolationMode(job.interpolation))
    image = functional.center_crop(image, [job.crop, job.crop])
    result = functional.normalize(functional.to_tensor(image), MEAN, STD)
    return Reference(np.asarray(image).transpose(2, 0, 1), result.numpy())


def agreements(job: Job, competitors: Sequence[Competitor], images: Sequence[bytes]) -> dict[str, Agreement]:
    """Compares every competitor on every image, one call an image; warms them up as well."""
    found = {c.key: Agreement() for c in competitors}
    for data in images:
        right = reference(job, data)
        for competitor in competitors:
            agreement = found[competitor.key]
            if agreement.failure is None:
                try:
                    value = competitor.run([data])[0]
                except Exception as e:  # whatever a library raises is the finding
                    agreement.failure = f"{type(e).__name__}: {str(e).partition(chr(10))[0]}"
                else:
                    _compare(agreement, competitor, value, right)
    return found


def of_batch(competitor: Competitor, batch: Array, images: Sequence[bytes]) -> Agreement:
    """Compares the rows of a batch with the images that they were made from."""
    agreement = Agreement()
    for value, data in zip(batch, images, strict=True):
        _compare(agreement, competitor, value, reference(competitor.job, data))
    return agreement


def _compare(agreement: Agreement, competitor: Competitor, result: Array, right: Reference) -> None:
    value = np.asarray(result)
    if competitor.layout == "HWC":
        value = value.transpose(2, 0, 1)
    of_pixels = competitor.job.decode_only or not competitor.normalized
    expected = right.pixels if of_pixels else right.result
    if value.shape != expected.shape or value.dtype != expected.dtype:
        agreement.failure = f"{value.dtype}{value.shape} instead of {expected.dtype}{expected.shape}"
        return
    agreement.images += 1
    agreement.equal += value.tobytes() == expected.tobytes()
    steps = (value.astype(np.float64) - expected) * (1 if of_pixels else 255 * np.array(STD)[:, None, None])
    agreement.max_difference = max(agreement.max_difference, float(np.abs(steps).max()))
    agreement.squares += float(np.square(steps).sum())
    agreement.values += steps.size
