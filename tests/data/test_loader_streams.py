"""fastpre.data.Loader: the place in an iterable dataset is saved and restored, in every process that reads it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import datasets
import pytest
import torch
from torch.utils.data import IterableDataset, IterDataPipe, get_worker_info

import fastpre
import fastpre.data
from loading import QUIET_FORK, SPEC, Flow, labelled

pytestmark = QUIET_FORK

COUNT = 12


class Stateful(Flow):
    """Says in shared memory which items were read; goes on where its state says."""

    def __init__(self, items: list[Any]) -> None:
        super().__init__(items)
        self.reads = torch.zeros(len(items), dtype=torch.int64).share_memory_()
        self.given = self.begin = 0

    def __iter__(self) -> Iterator[Any]:
        info = get_worker_info()
        first, step = (0, 1) if info is None else (info.id, info.num_workers)
        self.given, self.begin = self.begin, 0
        for index in range(first + self.given * step, len(self.items), step):
            self.reads[index] += 1
            self.given += 1
            yield self.items[index]

    def state_dict(self) -> dict[str, Any]:
        return {"given": self.given}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.begin = state["given"]


class Cursor(Iterator[Any]):
    """An iterator with a state."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items
        self.next = 0

    def __next__(self) -> Any:
        if self.next == len(self.items):
            raise StopIteration
        self.next += 1
        return self.items[self.next - 1]

    def state_dict(self) -> dict[str, Any]:
        return {"next": self.next}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.next = state["next"]


class OfCursors(Flow):
    def __iter__(self) -> Iterator[Any]:
        return Cursor(list(super().__iter__()))


def load(dataset: Any, **options: Any) -> fastpre.data.Loader:
    return fastpre.data.Loader(dataset, SPEC, **options)


def labels(batches: Any) -> list[list[int]]:
    return [labels.tolist() for _, labels in batches]


@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("kind", [Flow, Stateful, OfCursors])
def test_the_rest_of_the_epoch_is_the_same(kind: Any, workers: int, persistent: bool, batch: list[bytes]) -> None:
    if persistent and not workers:
        return
    items = labelled(batch)
    options: dict[str, Any] = {"batch_size": 2, "num_workers": workers, "persistent_workers": persistent}
    loader = load(kind(items), **options)
    whole, states = [], []
    for _, batch_labels in loader:
        whole.append(batch_labels.tolist())
        states.append(loader.state_dict())
    assert labels(loader) == whole
    for delivered in (1, 2, 5, 6):
        dataset = kind(items)
        other = load(dataset, **options)
        if delivered == 2:
            list(other)  # the persistent workers are there already
        other.load_state_dict(json.loads(json.dumps(states[delivered - 1])))
        if kind is Stateful:
            dataset.reads.zero_()
        assert labels(other) == whole[delivered:]
        if kind is Stateful:
            delivered_items = torch.tensor(whole[:delivered]).flatten() - 100
            assert not dataset.reads[delivered_items].any()
        assert labels(other) == whole  # and the next epoch is whole again
        assert other.state_dict()["epoch"] == 2


def test_several_iterations_at_once(batch: list[bytes]) -> None:
    dataset = Flow(labelled(batch))
    loader = load(dataset, batch_size=2)
    first, second = iter(loader), iter(loader)
    for _ in range(3):
        next(first)
    next(second)
    assert loader.state_dict()["places"] == [[2, None]]
    assert loader.state_dict()["epoch"] == 1
    first.close()
    second.close()


@pytest.mark.parametrize("workers", [0, 2])
def test_an_uneven_end(workers: int, batch: list[bytes]) -> None:
    """A last batch that is not full, and a worker that has more than the other."""
    items = labelled(batch)[:11]
    loader = load(Stateful(items), batch_size=4, num_workers=workers)
    whole, states = [], []
    for _, batch_labels in loader:
        whole.append(batch_labels.tolist())
        states.append(loader.state_dict())
    for delivered, state in enumerate(states, 1):
        other = load(Stateful(items), batch_size=4, num_workers=workers)
        other.load_state_dict(state)
        assert labels(other) == whole[delivered:]


def test_workers_share_the_dataset_so_their_number_must_stay(batch: list[bytes]) -> None:
    loader = load(Flow(batch), batch_size=2, num_workers=2)
    next(iter(loader))
    with pytest.raises(ValueError, match="num_workers=2; this one has num_workers=1"):
        load(Flow(batch), batch_size=2, num_workers=1).load_state_dict(loader.state_dict())
    with pytest.raises(ValueError, match="iterable=True; this one has iterable=False"):
        load(batch, batch_size=2).load_state_dict(loader.state_dict())


class Pairs(IterableDataset[Any]):
    """Hugging Face's rows are dicts, and a loader takes tuples. Their dataset has shards for workers, and a state."""

    def __init__(self, images: list[bytes]) -> None:
        rows = {"image": images, "label": list(range(COUNT))}
        self.rows = datasets.Dataset.from_dict(rows).to_iterable_dataset(num_shards=4)
        self.state_dict, self.load_state_dict = self.rows.state_dict, self.rows.load_state_dict
        self.set_epoch = self.rows.set_epoch

    def __iter__(self) -> Iterator[Any]:
        return ((row["image"], row["label"]) for row in self.rows)


@pytest.mark.parametrize("workers", [0, 2])
def test_hugging_face(workers: int, batch: list[bytes]) -> None:
    options: dict[str, Any] = {"batch_size": 2, "num_workers": workers}
    loader = load(Pairs(batch), **options)
    whole = []
    for step, (_, batch_labels) in enumerate(loader):
        whole.append(batch_labels.tolist())
        if step == 2:
            saved = json.loads(json.dumps(loader.state_dict()))
    assert sorted(itertools.chain(*whole)) == list(range(COUNT))
    other = load(Pairs(batch), **options)
    other.load_state_dict(saved)
    assert labels(other) == whole[3:]
    assert other.dataset.rows.epoch == 0  # type: ignore[union-attr]
    assert labels(other) == whole  # which their dataset gives in another epoch only
    assert other.dataset.rows.epoch == 1  # type: ignore[union-attr]


class Pipe(IterDataPipe[Any]):
    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items)


@pytest.mark.filterwarnings("ignore")
def test_a_datapipe_has_no_place(batch: list[bytes]) -> None:
    loader = load(Pipe(labelled(batch)), batch_size=4)
    assert labels(loader) == [[100, 101, 102, 103], [104, 105, 106, 107], [108, 109, 110, 111]]
    next(iter(loader))
    with pytest.raises(TypeError, match="datapipe"):
        loader.state_dict()
