"""What a measurement gives: a row for each competitor, in whatever task."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from check import Agreement
from measure import Timing

BASELINE = "torchvision-tensor"  # what ratios are to


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        key, label: the competitor's; a task that runs one in several ways adds to both.
        timing: milliseconds per image, one figure a round.
        agreement: with the reference; None where another task has checked it.
        stages_us: microseconds per image, medians over rounds: fastpre's own stages, and "outside" for
            what the call took beyond them.
        images: how many it was timed on, where that is for its task to say: rows of different images do not compare.
        part: it is a part of decoding only (parts.py).
    """

    key: str
    label: str
    timing: Timing
    agreement: Agreement | None = None
    stages_us: dict[str, float] | None = None
    images: int | None = None
    part: bool = False

    @property
    def after_decode_us(self) -> float | None:
        """Header, resampling and normalization."""
        if self.stages_us is None:
            return None
        return sum(self.stages_us[stage] for stage in ("header", "resample", "normalize"))

    def as_json(self) -> dict[str, Any]:
        record: dict[str, Any] = {
            "key": self.key,
            "label": self.label,
            "ms": {name: round(getattr(self.timing, name), 4) for name in ("median", "min", "max", "iqr")},
            "rounds_ms": [round(ms, 4) for ms in self.timing.rounds_ms],
        }
        if self.timing.cores_used is not None:
            record["cores_used"] = round(self.timing.cores_used, 2)
        if self.part:
            record |= {"part": True, "images": self.images}
        if self.agreement is not None:
            a = self.agreement
            record["agreement"] = {
                "images": a.images,
                "equal": a.equal,
                "max_difference": round(a.max_difference, 3),
                "psnr_db": round(a.psnr_db, 2) if a.squares else None,
            }
            if a.required_db is not None and math.isfinite(a.required_db):
                record["agreement"] |= {
                    "mean_psnr_db": round(a.mean_psnr_db, 2) if a.equal < a.images else None,
                    "required_mean_psnr_db": a.required_db,
                }
        if self.stages_us is not None:
            record["stages_us"] = {stage: round(us, 2) for stage, us in self.stages_us.items()}
        return record


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A task's rows, and by key why other competitors have none.

    Attributes:
        left_out: by index, why an image is not among those that the parts of decoding were timed on.
    """

    rows: list[Row]
    absent: dict[str, str]
    left_out: dict[int, str] = dataclasses.field(default_factory=dict)

    def row(self, key: str) -> Row | None:
        """One row, or None."""
        return next((row for row in self.rows if row.key == key), None)

    def median(self, key: str) -> float | None:
        """Milliseconds per image of one row, or None."""
        row = self.row(key)
        return None if row is None else row.timing.median
