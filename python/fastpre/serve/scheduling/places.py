"""Places in a queue that are kept for images which are still on their way to it."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable

from ..errors import ServeError

__all__ = ["Places", "Ticket", "answer"]


class Ticket:
    """A wish for places.

    Attributes:
        count: how many.
        answer: called once, with None: the places are kept; or with the reason why there will be none.
        dropped: nothing waits for the answer any more.
    """

    __slots__ = ("answer", "count", "dropped")

    def __init__(self, count: int, answer: Callable[[ServeError | None], None]) -> None:
        self.count = count
        self.answer = answer
        self.dropped = False


def answer(tickets: Iterable[Ticket], error: ServeError | None = None) -> None:
    """Answers each of them; without a lock, because an answer goes on to the next stage."""
    for ticket in tickets:
        ticket.answer(error)


class Places:
    """Places that are kept, and the line of those who wait for some. Not locked.

    A stage that feeds another one keeps places there before it begins, and waits if there are none: so a full queue
    downstream stops what is upstream, and no image is refused half-way.

    Attributes:
        kept: places for images that will come.
    """

    def __init__(self) -> None:
        self.kept = 0
        self._line: list[tuple[int, float, int, Ticket]] = []
        self._sequence = 0

    def wait(self, ticket: Ticket, priority: int, deadline: float) -> None:
        """Puts a ticket into the line: lower priorities first, then earlier deadlines, then earlier comers."""
        heapq.heappush(self._line, (priority, deadline, self._sequence, ticket))
        self._sequence += 1

    @property
    def wanted(self) -> int:
        """Places that the first of the line waits for. No one image takes them: many would starve it."""
        while self._line and self._line[0][3].dropped:
            heapq.heappop(self._line)
        return self._line[0][3].count if self._line else 0

    def grant(self, free: int) -> list[Ticket]:
        """The tickets that have their places now.

        Args:
            free: places of the queue that are neither taken nor kept.
        """
        granted: list[Ticket] = []
        while 0 < self.wanted <= free:
            ticket = heapq.heappop(self._line)[3]
            self.kept += ticket.count
            free -= ticket.count
            granted.append(ticket)
        return granted

    def clear(self) -> list[Ticket]:
        """Everything that waits, which waits no longer."""
        waiting = [entry[3] for entry in self._line if not entry[3].dropped]
        self._line = []
        return waiting
