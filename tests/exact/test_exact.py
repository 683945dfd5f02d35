"""Bit equality with Pillow and torchvision, on streams made here."""

from __future__ import annotations

import io
from typing import Any

import pytest
import torch
from PIL import Image

import fastpre
import streams
from reference import IMAGENET, assert_equal, assert_exact, preprocess

VARIED = streams.varied()
FILTERS = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")
GEOMETRIES: list[dict[str, Any]] = [
    {"resize": 256, "crop": 224},
    {"resize": 40, "crop": 32},
    {"resize": 33, "crop": None},
    {"resize": (48, 80), "crop": (31, 57)},
    {"resize": (97, 13), "crop": None},
    {"resize": None, "crop": 24},
    {"resize": None, "crop": (130, 9)},
    {"resize": None, "crop": None},
    {"resize": 20, "crop": 64},
    {"resize": (1, 1), "crop": None},
    {"resize": 60, "crop": (60, 61), "max_size": 75},
]


def small_enough(stream: bytes, geometry: dict[str, Any]) -> bool:
    """A 2 x 500 image resized to 256 would have a side of 64,000 pixels: minutes for Pillow."""
    width, height = Image.open(io.BytesIO(stream)).size
    return (
        not isinstance(geometry["resize"], int) or geometry["resize"] * max(width, height) / min(width, height) < 4000
    )


@pytest.mark.parametrize(("name", "stream"), VARIED, ids=[name for name, _ in VARIED])
def test_every_geometry(name: str, stream: bytes) -> None:
    done = 0
    for geometry in GEOMETRIES:
        if not small_enough(stream, geometry):
            continue
        if geometry.get("max_size") and preprocess_is_empty(stream, geometry):
            continue
        assert_exact(stream, (name, geometry), **geometry)
        done += 1
    assert done >= 6


def preprocess_is_empty(stream: bytes, geometry: dict[str, Any]) -> bool:
    width, height = Image.open(io.BytesIO(stream)).size
    return geometry["max_size"] * min(width, height) < max(width, height)


@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize("size", [(1, 1), (19, 90), (90, 19), (64, 64), (150, 170)], ids=str)
def test_filters(interpolation: str, size: tuple[int, int]) -> None:
    stream = streams.encode(streams.picture("RGB", *size, seed=5), quality=92)
    for resize in (12, 80, (33, 70), (70, 33), (200, 7), (5, 200)):
        for crop in (None, (11, 40)):
            assert_exact(stream, (resize, crop), resize=resize, crop=crop, interpolation=interpolation)


@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize("size", [(1, 300), (300, 1)], ids=str)
def test_extreme_aspects(interpolation: str, size: tuple[int, int]) -> None:
    stream = streams.encode(streams.picture("RGB", *size))
    assert_exact(stream, resize=8, crop=8, interpolation=interpolation)
    assert_exact(stream, resize=(16, 16), crop=None, interpolation=interpolation)
    assert_exact(stream, resize=None, crop=50, interpolation=interpolation)


@pytest.mark.parametrize(
    "mean_std", [None, IMAGENET, ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)), ((0.1, -3.0, 1e-3), (7.0, 1e-3, 0.3))]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.uint8], ids=str)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=str)
def test_dtypes_and_layouts(mean_std: Any, dtype: torch.dtype, memory_format: torch.memory_format) -> None:
    """float16 and bfloat16 are the float32 result's `.to(...)`; uint8 is the pixels after the crop."""
    every_value = bytes(range(256)) * 48
    ramp = streams.encode(Image.frombytes("RGB", (64, 64), every_value), quality=100, subsampling=0)
    mean, std = mean_std if mean_std is not None else (None, None)
    for resize, crop in ((None, None), (48, 41), (30, (50, 20))):
        spec = fastpre.Spec(resize=resize, crop=crop, mean=mean, std=std, dtype=dtype, memory_format=memory_format)
        got = fastpre.Preprocessor(spec)([ramp, ramp])
        assert got.is_contiguous(memory_format=memory_format)
        want = preprocess(ramp, resize=resize, crop=crop, mean_std=mean_std, dtype=dtype)
        assert_equal(got[0], want, (resize, crop))
        assert_equal(got[1], want, (resize, crop))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.uint8], ids=str)
