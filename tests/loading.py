"""Datasets for loaders, and what their batches are compared with."""

from __future__ import annotations

import collections
import multiprocessing
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.utils.data import Dataset, IterableDataset

import fastpre
import fastpre.data

SPEC = fastpre.Spec(resize=40, crop=32)
BROKEN = b"no JPEG"
TIMEOUT_S = 60  # a hang shows as a timeout
ARRANGEMENTS = [(0, 0), (0, 2), (2, 0), (2, 2)]  # workers, batches decoded ahead
GPU = not fastpre._core.cuda_info()["missing"] and torch.cuda.is_available()
QUIET_FORK = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # DataLoader's own, on newer Pythons

Sample = collections.namedtuple("Sample", ["image", "label", "name"])  # noqa: PYI024


class Items(Dataset[Any]):
    """A list, in a form that spawned workers can unpickle."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        item = self.items[index]
        if isinstance(item, type):
            raise item("an item's error")
        return item


class Flow(IterableDataset[Any]):
    """The same, iterable; workers share the items between them."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __iter__(self) -> Iterator[Any]:
        worker = torch.utils.data.get_worker_info()
        first, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
        return iter(self.items[first::step])


class Plain(Dataset[Any]):
    """What a DataLoader would get if the images were decoded before."""

    def __init__(self, items: list[Any], tensors: torch.Tensor) -> None:
        self.items, self.tensors = items, tensors

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        sample = self.items[index]
        if hasattr(sample, "_replace"):
            return sample._replace(image=self.tensors[index])
        return type(sample)([self.tensors[index], *sample[1:]])


def load(items: list[Any], **options: Any) -> fastpre.data.Loader:
    options.setdefault("timeout", TIMEOUT_S if options.get("num_workers") else 0)
    return fastpre.data.Loader(Items(items), SPEC, **options)


def labelled(images: list[bytes]) -> list[tuple[bytes, int]]:
    return [(image, 100 + i) for i, image in enumerate(images)]


def left_behind() -> list[Any]:
    threads = [t for t in threading.enumerate() if t.name.startswith("fastpre")]
    return [*threads, *multiprocessing.active_children()]


def assert_same(got: Any, want: Any) -> None:
    """The same arrangement, types, and bits."""
    assert type(got) is type(want)
    if isinstance(want, torch.Tensor):
        assert got.dtype == want.dtype
        assert torch.equal(got, want)
    elif isinstance(want, dict):
        assert list(got) == list(want)
        for key in want:
            assert_same(got[key], want[key])
    elif isinstance(want, (list, tuple)):
        assert len(got) == len(want)
        for g, w in zip(got, want, strict=True):
            assert_same(g, w)
    else:
        assert got == want
