"""Every instruction set gives the same bits, and the one that was asked for is the one that ran."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from typing import Any

import pytest
import torch

import fastpre
import streams

TARGETS = fastpre._core.targets()

pytestmark = pytest.mark.usefixtures("restore_target")

SPECS: list[dict[str, Any]] = [
    {"resize": 64, "crop": 56},
    {"resize": (31, 77), "crop": None, "interpolation": "lanczos"},
    {"resize": (150, 9), "crop": (120, 9), "interpolation": "bicubic"},
    {"resize": None, "crop": (33, 130)},
    {"resize": (3, 5), "crop": None, "interpolation": "hamming", "color": "L"},
    {"resize": (90, 91), "crop": 87, "interpolation": "box", "color": "BGR", "exif_orientation": True},
    {"resize": (20, 21), "crop": None, "interpolation": "nearest", "rescale": "multiply"},
    {"resize": 50, "crop": 48, "mean": (0.1, -3.0, 1e-3), "std": (7.0, 1e-3, 0.3)},
]
IMAGES = [
    streams.encode(streams.picture("RGB", 203, 151), subsampling=2),
    streams.encode(streams.picture("RGB", 61, 260), subsampling=1, orientation=6),
    streams.encode(streams.picture("CMYK", 40, 37)),
    streams.encode(streams.picture("L", 5, 9)),
]


def results(target: str) -> list[torch.Tensor]:
    fastpre._core.set_target(target)
    tensors = []
    for options, dtype, memory_format in itertools.product(
        SPECS, ("float32", "float16", "bfloat16", "uint8"), ("contiguous_format", "channels_last")
    ):
        pre = fastpre.Preprocessor(fastpre.Spec(dtype=dtype, memory_format=memory_format, **options), num_threads=1)
        for image in IMAGES:
            if pre.spec.output_size is None and fastpre.plan(image, pre.spec).output[1] > 4000:
                continue
            run = pre.run([image])
            assert run.images[0].target == target
            tensors.append(run.tensor)
    return tensors


def test_there_is_something_to_compare() -> None:
    assert TARGETS[-1] == "SCALAR"
    assert len(set(TARGETS)) == len(TARGETS) > 1


@pytest.mark.parametrize("target", TARGETS[:-1])
def test_same_bits_as_scalar(target: str) -> None:
    got, want = results(target), results("SCALAR")
    assert len(got) == len(want) == len(SPECS) * 8 * len(IMAGES)
    assert all(torch.equal(a, b) for a, b in zip(got, want, strict=True))


@pytest.mark.parametrize("target", TARGETS[:-1])
def test_every_width(target: str) -> None:
    """Widths around every vector length: what is left over goes through other code."""
    stream = streams.encode(streams.picture("RGB", 140, 20))
    for width in range(1, 135):
        specs = [fastpre.Spec(resize=(6, width), crop=None, dtype=d) for d in ("float32", "uint8")]
        for spec in specs:
            fastpre._core.set_target(target)
            got = fastpre.Preprocessor(spec, num_threads=1)([stream])
            fastpre._core.set_target("SCALAR")
            assert torch.equal(got, fastpre.Preprocessor(spec, num_threads=1)([stream])), width


@pytest.mark.parametrize("target", TARGETS)
def test_environment_variable(target: str) -> None:
    code = (
        "import sys, fastpre; result = fastpre.Preprocessor().run([sys.stdin.buffer.read()]);"
        "print(fastpre._core.active_target(), result.images[0].target)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        input=IMAGES[0],
        env=os.environ | {"FASTPRE_TARGET": target},
        capture_output=True,
        check=True,
        timeout=120,
    )
    assert run.stdout.decode().split() == [target, target]


def test_unknown_target_in_the_environment() -> None:
    """Never another one in silence."""
    code = "import fastpre; fastpre._core.active_target()"
    environment = os.environ | {"FASTPRE_TARGET": "NO_SUCH_TARGET"}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False, timeout=120)
    assert run.returncode != 0
    assert b"FASTPRE_TARGET=NO_SUCH_TARGET is not available" in run.stderr
    assert ", ".join(fastpre._core.targets()).encode() in run.stderr


def test_unknown_target() -> None:
    before = fastpre._core.active_target()
    with pytest.raises(ValueError, match="NO_SUCH_TARGET"):
        fastpre._core.set_target("NO_SUCH_TARGET")
    assert fastpre._core.active_target() == before


def test_best_target_is_the_default() -> None:
    fastpre._core.set_target("SCALAR")
    fastpre._core.set_target("")
    assert fastpre._core.active_target() == TARGETS[0]
