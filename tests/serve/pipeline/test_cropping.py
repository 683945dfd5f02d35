"""Crops straight from the stream: to the bit what Pillow crops, then the Spec."""

from __future__ import annotations

import io
import threading
from typing import Any

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

import fastpre
import pictures
from fastpre.augment import Box
from fastpre.serve.engine.cropping import ROWS_MANY, Crop, Cropper, Picture, crops_of, within
from fastpre.serve.pipeline.detections import pixel_box

WIDTH, HEIGHT = 200, 150
IMAGE = pictures.photograph(WIDTH, HEIGHT, seed=3)
SPECS = {
    "natural": fastpre.Spec(resize=40, crop=32),
    "squash": fastpre.Spec(resize=(24, 40), crop=None, interpolation="bicubic"),
    "crop alone": fastpre.Spec(resize=None, crop=32),
    "uint8, BGR": fastpre.Spec(resize=32, crop=32, dtype="uint8", mean=None, std=None, color="BGR"),
    "gray": fastpre.Spec(resize=32, crop=32, color="L"),
    "channels last": fastpre.Spec(resize=32, crop=32, memory_format="channels_last"),
}
BOXES = {
    "inside": (13, 17, 100, 90),
    "whole": (0, 0, WIDTH, HEIGHT),
    "a corner": (150, 100, WIDTH, HEIGHT),
    "past the left and the top": (-20, -10, 60, 50),
    "past the right and the bottom": (120, 90, 230, 170),
    "past all": (-5, -6, WIDTH + 7, HEIGHT + 8),
    "outside": (WIDTH + 3, 10, WIDTH + 30, 40),
    "one pixel": (50, 60, 51, 61),
}


def by_pillow(image: Image.Image, box: tuple[int, int, int, int], spec: fastpre.Spec) -> torch.Tensor:
    """Pillow's crop, then the Spec on what that gives."""
    return fastpre.Preprocessor(spec).run_pixels(np.asarray(image.crop(box)))  # type: ignore[no-any-return]


def written(crop: Crop, spec: fastpre.Spec) -> torch.Tensor:
    size = spec.output_size
    assert size is not None
    slot = torch.full((1, spec.channels, *size), 7, dtype=spec.dtype).contiguous(memory_format=spec.memory_format)
    Cropper(fastpre.Preprocessor(spec, num_threads=1)).write(crop, slot)
    return slot[0]


def boxed(corners: tuple[int, int, int, int]) -> Box:
    left, top, right, bottom = corners
    return Box(top, left, bottom - top, right - left)


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("where", BOXES)
def test_equal_to_pillow_however_it_is_decoded(where: str, name: str) -> None:
    spec, box = SPECS[name], boxed(BOXES[where])
    want = by_pillow(pictures.pil(IMAGE), BOXES[where], spec)
    around = within(box, (HEIGHT, WIDTH)) or Box(0, 0, 1, 1)
    alone = Picture(IMAGE, (HEIGHT, WIDTH), None)
    once = Picture(IMAGE, (HEIGHT, WIDTH), Box(0, 0, around.top + around.height, WIDTH))
    pixels = Picture(np.asarray(pictures.pil(IMAGE)), (HEIGHT, WIDTH), None)
    for picture in (alone, once, pixels):
        assert torch.equal(written(Crop(picture, box), spec), want)


def test_boxes_are_where_the_image_is_seen() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    turned = pictures.pil(IMAGE)
    data = _saved(turned, exif)
    spec = fastpre.Spec(resize=32, crop=32, exif_orientation=True)
    seen = pictures.pil(data).transpose(Image.Transpose.ROTATE_270)
    corners = (10, 20, 90, 120)
    got = written(Crop(Picture(data, (WIDTH, HEIGHT), None), boxed(corners)), spec)
    assert torch.equal(got, by_pillow(seen, corners, spec))


def _saved(image: Image.Image, exif: Image.Exif) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("corners", "want"),
    [
        ((10.4, 20.5, 30.6, 41.5), Box(20, 10, 22, 21)),  # halves to even, as Pillow
        ((10.0, 20.0, 10.0, 30.0), Box(20, 10, 10, 1)),
        ((30.0, 20.0, 10.0, 10.0), Box(20, 30, 1, 1)),  # the wrong way round
        ((200.0, 150.0, 200.0, 150.0), Box(149, 199, 1, 1)),  # at the end: moved in
        ((-9.0, -9.0, -9.2, -9.2), Box(0, 0, 1, 1)),
        ((-5.0, 0.0, 210.0, 150.0), Box(0, -5, 150, 215)),
    ],
)
def test_corners_become_pixels(corners: Any, want: Box) -> None:
    assert pixel_box(corners, (HEIGHT, WIDTH)) == want


def test_many_crops_are_decoded_once_and_few_are_not() -> None:
    size, low, high = (HEIGHT, WIDTH), Box(100, 0, 50, 50), Box(0, 0, 40, 40)
    assert ROWS_MANY == 2.5
    assert crops_of(IMAGE, size, [low, low])[0].picture.whole is None
    many = crops_of(IMAGE, size, [low, high, low, low], 900.0)
    assert many[0].picture.whole == Box(0, 0, 150, 50)
    assert all(crop.picture is many[0].picture for crop in many)
    assert [crop.cost for crop in many] == [225.0] * 4  # together one decoding
    few = crops_of(IMAGE, size, [low, high, high], 900.0)
    assert few[0].picture.whole is None
    assert [crop.cost for crop in few] == [900.0, 240.0, 240.0]  # each as far as its last row
    assert crops_of(np.zeros((*size, 3), np.uint8), size, [low] * 8)[0].picture.whole is None


def test_what_is_shared_is_decoded_by_the_first_who_asks() -> None:
    calls = []
    begun = threading.Event()

    def decode(image: Any, size: tuple[int, int], box: Box) -> Any:
        calls.append(box)
        begun.wait(0.05)  # the others come meanwhile
        return np.zeros((box.height, box.width, 3), np.uint8)

    picture = Picture(IMAGE, (HEIGHT, WIDTH), Box(0, 0, 10, 10), crops=4)
    threads = [threading.Thread(target=picture.pixels, args=(decode,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == [Box(0, 0, 10, 10)]
    assert picture._pixels is None  # every crop has had them


def test_damage_is_said_to_every_crop_that_shares_it() -> None:
    cut = IMAGE[: len(IMAGE) // 2]
    picture = Picture(cut, (HEIGHT, WIDTH), Box(0, 0, HEIGHT, WIDTH), crops=2)
    for _ in range(2):
        with pytest.raises(fastpre.CorruptImage):
            written(Crop(picture, Box(100, 0, 50, 50)), SPECS["natural"])


def test_a_crop_has_the_limit_of_an_image() -> None:
    spec = SPECS["natural"].replace(max_pixels=40_000)
    with pytest.raises(fastpre.LimitExceeded, match="a crop of 300x400 pixels"):
        written(Crop(Picture(IMAGE, (HEIGHT, WIDTH), None), Box(-100, -100, 300, 400)), spec)
