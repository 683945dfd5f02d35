"""What one request's trouble may cost the others, with a clock of the test's own."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

from fastpre.serve.errors import Overloaded
from fastpre.serve.scheduling.items import Batch, Job
from fastpre.serve.scheduling.measures import ServiceCurve
from fastpre.serve.scheduling.policy import Choice, Policy
from fastpre.serve.scheduling.scheduler import Scheduler

OUTPUTS = {"y": np.arange(32.0)}


def scheduler(largest: int = 16) -> Scheduler:
    return Scheduler(32, Choice(1, 0.0), Policy(Choice(largest, 0.0)), 64, 2, 1, 0)


def job(image: Any = b"", *, images: int = 1, deadline: float = float("inf")) -> Job:
    return Job([image] * images, lambda job: None, 0.0, deadline)


def add(s: Scheduler, jobs: list[Job]) -> None:
    """Takes jobs through preprocessing."""
    for one in jobs:
        s.add(one, 0.0)
    for _ in range(sum(len(one.items) for one in jobs)):
        work, _, _ = s.next_work(0.0)
        assert work is not None
        s.done_work(work, 0.0)


def batches(s: Scheduler, *poisonous: Job) -> list[Batch]:
    """Runs what is ready with a model that raises at these jobs' images; returns the batches."""
    poison = {id(item) for job in poisonous for item in job.items}
    ran: list[Batch] = []
    while s.ready:
        batch, _, _ = s.next_batch(1.0)
        assert batch is not None
        ran.append(batch)
        if any(id(item) in poison for item in batch.items):
            s.failed_batch(batch, RuntimeError("poison"), 1.0)
        else:
            s.done_batch(batch, OUTPUTS, 1.0)
    return ran


@pytest.mark.parametrize("at", [0, 7, 15])
def test_a_model_that_raises_is_the_answer_of_one_request_alone(at: int) -> None:
    s = scheduler()
    jobs = [job() for i in range(16)]
    add(s, jobs)
    ran = batches(s, jobs[at])
    assert [i for i, one in enumerate(jobs) if one.items[0].error is not None] == [at]
    assert all(one.left == 0 for one in jobs)
    assert len(ran) == 9  # all; two halves of the part that has it, four times
    assert (s.ready, s.running, s.slots.free) == (0, 0, 32)


def test_a_request_with_many_images_fails_as_a_whole_and_costs_nothing_more() -> None:
    s = scheduler()
    whole = job(images=8)
    add(s, [whole])
    assert len(batches(s, whole)) == 1
    assert all(item.error is not None for item in whole.items)


def test_suspects_do_not_mix_with_images_that_came_later() -> None:
    s = scheduler(4)
    jobs = [job() for _ in range(4)]
    add(s, jobs)
    batch, _, _ = s.next_batch(0.0)
    assert batch is not None
    s.failed_batch(batch, RuntimeError("poison"), 0.0)
    later = [job() for _ in range(4)]
    add(s, later)
    suspects = {id(item) for item in batch.items}
    for one in batches(s, jobs[0]):
        assert len({id(item) in suspects for item in one.items}) == 1
    assert [one.items[0].error is None for one in jobs + later] == [False] + [True] * 7


def test_a_slow_batch_does_not_refuse_all_that_come_later() -> None:
    s = scheduler()
    s.curve.add(1, 60.0)  # the model hung once
    first, second = job(deadline=10.0), job(deadline=10.0)
    s.add(first, 0.0)  # nothing is ahead of it: it is tried
    with pytest.raises(Overloaded):
        s.add(second, 0.0)
    work, _, _ = s.next_work(0.0)
    assert work is not None
    s.done_work(work, 0.0)
    batch, _, _ = s.next_batch(0.0)
    assert batch is not None
    s.done_batch(batch, OUTPUTS, 0.1)
    s.add(second, 0.2)


def test_a_hiccup_is_not_what_batches_take_from_now_on() -> None:
    curve = ServiceCurve()
    for _ in range(50):
        curve.add(8, 0.02)
    curve.add(8, 5.0)
    assert curve.seconds(8) < 0.03  # it believes only a part of it
    batches = 0
    while curve.seconds(8) < 1.0:  # it was none
        curve.add(8, 5.0)
        batches += 1
    assert 10 < batches < 300


class Watched:
    """An image of which is known whether it is there still."""


def test_requests_that_are_cancelled_leave_nothing_behind_though_no_slot_gets_free() -> None:
    s = scheduler()
    held = [job() for _ in range(32)]
    add(s, held)  # all slots are taken, and the model hangs
    stays = job()
    s.add(stays, 0.0)
    images = []
    for _ in range(1000):
        image = Watched()
        images.append(weakref.ref(image))
        gone = job(image)
        del image
        s.add(gone, 0.0)
        s.cancel(gone)
        del gone
    gc.collect()
    assert not [image for image in images if image() is not None]
    assert s.queued == 1
    assert len(s._queue) < 100
    assert s.next_work(0.0)[0] is None
    batches(s)
    add_one, _, _ = s.next_work(2.0)
    assert add_one is not None
    assert add_one.items == stays.items
