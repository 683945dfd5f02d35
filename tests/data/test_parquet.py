"""fastpre.data.Parquet: rows of Parquet files, at random and as a stream."""

from __future__ import annotations

import itertools
import os
import pickle
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch.utils.data import DataLoader
from torchdata.stateful_dataloader import StatefulDataLoader

import fastpre
import fastpre.data
import storage
from loading import QUIET_FORK, SPEC

pytestmark = QUIET_FORK


@pytest.fixture
def folder(tmp_path: Path, batch: list[bytes]) -> Path:
    """Two files of six rows, in groups of four and two."""
    folder = tmp_path / "data"
    storage.write_parquet(folder / "train-0000.parquet", list(batch[:6]), 4)
    other = storage.write_parquet(folder / "train-0001.parquet", list(batch[6:]), 4)
    table = pq.read_table(other)
    pq.write_table(table.set_column(1, "label", [list(range(106, 112))]), other, row_group_size=4)
    return folder


@pytest.mark.parametrize("workers", [0, 1])
def test_shuffled_through_loaders(workers: int, folder: Path, want: torch.Tensor) -> None:
    dataset = fastpre.data.Parquet(folder, columns=["label"])
    assert len(dataset) == 12
    assert repr(dataset) == "Parquet(2 files, 4 row groups, 12 rows)"
    dataset[0]  # opened before workers are forked
    options: dict[str, Any] = {"batch_size": 5, "shuffle": True, "num_workers": workers}
    for loader in (
        fastpre.data.Loader(dataset, SPEC, **options),
        DataLoader(dataset, collate_fn=fastpre.data.collate(SPEC), **options),
    ):
        images, labels = zip(*loader, strict=True)
        rows = torch.cat(labels) - 100
        assert sorted(rows.tolist()) == list(range(12))
        assert torch.equal(torch.cat(images), want[rows])


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("shuffle", [0, 3])
def test_streamed_through_loaders(shuffle: int, workers: int, folder: Path, want: torch.Tensor) -> None:
    dataset = fastpre.data.Parquet(folder, columns=["label"]).stream(shuffle=shuffle)
    assert len(dataset) == 12
    assert repr(dataset) == f"ParquetStream(2 files, 4 row groups, 12 rows, shuffle={shuffle})"
    images, labels = zip(*fastpre.data.Loader(dataset, SPEC, batch_size=4, num_workers=workers), strict=True)
    rows = torch.cat(labels) - 100
    assert sorted(rows.tolist()) == list(range(12))
    assert torch.equal(torch.cat(images), want[rows])
    assert shuffle or workers or rows.tolist() == list(range(12))


def test_where_files_lie(folder: Path, batch: list[bytes]) -> None:
    memory = fsspec.filesystem("memory")
    for file in folder.iterdir():
        memory.pipe(f"/tables/{file.name}", file.read_bytes())
    for places in (
        f"{folder}/*.parquet",
        f"{folder}/train-000{{0..1}}.parquet",
        sorted(folder.iterdir()),
        "memory://tables/",
        "memory://tables/train-*.parquet",
    ):
        for image in ("image", "image.bytes"):
            dataset = pickle.loads(pickle.dumps(fastpre.data.Parquet(places, image)))  # type: ignore[arg-type]
            samples = [dataset[row] for row in range(-12, 0)]
            assert [bytes(sample["bytes"]) for sample in samples] == batch
            assert samples[9]["path"] == "train-0001.parquet, row 3"
            with pytest.raises(IndexError):
                dataset[12]


def test_images_are_views_of_a_row_group(folder: Path, batch: list[bytes]) -> None:
    """Their places in memory differ as those in the column do; and the group stays while they do."""
    dataset = fastpre.data.Parquet(folder, cache_bytes=0)
    for images in (
        [dataset[row]["bytes"] for row in range(4)],
        [sample["bytes"] for sample in dataset.__getitems__([0, 1, 2, 3])],
        [sample["bytes"] for sample in itertools.islice(dataset.stream(), 4)],
    ):
        assert all(isinstance(image, memoryview) and image.readonly for image in images)
        starts = [np.frombuffer(image, np.uint8).ctypes.data for image in images]
        assert np.diff(starts).tolist() == [len(image) for image in images[:-1]]
        dataset[9]  # another group
        assert [bytes(image) for image in images] == batch[:4]


def test_few_of_a_large_group_are_copies(tmp_path: Path, batch: list[bytes]) -> None:
    """Else a shuffled batch would hold a whole row group for each of its images."""
    dataset = fastpre.data.Parquet(storage.write_parquet(tmp_path / "a.parquet", list(batch), 12), cache_bytes=0)
    few = dataset.__getitems__([3, 7])
    assert [type(sample["bytes"]) for sample in few] == [bytes] * 2
    assert [sample["bytes"] for sample in few] == [batch[3], batch[7]]
    shuffled = list(dataset.stream(shuffle=2, seed=1))
    assert {type(sample["bytes"]) for sample in shuffled} == {bytes}


def test_a_group_is_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []
    read = pq.ParquetFile.read_row_group
    monkeypatch.setattr(
        pq.ParquetFile, "read_row_group", lambda self, i, **options: reads.append(i) or read(self, i, **options)
    )
    dataset = fastpre.data.Parquet(folder)
    dataset.__getitems__([0, 11, 1, 10, 2, 9])
    assert len(reads) == 3
    list(map(dataset.__getitem__, range(12)))
    assert len(reads) == 4  # and it stays
    small = fastpre.data.Parquet(folder, cache_bytes=0)
    reads.clear()
    for row in (0, 1, 4, 5, 0):
        small[row]
    assert reads == [0, 1, 0]


