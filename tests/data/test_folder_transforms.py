"""fastpre.data.ImageFolder in the place of torchvision's: one import, the same batches, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import transforms as v1
from torchvision.transforms import v2

import fastpre.data
import streams
from fastpre.transforms import DecodeResizeNormalize, FusedTransform, fuse
from loading import QUIET_FORK, TIMEOUT_S
from pictures import MEAN, STD, photograph

pytestmark = QUIET_FORK

TRAIN = v1.Compose(
    [v1.RandomResizedCrop(32), v1.RandomHorizontalFlip(), v1.ToTensor(), v1.Normalize(MEAN, STD), v1.RandomErasing(0.3)]
)
JITTER = v2.Compose(
    [v2.RandomResizedCrop(32), v2.ColorJitter(0.4, 0.4), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
)
EVALUATE = v1.Compose([v1.Resize(40), v1.CenterCrop(32), v1.ToTensor(), v1.Normalize(MEAN, STD)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve photographs in three classes, one of which is a PNG, one a palette image, one a CMYK JPEG."""
    root = tmp_path_factory.mktemp("photographs")
    for i in range(12):
        path = root / "abc"[i % 3] / f"{i:02}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(photograph(80 + 11 * i, 140 - 7 * i, seed=i, mode="CMYK" if i == 4 else "RGB"))
    streams.picture("RGB", 50, 60).save(root / "a" / "p.png")
    streams.picture("RGB", 50, 60).quantize(16).save(root / "b" / "q.png")
    return root


def batches(dataset: Any, workers: int, seed: int = 5) -> list[Any]:
    torch.manual_seed(seed)
    loader = DataLoader(dataset, 5, shuffle=True, num_workers=workers, timeout=TIMEOUT_S if workers else 0)
    return [batch for _ in range(2) for batch in loader]


@pytest.mark.parametrize("transform", [TRAIN, JITTER, EVALUATE], ids=["train", "jitter", "evaluate"])
@pytest.mark.parametrize("workers", [0, 2])
def test_one_import_changes_and_no_bit(folder: Path, transform: Any, workers: int) -> None:
    ours = fastpre.data.ImageFolder(folder, transform)
    theirs = torchvision.datasets.ImageFolder(folder, transform)
    assert (ours.samples, ours.classes, ours.targets) == (theirs.samples, theirs.classes, theirs.targets)
    for got, want in zip(batches(ours, workers), batches(theirs, workers), strict=True):
        assert torch.equal(got[1], want[1])
        assert torch.equal(got[0], want[0])


def test_what_is_fused_already_is_taken_as_it_is(folder: Path) -> None:
    fused = fuse(TRAIN)
    assert fastpre.data.ImageFolder(folder, fused).transform is fused
    assert isinstance(fastpre.data.ImageFolder(folder, TRAIN).transform, FusedTransform)
    assert isinstance(fastpre.data.ImageFolder(folder, EVALUATE).transform, DecodeResizeNormalize)
    assert "RandomResizedCrop" in repr(fastpre.data.ImageFolder(folder, TRAIN))
    with pytest.raises(TypeError, match="expected a torchvision transform"):
        fastpre.data.ImageFolder(folder, lambda image: image)


