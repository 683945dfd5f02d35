"""fidelity="fast": how far from exact it may be, on photographs and on made-up pictures."""

from __future__ import annotations

import dataclasses
import math
import statistics
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont

import corpus
import fastpre
import streams

FILTERS = ("box", "bilinear", "hamming", "bicubic", "lanczos")


@dataclasses.dataclass(frozen=True)
class Difference:
    """Of two uint8 images: decibels (infinite if equal), levels, levels."""

    psnr: float
    mean: float
    most: int


def difference(stream: bytes, **spec: Any) -> Difference:
    """Between the two fidelities of one image."""
    exact, fast = (
        fastpre.Preprocessor(fastpre.Spec(dtype="uint8", fidelity=fidelity, **spec), num_threads=1)([stream])[0]
        for fidelity in ("exact", "fast")
    )
    assert exact.shape == fast.shape
    gap = (exact.int() - fast.int()).abs()
    square = (gap.double() ** 2).mean().item()
    psnr = 10 * math.log10(255**2 / square) if square else math.inf
    return Difference(psnr, gap.double().mean().item(), int(gap.max()))


def soft(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """Without noise and hard edges, as a photograph is at this scale, and different in every direction."""
    small = streams.picture(mode, max(width // 24, 2), max(height // 24, 2), seed=3)
    return small.resize((width, height), Image.Resampling.BICUBIC)


# Measured on 2026-11-23: docs/exactness.md has the table.
@pytest.mark.corpus
@pytest.mark.parametrize(
    ("name", "resize"), [("natural", 256), ("natural", 128), ("natural", 64), ("large", 256), ("large", 640)]
)
def test_bound_on_photographs(name: str, resize: int, corpus_root: Any, summary: list[str]) -> None:
    """Of the photographs that the decoder reduces; the others must be equal."""
    found = []
    for entry in corpus.entries(corpus_root, name):
        stream, spec = entry.path.read_bytes(), {"resize": resize, "crop": resize * 7 // 8}
        gap = difference(stream, **spec)
        if fastpre.plan(stream, fastpre.Spec(fidelity="fast", **spec)).decode_scale == (8, 8):
            assert gap.psnr == math.inf, entry.id
        else:
            found.append(gap)
    median, worst = statistics.median(d.psnr for d in found), min(d.psnr for d in found)
    mean, most = statistics.mean(d.mean for d in found), max(d.most for d in found)
    summary.append(
        f"fast against exact, {name} to {resize}: {len(found)} photographs, PSNR median {median:.1f} dB, "
        f"worst {worst:.1f} dB; mean difference {mean:.2f} levels, largest {most}"
    )
    assert median >= 46
    assert worst >= 40
    assert mean <= 1
    assert most <= 48


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize(
    ("width", "height", "scale"), [(500, 375, 8), (750, 600, 7), (1100, 860, 5), (1400, 1100, 4), (3000, 2300, 2)]
)
def test_every_decode_scale(width: int, height: int, scale: int, subsampling: int) -> None:
    stream = streams.encode(soft(width, height), quality=92, subsampling=subsampling)
    assert fastpre.plan(stream, fastpre.Spec(fidelity="fast")).decode_scale == (scale, 8)
    assert difference(stream).psnr >= 42


@pytest.mark.parametrize("interpolation", FILTERS)
def test_every_filter(interpolation: str) -> None:
    stream = streams.encode(soft(1000, 700), quality=92)
    assert difference(stream, resize=150, crop=140, interpolation=interpolation).psnr >= 40


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(1037, 811), (300, 411)])
def test_every_orientation(orientation: int, size: tuple[int, int]) -> None:
    """Odd sizes: a plane's last samples stand for fewer pixels, on the right and below only."""
    stream = streams.encode(soft(*size), quality=92, orientation=orientation)
    assert difference(stream, resize=(131, 117), crop=101, exif_orientation=True).psnr >= 42


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_other_colour_models(mode: str) -> None:
    stream = streams.encode(soft(900, 700, mode), quality=92)
    assert difference(stream, resize=100, crop=90).psnr >= 42


@pytest.mark.parametrize("color", ["BGR", "L"])
def test_output_colours(color: str) -> None:
    mean, std = ((0.5,), (0.5,)) if color == "L" else ((0.5,) * 3, (0.5,) * 3)
    stream = streams.encode(soft(900, 700), quality=92)
    assert difference(stream, resize=100, crop=90, color=color, mean=mean, std=std).psnr >= 42


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (7, 5), (16, 16), (17, 33)])
@pytest.mark.parametrize("resize", [(1, 1), (8, 8), (50, 64)])
def test_odd_shapes(size: tuple[int, int], resize: tuple[int, int]) -> None:
    stream = streams.encode(soft(*size), quality=95)
    assert difference(stream, resize=resize, crop=None).psnr >= 34


