"""fastpre.data.Loader: its place in an epoch is saved and restored, to the sample."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import BatchSampler, DistributedSampler, RandomSampler, Sampler, WeightedRandomSampler

import fastpre
import fastpre.data
from loading import ARRANGEMENTS, BROKEN, QUIET_FORK, Items, labelled, load

pytestmark = QUIET_FORK

COUNT = 12


class Counting(Items):
    """Says in shared memory which items were read."""

    def __init__(self, items: list[Any]) -> None:
        super().__init__(items)
        self.reads = torch.zeros(len(items), dtype=torch.int64).share_memory_()

    def __getitem__(self, index: int) -> Any:
        self.reads[index] += 1
        return super().__getitem__(index)


class Halves(Sampler[int]):
    """A sampler of someone's own, which draws from torch's generator as soon as it is asked for an iterator."""

    def __iter__(self) -> Iterator[int]:
        return iter((torch.randperm(COUNT // 2) * 2).tolist() + (torch.randperm(COUNT // 2) * 2 + 1).tolist())

    def __len__(self) -> int:
        return COUNT


class Eager(Sampler[list[int]]):
    """A batch sampler that does the same."""

    def __iter__(self) -> Iterator[list[int]]:
        return iter(torch.randperm(COUNT).view(-1, 2).tolist())

    def __len__(self) -> int:
        return COUNT // 2


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def distributed(rank: int = 1) -> Any:
    return DistributedSampler(Items([0] * COUNT), num_replicas=2, rank=rank, seed=3)


ORDERS: dict[str, Callable[[], dict[str, Any]]] = {
    "in order": lambda: {"batch_size": 2},
    "shuffle": lambda: {"batch_size": 2, "shuffle": True},
    "generator": lambda: {"batch_size": 2, "shuffle": True, "generator": generator()},
    "seed": lambda: {"batch_size": 2, "shuffle": True, "seed": 11},
    "distributed": lambda: {"batch_size": 1, "sampler": distributed()},
    "distributed, by batches": lambda: {"batch_sampler": BatchSampler(distributed(), 1, False)},
    "own sampler": lambda: {"batch_size": 2, "sampler": Halves()},
    "own batches": lambda: {"batch_sampler": Eager()},
    "weighted": lambda: {
        "batch_size": 2,
        "sampler": WeightedRandomSampler([1.0] * COUNT, COUNT, generator=generator()),
    },
    "with replacement": lambda: {
        "batch_size": 2,
        "sampler": RandomSampler(range(COUNT), replacement=True, num_samples=COUNT),
    },
    "list": lambda: {"batch_size": 2, "sampler": [5, 3, 11, 0, 1, 2, 9, 8, 7, 4, 6, 10]},
}


def labels(batches: Any) -> list[list[int]]:
    return [labels.tolist() for _, labels in batches]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("order", ORDERS)
def test_the_rest_of_the_epoch_is_the_same(order: str, workers: int, batch: list[bytes]) -> None:
    """In another process, with another state of torch's generator, and other threads and workers."""
    torch.manual_seed(1)
    items = labelled(batch)
    loader = load(items, num_workers=workers, **ORDERS[order]())
    list(loader)  # an epoch before
    whole, states = [], [loader.state_dict()]
    for _, batch_labels in loader:
        whole.append(batch_labels.tolist())
        states.append(loader.state_dict())
    later = labels(loader)
    assert len(whole) == 6
    for delivered in (1, 4, 6):
        saved = json.loads(json.dumps(states[delivered]))
        assert (saved["epoch"], saved["batches"]) == (1, delivered)
        torch.manual_seed(2)
        before = torch.get_rng_state()
        other = load(items, num_workers=2 - workers, prefetch_batches=1, num_threads=1, **ORDERS[order]())
        other.load_state_dict(saved)
        assert other.state_dict() == saved
        assert labels(other) == whole[delivered:]
        if order in ("seed", "generator", "weighted") or order.startswith("distributed"):
            assert torch.equal(torch.get_rng_state(), before) or order in ("weighted",)
            assert labels(other) == later  # and the next epoch too
    assert order in ("in order", "list") or whole != later