def test_a_broken_file_is_named(folder: Path, tmp_path: Path) -> None:
    for name, data in (("a/cut.jpg", photograph(60, 60)[:700]), ("a/text.png", b"no image at all")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    dataset = fastpre.data.ImageFolder(tmp_path, TRAIN)
    for index, name in ((0, "cut.jpg"), (1, "text.png")):
        with pytest.raises(fastpre.CorruptImage, match=name):
            dataset[index]


def test_only_geometry_is_left_to_pillow(folder: Path) -> None:
    """A PNG takes the same transform as a Pillow image."""
    dataset = fastpre.data.ImageFolder(folder, TRAIN)
    index = next(i for i, (path, _) in enumerate(dataset.samples) if path.endswith("q.png"))
    torch.manual_seed(0)
    got = dataset[index][0]
    torch.manual_seed(0)
    assert torch.equal(got, TRAIN(Image.open(folder / "b" / "q.png").convert("RGB")))


@pytest.mark.parametrize("transform", [TRAIN, JITTER, EVALUATE], ids=["train", "jitter", "evaluate"])
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("prefetch", [0, 2])
def test_a_loader_of_the_same_folder_gives_the_same_batches(
    folder: Path, transform: Any, workers: int, prefetch: int
) -> None:
    """Everything random is drawn where DataLoader draws it: in the workers, or in the loop's thread."""
    want = batches(torchvision.datasets.ImageFolder(folder, transform), workers)
    torch.manual_seed(5)
    loader = fastpre.data.Loader(
        fastpre.data.ImageFolder(folder, transform),
        batch_size=5,
        shuffle=True,
        num_workers=workers,
        timeout=TIMEOUT_S if workers else 0,
        prefetch_batches=prefetch,
    )
    got = [batch for _ in range(2) for batch in loader]
    for ours, theirs in zip(got, want, strict=True):
        assert torch.equal(ours[1], theirs[1])
        assert torch.equal(ours[0], theirs[0])


def test_a_loader_of_parts_of_folders(folder: Path) -> None:
    dataset = fastpre.data.ImageFolder(folder, EVALUATE)
    want = torch.stack([dataset[i][0] for i in (1, 0, 5)])
    for part in (torch.utils.data.Subset(dataset, [1, 0, 5]), torch.utils.data.ConcatDataset([dataset, dataset])):
        loader = fastpre.data.Loader(part, batch_sampler=[[0, 1, 2] if len(part) == 3 else [1, 0, 5]])
        ((images, _),) = loader
        assert torch.equal(images, want)
    both = torch.utils.data.ConcatDataset([dataset, fastpre.data.ImageFolder(folder, TRAIN)])
    with pytest.raises(ValueError, match="the same transform"):
        fastpre.data.Loader(both)
    with pytest.raises(ValueError, match="leave out spec and augment"):
        fastpre.data.Loader(dataset, fastpre.Spec())
    with pytest.raises(ValueError, match="must end with a tensor"):
        fastpre.data.Loader(fastpre.data.ImageFolder(folder, v1.RandomCrop(3)))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("transform", [TRAIN, v1.Compose(TRAIN.transforms[:4])], ids=["erasing", "geometry"])
def test_bad_files_of_a_folder_with_a_transform(folder: Path, tmp_path: Path, transform: Any, workers: int) -> None:
    bad = {"a/0.jpg": b"no JPEG", "a/1.jpg": photograph(60, 60)[:700], "a/2.png": b"no PNG"}
    for name, data in bad.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    for path in sorted((folder / "a").iterdir()):
        (tmp_path / "a" / path.name.replace("0", "9")).write_bytes(path.read_bytes())
    dataset = fastpre.data.ImageFolder(tmp_path, transform)
    gone = Path(dataset.samples[-1][0])
    gone.unlink()
    loader = fastpre.data.Loader(
        dataset, batch_size=4, num_workers=workers, on_error="skip", timeout=TIMEOUT_S if workers else 0
    )
    images = torch.cat([batch for batch, _ in loader])
    report = loader.report()
    assert sorted(Path(bad.name).name for bad in report) == sorted(["0.jpg", "1.jpg", "2.png", gone.name])
    assert len(images) == len(dataset) - 4
    with pytest.raises(fastpre.ImageError, match=r"0\.jpg"):
        next(iter(fastpre.data.Loader(dataset, batch_size=4)))


@pytest.mark.parametrize(
    "transform",
    [
        v1.Compose([v1.RandomResizedCrop(32), v1.PILToTensor(), v1.Lambda(lambda x: x.double() / 255)]),
        v2.Compose([v2.RandomResizedCrop(32), v2.ToImage(), v2.ToDtype(torch.float32), v2.Normalize([9.0], [2.0])]),
        v1.Compose([v1.RandomCrop(32), v1.Grayscale(1), v1.ToTensor()]),
    ],
    ids=["double", "unscaled", "gray"],
)
def test_a_loader_gives_what_the_transform_gave(folder: Path, transform: Any) -> None:
    want = batches(fastpre.data.ImageFolder(folder, transform), 0)
    torch.manual_seed(5)
    loader = fastpre.data.Loader(fastpre.data.ImageFolder(folder, transform), batch_size=5, shuffle=True)
    for (ours, _), (theirs, _) in zip([batch for _ in range(2) for batch in loader], want, strict=True):
        assert ours.dtype == theirs.dtype
        assert torch.equal(ours, theirs)


def test_errors_say_the_path_once(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "cut.jpg").write_bytes(photograph(60, 60)[:700])
    (tmp_path / "a" / "whole.jpg").write_bytes(photograph(60, 60))
    loader = fastpre.data.Loader(fastpre.data.ImageFolder(tmp_path, TRAIN), batch_size=2, on_error="skip")
    ((images, _),) = loader
    assert len(images) == 1
    assert str(loader.errors[0]).count("cut.jpg") == 1
