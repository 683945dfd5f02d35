"""The model in processes of its own, which read the batch where it was written.

Slots lie in memory that both sides have mapped; a message says which of them to run. What the model returns is written
to memory that the worker makes, and makes anew when a batch returns more than fits.
"""

from __future__ import annotations

import collections
import itertools
import struct
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..model import Model
from . import WorkerDied
from .area import Area
from .channel import Channel, Gone, Kind
from .description import Description
from .job import Job, called, failure_from, failure_of, pickled_factory
from .keeper import Worker
from .options import Options
from .tensors import BatchLayout, Outputs, outputs_at
from .workers import Workers

if TYPE_CHECKING:
    import torch

__all__ = ["SharedMemory"]

REGION = struct.Struct("<QQ")  # number, size in bytes; then the layout, in MAP
RUN = struct.Struct("<QII")  # region, first slot, slots
SIZE = struct.Struct("<Q")  # of the outputs' memory; then their table
LEAST_OUTPUT_BYTES = 1 << 20


class Region:
    """Memory of slots.

    Attributes:
        number: never given twice.
    """

    numbers = itertools.count(1)

    def __init__(self, layout: BatchLayout) -> None:
        self.number = next(self.numbers)
        self.layout = layout
        self.area = Area.create(layout.slots * layout.slot_bytes)


class Link:
    """What one instance shares with its worker.

    Attributes:
        worker: whose regions and outputs they are; another one begins with none.
        lock: of the worker's channel.
        released: numbers of regions that the worker may still have mapped.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.released: collections.deque[int] = collections.deque()
        self.worker: Worker | None = None
        self.mapped: set[int] = set()
        self.outputs: Area | None = None

    def follow(self, worker: Worker) -> None:
        """Begins anew if the worker is another one."""
        if self.worker is not worker:
            self.leave()
            self.worker = worker

    def leave(self) -> None:
        """Forgets the worker."""
        self.worker = None
        self.mapped = set()
        if self.outputs is not None:
            self.outputs.close()
            self.outputs = None

    def share(self, region: Region, channel: Channel) -> None:
        """Sees to it that the worker has the region, and none that was released."""
        while self.released:
            number = self.released.popleft()
            if number in self.mapped:
                self.mapped.remove(number)
                channel.ask(Kind.FORGET, REGION.pack(number, 0))
        if region.number not in self.mapped:
            body = REGION.pack(region.number, region.area.size) + region.layout.header()
            kind, answer, _ = channel.ask(Kind.MAP, body, region.area.fd)
            if kind == Kind.RAISED:
                raise failure_from(answer)
            self.mapped.add(region.number)


class SharedMemory:
    """Worker processes, one for each instance, over memory that they share with this one."""

    def __init__(self, factory: Callable[[], Model], *, instances: int = 1, options: Options | None = None) -> None:
        options = options or Options()
        job = Job(
            pickled_factory(factory), SharedMemoryTransport(options.max_output_bytes), options.worker_threads(instances)
        )
        self._options = options
        self._workers = Workers([job] * instances, options)
        self._links = [Link() for _ in range(instances)]
        self._regions: dict[int, Region] = {}  # by address
        self._description: Description | None = None

    @property
    def instances(self) -> int:
        """How many batches run at a time."""
        return len(self._links)

    @property
    def description(self) -> Description:
        """What the model says of itself."""
        if self._description is None:
            raise RuntimeError("start() comes first")
        return self._description

    def start(self) -> None:
        """Starts the workers, and returns when all have loaded the model."""
        self._description = self._workers.start()

    def allocate(self, slots: int, shape: tuple[int, int, int], dtype: torch.dtype) -> torch.Tensor:
        """Memory of (slots, C, H, W) that workers can map. It is not pinned, on whichever device the model runs."""
        name = self.description.spec.memory_format_name
        layout = BatchLayout.of(slots, shape, dtype, memory_format=name)
        region = Region(layout)
        memory = layout.tensor(region.area.map)
        self._regions[memory.data_ptr()] = region
        return memory

    def release(self, memory: torch.Tensor) -> None:
        """Gives memory back; the last tensor that refers to it has to go as well. No batch of it may be running."""
        region = self._regions.pop(memory.data_ptr())
        region.area.close()
        for link in self._links:
            link.released.append(region.number)  # the worker is told before its next batch

    def run(self, memory: torch.Tensor, first: int, count: int, instance: int) -> Mapping[str, np.ndarray[Any, Any]]:
        """Runs the model on slots [first, first + count) in the instance's worker."""
        region = self._regions.get(memory.data_ptr())
        if region is None:
            raise ValueError("the memory is not from allocate(), or has been released")
        if not 0 <= first < first + count <= region.layout.slots:
            raise ValueError(f"slots {first} to {first + count} of {region.layout.slots}")
        link = self._links[instance]
        with link.lock:
            worker = self._workers.get(instance)
            link.follow(worker)
            try:
                link.share(region, worker.channel)
                kind, body, fd = worker.channel.ask(Kind.RUN, RUN.pack(region.number, first, count))
            except Gone:
                end = self._workers.lose(instance, worker)
                raise WorkerDied(f"worker {instance} {end}") from None
            except TimeoutError:
                self._workers.lose(instance, worker, kill=True)
                raise WorkerDied(
                    f"worker {instance} was killed: it did not answer within {self._options.timeout_s:g} s"
                ) from None
            except BaseException:  # Ctrl-C: the answer would be taken for that of the next batch
                self._workers.lose(instance, worker, kill=True)
                raise
            if kind == Kind.RAISED:
                raise failure_from(body)
            (size,) = SIZE.unpack_from(body)
            if fd is not None:
                if link.outputs is not None:
                    link.outputs.close()
                link.outputs = Area(fd, size)
            assert link.outputs is not None
            return outputs_at(body[SIZE.size :], link.outputs.map)

    @property
    def ready(self) -> bool:
        """True if every instance has a worker that has loaded the model."""
        return self._workers.ready()

    def close(self) -> None:
        """Ends the workers. Memory stays until it is released and the last tensor that refers to it goes."""
        self._workers.close()
        for link in self._links:
            with link.lock:
                link.leave()
        for region in self._regions.values():
            region.area.close()


