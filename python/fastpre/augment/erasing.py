"""Random erasing: rectangles of the normalized output that are overwritten."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, Literal

from .draw import Erasure
from .random import Random, in_float32, log_ratio, sides
from .steps import Augmentation, interval, probability

__all__ = ["RandomErasing"]


@dataclasses.dataclass(frozen=True)
class RandomErasing(Augmentation):
    """With probability `p`, a rectangle of the output is overwritten, after normalizing; as torchvision's, v1 and v2.

    Args:
        p: probability.
        scale: bounds of the rectangle's area, as a part of the output's.
        ratio: bounds of its aspect ratio, height by width.
        value: a number, one for each channel, or "random": of the standard normal distribution, for each pixel.
    """

    p: float = 0.5
    scale: tuple[float, float] = (0.02, 0.33)
    ratio: tuple[float, float] = (0.3, 3.3)
    value: float | Sequence[float] | Literal["random"] = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "p", probability(self.p))
        object.__setattr__(self, "scale", interval("scale", self.scale, 0.0))
        object.__setattr__(self, "ratio", interval("ratio", self.ratio, 2.0**-32))
        if isinstance(self.value, str) and self.value != "random":
            raise ValueError(f"value must be a number, one for each channel, or 'random', got {self.value!r}")
        if not isinstance(self.value, str):
            many = isinstance(self.value, Sequence)
            value = tuple(float(v) for v in self.value) if many else float(self.value)  # type: ignore[union-attr,arg-type]
            object.__setattr__(self, "value", value)

    @functools.cached_property
    def _log_ratio(self) -> tuple[float, float]:
        return log_ratio(self.ratio)

    def draw(self, channels: int, height: int, width: int, random: Random) -> Erasure | None:
        """Up to ten rectangles, the first that fits; none with probability 1 - p, or if none fits."""
        if not random.happens(in_float32(self.p)):
            return None
        for _ in range(10):
            h, w = sides(height * width * random.uniform(*self.scale), random.exp_uniform(*self._log_ratio))
            if not (h < height and w < width):
                continue
            value = self._value(channels, h, w, random)
            top = random.below(height - h + 1)
            return Erasure(top, random.below(width - w + 1), h, w, value)
        return None

    def _value(self, channels: int, height: int, width: int, random: Random) -> Any:
        if isinstance(self.value, str):
            return random.normal((channels, height, width))
        values = self.value if isinstance(self.value, tuple) else (self.value,)
        if len(values) not in (1, channels):
            raise ValueError(f"RandomErasing has {len(values)} values for {channels} channels")
        return random.tensor(values)[:, None, None]
