"""Images whose geometry was chosen before the call."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import fastpre
import pictures
from fastpre.augment import Box, Draw
from fastpre.augment.batch import Start

SPEC = fastpre.Spec(resize=24, crop=20)
START = Start(SPEC.compiled(), SPEC.interpolation)
IMAGES = [pictures.photograph(80, 60, seed=1), pictures.photograph(50, 90, seed=2)]
BOXES = [Box(5, 10, 40, 30), Box(0, 0, 90, 50)]


def test_each_image_has_its_own() -> None:
    sizes = [(60, 80), (90, 50)]
    draws = [START.draw(*size, box) for size, box in zip(sizes, BOXES, strict=True)]
    out = torch.empty(2, 3, 20, 20)
    result = fastpre.Preprocessor(SPEC).run_drawn(IMAGES, draws, out=out)
    assert result.tensor is out
    for row, image, box, record in zip(out, IMAGES, BOXES, result.images, strict=True):
        crop = pictures.pil(image).crop((box.left, box.top, box.left + box.width, box.top + box.height))
        assert torch.equal(row, fastpre.Preprocessor(SPEC).run_pixels(np.asarray(crop)))
        assert record.draws[0].image == (record.height, record.width)


def test_what_is_wrong_is_said() -> None:
    pre = fastpre.Preprocessor(SPEC)
    draw = START.draw(60, 80)
    with pytest.raises(ValueError, match="one for each image: 1 draws, 2 images"):
        pre.run_drawn(IMAGES, [draw])
    with pytest.raises(ValueError, match="outputs differ in size"):
        pre.run_drawn(IMAGES, [draw, Draw.of(90, 50)])
    with pytest.raises(fastpre.CorruptImage):
        pre.run_drawn([IMAGES[0][:400]], [draw])
    assert not pre.run_drawn([IMAGES[0][:400]], [draw], on_error="fill").ok
