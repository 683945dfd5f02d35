"""One stream beside Pillow: the same bits, or both refuse it."""

from __future__ import annotations

from typing import Any

import fastpre
from reference import assert_equal, preprocess

SMALL: dict[str, Any] = {"resize": 32, "crop": 24}
SPEC = fastpre.Spec(**SMALL)


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
