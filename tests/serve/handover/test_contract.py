"""What every kind of handover does alike: the right batch to the model, and what it returns back, bit for bit."""

from __future__ import annotations

import concurrent.futures
import os
from typing import Any

import numpy as np
import pytest
import torch

import obedient_model
from fastpre.serve.handover import ModelRaised

from .conftest import IN_WORKERS, KINDS, Opener, filled, shape_of, with_fields

every_kind = pytest.mark.parametrize("kind", KINDS)
# Every other dtype goes the same way; test_tensors.py has them all. Starting workers is what takes time here.
IN_BFLOAT16: dict[str, Any] = {"dtype": "bfloat16", "memory_format": "channels_last"}


def bytes_of(slots: torch.Tensor) -> np.ndarray[Any, Any]:
    """As the model returns them, slot by slot and channels last."""
    return slots.permute(0, 2, 3, 1).reshape(len(slots), -1).view(torch.uint8).numpy()


@every_kind
def test_the_model_gets_the_slots_and_its_outputs_come_back(opened: Opener, kind: str) -> None:
    handover = opened(kind, instances=2)
    assert handover.ready
    assert handover.instances == 2
    memory = filled(handover, 12)
    for first, count in ((0, 12), (3, 1), (11, 1), (4, 7)):
        outputs = handover.run(memory, first, count, instance=first % 2)
        expected = obedient_model.make()(memory[first : first + count])
        assert list(outputs) == list(expected)
        assert (outputs["pixels"] == bytes_of(memory[first : first + count])).all()
        for name in set(expected) - {"pid", "threads"}:
            np.testing.assert_array_equal(outputs[name], expected[name], strict=True)
        assert all(array.flags.owndata or kind == "threads" for array in outputs.values())
    handover.release(memory)


@every_kind
def test_bfloat16_and_channels_last(opened: Opener, kind: str) -> None:
    handover = opened(kind, with_fields(**IN_BFLOAT16), max_output_bytes=9 << 20)
    memory = filled(handover, 5)
    assert memory.dtype == torch.bfloat16
    assert memory.shape == (5, 3, 8, 8)
    assert memory.is_contiguous(memory_format=torch.channels_last)
    outputs = handover.run(memory, 1, 3, 0)
    assert (outputs["pixels"] == bytes_of(memory[1:4])).all()
    assert outputs["strides"].tolist() == [list(memory.stride())] * 3
    handover.release(memory)


@every_kind
def test_what_a_batch_returned_is_not_changed_by_the_next(opened: Opener, kind: str) -> None:
    handover = opened(kind, instances=2)
    memory, other = filled(handover, 4, seed=1), filled(handover, 4, seed=2)
    expected = bytes_of(memory).copy()
    outputs = handover.run(memory, 0, 4, 0)
    memory.copy_(other)
    handover.run(other, 0, 4, 0)
    handover.run(memory, 0, 4, 0)
    assert (outputs["pixels"] == expected).all()
    handover.release(memory)
    handover.release(other)


@every_kind
def test_instances_run_at_the_same_time(opened: Opener, kind: str) -> None:
    handover = opened(kind, instances=2)
    memories = [filled(handover, 6, seed=instance) for instance in range(2)]

    def many(instance: int) -> set[int]:
        memory, seen = memories[instance], set()
        for turn in range(30):
            first, count = turn % 5, 1 + turn % 2
            outputs = handover.run(memory, first, count, instance)
            assert (outputs["pixels"] == bytes_of(memory[first : first + count])).all()
            seen |= set(outputs["pid"].tolist())
        return seen

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        pids = set().union(*pool.map(many, range(2)))
    assert (pids == {os.getpid()}) == (kind == "threads")
    assert len(pids) == (1 if kind == "threads" else 2)
    for memory in memories:
        handover.release(memory)


