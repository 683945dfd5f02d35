"""Hostile and broken input: refused as Pillow refuses it, one image at a time, before memory is asked for."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import fastpre
import streams
from reference import assert_equal, preprocess

SMALL: dict[str, Any] = {"resize": 32, "crop": 24}
SPEC = fastpre.Spec(**SMALL)


def record(stream: bytes, spec: fastpre.Spec = SPEC) -> fastpre.ImageResult:
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


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 4}], ids=str)
def test_truncation(options: dict[str, Any]) -> None:
    """Cut at every 97th byte, and at each of the last ten."""
    stream = streams.encode(streams.picture("RGB", 150, 110), orientation=3, **options)
    cuts = [*range(0, len(stream), 97), *range(len(stream) - 10, len(stream) + 1)]
    decoded = [assert_parity(stream[:cut], cut) for cut in cuts]
    assert decoded[-1]
    assert not any(decoded[:-11])


@pytest.mark.parametrize("cut", range(0, 90, 3))
def test_truncated_tails_of_a_small_crop(cut: int) -> None:
    """What lies below the crop is looked at too: Pillow decodes the whole image."""
    stream = streams.encode(streams.picture("RGB", 64, 200))
    broken = stream[: len(stream) - 1 - cut]
    spec = fastpre.Spec(resize=None, crop=(8, 8))
    try:
        Image.open(io.BytesIO(broken)).load()
        pillow_decodes = True
    except OSError:
        pillow_decodes = False
    assert record(broken, spec).ok == pillow_decodes


def test_damaged_bytes() -> None:
    """One byte changed at a time, everywhere."""
    stream = streams.encode(streams.picture("RGB", 40, 30), quality=50)
    decoded = sum(
        assert_parity(streams.patched(stream, at, bytes([value])), (at, value))
        for at in range(2, len(stream))
        for value in (0x00, 0xFF, stream[at] ^ 0x10)
    )
    assert decoded > len(stream) // 2


def other_format(kind: str) -> bytes:
    out = io.BytesIO()
    streams.picture("RGB", 16, 16).save(out, kind)
    return out.getvalue()


@pytest.mark.parametrize(
    ("stream", "kind", "reason"),
    [
        (b"", fastpre.CorruptImage, "empty"),
        (b"\xff", fastpre.CorruptImage, "not a JPEG"),
        (b"\xff\xd8\xff", fastpre.CorruptImage, "no scan"),
        (b"hello, this is text\n" * 20, fastpre.CorruptImage, "not a JPEG"),
        (b"\xef\xbb\xbf\n <!DOCTYPE html><html>Not found</html>", fastpre.CorruptImage, "HTML"),
        (b"<?xml version='1.0'?><Error/>", fastpre.CorruptImage, "XML"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", fastpre.CorruptImage, "SVG"),
        (b' {"error": "no such image"}', fastpre.CorruptImage, "JSON"),
        (b"404 page not found", fastpre.CorruptImage, "text"),
        (b"/9j/4AAQSkZJRgABAQ", fastpre.CorruptImage, "base64"),
        (b"data:image/jpeg;base64,/9j/4AAQ", fastpre.CorruptImage, "data URL"),
        (b"%PDF-1.7\n\xe2\xe3", fastpre.CorruptImage, "PDF"),
        (b"\0\1\2\3\4\5\6\7", fastpre.CorruptImage, "no SOI"),
        (other_format("PNG"), fastpre.UnsupportedImage, "PNG"),
        (other_format("WEBP"), fastpre.UnsupportedImage, "WebP"),
        (other_format("GIF"), fastpre.UnsupportedImage, "GIF"),
        (other_format("BMP"), fastpre.UnsupportedImage, "BMP"),
        (other_format("TIFF"), fastpre.UnsupportedImage, "TIFF"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_not_a_jpeg(stream: bytes, kind: type[fastpre.ImageError], reason: str) -> None:
    error = record(stream).error
    assert type(error) is kind
    assert reason in error.reason
    with pytest.raises(kind, match=reason):
        fastpre.plan(stream)


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


@pytest.mark.parametrize("before", ["frame", "scan", "end"])
def test_a_run_of_fill_bytes_takes_linear_time(before: str) -> None:
    """libjpeg starts over at its beginning whenever a block of input ends in it."""
    stream = streams.encode(streams.picture("L", 64, 64), progressive=True)
    at = {"frame": streams.frame(stream), "scan": stream.rindex(b"\xff\xda"), "end": len(stream) - 2}[before]
    start = time.process_time()
    filled = stream[:at] + b"\xff" * (48 << 20) + stream[at:]
    assert record(filled).ok
    assert time.process_time() - start < 4  # quadratic: 5 s; linear: 0.1 s


def test_a_large_progressive_image_is_within_max_work() -> None:
    """The largest that max_pixels allows, with twice the scans of an encoder."""
    base = fastpre.plan(with_many_scans(1)).header["scans"]
    stream = streams.resized_frame(with_many_scans(20 - base + 1), 13_300, 13_300)
    assert fastpre.plan(stream).header["scans"] == 20


@pytest.mark.parametrize(("width", "height"), [(0, 10), (10, 0), (0, 0)])
def test_no_pixels(width: int, height: int) -> None:
    stream = streams.resized_frame(streams.encode(streams.picture("RGB", 16, 16)), width, height)
    assert type(record(stream).error) is fastpre.CorruptImage
    assert not assert_parity(stream, (width, height))


@pytest.mark.parametrize("components", [0, 2, 5, 255])
def test_component_counts(components: int) -> None:
    stream = streams.encode(streams.picture("RGB", 16, 16))
    broken = streams.patched(stream, streams.frame(stream) + 9, bytes([components]))
    assert type(record(broken).error) is fastpre.UnsupportedImage
    assert not assert_parity(broken, components)


@pytest.mark.parametrize("bits", [0, 1, 12, 16])
def test_sample_precision(bits: int) -> None:
    stream = streams.encode(streams.picture("RGB", 16, 16))
    broken = streams.patched(stream, streams.frame(stream) + 4, bytes([bits]))
    assert type(record(broken).error) is fastpre.UnsupportedImage
    assert not assert_parity(broken, bits)


def test_lossless_frame() -> None:
    """SOF3: libjpeg-turbo knows it since 3.0; before, it is a legal stream that this build cannot decode."""
    stream = streams.encode(streams.picture("RGB", 16, 16))
    lossless = streams.patched(stream, streams.frame(stream) + 1, b"\xc3")
    error = record(lossless).error
    assert isinstance(error, fastpre.ImageError)
    if int(fastpre._core.build_info()["libjpeg_turbo"].partition(".")[0]) < 3:
        assert type(error) is fastpre.UnsupportedImage


def test_trailing_data_is_ignored(photo: bytes) -> None:
    """Phones append video; streams that hold markers by chance must not count as scans."""
    junk = bytes(range(256)) * 4 + b"\xff\xda" * 600
    for stream in (photo, streams.encode(streams.picture("RGB", 50, 40), progressive=True)):
        assert assert_parity(stream + junk, "a trailer")


def test_missing_path(tmp_path: Path, photo: bytes) -> None:
    missing = tmp_path / "missing.jpg"
    with pytest.raises(fastpre.ImageReadError, match="No such file") as caught:
        fastpre.decode_resize_normalize([photo, missing])
    assert isinstance(caught.value, fastpre.ImageError)
    assert caught.value.index == 1
    assert caught.value.name == str(missing)
    assert str(missing) in str(caught.value)


def test_a_folder_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(fastpre.ImageError):
        fastpre.decode_resize_normalize([tmp_path])