def test_bgr(photo: bytes, dtype: torch.dtype) -> None:
    rgb = preprocess(photo, mean_std=None, dtype=dtype)
    plain = fastpre.Preprocessor(fastpre.Spec(color="BGR", mean=None, std=None, dtype=dtype))([photo])[0]
    assert_equal(plain, rgb.flip(0), "channels flipped")
    defaults = fastpre.Preprocessor(fastpre.Spec(color="BGR", dtype=dtype))([photo])[0]
    assert_equal(defaults, preprocess(photo, dtype=dtype).flip(0), "ImageNet's numbers follow their channels")
    assert_exact(
        photo, "numbers in output order", color="BGR", mean_std=((0.1, 0.2, 0.3), (0.4, 0.5, 0.6)), dtype=dtype
    )


@pytest.mark.parametrize(("name", "stream"), VARIED[::3], ids=[name for name, _ in VARIED[::3]])
def test_luma(name: str, stream: bytes) -> None:
    for dtype in (torch.float32, torch.float16, torch.uint8):
        options: dict[str, Any] = {"color": "L", "crop": 30, "resize": (37, 41), "dtype": dtype}
        assert_exact(stream, name, mean_std=((0.449,), (0.226,)), **options)
        assert_exact(stream, name, mean_std=None, **options)


def test_luma_is_pillows_own_conversion(photo: bytes) -> None:
    """For RGB and gray images `convert("L")` needs no detour over RGB."""
    for stream in (photo, streams.encode(streams.picture("L", 50, 40))):
        got = fastpre.decode_resize_normalize([stream], resize=None, crop=None, color="L", dtype="uint8")[0, 0]
        image = Image.open(io.BytesIO(stream)).convert("L")
        assert got.numpy().tobytes() == image.tobytes()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(120, 40), (40, 120), (61, 61), (9, 200)], ids=str)
def test_exif_orientation(orientation: int, size: tuple[int, int]) -> None:
    stream = streams.encode(streams.picture("RGB", *size), orientation=orientation)
    for options in (
        {"resize": 48, "crop": 40},
        {"resize": (30, 90), "crop": (25, 77)},
        {"resize": (90, 30), "crop": None, "interpolation": "lanczos"},
        {"resize": None, "crop": (70, 50)},
        {"resize": None, "crop": None},
    ):
        assert_exact(stream, (orientation, options), exif_orientation=True, **options)
        assert_exact(stream, (orientation, "ignored", options), exif_orientation=False, **options)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=str)
def test_orientation_in_every_dtype(orientation: int, memory_format: torch.memory_format) -> None:
    stream = streams.encode(streams.picture("RGB", 70, 50), orientation=orientation)
    for dtype in (torch.float32, torch.float16, torch.uint8):
        for color in ("RGB", "BGR"):
            spec = fastpre.Spec(
                resize=36, crop=(40, 32), mean=None, std=None, color=color, dtype=dtype, memory_format=memory_format,
                exif_orientation=True,
            )  # fmt: skip
            want = preprocess(
                stream, resize=36, crop=(40, 32), mean_std=None, color=color, dtype=dtype, exif_orientation=True
            )
            assert_equal(fastpre.Preprocessor(spec)([stream])[0], want, (orientation, dtype, color))


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("size", [(100, 800), (800, 100), (60, 130)], ids=str)
def test_tall_images_in_pillows_pass_order(orientation: int, size: tuple[int, int]) -> None:
    """Where the height shrinks by much more than the width, the order of the passes shows."""
    stream = streams.encode(streams.picture("RGB", *size), orientation=orientation)
    for resize in ((50, 90), (90, 50), 40):
        for crop in (None, 33):
            assert_exact(stream, (resize, crop), resize=resize, crop=crop, exif_orientation=True)


def test_a_batch_is_its_images(batch: list[bytes]) -> None:
    want = torch.stack([preprocess(s, resize=64, crop=56) for s in batch])
    assert_equal(fastpre.decode_resize_normalize(batch, resize=64, crop=56), want)


def test_fast_fidelity_gives_the_same_pixels() -> None:
    for name, stream in VARIED:
        options = {"resize": None, "crop": 30}
        fast = fastpre.decode_resize_normalize([stream], fidelity="fast", **options)[0]
        assert_equal(fast, preprocess(stream, **options), name)
