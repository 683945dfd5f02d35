"""Small batches of every dtype, layout, filter and decoder: exact results are the CPU's, others fail alike.

On a GPU this is also what compute-sanitizer watches (`make gpu-sanitizer`); elsewhere it runs on the emulator.
"""

from __future__ import annotations

import itertools
import os
import random
import time
from typing import Any

import pytest
import torch

import fastpre
import streams
from fastpre import _core

ON_GPU = torch.cuda.is_available() and not _core.cuda_info()["missing"]
DEVICE = "cuda" if ON_GPU else "emulated"
DTYPES = ("float32", "float16", "bfloat16", "uint8")
LAYOUTS = ("contiguous_format", "channels_last")
FILTERS = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")
DECODERS = ("exact", "coefficients", *(("hardware", "hybrid") if ON_GPU else ()))
UNTIL = float(os.environ.get("FASTPRE_TESTS_UNTIL", "inf"))  # seconds since the epoch

GRID = list(itertools.product(DTYPES, LAYOUTS, FILTERS, DECODERS))
random.Random(1).shuffle(GRID)  # a run that is cut short has seen some of everything
# Colours, EXIF and orders of passes take turns.
TURNS = list(itertools.product(("RGB", "BGR", "L"), (True, False), ("adaptive", "horizontal_first"), (40, 37)))


def images() -> list[bytes]:
    def encode(width: int, height: int, mode: str = "RGB", **options: Any) -> bytes:
        return streams.encode(streams.picture(mode, width, height), **options)

    return [
        encode(90, 70, subsampling=2),
        encode(91, 71, subsampling=1),
        encode(23, 280, subsampling=0, progressive=True),
        encode(93, 70, "L"),
        encode(90, 75, "CMYK"),
        encode(97, 70, restart_marker_blocks=3),
        encode(90, 72, orientation=6),
        encode(17, 16),
        encode(333, 41, quality=97),
        encode(400, 330),  # reduced while decoding, where that is allowed
    ]


@pytest.mark.parametrize(("number", "case"), list(enumerate(GRID)), ids=["-".join(case) for case in GRID])
def test_formats(number: int, case: tuple[str, str, str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    if time.time() > UNTIL:
        pytest.skip("the time that was given is over")
    dtype, layout, interpolation, decoder = case
    color, exif, order, crop = TURNS[number % len(TURNS)]
    spec = fastpre.Spec(
        resize=crop + 3,
        crop=crop,
        interpolation=interpolation,
        dtype=dtype,
        memory_format=layout,
        color=color,
        exif_orientation=exif,
        pass_order=order,
        fidelity="exact" if decoder == "exact" else "fast",
    )
    monkeypatch.setenv("FASTPRE_CUDA_DECODER", "auto" if decoder == "exact" else decoder)
    if not ON_GPU:
        monkeypatch.setenv("FASTPRE_NVJPEG", "/no/nvjpeg")
    got = fastpre.Preprocessor(spec, DEVICE).run(images(), on_error="fill")
    expected = fastpre.Preprocessor(spec).run(images(), on_error="fill")
    assert [image.ok for image in got.images] == [image.ok for image in expected.images]
    if decoder == "exact":
        assert torch.equal(got.tensor.cpu(), expected.tensor)
