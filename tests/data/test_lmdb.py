"""fastpre.data.Lmdb: images by key, in every process's own environment."""

from __future__ import annotations

import gc
import pickle
from pathlib import Path
from typing import Any

import lmdb
import pytest
import torch
from torch.utils.data import DataLoader

import fastpre
import fastpre.data
import storage
from loading import BROKEN, QUIET_FORK, SPEC

pytestmark = QUIET_FORK


@pytest.fixture
def path(tmp_path: Path, batch: list[bytes]) -> Path:
    values = {b"%02d.jpg" % number: image for number, image in enumerate(batch)}
    return storage.write_lmdb(tmp_path / "train.lmdb", {**values, b"__len__": b"12"})


def label_of(key: str) -> int:
    return 100 + int(key[:2])


@pytest.mark.parametrize("workers", [0, 2])
def test_through_loaders(workers: int, path: Path, want: torch.Tensor) -> None:
    dataset = fastpre.data.Lmdb(path, label_of)
    assert list(dataset.keys) == [f"{number:02}.jpg" for number in range(12)]
    assert repr(dataset) == f"Lmdb({str(path)!r}, 12 keys with labels)"
    dataset[0]  # opened here before workers are forked
    options: dict[str, Any] = {"batch_size": 5, "shuffle": True, "num_workers": workers}
    for loader in (
        fastpre.data.Loader(dataset, SPEC, **options),
        DataLoader(dataset, collate_fn=fastpre.data.collate(SPEC), **options),
    ):
        images, labels = zip(*loader, strict=True)
        rows = torch.cat(labels) - 100
        assert sorted(rows.tolist()) == list(range(12))
        assert torch.equal(torch.cat(images), want[rows])


def test_keys_and_labels(path: Path, batch: list[bytes]) -> None:
    dataset = fastpre.data.Lmdb(path, [7, 8], keys=[b"03.jpg", "01.jpg"])
    assert dataset[0] == ({"bytes": batch[3], "path": "train.lmdb: 03.jpg"}, 7)
    mapped = fastpre.data.Lmdb(path, {"01.jpg": 8, "03.jpg": 7}, keys=["03.jpg", "01.jpg"])
    assert list(mapped) == list(dataset)
    assert dataset[-1] == ({"bytes": batch[1], "path": "train.lmdb: 01.jpg"}, 8)
    with pytest.raises(IndexError):
        dataset[2]
    with pytest.raises(ValueError, match="2 keys and 1 labels"):
        fastpre.data.Lmdb(path, [7], keys=["a", "b"])
    assert fastpre.data.Lmdb(path)[0] == {"bytes": batch[0], "path": "train.lmdb: 00.jpg"}


def test_a_database_that_is_a_file_with_keys_of_any_bytes(tmp_path: Path, photo: bytes) -> None:
    keys = [b"\x00\x01", b"\xff\xfe", "ü".encode()]
    path = storage.write_lmdb(tmp_path / "a.mdb", dict.fromkeys(keys, photo), folder=False)
    (images,) = fastpre.data.Loader(fastpre.data.Lmdb(path), SPEC, batch_size=3)
    assert len(images) == 3


def test_images_outlive_their_transaction(path: Path, batch: list[bytes]) -> None:
    dataset = fastpre.data.Lmdb(path)
    samples = dataset.__getitems__(list(range(12)))
    del dataset
    gc.collect()
    with lmdb.open(str(path)):  # what was opened is closed with the last dataset
        assert [sample["bytes"] for sample in samples] == batch


def test_datasets_share_an_environment(path: Path) -> None:
    """LMDB allows one in a process."""
    train = fastpre.data.Lmdb(path, keys=["00.jpg"])
    copy = pickle.loads(pickle.dumps(train))
    link = path.parent / "link.lmdb"
    link.symlink_to(path)
    assert train[0]["bytes"] == copy[0]["bytes"] == fastpre.data.Lmdb(link)[0]["bytes"]


def pickled(key: str, value: memoryview) -> Any:
    image, label = pickle.loads(value)
    return image, label


@pytest.mark.parametrize("workers", [0, 1])
def test_values_to_unpack(workers: int, tmp_path: Path, batch: list[bytes], want: torch.Tensor) -> None:
    """And the error of one that cannot be is arranged as the others are."""
    values = {b"%02d" % number: pickle.dumps((image, number)) for number, image in enumerate(batch[:4])}
    values |= {b"00": b"no pickle", b"02": pickle.dumps((BROKEN, 2))}
    dataset = fastpre.data.Lmdb(storage.write_lmdb(tmp_path / "a", values), unpack=pickled)
    loader = fastpre.data.Loader(dataset, SPEC, batch_size=4, num_workers=workers, on_error="skip")
    ((images, labels),) = loader
    assert labels.tolist() == [1, 3]
    assert torch.equal(images, want[[1, 3]])
    assert [(type(e), e.name) for e in loader.errors] == [
        (fastpre.ImageReadError, "a: 00"),
        (fastpre.CorruptImage, "a: 02"),
    ]
    assert "cannot be unpacked: UnpicklingError" in loader.errors[0].reason
    assert dataset[0][1] == -100


def test_unpacking_with_labels(path: Path, batch: list[bytes]) -> None:
    dataset = fastpre.data.Lmdb(path, label_of, unpack=lambda key, value: bytes(value) if key > "00.jpg" else 1 / 0)
    assert dataset[1] == ({"bytes": batch[1], "path": "train.lmdb: 01.jpg"}, 101)
    error, label = dataset[0]
    assert (str(error), label) == ("train.lmdb: 00.jpg: cannot be unpacked: ZeroDivisionError: division by zero", 100)
    assert isinstance(fastpre.data.Lmdb(path, unpack=lambda key, value: 1 / 0)[0], fastpre.ImageReadError)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_key_that_is_gone(workers: int, path: Path, want: torch.Tensor) -> None:
    dataset = fastpre.data.Lmdb(path, label_of, keys=["00.jpg", "99.jpg", "01.jpg"])
    loader = fastpre.data.Loader(dataset, SPEC, batch_size=3, num_workers=workers, on_error="skip")
    ((images, labels),) = loader
    assert labels.tolist() == [100, 101]
    assert torch.equal(images, want[:2])
    assert [str(error) for error in loader.errors] == [
        "image 1 (dataset index 1, train.lmdb: 99.jpg): there is no such key"
    ]


def test_without_a_database(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no LMDB database"):
        fastpre.data.Lmdb(tmp_path / "gone")
    (tmp_path / "text").write_text("no database")
    with pytest.raises(lmdb.Error):
        fastpre.data.Lmdb(tmp_path / "text")
