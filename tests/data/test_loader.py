"""fastpre.data.Loader: the Preprocessor's bits, arranged as by a DataLoader."""

from __future__ import annotations

import collections
import io
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

import fastpre
import fastpre.data
from loading import ARRANGEMENTS, QUIET_FORK, SPEC, Flow, Items, Plain, Sample, assert_same, labelled, load

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


@pytest.mark.parametrize(("workers", "ahead"), ARRANGEMENTS)
def test_images_alone(workers: int, ahead: int, batch: list[bytes], want: torch.Tensor) -> None:
    loader = load(batch, batch_size=5, num_workers=workers, prefetch_batches=ahead)
    assert len(loader) == 3
    for _ in range(3):
        tensors = list(loader)
        assert [len(t) for t in tensors] == [5, 5, 2]
        assert torch.equal(torch.cat(tensors), want)


@pytest.mark.parametrize(("workers", "ahead"), ARRANGEMENTS)
def test_images_with_labels(workers: int, ahead: int, batch: list[bytes], want: torch.Tensor) -> None:
    loader = load(labelled(batch), batch_size=5, num_workers=workers, prefetch_batches=ahead, drop_last=True)
    assert len(loader) == 2
    images, labels = zip(*loader, strict=True)
    assert torch.equal(torch.cat(images), want[:10])
    assert torch.cat(labels).tolist() == list(range(100, 110))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    "sample",
    [
        lambda image, i: (image,),
        lambda image, i: (image, i, f"name {i}", {"box": torch.full((4,), i), "who": (b"x", 0.5 * i)}),
        lambda image, i: [image, [i, np.float32(i)]],
        lambda image, i: Sample(image, i, str(i)),
    ],
)
def test_arranged_as_by_a_data_loader(
    sample: Callable[[bytes, int], Any], workers: int, batch: list[bytes], want: torch.Tensor
) -> None:
    items = [sample(image, i) for i, image in enumerate(batch)]
    got = list(load(items, batch_size=5, num_workers=workers))
    assert_same(got, list(DataLoader(Plain(items, want), batch_size=5)))


@pytest.mark.parametrize("workers", [0, 2])
def test_kinds_of_images(workers: int, batch: list[bytes], want: torch.Tensor, tmp_path: Path) -> None:
    path = tmp_path / "5.jpg"
    path.write_bytes(batch[5])
    items = [
        batch[0],
        bytearray(batch[1]),
        torch.frombuffer(bytearray(batch[2]), dtype=torch.uint8),
        np.frombuffer(batch[3], np.uint8),
        np.repeat(np.frombuffer(batch[4], np.uint8), 2)[::2],
        path,
        str(path),
        {"bytes": batch[7], "path": "elsewhere.jpg"},
        {"bytes": None, "path": str(path)},
        io.BytesIO(batch[8]),
        *([memoryview(batch[6])] if workers == 0 else [batch[6]]),
    ]
    (got,) = load(items, batch_size=11, num_workers=workers, multiprocessing_context="fork" if workers else None)
    assert torch.equal(got, want[[0, 1, 2, 3, 4, 5, 5, 7, 5, 8, 6]])


@pytest.mark.parametrize("item", [3, torch.zeros(3, 8, 8), np.zeros((2, 2), np.uint8), Image.new("RGB", (4, 4))])
def test_no_image_at_all(item: Any, photo: bytes) -> None:
    for items in ([photo, item], [(photo, 0), (item, 1)]):
        with pytest.raises(TypeError, match="image 1: expected"):
            list(load(items, batch_size=2))


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


