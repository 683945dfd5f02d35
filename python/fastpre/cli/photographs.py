"""Photographs to measure on when none are given: those that installed packages ship, else made ones."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path

import numpy as np

from .errors import Unusable

__all__ = ["generated", "shipped"]

# Folders of JPEGs in well-known packages, which are found without being imported.
FOLDERS = (("skimage", "data"), ("sklearn", "datasets/images"), ("matplotlib", "mpl-data/sample_data"))


def shipped() -> list[Path]:
    """JPEG photographs that scikit-image, scikit-learn and matplotlib have brought along."""
    found: list[Path] = []
    for package, folder in FOLDERS:
        spec = importlib.util.find_spec(package)
        for root in (spec.submodule_search_locations or ()) if spec else ():
            found += sorted((Path(root) / folder).glob("*.jpg"))
    return found


def generated(count: int, height: int = 375, width: int = 500, seed: int = 0) -> list[bytes]:
    """JPEG streams (quality 90, 4:2:0) of noise with a photograph's spectrum, about 1/f.

    Raises:
        Unusable: Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError:
        raise Unusable("no photographs here: name a folder, or pip install 'fastpre[preview]'") from None
    rng = np.random.default_rng(seed)
    streams = []
    for _ in range(count):
        pixels = np.full((height, width, 3), 128.0, np.float32)
        for octave in range(8):
            h, w = -(-height >> 7 - octave) + 1, -(-width >> 7 - octave) + 1
            coarse = Image.fromarray(rng.integers(0, 256, (h, w, 3), dtype=np.uint8))
            layer = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.float32)
            pixels += (layer - 128) * 0.6**octave
        file = io.BytesIO()
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
        streams.append(file.getvalue())
    return streams
