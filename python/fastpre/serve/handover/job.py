"""What a worker process is told when it starts: which model to load, and where its batches come from."""

from __future__ import annotations

import dataclasses
import functools
import pickle
import traceback
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from ..model import Model
from . import ModelRaised

if TYPE_CHECKING:
    import numpy as np
    import torch

    from .channel import Channel

__all__ = ["Job", "Transport", "called", "failure_from", "failure_of", "pickled_factory"]

MOST_TEXT = 1 << 16


class Transport(Protocol):
    """How a worker gets batches and gives outputs back. It is pickled."""

    def connect(self, model: Model, channel: Channel) -> Callable[[], None]:
        """Gets ready to take batches; what it returns takes them, until the channel's other side is gone.

        Raises:
            Exception: there is no way to get batches: the worker ends.
        """


@dataclasses.dataclass(frozen=True)
class Job:
    """Everything that a worker has to know.

    Attributes:
        factory: `pickled_factory`'s; unpickled once the worker's modules are found where this process finds them.
        threads: of torch.
    """

    factory: bytes
    transport: Transport
    threads: int


def pickled_factory(factory: Callable[[], Model]) -> bytes:
    """A factory for another process: its import path and its arguments.

    Raises:
        ValueError: another process could not find it.
    """
    function: object = factory
    while isinstance(function, functools.partial):
        function = function.func
    module = getattr(function, "__module__", None) or type(function).__module__
    if module == "__main__":
        name = getattr(function, "__qualname__", type(function).__qualname__)
        raise ValueError(
            f"{name} makes the model in another process, which cannot import it from the script that was started: "
            "move it to a module"
        )
    try:
        return pickle.dumps(factory)
    except Exception as error:
        raise ValueError(
            f"the model's factory must be a function of a module, or functools.partial of one with arguments that can "
            f"be pickled: {error}"
        ) from None


def called(model: Model, batch: torch.Tensor) -> Mapping[str, np.ndarray[Any, Any]]:
    """What a model returns for a batch in host memory. The batch may be written to again as soon as this ends."""
    if model.device == "cpu":
        return model(batch)
    import torch

    device = torch.device(model.device)
    moved = batch.to(device, non_blocking=True)
    try:
        return model(moved)  # arrays in host memory: it has waited for the device
    except BaseException:
        if device.type == "cuda":
            torch.cuda.current_stream(device).synchronize()  # the copy may still be reading the batch
        raise


def failure_of(error: BaseException) -> bytes:
    """An exception as the body of a message: its type and text, and where it was raised."""
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    parts = (part.encode(errors="backslashreplace") for part in (text[:MOST_TEXT], trace[-MOST_TEXT:]))
    return b"\0".join(part.replace(b"\0", b"\\0") for part in parts)


def failure_from(body: bytes) -> ModelRaised:
    """The exception for the caller, from `failure_of`."""
    text, _, trace = body.partition(b"\0")
    return ModelRaised(text.decode(), trace.decode())
