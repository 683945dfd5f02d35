"""What the parts of the gRPC server know of its state and limits."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

from ..errors import ServeError
from ..holding import Holding
from ..inference import Service

__all__ = ["Limits", "State"]


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of what one call may take.

    Attributes:
        message_bytes: of one message that arrives, decompressed; also of one request's inputs in shared memory.
        body_s: seconds within which a request's message must have arrived.
        streamed: requests of one stream that are worked on at a time.
        calls: inferences and streams at a time, half of them streams at most; probes and descriptions are always
            answered.
    """

    message_bytes: int
    body_s: float
    streamed: int
    calls: int


@dataclasses.dataclass(slots=True)
class State:
    """Shared by the calls of one server.

    Attributes:
        admit: says of each inference, before its message is read, why it is refused, if it is.
        holding: of all messages that are worked on together.
        answers: of all that clients have not taken yet.
        refused: told of each error that an inference gets as its answer.
        draining: set once no more work is taken.
        running: the tasks of inferences and streams.
        streams: how many of these are streams.
    """

    service: Service
    admit: Callable[[], ServeError | None]
    limits: Limits
    holding: Holding
    answers: Holding
    refused: Callable[[ServeError], None] = lambda _: None
    draining: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    running: set[asyncio.Task[Any]] = dataclasses.field(default_factory=set)
    streams: int = 0

    @property
    def ready(self) -> bool:
        """True if inferences are taken."""
        return self.service.ready and not self.draining.is_set()

    @contextlib.contextmanager
    def run(self, *, stream: bool = False) -> Iterator[None]:
        """The task that enters belongs to a call that runs."""
        task = asyncio.current_task()
        assert task is not None
        self.running.add(task)
        self.streams += stream
        try:
            yield
        finally:
            self.streams -= stream
            self.running.discard(task)
