"""What is done when, with a clock of the test's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastpre.serve.errors import DeadlinePassed, Draining, Overloaded, WorkerLost
from fastpre.serve.scheduling.items import Batch, Item, Job, State, Work
from fastpre.serve.scheduling.policy import Choice, Policy
from fastpre.serve.scheduling.scheduler import Scheduler

GREEDY = Policy(Choice(8, 0.0))


def scheduler(policy: Policy = GREEDY, *, slots: int = 16, before: Choice | None = None, **more: Any) -> Scheduler:
    knobs = {"queue_limit": 8, "threads": 2, "instances": 1, "cores": 0, **more}
    return Scheduler(slots, Choice(1, 0.0) if before is None else before, policy, **knobs)


def job(images: int = 1, *, at: float = 0.0, deadline: float = float("inf"), priority: int = 0) -> Job:
    return Job([b""] * images, lambda job: None, at, deadline, priority)


def work(s: Scheduler, now: float) -> Work:
    found, _, ended = s.next_work(now)
    assert found is not None
    assert ended == []
    return found


def batch(s: Scheduler, now: float) -> Batch:
    found, _, _ = s.next_batch(now)
    assert found is not None
    return found


def preprocess(s: Scheduler, count: int, now: float) -> list[Item]:
    """Takes `count` images through preprocessing at once."""
    done = [work(s, now) for _ in range(count)]
    for one in done:
        assert s.done_work(one, now) == []
    return [item for one in done for item in one.items]


OUTPUTS = {"y": np.arange(8.0)}


def test_one_image_goes_through() -> None:
    s, one = scheduler(), job()
    s.add(one, 0.0)
    assert (s.queued, s.preprocessing) == (1, 0)
    piece = work(s, 1.0)
    assert (s.queued, s.preprocessing, s.slots.free) == (0, 1, 15)
    assert s.next_batch(1.5) == (None, None, [])
    assert s.done_work(piece, 2.0) == []
    found = batch(s, 3.0)
    assert (found.first, found.items, found.moves, s.running) == (0, one.items, (), 1)
    assert s.done_batch(found, OUTPUTS, 5.0) == [one]
    item = one.items[0]
    assert (item.begun, item.ready, item.run, item.finished) == (1.0, 2.0, 3.0, 5.0)
    assert item.result()["y"].tolist() == [0.0]
    assert (s.running, s.slots.free, item.state) == (0, 16, State.DONE)
    assert s.curve.seconds(1) == 2.0


def test_priorities_then_deadlines_then_arrivals() -> None:
    s = scheduler()
    jobs = [job(priority=1), job(deadline=9.0), job(deadline=5.0), job(deadline=9.0), job(priority=-1)]
    for one in jobs:
        s.add(one, 0.0)
    order = [work(s, 0.0).items[0].job for _ in jobs]
    assert order == [jobs[4], jobs[2], jobs[1], jobs[3], jobs[0]]


def test_work_begins_only_if_there_is_a_slot_downstream() -> None:
    s = scheduler(Policy(Choice(2, 0.0)), slots=2)
    for _ in range(3):
        s.add(job(), 0.0)
    preprocess(s, 2, 0.0)
    assert s.next_work(0.0) == (None, None, [])
    found = batch(s, 0.0)
    assert s.next_work(0.0)[0] is None  # the model reads the slots still
    s.done_batch(found, OUTPUTS, 1.0)
    assert s.next_work(1.0)[0] is not None


def test_a_full_queue_refuses_at_once_and_a_request_counts_by_its_images() -> None:
    s = scheduler()
    s.add(job(5), 0.0)
    with pytest.raises(Overloaded, match="5 images wait, of 8"):
        s.add(job(4), 0.0)
    s.add(job(3), 0.0)
    with pytest.raises(Overloaded) as caught:
        s.add(job(), 0.0)
    assert caught.value.retry_after_s is not None
    work(s, 0.0)
    s.add(job(), 0.0)  # there is room again


def test_a_request_that_would_be_late_is_refused_at_once() -> None:
    s = scheduler()
    s.curve.add(1, 0.1)
    for _ in range(5):
        s.add(job(), 0.0)
    with pytest.raises(Overloaded, match="longer than the request's timeout"):
        s.add(job(deadline=0.4), 0.0)
    s.add(job(deadline=1.0), 0.0)


def test_what_is_too_late_is_not_begun() -> None:
    s, late, good = scheduler(), job(deadline=1.0), job(deadline=3.0)
    s.add(late, 0.0)
    s.add(good, 0.0)
    found, _, ended = s.next_work(2.0)
    assert ended == [late]
    assert isinstance(late.items[0].error, DeadlinePassed)
    assert found is not None
    assert found.items == good.items
    s.done_work(found, 2.0)
    assert s.next_batch(4.0) == (None, None, [good])
    assert (s.queued, s.preprocessing, s.ready, s.slots.free) == (0, 0, 0, 16)


def test_a_bad_image_costs_only_its_own_request() -> None:
    s, good, bad = scheduler(), job(2), job()
    s.add(good, 0.0)
    s.add(bad, 0.0)
    pieces = [work(s, 0.0) for _ in range(3)]
    pieces[2].items[0].error = ValueError("no image")
    assert [s.done_work(piece, 1.0) for piece in pieces] == [[], [], [bad]]
    found = batch(s, 1.0)
    assert found.items == good.items
    assert s.done_batch(found, OUTPUTS, 2.0) == [good]
    assert s.slots.free == 16


def test_a_job_ends_once_when_its_last_image_does() -> None:
    s, one = scheduler(Policy(Choice(1, 0.0))), job(3)
    s.add(one, 0.0)
    preprocess(s, 3, 0.0)
    ends = []
    for now in (1.0, 2.0, 3.0):
        ends.append(s.done_batch(batch(s, now), OUTPUTS, now))
    assert ends == [[], [], [one]]


def test_an_image_that_takes_long_holds_back_no_batch() -> None:
    s = scheduler(Policy(Choice(4, 10.0, patient=False)))
    s.preprocess_s.add(0.001)
    big = job()
    big.items[0].cost_s = 0.1
    s.add(big, 0.0)
    slow = work(s, 0.0)
    assert slow.first == 15  # out of the way
    for _ in range(4):
        s.add(job(), 0.0)
    preprocess(s, 4, 0.001)
    found = batch(s, 0.001)
    assert (found.first, len(found.items), found.moves) == (0, 4, ())
    s.done_work(slow, 0.1)
    assert batch(s, 0.1).items == big.items


def test_what_is_copied_from_is_not_written_to_before() -> None:
    s = scheduler(slots=4)
    for _ in range(3):
        s.add(job(), 0.0)
    pieces = [work(s, 0.0) for _ in range(3)]
    s.done_work(pieces[0], 0.0)
    s.done_work(pieces[2], 0.0)  # slot 1 is being written
    found = batch(s, 0.0)
    assert (found.first, found.moves) == (2, ((0, 3),))
    s.add(job(), 0.0)
    assert s.next_work(0.0)[0] is None
    s.moved(found)
    assert work(s, 0.0).first == 0


def test_waiting_by_hand_lasts_as_long_as_it_was_set() -> None:
    s = scheduler(Policy(Choice(2, 0.5, patient=True)))
    s.add(job(), 0.0)
    preprocess(s, 1, 1.0)
    assert s.next_batch(1.2) == (None, 1.5, [])
    assert not s.should_run(1.2)
    assert s.should_run(1.5)
    s.add(job(), 1.3)
    preprocess(s, 1, 1.3)
    assert len(batch(s, 1.3).items) == 2  # it is full


def test_a_policy_waits_only_for_what_is_on_its_way() -> None:
    s = scheduler(Policy(Choice(8, 0.5)))
    for _ in range(3):
        s.add(job(), 0.0)
    preprocess(s, 1, 0.0)
    assert s.next_batch(0.1) == (None, 0.5, [])  # two more come
    preprocess(s, 1, 0.2)
    assert len(batch(s, 0.2).items) == 2  # one more, fewer than are here


def test_batches_before_preprocessing() -> None:
    s = scheduler(before=Choice(4, 0.5, patient=True))
    s.add(job(3), 0.0)
    assert s.next_work(0.1) == (None, 0.5, [])
    s.add(job(3, at=0.2), 0.2)
    first = work(s, 0.2)
    assert ([item.slot for item in first.items], s.queued) == ([0, 1, 2, 3], 2)
    assert s.next_work(0.3) == (None, 0.7, [])
    assert [item.slot for item in work(s, 0.7).items] == [4, 5]


def test_batches_before_preprocessing_take_the_room_that_there_is() -> None:
    s = scheduler(before=Choice(4, 0.0), slots=3)
    s.add(job(4), 0.0)
    assert len(work(s, 0.0).items) == 3
    assert s.next_work(0.0)[0] is None


@pytest.mark.parametrize("stage", ["queued", "preprocessing", "ready", "running"])
def test_cancelling_gives_everything_back(stage: str) -> None:
    s, gone, stays = scheduler(Policy(Choice(8, 0.0))), job(2), job()
    s.add(gone, 0.0)
    if stage == "queued":
        s.cancel(gone)
    pieces = [work(s, 0.0) for _ in range(0 if stage == "queued" else 2)]
    if stage == "preprocessing":
        s.cancel(gone)
    for piece in pieces:
        s.done_work(piece, 0.0)
    if stage == "ready":
        s.cancel(gone)
        assert (s.ready, s.slots.free) == (0, 16)
    if stage == "running":
        found = batch(s, 0.0)
        s.cancel(gone)
        assert s.done_batch(found, OUTPUTS, 0.0) == []
    s.add(stays, 1.0)
    preprocess(s, 1, 1.0)
    assert s.done_batch(batch(s, 1.0), OUTPUTS, 1.0) == [stays]
    assert (s.queued, s.preprocessing, s.ready, s.running, s.slots.free) == (0, 0, 0, 0, 16)


def test_a_lost_batch_runs_once_more_without_being_preprocessed_again() -> None:
    s, one, gone = scheduler(), job(), job()
    s.add(one, 0.0)
    s.add(gone, 0.0)
    preprocess(s, 2, 0.0)
    first = batch(s, 0.0)
    s.cancel(gone)
    assert s.lost_batch(first, "killed", 1.0) == []
    assert (s.ready, s.running, s.slots.free) == (1, 0, 15)
    second = batch(s, 2.0)
    assert second.items == one.items
    assert s.lost_batch(second, "killed again", 3.0) == [one]
    assert isinstance(one.items[0].error, WorkerLost)
    assert (s.ready, s.running, s.slots.free) == (0, 0, 16)


def test_a_model_that_raises_answers_its_batch_with_it() -> None:
    s, one = scheduler(), job()
    s.add(one, 0.0)
    preprocess(s, 1, 0.0)
    error = RuntimeError("no")
    assert s.failed_batch(batch(s, 0.0), error, 1.0) == [one]
    assert one.items[0].error is error
    assert s.slots.free == 16


def test_the_end_refuses_what_waits() -> None:
    s, waits, is_ready, runs = scheduler(Policy(Choice(1, 0.0))), job(), job(), job()
    for one in (runs, is_ready, waits):
        s.add(one, 0.0)
    preprocess(s, 2, 0.0)
    found = batch(s, 0.0)
    ended = s.drain(Draining("closing"), 1.0)
    assert set(ended) == {waits, is_ready}
    assert s.done_batch(found, OUTPUTS, 2.0) == [runs]
    assert (s.queued, s.ready, s.running, s.slots.free) == (0, 0, 0, 16)
