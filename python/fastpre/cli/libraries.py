"""Other libraries' ways to do the default job: shorter side to 256, centre 224, ImageNet's normalization."""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable
from typing import Any

import numpy as np

from fastpre.spec import IMAGENET_MEAN, IMAGENET_STD

from .reference import Implementation, one_by_one

__all__ = ["other_implementations"]

RESIZE, CROP = 256, 224

Array = Any  # NumPy arrays; their stubs are not worth a dependency of the types
OneImage = Callable[[bytes], Array]


def other_implementations() -> tuple[list[Implementation], dict[str, str]]:
    """Those that can be imported, and why the others cannot."""
    ready: list[Implementation] = []
    missing: dict[str, str] = {}
    for name, make in (("Pillow + NumPy", _pillow), ("OpenCV + NumPy", _opencv), ("simplejpeg + Pillow", _simplejpeg)):
        try:
            one = make()
        except ImportError as e:
            missing[name] = str(e)
        else:
            ready.append(one_by_one(name, one))
    return ready, missing


def _resized(height: int, width: int) -> tuple[int, int]:
    """(height, width) with torchvision's rounding of the longer side."""
    if height <= width:
        return RESIZE, int(RESIZE * width / height)
    return int(RESIZE * height / width), RESIZE


def _cropped_and_normalized(pixels: Array) -> Array:
    """uint8 (H, W, 3) to float32 (3, 224, 224)."""
    top, left = (round((size - CROP) / 2) for size in pixels.shape[:2])
    x = pixels[top : top + CROP, left : left + CROP].astype(np.float32)
    x /= 255
    x -= np.asarray(IMAGENET_MEAN, np.float32)
    x /= np.asarray(IMAGENET_STD, np.float32)
    return np.ascontiguousarray(x.transpose(2, 0, 1))


def _pillow() -> OneImage:
    from PIL import Image

    def one(data: bytes) -> Array:
        with Image.open(io.BytesIO(data)) as image:
            h, w = _resized(image.height, image.width)
            return _cropped_and_normalized(np.asarray(image.convert("RGB").resize((w, h), Image.Resampling.BILINEAR)))

    return one


def _opencv() -> OneImage:
    cv2 = importlib.import_module("cv2")
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION

    def one(data: bytes) -> Array:
        pixels = cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), flags), cv2.COLOR_BGR2RGB)
        h, w = _resized(*pixels.shape[:2])
        return _cropped_and_normalized(cv2.resize(pixels, (w, h), interpolation=cv2.INTER_LINEAR))

    return one


def _simplejpeg() -> OneImage:
    from PIL import Image

    simplejpeg = importlib.import_module("simplejpeg")

    def one(data: bytes) -> Array:
        image = Image.fromarray(simplejpeg.decode_jpeg(data, colorspace="RGB"))
        h, w = _resized(image.height, image.width)
        return _cropped_and_normalized(np.asarray(image.resize((w, h), Image.Resampling.BILINEAR)))

    return one
