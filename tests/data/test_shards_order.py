"""fastpre.data.Shards: shuffling, epochs, and whose sample is whose."""

from __future__ import annotations

import collections
import itertools
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

import fastpre
import fastpre.data
import storage
from loading import QUIET_FORK, SPEC

pytestmark = QUIET_FORK

COUNT = 48


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, photo: bytes) -> Path:
    """48 samples in twelve shards."""
    folder = tmp_path_factory.mktemp("shards")
    storage.write_shards(folder, [photo[:50]] * COUNT, 4, index=True)
    return folder


def labels(dataset: Any, workers: int = 0, persistent: bool = False) -> Iterator[list[int]]:
    """Of epoch after epoch."""
    loader: Any = DataLoader(dataset, 4, num_workers=workers, persistent_workers=persistent, collate_fn=list)
    while True:
        yield [label - 100 for samples in loader for _, label in samples]


def epochs(dataset: Any, count: int, **options: Any) -> list[list[int]]:
    return list(itertools.islice(labels(dataset, **options), count))


def test_a_shuffle_buffer(folder: Path) -> None:
    (order,) = epochs(fastpre.data.Shards(folder, shuffle=10, seed=1), 1)
    assert sorted(order) == list(range(COUNT))
    first = [number // 4 for number in order[:12]]
    assert len(set(first)) > 3  # the shards mix
    assert set(first) != {0, 1, 2, 3}  # and are shuffled
    (almost,) = epochs(fastpre.data.Shards(folder, shuffle=1, seed=1), 1)
    assert sorted(almost) == list(range(COUNT))
    (large,) = epochs(fastpre.data.Shards(folder, shuffle=True, seed=1), 1)  # more than there are
    assert sorted(large) == list(range(COUNT))
    assert large != sorted(large)
    for wrong, error in ((-1, ValueError), (0.5, TypeError)):
        with pytest.raises(error, match="shuffle must be"):
            fastpre.data.Shards(folder, shuffle=wrong)


@pytest.mark.parametrize(("workers", "persistent"), [(0, False), (2, False), (2, True)])
def test_without_a_seed_every_epoch_has_another_order(workers: int, persistent: bool, folder: Path) -> None:
    def run() -> list[list[int]]:
        torch.manual_seed(5)
        return epochs(fastpre.data.Shards(folder, shuffle=16), 3, workers=workers, persistent=persistent)

    first, second, third = run()
    assert sorted(first) == sorted(second) == sorted(third) == list(range(COUNT))
    assert first != second != third != first
    assert run() == [first, second, third]


@pytest.mark.parametrize(("workers", "persistent"), [(0, False), (2, False), (2, True)])
def test_set_epoch(workers: int, persistent: bool, folder: Path) -> None:
    """The order is one of seed and epoch, also in workers that are there already."""
    dataset = fastpre.data.Shards(folder, shuffle=16, seed=3)
    drawing = labels(dataset, workers, persistent)
    got: list[list[int]] = []
    for epoch in (None, 0, 1, 2, 1):
        if epoch is not None:
            dataset.set_epoch(epoch)
        got.append(next(drawing))
    unset, zero, one, two, again = got
    assert unset == zero
    assert one == again
    assert len({tuple(order) for order in (zero, one, two)}) == 3
    other = fastpre.data.Shards(folder, shuffle=16, seed=4)
    assert epochs(other, 1, workers=workers) != [zero]
    with pytest.raises(ValueError, match="epoch must be 0 or more"):
        dataset.set_epoch(-1)


@pytest.mark.parametrize("workers", [0, 3])
@pytest.mark.parametrize("shuffle", [0, 8])
@pytest.mark.parametrize("seed", [None, 7])
def test_ranks_and_workers_share_without_duplicates(seed: int | None, shuffle: int, workers: int, folder: Path) -> None:
    """Whatever ranks have drawn elsewhere, and also where they do not divide the shards."""
    for world_size in (2, 5):
        seen: collections.Counter[int] = collections.Counter()
        lengths = []
        for rank in range(world_size):
            torch.manual_seed(rank)
            dataset = fastpre.data.Shards(folder, shuffle=shuffle, seed=seed, rank=rank, world_size=world_size)
            (order,) = epochs(dataset, 1, workers=workers)
            assert len(dataset) == len(order)
            lengths.append(len(order))
            seen.update(order)
        assert seen == dict.fromkeys(range(COUNT), 1)
        assert max(lengths) - min(lengths) in (0, 4)


def test_other_shards_for_a_rank_in_another_epoch(folder: Path) -> None:
    dataset = fastpre.data.Shards(folder, shuffle=8, seed=1, rank=0, world_size=2)
    first, second = [], []
    for epoch, order in ((0, first), (1, second)):
        dataset.set_epoch(epoch)
        order.extend(label for _, label in dataset)
    assert set(first) != set(second)


def test_the_rank_is_torch_distributeds(folder: Path) -> None:
    """Also when that is initialised later; and a pickled copy, as a spawned worker gets, knows it."""
    from torch.testing._internal.distributed.fake_pg import FakeStore

    dataset = fastpre.data.Shards(folder)
    copy = pickle.loads(pickle.dumps(dataset))
    assert len(dataset) == len(copy) == COUNT
    torch.distributed.init_process_group("fake", rank=1, world_size=4, store=FakeStore())
    try:
        third = [label - 100 for _, label in dataset]
        assert third == [label - 100 for _, label in copy] == [4, 5, 6, 7, 20, 21, 22, 23, 36, 37, 38, 39]
        assert len(dataset) == 12
        inside = pickle.loads(pickle.dumps(dataset))
    finally:
        torch.distributed.destroy_process_group()
    assert [label - 100 for _, label in inside] == third
    assert len(dataset) == COUNT


def test_ranks_that_are_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="13 ranks cannot share 12 shards"):
        iter(fastpre.data.Shards(folder, rank=0, world_size=13))
    with pytest.raises(ValueError, match="together"):
        fastpre.data.Shards(folder, rank=1)
    with pytest.raises(ValueError, match="rank must be from 0"):
        fastpre.data.Shards(folder, rank=2, world_size=2)


def test_a_copy_has_its_own_epoch(folder: Path) -> None:
    dataset = fastpre.data.Shards(folder, shuffle=8)
    dataset.set_epoch(4)
    copy = pickle.loads(pickle.dumps(dataset))
    assert list(map(str, copy)) == list(map(str, dataset))


def test_a_loader_with_more_workers_than_shards(folder: Path, photo: bytes, tmp_path: Path) -> None:
    storage.write_shards(tmp_path, [photo] * 4, 2)
    loader = fastpre.data.Loader(fastpre.data.Shards(tmp_path), SPEC, batch_size=2, num_workers=3)
    assert sorted(torch.cat([labels for _, labels in loader]).tolist()) == [100, 101, 102, 103]
