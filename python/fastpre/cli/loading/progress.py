"""Signs of life while requests are sent.

rich's bar takes milliseconds to draw, which would be requests sent late. A line is one `write`, once a second.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastpre.load import Plan
    from fastpre.load.tally import Tally

__all__ = ["Ticker", "first_line"]


def first_line(plan: Plan, images: int) -> str:
    """What begins now, and how to end it."""
    bounds = []
    if plan.duration_s is not None:
        bounds.append(f"{plan.warmup_s + plan.duration_s:g} s")
    if plan.requests is not None:
        bounds.append(f"{plan.requests:,} requests")
    return f"sending {images:,} images to {plan.url}, {' or '.join(bounds)} (Ctrl-C: the report so far)"


class Ticker:
    """One line on a terminal that each second overwrites."""

    def __init__(self) -> None:
        self._width = 0

    def __call__(self, second: int, tally: Tally) -> None:
        """Shows a second that is over."""
        row = tally.second(tally.begin + second + 0.5)
        latencies = sorted(row.latencies_ms)
        median = f", p50 {latencies[len(latencies) // 2]:.1f} ms" if latencies else ""
        line = f"{second + 1:>5} s: ok {row.ok:,}, refused {row.refused:,}, failed {row.failed:,}{median}"
        self._write(line)

    def clear(self) -> None:
        """Takes the line away."""
        if self._width:
            self._write("")
            self._write("")

    def _write(self, line: str) -> None:
        sys.stderr.write(f"\r{line:<{self._width}}\r" if not line else f"\r{line:<{self._width}}")
        sys.stderr.flush()
        self._width = len(line)
