"""Failures leave nothing behind: neither memory nor the pixels of earlier images."""

from __future__ import annotations

import ctypes
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import corpus
import fastpre
import streams

PAGE_BYTES = 4096
# Free blocks are given back before each measurement, but fragments of a page stay; a leak of 1 KiB
# in each of the 4 x 2,000 images of a measurement would show as 8 MiB.
TOLERANCE_BYTES = 4 << 20


def resident_bytes() -> int:
    """The resident set, without what glibc's allocator keeps for later."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES


def mutations(count: int) -> list[bytes]:
    """Streams with truncations, damaged bytes and removed stretches; about half are refused."""
    rng = random.Random(1)
    originals = [stream for _, stream in streams.varied()]
    broken = []
    for i in range(count):
        stream = bytearray(originals[i % len(originals)])
        match i % 3:
            case 0:
                del stream[rng.randrange(2, len(stream)) :]
            case 1:
                for _ in range(5):
                    stream[rng.randrange(2, len(stream))] = rng.randrange(256)
            case 2:
                begin = rng.randrange(2, len(stream))
                del stream[begin : begin + rng.randrange(1, 60)]
        broken.append(bytes(stream))
    return broken


def corrupt_streams() -> list[bytes]:
    root = corpus.root()
    if root is None:
        return mutations(2000)
    return [entry.path.read_bytes() for entry in corpus.entries(root, "corrupt")]


@pytest.mark.parametrize("threads", [1, 3])
def test_failures_leak_nothing(threads: int) -> None:
    batches = np.array_split(np.array(corrupt_streams(), dtype=object), 8)
    pre = fastpre.Preprocessor(fastpre.Spec(resize=32, crop=24), num_threads=threads)
    out = [torch.empty(len(batch), 3, 24, 24) for batch in batches]
    failed = 0

    def one_round() -> None:
        nonlocal failed
        for batch, slots in zip(batches, out, strict=True):
            failed += len(pre.run(list(batch), on_error="fill", out=slots).errors)

    for _ in range(3):  # pools, arenas and scratch buffers find their size
        one_round()
    growths = []
    for _ in range(3):  # a pool thread that has its first image takes scratch memory, once; a leak is in each
        before = resident_bytes()
        for _ in range(4):
            one_round()
        growths.append(resident_bytes() - before)
    assert failed > 1000
    assert min(growths) < TOLERANCE_BYTES


def test_exceptions_and_records_leak_nothing(photo: bytes) -> None:
    pre = fastpre.Preprocessor(fastpre.Spec(resize=32, crop=24), num_threads=1)

    def one_round() -> None:
        for _ in range(1500):
            with pytest.raises(fastpre.CorruptImage):
                pre([photo[:900]])
            with pytest.raises(TypeError):
                pre([photo, 7])
            with pytest.raises(fastpre.UnsupportedImage):
                fastpre.plan(b"\x89PNG")

    one_round()
    before = resident_bytes()
    one_round()
    one_round()
    assert resident_bytes() - before < TOLERANCE_BYTES


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("progressive", [True, False])
def test_a_giant_is_not_kept(threads: int, progressive: bool, photo: bytes) -> None:
    """A progressive image's coefficients take 90 MB here; idle workers must not sit on them.

    glibc keeps what was freed at the top of a helper thread's arena, up to its largest mmap threshold.
    """
    giant = streams.encode(Image.new("RGB", (6000, 5000)), progressive=progressive)
    pre = fastpre.Preprocessor(fastpre.Spec(resize=None, crop=64), num_threads=threads)
    pre([photo] * 12)
    before = resident_bytes()
    pre([giant] * threads)
    assert resident_bytes() - before < (16 << 20) + (threads - 1) * (32 << 20)


WHITE = streams.encode(Image.new("RGB", (64, 64), "white"), quality=100)
BROKEN: dict[str, bytes] = {
    "truncated": streams.encode(streams.picture("RGB", 64, 64))[:1500],
    "truncated progressive": streams.encode(streams.picture("RGB", 64, 64), progressive=True)[:1200],
    "no image": b"nothing",
}


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8"])
@pytest.mark.parametrize("options", [{"resize": 32, "crop": 24}, {"resize": None, "crop": (90, 40)}], ids=str)
def test_no_stale_pixels(kind: str, dtype: str, options: dict[str, Any]) -> None:
    """After a white image, a failed one's slot holds the fill value and nothing else, reused memory or not."""
    pre = fastpre.Preprocessor(fastpre.Spec(mean=None, std=None, dtype=dtype, **options), num_threads=1)
    out = pre([WHITE])
    for target in (out, None):
        result = pre.run([BROKEN[kind]], out=target, on_error="fill", fill=3)
        assert not result.images[0].ok
        assert (result.tensor == 3).all()
    out = pre([WHITE])
    with pytest.raises(fastpre.ImageError):
        pre([BROKEN[kind]], out=out)
    assert (out == 0).all()


def test_earlier_tables_are_forgotten() -> None:
    """A stream without tables must not decode with those of the image before it."""
    stream = streams.encode(streams.picture("RGB", 48, 48))
    headless = bytearray(stream[:2])
    for marker, begin, end in streams.segments(stream):
        if marker != 0xC4:  # DHT
            headless += stream[begin:end]
        last = end
    headless += stream[last:]
    pre = fastpre.Preprocessor(fastpre.Spec(resize=None, crop=48, dtype="uint8"), num_threads=1)
    alone = pre.run([bytes(headless)], on_error="fill")
    pre([stream])
    after = pre.run([bytes(headless)], on_error="fill")
    assert torch.equal(alone.tensor, after.tensor)
    assert repr(alone.images[0].error) == repr(after.images[0].error)