def test_the_state_is_small_and_plain(batch: list[bytes]) -> None:
    loader = load(labelled(batch), batch_size=2, shuffle=True)
    next(iter(loader))
    assert len(json.dumps(loader.state_dict())) < 5000
    seeded = load(labelled(batch), batch_size=2, shuffle=True, seed=3)
    next(iter(seeded))
    assert len(json.dumps(seeded.state_dict())) < 300
    assert seeded.state_dict()["version"] == 1


@pytest.mark.parametrize("workers", [0, 1])
def test_what_was_delivered_is_not_read_again(workers: int, batch: list[bytes]) -> None:
    dataset = Counting(labelled(batch))
    options: dict[str, Any] = {"batch_size": 2, "seed": 1, "shuffle": True, "num_workers": workers}
    loader = fastpre.data.Loader(dataset, fastpre.Spec(resize=40, crop=32), **options)
    batches = iter(loader)
    seen = [next(batches)[1].tolist() for _ in range(3)]
    saved = loader.state_dict()
    del batches
    dataset.reads.zero_()
    again = fastpre.data.Loader(dataset, fastpre.Spec(resize=40, crop=32), **options)
    again.load_state_dict(saved)
    rest = labels(again)
    delivered = torch.tensor(seen).flatten() - 100
    assert dataset.reads[delivered].tolist() == [0] * 6
    assert sorted(itertools.chain(*seen, *rest)) == list(range(100, 112))


@pytest.mark.parametrize(("workers", "ahead"), ARRANGEMENTS)
def test_what_was_only_prefetched_does_not_count(workers: int, ahead: int, batch: list[bytes]) -> None:
    loader = load(labelled(batch), batch_size=1, num_workers=workers, prefetch_batches=ahead)
    batches = iter(loader)
    next(batches)
    batches.close()
    assert loader.state_dict()["batches"] == 1
    other = load(labelled(batch), batch_size=1)
    other.load_state_dict(loader.state_dict())
    assert labels(other)[0] == [101]


def test_before_between_and_after_epochs(batch: list[bytes]) -> None:
    items = labelled(batch)
    loader = load(items, batch_size=4, shuffle=True, generator=generator())
    fresh = loader.state_dict()
    assert (fresh["epoch"], fresh["batches"]) == (0, 0)
    epochs = [labels(loader)]
    between = loader.state_dict()
    assert (between["epoch"], between["batches"]) == (1, 0)
    epochs.append(labels(loader))
    for start, want in ((fresh, epochs), (between, epochs[1:])):
        other = load(items, batch_size=4, shuffle=True, generator=torch.Generator())
        other.load_state_dict(start)
        iter(other)  # one that is not used changes nothing
        assert [labels(other) for _ in want] == want
    ended = load(items, batch_size=4)
    batches = iter(ended)
    for _ in range(3):
        next(batches)
    at_the_end = ended.state_dict()
    assert (at_the_end["epoch"], at_the_end["batches"]) == (0, 3)
    other = load(items, batch_size=4)
    other.load_state_dict(at_the_end)
    assert labels(other) == []  # as torchdata's StatefulDataLoader
    assert len(labels(other)) == 3
    other.load_state_dict(at_the_end)
    other.set_epoch(1)  # a script that goes on with the next epoch
    assert len(labels(other)) == 3
    assert other.state_dict()["epoch"] == 2


def test_resumed_twice(batch: list[bytes]) -> None:
    loader = load(labelled(batch), batch_size=2, shuffle=True)
    whole = []
    for step, (_, some) in enumerate(loader):
        whole.append(some.tolist())
        if step == 1:
            first = loader.state_dict()
    second = load(labelled(batch), batch_size=2, shuffle=True)
    second.load_state_dict(first)
    batches = iter(second)
    assert next(batches)[1].tolist() == whole[2]
    saved = second.state_dict()
    assert saved["batches"] == 3
    third = load(labelled(batch), batch_size=2, shuffle=True)
    third.load_state_dict(saved)
    assert labels(third) == whole[3:]


