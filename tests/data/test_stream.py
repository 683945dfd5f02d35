"""fastpre.data.Stream: generator functions and other iterables."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torchdata.stateful_dataloader import StatefulDataLoader

import fastpre
import fastpre.data
from loading import QUIET_FORK, SPEC

pytestmark = QUIET_FORK


@pytest.fixture
def images(batch: list[bytes]) -> Any:
    def images() -> Iterator[tuple[bytes, int]]:
        yield from ((image, 100 + number) for number, image in enumerate(batch))

    return images


def labels(dataset: Any, workers: int = 0, size: int = 5) -> list[int]:
    loader = fastpre.data.Loader(dataset, SPEC, batch_size=size, num_workers=workers)
    return [int(label) for _, batch in loader for label in batch]


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_a_generator_function_epoch_after_epoch(workers: int, images: Any, want: torch.Tensor) -> None:
    dataset = fastpre.data.Stream(images)
    for _ in range(2):
        got, numbers = zip(*fastpre.data.Loader(dataset, SPEC, batch_size=5, num_workers=workers), strict=True)
        rows = torch.cat(numbers) - 100
        assert sorted(rows.tolist()) == list(range(12))
        assert torch.equal(torch.cat(got), want[rows])
        assert workers > 1 or rows.tolist() == list(range(12))


def test_other_iterables(batch: list[bytes], images: Any) -> None:
    for source in (list(images()), range(3), {"a": 1}):
        dataset = fastpre.data.Stream(source)
        assert list(dataset) == list(dataset) == list(source)


@pytest.mark.parametrize("split", [False, True])
def test_ranks_and_workers_share(split: bool, images: Any) -> None:
    def part(part: int, parts: int) -> Iterator[Any]:
        yield from itertools.islice(images(), part, None, parts)

    shares = [
        labels(fastpre.data.Stream(part if split else images, split=split, rank=rank, world_size=3), workers=2, size=1)
        for rank in range(3)
    ]
    assert [sorted(share) for share in shares] == [list(range(100 + rank, 112, 3)) for rank in range(3)]


def test_a_generator_serves_once(images: Any) -> None:
    dataset = fastpre.data.Stream(images())
    assert labels(dataset) == list(range(100, 112))
    with pytest.raises(
        RuntimeError, match=r"images was used up in the first epoch\. Give the function.*Stream\(images\)"
    ):
        labels(dataset)
    with pytest.raises(RuntimeError, match="2 workers cannot share the iterator"):
        labels(fastpre.data.Stream(images()), workers=2)
    assert labels(fastpre.data.Stream(images()), workers=1) == list(range(100, 112))
    one = images()
    same = fastpre.data.Stream(lambda: one)
    assert len(labels(same)) == 12
    with pytest.raises(RuntimeError, match="was used up"):
        labels(same)


def test_its_own_exception_comes_in_its_batchs_place(images: Any) -> None:
    def failing() -> Iterator[Any]:
        yield from itertools.islice(images(), 7)
        raise ConnectionError("the queue is gone")

    batches = iter(fastpre.data.Loader(fastpre.data.Stream(failing), SPEC, batch_size=5, on_error="skip"))
    assert next(batches)[1].tolist() == list(range(100, 105))
    with pytest.raises(ConnectionError, match="the queue is gone"):
        next(batches)
    batches.close()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_source_that_ends_early(workers: int, images: Any) -> None:
    dataset = fastpre.data.Stream(images, length=15)
    assert len(dataset) == 15
    assert len(fastpre.data.Stream(images, length=15, rank=1, world_size=4)) == 4
    loader = fastpre.data.Loader(dataset, SPEC, batch_size=20, num_workers=workers, on_error="fill")
    errors, numbers = [], []
    for _, batch_labels in loader:
        errors += loader.errors
        numbers += batch_labels.tolist()
    assert sorted(numbers) == [-100] * max(1, workers) + list(range(100, 112))
    ended = "the source ended after 6 of 8 samples" if workers else "the source ended after 12 of 15 samples"
    assert errors[0].reason == ended
    assert errors[0].name.endswith("images")
    alone = fastpre.data.Stream([b"x"], length=2)
    assert [type(sample) for sample in alone] == [bytes, fastpre.ImageReadError]
    with pytest.raises(TypeError, match=r"no length; give it.*Stream\(source, length"):
        len(fastpre.data.Stream(images))


@pytest.mark.parametrize("workers", [0, 2])
def test_states(workers: int, images: Any) -> None:
    def loader() -> Any:
        return StatefulDataLoader(fastpre.data.Stream(images, length=13), 2, num_workers=workers, collate_fn=list)

    whole = [[sample[1] for sample in samples] for samples in loader()]
    for taken in range(len(whole) + 1):
        first = loader()
        got = [[sample[1] for sample in samples] for samples in itertools.islice(first, taken)]
        second = loader()
        second.load_state_dict(first.state_dict())
        got += [[sample[1] for sample in samples] for samples in second]
        assert got == whole


def test_what_is_refused() -> None:
    with pytest.raises(TypeError, match="a generator function or an iterable, got int"):
        fastpre.data.Stream(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"needs a function of \(part, parts\)"):
        fastpre.data.Stream([b""], split=True)
    with pytest.raises(ValueError, match="length must be at least 0"):
        fastpre.data.Stream([b""], length=-1)
    assert repr(fastpre.data.Stream([b""], length=1)) == "Stream(list, length=1)"
