"""Which of Pillow's two resampling passes runs first: the experiment behind `Spec.pass_order`.

The result between the passes has 8 bits, so the order shows in last bits. Both orders are computed
here from the taps, and the installed Pillow says which one it took.
"""

from __future__ import annotations

import functools
import itertools

import numpy as np
import PIL
import pytest
from PIL import Image

import fastpre
import streams
from reference import assert_exact
from taps import TAP_BITS, matrix

ADAPTIVE = int(PIL.__version__.partition(".")[0]) >= 13
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "box": Image.Resampling.BOX, "lanczos": Image.Resampling.LANCZOS}

cached_matrix = functools.cache(matrix)


def rule(width: int, height: int, out_width: int, out_height: int) -> str:
    """What csrc/plan/plan.cpp says."""
    taller = out_height < height and height - out_height > 2 * (width - out_width)
    return "vertical" if ADAPTIVE and taller else "horizontal"


def pillows(interpolation: str, size: tuple[int, int, int, int]) -> str:
    """ "horizontal", "vertical", or "either" where this noise does not tell them apart."""
    width, height, out_width, out_height = size
    pixels = np.random.default_rng(size).integers(0, 256, (height, width), dtype=np.uint8)
    got = np.asarray(Image.fromarray(pixels).resize((out_width, out_height), FILTERS[interpolation]))
    columns = cached_matrix(interpolation, width, out_width).astype(np.float64)
    rows = cached_matrix(interpolation, height, out_height).astype(np.float64)

    def rounded(sums: np.ndarray) -> np.ndarray:  # sums stay far below 2^53
        return np.clip(np.floor((sums + (1 << (TAP_BITS - 1))) / (1 << TAP_BITS)), 0, 255)

    horizontal = bool((rounded(rows @ rounded(pixels @ columns.T)) == got).all())
    vertical = bool((rounded(rounded(rows @ pixels) @ columns.T) == got).all())
    assert horizontal or vertical, f"{interpolation} {size}: neither order gives what Pillow gives"
    return "either" if horizontal and vertical else "horizontal" if horizontal else "vertical"


def around_the_border() -> list[tuple[int, int, int, int]]:
    """Output heights one step on either side of h - oh = 2 (w - ow), and of oh = h."""
    sizes = []
    for width, height, out_width in itertools.product((12, 40, 100), (30, 100, 150), (7, 12, 25, 39, 60, 99, 120)):
        border = height - 2 * (width - out_width)
        for out_height in {border - 2, border - 1, border, border + 1, height - 1, height, height + 1, height // 2}:
            if 1 <= out_height <= 260:
                sizes.append((width, height, out_width, out_height))
    return sizes


@pytest.mark.parametrize("interpolation", FILTERS)
def test_the_rule_is_pillows(interpolation: str) -> None:
    sizes = around_the_border()
    told = 0
    for size in sizes:
        order = pillows(interpolation, size)
        if order != "either":
            told += 1
            assert order == rule(*size), size
    assert told > len(sizes) // 4  # an axis that keeps its size, or a box that only copies, shows no order


def test_plans_follow_the_rule() -> None:
    for width, height, out_width, out_height in around_the_border()[::5]:
        stream = streams.encode(Image.new("L", (width, height)))
        spec = fastpre.Spec(resize=(out_height, out_width), crop=None)
        assert fastpre.plan(stream, spec).vertical_first == (rule(width, height, out_width, out_height) == "vertical")


def test_auto_is_the_installed_pillow() -> None:
    assert fastpre.Spec().pass_order == ("adaptive" if ADAPTIVE else "horizontal_first")


def test_both_orders_can_be_asked_for() -> None:
    """On an image where the order shows, one of the two is Pillow's and the other is not."""
    stream = streams.encode(streams.picture("RGB", 90, 400))
    specs = [fastpre.Spec(resize=(60, 70), crop=None, pass_order=o) for o in ("adaptive", "horizontal_first")]
    adaptive, horizontal = (fastpre.Preprocessor(s)([stream]) for s in specs)
    assert (adaptive != horizontal).any()
    assert [fastpre.plan(stream, s).vertical_first for s in specs] == [True, False]


def test_pixels_at_the_border() -> None:
    for size in around_the_border()[::9]:
        width, height, out_width, out_height = size
        stream = streams.encode(streams.picture("RGB", width, height))
        assert_exact(stream, size, resize=(out_height, out_width), crop=None)
