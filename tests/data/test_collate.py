"""fastpre.data.collate in a plain DataLoader."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

import fastpre
import fastpre.data
from loading import BROKEN, QUIET_FORK, SPEC, Items, Sample, assert_same, labelled

pytestmark = QUIET_FORK


@pytest.mark.parametrize("method", [None, "fork", "spawn"])
@pytest.mark.parametrize("layout", ["contiguous_format", "channels_last"])
def test_collate(method: str | None, layout: str, batch: list[bytes]) -> None:
    spec = SPEC.replace(memory_format=layout, dtype="bfloat16")
    want = fastpre.Preprocessor(spec)(batch)
    collate = fastpre.data.collate(spec)
    loader = DataLoader(
        Items(labelled(batch)),
        batch_size=5,
        num_workers=0 if method is None else 1,
        multiprocessing_context=method,
        collate_fn=collate,
    )
    images, labels = zip(*loader, strict=True)
    assert torch.equal(torch.cat(images), want)
    assert torch.cat(labels).tolist() == list(range(100, 112))
    assert images[0].is_contiguous(memory_format=spec.memory_format)
    assert images[0].is_shared() == (method is not None)


def test_collate_pickles(batch: list[bytes], want: torch.Tensor) -> None:
    collate = pickle.loads(pickle.dumps(fastpre.data.collate(SPEC, on_error="fill", num_threads=2)))
    assert torch.equal(collate(batch), want)
    got = collate([Sample(image, i, str(i)) for i, image in enumerate(batch)])
    assert isinstance(got, Sample)
    assert torch.equal(got.image, want)


@pytest.mark.parametrize("workers", [0, 2])
def test_collate_errors(workers: int, batch: list[bytes], want: torch.Tensor) -> None:
    items = labelled([batch[0], BROKEN, batch[2]])
    options: dict[str, Any] = {"batch_size": 3, "num_workers": workers}
    ((images, labels),) = DataLoader(Items(items), collate_fn=fastpre.data.collate(SPEC, on_error="skip"), **options)
    assert torch.equal(images, want[[0, 2]])
    assert labels.tolist() == [100, 102]
    filling = fastpre.data.collate(SPEC, on_error="fill", fill=7)
    ((images, labels),) = DataLoader(Items(items), collate_fn=filling, **options)
    assert torch.equal(images[[0, 2]], want[[0, 2]])
    assert (images[1] == 7).all()
    raising: Any = iter(DataLoader(Items(items), collate_fn=fastpre.data.collate(SPEC), **options))
    with pytest.raises(fastpre.CorruptImage, match="image 1"):
        next(raising)
    if workers:
        raising._shutdown_workers()  # else the collector does, and torch then waits 5 s for each worker
    with pytest.raises(ValueError, match="on_error must be"):
        fastpre.data.collate(SPEC, on_error="ignore")  # type: ignore[arg-type]


def test_collate_without_a_fixed_size(batch: list[bytes]) -> None:
    spec = fastpre.Spec(resize=None, crop=None)
    want = fastpre.Preprocessor(spec)([batch[0], batch[0]])
    loader = DataLoader(Items([batch[0]] * 2), 2, num_workers=1, collate_fn=fastpre.data.collate(spec))
    assert_same(list(loader), [want])