def test_an_error_in_a_batchs_place_counts_as_the_batch(batch: list[bytes]) -> None:
    items = labelled([*batch[:3], BROKEN, *batch[4:]])
    loader = load(items, batch_size=2)
    batches = iter(loader)
    next(batches)
    with pytest.raises(fastpre.CorruptImage):
        next(batches)
    other = load(items, batch_size=2)
    other.load_state_dict(loader.state_dict())
    assert labels(other)[0] == [104, 105]
    skipping = load(items, batch_size=2, on_error="skip")
    skipping.load_state_dict(loader.state_dict())  # what is done about errors may change
    assert labels(skipping)[0] == [104, 105]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"batch_size": 3}, "batch_size=2; this one has batch_size=3"),
        ({"seed": 4}, "seed=None; this one has seed=4"),
        ({"items": 11}, "length=12; this one has length=11"),
    ],
)
def test_a_state_of_another_loader(change: dict[str, Any], match: str, batch: list[bytes]) -> None:
    items = labelled(batch)
    loader = load(items, batch_size=2)
    next(iter(loader))
    options = {"batch_size": 2, **change}
    other = load(items[: options.pop("items", COUNT)], **options)
    with pytest.raises(ValueError, match=match):
        other.load_state_dict(loader.state_dict())


def test_no_state_at_all(batch: list[bytes]) -> None:
    loader = load(batch)
    with pytest.raises(TypeError, match="got list"):
        loader.load_state_dict([])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="version 1; got version 2"):
        loader.load_state_dict({**loader.state_dict(), "version": 2})
    with pytest.raises(ValueError, match="version None"):
        loader.load_state_dict({})


class Numpys(Sampler[int]):
    """Draws from NumPy's global generator, which the loader knows nothing of."""

    def __iter__(self) -> Iterator[int]:
        return iter(np.random.permutation(COUNT).tolist())  # noqa: NPY002

    def __len__(self) -> int:
        return COUNT


@pytest.mark.parametrize("workers", [0, 1])
def test_an_order_that_is_not_repeated_is_noticed(workers: int, batch: list[bytes]) -> None:
    items = labelled(batch)
    np.random.seed(0)  # noqa: NPY002
    loader = load(items, batch_size=2, sampler=Numpys(), num_workers=workers)
    next(iter(loader))
    saved = loader.state_dict()
    batches = iter(load(items, batch_size=2, sampler=Numpys(), num_workers=workers))
    batches._loader.load_state_dict(saved)  # type: ignore[attr-defined]
    for _ in range(2):
        with pytest.raises(ValueError, match="first 1 batches are not those that were delivered"):
            next(batches)
    np.random.seed(0)  # noqa: NPY002
    other = load(items, batch_size=2, sampler=Numpys(), num_workers=workers)
    other.load_state_dict(saved)
    assert len(labels(other)) == 5
    rank_0 = load(items, batch_size=1, sampler=distributed(0))
    next(iter(rank_0))
    rank_1 = load(items, batch_size=1, sampler=distributed(1))
    rank_1.load_state_dict(rank_0.state_dict())
    with pytest.raises(ValueError, match="it is another one"):
        next(iter(rank_1))


def test_a_generator_that_is_not_there(batch: list[bytes]) -> None:
    weighted = WeightedRandomSampler([1.0] * COUNT, COUNT, generator=generator())
    loader = load(labelled(batch), batch_size=2, sampler=weighted)
    next(iter(loader))
    other = load(labelled(batch), batch_size=2, sampler=WeightedRandomSampler([1.0] * COUNT, COUNT))
    other.load_state_dict(loader.state_dict())
    with pytest.raises(ValueError, match=r"drawn from batch_sampler\.sampler\.generator"):
        next(iter(other))
