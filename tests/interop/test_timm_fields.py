"""timm's data configurations as Specs, to the bit of `create_transform`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import timm
import timm.data

import fastpre
import pictures
from fastpre.interop import timm as interop

SIZES = ((320, 240), (241, 411), (67, 50))

# Kinds of configurations: 224 of 0.875 bicubic, another size and share, squash, bilinear and 0.5 means.
MODELS = (
    "mobilenetv3_small_050",
    "resnet18",
    "test_vit",
    "vit_tiny_patch16_224",
    "tf_efficientnet_lite0",
    "convnext_tiny",
    "vit_base_patch16_clip_224",
    "beit_base_patch16_224",
    "eva02_tiny_patch14_336",
    "inception_v3",
)


def config_of(name: str, **changes: Any) -> dict[str, Any]:
    """As of the model, which is not made: that takes its time."""
    cfg = timm.get_pretrained_cfg(name)
    assert cfg is not None
    config: dict[str, Any] = timm.data.resolve_data_config(changes, pretrained_cfg=cfg.to_dict())
    return config


def assert_equal(config: dict[str, Any]) -> None:
    preprocess = fastpre.Preprocessor(fastpre.Spec(**interop.fields(config)))
    transform = timm.data.create_transform(**config, is_training=False)
    for seed, (width, height) in enumerate(SIZES):
        data = pictures.photograph(width, height, seed)
        expected = transform(pictures.pil(data)).numpy()
        assert np.array_equal(preprocess([data])[0].numpy(), expected)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_s_configuration(name: str) -> None:
    assert_equal(config_of(name))


@pytest.mark.parametrize(
    "changes",
    [
        {"crop_mode": "squash", "crop_pct": 1.0},
        {"crop_mode": "squash", "crop_pct": 0.9},
        {"crop_mode": "squash", "input_size": (3, 96, 160)},
        {"crop_pct": 0.71, "interpolation": "bilinear"},
        {"interpolation": "lanczos", "input_size": (3, 97, 97)},
    ],
)
def test_what_can_be_changed(changes: dict[str, Any]) -> None:
    assert_equal(config_of("resnet18", **changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"crop_mode": "border"}, "crop_mode='border'"),
        ({"interpolation": "random"}, "interpolation='random'"),
        ({"input_size": (3, 96, 160)}, r"input_size=\(3, 96, 160\)"),
        ({"input_size": (1, 96, 96)}, "input_size"),
        ({"crop_border_pixels": 4}, "crop_border_pixels=4"),
    ],
)
def test_what_cannot_be_expressed_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"a Spec cannot express timm's {message}"):
        interop.fields({**config_of("resnet18"), **changes})
