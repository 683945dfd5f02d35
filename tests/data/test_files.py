"""fastpre.data.Files: paths and labels of a list."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import fastpre
import fastpre.data
from fastpre.data.sources.texts import Texts
from loading import QUIET_FORK, SPEC

pytestmark = QUIET_FORK


@pytest.fixture
def paths(tmp_path: Path, batch: list[bytes]) -> list[Path]:
    paths = [tmp_path / f"{number}.jpg" for number in range(6)]
    for path, image in zip(paths, batch, strict=False):
        path.write_bytes(image)
    return paths


@pytest.mark.parametrize("workers", [0, 1])
def test_files_with_labels(workers: int, paths: list[Path], want: torch.Tensor) -> None:
    dataset = fastpre.data.Files(paths, labels=[5, 4, 3, 2, 1, 0])
    assert len(dataset) == 6
    assert dataset[1] == (str(paths[1]), 4)
    assert repr(dataset) == "Files(6 paths with labels)"
    ours = fastpre.data.Loader(dataset, SPEC, batch_size=4, num_workers=workers)
    theirs: Any = DataLoader(dataset, 4, num_workers=workers, collate_fn=fastpre.data.collate(SPEC))
    for loader in (ours, theirs):
        images, labels = zip(*loader, strict=True)
        assert torch.equal(torch.cat(images), want[:6])
        assert torch.cat(labels).tolist() == [5, 4, 3, 2, 1, 0]


def test_files_without_labels(paths: list[Path], want: torch.Tensor) -> None:
    (images,) = fastpre.data.Loader(fastpre.data.Files(map(str, paths)), SPEC, batch_size=6)
    assert torch.equal(images, want[:6])


@pytest.mark.parametrize("labels", [np.arange(6), torch.arange(6), ["a"] * 6])
def test_labels_of_any_kind(labels: Any, paths: list[Path]) -> None:
    ((_, got),) = fastpre.data.Loader(fastpre.data.Files(paths, labels), SPEC, batch_size=6)
    assert list(got) == list(labels)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_that_vanishes_after_listing(workers: int, paths: list[Path], want: torch.Tensor) -> None:
    dataset = fastpre.data.Files(paths, range(6))
    paths[2].unlink()
    loader = fastpre.data.Loader(dataset, SPEC, batch_size=6, num_workers=workers, on_error="skip")
    ((images, labels),) = loader
    assert labels.tolist() == [0, 1, 3, 4, 5]
    assert torch.equal(images, want[[0, 1, 3, 4, 5]])
    (error,) = loader.errors
    assert isinstance(error, fastpre.ImageReadError)
    assert (error.name, error.dataset_index) == (str(paths[2]), 2)


def test_what_is_refused() -> None:
    with pytest.raises(TypeError, match=r"got the str 'photos'.*Files\(sorted.*rglob.*ImageFolder"):
        fastpre.data.Files("photos")
    with pytest.raises(ValueError, match="2 paths and 1 labels"):
        fastpre.data.Files(["a.jpg", "b.jpg"], [1])


def test_texts_are_strings_in_two_buffers() -> None:
    strings = ["", "a", "ü/é.jpg", "caf\udce9.jpg", "x" * 500, ""]
    texts = pickle.loads(pickle.dumps(Texts(strings)))
    assert list(texts) == strings
    assert [texts[-1], texts[-4], len(texts)] == ["", "ü/é.jpg", 6]
    for index in (6, -7):
        with pytest.raises(IndexError):
            texts[index]
    assert len(Texts()) == 0
    many = Texts(f"photos/{number:08d}.jpg" for number in range(1000))
    assert sum(map(sys.getsizeof, vars(many).values())) < 40 * len(many)
