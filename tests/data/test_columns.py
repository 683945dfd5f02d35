"""fastpre.data.Columns: rows of Hugging Face's datasets, of Arrow tables, and others by name."""

from __future__ import annotations

import itertools
import pickle
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, Subset
from torchdata.stateful_dataloader import StatefulDataLoader

import fastpre
import fastpre.data
import storage
from fastpre.data.compressed import pack
from loading import QUIET_FORK, SPEC, Flow, Items

pytestmark = QUIET_FORK


def rows_of(images: list[bytes]) -> list[dict[str, Any]]:
    return [{"image": image, "label": 100 + number} for number, image in enumerate(images)]


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("kind", ["hugging face", "mapped", "formatted", "arrow", "rows", "subset"])
def test_map_style(kind: str, workers: int, batch: list[bytes], want: torch.Tensor, tmp_path: Path) -> None:
    dataset: Any
    if kind == "hugging face":
        dataset = storage.hugging_face(batch, other=["x"] * len(batch))
    elif kind == "mapped":  # rows by way of an index, from a file
        storage.hugging_face(batch[::-1]).save_to_disk(tmp_path)
        dataset = datasets.load_from_disk(str(tmp_path)).select(range(11, -1, -1))
        dataset = dataset.remove_columns("label").add_column("label", list(range(100, 112)))
    elif kind == "formatted":
        dataset = storage.hugging_face(batch).with_format("numpy", columns=["label"], output_all_columns=True)
    elif kind == "arrow":
        dataset = storage.table_of(list(batch))
    elif kind == "subset":
        dataset = Subset(Items(rows_of(batch)), range(12))
    else:
        dataset = rows_of(batch)
    columns = fastpre.data.Columns(dataset, "image", "label")
    assert len(columns) == 12  # type: ignore[arg-type]
    assert not isinstance(columns, IterableDataset)
    ours = fastpre.data.Loader(columns, SPEC, batch_size=5, shuffle=True, num_workers=workers)
    theirs: Any = DataLoader(columns, 5, num_workers=workers, collate_fn=fastpre.data.collate(SPEC))
    for loader in (ours, theirs):
        images, labels = zip(*loader, strict=True)
        rows = torch.cat(labels) - 100
        assert sorted(rows.tolist()) == list(range(12))
        assert torch.equal(torch.cat(images), want[rows])


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("kind", ["hugging face", "torch", "iterable"])
def test_iterable(kind: str, workers: int, batch: list[bytes], want: torch.Tensor) -> None:
    dataset: Any = {
        "hugging face": lambda: storage.hugging_face(batch).to_iterable_dataset(num_shards=3),
        "torch": lambda: Flow(rows_of(batch)),
        "iterable": lambda: Rows(batch),
    }[kind]()
    columns = fastpre.data.Columns(dataset, "image", "label")
    assert isinstance(columns, IterableDataset)
    if kind == "iterable" and workers:
        return  # every worker would give all of it: a Stream shares
    for _ in range(2):
        images, labels = zip(*fastpre.data.Loader(columns, SPEC, batch_size=5, num_workers=workers), strict=True)
        rows = torch.cat(labels) - 100
        assert sorted(rows.tolist()) == list(range(12))
        assert torch.equal(torch.cat(images), want[rows])


class Rows:
    def __init__(self, images: list[bytes]) -> None:
        self.images = images

    def __iter__(self) -> Any:
        return iter(rows_of(self.images))


