"""What fastpre promises to equal: Pillow and torchvision, step by step."""

from __future__ import annotations

import io
from typing import Any

import torch
from PIL import Image, ImageOps
from torchvision import transforms
from torchvision.transforms import InterpolationMode

import fastpre

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def opened(stream: bytes, exif_orientation: bool = False, color: str = "RGB") -> Image.Image:
    """The decoded image, as RGB or L."""
    image = Image.open(io.BytesIO(stream))
    if exif_orientation:
        image = ImageOps.exif_transpose(image)
    image = image.convert("RGB")
    return image.convert("L") if color == "L" else image


def geometry(resize: Any, crop: Any, interpolation: str = "bilinear", max_size: int | None = None) -> list[Any]:
    """torchvision's Resize and CenterCrop, each where it is asked for."""
    mode = InterpolationMode(interpolation)
    steps: list[Any] = []
    if resize is not None:
        steps.append(transforms.Resize(resize, mode, max_size))
    if crop is not None:
        steps.append(transforms.CenterCrop(crop))
    return steps


def preprocess(
    stream: bytes,
    *,
    resize: Any = 256,
    crop: Any = 224,
    interpolation: str = "bilinear",
    mean_std: tuple[tuple[float, ...], tuple[float, ...]] | None = IMAGENET,
    exif_orientation: bool = False,
    color: str = "RGB",
    max_size: int | None = None,
    dtype: torch.dtype = torch.float32,
) -> torch.Tensor:
    """(C, H, W). BGR is RGB with its channels flipped before normalizing; uint8 is never normalized."""
    steps = geometry(resize, crop, interpolation, max_size)
    image = transforms.Compose(steps)(opened(stream, exif_orientation, color))
    if dtype == torch.uint8:
        pixels = transforms.PILToTensor()(image)
        return pixels.flip(0) if color == "BGR" else pixels
    values = transforms.ToTensor()(image)
    if color == "BGR":
        values = values.flip(0)
    if mean_std is not None:
        values = transforms.Normalize(*mean_std)(values)
    return values.to(dtype)


def assert_equal(got: torch.Tensor, want: torch.Tensor, what: object = "") -> None:
    """Same shape, same dtype, same bits."""
    assert got.shape == want.shape, f"{what}: shape {tuple(got.shape)}, not {tuple(want.shape)}"
    assert got.dtype == want.dtype, f"{what}: {got.dtype}, not {want.dtype}"
    if not torch.equal(got, want):
        wrong = (got != want).nonzero()
        raise AssertionError(f"{what}: {len(wrong)} of {got.numel()} values differ, the first at {wrong[0].tolist()}")


def assert_exact(stream: bytes, what: object = "", **options: Any) -> None:
    """fastpre's result for one stream equals the reference's; `options` are `preprocess`'s."""
    want = preprocess(stream, **options)
    mean_std = options.pop("mean_std", IMAGENET)
    mean, std = mean_std if mean_std is not None else (None, None)
    spec = fastpre.Spec(**{"resize": 256, "crop": 224, "mean": mean, "std": std, **options})
    assert_equal(fastpre.Preprocessor(spec, num_threads=1)([stream])[0], want, what)
