"""fastpre.data.Loader: the order of samples, epoch after epoch, and several iterations at once."""

from __future__ import annotations

import multiprocessing
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from loading import ARRANGEMENTS, QUIET_FORK, Items, Plain, assert_same, labelled, load

pytestmark = QUIET_FORK


def test_shuffled_by_a_generator(batch: list[bytes], want: torch.Tensor) -> None:
    def labels(workers: int) -> list[list[int]]:
        generator = torch.Generator().manual_seed(7)
        loader = load(labelled(batch), batch_size=5, shuffle=True, generator=generator, num_workers=workers)
        epochs = [list(loader), list(loader)]
        order = [torch.cat([labels for _, labels in epoch]) - 100 for epoch in epochs]
        for epoch, rows in zip(epochs, order, strict=True):
            assert torch.equal(torch.cat([images for images, _ in epoch]), want[rows])
        return [rows.tolist() for rows in order]

    first = labels(0)
    assert first[0] != first[1]
    assert sorted(first[0]) == sorted(first[1]) == list(range(len(batch)))
    assert labels(0) == first
    assert labels(2) == labels(2)


@pytest.mark.parametrize("workers", [0, 2])
def test_shuffled_by_the_global_generator(workers: int, batch: list[bytes]) -> None:
    """The same order as a DataLoader's, and the same random numbers left for the model."""
    items = labelled(batch)
    torch.manual_seed(3)
    theirs = [labels.tolist() for _, labels in DataLoader(Plain(items, torch.zeros(12, 1)), 5, True)]
    after = torch.rand(3)
    torch.manual_seed(3)
    ours = [labels.tolist() for _, labels in load(items, batch_size=5, shuffle=True, num_workers=workers)]
    assert ours == theirs
    assert torch.equal(torch.rand(3), after)


def test_samplers(batch: list[bytes], want: torch.Tensor) -> None:
    """A DistributedSampler, whose epoch is set from outside, and a batch sampler."""
    sampler: Any = torch.utils.data.DistributedSampler(Items(batch), num_replicas=2, rank=1, seed=5)
    loader = load(batch, batch_size=6, sampler=sampler)
    assert loader.sampler is sampler
    for epoch in (0, 1):
        loader.sampler.set_epoch(epoch)
        rows = list(sampler)
        assert torch.equal(torch.cat(list(loader)), want[rows])
    batches = [[3, 1], [0], [11, 2, 4]]
    by_batches = load(batch, batch_sampler=batches)
    assert len(by_batches) == 3
    assert_same(list(by_batches), [want[rows] for rows in batches])


@pytest.mark.parametrize("ahead", [0, 2])
def test_persistent_workers(ahead: int, batch: list[bytes], want: torch.Tensor) -> None:
    loader = load(batch, batch_size=2, num_workers=2, persistent_workers=True, prefetch_batches=ahead)
    assert torch.equal(torch.cat(list(loader)), want)
    workers = {child.pid for child in multiprocessing.active_children()}
    assert len(workers) == 2
    for i, _ in enumerate(loader):
        if i == 1:
            break  # and the next epoch begins at the beginning
    assert torch.equal(torch.cat(list(loader)), want)
    assert {child.pid for child in multiprocessing.active_children()} == workers
    both = [torch.cat(tensors) for tensors in zip(*zip(loader, loader, strict=True), strict=True)]
    assert torch.equal(both[0], want)
    assert torch.equal(both[1], want)
    assert {child.pid for child in multiprocessing.active_children()} == workers


@pytest.mark.parametrize(("workers", "ahead"), ARRANGEMENTS)
def test_two_iterations_at_once(workers: int, ahead: int, batch: list[bytes], want: torch.Tensor) -> None:
    loader = load(batch, batch_size=5, num_workers=workers, prefetch_batches=ahead)
    first = iter(loader)
    got = [next(first)]
    assert torch.equal(torch.cat(list(loader)), want)
    got.extend(first)
    assert torch.equal(torch.cat(got), want)
