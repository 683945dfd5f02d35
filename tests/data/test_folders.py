"""Folders of photographs: our ImageFolder, and torchvision's as a Loader takes them."""

from __future__ import annotations

import io
import itertools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch.utils.data import ConcatDataset, Dataset, Subset

import fastpre
import fastpre.data
import streams
from loading import QUIET_FORK, SPEC, TIMEOUT_S

pytestmark = QUIET_FORK

JPEGS = (".jpg", ".jpeg")


@pytest.fixture
def folder(tmp_path: Path, batch: list[bytes]) -> Path:
    """Two classes and a subfolder; names out of order, a PNG and a text among them."""
    for i, name in enumerate(("dog/b.jpg", "cat/z.JPEG", "cat/a.jpg", "dog/deep/c.jpeg", "cat/B.JPG")):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(batch[i])
    streams.picture("RGB", 8, 8).save(tmp_path / "cat" / "c.png")
    (tmp_path / "dog" / "notes.txt").write_text("no image")
    return tmp_path


def test_image_folder(folder: Path) -> None:
    with pytest.warns(fastpre.data.IgnoredImagesWarning):
        ours = fastpre.data.ImageFolder(folder)
    theirs = torchvision.datasets.ImageFolder(folder, loader=fastpre.transforms.read_bytes)
    assert (ours.classes, ours.class_to_idx) == (theirs.classes, theirs.class_to_idx)
    assert ours.samples == ours.imgs == [s for s in theirs.samples if not s[0].endswith("png")]
    assert ours.targets == [label for _, label in ours.samples] == [0, 0, 0, 1, 1]
    assert list(ours) == [(Path(path).read_bytes(), label) for path, label in ours.samples]
    assert ours.extensions == (".jpg", ".jpeg")
    assert repr(ours) == f"ImageFolder({str(folder)!r}, 5 images in 2 classes)"
    with_png = fastpre.data.ImageFolder(str(folder), extensions=(".JPG", ".jpeg", ".png"), target_transform=str)
    assert with_png.samples == theirs.samples
    assert with_png[0][1] == "0"
    assert fastpre.data.ImageFolder(folder, extensions=".JPEG").targets == [0, 1]
    (folder / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="empty"):
        fastpre.data.ImageFolder(folder, extensions=JPEGS)


def test_other_images_are_counted_once(folder: Path) -> None:
    for name in ("cat/d.PNG", "dog/e.webp", "dog/f.jfif"):
        (folder / name).write_bytes(b"")
    with pytest.warns(fastpre.data.IgnoredImagesWarning) as caught:
        fastpre.data.ImageFolder(folder)
    (warning,) = caught
    assert "4 images: 1 .jfif, 2 .png, 1 .webp." in str(warning.message)
    assert "ImageFolder(root, extensions=('.jpg', '.jpeg'))" in str(warning.message)
    assert warning.filename == __file__
    fastpre.data.ImageFolder(folder, extensions=JPEGS)  # asked for: no warning, which would be an error
    (folder / "bird").mkdir()
    (folder / "bird" / "g.png").write_bytes(b"")
    with pytest.raises(
        FileNotFoundError, match=r"bird.*takes \.jpg, \.jpeg files; it leaves out 5 images: 1 \.jfif, 3 \.png"
    ):
        fastpre.data.ImageFolder(folder)


DATASETS: dict[str, Callable[[Path], Any]] = {
    "ours": lambda root: fastpre.data.ImageFolder(root, extensions=JPEGS),
    "torchvision's ImageFolder": lambda root: torchvision.datasets.ImageFolder(root, is_valid_file=is_jpeg),
    "with read_bytes": lambda root: torchvision.datasets.ImageFolder(
        root, loader=fastpre.transforms.read_bytes, is_valid_file=is_jpeg
    ),
    "with a loader of its own": lambda root: torchvision.datasets.ImageFolder(
        root, loader=opened, is_valid_file=is_jpeg
    ),
    "DatasetFolder": lambda root: torchvision.datasets.DatasetFolder(
        root, torchvision.datasets.folder.pil_loader, JPEGS
    ),
    "Subset": lambda root: Subset(
        Subset(DATASETS["torchvision's ImageFolder"](root), [4, 3, 2, 1, 0]), [4, 3, 2, 1, 0]
    ),
    "ConcatDataset": lambda root: ConcatDataset(
        [
            Subset(DATASETS["torchvision's ImageFolder"](root), [0, 1]),
            Subset(DATASETS["ours"](root), [2]),
            Subset(Listed([(path, label) for path, label in DATASETS["ours"](root).samples]), [3, 4]),
        ]
    ),
}


def is_jpeg(path: str) -> bool:
    return path.lower().endswith(JPEGS)


def opened(path: str) -> Any:
    return io.BytesIO(Path(path).read_bytes())


class Listed(Dataset[Any]):
    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        return self.items[index]


