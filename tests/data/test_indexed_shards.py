"""fastpre.data.IndexedShards: tar shards with random access."""

from __future__ import annotations

import io
import json
import os
import pickle
from pathlib import Path
from typing import Any

import fsspec
import pytest
import torch
from torch.utils.data import DataLoader, DistributedSampler

import fastpre
import fastpre.data
import storage
from fastpre.data.sources import local_parts
from loading import QUIET_FORK, SPEC

pytestmark = QUIET_FORK


@pytest.fixture
def folder(tmp_path: Path, batch: list[bytes]) -> Path:
    storage.write_shards(tmp_path, batch, 5, index=True)
    return tmp_path


@pytest.mark.parametrize("workers", [0, 2])
def test_shuffled_through_loaders(workers: int, folder: Path, want: torch.Tensor) -> None:
    dataset = fastpre.data.IndexedShards(folder)
    assert (len(dataset), dataset.classes) == (12, ["a", "b", "c"])
    assert repr(dataset) == f"IndexedShards({str(folder)!r}, 3 shards, 12 samples)"
    options: dict[str, Any] = {"batch_size": 5, "shuffle": True, "num_workers": workers}
    for loader in (
        fastpre.data.Loader(dataset, SPEC, **options),
        DataLoader(dataset, collate_fn=fastpre.data.collate(SPEC), **options),
    ):
        images, labels = zip(*loader, strict=True)
        rows = torch.cat(labels) - 100
        assert sorted(rows.tolist()) == list(range(12)) != rows.tolist()
        assert torch.equal(torch.cat(images), want[rows])


def test_samples(folder: Path, batch: list[bytes]) -> None:
    for dataset in (
        fastpre.data.IndexedShards(str(folder)),
        fastpre.data.IndexedShards(f"{folder}/shard-{{000000..000002}}.tar"),
        fastpre.data.Shards(folder).indexed(),
        pickle.loads(pickle.dumps(fastpre.data.IndexedShards(folder))),
    ):
        assert dataset[7] == dataset[-5] == ({"bytes": batch[7], "path": "shard-000001.tar: class1/0007"}, 107)
        assert [label for _, label in dataset.__getitems__([11, 0, 11])] == [111, 100, 111]
        assert list(dataset.keys) == [storage.key_of(number) for number in range(12)]
        with pytest.raises(IndexError):
            dataset[12]
    assert fastpre.data.Shards(folder, ("jpg",)).indexed()[3] == {
        "bytes": batch[3],
        "path": "shard-000000.tar: class0/0003",
    }
    with pytest.raises(ValueError, match=r"an index has images and their labels.*not \('json',\)"):
        fastpre.data.Shards(folder, ("jpg", "json")).indexed()


def test_ranks_share_through_a_sampler(folder: Path) -> None:
    dataset = fastpre.data.IndexedShards(folder)
    labels: list[int] = []
    for rank in range(2):
        sampler: Any = DistributedSampler(dataset, 2, rank, seed=1)
        loader = fastpre.data.Loader(dataset, SPEC, sampler=sampler, batch_size=4)
        labels += [label for _, batch in loader for label in batch.tolist()]
    assert sorted(labels) == list(range(100, 112))


@pytest.mark.parametrize("remote", [False, True])
def test_damaged_shards(remote: bool, folder: Path, want: torch.Tensor) -> None:
    """An image of a part that was cut off, or of a shard that is gone, is its own error."""
    first, second = folder / "shard-000000.tar", folder / "shard-000001.tar"
    place = str(folder)
    if remote:
        memory = fsspec.filesystem("memory")
        memory.rm("/cut", recursive=True) if memory.exists("/cut") else None
        for file in folder.iterdir():
            memory.pipe(f"/cut/{file.name}", file.read_bytes())
        place = "memory://cut/"
    dataset = fastpre.data.IndexedShards(place, retries=0)
    size = first.stat().st_size
    if remote:
        memory.pipe("/cut/shard-000000.tar", first.read_bytes()[: size // 2])
        memory.rm("/cut/shard-000001.tar")
    else:
        os.truncate(first, size // 2)
        second.unlink()
    loader = fastpre.data.Loader(dataset, SPEC, batch_size=12, on_error="skip")
    ((images, labels),) = loader
    rows = labels - 100
    assert torch.equal(images, want[rows])
    assert {10, 11, 0} <= set(rows.tolist()) <= {0, 1, 2, 3, 10, 11}
    assert [error.dataset_index for error in loader.errors] == sorted({*range(12)} - {*rows.tolist()})
    texts = [str(error) for error in loader.errors]
    assert any("shard-000000.tar: class1/0004): cannot read: EOFError: the" in text for text in texts)
    assert sum("shard-000001.tar: " in text and "FileNotFoundError" in text for text in texts) == 5


def test_without_an_index(tmp_path: Path, batch: list[bytes]) -> None:
    shards = storage.write_shards(tmp_path, batch, 6)
    with pytest.raises(FileNotFoundError, match=r"there is no index .*shard-000000\.idx\.json.*read it with Shards"):
        fastpre.data.IndexedShards(tmp_path)
    with pytest.raises(ValueError, match="functions have no index"):
        fastpre.data.IndexedShards([io.BytesIO])
    storage.write_index(tmp_path, shards)
    table = tmp_path / "shard-000001.idx.json"
    whole = json.loads(table.read_text())
    for text, reason in (
        ("{", "is no index of a shard: JSONDecodeError"),
        ('{"keys": []}', "KeyError: 'offsets'"),
        (json.dumps({**whole, "sizes": [1]}), "not as many sizes"),
    ):
        table.write_text(text)
        with pytest.raises(ValueError, match=reason):
            fastpre.data.IndexedShards(tmp_path)
    for labels in (None, []):
        for number in (0, 1):
            place = tmp_path / f"shard-00000{number}.idx.json"
            place.write_text(json.dumps({**json.loads(place.read_text() or "{}"), **whole, "labels": labels}))
        unlabelled = fastpre.data.IndexedShards(tmp_path)
        assert unlabelled.labels is None
        assert set(unlabelled[0]) == {"bytes", "path"}


def test_only_so_many_shards_are_open(folder: Path, monkeypatch: pytest.MonkeyPatch, batch: list[bytes]) -> None:
    monkeypatch.setattr(local_parts, "MOST_OPEN", 2)
    dataset = fastpre.data.IndexedShards(folder)
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for _ in range(2):
        assert [image["bytes"] for image, _ in map(dataset.__getitem__, range(12))] == batch
        if before:
            assert len(os.listdir("/proc/self/fd")) == before + 2
    del dataset
    assert not before or len(os.listdir("/proc/self/fd")) == before