class SharedMemoryTransport:
    """The worker's side."""

    def __init__(self, max_output_bytes: int) -> None:
        self._max_output_bytes = max_output_bytes

    def connect(self, model: Model, channel: Channel) -> Callable[[], None]:
        """There is nothing to do before the first batch."""
        return lambda: self._serve(model, channel)

    def _serve(self, model: Model, channel: Channel) -> None:
        regions: dict[int, torch.Tensor] = {}
        outputs = Room(self._max_output_bytes)
        while True:
            kind, body, fd = channel.receive()
            try:
                if kind == Kind.RUN:
                    number, first, count = RUN.unpack(body)
                    found = Outputs(called(model, regions[number][first : first + count]))
                    answer = Kind.OUTPUTS, *outputs.hold(found)
                elif kind == Kind.MAP:
                    assert fd is not None
                    number, size = REGION.unpack_from(body)
                    area = Area(fd, size)
                    area.close()
                    regions[number] = BatchLayout.parse(body[REGION.size :]).tensor(area.map)
                    answer = Kind.DONE, b"", None
                else:
                    del regions[REGION.unpack(body)[0]]
                    answer = Kind.DONE, b"", None
            except Exception as error:
                answer = Kind.RAISED, failure_of(error), None
            channel.send(*answer)


class Room:
    """The memory that outputs go to, as much as the largest batch so far needed."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._area: Area | None = None

    def hold(self, outputs: Outputs) -> tuple[bytes, int | None]:
        """Writes outputs; returns the message's body, and a descriptor if the memory is new.

        Raises:
            ValueError: they are more than `max_bytes`.
        """
        if outputs.size > self._max_bytes:
            raise ValueError(
                f"the model returned {outputs.size} bytes for one batch; max_output_bytes is {self._max_bytes}"
            )
        if self._area is not None and outputs.size <= self._area.size:
            outputs.write(self._area.map)
            return SIZE.pack(self._area.size) + outputs.table, None
        area = Area.create(max(LEAST_OUTPUT_BYTES, 1 << (outputs.size - 1).bit_length()))
        outputs.write(area.map)
        if self._area is not None:
            self._area.close()
        self._area = area
        return SIZE.pack(area.size) + outputs.table, area.fd
