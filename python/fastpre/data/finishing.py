"""A batch of images whose transform has begun: those that wait are decoded in one call."""

from __future__ import annotations

from typing import Any

import torch

from .._backend.call import Call
from ..augment.batch import Drawn
from ..preprocessor import Preprocessor
from ..result import Fields, ImageResult, Result
from ..spec import OnError, layout
from .transformed import Ready, Waiting

__all__ = ["finish"]


def finish(
    preprocessor: Preprocessor, images: list[Any], names: list[str | None], on_error: OnError, call: Call
) -> Result[Any]:
    """The batch.

    Args:
        images: `Waiting`, `Ready`, or what a call makes an error of.
        on_error: "fill" or "skip".
    """
    ready = {row: image.tensor for row, image in enumerate(images) if isinstance(image, Ready)}
    rest = [row for row in range(len(images)) if row not in ready]
    items = [image.data if isinstance(image, Waiting) else image for image in images]
    draws = [image.draw if isinstance(image, Waiting) else None for image in images]
    drawn = Drawn([items[row] for row in rest], [draws[row] for row in rest], 1)
    named = [names[row] for row in rest]
    if not ready:
        return preprocessor._execute(drawn, named, None, on_error, call)
    like = next(iter(ready.values()))
    for row, image in ready.items():
        if image.shape != like.shape or image.dtype != like.dtype:
            raise ValueError(f"{names[row]}: {_said(image)}, where others of its batch are {_said(like)}")
    out: Any = None
    if not any(draws):  # nothing else says how large the errors' slots are
        new = layout(preprocessor.spec, len(rest), (like.shape[1], like.shape[2]))
        out = preprocessor._device.allocate(new, preprocessor.pin_memory).value
    decoded = preprocessor._execute(drawn, named, out, "fill", call)
    tensor = torch.empty(
        (len(images), *like.shape),
        dtype=like.dtype,
        device=decoded.tensor.device,
        memory_format=preprocessor.spec.memory_format,
        pin_memory=preprocessor.pin_memory,
    )
    for row, image in ready.items():
        tensor[row] = image
    for row, result, image in zip(rest, decoded.images, decoded.tensor, strict=True):
        if result.ok and (image.shape != like.shape or image.dtype != like.dtype):
            raise ValueError(f"{names[row]}: {_said(image)}, where others of its batch are {_said(like)}")
        tensor[row] = image if result.ok else call.fill
    pairs = zip(rest, decoded.images, strict=True)
    found = {row: ImageResult(row, result._record, names[row], result.draws) for row, result in pairs}
    done = Fields(ok=True, decoder="transform")
    results = [found.get(row) or ImageResult(row, done, names[row]) for row in range(len(images))]
    kept = [result.index for result in results if result.ok or on_error == "fill"]
    return Result(tensor if len(kept) == len(images) else tensor[kept], results, kept)


def _said(image: torch.Tensor) -> str:
    return f"{str(image.dtype).removeprefix('torch.')} {tuple(image.shape)}"
