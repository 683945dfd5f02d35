"""fastpre.data.Loader: the Preprocessor's bits, arranged as by a DataLoader."""

from __future__ import annotations

import io
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
from loading import ARRANGEMENTS, QUIET_FORK, SPEC, Flow, Plain, Sample, assert_same, labelled, load

pytestmark = QUIET_FORK


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


@pytest.mark.parametrize("item", [Image.new("L", (4, 4)), torch.zeros(3, 8, 8)])
def test_decoded_images_are_refused_with_the_line_to_write(item: Any, photo: bytes) -> None:
    with pytest.raises(TypeError, match=r"image 1: .*ImageFolder\(root, loader=fastpre\.transforms\.read_bytes\)"):
        list(load([(photo, 0), (item, 1)], batch_size=2))


def test_a_row_is_refused_with_the_line_to_write(photo: bytes) -> None:
    with pytest.raises(TypeError, match=r"'image', 'label'.*\(row\['image'\], row\['label'\]\)"):
        list(load([{"image": photo, "label": 0}]))


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
