"""fuse: exact against torchvision's own transforms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torchvision
from torchvision import transforms as v1
from torchvision.transforms import v2

import fastpre
from fastpre.transforms import InexactFusionWarning, fuse
from pictures import MEAN, STD, photograph, pil


@pytest.fixture(params=["RGB", "L", "CMYK"])
def jpeg(request: pytest.FixtureRequest) -> bytes:
    return photograph(331, 275, seed=3, mode=request.param)


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


def _convert_image_to_rgb(image: Any) -> Any:  # as CLIP's
    """Its docstring changes nothing."""
    return image.convert("RGB")


def where_needed(picture: Any) -> Any:
    if picture.mode != "RGB":
        picture = picture.convert("RGB")
    return picture


def returned_where_needed(x: Any) -> Any:
    if x.mode != "RGB":
        return x.convert("RGB")
    return x


SPELLINGS: list[Callable[[Any], Any]] = [
    _convert_image_to_rgb,
    where_needed,
    returned_where_needed,
    lambda img: img.convert("RGB"),
    lambda x: x.convert(mode="RGB"),
    lambda x: x.convert("RGB") if x.mode != "RGB" else x,
    lambda x: x if x.mode == "RGB" else x.convert("RGB"),
]
TAIL = [v1.ToTensor(), v1.Normalize(MEAN, STD)]


@pytest.mark.parametrize("convert", SPELLINGS)
def test_a_conversion_to_rgb_is_fused(convert: Callable[[Any], Any], jpeg: bytes) -> None:
    """Anywhere before ToTensor, plain or as a Lambda: CLIP's stands after the crop."""
    for steps in (
        [v1.Resize(64, v1.InterpolationMode.BICUBIC), v1.CenterCrop(56), convert, *TAIL],
        [v1.Lambda(convert), v1.Resize(64), *TAIL],
        [v2.Lambda(convert), v2.Resize(64), *TAIL],
    ):
        transform = v1.Compose(steps)
        assert torch.equal(fuse(transform)(jpeg), transform(pil(jpeg)))


def brighter(image: Any) -> Any:
    return image.convert("RGB").point(lambda v: v + 1)


def other_mode(image: Any) -> Any:
    return image.convert("HSV")


def with_dither(image: Any, dither: Any = None) -> Any:
    return image.convert("RGB")


def starred(*image: Any) -> Any:
    return image.convert("RGB")  # type: ignore[attr-defined]


def other_condition(image: Any) -> Any:
    if image.mode == "RGB":
        image = image.convert("RGB")
    return image


def closure(mode: str) -> Callable[[Any], Any]:
    return lambda image: image.convert(mode)


@pytest.mark.parametrize(
    "function",
    [brighter, other_mode, with_dither, starred, other_condition, closure("RGB"), lambda x: x, lambda x: x.rotate(0)],
)
@pytest.mark.parametrize("wrap", [lambda f: f, v1.Lambda, v2.Lambda])
def test_other_functions_are_refused_by_name(function: Callable[[Any], Any], wrap: Callable[[Any], Any]) -> None:
    with pytest.raises(ValueError, match=rf"function {function.__name__}: .*leave it out, or let it run"):
        fastpre.Spec.from_torchvision(v1.Compose([wrap(function), *TAIL]))


GRAYS: list[Callable[[], Any]] = [
    lambda: v1.Compose([v1.Grayscale(), v1.Resize(64), v1.CenterCrop(56), v1.ToTensor(), v1.Normalize(0.4, 0.2)]),
    lambda: v1.Compose([v1.Grayscale(1), v1.Resize(64), v1.ToTensor(), v1.Normalize([0.4], [0.2])]),
    lambda: v1.Compose([v1.CenterCrop(400), v1.Grayscale(), v1.ToTensor()]),
    lambda: v2.Compose([v2.RGB(), v2.Grayscale(), v2.Grayscale(), v2.Resize((50, 70)), v2.PILToTensor()]),
    lambda: v2.Compose(
        [v2.Grayscale(), v2.Resize(64), v2.ToImage(), v2.ToDtype(torch.float32, True), v2.Normalize([0.5], [0.5])]
    ),
]


@pytest.mark.parametrize("make", GRAYS)
def test_gray_is_fused_exactly(make: Callable[[], Any], jpeg: bytes) -> None:
    expected = make()(pil(jpeg))
    assert expected.shape[0] == 1
    assert torch.equal(fuse(make())(jpeg), torch.as_tensor(expected))


NORMALIZES: list[Callable[[], Any]] = [
    lambda: v1.Normalize((0.5,), (0.5,)),
    lambda: v1.Normalize(MEAN, (0.3,)),
    lambda: v1.Normalize([0.3], list(STD)),
    lambda: v1.Normalize(0.45, 0.22),
    lambda: v1.Normalize(torch.tensor(MEAN), torch.tensor(STD)),
    lambda: v1.Normalize(torch.tensor(0.45), torch.tensor(0.22)),
    lambda: v2.Normalize([0.5], [0.5]),
]


@pytest.mark.parametrize("make", NORMALIZES)
def test_one_value_stands_for_every_channel(make: Callable[[], Any], jpeg: bytes) -> None:
    transform = v1.Compose([v1.Resize(64), v1.ToTensor(), make()])
    assert torch.equal(fuse(transform)(jpeg), transform(pil(jpeg)))


@pytest.mark.parametrize("place", range(4))
def test_rgb_is_fused_anywhere(place: int, jpeg: bytes) -> None:
    steps: list[Any] = [v2.Resize(64), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
    transform = v2.Compose([*steps[:place], v2.RGB(), *steps[place:]])
    assert torch.equal(fuse(transform)(jpeg), torch.as_tensor(transform(pil(jpeg))))
