"""LazyImage: whatever is asked of it, the pixels are Pillow's; and geometry alone does not decode."""

from __future__ import annotations

import copy
import io
import pickle
import random
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from PIL import Image, ImageChops, ImageFilter, ImageOps

import fastpre
import streams
from fastpre.transforms import LazyImage, open_image
from pictures import photograph, pil

JPEG = photograph(97, 61, seed=3)
FILTERS = [Image.Resampling(i) for i in range(6)]


def step(name: str, *arguments: Any) -> tuple[str, tuple[Any, ...]]:
    return name, arguments


SIDES = st.integers(1, 120)
PLACES = st.integers(-20, 110)
STEPS = st.one_of(
    st.builds(lambda x, y, w, h: step("crop", (x, y, x + w, y + h)), PLACES, PLACES, SIDES, SIDES),
    st.builds(lambda w, h, f: step("resize", (w, h), f), SIDES, SIDES, st.sampled_from(FILTERS)),
    st.builds(lambda m: step("transpose", m), st.sampled_from(list(Image.Transpose))),
    st.sampled_from([step("convert", "RGB"), step("copy"), step("convert", "L")]),
)


@hypothesis.given(st.lists(STEPS, min_size=1, max_size=5), st.integers(0, 3))
@hypothesis.settings(max_examples=300)
def test_any_steps_give_pillows_pixels(steps: list[Any], number: int) -> None:
    jpeg = photograph(97 + number, 61 - 13 * number, seed=number)
    lazy: Any = open_image(jpeg)
    plain: Any = pil(jpeg)
    for name, arguments in steps:
        lazy, plain = getattr(lazy, name)(*arguments), getattr(plain, name)(*arguments)
        assert (lazy.size, lazy.mode) == (plain.size, plain.mode)
    assert np.array_equal(np.asarray(lazy), np.asarray(plain)), steps


def test_geometry_alone_does_not_decode() -> None:
    image = open_image(JPEG)
    assert (image.size, image.width, image.height, image.mode, image.format) == ((97, 61), 97, 61, "RGB", "JPEG")
    assert image.getbands() == ("R", "G", "B")
    chains = [
        image.crop((3, 4, 50, 40)).transpose(Image.Transpose.FLIP_LEFT_RIGHT).crop((1, 2, 30, 31)).resize((9, 8)),
        image.resize((40, 30)).crop((-5, -5, 45, 35)).transpose(Image.Transpose.ROTATE_180).convert("RGB").copy(),
        image.crop((0, 0, 97, 61)).resize((97, 61)),
    ]
    assert all(isinstance(chain, LazyImage) and chain.draw is not None for chain in [image, *chains])
    assert "not decoded" in repr(image)
    np.asarray(chains[0])
    assert chains[0].draw is None  # type: ignore[attr-defined]
    assert image.draw is not None
    assert "LazyImage 9x8 decoded" in repr(chains[0])


USES: list[Any] = [
    np.asarray,
    lambda i: i.tobytes(),
    lambda i: i.getpixel((3, 4)),
    lambda i: i.split(),
    lambda i: ImageOps.expand(i, 3, (1, 2, 3)),
    lambda i: ImageChops.invert(i),
    lambda i: i.filter(ImageFilter.GaussianBlur(2)),
    lambda i: i.point(lambda v: 255 - v),
    lambda i: i.rotate(10),
    lambda i: i.transform((20, 20), Image.Transform.AFFINE, (1, 0.1, 2, 0.1, 1, 3)),
    lambda i: i.histogram(),
    lambda i: i.convert("HSV"),
    lambda i: i.quantize(4),
    lambda i: Image.blend(i, i.copy(), 0.3),
    lambda i: pickle.loads(pickle.dumps(i)),
    copy.copy,
    copy.deepcopy,
    lambda i: i.reduce(2),
    lambda i: i.resize((20, 20), box=(1, 2, 50, 51)),
    lambda i: i.resize((5, 5), reducing_gap=2.0),
]


@pytest.mark.parametrize("number", range(len(USES)))
def test_every_use_of_pixels_decodes(number: int) -> None:
    def flat(value: Any) -> Any:
        if isinstance(value, tuple) and value and isinstance(value[0], Image.Image):
            return [np.asarray(band).tolist() for band in value]
        return np.asarray(value).tolist()

    use = USES[number]
    assert flat(use(open_image(JPEG))) == flat(use(pil(JPEG)))
    half = open_image(JPEG).resize((50, 30)).crop((2, 2, 48, 29))
    assert flat(use(half.resize((60, 60)))) == flat(
        use(pil(JPEG).resize((50, 30)).crop((2, 2, 48, 29)).resize((60, 60)))
    )


