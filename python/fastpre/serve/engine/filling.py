"""Images into slots of the batch memory."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ImageError
from ...preprocessor import Preprocessor
from ...spec import Spec
from ..errors import BadRequest, ImageRefused, ServeError
from ..scheduling.items import Item, Pixels, Prepared, Work
from .cropping import Crop, Cropper

if TYPE_CHECKING:
    import torch

__all__ = ["Filler"]

log = logging.getLogger(__name__)


class Filler:
    """Writes images into the memory of one model.

    Args:
        specs: one for each rung of the ladder, full quality first.
        device: where to preprocess, as `Preprocessor` takes it.
        memory: (slots, C, H, W).
    """

    def __init__(self, specs: Sequence[Spec], device: str, memory: torch.Tensor) -> None:
        whole = [Preprocessor(spec, device, num_threads=1) for spec in specs]
        partial = [Preprocessor(spec.replace(truncated="partial"), device, num_threads=1) for spec in specs]
        self._preprocessors = {False: whole, True: partial}
        self._croppers = {preprocessor: Cropper(preprocessor) for preprocessor in (*whole, *partial)}
        self._memory = memory
        self._slots = [memory[i : i + 1] for i in range(len(memory))]

    def fill(self, work: Work) -> None:
        """Writes each image, or sets its `error`. Raises nothing: whatever happens is said to the images' requests."""
        groups: dict[Any, list[Item]] = {}
        for item in work.items:
            way = WAYS.get(type(item.image), Filler._compressed)
            groups.setdefault((way, item.job.partial, item.rung), []).append(item)
        for (way, partial, rung), items in groups.items():
            try:
                way(self, items, self._preprocessors[partial][rung])
            except ServeError as error:
                self._all(items, error)
            except Exception:
                log.exception("preprocessing failed")
                self._all(items, ServeError("preprocessing failed; the server's log says why"))

    @staticmethod
    def _all(items: list[Item], error: ServeError) -> None:
        for item in items:
            item.error = error

    def _compressed(self, items: list[Item], preprocessor: Preprocessor) -> None:
        first, count = items[0].slot, len(items)
        if items[-1].slot != first + count - 1:  # others lie between them
            for item in items:
                self._compressed([item], preprocessor)
            return
        out = self._slots[first] if count == 1 else self._memory[first : first + count]
        result = preprocessor.run([item.image for item in items], out=out, on_error="fill")
        for item, record in zip(items, result.images, strict=True):
            item.record = record
            if not record.ok:
                error = record.error
                assert isinstance(error, ImageError)
                item.error = ImageRefused.of(error)

    def _pixels(self, items: list[Item], preprocessor: Preprocessor) -> None:
        for item in items:
            try:
                preprocessor.run_pixels(item.image.array, out=self._slots[item.slot][0])
            except ImageError as error:
                item.error = ImageRefused.of(error)
            except (TypeError, ValueError) as error:
                item.error = BadRequest(str(error))

    def _crops(self, items: list[Item], preprocessor: Preprocessor) -> None:
        for item in items:
            try:
                item.record = self._croppers[preprocessor].write(item.image, self._slots[item.slot])
            except ImageError as error:
                item.error = ImageRefused.of(error)

    def _prepared(self, items: list[Item], preprocessor: Preprocessor) -> None:
        import torch

        for item in items:
            slot, array = self._slots[item.slot][0], item.image.array
            if array.shape != tuple(slot.shape):
                item.error = BadRequest(f"the model takes {tuple(slot.shape)}, got {array.shape}")
                continue
            slot.copy_(torch.from_numpy(np.array(array, copy=not array.flags.writeable)))


WAYS: Mapping[type, Any] = {Pixels: Filler._pixels, Prepared: Filler._prepared, Crop: Filler._crops}
