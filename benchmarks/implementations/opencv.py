"""OpenCV, alone and after simplejpeg's decoder (libjpeg-turbo). INTER_LINEAR and INTER_CUBIC do not antialias."""

from __future__ import annotations

import numpy as np
from tasks import MEAN, STD, Job

from .base import Array, Implementation, One, each, needs


def _opencv(job: Job, decoder: str = "opencv", area: bool = False) -> One:
    """`decoder`: "opencv", "simplejpeg", or "scaled": simplejpeg with libjpeg-turbo's DCT scaling."""
    import cv2

    cv2.setNumThreads(1)
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    by_name = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}
    resample = cv2.INTER_AREA if area else by_name[job.interpolation]  # the one that averages over all source pixels
    scale = np.array([1 / (255 * s) for s in STD], np.float32)[:, None, None]
    shift = np.array([m / s for m, s in zip(MEAN, STD, strict=True)], np.float32)[:, None, None]

    def decode(data: bytes) -> Array:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags)

    if decoder != "opencv":
        import simplejpeg

        least = {"min_height": job.resize, "min_width": job.resize, "min_factor": 1} if decoder == "scaled" else {}

        def decode(data: bytes) -> Array:
            return simplejpeg.decode_jpeg(data, "RGB", **least)

    if job.decode_only:
        return decode

    def one(data: bytes) -> Array:
        image = decode(data)
        height, width = image.shape[:2] if decoder != "scaled" else simplejpeg.decode_jpeg_header(data)[:2]
        height, width = job.resized(height, width)
        image = cv2.resize(image, (width, height), interpolation=resample)
        left, top, right, bottom = job.window(height, width)
        pixels = image[top:bottom, left:right].transpose(2, 0, 1)
        result = np.multiply(pixels, scale, dtype=np.float32, order="C")
        result -= shift
        return result

    return one


OPENCV = needs(("cv2", "opencv-python-headless"))
BOTH = needs(("simplejpeg", "simplejpeg"), ("cv2", "opencv-python-headless"))

ALL = (
    Implementation("opencv", "OpenCV", each(_opencv), missing=OPENCV),
    Implementation(
        *("opencv-area", "OpenCV, INTER_AREA", each(_opencv, area=True)),
        missing=OPENCV,
        does=lambda job: not job.decode_only and job.interpolation == "bilinear",
    ),
    Implementation(
        *("simplejpeg", "simplejpeg (libjpeg-turbo)", each(_opencv, decoder="simplejpeg")),
        missing=BOTH,
        does=lambda job: job.decode_only,
    ),
    Implementation(
        *("simplejpeg-opencv", "simplejpeg + OpenCV", each(_opencv, decoder="simplejpeg")),
        missing=BOTH,
        does=lambda job: not job.decode_only,
    ),
    Implementation(
        *("simplejpeg-scaled", "simplejpeg, DCT scaling + OpenCV", each(_opencv, decoder="scaled")),
        missing=BOTH,
        does=lambda job: job.scaled_decode,
    ),
)
