"""Broken input, and what is no JPEG: refused as Pillow refuses it."""

from __future__ import annotations

import io
import time
from typing import Any

import pytest
from PIL import Image

import fastpre
import streams
from parity import assert_parity, record


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


@pytest.mark.parametrize("before", ["frame", "scan", "end"])
def test_a_run_of_fill_bytes_takes_linear_time(before: str) -> None:
    """libjpeg starts over at its beginning whenever a block of input ends in it."""
    stream = streams.encode(streams.picture("L", 64, 64), progressive=True)
    at = {"frame": streams.frame(stream), "scan": stream.rindex(b"\xff\xda"), "end": len(stream) - 2}[before]
    start = time.process_time()
    filled = stream[:at] + b"\xff" * (48 << 20) + stream[at:]
    assert record(filled).ok
    assert time.process_time() - start < 4  # quadratic: 5 s; linear: 0.1 s


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
