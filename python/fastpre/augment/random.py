"""Random numbers as torchvision draws them: from a torch generator, one call of torch for each."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from .._backend import lazy_torch

if TYPE_CHECKING:
    import torch

__all__ = ["Random"]


class Random:
    """Draws by torch's default generator of the CPU, or by `generator`."""

    def __init__(self, generator: torch.Generator | None = None) -> None:
        self._torch: Any = lazy_torch.require()
        self.generator = generator

    def uniform(self, low: Any, high: Any) -> Any:
        """A float32 tensor of shape (1,), in [low, high)."""
        return self._torch.empty(1).uniform_(low, high, generator=self.generator)

    def probability(self) -> Any:
        """A float32 tensor of shape (1,), in [0, 1)."""
        return self._torch.rand(1, generator=self.generator)

    def below(self, bound: int) -> int:
        """An integer in [0, bound)."""
        return int(self._torch.randint(0, bound, (1,), generator=self.generator).item())

    def normal(self, shape: tuple[int, ...]) -> Any:
        """A float32 tensor of the standard normal distribution."""
        return self._torch.empty(shape, dtype=self._torch.float32).normal_(generator=self.generator)

    def tensor(self, values: tuple[float, ...]) -> Any:
        """A float32 tensor of these numbers."""
        return self._torch.tensor(values)

    def rectangle(self, area: float, scale: tuple[float, float], log_ratio: Any) -> tuple[float, float]:
        """(area, aspect ratio) of a rectangle, the latter uniform in its logarithm: torchvision's two first draws."""
        target = area * self.uniform(scale[0], scale[1]).item()
        aspect = self._torch.exp(self.uniform(log_ratio[0], log_ratio[1])).item()
        return target, aspect

    def log_ratio(self, ratio: tuple[float, float]) -> Any:
        """Logarithms of the bounds, in float32 as torchvision has them."""
        return self._torch.log(self._torch.tensor(ratio)).tolist()


def sides(area: float, aspect: float) -> tuple[int, int]:
    """(larger with the aspect, smaller with it), rounded as torchvision does."""
    return round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