def test_null_rows(tmp_path: Path, batch: list[bytes], want: torch.Tensor) -> None:
    path = storage.write_parquet(tmp_path / "nulls.parquet", [batch[0], None, batch[2], b"", batch[4]], 2)
    dataset = fastpre.data.Parquet(path, columns=["label"])
    for source in (dataset, dataset.stream()):
        loader = fastpre.data.Loader(source, SPEC, batch_size=5, on_error="skip")
        ((images, labels),) = loader
        assert labels.tolist() == [100, 102, 104]
        assert torch.equal(images, want[[0, 2, 4]])
        assert [(type(e), e.name) for e in loader.errors] == [
            (fastpre.ImageReadError, "nulls.parquet, row 1"),
            (fastpre.CorruptImage, "nulls.parquet, row 3"),
        ]


@pytest.mark.parametrize("damage", ["gone", "cut", "zeros"])
@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_that_is_damaged_after_listing(workers: int, damage: str, folder: Path, want: torch.Tensor) -> None:
    """Each of its rows is an error at random access; each of its row groups one in a stream."""
    dataset = fastpre.data.Parquet(folder, columns=["label"])
    path = folder / "train-0000.parquet"
    if damage == "gone":
        path.unlink()
    elif damage == "cut":
        os.truncate(path, 500)
    else:
        data = path.read_bytes()
        path.write_bytes(data[:4] + bytes(len(data) // 2) + data[4 + len(data) // 2 :])
    loader = fastpre.data.Loader(dataset, SPEC, batch_size=4, num_workers=workers, on_error="skip")
    errors, labels = [], []
    for images, numbers in loader:
        errors += loader.errors
        labels += numbers.tolist()
        assert torch.equal(images, want[numbers - 100])
    assert labels[-6:] == list(range(106, 112))
    rows = [error.name for error in errors if isinstance(error, fastpre.ImageReadError)]
    assert rows == [f"train-0000.parquet, row {row}" for row in range(6 - len(labels) + 6)]
    assert len(rows) >= 4
    assert all("cannot read: " in error.reason for error in errors)
    streamed = list(dataset.stream())
    lost = [sample for sample in streamed if isinstance(sample[0], fastpre.ImageReadError)]
    assert (lost[0][0].name, lost[0][1]) == ("train-0000.parquet, row group 0", -100)
    assert [label for _, label in streamed if label != -100] == labels


def test_blanks_by_type(tmp_path: Path, photo: bytes) -> None:
    path = tmp_path / "a.parquet"
    columns: dict[str, Any] = {"i": [1], "f": [0.5], "s": ["x"], "b": [True], "l": [[1, 2]], "t": [{"x": 1}]}
    pq.write_table(pa.table({"image": [photo], **columns}), path)
    good = storage.write_parquet(tmp_path / "b.parquet", [photo], 1)
    pq.write_table(pa.table({"image": [photo], **columns}), good)
    dataset = fastpre.data.Parquet([path, good], columns=list(columns))
    path.unlink()
    ((_, i, f, s, b, l, t),) = fastpre.data.Loader(dataset, SPEC, batch_size=2, on_error="fill")  # noqa: E741
    assert i.tolist() == [-100, 1]
    assert f[0].isnan()
    assert list(s) == ["", "x"]
    assert b.tolist() == [False, True]
    assert [values.tolist() for values in l] == [[-100, 1], [-100, 2]]
    assert t["x"].tolist() == [-100, 1]


@pytest.mark.parametrize("workers", [0, 2])
def test_states(workers: int, folder: Path) -> None:
    def loader() -> Any:
        stream = fastpre.data.Parquet(folder, columns=["label"]).stream(shuffle=3, seed=1)
        return StatefulDataLoader(stream, 2, num_workers=workers, collate_fn=list)

    whole = [[label for _, label in samples] for samples in loader()]
    first = loader()
    got = [[label for _, label in samples] for samples in itertools.islice(first, 2)]
    second = loader()
    second.load_state_dict(first.state_dict())
    assert got + [[label for _, label in samples] for samples in second] == whole


def test_ranks_share_row_groups(folder: Path) -> None:
    dataset = fastpre.data.Parquet(folder, columns=["label"])
    shares = [[label for _, label in dataset.stream(rank=rank, world_size=3)] for rank in range(3)]
    assert shares == [[100, 101, 102, 103, 110, 111], [104, 105], [106, 107, 108, 109]]
    with pytest.raises(ValueError, match="5 ranks cannot share 4 row groups"):
        iter(dataset.stream(rank=0, world_size=5))


def test_what_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for nothing in (tmp_path / "empty", f"{tmp_path}/*.parquet", tmp_path / "gone.parquet", []):
        with pytest.raises(FileNotFoundError):
            fastpre.data.Parquet(nothing)  # type: ignore[arg-type]
    (tmp_path / "text.parquet").write_text("no table")
    with pytest.raises(ValueError, match=r"text\.parquet is no Parquet file, or damaged"):
        fastpre.data.Parquet(tmp_path / "text.parquet")
    with pytest.raises(KeyError, match="no column 'photo'; there are image, label"):
        fastpre.data.Parquet(folder, "photo")
    with pytest.raises(TypeError, match=r"columns=\['label'\]"):
        fastpre.data.Parquet(folder, columns="label")