def test_drawing_on_it_and_saving(tmp_path: Path) -> None:
    lazy, plain = open_image(JPEG).crop((0, 0, 40, 40)), pil(JPEG).crop((0, 0, 40, 40))
    for image in (lazy, plain):
        image.putpixel((1, 1), (9, 8, 7))
        image.paste((1, 2, 3), (5, 5, 9, 9))
        image.thumbnail((20, 20))
    assert np.array_equal(np.asarray(lazy), np.asarray(plain))
    lazy.save(tmp_path / "it.png")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "it.png")), np.asarray(plain))


@pytest.mark.parametrize(("name", "jpeg"), streams.varied())
def test_every_kind_of_stream(name: str, jpeg: bytes) -> None:
    choose = random.Random(name)
    plain = pil(jpeg)
    for _ in range(3):
        w, h = choose.randint(1, plain.width), choose.randint(1, plain.height)
        x, y = choose.randint(0, plain.width - w), choose.randint(0, plain.height - h)
        size = (choose.randint(1, 40), choose.randint(1, 40))
        asked = [image.crop((x, y, x + w, y + h)).resize(size) for image in (open_image(jpeg), plain)]
        assert np.array_equal(np.asarray(asked[0]), np.asarray(asked[1])), (name, x, y, w, h, size)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_on_request(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    jpeg = streams.encode(streams.picture("RGB", 50, 33), exif=exif)
    plain = ImageOps.exif_transpose(Image.open(io.BytesIO(jpeg))).convert("RGB")
    lazy = open_image(jpeg, exif_orientation=True)
    assert lazy.size == plain.size
    assert np.array_equal(np.asarray(lazy.crop((3, 4, 20, 30))), np.asarray(plain.crop((3, 4, 20, 30))))


def test_what_it_opens(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(JPEG)
    want = np.asarray(pil(JPEG))
    sources: list[Any] = [JPEG, bytearray(JPEG), str(path), path, io.BytesIO(JPEG), {"bytes": JPEG, "path": "x"}]
    for source in [*sources, np.frombuffer(JPEG, np.uint8)]:
        assert np.array_equal(np.asarray(open_image(source)), want)


def test_what_cannot_be_opened_or_decoded(tmp_path: Path) -> None:
    with pytest.raises(fastpre.ImageReadError, match=r"absent\.jpg: cannot open"):
        open_image(tmp_path / "absent.jpg")
    with pytest.raises(fastpre.CorruptImage):
        open_image(b"nothing")
    with pytest.raises(fastpre.ImageReadError):
        open_image(None)
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(JPEG[: len(JPEG) // 2])
    image = open_image(cut)
    assert image.size == (97, 61)
    with pytest.raises(fastpre.CorruptImage, match=r"cut\.jpg"):
        image.load()


def test_a_decoded_one_pickles_as_pillows(tmp_path: Path) -> None:
    image = open_image(JPEG)
    image.load()
    again = pickle.loads(pickle.dumps(image))
    assert type(again) is Image.Image
    assert np.array_equal(np.asarray(again), np.asarray(pil(JPEG)))


def test_what_stands_beside_the_pixels() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    jpeg = streams.encode(streams.picture("RGB", 50, 33), exif=exif, dpi=(72, 72))
    for make in (open_image, pil):
        image: Any = make(jpeg)
        assert image.info["exif"]
        assert image.crop((0, 0, 20, 20)).info["dpi"] == (72, 72)
        image.info["mine"] = 3
        assert image.resize((9, 9)).info["mine"] == 3
    turned = [ImageOps.exif_transpose(make(jpeg)) for make in (open_image, pil)]
    assert np.array_equal(np.asarray(turned[0]), np.asarray(turned[1]))
    upright = ImageOps.exif_transpose(open_image(jpeg, exif_orientation=True))
    assert np.array_equal(np.asarray(upright), np.asarray(turned[1]))


def test_thumbnails() -> None:
    images: list[Any] = [open_image(JPEG), pil(JPEG)]
    for image in images:
        image.thumbnail((30, 30), reducing_gap=None)
    assert np.array_equal(np.asarray(images[0]), np.asarray(images[1]))
