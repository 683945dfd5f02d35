"""Decodes the batches that workers have packed."""

from __future__ import annotations

import os
import time
from typing import Any, NamedTuple

import torch

from .. import _core
from .._backend.arguments import check_on_error
from .._backend.call import Call
from ..augment import Compose
from ..errors import ImageError
from ..preprocessor import Preprocessor
from ..result import Result
from ..spec import OnError
from .compressed import Compressed, select, with_first
from .finishing import finish
from .state import Arrived
from .transformed import Ready, Waiting

__all__ = ["Decoded", "Decoder", "Tally"]


class Tally(NamedTuple):
    """What a batch took.

    Attributes:
        images: bad ones included.
        bytes: of the compressed images, as far as they could be had.
        seconds: of the call that decoded.
        stages_us: microseconds of threads, by stage.
    """

    images: int
    bytes: int
    seconds: float
    stages_us: dict[str, float]


class Decoded(NamedTuple):
    """A batch as the user gets it.

    Attributes:
        tensor: (N, C, H, W).
        value: the tensor, or where samples have targets, these with the tensor first.
        errors: what was wrong with the images that failed.
        tally: for `Stats`.
        arrived: as in `Compressed`.
        ready: on CUDA, when decoded on a stream that is not the consumer's: what the consumer's must wait for.
    """

    tensor: torch.Tensor
    value: Any
    errors: list[ImageError]
    tally: Tally
    arrived: Arrived | None
    ready: torch.cuda.Event | None = None


class Decoder:
    """Decodes packed batches. It pickles unless it has a `cancellation`, which ends its calls from another thread.

    Args:
        augment: random geometry.
        seeded: it is drawn from the batch's seeds; else from torch's default generator.
    """

    def __init__(
        self,
        preprocessor: Preprocessor,
        on_error: OnError,
        fill: float,
        cancellation: _core.Cancellation | None = None,
        *,
        augment: Compose | None = None,
        seeded: bool = False,
    ) -> None:
        check_on_error(on_error)
        self.augment = augment
        self.seeded = seeded
        self.preprocessor = preprocessor
        self.on_error: OnError = on_error
        self.fill = float(fill)
        self.cancellation = cancellation

    def __repr__(self) -> str:
        policy = f"on_error={self.on_error!r}" + (f", fill={self.fill}" if self.on_error == "fill" else "")
        policy += "" if self.augment is None else f", augment={self.augment!r}"
        return f"Decoder({self.preprocessor!r}, {policy})"

    def __call__(self, batch: Compressed, out: torch.Tensor | None = None) -> Decoded:
        """The batch with its images decoded; those that are skipped take their targets with them.

        Raises:
            ImageError: with on_error="raise", the first image's.
        """
        decoded = self.attempt(batch, out)
        if self.on_error == "raise" and decoded.errors:
            raise decoded.errors[0]
        return decoded

    def attempt(self, batch: Compressed, out: torch.Tensor | None = None) -> Decoded:
        """The same, but with on_error="raise" the errors of all images, so that a report can name each."""
        began = time.perf_counter()
        call = self.preprocessor._call(self.fill, cancellation=self.cancellation)
        on_error = "fill" if self.on_error == "raise" else self.on_error
        result = self._result(batch, out, on_error, call)
        errors = [batch.locate(error) for error in result.errors if isinstance(error, ImageError)]
        rest, value = batch.rest, result.tensor
        if rest is not None:
            if len(result.indices) < len(batch.images):
                rest = select(rest, result.indices)
            value = with_first(rest, result.tensor)
        return Decoded(result.tensor, value, errors, _tally(batch, result, time.perf_counter() - began), batch.arrived)

    def with_preprocessor(self, preprocessor: Preprocessor, cancellation: _core.Cancellation) -> Decoder:
        """The same for another device, and with calls that can be ended."""
        how: dict[str, Any] = {"augment": self.augment, "seeded": self.seeded}
        return Decoder(preprocessor, self.on_error, self.fill, cancellation, **how)

    def _result(self, batch: Compressed, out: torch.Tensor | None, on_error: OnError, call: Call) -> Result[Any]:
        if any(isinstance(image, (Waiting, Ready)) for image in batch.images):
            return finish(self.preprocessor, batch.images, batch.names, on_error, call)
        seeds = batch.seeds() if self.seeded and self.augment is not None else None
        return self.preprocessor._run(batch.images, out, on_error, call, self.augment, seeds)


def _tally(batch: Compressed, result: Result[Any], seconds: float) -> Tally:
    stages_us: dict[str, float] = {}
    for image in result.images:
        for stage, spent in image.stages_us.items():
            stages_us[stage] = stages_us.get(stage, 0.0) + spent
    return Tally(len(batch.images), sum(map(_size, batch.images)), seconds, stages_us)


def _size(image: Any) -> int:
    if isinstance(image, Waiting):
        image = image.data
    if isinstance(image, bytes):
        return len(image)
    try:
        return os.stat(image).st_size if isinstance(image, str) else 0
    except (OSError, ValueError):  # gone, or no path at all: an error by now
        return 0
