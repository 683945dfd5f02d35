"""Bit equality on random combinations of options."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import streams
from reference import assert_exact

MAX_PIXELS = 400_000  # of a resized image: keeps one example well below a second
FILTERS = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")

sides = st.integers(1, 90)
outputs = st.integers(1, 120)
pairs = st.tuples(outputs, outputs)


@st.composite
def encoded(draw: st.DrawFn) -> tuple[bytes, tuple[int, int]]:
    """A stream and its (width, height)."""
    mode = draw(st.sampled_from(("RGB", "RGB", "RGB", "L", "CMYK")))
    width, height = draw(sides), draw(sides)
    options: dict[str, Any] = {
        "quality": draw(st.integers(10, 100)),
        "progressive": draw(st.booleans()),
        "optimize": draw(st.booleans()),
        "restart_marker_blocks": draw(st.integers(0, 5)),
        "orientation": draw(st.none() | st.integers(1, 8)),
    }
    if mode == "RGB":
        options["subsampling"] = draw(st.integers(0, 2))
    image = streams.picture(mode, width, height, seed=draw(st.integers(0, 7)))
    return streams.encode(image, **options), (width, height)


def bounded(resize: Any, size: tuple[int, int]) -> bool:
    short, long = min(size), max(size)
    return not isinstance(resize, int) or resize * resize * long // short <= MAX_PIXELS


@given(
    image=encoded(),
    resize=st.none() | outputs | pairs,
    crop=st.none() | outputs | pairs,
    interpolation=st.sampled_from(FILTERS),
    exif_orientation=st.booleans(),
    color=st.sampled_from(("RGB", "RGB", "BGR", "L")),
)
def test_every_step(
    image: tuple[bytes, tuple[int, int]],
    resize: Any,
    crop: Any,
    interpolation: str,
    exif_orientation: bool,
    color: str,
) -> None:
    stream, size = image
    if not bounded(resize, size):
        resize = (resize, resize)
    mean_std = ((0.449,), (0.226,)) if color == "L" else ((0.48, 0.45, 0.4), (0.22, 0.23, 0.24))
    assert_exact(
        stream,
        resize=resize,
        crop=crop,
        interpolation=interpolation,
        exif_orientation=exif_orientation,
        color=color,
        mean_std=mean_std,
    )


@given(
    size=st.tuples(st.integers(1, 400), st.integers(1, 400)),
    resize=pairs,
    interpolation=st.sampled_from(FILTERS),
    subsampling=st.integers(0, 2),
)
def test_strong_reductions(
    size: tuple[int, int], resize: tuple[int, int], interpolation: str, subsampling: int
) -> None:
    """Many taps, both pass orders, every chroma sampling."""
    stream = streams.encode(streams.picture("RGB", *size), subsampling=subsampling)
    assert_exact(stream, resize=resize, crop=None, interpolation=interpolation)


@given(
    size=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    crop=st.tuples(st.integers(1, 320), st.integers(1, 320)),
    subsampling=st.integers(0, 2),
    progressive=st.booleans(),
    restart=st.integers(0, 3),
)
def test_crops_of_undisturbed_pixels(
    size: tuple[int, int], crop: tuple[int, int], subsampling: int, progressive: bool, restart: int
) -> None:
    """No resizing: a cropped decode must not show where it was cut."""
    image = streams.picture("RGB", *size, seed=1)
    stream = streams.encode(image, subsampling=subsampling, progressive=progressive, restart_marker_blocks=restart)
    assert_exact(stream, resize=None, crop=crop, mean_std=None)
