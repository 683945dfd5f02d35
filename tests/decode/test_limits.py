"""Images that ask for too much: refused by their headers, before memory is asked for."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import pytest

import fastpre
import streams
from parity import SPEC, assert_parity, record


def bomb(width: int = 65535, height: int = 65535) -> bytes:
    """A complete header that claims a huge image, in under 200 bytes."""
    quantization = b"\xff\xdb" + struct.pack(">H", 67) + b"\0" + bytes([1] * 64)
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 17, 8, height, width, 3) + b"\1\x22\0\2\x11\0\3\x11\0"
    scan = b"\xff\xda" + struct.pack(">HB", 12, 3) + b"\1\0\2\0\3\0\0\x3f\0"
    stream = b"\xff\xd8" + quantization + frame + scan + b"\x12\x34\x56\xff\xd9"
    assert len(stream) < 200
    return stream


def test_bomb_is_refused_by_its_header() -> None:
    error = record(bomb()).error
    assert type(error) is fastpre.LimitExceeded
    assert "65535x65535" in error.reason
    assert "max_pixels=178956970" in error.reason


def test_bomb_costs_no_memory() -> None:
    """The peak of the resident set, in a process of its own: 65535 x 65535 pixels would be 17 GB."""
    code = """
import resource, sys
import fastpre
def peak_kib():
    return int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1])
warm, bomb = (bytes.fromhex(line) for line in sys.stdin)
pre = fastpre.Preprocessor(fastpre.Spec(resize=32, crop=24, dtype="uint8"))
pre.dlpack([warm] * 4)
before = peak_kib()
for spec in (pre.spec, pre.spec.replace(resize=None, crop=None)):
    try:
        fastpre.Preprocessor(spec).dlpack([bomb])
    except fastpre.LimitExceeded:
        print(peak_kib() - before)
"""
    warm = streams.encode(streams.picture("RGB", 64, 64))
    lines = f"{warm.hex()}\n{bomb().hex()}\n".encode()
    run = subprocess.run([sys.executable, "-c", code], input=lines, capture_output=True, check=True, timeout=120)
    growth_kib = [int(line) for line in run.stdout.split()]
    assert len(growth_kib) == 2
    assert max(growth_kib) < 16 * 1024


def test_max_pixels(photo: bytes) -> None:
    assert record(photo, SPEC.replace(max_pixels=320 * 240)).ok
    assert type(record(photo, SPEC.replace(max_pixels=320 * 240 - 1)).error) is fastpre.LimitExceeded
    thin = streams.encode(streams.picture("L", 1, 2000))
    error = record(thin, fastpre.Spec(resize=500, crop=None, max_pixels=1_000_000)).error
    assert type(error) is fastpre.LimitExceeded


def test_max_bytes(photo: bytes, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(photo)
    for source in (photo, path):
        assert fastpre.Preprocessor(SPEC.replace(max_bytes=len(photo))).run([source]).ok
        with pytest.raises(fastpre.LimitExceeded, match=f"max_bytes={len(photo) - 1}"):
            fastpre.Preprocessor(SPEC.replace(max_bytes=len(photo) - 1))([source])


def with_many_scans(count: int) -> bytes:
    """A progressive stream whose last scan is sent over and over."""
    stream = streams.encode(streams.picture("L", 8, 8), progressive=True)
    last = stream.rindex(b"\xff\xda")
    return stream[:last] + stream[last:-2] * count + stream[-2:]


def test_many_scans_of_a_small_image() -> None:
    """Pillow has no bound for them, and they take no time."""
    stream = with_many_scans(3000)
    assert fastpre.plan(stream).header["scans"] > 3000
    assert assert_parity(stream, "3000 scans")


def test_max_work() -> None:
    """Pixels times scans: each scan walks the whole image again."""
    stream = streams.encode(streams.picture("L", 800, 640), progressive=True)
    scans = fastpre.plan(stream).header["scans"]
    work = scans * (800 * 640 + 4096)
    assert record(stream, SPEC.replace(max_work=work)).ok
    error = record(stream, SPEC.replace(max_work=work - 1)).error
    assert type(error) is fastpre.LimitExceeded
    assert f"{scans} scans of 800x640 pixels are work of {work}, over max_work={work - 1}" in error.reason


def test_max_work_by_default() -> None:
    """A small file that would take minutes is refused before memory is asked for."""
    stream = streams.resized_frame(with_many_scans(600), 13_000, 13_000)
    error = record(stream).error
    assert type(error) is fastpre.LimitExceeded
    assert "max_work=4000000000" in error.reason
    with pytest.raises(fastpre.LimitExceeded, match="max_work"):
        fastpre.plan(stream)


def hidden_scans(width: int, height: int, count: int) -> bytes:
    """Scans in the "payload" of reserved markers, which have none: libjpeg finds the next marker byte by byte."""

    def segment(marker: int, payload: bytes) -> bytes:
        return bytes([0xFF, marker]) + struct.pack(">H", len(payload) + 2) + payload

    def scan(first: int, last: int, bits: int) -> bytes:
        return segment(0xDA, bytes([1, 1, 0, first, last, bits]))

    one_code = bytes([1] + [0] * 15) + b"\0"
    stream = b"\xff\xd8" + segment(0xDB, b"\0" + bytes([1] * 64))
    stream += segment(0xC2, struct.pack(">BHHB", 8, height, width, 1) + bytes([1, 0x11, 0]))
    stream += segment(0xC4, b"\x00" + one_code) + segment(0xC4, b"\x10" + one_code) + segment(0xDD, b"\0\x40")
    body = scan(1, 63, 0x21) * count
    assert len(body) < 65_000
    return stream + scan(0, 0, 0) + bytes(4) + b"\xff\x02\xff\xff" + body.ljust(65_533, b"\0") + b"\xff\xd9"


def test_scans_that_hide() -> None:
    stream = hidden_scans(4000, 4000, 1000)
    error = record(stream).error
    assert type(error) is fastpre.LimitExceeded
    assert "max_work" in error.reason
    for side in (64, 200):  # no work to speak of
        assert_parity(hidden_scans(side, side, 1000), side)


def test_a_large_progressive_image_is_within_max_work() -> None:
    """The largest that max_pixels allows, with twice the scans of an encoder."""
    base = fastpre.plan(with_many_scans(1)).header["scans"]
    stream = streams.resized_frame(with_many_scans(20 - base + 1), 13_300, 13_300)
    assert fastpre.plan(stream).header["scans"] == 20
