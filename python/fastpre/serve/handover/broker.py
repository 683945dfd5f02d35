"""What the kinds with a broker between the processes share: batches and outputs as bytes, and who waits for whom.

A request is the batch's 20 bytes and its elements; a reply is a byte that says what follows, and that. Workers are
processes that this one starts and watches; only what they run goes by the broker.
"""

from __future__ import annotations

import abc
import contextlib
import itertools
import os
import struct
import threading
import urllib.parse
import uuid
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..model import Model
from . import WorkerDied
from .channel import Channel, Gone
from .description import Description
from .job import Job, Transport, called, failure_from, failure_of, pickled_factory
from .options import Options
from .tensors import BatchLayout, Outputs, outputs_at
from .workers import Workers

if TYPE_CHECKING:
    import torch

__all__ = ["Broker", "end_with", "failed", "new_name", "outputs_in", "place", "reply_to"]

OUTPUTS, RAISED, LOST = 0, 1, 2
TABLE_BYTES = struct.Struct("<I")


class Broker(abc.ABC):
    """The side of the process that has the batches; a subclass knows the broker.

    Attributes:
        workers: one process for each instance.
        options: how long they may take.
    """

    def __init__(self, factory: Callable[[], Model], transports: Sequence[Transport], options: Options) -> None:
        pickled, threads = pickled_factory(factory), options.worker_threads(len(transports))
        jobs = [Job(pickled, transport, threads) for transport in transports]
        self.workers = Workers(jobs, options, self.worker_ended)
        self.options = options
        self._instances = len(jobs)
        self._numbers = itertools.count(1)
        self._description: Description | None = None

    @property
    def instances(self) -> int:
        """How many batches run at a time."""
        return self._instances

    @property
    def description(self) -> Description:
        """What the model says of itself."""
        if self._description is None:
            raise RuntimeError("start() comes first")
        return self._description

    def start(self) -> None:
        """Connects, starts the workers, and returns when all have loaded the model."""
        try:
            self.connect()
            self._description = self.workers.start()
        except BaseException:
            self.close()
            raise

    def allocate(self, slots: int, shape: tuple[int, int, int], dtype: torch.dtype) -> torch.Tensor:
        """Memory of (slots, C, H, W): an ordinary tensor, which is copied on its way."""
        layout = BatchLayout.of(slots, shape, dtype, memory_format=self.description.spec.memory_format_name)
        return layout.tensor(bytearray(slots * layout.slot_bytes))

    def release(self, memory: torch.Tensor) -> None:  # noqa: B027
        """Does nothing: it is an ordinary tensor."""

    def run(self, memory: torch.Tensor, first: int, count: int, instance: int) -> Mapping[str, np.ndarray[Any, Any]]:
        """Sends slots [first, first + count) by the broker, and waits for what the model returns."""
        import torch

        if not 0 <= first < first + count <= len(memory):
            raise ValueError(f"slots {first} to {first + count} of {len(memory)}")
        self.workers.get(instance)
        memory_format = self.description.spec.memory_format_name
        shape = (memory.shape[1], memory.shape[2], memory.shape[3])
        layout = BatchLayout.of(count, shape, memory.dtype, memory_format=memory_format)
        slots = memory[first : first + count]
        if layout.channels_last:
            slots = slots.permute(0, 2, 3, 1)
        elements = slots.reshape(-1).view(torch.uint8).numpy().data
        return outputs_in(self.exchange(next(self._numbers), layout.header(), elements, instance))

    @property
    def ready(self) -> bool:
        """True if the broker answers and every instance has a worker that has loaded the model."""
        return self.connected and self.workers.ready()

    def close(self) -> None:
        """Ends the workers, removes what is left with the broker, and leaves it."""
        self.workers.close()
        self.disconnect()

    @property
    @abc.abstractmethod
    def connected(self) -> bool:
        """True if the broker answered last."""

    @abc.abstractmethod
    def connect(self) -> None:
        """Connects.

        Raises:
            WorkerDied: the broker is away.
        """

    @abc.abstractmethod
    def exchange(self, number: int, header: bytes, elements: memoryview, instance: int) -> bytes | memoryview:
        """Sends a batch and waits for the reply to it, which has its number.

        Raises:
            WorkerDied: as `Handover.run`.
        """

    @abc.abstractmethod
    def worker_ended(self, number: int, end: str) -> None:
        """A worker has ended; `end` says how. Called in another thread."""

    @abc.abstractmethod
    def disconnect(self) -> None:
        """Removes what is left with the broker, and closes the connections."""


def new_name() -> str:
    """For what one handover has with a broker."""
    return f"fastpre:{{{uuid.uuid4().hex[:12]}}}"  # braces: all of it is in one slot of a Redis cluster


def place(url: str) -> str:
    """A broker's host and port, without the password that may stand before them."""
    return urllib.parse.urlsplit(url).netloc.rpartition("@")[2]


def reply_to(model: Model, header: bytes, elements: Any, max_output_bytes: int) -> bytes:
    """Runs a model on a batch that came as bytes."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The given buffer is not writable")  # nothing else refers to it
            batch = BatchLayout.parse(header).tensor(elements)
        outputs = Outputs(called(model, batch))
        if outputs.size > max_output_bytes:
            raise ValueError(
                f"the model returned {outputs.size} bytes for one batch; max_output_bytes is {max_output_bytes}"
            )
        begin = bytes([OUTPUTS]) + TABLE_BYTES.pack(len(outputs.table)) + outputs.table
        return b"".join([begin, outputs.to_bytes()])
    except Exception as error:
        return bytes([RAISED]) + failure_of(error)


def failed(end: str) -> bytes:
    """The reply for a worker that cannot give one any more."""
    return bytes([LOST]) + end.encode()


def outputs_in(reply: bytes | memoryview) -> dict[str, np.ndarray[Any, Any]]:
    """What a reply says.

    Raises:
        ModelRaised, WorkerDied: that.
    """
    what, rest = reply[0], memoryview(reply)[1:]
    if what == LOST:
        raise WorkerDied(str(rest, "utf-8"))
    if what == RAISED:
        raise failure_from(bytes(rest))
    (table_bytes,) = TABLE_BYTES.unpack_from(rest)
    behind = TABLE_BYTES.size + table_bytes
    return outputs_at(bytes(rest[TABLE_BYTES.size : behind]), rest[behind:])


def end_with(channel: Channel) -> None:
    """Ends this process when the other end of the channel is closed."""

    def wait() -> None:
        with contextlib.suppress(Gone):
            channel.receive()
        os._exit(0)

    threading.Thread(target=wait, name="fastpre-end", daemon=True).start()
