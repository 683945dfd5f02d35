"""Decodes the batches that workers have packed."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from .. import _core
from .._backend.arguments import check_on_error
from ..errors import ImageError
from ..preprocessor import Preprocessor
from ..spec import OnError
from .compressed import Compressed, select, with_first

__all__ = ["Decoded", "Decoder"]


class Decoded(NamedTuple):
    """A batch as the user gets it.

    Attributes:
        tensor: (N, C, H, W).
        value: the tensor, or where samples have targets, these with the tensor first.
        errors: what was wrong with the images that were skipped or filled.
        ready: on CUDA, when decoded on a stream that is not the consumer's: what the consumer's must wait for.
    """

    tensor: torch.Tensor
    value: Any
    errors: list[ImageError]
    ready: torch.cuda.Event | None = None


class Decoder:
    """Decodes packed batches. It pickles unless it has a `cancellation`, which ends its calls from another thread."""

    def __init__(
        self,
        preprocessor: Preprocessor,
        on_error: OnError,
        fill: float,
        cancellation: _core.Cancellation | None = None,
    ) -> None:
        check_on_error(on_error)
        self.preprocessor = preprocessor
        self.on_error: OnError = on_error
        self.fill = float(fill)
        self.cancellation = cancellation

    def __repr__(self) -> str:
        policy = f"on_error={self.on_error!r}" + (f", fill={self.fill}" if self.on_error == "fill" else "")
        return f"Decoder({self.preprocessor!r}, {policy})"

    def __call__(self, batch: Compressed, out: torch.Tensor | None = None) -> Decoded:
        """The batch with its images decoded; those that are skipped take their targets with them."""
        try:
            call = self.preprocessor._call(self.fill, cancellation=self.cancellation)
            result = self.preprocessor._run(batch.images, out, self.on_error, call)
        except ImageError as error:
            batch.locate(error)
            raise
        errors = [batch.locate(error) for error in result.errors if isinstance(error, ImageError)]
        rest = batch.rest
        if rest is None:
            return Decoded(result.tensor, result.tensor, errors)
        if len(result.indices) < len(batch.images):
            rest = select(rest, result.indices)
        return Decoded(result.tensor, with_first(rest, result.tensor), errors)
