"""torchvision in the place of fastpre inside the same server, so that what fastpre takes back is one number.

The engine's `Filler` makes a `Preprocessor` and calls its `run` for compressed images. `replaced` puts a subclass in
that place, whose `run` is Pillow and torchvision on PIL images: the same values in every bit, which `overheads.py`
checks. All else is the same: admission, queue, threads, slots, batches, model, protocol. Benchmarks alone do this; the
product has one way to preprocess.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any
from unittest import mock

from PIL import Image
from torchvision import transforms

from fastpre import CorruptImage, Preprocessor, Spec

DONE = SimpleNamespace(ok=True, error=None, truncated=False)


def transform_of(spec: Spec) -> Any:
    """What model cards write for a Spec: Resize, CenterCrop, ToTensor, Normalize."""
    steps: list[Any] = []
    mode = transforms.InterpolationMode(spec.interpolation)
    if spec.resize is not None:
        steps.append(transforms.Resize(spec.resize, mode))
    if spec.crop is not None:
        steps.append(transforms.CenterCrop(spec.crop))
    steps.append(transforms.ToTensor())
    if spec.mean is not None:
        steps.append(transforms.Normalize(spec.mean, spec.std))
    return transforms.Compose(steps)


class TorchvisionPreprocessor(Preprocessor):
    """Takes the Specs that this benchmark has: RGB, float32."""

    def __init__(self, spec: Spec, *arguments: Any, **options: Any) -> None:
        super().__init__(spec, *arguments, **options)
        self._transform = transform_of(spec)

    def run(self, images: Sequence[Any], *, out: Any = None, **options: Any) -> Any:
        """Writes each image into its slot."""
        records = []
        for slot, data in zip(out, images, strict=True):
            try:
                slot.copy_(self._transform(Image.open(io.BytesIO(data)).convert("RGB")))
            except OSError as error:
                failed = CorruptImage(str(error))
                records.append(SimpleNamespace(ok=False, error=failed, truncated=False))
            else:
                records.append(DONE)
        return SimpleNamespace(tensor=out, images=records)


@contextlib.contextmanager
def replaced() -> Iterator[None]:
    """Engines that are made in the block preprocess with torchvision."""
    with mock.patch("fastpre.serve.engine.filling.Preprocessor", TorchvisionPreprocessor):
        yield
