"""One stream beside Pillow: the same bits, or both refuse it."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import PIL
import pytest
import torch
from PIL import Image, ImageFile, features

import fastpre
from reference import IMAGENET, assert_equal, preprocess

SMALL: dict[str, Any] = {"resize": 32, "crop": 24}
SPEC = fastpre.Spec(**SMALL)


def _major(version: str) -> int:
    return int(version.partition(".")[0])


PILLOWS_LIBRARIES = Path(PIL.__file__).parents[1] / "pillow.libs"

# libjpeg-turbo 3 learned lossless JPEG (SOF3), and smooths otherwise between the blocks of progressive streams that
# lack scans, if they are two blocks wide or have fewer rows of chroma (libjpeg-turbo/libjpeg-turbo#700 and #721).
# False where Pillow's library was loaded into the process before ours.
OLDER_THAN_PILLOWS = _major(fastpre._core.build_info()["libjpeg_turbo"]) < 3 <= _major(
    features.version("libjpeg_turbo") or "0"
) and str(PILLOWS_LIBRARIES) not in os.environ.get("LD_PRELOAD", "")


def record(stream: bytes, spec: fastpre.Spec = SPEC) -> fastpre.ImageResult:
    """What becomes of one image, which may fail."""
    return fastpre.Preprocessor(spec, num_threads=1).run([stream], on_error="fill").images[0]


def assert_parity(stream: bytes, what: object) -> bool:
    """Same bits where Pillow decodes, an ImageError where it raises; True if it decodes."""
    try:
        want = preprocess(stream, **SMALL)
    except Exception:
        assert isinstance(record(stream).error, fastpre.ImageError), what
        return False
    assert_equal(fastpre.Preprocessor(SPEC, num_threads=1)([stream])[0], want, what)
    return True


def under_the_flag(stream: bytes, options: dict[str, Any]) -> torch.Tensor | None:
    """The reference with Pillow's LOAD_TRUNCATED_IMAGES set; None where Pillow still refuses."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
        try:
            return preprocess(stream, **options)
        except Exception:
            return None


def is_whole(stream: bytes) -> bool:
    """True if Pillow decodes it without the flag."""
    try:
        Image.open(io.BytesIO(stream)).load()
    except Exception:
        return False
    return True


def assert_partial_parity(items: Sequence[bytes], *, device: str = "cpu", **options: Any) -> list[fastpre.ImageResult]:
    """With truncated="partial": the same bits as Pillow under its flag, marked where Pillow without it refuses.

    `options` are those of `reference.preprocess` and fix the output's size.
    """
    mean, std = options.get("mean_std", IMAGENET)
    fields = {name: value for name, value in options.items() if name != "mean_std"}
    spec = fastpre.Spec(truncated="partial", mean=mean, std=std, **fields)
    result = fastpre.Preprocessor(spec, device, num_threads=2).run(items, on_error="fill")
    for stream, image, got in zip(items, result.images, result.tensor, strict=True):
        what = f"{len(stream)} bytes, {image!r}"
        want = under_the_flag(stream, options)
        if want is None:
            assert isinstance(image.error, fastpre.ImageError), what
            assert not image.truncated, what
        else:
            assert image.ok, what
            assert_equal(got, want, what)
            assert image.truncated != is_whole(stream), what
    return result.images
