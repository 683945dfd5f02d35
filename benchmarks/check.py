"""Every competitor's result is held against Pillow and torchvision before it is timed."""

from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Container, Iterable, Sequence
from typing import Any

import numpy as np
from competitor import Array, Competitor
from parts import Part
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
        psnr_sum_db: the PSNRs of the images that were not equal, added up.
        required_db: the competitor's, see there.
        failure: why it cannot be compared at all, or None.
    """

    images: int = 0
    equal: int = 0
    max_difference: float = 0.0
    squares: float = 0.0
    values: int = 0
    psnr_sum_db: float = 0.0
    required_db: float | None = None
    failure: str | None = None

    @property
    def psnr_db(self) -> float:
        """Of all values together; infinite if all are equal."""
        return psnr_db(self.squares, self.values)

    @property
    def mean_psnr_db(self) -> float:
        """An image's, the mean of those that are not equal; infinite if all are."""
        unequal = self.images - self.equal
        return self.psnr_sum_db / unequal if unequal else math.inf

    @property
    def refusal(self) -> str | None:
        """Why its times would mean nothing, or None."""
        if self.failure is not None:
            return self.failure
        if self.psnr_db < ABSURD_PSNR_DB:
            return f"PSNR {self.psnr_db:.1f} dB to the reference"
        if self.required_db is None or self.mean_psnr_db >= self.required_db:
            return None
        if math.isinf(self.required_db):
            return f"{self.images - self.equal} of {self.images} results differ from the reference"
        return f"mean PSNR of an image {self.mean_psnr_db:.1f} dB to the reference, below {self.required_db:.0f}"


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


def agreements(
    job: Job,
    competitors: Sequence[Competitor],
    images: Sequence[bytes],
    without_parts: Container[int] = (),
) -> dict[str, Agreement]:
    """Compares every competitor on every image, one call an image; warms them up as well.

    Args:
        without_parts: indices of the images that a `Part` does not take.
    """
    found = {c.key: Agreement(required_db=c.required_db) for c in competitors}
    for i, data in enumerate(images):
        right = reference(job, data)
        for competitor in competitors:
            agreement = found[competitor.key]
            if agreement.failure is not None or (isinstance(competitor, Part) and i in without_parts):
                continue
            try:
                _judge(agreement, competitor, data, right)
            except Exception as e:  # whatever a library raises is the finding
                agreement.failure = f"{type(e).__name__}: {str(e).partition(chr(10))[0]}"
    return found


def of_batches(competitor: Competitor, batches: Iterable[tuple[Array, Sequence[bytes]]]) -> Agreement:
    """Compares the rows of batches with the images that they were made from."""
    agreement = Agreement(required_db=competitor.required_db)
    for batch, images in batches:
        for value, data in zip(batch, images, strict=True):
            _compare(agreement, competitor, value, reference(competitor.job, data))
    return agreement


def _judge(agreement: Agreement, competitor: Competitor, data: bytes, right: Reference) -> None:
    if isinstance(competitor, Part):
        agrees = competitor.agrees(data, right.pixels)
        if agrees is not None:
            agreement.images += 1
            agreement.equal += agrees
    else:
        _compare(agreement, competitor, competitor.run([data])[0], right)


def _compare(agreement: Agreement, competitor: Competitor, result: Array, right: Reference) -> None:
    value = np.asarray(result)
    if competitor.layout == "HWC":
        value = value.transpose(2, 0, 1)
    of_pixels = competitor.job.decode_only or not competitor.normalized
    expected = right.pixels if of_pixels else right.result
    if value.shape != expected.shape or value.dtype != expected.dtype:
        agreement.failure = f"{value.dtype}{value.shape} instead of {expected.dtype}{expected.shape}"
        return
    equal = value.tobytes() == expected.tobytes()
    agreement.images += 1
    agreement.equal += equal
    steps = (value.astype(np.float64) - expected) * (1 if of_pixels else 255 * np.array(STD)[:, None, None])
    agreement.max_difference = max(agreement.max_difference, float(np.abs(steps).max()))
    squares = float(np.square(steps).sum())
    agreement.squares += squares
    agreement.values += steps.size
    agreement.psnr_sum_db += 0.0 if equal else psnr_db(squares, steps.size)


def psnr_db(squares: float, values: int) -> float:
    """Of a sum of squared differences, in steps of 8-bit pixels, over that many values; infinite if equal."""
    return math.inf if squares == 0 else 10 * math.log10(255**2 * values / squares)
