"""What fastpre is meant to reach, and whether it did."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from outcome import BASELINE, Outcome
from tasks import ENTROPY, RGB, TURBO_ENTROPY, TURBO_RGB


@dataclasses.dataclass(frozen=True)
class Target:
    """A bound on a figure that follows from one task's medians.

    Attributes:
        task, threads: where it applies; threads is "1" or "all".
        text: the figure in words.
        bound: its limit, and whether the figure has to stay at or below it or reach it.
        stretch: a limit that would be better still, or None.
        value: takes the outcome to the figure; None if a row that it needs is missing,
            or two of them are of different images.
    """

    task: str
    threads: str
    text: str
    bound: float
    at_most: bool
    value: Callable[[Outcome], float | None]
    stretch: float | None = None

    def met(self, value: float) -> bool:
        return value <= self.bound if self.at_most else value >= self.bound


def _ratio(key: str, to: str) -> Callable[[Outcome], float | None]:
    def value(outcome: Outcome) -> float | None:
        top, bottom = outcome.row(key), outcome.row(to)
        if top is None or bottom is None or top.images != bottom.images:
            return None
        return top.timing.median / bottom.timing.median

    return value


def _after_decode_ms(outcome: Outcome) -> float | None:
    row = outcome.row("fastpre-exact")
    return None if row is None or row.after_decode_us is None else row.after_decode_us / 1e3


TARGETS = (
    Target("natural", "1", "fastpre / torchvision tensors", 0.70, True, _ratio("fastpre-exact", BASELINE)),
    Target("natural", "1", "ms after the decoder", 0.10, True, _after_decode_ms),
    Target("natural", "1", "fastpre / libjpeg-turbo's entropy decoding alone", 0.75, True,
           _ratio("fastpre-exact", TURBO_ENTROPY)),
    Target("large", "1", "fastpre / torchvision tensors", 0.55, True, _ratio("fastpre-exact", BASELINE)),
    Target("large", "1", "fidelity=fast / Pillow draft mode", 0.60, True, _ratio("fastpre-fast", "pillow-draft")),
    Target("large", "1", "fidelity=fast / fastpre's entropy decoding alone", 1.25, True,
           _ratio("fastpre-fast", ENTROPY)),
    Target("large-one", "all", "times as fast with two threads", 1.6, False,
           _ratio("fastpre-exact x1", "fastpre-exact x2")),
    Target("small", "1", "fastpre, ms", 0.12, True, lambda outcome: outcome.median("fastpre-exact")),
    Target("decode", "1", "entropy decoding, fastpre / libjpeg-turbo", 0.55, True, _ratio(ENTROPY, TURBO_ENTROPY),
           stretch=0.45),
    Target("decode", "1", "decode to rows, fastpre / libjpeg-turbo", 0.62, True, _ratio(RGB, TURBO_RGB)),
    Target("scaling", "all", "times as fast with all cores", 1.9, False,
           _ratio("fastpre-exact x1", "fastpre-exact xall")),
    Target("loader", "all", "times torchvision tensors' images/s, decoding in workers", 2.0, False,
           _ratio(BASELINE, "fastpre-exact")),
    Target("loader", "all", "times torchvision tensors' images/s, workers send bytes", 2.0, False,
           _ratio(BASELINE, "fastpre-here")),
)  # fmt: skip


def judge(task: str, threads: str, outcome: Outcome) -> list[dict[str, Any]]:
    """The task's targets as JSON records: text, bound, stretch (where there is one), at_most, value, met."""
    records = []
    for target in TARGETS:
        value = target.value(outcome) if (target.task, target.threads) == (task, threads) else None
        if value is not None:
            records.append({
                "text": target.text,
                "bound": target.bound,
                **({} if target.stretch is None else {"stretch": target.stretch}),
                "at_most": target.at_most,
                "value": round(value, 4),
                "met": target.met(value),
            })  # fmt: skip
    return records
