"""Spec: what it accepts, what it says about what it does not, and that it is a value."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import pytest
import torch

import fastpre
from fastpre import Spec

VARIED: list[dict[str, Any]] = [
    {},
    {"resize": None, "crop": None},
    {"resize": (30, 40), "crop": (20, 10), "interpolation": "lanczos"},
    {"resize": 200, "max_size": 333},
    {"mean": None, "std": None},
    {"mean": 0.5, "std": 0.25},
    {"mean": (0.1, 0.2, 0.3), "std": (1, 2, 3)},
    {"dtype": torch.bfloat16, "memory_format": torch.channels_last},
    {"color": "BGR"},
    {"color": "L", "exif_orientation": True},
    {"fidelity": "fast", "rescale": "multiply", "pass_order": "horizontal_first"},
    {"max_pixels": 1000, "max_bytes": 2000},
]


@pytest.mark.parametrize("options", VARIED, ids=str)
def test_a_spec_is_a_value(options: dict[str, Any]) -> None:
    spec, twin = Spec(**options), Spec(**options)
    assert spec == twin
    assert hash(spec) == hash(twin)
    assert {spec: 1}[twin] == 1
    assert eval(repr(spec), {"Spec": Spec}) == spec
    assert pickle.loads(pickle.dumps(spec)) == spec
    assert copy.deepcopy(spec) == spec
    assert spec.replace() == spec


def test_specs_differ() -> None:
    assert len({Spec(**options) for options in VARIED}) == len(VARIED)
    assert all(Spec(**options) != Spec() for options in VARIED[1:])


def test_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Spec().resize = 3  # type: ignore[misc]


def test_replace() -> None:
    spec = Spec(resize=100).replace(crop=50)
    assert (spec.resize, spec.crop) == (100, 50)
    with pytest.raises(ValueError, match="crop must be at least 1"):
        spec.replace(crop=0)


def test_names_and_torch_values_are_the_same() -> None:
    assert Spec(dtype="float16") == Spec(dtype=torch.float16)
    assert Spec(memory_format="channels_last") == Spec(memory_format=torch.channels_last)
    assert Spec(resize=[64]) == Spec(resize=64)
    assert Spec(resize=[64, 32]) == Spec(resize=(64, 32))
    assert Spec(dtype="uint8").dtype is torch.uint8


def test_defaults() -> None:
    spec = Spec()
    assert (spec.resize, spec.crop, spec.interpolation) == (256, 224, "bilinear")
    assert spec.mean == (0.485, 0.456, 0.406)
    assert spec.std == (0.229, 0.224, 0.225)
    assert (spec.dtype, spec.memory_format) == (torch.float32, torch.contiguous_format)
    assert (spec.channels, spec.output_size, spec.dtype_name) == (3, (224, 224), "float32")


def test_channel_order_of_the_defaults() -> None:
    assert Spec(color="BGR").mean == (0.406, 0.456, 0.485)
    assert (Spec(color="L").mean, Spec(color="L").std, Spec(color="L").channels) == ((0.449,), (0.226,), 1)


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"crop": (3, 5)}, (3, 5)),
        ({"resize": (3, 5), "crop": None}, (3, 5)),
        ({"resize": 9, "crop": None}, None),
        ({"resize": None, "crop": None}, None),
    ],
    ids=str,
)
def test_output_size(options: dict[str, Any], size: tuple[int, int] | None) -> None:
    assert Spec(**options).output_size == size


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"resize": 0}, ValueError, "resize must be at least 1, got 0"),
        ({"resize": -5}, ValueError, "resize must be at least 1"),
        ({"resize": (3, 0)}, ValueError, "resize width must be at least 1"),
        ({"resize": (1, 2, 3)}, ValueError, r"resize must be an int, \(height, width\) or None"),
        ({"resize": 2.5}, TypeError, "resize must be an integer, got 2.5"),
        ({"resize": True}, TypeError, "resize must be an integer, got True"),
        ({"resize": "256"}, TypeError, "resize must be an integer"),
        ({"resize": 1 << 31}, ValueError, r"below 2\*\*31"),
        ({"crop": 0}, ValueError, "crop must be at least 1"),
        ({"crop": (0, 4)}, ValueError, "crop height must be at least 1"),
        (
            {"interpolation": "cubic"},
            ValueError,
            "interpolation must be one of nearest, box, bilinear, hamming, bicubic, lanczos",
        ),
        ({"interpolation": 2}, TypeError, "interpolation must be one of"),
        ({"color": "rgb"}, ValueError, "color must be one of RGB, BGR, L"),
        ({"dtype": "float64"}, ValueError, "dtype must be one of float32, float16, bfloat16, uint8"),
        ({"dtype": torch.int8}, ValueError, "dtype must be one of"),
        ({"memory_format": "nhwc"}, ValueError, "memory_format must be one of contiguous_format, channels_last"),
        ({"fidelity": "best"}, ValueError, "fidelity must be one of exact, fast"),
        ({"rescale": "shift"}, ValueError, "rescale must be one of divide, multiply"),
        ({"pass_order": "vertical"}, ValueError, "pass_order must be one of"),
        ({"mean": None}, ValueError, "mean and std go together"),
        ({"std": None}, ValueError, "mean and std go together"),
        ({"mean": (0.5, 0.5)}, ValueError, "mean must have 3 values, one per output channel, got 2"),
        ({"mean": (0.5,) * 3, "color": "L"}, ValueError, "mean must have 1 values"),
        ({"mean": float("nan")}, ValueError, "mean must be finite"),
        ({"std": float("inf")}, ValueError, "std must be finite"),
        ({"std": 0}, ValueError, "std must not be 0"),
        ({"std": (1, 0.0, 1)}, ValueError, "std must not be 0"),
        ({"std": "coco"}, TypeError, "std must be one number per channel"),
        ({"mean": object()}, TypeError, "mean must be one number per channel"),
        ({"exif_orientation": 1}, TypeError, "exif_orientation must be True or False"),
        ({"max_pixels": 0}, ValueError, "max_pixels must be at least 1"),
        ({"max_bytes": 1.5}, TypeError, "max_bytes must be an integer"),
        ({"max_size": 300, "resize": (3, 4)}, ValueError, "max_size needs resize to be an int"),
        ({"max_size": 256}, ValueError, "max_size must be greater than resize=256"),
    ],
    ids=str,
)
def test_messages(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Spec(**options)


def test_arguments_have_names() -> None:
    with pytest.raises(TypeError):
        Spec(256, 224)  # type: ignore[misc]
    with pytest.raises(TypeError, match="unexpected keyword"):
        Spec(size=256)  # type: ignore[call-arg]


def test_a_preprocessor_needs_a_spec() -> None:
    with pytest.raises(TypeError, match=r"spec must be a fastpre\.Spec, got dict"):
        fastpre.Preprocessor({"resize": 3})  # type: ignore[arg-type]


def test_repr_shows_what_matters() -> None:
    assert repr(Spec()) == (
        "Spec(resize=256, crop=224, interpolation='bilinear', mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))"
    )
    assert "dtype='float16'" in repr(Spec(dtype="float16"))
