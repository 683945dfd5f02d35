"""transformers' image processors as Specs, to the bit of their Pillow variety."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import transformers

import fastpre
import pictures
from fastpre.interop import transformers as interop

PHOTOGRAPHS = tuple(
    pictures.photograph(width, height, seed) for seed, (width, height) in enumerate(((320, 240), (241, 411), (67, 50)))
)

# Names before "ImageProcessor" and "ImageProcessorPil", with options of the constructor.
EXACT: tuple[tuple[str, dict[str, Any]], ...] = (
    ("ViT", {}),
    ("ViT", {"size": {"height": 96, "width": 64}, "resample": 3, "image_mean": [0.1, 0.2, 0.3]}),
    ("DPT", {}),
    ("DPT", {"size": {"height": 70, "width": 84}, "ensure_multiple_of": 14}),
    ("Segformer", {}),
    ("RTDetr", {}),
    ("Beit", {}),
    ("Siglip", {"do_normalize": False}),
)


def processor_of(name: str, **options: Any) -> Any:
    """Before transformers 5 the Pillow variety had the plain name."""
    kind = getattr(transformers, f"{name}ImageProcessorPil", None) or getattr(transformers, f"{name}ImageProcessor")
    return kind(**options)


def differences(processor: Any, **options: Any) -> list[float]:
    """For each photograph the largest one, in levels of 255."""
    spec = fastpre.Spec(**interop.fields(processor, **options))
    preprocess = fastpre.Preprocessor(spec)
    found = []
    for data in PHOTOGRAPHS:
        expected = processor(pictures.pil(data), return_tensors="np")["pixel_values"][0]
        scale = 255 * np.asarray(spec.std or (1,) * 3, np.float32)[:, None, None]
        found.append(float((np.abs(preprocess([data])[0].numpy() - expected) * scale).max()))
    return found


@pytest.mark.parametrize(("name", "options"), EXACT)
def test_the_pillow_variety_is_equal_to_the_bit(name: str, options: dict[str, Any]) -> None:
    assert differences(processor_of(name, **options)) == [0.0] * len(PHOTOGRAPHS)


@pytest.mark.parametrize(("name", "options"), EXACT)
def test_the_torchvision_variety_is_within_two_levels(name: str, options: dict[str, Any]) -> None:
    processor = getattr(transformers, f"{name}ImageProcessor")(**options)
    if not hasattr(transformers, f"{name}ImageProcessorPil"):
        pytest.skip("before transformers 5 the plain name is the Pillow variety")
    assert max(differences(processor)) <= 2.001


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("DPT", {"keep_aspect_ratio": True}, "keep_aspect_ratio=True"),
        ("DPT", {"ensure_multiple_of": 5}, "ensure_multiple_of=5"),
        ("Detr", {}, "do_pad=True"),
        ("Detr", {"do_pad": False}, "size={.*}: the result's size depends on the image"),
        ("CLIP", {}, "do_center_crop"),
        ("ConvNext", {}, "crop_pct=0.875"),
        ("EfficientNet", {}, "include_top=True"),
        ("ViT", {"rescale_factor": 1 / 127.5}, "do_rescale"),
        ("ViT", {"do_rescale": False}, "do_rescale"),
    ],
)
def test_what_cannot_be_expressed_is_named(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"a Spec cannot express what {name}ImageProcessor(Pil)? does: {message}"):
        interop.fields(processor_of(name, **options))


def test_the_closest_squashes_what_varies() -> None:
    assert interop.fields(processor_of("Detr"), closest=True)["resize"] == (800, 800)
    size = {"height": 518, "width": 518}
    depth_anything = processor_of("DPT", size=size, keep_aspect_ratio=True, ensure_multiple_of=14)
    assert interop.fields(depth_anything, closest=True)["resize"] == (518, 518)


def test_the_closest_crops_where_torchvision_does() -> None:
    """To the bit where the margin is even, as of the first photograph: 298 x 224."""
    read = interop.fields(processor_of("CLIP"), closest=True)
    assert (read["resize"], read["crop"]) == (224, (224, 224))
    assert differences(processor_of("CLIP"), closest=True)[0] == 0.0
    flipped = differences(processor_of("MobileViT", crop_size={"height": 224, "width": 224}), closest=True)
    assert flipped[0] == 0.0


@pytest.mark.parametrize("name", ["ConvNext", "EfficientNet"])
def test_even_the_closest_refuses_what_it_does_not_know(name: str) -> None:
    with pytest.raises(ValueError, match="a Spec cannot express"):
        interop.fields(processor_of(name), closest=True)
