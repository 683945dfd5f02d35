"""Pillow alone, or Pillow-SIMD where it stands in its place; resizing jobs end at uint8 HWC pixels."""

from __future__ import annotations

import io

import numpy as np
from tasks import Job

from .base import Array, Implementation, One, each


def _pillow(job: Job, draft: bool = False) -> One:
    from PIL import Image

    resample = Image.Resampling[job.interpolation.upper()]

    def one(data: bytes) -> Array:
        image = Image.open(io.BytesIO(data))
        if job.decode_only:
            return np.asarray(image.convert("RGB"))
        height, width = job.resized(image.height, image.width)
        if draft:  # libjpeg decodes at 1/2, 1/4 or 1/8, never below the resized size
            image.draft("RGB", (width, height))
        resized = image.convert("RGB").resize((width, height), resample)
        return np.asarray(resized.crop(job.window(height, width)))

    return one


ALL = (
    Implementation("pillow", "Pillow, uint8 only", each(_pillow, pixels=True)),
    Implementation(
        *("pillow-draft", "Pillow draft mode, uint8 only", each(_pillow, pixels=True, draft=True)),
        does=lambda job: job.scaled_decode,
    ),
)
