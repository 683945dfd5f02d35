"""What the loops ask of a protocol's client."""

from __future__ import annotations

from typing import Protocol

from .deck import Request

__all__ = ["Client", "Ticket"]


class Ticket:
    """One request on its way. Moments are of `time.monotonic`.

    Attributes:
        due: when it was to be sent: the arrival in an open loop, the moment its client was free in a closed one.
        handled: when the loop came to it.
        sent: when its first byte was handed to the operating system; 0: not yet.
        counted: not of the warm-up.
        held: it was due while `max_outstanding` requests had no answer.
        opened: a connection had to be opened for it.
    """

    __slots__ = ("counted", "due", "handled", "held", "opened", "place", "request", "sent")

    def __init__(self, request: Request, due: float, handled: float, counted: bool, held: bool) -> None:
        self.request = request
        self.due = due
        self.handled = handled
        self.sent = 0.0
        self.counted = counted
        self.held = held
        self.opened = False
        self.place: object = None  # where the client has it


class Client(Protocol):
    """Sends requests, and reports the end of each, once, through the function that it was made with."""

    async def open(self) -> None:
        """Gets ready."""

    def send(self, ticket: Ticket) -> None:
        """Sends a request, now. Its end may not be reported within this call."""

    def tick(self, now: float) -> None:
        """Called every 20 ms: gives up what has taken too long."""

    async def close(self) -> None:
        """Ends everything that is under way, without reports."""
