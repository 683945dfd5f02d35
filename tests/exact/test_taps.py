"""The integer taps against the installed Pillow, read off by impulse responses."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import fastpre
from taps import TAP_BITS, matrix

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
SIZES = [(1, 1), (1, 7), (7, 1), (5, 5), (8, 3), (3, 8), (64, 17), (17, 64), (100, 99), (99, 100), (301, 8), (250, 224)]


def applied(dense: np.ndarray, row: np.ndarray) -> np.ndarray:
    sums = dense @ row.astype(np.int64) + (1 << (TAP_BITS - 1))
    return np.clip(sums >> TAP_BITS, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize(("in_size", "out_size"), SIZES)
def test_impulses(interpolation: str, in_size: int, out_size: int) -> None:
    """One white pixel at a time, then its negative: together they show every weight, of either sign.

    All impulses are the rows of one image, which Pillow resizes along x alone.
    """
    dense = matrix(interpolation, in_size, out_size)
    for rows in (np.eye(in_size, dtype=np.uint8) * 255, 255 - np.eye(in_size, dtype=np.uint8) * 255):
        resized = Image.fromarray(rows).resize((out_size, in_size), FILTERS[interpolation])
        want = np.stack([applied(dense, row) for row in rows])
        np.testing.assert_array_equal(want, np.asarray(resized))


@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize(("in_size", "out_size"), SIZES)
def test_noise(interpolation: str, in_size: int, out_size: int) -> None:
    """Random rows show the weights' low bits, which decide on which side of a half a sum falls."""
    rows = np.random.default_rng(in_size * 1000 + out_size).integers(0, 256, (400, in_size), dtype=np.uint8)
    resized = Image.fromarray(rows).resize((out_size, 400), FILTERS[interpolation])
    dense = matrix(interpolation, in_size, out_size)
    np.testing.assert_array_equal(np.stack([applied(dense, row) for row in rows]), np.asarray(resized))


@pytest.mark.parametrize("interpolation", FILTERS)
def test_a_window_is_part_of_the_whole(interpolation: str) -> None:
    whole = fastpre._core.taps(interpolation, 97, 61, 0, 61)
    part = fastpre._core.taps(interpolation, 97, 61, 13, 20)
    assert part["start"] == whole["start"][13:33]
    assert part["weights"] == whole["weights"][13:33]


@pytest.mark.parametrize("interpolation", FILTERS)
def test_weights_sum_to_one(interpolation: str) -> None:
    """Within half a unit of the last bit per tap."""
    for in_size, out_size in SIZES:
        for weights in fastpre._core.taps(interpolation, in_size, out_size, 0, out_size)["weights"]:
            assert abs(sum(weights) - (1 << TAP_BITS)) <= (len(weights) + 1) / 2
