"""HDR histograms of times (Gil Tene's, by the hdrhistogram package), and what is read from them."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

from hdrh.histogram import HdrHistogram

__all__ = ["Percentiles", "histogram", "log_line", "percentile_table", "percentiles", "seconds_to_unit", "summed"]

# Microseconds, up to an hour, to three significant digits.
UNITS_PER_S = 1_000_000
LARGEST = 3_600 * UNITS_PER_S
DIGITS = 3


@dataclasses.dataclass(frozen=True)
class Percentiles:
    """Of a distribution of times, in milliseconds; to three significant digits. All 0 if `count` is."""

    count: int = 0
    mean: float = 0.0
    min: float = 0.0
    p50: float = 0.0
    p75: float = 0.0
    p90: float = 0.0
    p95: float = 0.0
    p99: float = 0.0
    p999: float = 0.0
    max: float = 0.0

    def supports(self, percentile: float) -> bool:
        """True if at least one value is above the percentile, so that it says something other than the maximum."""
        return self.count * (1 - percentile / 100) >= 1 - 1e-9


def histogram() -> Any:
    """An empty one."""
    return HdrHistogram(1, LARGEST, DIGITS)


def seconds_to_unit(seconds: float) -> int:
    """What is recorded for a time."""
    return min(LARGEST, max(0, round(seconds * UNITS_PER_S)))


def summed(parts: list[Any]) -> Any:
    """One histogram of all values."""
    total = histogram()
    for part in parts:
        total.add(part)
    return total


def percentiles(recorded: Any) -> Percentiles:
    """What reports say of a histogram."""
    count = recorded.get_total_count()
    if not count:
        return Percentiles()
    at = recorded.get_percentile_to_value_dict([50, 75, 90, 95, 99, 99.9])
    return Percentiles(
        count=count,
        mean=float(recorded.get_mean_value()) / 1000,
        min=float(recorded.get_min_value()) / 1000,
        p50=at[50] / 1000,
        p75=at[75] / 1000,
        p90=at[90] / 1000,
        p95=at[95] / 1000,
        p99=at[99] / 1000,
        p999=at[99.9] / 1000,
        max=float(recorded.get_max_value()) / 1000,
    )


def percentile_table(recorded: Any) -> str:
    """The percentile distribution (.hgrm) that HdrHistogram's plotters read; values in milliseconds."""
    text = io.BytesIO()
    recorded.output_percentile_distribution(text, 1000.0)
    return text.getvalue().decode("ascii")


def log_line(tag: str, recorded: Any, begin_s: float, length_s: float) -> str:
    """A line of a histogram log (format 1.3, with a tag).

    It has the interval's largest value in milliseconds, and the histogram of microseconds: V2, compressed, base64.
    """
    largest = recorded.get_max_value() / 1000
    return f"Tag={tag},{begin_s:.3f},{length_s:.3f},{largest:.3f},{recorded.encode().decode('ascii')}\n"
