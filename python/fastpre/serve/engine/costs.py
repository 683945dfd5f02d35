"""How long an image's preprocessing will take, before it is decoded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...errors import ImageError
from ...preprocessor import Preprocessor
from ...spec import Spec
from ..errors import ImageRefused
from ..scheduling.items import Item
from .cropping import Crop

__all__ = ["Costs"]


SECONDS_PER_COST = 4e-9  # at most, beyond what any image takes; a core of 2022 takes 1.2e-9 to 1.5e-9 for photographs


class Costs:
    """Predicts by the header, and learns what its unit of cost takes. `learn` is for one thread at a time."""

    def __init__(self, spec: Spec) -> None:
        self._header = Preprocessor(spec)
        self._seconds_each = 0.0  # until the first image was preprocessed

    def check(self, image: Any, index: int) -> float:
        """The cost of compressed bytes.

        Raises:
            ImageRefused: the header is refused.
        """
        try:
            return self._header.header(image).cost
        except ImageError as error:
            raise ImageRefused.of(error, index) from None

    def predict(self, item: Item, index: int, typical_s: float) -> None:
        """Sets an item's `cost` and `cost_s`. Raises as `check`.

        Args:
            typical_s: what images have taken on average.
        """
        image = item.image
        if not isinstance(image, tuple):
            item.cost = self.check(image, index)
        elif isinstance(image, Crop):
            item.cost = image.cost
        # Of small images most is what any image takes, which does not grow.
        most = max(item.cost * SECONDS_PER_COST, typical_s)
        item.cost_s = min(item.cost * self._seconds_each, most)

    def learn(self, items: Sequence[Item], now: float) -> None:
        """From images that were preprocessed together."""
        for item in items:
            if item.cost and item.error is None:
                seconds = (now - item.begun) / len(items) / item.cost
                known = self._seconds_each
                self._seconds_each = known + 0.05 * (seconds - known) if known else seconds
