"""How far results are from the right ones: every result is checked before it is timed."""

from __future__ import annotations

import dataclasses
import io
import math
from typing import Any

import torch
from PIL import Image
from tasks import MEAN, STD, Job

ABSURD_DB = 20.0  # PSNR; below it, something other than rounding and filters differs: channels, crop, scale
CLOSE = 2  # steps of 8-bit pixels


def psnr_db(squares: float, values: int) -> float:
    """Of a sum of squared differences, in steps of 8-bit pixels, over that many values; infinite if equal."""
    return math.inf if squares == 0 else 10 * math.log10(255**2 * values / squares)


@dataclasses.dataclass
class Difference:
    """Sums over images; differences are in steps of 8-bit pixels.

    Attributes:
        images, equal: how many were compared, and how many of them were equal in every bit.
        values, close: how many values, and how many within 2 steps.
        absolute, squares: sums over values.
        largest: of any value.
        psnr_sum_db: the PSNRs of the images that were not equal, added up.
        worst_db, worst: the lowest PSNR, and that image's name.
        required_db: as `Implementation.required_db`.
        failure: why there is nothing to compare, or None.
    """

    images: int = 0
    equal: int = 0
    values: int = 0
    close: int = 0
    absolute: float = 0.0
    squares: float = 0.0
    largest: float = 0.0
    psnr_sum_db: float = 0.0
    worst_db: float = math.inf
    worst: str = ""
    required_db: float | None = None
    failure: str | None = None

    def add(self, got: Any, expected: torch.Tensor, names: list[str] | None = None) -> None:
        """A batch: uint8 pixels, or float32 values normalized with MEAN and STD.

        Args:
            got: a tensor or NumPy array, (N, C, H, W) or (N, H, W, C).
            expected: (N, C, H, W), on the same device.

        Raises:
            ValueError: another shape, dtype or device.
        """
        got = got if isinstance(got, torch.Tensor) else torch.tensor(got)
        if got.shape != expected.shape and got.ndim == 4:
            got = got.permute(0, 3, 1, 2)
        if (got.shape, got.dtype, got.device) != (expected.shape, expected.dtype, expected.device):
            raise ValueError(
                f"{got.dtype}{tuple(got.shape)} on {got.device} instead of "
                f"{expected.dtype}{tuple(expected.shape)} on {expected.device}"
            )
        equal = (_bits(got) == _bits(expected)).flatten(1).all(1)
        steps = (got.double() - expected.double()).abs()
        if got.is_floating_point():
            steps *= 255 * torch.tensor(STD, dtype=torch.float64, device=got.device)[:, None, None]
        steps = steps.flatten(1)
        sums = torch.stack([steps.sum(1), steps.square().sum(1), steps.amax(1), (steps <= CLOSE).sum(1)], 1)
        for i, (absolute, squares, largest, close) in enumerate(sums.tolist()):
            self.count(bool(equal[i]))
            self.values += steps.shape[1]
            self.close += int(close)
            self.absolute += absolute
            self.squares += squares
            self.largest = max(self.largest, largest)
            db = psnr_db(squares, steps.shape[1])
            self.psnr_sum_db += 0.0 if equal[i] or math.isinf(db) else db
            if db < self.worst_db:
                self.worst_db, self.worst = db, names[i] if names else ""

    def count(self, equal: bool) -> None:
        """An image that is right or wrong, and no more can be said of it."""
        self.images += 1
        self.equal += equal

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
        """Why times would mean nothing, or None."""
        if self.failure is not None:
            return self.failure
        if self.psnr_db < ABSURD_DB:
            return f"PSNR {self.psnr_db:.1f} dB to the reference"
        if self.required_db is None or self.mean_psnr_db >= self.required_db:
            return None
        if math.isinf(self.required_db):
            return f"{self.images - self.equal} of {self.images} results differ from the reference"
        return f"mean PSNR of an image {self.mean_psnr_db:.1f} dB to the reference, below {self.required_db:.0f}"

    def as_json(self) -> dict[str, Any]:
        """PSNRs are null where everything is equal, sums where only equality is known."""
        record: dict[str, Any] = {
            "images": self.images,
            "equal": self.equal,
            "max_difference": round(self.largest, 3),
            "mean_difference": round(self.absolute / self.values, 5) if self.values else None,
            "within_2_percent": round(100 * self.close / self.values, 4) if self.values else None,
            "psnr_db": _finite(self.psnr_db),
            "worst_psnr_db": _finite(self.worst_db),
        }
        if self.worst:
            record["worst_image"] = self.worst
        if self.required_db is not None and math.isfinite(self.required_db):
            record |= {"mean_psnr_db": _finite(self.mean_psnr_db), "required_mean_psnr_db": self.required_db}
        return record


def joined(parts: list[Difference]) -> Difference:
    """Their sum."""
    total = Difference()
    for part in parts:
        for name in ("images", "equal", "values", "close", "absolute", "squares", "psnr_sum_db"):
            setattr(total, name, getattr(total, name) + getattr(part, name))
        total.largest = max(total.largest, part.largest)
        if part.worst_db < total.worst_db:
            total.worst_db, total.worst = part.worst_db, part.worst
    return total


def _finite(value: float) -> float | None:
    """JSON has no infinity."""
    return round(value, 2) if math.isfinite(value) else None


def _bits(x: torch.Tensor) -> torch.Tensor:
    return x.contiguous().view(torch.int32) if x.dtype == torch.float32 else x


@dataclasses.dataclass(frozen=True)
class Reference:
    """What is right for a batch, (N, C, H, W): uint8 pixels and the job's result."""

    pixels: torch.Tensor
    result: torch.Tensor


def reference(job: Job, images: list[bytes]) -> Reference:
    """By Pillow and torchvision's PIL path; for a decoding job, of one image, the result is the pixels."""
    from torchvision.transforms import InterpolationMode, functional

    pixels = []
    for data in images:
        image = Image.open(io.BytesIO(data)).convert("RGB")
        if not job.decode_only:
            image = functional.resize(image, [job.resize], InterpolationMode(job.interpolation))
            image = functional.center_crop(image, [job.crop, job.crop])
        pixels.append(image)
    batch = torch.stack([functional.pil_to_tensor(image) for image in pixels])
    if job.decode_only:
        return Reference(batch, batch)
    tensors = [functional.normalize(functional.to_tensor(image), MEAN, STD) for image in pixels]
    return Reference(batch, torch.stack(tensors))
