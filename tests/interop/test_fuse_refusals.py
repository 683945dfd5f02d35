"""What a Spec cannot express is refused by name, with what to write instead; and what fuse takes for no transform."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
import torchvision
from torchvision import transforms as v1
from torchvision.transforms import v2

import fastpre
from fastpre.transforms import DecodeResizeNormalize, fuse
from pictures import MEAN, STD, photograph


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
        (v1.Compose([v1.Resize(8), v1.Grayscale(), v1.ToTensor()]), "Grayscale: it follows Resize.*put it before"),
        (v2.Compose([v2.ToImage(), v2.Grayscale()]), "Grayscale: .*put it before"),
        (v1.Compose([v1.Grayscale(3), v1.ToTensor()]), r"Grayscale: 3 output channels; write Grayscale\(1\)"),
        (v2.Compose([v2.Grayscale(), v2.RGB(), v2.ToImage()]), r"RGB: it follows Grayscale; write Grayscale\(1\)"),
        (v1.Compose([v1.Grayscale(), lambda x: x.convert("RGB"), v1.ToTensor()]), "function <lambda>: it follows Gray"),
        (v1.Compose([v1.ToTensor(), lambda x: x.convert("RGB")]), "function <lambda>: a tensor reaches it"),
        (v1.Compose([v1.Grayscale(), v1.ToTensor(), v1.Normalize(MEAN, STD)]), "Normalize: 3 values for 1 channels"),
        (v1.Compose([v1.ToTensor(), v1.Normalize(MEAN[:2], STD[:2])]), "Normalize: 2 values for 3 channels"),
        (
            v1.Compose([v1.Resize(8), v1.Pad(2), v1.ToTensor()]),
            r"Pad: .*fastpre\.transforms\.fuse\(transform\)",
        ),
        (v1.Compose([v1.Resize(8)]), r"append torchvision\.transforms\.ToTensor\(\)"),
    ],
)
def test_what_cannot_be_expressed_is_refused_by_name(transform: Any, name: str) -> None:
    with pytest.raises(ValueError, match=name):
        fastpre.Spec.from_torchvision(transform)


@pytest.mark.parametrize("empty", [v1.Compose([]), v1.Compose([v1.Compose([])]), torch.nn.Sequential()])
def test_nothing_to_fuse(empty: Any) -> None:
    with pytest.raises(
        ValueError, match=r"empty (Compose|Sequential).*Compose\(\[torchvision\.transforms\.PILToTensor"
    ):
        fuse(empty)


AUGMENTATIONS = [
    v1.RandomResizedCrop(8),
    v2.RandomResizedCrop(8),
    v1.RandomHorizontalFlip(),
    v1.ColorJitter(0.1),
    v1.RandAugment(),
    v2.TrivialAugmentWide(),
    v2.AugMix(),
    v2.AutoAugment(),
    v1.RandomErasing(p=1),
]


@pytest.mark.parametrize("step", AUGMENTATIONS, ids=lambda step: type(step).__name__)
def test_random_steps_are_refused_with_what_takes_them(step: Any) -> None:
    for transform in (v1.Compose([v1.Resize(8), step, v1.ToTensor()]), step):
        with pytest.raises(ValueError, match=f"cannot express {type(step).__name__}: it draws .*fuse\\(transform\\)"):
            fastpre.Spec.from_torchvision(transform)


def foreign(name: str, module: str, base: type = object) -> Any:
    """An object of a library that need not be installed."""
    return type(name, (base,), {"__module__": module})()


OTHERS: list[tuple[Any, str]] = [
    (foreign("PretrainedCfg", "timm.models._pretrained"), "PretrainedCfg (timm)"),
    ({"input_size": (3, 224, 224), "crop_pct": 0.9}, "dict"),
    (
        foreign("CLIPImageProcessor", "transformers.models.clip.image_processing_clip"),
        "CLIPImageProcessor (transformers)",
    ),
    ({"image_mean": [0.5, 0.5, 0.5], "size": {"shortest_edge": 224}}, "dict"),
]


@pytest.mark.parametrize(("thing", "name"), OTHERS, ids=[name for _, name in OTHERS])
def test_other_libraries_are_named_with_the_line_to_write(thing: Any, name: str) -> None:
    with pytest.raises(TypeError, match=r"write fastpre\.Spec\(resize=") as caught:
        fuse(thing)
    assert f"got {name}: " in str(caught.value)
    with pytest.raises(TypeError, match=r"write fastpre\.Spec\(resize="):
        fastpre.Spec.from_torchvision(thing)


def test_timms_conversions_within_a_compose_are_read() -> None:
    """`timm.data.create_transform` gives a Compose of torchvision's classes and its own."""
    step = foreign("MaybeToTensor", "timm.data.transforms", v1.ToTensor)
    transform = v1.Compose([v1.Resize(8), v1.CenterCrop(8), step, v1.Normalize(MEAN, STD)])
    assert fastpre.Spec.from_torchvision(transform) == fastpre.Spec(resize=8, crop=(8, 8), mean=MEAN, std=STD)