@every_kind
def test_a_model_that_raises(opened: Opener, kind: str) -> None:
    handover = opened(kind, instances=2)
    memory = filled(handover, 2, wish=obedient_model.RAISE)
    with pytest.raises(Exception, match="no such class: \N{SNOWMAN}") as caught:
        handover.run(memory, 0, 2, 0)
    if kind == "threads":
        assert type(caught.value) is ValueError
    else:
        assert isinstance(caught.value, ModelRaised)
        assert str(caught.value).startswith("ValueError: ")
        assert "obedient_model.py" in caught.value.traceback
    assert handover.ready
    memory[:, 0, 0, 0] = obedient_model.NOTHING
    assert (handover.run(memory, 0, 2, 0)["pixels"] == bytes_of(memory)).all()
    handover.release(memory)


@every_kind
def test_outputs_of_all_sizes(opened: Opener, kind: str) -> None:
    handover = opened(kind, instances=2)
    memory = filled(handover, 3)
    for wish, expected_names in (
        (obedient_model.SMALLEST, 0),
        (obedient_model.LARGE, 1),
        (obedient_model.MANY, 300),
        (obedient_model.LARGE, 1),
    ):
        memory[:, 0, 0, 0] = wish
        outputs = handover.run(memory, 0, 3, 1)
        expected = obedient_model.make()(memory)
        assert len(expected) == expected_names
        assert list(outputs) == list(expected)
        for name, array in expected.items():
            np.testing.assert_array_equal(outputs[name], array, strict=True)
    handover.release(memory)


@pytest.mark.parametrize("kind", IN_WORKERS)
def test_outputs_that_cannot_be_sent_are_the_models_error(opened: Opener, kind: str) -> None:
    handover = opened(kind, with_fields(**IN_BFLOAT16), max_output_bytes=9 << 20)
    memory = filled(handover, 2, wish=obedient_model.ODD)
    with pytest.raises(ModelRaised, match="the model returned list, not a mapping"):
        handover.run(memory, 0, 1, 0)
    memory[:, 0, 0, 0] = obedient_model.LARGE
    assert handover.run(memory, 0, 1, 0)["large"].nbytes == 8 << 20
    with pytest.raises(ModelRaised, match="returned 16777216 bytes for one batch; max_output_bytes is 9437184"):
        handover.run(memory, 0, 2, 0)
    assert handover.ready
    handover.release(memory)


@every_kind
def test_what_the_model_says_of_itself(opened: Opener, kind: str) -> None:
    described, model = opened(kind, instances=2).description, obedient_model.make()
    for field in ("name", "platform", "task", "spec", "device", "outputs", "labels", "max_batch"):
        assert getattr(described, field) == getattr(model, field)


@pytest.mark.parametrize("kind", IN_WORKERS)
def test_wrong_slots_and_shapes_are_refused(opened: Opener, kind: str) -> None:
    handover = opened(kind, instances=2)
    memory = filled(handover, 4)
    for first, count in ((0, 5), (4, 1), (-1, 2), (2, 0)):
        with pytest.raises(ValueError, match="of 4"):
            handover.run(memory, first, count, 0)
    with pytest.raises(ValueError, match=r"dtype must be one of float32, .* got int64"):
        handover.allocate(4, shape_of(handover), torch.int64)
    with pytest.raises(ValueError, match="at least one slot"):
        handover.allocate(0, shape_of(handover), torch.float32)
    handover.release(memory)


@pytest.mark.parametrize("kind", IN_WORKERS)
def test_workers_have_the_threads_that_they_are_given(opened: Opener, kind: str) -> None:
    handover = opened(kind, with_fields(**IN_BFLOAT16), max_output_bytes=9 << 20)
    share = max(1, len(os.sched_getaffinity(0)))
    assert handover.run(filled(handover, 1), 0, 1, 0)["threads"].tolist() == [share]
    halved = opened(kind, instances=2)
    assert halved.run(filled(halved, 1), 0, 1, 0)["threads"].tolist() == [max(1, share // 2)]
