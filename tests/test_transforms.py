"""transforms.DecodeResizeNormalize and fuse against torchvision itself."""

from __future__ import annotations

import io
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torchvision import transforms as v1
from torchvision.transforms import v2

import fastpre
from fastpre.transforms import DecodeResizeNormalize, InexactFusionWarning, fuse, read_bytes

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def photograph(width: int, height: int, seed: int = 0, mode: str = "RGB") -> bytes:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 8 + 2, width // 8 + 2, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


@pytest.fixture(params=["RGB", "L", "CMYK"])
def jpeg(request: pytest.FixtureRequest) -> bytes:
    return photograph(331, 275, seed=3, mode=request.param)


def pil(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


PRESETS = sorted(
    {
        str(model.DEFAULT.transforms()): model.DEFAULT.transforms
        for name in torchvision.models.list_models(module=torchvision.models)
        for model in [torchvision.models.get_model_weights(name)]
    }.items()
)

COMPOSES: list[Callable[[], Any]] = [
    lambda: v1.Compose([v1.Resize(64), v1.CenterCrop(56), v1.ToTensor(), v1.Normalize(MEAN, STD)]),
    lambda: v1.Compose([v1.Resize((40, 90), v1.InterpolationMode.BICUBIC), v1.ToTensor()]),
    lambda: v1.Compose([v1.Resize(60, max_size=70), v1.CenterCrop((80, 50)), v1.PILToTensor()]),
    lambda: v1.Compose(
        [v1.CenterCrop(400), v1.PILToTensor(), v1.ConvertImageDtype(torch.float32), v1.Normalize(MEAN, STD)]
    ),
    lambda: v1.Compose([v1.Resize(64), v1.Compose([v1.CenterCrop([56]), v1.ToTensor()]), v1.Normalize(MEAN, STD)]),
    lambda: v2.Compose(
        [v2.Resize(64), v2.CenterCrop(56), v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    ),
    lambda: v2.Compose(
        [
            v2.Resize(64, v2.InterpolationMode.LANCZOS),
            v2.CenterCrop(56),
            v2.PILToTensor(),
            v2.ConvertImageDtype(torch.float32),
        ]
    ),
    lambda: v2.Compose(
        [
            v2.Resize(64),
            v2.ToImage(),
            v2.CenterCrop(70),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
            v2.ToDtype(torch.float16),
        ]
    ),
    lambda: torch.nn.Sequential(v2.Resize(64), v2.PILToTensor(), v2.ToPureTensor()),
]


@pytest.mark.parametrize("transform", [p[1] for p in PRESETS])
def test_every_classification_preset_is_fused_exactly(transform: Callable[[], Any], jpeg: bytes) -> None:
    expected = transform()(pil(jpeg))
    assert torch.equal(fuse(transform())(jpeg), expected)


def test_presets_are_many() -> None:
    assert len(PRESETS) >= 10


@pytest.mark.parametrize("make", COMPOSES)
def test_composes_are_fused_exactly(make: Callable[[], Any], jpeg: bytes) -> None:
    expected = make()(pil(jpeg))
    got = fuse(make())(jpeg)
    assert got.dtype == expected.dtype
    assert torch.equal(got, torch.as_tensor(expected))


def test_resizing_a_tensor_is_fused_with_a_warning(jpeg: bytes) -> None:
    make = v2.Compose([v2.ToImage(), v2.Resize(64), v2.CenterCrop(56), v2.ToDtype(torch.uint8)])
    with pytest.warns(InexactFusionWarning, match="Put Resize first"):
        fused = fuse(make)
    difference = (fused(jpeg).int() - make(pil(jpeg)).int()).abs()
    assert difference.max() <= 2


@pytest.mark.parametrize(
    ("transform", "name"),
    [
        (v1.Compose([v1.Resize(8), v1.RandomHorizontalFlip(), v1.ToTensor()]), "RandomHorizontalFlip"),
        (v1.Compose([v1.Resize(8), v1.ToTensor(), v1.Lambda(lambda x: x)]), "Lambda"),
        (v1.Compose([v1.CenterCrop(8), v1.Resize(8), v1.ToTensor()]), "Resize"),
        (v1.Compose([v1.Resize(8), v1.Resize(9), v1.ToTensor()]), "Resize"),
        (v1.Compose([v1.ToTensor(), v1.Resize(8)]), "Resize"),
        (v1.Compose([v1.PILToTensor(), v1.Normalize(MEAN, STD)]), "Normalize"),
        (v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=False)]), "ToDtype"),
        (v2.Compose([v2.ToImage(), v2.ToDtype(torch.float16, scale=True)]), "ToDtype"),
        (v2.Compose([v2.ToImage(), v2.Resize(8, antialias=False)]), "Resize"),
        (v1.Compose([v1.Resize(8)]), "PIL image"),
        (v1.Compose([v1.Resize(8), v1.Grayscale(), v1.ToTensor()]), "Grayscale"),
    ],
)
def test_what_cannot_be_expressed_is_refused_by_name(transform: Any, name: str) -> None:
    with pytest.raises(ValueError, match=name):
        fuse(transform)


def test_not_a_transform_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="torchvision transform"):
        fuse(lambda x: x)


def test_every_kind_of_input_gives_the_same_tensor(tmp_path: Path) -> None:
    data = photograph(300, 200)
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    transform = DecodeResizeNormalize(resize=64, crop=56)
    expected = transform(data)
    pixels = torch.from_numpy(np.array(pil(data))).permute(2, 0, 1)
    as_array = np.frombuffer(data, np.uint8).copy()
    for image in (path, str(path), bytearray(data), torch.from_numpy(as_array), as_array, pil(data), pixels):
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
