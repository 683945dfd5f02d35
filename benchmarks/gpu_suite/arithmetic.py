"""How far results are from the exact ones, in steps of 8-bit pixels."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from check import psnr_db

CLOSE = 2  # steps


def finite(value: float) -> float | None:
    """JSON has no infinity."""
    return round(value, 3) if math.isfinite(value) else None


@dataclasses.dataclass
class Differences:
    """Sums over images of uint8 values."""

    images: int = 0
    equal: int = 0
    values: int = 0
    close: int = 0
    absolute: int = 0
    squares: int = 0
    largest: int = 0
    worst_db: float = math.inf
    worst: str = ""

    def add(self, name: str, got: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> None:
        """One image."""
        steps = np.abs(got.astype(np.int32) - expected.astype(np.int32))
        squares = int(np.square(steps).sum(dtype=np.int64))
        self.images += 1
        self.equal += squares == 0
        self.values += steps.size
        self.close += int((steps <= CLOSE).sum())
        self.absolute += int(steps.sum(dtype=np.int64))
        self.squares += squares
        self.largest = max(self.largest, int(steps.max(initial=0)))
        image_db = psnr_db(squares, steps.size)
        if image_db < self.worst_db:
            self.worst_db, self.worst = image_db, name

    def join(self, other: Differences) -> None:
        """Adds another sum to this one."""
        for field in ("images", "equal", "values", "close", "absolute", "squares"):
            setattr(self, field, getattr(self, field) + getattr(other, field))
        self.largest = max(self.largest, other.largest)
        if other.worst_db < self.worst_db:
            self.worst_db, self.worst = other.worst_db, other.worst

    @property
    def close_fraction(self) -> float:
        """Of all values."""
        return self.close / self.values if self.values else math.nan

    def as_json(self) -> dict[str, Any]:
        """PSNRs are null where everything is equal."""
        return {
            "images": self.images,
            "equal_images": self.equal,
            "within_2_percent": round(100 * self.close_fraction, 4) if self.values else None,
            "psnr_db": finite(psnr_db(self.squares, self.values)),
            "worst_psnr_db": finite(self.worst_db),
            "worst_image": self.worst,
            "mean_difference": round(self.absolute / self.values, 5) if self.values else None,
            "max_difference": self.largest,
        }