def test_timms_line_works() -> None:
    with pytest.raises(TypeError, match=r"write fastpre\.Spec\(") as caught:
        fuse(OTHERS[0][0])
    line = str(caught.value)
    cfg = {"input_size": (3, 224, 224), "crop_pct": 0.875, "interpolation": "bicubic", "mean": MEAN, "std": STD}
    spec = eval(line[line.index("fastpre.Spec") :], {"fastpre": fastpre, "cfg": cfg})
    assert spec == fastpre.Spec(resize=256, crop=224, interpolation="bicubic", mean=MEAN, std=STD)


def test_transformers_line_works() -> None:
    with pytest.raises(TypeError) as caught:
        fuse(OTHERS[2][0])
    line = str(caught.value)
    line = line[line.index("fastpre.Spec") : line.index(" for one that")]
    processor = OTHERS[2][0]
    processor.size, processor.crop_size = {"shortest_edge": 224}, {"height": 224, "width": 224}
    processor.image_mean, processor.image_std = MEAN, STD
    spec = eval(line, {"fastpre": fastpre, "processor": processor})
    assert spec == fastpre.Spec(resize=224, crop=224, interpolation="bicubic", mean=MEAN, std=STD)


@pytest.mark.parametrize("thing", [lambda x: x, photograph, torch.nn.ReLU(), 3, None, {"a": 1}])
def test_not_a_transform_is_a_type_error(thing: Any) -> None:
    with pytest.raises(TypeError, match=r"expected a torchvision transform, got .*Compose\(\[\.\.\.\]\)"):
        fuse(thing)


@pytest.mark.parametrize("inside", [False, True])
def test_scripting_is_refused_with_what_to_do(inside: bool) -> None:
    transform = DecodeResizeNormalize()
    module = torch.nn.Sequential(transform, torch.nn.ReLU()) if inside else transform
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated
        with pytest.raises(
            TypeError, match=r"DecodeResizeNormalize cannot be scripted: .*scripted\(transform\(image\)"
        ):
            torch.jit.script(module)


@pytest.mark.parametrize(
    ("thing", "hint"),
    [
        (torchvision.models.ResNet18_Weights.DEFAULT, r"ResNet18_Weights\.IMAGENET1K_V1\.transforms\(\)"),
        (torchvision.models.ResNet18_Weights.DEFAULT.transforms, r"write weights\.transforms\(\)"),
    ],
    ids=["weights", "not called"],
)
def test_weights_instead_of_their_transforms(thing: object, hint: str) -> None:
    with pytest.raises(TypeError, match=hint):
        fuse(thing)


def test_a_preset_instead_of_a_spec() -> None:
    with pytest.raises(TypeError, match=r"Spec\.from_torchvision"):
        fastpre.Preprocessor(torchvision.models.ResNet18_Weights.DEFAULT.transforms())  # type: ignore[arg-type]
