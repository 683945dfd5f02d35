"""Images into slots of the batch memory."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ImageError
from ...preprocessor import Preprocessor
from ..errors import BadRequest, ImageRefused, ServeError
from ..scheduling.items import Item, Pixels, Prepared, Work

if TYPE_CHECKING:
    import torch

__all__ = ["Filler"]

log = logging.getLogger(__name__)


class Filler:
    """Writes images into the memory of one model.

    Args:
        preprocessors: one for each rung of the ladder, full quality first.
        memory: (slots, C, H, W).
    """

    def __init__(self, preprocessors: list[Preprocessor], memory: torch.Tensor) -> None:
        self._preprocessors = preprocessors
        self._memory = memory
        self._slots = [memory[i : i + 1] for i in range(len(memory))]

    def fill(self, work: Work) -> None:
        """Writes each image, or sets its `error`. Raises nothing: whatever happens is said to the images' requests."""
        ways: dict[Any, list[Item]] = {}
        for item in work.items:
            ways.setdefault(WAYS.get(type(item.image), Filler._compressed), []).append(item)
        for way, items in ways.items():
            try:
                way(self, items, work.rung)
            except ServeError as error:
                self._all(items, error)
            except Exception:
                log.exception("preprocessing failed")
                self._all(items, ServeError("preprocessing failed; the server's log says why"))

    @staticmethod
    def _all(items: list[Item], error: ServeError) -> None:
        for item in items:
            item.error = error

    def _compressed(self, items: list[Item], rung: int) -> None:
        first, count = items[0].slot, len(items)
        if items[-1].slot != first + count - 1:  # others lie between them
            for item in items:
                self._compressed([item], rung)
            return
        out = self._slots[first] if count == 1 else self._memory[first : first + count]
        result = self._preprocessors[rung].run([item.image for item in items], out=out, on_error="fill")
        for item, record in zip(items, result.images, strict=True):
            item.record = record
            if not record.ok:
                error = record.error
                assert isinstance(error, ImageError)
                item.error = ImageRefused.of(error)

    def _pixels(self, items: list[Item], rung: int) -> None:
        for item in items:
            try:
                self._preprocessors[rung].run_pixels(item.image.array, out=self._slots[item.slot][0])
            except ImageError as error:
                item.error = ImageRefused.of(error)
            except (TypeError, ValueError) as error:
                item.error = BadRequest(str(error))

    def _prepared(self, items: list[Item], rung: int) -> None:
        import torch

        for item in items:
            slot, array = self._slots[item.slot][0], item.image.array
            if array.shape != tuple(slot.shape):
                item.error = BadRequest(f"the model takes {tuple(slot.shape)}, got {array.shape}")
                continue
            slot.copy_(torch.from_numpy(np.array(array, copy=not array.flags.writeable)))


WAYS: Mapping[type, Any] = {Pixels: Filler._pixels, Prepared: Filler._prepared}
