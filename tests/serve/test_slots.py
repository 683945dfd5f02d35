"""Slots of a batch: what is free, and which run makes the next batch."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastpre.serve.scheduling.slots import Slots


def test_quick_images_fill_from_the_front_and_slow_ones_from_the_back() -> None:
    slots = Slots(4)
    assert [slots.take(), slots.take(slow=True), slots.take(), slots.take()] == [0, 3, 1, 2]
    assert slots.take() is None
    slots.back(1)
    assert (slots.free, slots.take(slow=True)) == (1, 1)


def test_neighbours_are_chosen_as_they_lie() -> None:
    slots = Slots(8)
    taken = [slots.take() for _ in range(4)]
    run = slots.choose([taken[2], taken[0], taken[1]])  # in any order; 3 is still being decoded
    assert run == (0, 3, ())
    assert slots.take() == 4


def test_a_slow_image_holds_back_no_other() -> None:
    slots = Slots(4)
    first, slow, third = slots.take(), slots.take(), slots.take()
    assert (first, slow, third) == (0, 1, 2)
    run = slots.choose([0, 2])  # 1 is decoding: 0 moves behind it
    assert run == (2, 2, ((0, 3),))
    assert slots.take() is None  # it is being copied from
    slots.back(0)
    assert slots.take() == 0


def test_without_a_run_for_all_the_most_urgent_ones_go() -> None:
    slots = Slots(3)
    for _ in range(3):
        slots.take()
    run = slots.choose([2, 0])  # 1 is decoding, and no two slots are side by side without it
    assert run == (2, 1, ())


def test_runs_of_free_slots() -> None:
    slots = Slots(6)
    assert slots.take_run(2) == 0
    assert slots.take() == 2
    assert slots.take_run(4) is None
    assert slots.take_run(3) == 3
    assert slots.take_run(1) is None


def test_nothing_to_choose() -> None:
    with pytest.raises(ValueError, match="no image"):
        Slots(2).choose([])


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 12), st.randoms(use_true_random=False))
def test_every_slot_has_one_image_whatever_happens(count: int, choices: random.Random) -> None:
    """A model of the memory: what each slot holds. Moves must carry images, runs must hold what was asked for."""
    slots = Slots(count)
    held: dict[int, int] = {}  # slot: image
    ready: list[int] = []
    image = 0
    for _ in range(60):
        if choices.random() < 0.6:
            slot = slots.take(slow=choices.random() < 0.2)
            assert (slot is None) == (len(held) == count)
            if slot is not None:
                assert slot not in held
                held[slot] = image = image + 1
                if choices.random() < 0.7:
                    ready.append(slot)
        elif ready:
            wanted = choices.sample(ready, choices.randint(1, len(ready)))
            images = {held[slot] for slot in wanted}
            run = slots.choose(wanted)
            for old, new in run.moves:
                assert new not in held
                held[new] = held.pop(old)
                slots.back(old)
            inside = range(run.first, run.first + run.size)
            chosen = [held.pop(slot) for slot in inside]
            assert run.first >= 0
            assert run.first + run.size <= count
            assert set(chosen) <= images
            assert len(chosen) == run.size >= 1
            gone = {old for old, _ in run.moves} | set(inside)
            ready = [slot for slot in ready if slot not in gone]
            for slot in inside:
                slots.back(slot)
        assert slots.free == count - len(held)