def test_batches_are_one_read(batch: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of Hugging Face's tables, and without the columns that are not asked for."""
    columns = fastpre.data.Columns(storage.hugging_face(batch, other=["x"] * 12), "image", "label")
    reads: list[Any] = []
    get = datasets.Dataset.__getitem__
    monkeypatch.setattr(datasets.Dataset, "__getitem__", lambda self, key: reads.append(key) or get(self, key))
    seen = []
    monkeypatch.setattr(
        "fastpre.data.sources.columns.ArrowRows",
        lambda table, *rest: seen.append(table.column_names) or ArrowRows(table, *rest),
    )
    from fastpre.data.sources.arrow import ArrowRows

    list(fastpre.data.Loader(columns, SPEC, batch_size=6))
    assert reads == [list(range(6)), list(range(6, 12))]
    assert seen == [["image", "label"]] * 2


def address(buffer: Any) -> int:
    return int(np.frombuffer(buffer, np.uint8).ctypes.data)


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
@pytest.mark.parametrize("struct", [False, True])
def test_images_of_arrow_tables_are_not_copied(struct: bool, kind: pa.DataType, batch: list[bytes]) -> None:
    """All the way to the decoder; also of slices and of several chunks."""
    chunks = [pa.array(batch[:5], kind).slice(2), pa.array([], kind), pa.array([None, *batch[5:]], kind)]
    memory = [
        range(c.buffers()[2].address, c.buffers()[2].address + c.buffers()[2].size) for c in (chunks[0], chunks[2])
    ]
    arrays = [pa.StructArray.from_arrays([chunk], ["bytes"]) for chunk in chunks] if struct else chunks
    table = pa.table({"image": pa.chunked_array(arrays)})
    for name in ["image", "image.bytes"] if struct else ["image"]:
        columns: Any = fastpre.data.Columns(table, name)
        samples = [columns[row] for row in range(len(table))]
        assert isinstance(samples[3], fastpre.ImageReadError)
        images = [sample for sample in samples if isinstance(sample, dict)]
        assert [bytes(image["bytes"]) for image in images] == batch[2:]
        packed = pack(images).images
        for image, payload, place in zip(images, packed, [0] * 3 + [1] * 7, strict=True):
            assert address(image["bytes"]) in memory[place]
            assert address(payload) == address(image["bytes"])
            assert memoryview(image["bytes"]).readonly
    del table, chunks, arrays, columns, samples, images
    assert torch.equal(fastpre.Preprocessor(SPEC)(packed), fastpre.Preprocessor(SPEC)(batch[2:]))


def test_what_is_written_into_is_copied(batch: list[bytes]) -> None:
    """A buffer that a dataset reuses; and what cannot be written into is not."""
    reused = bytearray(batch[0])
    first = pack([reused, memoryview(reused).toreadonly()[:10]]).images
    assert isinstance(first[0], bytes)
    view = memoryview(batch[1])
    assert address(pack([view]).images[0]) == address(batch[1])
    assert pack([view[::2]]).images == [batch[1][::2]]
    assert pack([memoryview(b"")]).images[0].tobytes() == b""


@pytest.mark.parametrize("kind", [pa.binary_view(), pa.dictionary(pa.int32(), pa.binary()), pa.string(), pa.int64()])
def test_other_layouts(kind: pa.DataType, batch: list[bytes]) -> None:
    if kind == pa.binary_view():
        columns: Any = fastpre.data.Columns(pa.array(batch, kind))
        assert [bytes(columns[row]["bytes"]) for row in range(12)] == batch
        return
    with pytest.raises(TypeError, match="column 'image' holds"):
        fastpre.data.Columns(pa.array([], kind))


@pytest.mark.parametrize("make", [pa.array, lambda images: pa.chunked_array([images[:3], images[3:]])])
def test_arrays_are_the_image_column(make: Any, batch: list[bytes], want: torch.Tensor) -> None:
    (images,) = fastpre.data.Loader(fastpre.data.Columns(make(batch)), SPEC, batch_size=12, num_workers=1)
    assert torch.equal(images, want)
    record = pa.RecordBatch.from_pydict({"photo": batch})
    (images,) = fastpre.data.Loader(fastpre.data.Columns(record, "photo"), SPEC, batch_size=12)
    assert torch.equal(images, want)


@pytest.mark.parametrize("kind", ["arrow", "hugging face", "rows", "stream"])
def test_null_rows(kind: str, batch: list[bytes], want: torch.Tensor) -> None:
    images: list[Any] = [batch[0], None, batch[2], b"", batch[4]]
    rows = [{"image": image, "label": number} for number, image in enumerate(images)]
    dataset: Any = rows
    if kind == "arrow":
        dataset = pa.Table.from_pylist(rows)
    elif kind != "rows":
        dataset = datasets.Dataset.from_list(rows)
        dataset = dataset.to_iterable_dataset() if kind == "stream" else dataset
    loader = fastpre.data.Loader(fastpre.data.Columns(dataset, "image", "label"), SPEC, batch_size=5, on_error="skip")
    ((got, labels),) = loader
    assert labels.tolist() == [0, 2, 4]
    assert torch.equal(got, want[[0, 2, 4]])
    null, empty = loader.errors
    assert (type(null), null.name, null.reason) == (fastpre.ImageReadError, "row 1", "it is null")
    assert (type(empty), empty.name) == (fastpre.CorruptImage, "row 3")


def test_a_null_value(batch: list[bytes]) -> None:
    table = pa.table({"image": batch[:3], "label": [1, None, 3], "text": ["a", "b", None]})
    loader = fastpre.data.Loader(
        fastpre.data.Columns(table, "image", "label", "text"), SPEC, batch_size=3, on_error="fill"
    )
    ((_, labels, texts),) = loader
    assert (labels.tolist(), list(texts)) == ([1, -100, -100], ["a", "", ""])
    assert [str(error) for error in loader.errors] == [
        "image 1 (dataset index 1, row 1): its 'label' is null",
        "image 2 (dataset index 2, row 2): its 'text' is null",
    ]


def test_images_by_path(tmp_path: Path, batch: list[bytes], want: torch.Tensor) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(batch[0])
    images = [{"bytes": None, "path": str(path)}, {"bytes": None, "path": "gone.jpg"}, {"bytes": batch[1], "path": "b"}]
    table = pa.table({"image": pa.array(images, storage.IMAGE_STRUCT)})
    for dataset in (table, datasets.Dataset(table).cast_column("image", datasets.Image()), table.to_pylist()):
        columns: Any = fastpre.data.Columns(dataset)
        assert columns[2]["path"] == "row 2: b"
        loader = fastpre.data.Loader(columns, SPEC, batch_size=3, on_error="skip")
        (got,) = loader
        assert torch.equal(got, want[:2])
        assert [(type(e), e.name) for e in loader.errors] == [(fastpre.ImageReadError, "gone.jpg")]


def test_errors_of_the_caller(batch: list[bytes]) -> None:
    table = storage.table_of(list(batch[:2]))
    for names, match in (
        (("photo",), "no column 'photo'; there are image, label"),
        (("image.x",), "no column 'image.x'"),
    ):
        with pytest.raises(KeyError, match=match):
            fastpre.data.Columns(table, *names)
    with pytest.raises(KeyError, match="no column 'target'"):
        fastpre.data.Columns(storage.hugging_face(batch[:2]), "image", "target")
    with pytest.raises(TypeError, match="column 'label' holds int64"):
        fastpre.data.Columns(table, "label")
    for wrong in (3, "train", {"image": []}, (row for row in rows_of(batch))):
        with pytest.raises(TypeError, match=r"Columns takes a datasets\.Dataset"):
            fastpre.data.Columns(wrong)
    with pytest.raises(KeyError, match="no column 'x'; there are image, label"):
        fastpre.data.Columns(rows_of(batch), "image", "x")[0]  # type: ignore[index]
    with pytest.raises(TypeError, match="row 0 of list is no mapping of columns: tuple"):
        fastpre.data.Columns([(1, 2)])[0]  # type: ignore[index]
    nested: Any = fastpre.data.Columns([{"a": {"b": {"c": batch[0]}}}], "a.b.c")
    assert nested[0]["bytes"] == batch[0]


def test_epochs_and_states_are_the_datasets_own(batch: list[bytes]) -> None:
    def loader() -> Any:
        stream = storage.hugging_face(batch).to_iterable_dataset(num_shards=4)
        columns = fastpre.data.Columns(stream, "image", "label")
        return StatefulDataLoader(columns, 2, num_workers=2, collate_fn=list)

    whole = [[label for _, label in samples] for samples in loader()]
    first = loader()
    got = [[label for _, label in samples] for samples in itertools.islice(first, 3)]
    second = loader()
    second.load_state_dict(first.state_dict())
    assert got + [[label for _, label in samples] for samples in second] == whole
    shuffled: Any = fastpre.data.Columns(
        storage.hugging_face(batch).to_iterable_dataset().shuffle(seed=1, buffer_size=12), "image", "label"
    )
    orders = []
    for epoch in (0, 1, 1):
        shuffled.set_epoch(epoch)
        orders.append([label for _, label in shuffled])
    assert orders[0] != orders[1] == orders[2]


@pytest.mark.parametrize("kind", ["hugging face", "torch"])
def test_a_state_serves_for_one_epoch(kind: str, batch: list[bytes]) -> None:
    """The one after it is a whole one."""
    stream: Any = storage.hugging_face(batch).to_iterable_dataset() if kind == "hugging face" else Flow(rows_of(batch))
    columns: Any = fastpre.data.Columns(stream, "image", "label")
    columns.set_epoch(0)
    iterator = iter(columns)
    taken = [next(iterator)[1] for _ in range(5)]
    state = columns.state_dict()
    rest = [label for _, label in iterator]
    columns.load_state_dict(state)
    assert [label for _, label in columns] == rest
    assert [label for _, label in columns] == taken + rest


def test_pickles_and_reprs(batch: list[bytes]) -> None:
    for dataset in (storage.table_of(list(batch)), storage.hugging_face(batch), rows_of(batch)):
        columns: Any = fastpre.data.Columns(dataset, "image", "label")
        columns[0]
        copy = pickle.loads(pickle.dumps(columns))
        assert type(copy) is type(columns)
        assert [label for _, label in map(copy.__getitem__, range(12))] == list(range(100, 112))
        assert repr(columns) == f"Columns({type(dataset).__name__} of 12, 'image', 'label')"
    assert repr(fastpre.data.Columns(Flow([]))) == "Columns(Flow, 'image')"
