"""Places that are kept in a queue: who gets them, in which order."""

from __future__ import annotations

import pytest

from fastpre.serve.errors import Overloaded, ServeError
from fastpre.serve.scheduling.items import Job
from fastpre.serve.scheduling.places import Places, Ticket
from fastpre.serve.scheduling.policy import Choice, Policy
from fastpre.serve.scheduling.scheduler import Scheduler

NEVER = float("inf")


def ticket(count: int, log: list[str], name: str) -> Ticket:
    def answer(error: ServeError | None) -> None:
        log.append(name if error is None else error.code)

    return Ticket(count, answer)


def granted(places: Places, free: int) -> int:
    found = places.grant(free)
    for each in found:
        each.answer(None)
    return len(found)


def test_lower_priorities_then_earlier_deadlines_then_earlier_comers() -> None:
    places, log = Places(), list[str]()
    for name, priority, deadline in (("d", 1, 1.0), ("c", 0, NEVER), ("a", 0, 2.0), ("b", 0, 2.0)):
        places.wait(ticket(1, log, name), priority, deadline)
    assert granted(places, 2) == 2
    assert granted(places, 9) == 2
    assert log == ["a", "b", "c", "d"]
    assert places.kept == 4


def test_the_first_of_the_line_is_not_overtaken() -> None:
    places, log = Places(), list[str]()
    places.wait(ticket(3, log, "large"), 0, NEVER)
    places.wait(ticket(1, log, "small"), 0, NEVER)
    assert places.wanted == 3
    assert granted(places, 2) == 0
    assert granted(places, 3) == 1
    assert (log, places.wanted) == (["large"], 1)


def test_what_is_dropped_is_skipped() -> None:
    places, log = Places(), list[str]()
    first = ticket(3, log, "first")
    places.wait(first, 0, NEVER)
    places.wait(ticket(1, log, "second"), 0, NEVER)
    first.dropped = True
    assert granted(places, 1) == 1
    assert log == ["second"]
    assert places.wanted == 0
    assert granted(places, 9) == 0


def test_clearing_leaves_nothing_waiting() -> None:
    places, log = Places(), list[str]()
    dropped = ticket(1, log, "dropped")
    places.wait(dropped, 0, NEVER)
    places.wait(ticket(1, log, "waits"), 0, NEVER)
    dropped.dropped = True
    assert len(places.clear()) == 1
    assert places.wanted == 0


def test_a_queue_counts_what_is_kept_and_what_is_waited_for() -> None:
    scheduler = Scheduler(1, Choice(1, 0.0), Policy(Choice(1, 0.0)), 4, 1, 1, 0)
    log: list[str] = []

    def job(count: int) -> Job:
        return Job([b""] * count, lambda job: None, 0.0)

    scheduler.keep(3, NEVER, 0.0)
    with pytest.raises(Overloaded):
        scheduler.keep(2, NEVER, 0.0)
    with pytest.raises(Overloaded):
        scheduler.add(job(2), 0.0)
    scheduler.add(job(3), 0.0, kept=True)
    assert (scheduler.queued, scheduler.places.kept) == (3, 0)
    scheduler.places.wait(ticket(2, log, "two"), 0, NEVER)
    assert scheduler.grant() == []
    with pytest.raises(Overloaded):  # the only place is for the one that waits
        scheduler.add(job(1), 0.0)
    scheduler.next_work(0.0)
    for each in scheduler.grant():
        each.answer(None)
    assert log == ["two"]
    assert scheduler.places.kept == 2
