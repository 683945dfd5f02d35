"""WebDataset's own pipelines, as they are, in Loader and in a DataLoader with collate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import webdataset as wds
from torch.utils.data import DataLoader

import fastpre
import fastpre.data
import storage
from loading import QUIET_FORK, SPEC

pytestmark = QUIET_FORK


def number(data: bytes) -> int:
    return int(data)


def as_they_are(data: Any) -> Any:
    return data


@pytest.fixture
def urls(tmp_path: Path, batch: list[bytes]) -> str:
    storage.write_shards(tmp_path, batch, 3)
    return f"{tmp_path}/shard-{{000000..000003}}.tar"


@pytest.mark.parametrize("workers", [0, 2])
def test_a_pipeline_without_decode(workers: int, urls: str, want: torch.Tensor) -> None:
    pipeline = wds.WebDataset(urls, shardshuffle=4).shuffle(5).to_tuple("jpg;jpeg", "cls", "__key__")
    labelled = pipeline.map_tuple(as_they_are, number)
    loaders: list[Any] = [
        fastpre.data.Loader(labelled, SPEC, batch_size=2, num_workers=workers),
        DataLoader(labelled, 2, num_workers=workers, collate_fn=fastpre.data.collate(SPEC)),
        wds.WebLoader(labelled, batch_size=2, num_workers=workers, collate_fn=fastpre.data.collate(SPEC)),
    ]
    for loader in loaders:
        images, labels, keys = zip(*loader, strict=True)
        rows = torch.cat(labels) - 100
        assert sorted(rows.tolist()) == list(range(12))
        assert torch.equal(torch.cat(images), want[rows])
        assert [key for batch in keys for key in batch] == [storage.key_of(row) for row in rows.tolist()]


def test_labels_stay_bytes_without_a_map(urls: str, want: torch.Tensor) -> None:
    pipeline = wds.WebDataset(urls, shardshuffle=False).to_tuple("jpg", "cls")
    ((images, labels),) = fastpre.data.Loader(pipeline, SPEC, batch_size=12)
    assert torch.equal(images, want)
    assert list(labels) == [str(100 + row).encode() for row in range(12)]


def test_images_alone(urls: str, want: torch.Tensor) -> None:
    pipeline = wds.WebDataset(urls, shardshuffle=False).to_tuple("jpg").map(lambda sample: sample[0])
    (images,) = fastpre.data.Loader(pipeline, SPEC, batch_size=12)
    assert torch.equal(images, want)


def test_a_decoding_pipeline_is_refused(urls: str) -> None:
    pipeline = wds.WebDataset(urls, shardshuffle=False).decode("pil").to_tuple("jpg", "cls")
    with pytest.raises(TypeError, match="got a PIL Image"):
        list(fastpre.data.Loader(pipeline, SPEC, batch_size=13))  # reads to the end, where its files are closed
