"""fastpre.data.Loader: which datasets it takes, and how it fetches from them."""

from __future__ import annotations

import collections
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import fastpre
import fastpre.data
from loading import ARRANGEMENTS, QUIET_FORK, SPEC, Flow, Items, labelled

pytestmark = QUIET_FORK


class Column:
    """A sequence that is no `Sequence`, as a column of a data set."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        return self.items[index]


class Together(Items):
    """Gives batches only."""

    def __getitem__(self, index: int) -> Any:
        raise AssertionError("one by one")

    def __getitems__(self, indices: list[int]) -> list[Any]:
        return [self.items[i] for i in indices]


def reverse(worker: int) -> None:
    info = torch.utils.data.get_worker_info()
    assert info is not None
    assert isinstance(info.dataset, Items)
    info.dataset.items = info.dataset.items[::-1]


class Curious(Items):
    """Asks torch for its dataset."""

    def __getitem__(self, index: int) -> Any:
        info = torch.utils.data.get_worker_info()
        assert info is not None
        assert info.dataset is self
        return super().__getitem__(index)


@pytest.mark.parametrize(("workers", "ahead"), ARRANGEMENTS)
def test_iterable_dataset(workers: int, ahead: int, batch: list[bytes], want: torch.Tensor) -> None:
    loader = fastpre.data.Loader(
        Flow(labelled(batch)), SPEC, batch_size=4, num_workers=workers, prefetch_batches=ahead, timeout=0
    )
    for _ in range(2):
        images, labels = zip(*loader, strict=True)
        rows = torch.cat(labels) - 100
        assert sorted(rows.tolist()) == list(range(len(batch)))
        assert torch.equal(torch.cat(images), want[rows])


@pytest.mark.parametrize("kind", [list, tuple, collections.deque, Column])
def test_a_sequence_is_a_dataset(kind: Callable[[list[Any]], Any], batch: list[bytes], want: torch.Tensor) -> None:
    items = kind(labelled(batch))
    loader = fastpre.data.Loader(items, SPEC, batch_size=5)
    assert loader.dataset is items
    images, labels = zip(*loader, strict=True)
    assert torch.equal(torch.cat(images), want)
    assert torch.cat(labels).tolist() == list(range(100, 112))


@pytest.mark.parametrize(
    ("dataset", "line"),
    [
        ("train/", r"fastpre\.data\.ImageFolder\(root\)"),
        (Path("train"), r"fastpre\.data\.ImageFolder\(root\)"),
        (b"\xff\xd8", r"fastpre\.data\.ImageFolder\(root\)"),
        ((image for image in [b"x"]), r"Loader\(list\(samples\)\).*Stream\(function\)"),
        ({"a.jpg": 0}, r"Loader\(list\(samples\)\)"),
        (None, "torch Dataset or a sequence"),
    ],
    ids=["str", "path", "bytes", "generator", "dict", "None"],
)
def test_what_is_no_dataset(dataset: Any, line: str) -> None:
    with pytest.raises(TypeError, match=line):
        fastpre.data.Loader(dataset, SPEC)


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_of_samples_are_fetched_together(workers: int, batch: list[bytes], want: torch.Tensor) -> None:
    """As DataLoader does where a dataset can."""
    loader = fastpre.data.Loader(Together(batch), SPEC, batch_size=5, num_workers=workers)
    assert torch.equal(torch.cat(list(loader)), want)


def test_a_worker_sees_its_dataset(batch: list[bytes], want: torch.Tensor) -> None:
    """`get_worker_info().dataset` is the user's, to be seeded or opened."""
    dataset = Items(batch[:2])
    loader = fastpre.data.Loader(
        dataset, SPEC, batch_size=2, num_workers=1, worker_init_fn=reverse, multiprocessing_context="fork"
    )
    (got,) = loader
    assert torch.equal(got, want[[1, 0]])
    assert dataset.items == batch[:2]


def test_a_dataset_sees_itself(batch: list[bytes], want: torch.Tensor) -> None:
    loader = fastpre.data.Loader(Curious(batch[:2]), SPEC, batch_size=2, num_workers=1, multiprocessing_context="fork")
    (got,) = loader
    assert torch.equal(got, want[:2])