def test_emulated(batch: list[bytes], want: torch.Tensor) -> None:
    loader = load(batch, batch_size=5, device="emulated")
    assert loader.device == "emulated"
    assert torch.equal(torch.cat(list(loader)), want)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"on_error": "ignore"}, ValueError, "on_error must be"),
        ({"prefetch_batches": -1}, ValueError, "prefetch_batches must be at least 0"),
        ({"prefetch_batches": 1.5}, TypeError, "prefetch_batches must be an integer"),
        ({"batch_size": None}, ValueError, "batch_size=None"),
        ({"device": "tpu"}, ValueError, "device must be"),
        ({"num_threads": 0}, ValueError, "num_threads must be"),
        ({"shuffle": True, "sampler": [0]}, ValueError, "mutually exclusive"),
        ({"persistent_workers": True}, ValueError, "num_workers"),
    ],
)
def test_wrong_arguments(options: dict[str, Any], error: type[Exception], match: str, batch: list[bytes]) -> None:
    with pytest.raises(error, match=match):
        load(batch, **options)


def test_no_other_names() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        _ = fastpre.data.nonsense


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
        ((image for image in [b"x"]), r"Loader\(list\(samples\)\)"),
        ({"a.jpg": 0}, r"Loader\(list\(samples\)\)"),
        (None, "torch Dataset or a sequence"),
    ],
    ids=["str", "path", "bytes", "generator", "dict", "None"],
)
def test_what_is_no_dataset(dataset: Any, line: str) -> None:
    with pytest.raises(TypeError, match=line):
        fastpre.data.Loader(dataset, SPEC)


@pytest.mark.parametrize("item", [Image.new("L", (4, 4)), torch.zeros(3, 8, 8)])
def test_decoded_images_are_refused_with_the_line_to_write(item: Any, photo: bytes) -> None:
    with pytest.raises(TypeError, match=r"image 1: .*ImageFolder\(root, loader=fastpre\.transforms\.read_bytes\)"):
        list(load([(photo, 0), (item, 1)], batch_size=2))


def test_a_row_is_refused_with_the_line_to_write(photo: bytes) -> None:
    with pytest.raises(TypeError, match=r"'image', 'label'.*\(row\['image'\], row\['label'\]\)"):
        list(load([{"image": photo, "label": 0}]))


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


class Curious(Items):
    """Asks torch for its dataset."""

    def __getitem__(self, index: int) -> Any:
        info = torch.utils.data.get_worker_info()
        assert info is not None
        assert info.dataset is self
        return super().__getitem__(index)


def test_a_dataset_sees_itself(batch: list[bytes], want: torch.Tensor) -> None:
    loader = fastpre.data.Loader(Curious(batch[:2]), SPEC, batch_size=2, num_workers=1, multiprocessing_context="fork")
    (got,) = loader
    assert torch.equal(got, want[:2])


def test_a_missing_sample_among_tuples(batch: list[bytes]) -> None:
    loader = fastpre.data.Loader([(batch[0], 1), None], SPEC, batch_size=2)
    with pytest.raises(TypeError, match=r"image 1: expected a tuple or list .* give \(None, \*targets\)"):
        list(loader)
    loader = fastpre.data.Loader([(batch[0], 1), (None, 2)], SPEC, batch_size=2, on_error="skip")
    ((images, labels),) = loader
    assert len(images) == 1
    assert labels.tolist() == [1]


def test_reprs(batch: list[bytes]) -> None:
    loader = load(batch, batch_size=5)
    shown = f"Loader(Items of 12, {SPEC!r}, batch_size=5, device='cpu', num_workers=0)"
    assert repr(loader) == shown
    batches = iter(loader)
    assert repr(batches) == f"Batches({shown}, open)"
    list(batches)
    assert repr(batches) == f"Batches({shown}, closed)"
    by_batches = fastpre.data.Loader(Flow(batch), SPEC, device="emulated")
    assert repr(by_batches).startswith("Loader(Flow, Spec(")
    assert "batch_sampler=..." in repr(load(batch, batch_sampler=[[0]]))
    collate = fastpre.data.collate(SPEC, on_error="fill", fill=2)
    preprocessor = f"Preprocessor({SPEC!r}, device='cpu', num_threads=None)"
    assert repr(collate) == f"Collate(Decoder({preprocessor}, on_error='fill', fill=2.0))"
