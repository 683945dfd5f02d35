"""fastpre.data.Loader: which epoch it is, who is told, and what is drawn from seed, epoch and index."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch
from torch.utils.data import BatchSampler, DistributedSampler

import fastpre
import fastpre.data
from fastpre.data.compressed import Compressed
from fastpre.data.decoder import Decoded, Decoder
from loading import QUIET_FORK, SPEC, Flow, Items, labelled, load

pytestmark = QUIET_FORK


def labels(loader: Any) -> list[int]:
    return torch.cat([labels for _, labels in loader]).tolist()  # type: ignore[no-any-return]


def permutation(seed: int) -> list[int]:
    return (torch.randperm(12, generator=torch.Generator().manual_seed(seed)) + 100).tolist()  # type: ignore[no-any-return]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_seed_decides_the_order(workers: int, batch: list[bytes]) -> None:
    before = torch.get_rng_state()
    loader = load(labelled(batch), batch_size=5, shuffle=True, seed=40, num_workers=workers)
    assert [labels(loader) for _ in range(2)] == [permutation(40), permutation(41)]
    assert torch.equal(torch.get_rng_state(), before)
    loader.set_epoch(7)
    assert [labels(loader) for _ in range(2)] == [permutation(47), permutation(48)]
    loader.sampler.set_epoch(7)  # as Lightning does
    assert labels(loader) == permutation(47)
    theirs: Any = DistributedSampler(Items(batch), num_replicas=1, rank=0, seed=40)
    assert [100 + index for index in theirs] == permutation(40)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"seed": 1, "generator": torch.Generator()}, ValueError, "mutually exclusive"),
        ({"seed": -1}, ValueError, "seed must be at least 0"),
        ({"seed": 0.5}, TypeError, "seed must be an integer"),
        ({"seed": 1, "shuffle": True, "sampler": [0]}, ValueError, "mutually exclusive"),
    ],
)
def test_wrong_arguments(options: dict[str, Any], error: type[Exception], match: str, batch: list[bytes]) -> None:
    with pytest.raises(error, match=match):
        load(batch, **options)
    with pytest.raises(ValueError, match="epoch must be at least 0"):
        load(batch).set_epoch(-1)


def test_any_seed(batch: list[bytes]) -> None:
    loader = load(labelled(batch), batch_size=12, shuffle=True, seed=(1 << 64) - 1)
    assert labels(loader) != labels(loader)


def test_every_loop_is_another_epoch(batch: list[bytes]) -> None:
    """Whether it comes to its end or not, but only if it takes a batch."""
    loader = load(labelled(batch), batch_size=5, shuffle=True, seed=0)
    for _ in loader:
        break
    iter(loader)
    assert labels(loader) == permutation(1)
    assert loader.state_dict()["epoch"] == 2
    both = [torch.cat(parts).tolist() for parts in zip(*((a[1], b[1]) for a, b in zip(loader, loader)), strict=True)]  # noqa: B905
    assert both == [permutation(2), permutation(3)]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_copy_goes_on_with_the_next_epoch(workers: int, batch: list[bytes]) -> None:
    how: dict[str, Any] = {"num_workers": workers, "persistent_workers": bool(workers)}
    loader = load(labelled(batch), batch_size=5, shuffle=True, seed=0, **how)
    batches = iter(loader)
    next(batches)
    copy = pickle.loads(pickle.dumps(loader))
    assert labels(copy) == permutation(1)
    assert loader.state_dict()["batches"] == 1
    assert copy.state_dict()["epoch"] == 2


class Told(Items):
    def __init__(self, items: list[Any]) -> None:
        super().__init__(items)
        self.epochs: list[int] = []

    def set_epoch(self, epoch: int) -> None:
        self.epochs.append(epoch)


@pytest.mark.parametrize("by_batches", [False, True])
def test_a_distributed_sampler_is_told(by_batches: bool, batch: list[bytes]) -> None:
    dataset = Told(labelled(batch))
    sampler: Any = DistributedSampler(dataset, num_replicas=2, rank=1, seed=5)
    how: dict[str, Any] = {"batch_size": 3, "sampler": sampler}
    if by_batches:
        how = {"batch_sampler": BatchSampler(sampler, 3, False)}
    loader = fastpre.data.Loader(dataset, SPEC, **how)

    def want(epoch: int) -> list[int]:
        return permutation(5 + epoch)[1::2]

    assert [labels(loader) for _ in range(3)] == [want(0), want(1), want(2)]
    for epoch in (4, 4, 3):  # as scripts do that were written for DataLoader
        sampler.set_epoch(epoch)
        assert labels(loader) == want(epoch)
    loader.set_epoch(9)
    assert sampler.epoch == 9
    assert labels(loader) == want(9)
    assert dataset.epochs == [0, 1, 2, 4, 4, 3, 9, 9]
    next(iter(loader))  # a look, and then the script's own loop
    sampler.set_epoch(10)
    assert labels(loader) == want(10)


def test_a_sampler_that_was_made_for_a_later_epoch(batch: list[bytes]) -> None:
    sampler: Any = DistributedSampler(Items(batch), num_replicas=1, rank=0, seed=0)
    sampler.set_epoch(6)
    loader = load(labelled(batch), batch_size=5, sampler=sampler)
    assert labels(loader) == permutation(6)
    saved = loader.state_dict()
    assert saved["epoch"] == 7
    other = load(labelled(batch), batch_size=5, sampler=DistributedSampler(Items(batch), num_replicas=1, rank=0))
    other.load_state_dict(saved)
    assert labels(other) == permutation(7)


@pytest.fixture
def seeds(monkeypatch: pytest.MonkeyPatch) -> dict[Any, list[int]]:
    """By label, what the decoder is told to draw from, epoch after epoch."""
    told: dict[Any, list[int]] = {}
    attempt = Decoder.attempt

    def telling(decoder: Decoder, batch: Compressed, out: Any = None) -> Decoded:
        for label, seed in zip(batch.rest[1].tolist(), batch.seeds(), strict=True):
            told.setdefault(label, []).append(seed)
        return attempt(decoder, batch, out)

    monkeypatch.setattr(Decoder, "attempt", telling)
    return told


def test_every_sample_has_a_seed_of_its_own(batch: list[bytes], seeds: dict[Any, list[int]]) -> None:
    items = labelled(batch)
    loader = load(items, batch_size=5, seed=1, shuffle=True)
    for _ in range(2):
        list(loader)
    want = {label: list(told) for label, told in seeds.items()}
    drawn = [seed for told in want.values() for seed in told]
    assert len(set(drawn)) == 24
    assert all(0 <= seed < 1 << 32 for seed in drawn)
    for options in ({"batch_size": 3, "num_workers": 2}, {"batch_size": 12, "prefetch_batches": 0}):
        seeds.clear()
        again = load(items, seed=1, **options)  # another order
        for _ in range(2):
            list(again)
        assert seeds == want
    seeds.clear()
    list(load(items, batch_size=5, seed=2))
    assert not {told[0] for told in seeds.values()} & set(drawn)


@pytest.mark.parametrize("kind", [Items, Flow])
def test_seeds_after_resumption(kind: Any, batch: list[bytes], seeds: dict[Any, list[int]]) -> None:
    """Without a seed as well: then one is drawn, and saved."""
    torch.manual_seed(8)
    loader = fastpre.data.Loader(kind(labelled(batch)), SPEC, batch_size=2)
    for step, _ in enumerate(loader):
        if step == 2:
            saved = loader.state_dict()
    want = {label: list(told) for label, told in seeds.items()}
    assert len({told[0] for told in want.values()}) == 12
    torch.manual_seed(9)
    other = fastpre.data.Loader(kind(labelled(batch)), SPEC, batch_size=2)
    other.load_state_dict(saved)
    seeds.clear()
    list(other)
    assert seeds == {label: told for label, told in want.items() if label >= 106}
    seeds.clear()
    list(other)
    assert not {told[0] for told in seeds.values()} & {told[0] for told in want.values()}


def test_seeds_of_keys() -> None:
    """They must not change: runs would not go on as they began."""
    batch = Compressed([b""] * 3, [None] * 3, [0, "cat/1.jpg", torch.tensor(7).numpy()[()]], None, seed=5, epoch=2)
    assert batch.seeds()[2] == Compressed([b""], [None], [7], None, seed=5, epoch=2).seeds()[0]
    assert batch.seeds()[:2] == [1172449573, 4047110861]
