"""Spec: what it accepts, what it says about what it does not, and that it is a value."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import pytest
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode

import fastpre
from fastpre import Spec
from fastpre._backend.fields import INTERPOLATIONS

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
    {"truncated": "partial"},
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


@pytest.mark.parametrize("name", INTERPOLATIONS)
def test_interpolation_of_other_libraries(name: str) -> None:
    for value in (Image.Resampling[name.upper()], InterpolationMode[name.upper()]):
        spec = Spec(interpolation=value)
        assert spec == Spec(interpolation=name)
        assert type(spec.interpolation) is str


@pytest.mark.parametrize(
    "value", [member for member in Image.Resampling if member.name.lower() not in INTERPOLATIONS], ids=str
)
def test_filters_that_fastpre_lacks_are_refused_by_name(value: Image.Resampling) -> None:
    with pytest.raises(ValueError, match=f"interpolation must be one of .*, got '{value.name.lower()}'"):
        Spec(interpolation=value)


def test_other_enums_are_no_interpolation() -> None:
    with pytest.raises(TypeError, match="interpolation must be one of"):
        Spec(interpolation=Image.Transpose.ROTATE_90)


def test_nearest_exact_is_pillows_nearest() -> None:
    """As torchvision resizes a PIL image with it."""
    assert Spec(interpolation=InterpolationMode.NEAREST_EXACT) == Spec(interpolation="nearest")


# pickle.dumps(FROM_0_1) by version 0.1.0, before SpecFields.
PICKLE_0_1 = (
    b"\x80\x02cfastpre.spec\nSpec\n)\x81}(X\x06\x00\x00\x00resizeK\x1eK(\x86X\x04\x00\x00\x00cropK\x14X\r\x00\x00\x00"
    b"interpolationX\x08\x00\x00\x00bilinearX\x04\x00\x00\x00meanG?\xd9\xfb\xe7l\x8bC\x96G?\xdd/\x1a\x9f\xbev\xc9G?\xdf\n="
    b"p\xa3\xd7\n\x87X\x03\x00\x00\x00stdG?\xcc\xcc\xcc\xcc\xcc\xcc\xcdG?\xcc\xac\x081&\xe9yG?\xcdO\xdf;dZ\x1d\x87X\x0b"
    b"\x00\x00\x00_dtype_nameX\x07\x00\x00\x00float16X\x13\x00\x00\x00_memory_format_nameX\r\x00\x00\x00channels_lastX\x05"
    b"\x00\x00\x00colorX\x03\x00\x00\x00BGRX\x10\x00\x00\x00exif_orientation\x89X\x08\x00\x00\x00fidelityX\x05\x00\x00"
    b"\x00exactX\n\x00\x00\x00max_pixelsJ\xaa\xaa\xaa\nX\t\x00\x00\x00max_bytesJ\x00\x00\x00\x10X\x08\x00\x00\x00"
    b"max_sizeNX\x07\x00\x00\x00rescaleX\x06\x00\x00\x00divideX\n\x00\x00\x00pass_orderX\x08\x00\x00\x00adaptiveub."
)
FROM_0_1 = Spec(
    resize=(30, 40), crop=20, dtype="float16", memory_format="channels_last", color="BGR", pass_order="adaptive"
)


def test_a_pickle_of_an_older_version_loads() -> None:
    old = pickle.loads(PICKLE_0_1)
    assert old == FROM_0_1
    assert hash(old) == hash(FROM_0_1)
    assert repr(old) == repr(FROM_0_1)
    assert old.dtype is torch.float16
    assert old.compiled() is FROM_0_1.compiled()


@pytest.mark.parametrize("name", ["max_bytes", "max_size", "rescale", "truncated"])
def test_a_pickle_without_a_field_has_its_default(name: str) -> None:
    """As an older version's is, that did not know the field."""
    old = copy.copy(FROM_0_1)
    del old.__dict__[name]
    old = pickle.loads(pickle.dumps(old))
    assert name not in old.__dict__
    assert old == FROM_0_1
    assert old.compiled() is FROM_0_1.compiled()


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
        ({"truncated": True}, TypeError, "truncated must be one of error, partial"),
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