def test_without_a_resize_it_is_exact() -> None:
    stream = streams.encode(soft(300, 200), quality=92)
    assert difference(stream, resize=None, crop=128).psnr == math.inf


def test_what_our_decoder_declines_is_exact() -> None:
    stream = streams.encode(soft(900, 700), quality=92, progressive=True)
    assert fastpre.plan(stream, fastpre.Spec(fidelity="fast")).decode_scale == (8, 8)
    assert difference(stream, resize=100, crop=90).psnr == math.inf


def test_what_exact_declines_is_declined() -> None:
    """Coefficients so large that the arithmetic saturates: libjpeg-turbo's pixels count, at full size."""
    stream = bytearray(streams.encode(streams.picture("RGB", 900, 700), quality=100, subsampling=0))
    for marker, begin, _ in streams.segments(bytes(stream)):
        if marker == 0xDB:
            stream[begin + 5 : begin + 5 + 64] = b"\xff" * 64
    results = [
        fastpre.Preprocessor(fastpre.Spec(resize=100, crop=90, fidelity=fidelity)).run([bytes(stream)])
        for fidelity in ("exact", "fast")
    ]
    for result in results:
        assert result.images[0].declined == "coefficients that no photograph has"
    assert torch.equal(results[0].tensor, results[1].tensor)


def drawing(kind: str, seed: int) -> Image.Image:
    """A page of text, or a chart: hard edges, which a photograph does not have."""
    rng = np.random.default_rng(seed)
    width, height = (1700, 2200) if kind == "text" else (1600, 1200)
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    if kind == "text":
        top = 10
        while top < height - 40:
            size = int(rng.integers(8, 40))
            words = "".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz     ABCDEF0123456789"), 200))
            draw.text((10, top), words, fill="black", font=ImageFont.load_default(size))
            top += int(size * 1.3)
        return image
    for _ in range(60):
        x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
        right, bottom = x + int(rng.integers(5, width // 3)), y + int(rng.integers(5, height // 3))
        colours = [tuple(int(v) for v in rng.integers(0, 256, 3)) for _ in range(2)]
        draw.rectangle([x, y, right, bottom], fill=colours[0])
        draw.line([x, y, bottom, right], fill=colours[1], width=int(rng.integers(1, 6)))
    return image


@pytest.mark.parametrize("kind", ["text", "chart"])
@pytest.mark.parametrize("subsampling", [0, 2])
def test_bound_on_graphics(kind: str, subsampling: int, summary: list[str]) -> None:
    found = [
        difference(
            streams.encode(drawing(kind, seed), quality=92, subsampling=subsampling), resize=resize, crop=224
        ).psnr
        for seed in range(2)
        for resize in (256, 512)
    ]
    summary.append(f"fast against exact, {kind}, subsampling {subsampling}: PSNR worst {min(found):.1f} dB")
    assert min(found) >= (33 if kind == "text" else 38)


def test_bad_images_are_refused_alike() -> None:
    stream = streams.encode(soft(900, 700), quality=92)
    for cut in (len(stream) // 3, 400, 30):
        with pytest.raises(fastpre.CorruptImage):
            fastpre.Preprocessor(fastpre.Spec(fidelity="fast"))([stream[:cut]])


def test_threads_make_no_difference() -> None:
    stream = streams.encode(soft(2600, 1900), quality=92)
    one, four = (fastpre.Preprocessor(fastpre.Spec(fidelity="fast"), num_threads=n)([stream]) for n in (1, 4))
    assert torch.equal(one, four)