@pytest.mark.parametrize(
    ("kind", "method"),
    [*itertools.product(DATASETS, [None, "fork"]), ("ours", "spawn"), ("ConcatDataset", "spawn")],
)
def test_folders_through_a_loader(kind: str, method: str | None, folder: Path) -> None:
    dataset = DATASETS[kind](folder)
    reference = DATASETS["ours"](folder)
    want = fastpre.Preprocessor(SPEC)([path for path, _ in reference.samples])
    workers = 0 if method is None else 1
    loader = fastpre.data.Loader(dataset, SPEC, batch_size=3, num_workers=workers, multiprocessing_context=method)
    assert loader.dataset is dataset
    images, labels = zip(*loader, strict=True)
    assert torch.equal(torch.cat(images), want)
    assert torch.cat(labels).tolist() == reference.targets


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("kind", ["ours", "torchvision's ImageFolder", "Subset", "ConcatDataset"])
def test_errors_name_path_and_index(kind: str, workers: int, folder: Path) -> None:
    """Of a broken file, and of one that is gone, which is its own error and not the batch's."""
    dataset = DATASETS[kind](folder)
    samples = DATASETS["ours"](folder).samples
    broken, gone = samples[1][0], samples[3][0]
    Path(broken).write_bytes(b"no JPEG")
    Path(gone).unlink()
    loader = fastpre.data.Loader(dataset, SPEC, batch_size=2, num_workers=workers, on_error="skip")
    seen = [(type(e), e.index, e.dataset_index, e.name) for _ in loader for e in loader.errors]
    assert seen == [(fastpre.CorruptImage, 1, 1, broken), (fastpre.ImageReadError, 1, 3, gone)]
    with pytest.raises(fastpre.CorruptImage) as caught:
        list(fastpre.data.Loader(dataset, SPEC, batch_size=2, num_workers=workers))
    assert str(caught.value).startswith(f"image 1 (dataset index 1, {broken}): ")


def test_targets_and_samples_are_looked_up_when_asked_for(folder: Path) -> None:
    dataset = DATASETS["torchvision's ImageFolder"](folder)
    part = Subset(dataset, [0])
    loader = fastpre.data.Loader(part, SPEC, batch_size=9)
    dataset.target_transform = {0: 70, 1: 71}.__getitem__
    dataset.samples = dataset.samples[::-1]
    part.indices = [0, 1]
    ((images, labels),) = loader
    assert torch.equal(images, fastpre.Preprocessor(SPEC)([path for path, _ in dataset.samples[:2]]))
    assert labels.tolist() == [71, 71]


@pytest.mark.parametrize("wrap", [lambda d: d, lambda d: Subset(d, [0]), lambda d: ConcatDataset([Listed([0]), d])])
def test_a_transform_is_refused_with_the_line_to_write(wrap: Callable[[Any], Any], folder: Path) -> None:
    dataset = torchvision.datasets.ImageFolder(folder, transform=torchvision.transforms.ToTensor())
    line = r"Loader\(fastpre\.data\.ImageFolder\(root, transform\)\)"
    with pytest.raises(ValueError, match=line):
        fastpre.data.Loader(wrap(dataset), SPEC)


class WithPath(torchvision.datasets.ImageFolder):
    """What a subclass adds is not passed over."""

    def __getitem__(self, index: int) -> Any:
        return (*super().__getitem__(index), self.samples[index][0])


def test_a_subclass_gives_its_own_samples(folder: Path) -> None:
    dataset = WithPath(folder, is_valid_file=is_jpeg, loader=fastpre.transforms.read_bytes)
    (batch,) = fastpre.data.Loader(dataset, SPEC, batch_size=5)
    assert list(batch[2]) == [path for path, _ in dataset.samples]
    decoding = WithPath(folder, is_valid_file=is_jpeg)
    with pytest.raises(TypeError, match=r"PIL Image.*loader=fastpre\.transforms\.read_bytes"):
        list(fastpre.data.Loader(decoding, SPEC))


def test_image_folder_without_torchvision() -> None:
    code = """
import sys
sys.modules["torchvision"] = sys.modules["torchvision.datasets"] = None
import fastpre.data
try:
    fastpre.data.ImageFolder
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=TIMEOUT_S)
    assert b"pip install torchvision" in done.stdout


def test_a_folder_whose_transform_decodes(tmp_path: Path, photo: bytes) -> None:
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats" / "a.jpg").write_bytes(photo)
    transform = fastpre.transforms.DecodeResizeNormalize(SPEC)
    folder = torchvision.datasets.ImageFolder(str(tmp_path), transform=transform, loader=fastpre.transforms.read_bytes)
    with pytest.raises(ValueError, match="the dataset's transform says what is done with images"):
        fastpre.data.Loader(folder, SPEC)
    ((images, _),) = fastpre.data.Loader(folder)
    assert torch.equal(images, fastpre.Preprocessor(SPEC)([photo]))
