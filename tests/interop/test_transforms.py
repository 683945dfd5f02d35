"""transforms.DecodeResizeNormalize against torchvision itself."""

from __future__ import annotations

import io
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torchvision import transforms as v1

import fastpre
from fastpre.transforms import DecodeResizeNormalize, read_bytes
from pictures import MEAN, STD, photograph, pil


def test_every_kind_of_input_gives_the_same_tensor(tmp_path: Path) -> None:
    data = photograph(300, 200)
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    transform = DecodeResizeNormalize(resize=64, crop=56)
    expected = transform(data)
    pixels = torch.from_numpy(np.array(pil(data))).permute(2, 0, 1)
    as_array = np.frombuffer(data, np.uint8).copy()
    row = {"bytes": data, "path": None}
    files = (io.BytesIO(data), row, {"bytes": None, "path": str(path)})
    for image in (path, str(path), bytearray(data), torch.from_numpy(as_array), as_array, pil(data), pixels, *files):
        assert torch.equal(transform(image), expected)
    assert torch.equal(transform(pixels.contiguous()), expected)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1"])
@pytest.mark.parametrize("color", ["RGB", "L"])
def test_pil_modes_convert_as_pillow_does(mode: str, color: str) -> None:
    image = pil(photograph(90, 70)).convert(mode)
    got = DecodeResizeNormalize(resize=64, crop=56, dtype="uint8", color=color)(image)
    expected = v1.Compose([v1.Resize(64), v1.CenterCrop(56), v1.PILToTensor()])(image.convert(color))
    assert torch.equal(got, expected)


def test_other_inputs_are_type_errors() -> None:
    transform = DecodeResizeNormalize()
    with pytest.raises(TypeError, match="uint8"):
        transform(torch.zeros(3, 8, 8))
    with pytest.raises(TypeError):
        transform(3)
    with pytest.raises(fastpre.ImageReadError, match="None"):
        transform(None)
    with pytest.raises(TypeError, match="not both"):
        DecodeResizeNormalize(fastpre.Spec(), crop=5)


def test_it_pickles_and_shows_its_spec() -> None:
    transform = DecodeResizeNormalize(resize=64, crop=56, interpolation="bicubic")
    data = photograph(100, 100)
    again = pickle.loads(pickle.dumps(transform))
    assert torch.equal(again(data), transform(data))
    assert repr(transform) == f"DecodeResizeNormalize({transform.spec!r})"
    assert transform.spec == again.spec


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    for i in range(6):
        folder = tmp_path / f"class{i % 2}"
        folder.mkdir(exist_ok=True)
        (folder / f"{i}.jpg").write_bytes(photograph(120 + 10 * i, 100, seed=i))
    return tmp_path


@pytest.mark.parametrize("context", ["fork", "spawn"])
@pytest.mark.parametrize("loader", [None, read_bytes])
def test_image_folder_and_data_loader(image_folder: Path, context: str, loader: Any) -> None:
    reference = v1.Compose([v1.Resize(64), v1.CenterCrop(56), v1.ToTensor(), v1.Normalize(MEAN, STD)])
    expected = torch.stack([x for x, _ in torchvision.datasets.ImageFolder(str(image_folder), transform=reference)])
    keywords = {} if loader is None else {"loader": loader}
    inside = v1.Compose([DecodeResizeNormalize(resize=64, crop=56)])
    dataset = torchvision.datasets.ImageFolder(str(image_folder), transform=inside, **keywords)
    dataset[0]  # the parent's thread pool exists before the workers are forked
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python 3.12+ warns of fork() in a process with threads
        batches = torch.utils.data.DataLoader(dataset, 3, num_workers=2, multiprocessing_context=context)
        got = torch.cat([x for x, _ in batches])
    assert torch.equal(got, expected)


def test_an_error_names_the_file(tmp_path: Path) -> None:
    """Of a dataset with `loader=read_bytes`, in the place of a batch index that means nothing there."""
    path = tmp_path / "cut.jpg"
    path.write_bytes(b"\xff\xd8\xff")
    data = fastpre.transforms.read_bytes(path)
    assert pickle.loads(pickle.dumps(data)).name == str(path)
    with pytest.raises(fastpre.CorruptImage, match=r"cut\.jpg") as caught:
        fastpre.transforms.DecodeResizeNormalize()(data)
    assert (caught.value.index, caught.value.name) == (None, str(path))
    assert str(caught.value).startswith(str(path))
    with pytest.raises(fastpre.CorruptImage, match=r"^empty input$"):
        fastpre.transforms.DecodeResizeNormalize()(b"")
