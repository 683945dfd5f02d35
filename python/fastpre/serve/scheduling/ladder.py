"""Quality steps down by declared rungs while the wait is long, and up again once it is short."""

from __future__ import annotations

import dataclasses

__all__ = ["Ladder"]


@dataclasses.dataclass
class Ladder:
    """Which rung to take: 0 is full quality. As in "Proteus" (Ahmad et al., ASPLOS 2024), by the predicted wait:
    what is under way before an image, not the image's own time.

    Args:
        rungs: how many there are.
        down_s: a predicted wait above it steps down one rung.
        up_s: one below it steps up; lower than `down_s`, so that a load between them changes nothing.
        hold_s: no step within this time after one, so that the last one shows its effect first.
    """

    rungs: int
    down_s: float
    up_s: float
    hold_s: float = 0.25
    rung: int = 0
    _since: float = float("-inf")

    def __post_init__(self) -> None:
        if not 0 <= self.up_s < self.down_s:
            raise ValueError(f"up_s ({self.up_s}) must be at least 0 and below down_s ({self.down_s})")

    def choose(self, wait_s: float, now: float) -> int:
        """The rung for an image whose preprocessing begins now."""
        if now - self._since >= self.hold_s:
            step = 1 if wait_s > self.down_s and self.rung + 1 < self.rungs else 0
            step = -1 if wait_s < self.up_s and self.rung > 0 else step
            if step:
                self.rung += step
                self._since = now
        return self.rung
