"""fastpre.data.Shards: the samples of tar shards, as WebDataset groups and reads them."""

from __future__ import annotations

import functools
import gzip
import io
import os
import tarfile
from pathlib import Path
from typing import Any

import fsspec
import pytest
import torch
import webdataset
from torch.utils.data import DataLoader

import fastpre
import fastpre.data
import storage
from loading import QUIET_FORK, SPEC

pytestmark = QUIET_FORK


@pytest.fixture
def shards(tmp_path: Path, batch: list[bytes]) -> list[Path]:
    """Twelve samples in three shards."""
    return storage.write_shards(tmp_path / "shards", batch, 4)


@pytest.mark.parametrize("workers", [0, 2])
def test_through_loaders(workers: int, shards: list[Path], want: torch.Tensor) -> None:
    dataset = fastpre.data.Shards(shards[0].parent)
    ours = fastpre.data.Loader(dataset, SPEC, batch_size=4, num_workers=workers)
    theirs: Any = DataLoader(dataset, 4, num_workers=workers, collate_fn=fastpre.data.collate(SPEC))
    for loader in (ours, theirs):
        images, labels = zip(*loader, strict=True)
        rows = torch.cat(labels) - 100
        assert sorted(rows.tolist()) == list(range(12))
        assert torch.equal(torch.cat(images), want[rows])
        assert workers or rows.tolist() == list(range(12))


def test_fields(shards: list[Path], batch: list[bytes]) -> None:
    fields = ("png;jpg", ".CLS", "json", "__key__", "__url__")
    samples = list(fastpre.data.Shards(shards[:1], fields))
    assert samples[1] == (
        {"bytes": batch[1], "path": "shard-000000.tar: class1/0001"},
        101,
        {"number": 1, "tags": ["a"]},
        "class1/0001",
        "shard-000000.tar",
    )
    assert next(iter(fastpre.data.Shards(shards, ("jpg",))))["bytes"] == batch[0]
    assert list(fastpre.data.Shards(shards[:1], ("jpg", "x.txt", "bin"))) != []
    for wrong in ("jpg", (1,)):
        with pytest.raises(TypeError, match="tuple of endings"):
            fastpre.data.Shards(shards, wrong)  # type: ignore[arg-type]
    for empty in ((), ("jpg", "")):
        with pytest.raises(ValueError, match="fields must be endings"):
            fastpre.data.Shards(shards, empty)


def test_the_same_samples_as_webdataset(tmp_path: Path) -> None:
    """Whatever the names: keys end at the first dot of the last part, neighbours with the same key are one sample."""
    names = [
        *("a/b.jpg", "a/b.cls", "a/b.seg.png", "./c.jpg", "./c.CLS", "a.b/d.jpg", "a.b/d.cls", "d.jpg", "d.cls"),
        *("__meta__.json", "__x__/e.jpg", "noext", ".hidden.jpg", "f.jpg", "g.jpg", "f.cls", "k" * 120 + ".jpg"),
        *("ünï.jpg", "ünï.cls", "a/b.JPG", "a/b.cls"),
    ]
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        folder = tarfile.TarInfo("folder.d")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name in names:
            content = b"7" if name.lower().endswith("cls") else name.encode()
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    theirs = list(webdataset.WebDataset(str(path), shardshuffle=False))
    ours = [
        sample
        for sample in fastpre.data.Shards(path, ("jpg", "__key__"))
        if not isinstance(sample[0], fastpre.ImageError)
    ]
    assert [(s["__key__"], s["jpg"]) for s in theirs if "jpg" in s] == [(key, image["bytes"]) for image, key in ours]
    both = [s for s in fastpre.data.Shards(path) if not isinstance(s[0], fastpre.ImageError)]
    assert [s["jpg"] for s in theirs if {"jpg", "cls"} <= s.keys()] == [image["bytes"] for image, _ in both]


def opened(path: Path) -> Any:
    return open(path, "rb")


class Unseekable(io.RawIOBase):
    """As a socket or a pipe: short reads, and no way back."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(min(len(buffer), 1000))
        buffer[: len(data)] = data
        return len(data)


def test_where_shards_lie(shards: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = shards[0].parent
    compressed = tmp_path / "a.tar.gz"
    compressed.write_bytes(gzip.compress(shards[0].read_bytes()))
    memory = fsspec.filesystem("memory")
    for path in shards:
        memory.pipe(f"/bucket/{path.name}", path.read_bytes())
    monkeypatch.chdir(folder)
    want = [label for _, label in fastpre.data.Shards([str(path) for path in shards])]
    assert want == list(range(100, 112))
    with open(shards[1], "rb") as second:
        for places in (
            folder,
            f"{folder}/",
            f"{folder}/shard-{{000000..000002}}.tar",
            f"{folder}/*.tar",
            "shard-*.tar",
            "memory://bucket/",
            "memory://bucket/shard-{000000..000002}.tar",
            "memory://bucket/*.tar",
            [functools.partial(opened, path) for path in shards],
            [shards[0], second, lambda: Unseekable(shards[2].read_bytes())],
            [compressed, f"file://{shards[1]}", shards[2]],
        ):
            dataset = fastpre.data.Shards(places)  # type: ignore[arg-type]
            for _ in range(2):
                assert [label for _, label in dataset] == want, places
    compressed.unlink()
    for nothing in (tmp_path, "nothing-*.tar", "memory://elsewhere/*.tar"):
        with pytest.raises(FileNotFoundError):
            fastpre.data.Shards(nothing)


def test_names_of_what_has_no_path(shards: list[Path]) -> None:
    broken = lambda: io.BytesIO(b"no archive" * 100)  # noqa: E731
    (image, label) = next(iter(fastpre.data.Shards([broken])))
    assert str(image).startswith("shard 0: cut off or damaged")
    assert label == -100
    with open(shards[0], "rb") as file:
        assert next(iter(fastpre.data.Shards([file])))[0]["path"] == f"{shards[0].name}: class0/0000"
    assert os.path.basename(repr(fastpre.data.Shards([broken]))).startswith("Shards(1 shards")


def test_length_and_classes_come_from_the_index(shards: list[Path]) -> None:
    folder = shards[0].parent
    unknown = fastpre.data.Shards(folder)
    assert unknown.classes is None
    with pytest.raises(TypeError, match=r"without an index\.json have no length"):
        len(unknown)
    assert repr(unknown) == f"Shards({str(folder)!r}, 3 shards, fields=('jpg;jpeg', 'cls'), shuffle=0)"
    assert "Shards" in repr(fastpre.data.Loader(unknown, SPEC))
    storage.write_index(folder, shards)
    for places in (folder, f"{folder}/shard-{{000000..000002}}.tar", shards):
        dataset = fastpre.data.Shards(places)  # type: ignore[arg-type]
        assert len(dataset) == 12
        assert dataset.classes == ["a", "b", "c"]
    assert len(fastpre.data.Loader(dataset, SPEC, batch_size=5)) == 3
    assert len(fastpre.data.Shards(shards[1:])) == 8
    shards[0].rename(folder / "other.tar")
    with pytest.raises(TypeError, match="have no length"):
        len(fastpre.data.Shards(f"{folder}/*.tar"))
    parquet = '{"version": 1, "format": "parquet"}'
    for text, reason in (
        ("{", "is no index"),
        ("[]", "is no index"),
        ('{"version": 2, "format": "tar"}', "version 2"),
        (parquet, r"expected 'tar'.*make fastpre\.data\.Parquet"),
    ):
        (folder / "index.json").write_text(text)
        with pytest.raises(ValueError, match=reason):
            fastpre.data.Shards(folder)
