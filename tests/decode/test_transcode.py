"""`fastpre.transcode`: another stream, the same picture, as Pillow decodes both."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageCms, ImageOps

import corpus
import fastpre
import streams
from fastpre.transcoding import TranscodeOptions

SEQUENTIAL = {0xC0, 0xC1}
NO_LIMITS: dict[str, Any] = {"max_pixels": 1 << 40, "max_bytes": 1 << 40, "max_work": 1 << 60}


def pixels(data: bytes) -> npt.NDArray[np.uint8]:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def markers(data: bytes) -> list[int]:
    return [marker for marker, _, _ in streams.segments(data)]


@pytest.mark.parametrize("optimize", [True, False])
@pytest.mark.parametrize("restart_rows", [0, 1, 3])
@pytest.mark.parametrize(("name", "stream"), streams.varied(), ids=lambda v: v if isinstance(v, str) else "")
def test_the_pixels_are_the_same(name: str, stream: bytes, optimize: bool, restart_rows: int) -> None:
    done = fastpre.transcode(stream, optimize=optimize, restart_rows=restart_rows)
    np.testing.assert_array_equal(pixels(done), pixels(stream))
    header = fastpre.plan(done).header
    assert header["sof"] in SEQUENTIAL
    assert header["scans"] == 1
    assert header["sampling"] == fastpre.plan(stream).header["sampling"]
    rows = header["restart_interval"] / mcus_of_a_row(header)
    assert rows == restart_rows
    assert fastpre.transcode(done, optimize=optimize, restart_rows=restart_rows) == done
    if optimize:
        assert len(done) <= len(fastpre.transcode(stream, optimize=False, restart_rows=restart_rows))


def mcus_of_a_row(header: dict[str, Any]) -> int:
    h = max(h for h, _ in header["sampling"]) if header["components"] > 1 else 1
    return -(-header["width"] // (8 * h))


@pytest.mark.corpus
@pytest.mark.parametrize("name", ["natural", "small"])
def test_photographs_keep_their_pixels(corpus_root: Path, name: str) -> None:
    for entry in corpus.entries(corpus_root, name)[::8]:
        stream = entry.path.read_bytes()
        done = fastpre.transcode(stream)
        np.testing.assert_array_equal(pixels(done), pixels(stream), entry.id)


@pytest.mark.corpus
def test_odd_files_keep_their_pixels_or_are_refused(corpus_root: Path) -> None:
    """Arithmetic coding, CMYK, odd sampling, damage: what Pillow decodes is as it was, if it is taken at all."""
    kept = 0
    for entry in corpus.entries(corpus_root, "odd"):
        stream = entry.path.read_bytes()
        try:
            done = fastpre.transcode(stream, max_work=10**9)
        except fastpre.ImageError:
            continue
        try:
            want = pixels(stream)
        except OSError:  # Pillow has its own reasons
            continue
        np.testing.assert_array_equal(pixels(done), want, entry.id)
        kept += 1
    assert kept > 250


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("crop", [96, (64, 120), (500, 33), (17, 500), 1])
def test_a_crop_copies_the_pixels(subsampling: int, progressive: bool, crop: int | tuple[int, int]) -> None:
    stream = streams.encode(streams.picture("RGB", 203, 187), subsampling=subsampling, progressive=progressive)
    whole, part = pixels(stream), pixels(fastpre.transcode(stream, crop=crop))
    height, width = (crop, crop) if isinstance(crop, int) else crop
    height, width = min(height, 187), min(width, 203)
    assert part.shape == (height, width, 3)
    unit_x, unit_y = (8, 8) if subsampling == 0 else (16, 8) if subsampling == 1 else (16, 16)
    y, x = nearest(187, height, unit_y), nearest(203, width, unit_x)
    margin = min(1, subsampling)  # chroma of the outermost pixels was interpolated with what is cut away
    inside = np.s_[margin : height - margin, margin : width - margin]
    np.testing.assert_array_equal(part[inside], whole[y : y + height, x : x + width][inside])


def nearest(whole: int, kept: int, unit: int) -> int:
    """The multiple of `unit` that is nearest to where a centred crop begins, the later one of two."""
    starts = range(0, whole - kept + 1, unit)
    return min(reversed(starts), key=lambda start: abs(2 * start - (whole - kept)))


def test_a_gray_crop_begins_at_any_block() -> None:
    stream = streams.encode(streams.picture("L", 130, 90))
    part = pixels(fastpre.transcode(stream, crop=(40, 50)))
    np.testing.assert_array_equal(part, pixels(stream)[24:64, 40:90])


def annotated() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "a camera"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return streams.encode(
        streams.picture("RGB", 60, 40), exif=exif, icc_profile=profile, comment=b"a comment", xmp=b"<x:xmpmeta/>"
    )


def test_metadata() -> None:
    stream = annotated()
    with Image.open(io.BytesIO(stream)) as image:
        upright = np.asarray(ImageOps.exif_transpose(image))
        profile = image.info["icc_profile"]
    found = {}
    for metadata in ("none", "icc", "all"):
        done = fastpre.transcode(stream, metadata=metadata)
        with Image.open(io.BytesIO(done)) as image:
            info, exif = image.info, image.getexif()
            np.testing.assert_array_equal(np.asarray(ImageOps.exif_transpose(image)), upright)
        kept = {"icc": info.get("icc_profile") == profile, "comment": info.get("comment") == b"a comment"}
        found[metadata] = {**kept, "xmp": "xmp" in info, "make": exif.get(0x010F) == "a camera"}
        assert markers(done).count(0xE0) == 1  # one JFIF marker, whichever program wrote it
        assert fastpre.plan(done).header["orientation"] == exif[0x0112] == 6
    assert found == {
        "none": {"icc": False, "comment": False, "xmp": False, "make": False},
        "icc": {"icc": True, "comment": False, "xmp": False, "make": False},
        "all": {"icc": True, "comment": True, "xmp": True, "make": True},
    }


def test_an_index_of_further_pictures_goes_with_them() -> None:
    out = io.BytesIO()
    streams.picture("RGB", 40, 40).save(
        out, "MPO", save_all=True, append_images=[streams.picture("RGB", 40, 40, seed=1)]
    )
    done = fastpre.transcode(out.getvalue(), metadata="all")
    assert b"MPF\0" in out.getvalue()
    assert b"MPF\0" not in done
    np.testing.assert_array_equal(pixels(done), pixels(out.getvalue()))


def test_sources(photo: bytes, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(photo)
    want = fastpre.transcode(photo)
    for source in (path, str(path), bytearray(photo), np.frombuffer(photo, np.uint8), io.BytesIO(photo)):
        assert fastpre.transcode(source) == want
    with pytest.raises(fastpre.ImageReadError):
        fastpre.transcode(tmp_path / "gone.jpg")


def incomplete() -> bytes:
    """A progressive stream without its last scan: libjpeg smooths its blocks."""
    stream = streams.encode(streams.picture("RGB", 64, 64), progressive=True)
    at = stream.index(b"\xff\xda", stream.index(b"\xff\xda") + 2)
    assert streams.lacks_scans(stream[:at] + b"\xff\xd9")
    return stream[:at] + b"\xff\xd9"


def lossless(stream: bytes) -> bytes:
    return streams.patched(stream, streams.frame(stream) + 1, b"\xc3")


def extraneous(stream: bytes) -> bytes:
    """Bytes between the scan and EOI: a warning for libjpeg, nothing for Pillow."""
    return stream[:-2] + bytes(range(1, 41)) + stream[-2:]


@pytest.mark.parametrize(
    ("change", "error", "reason"),
    [
        (lambda s: s[: len(s) // 2], fastpre.CorruptImage, "Premature end"),
        (lambda s: s[:-2], fastpre.CorruptImage, "Premature end"),
        (extraneous, fastpre.CorruptImage, "extraneous bytes"),
        (lambda s: b"", fastpre.CorruptImage, "empty input"),
        (lambda s: b"no picture", fastpre.CorruptImage, "not a JPEG"),
        (lambda s: incomplete(), fastpre.UnsupportedImage, "lacks scans"),
        (lossless, fastpre.UnsupportedImage, "lossless"),
    ],
)
def test_what_would_not_stay_the_same_is_refused(photo: bytes, change: Any, error: type, reason: str) -> None:
    with pytest.raises(error, match=reason):
        fastpre.transcode(change(photo))


def test_limits(photo: bytes) -> None:
    with pytest.raises(fastpre.LimitExceeded, match="max_pixels=1000"):
        fastpre.transcode(photo, max_pixels=1000)
    with pytest.raises(fastpre.LimitExceeded, match="max_bytes=1000"):
        fastpre.transcode(photo, max_bytes=1000)
    with pytest.raises(fastpre.LimitExceeded, match="max_work=1000"):
        fastpre.transcode(photo, max_work=1000)
    small = fastpre.transcode(photo)
    with pytest.raises(fastpre.LimitExceeded, match=f"the result is over max_bytes={len(small)}"):
        fastpre.transcode(small, max_bytes=len(small), optimize=False)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"crop": 0}, ValueError, "crop"),
        ({"crop": (1, 2, 3)}, ValueError, "crop"),
        ({"crop": "96"}, TypeError, "crop"),
        ({"restart_rows": -1}, ValueError, "restart_rows"),
        ({"metadata": "exif"}, ValueError, "metadata must be one of none, icc, all"),
        ({"max_pixels": 0}, ValueError, "max_pixels"),
    ],
)
def test_wrong_arguments(photo: bytes, arguments: dict[str, Any], error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        fastpre.transcode(photo, **arguments)


def test_another_thread_ends_it() -> None:
    cancellation = fastpre._core.Cancellation()
    options = TranscodeOptions(None, True, 0, "none", **NO_LIMITS)
    threading.Timer(0.1, cancellation.cancel).start()
    start = time.perf_counter()
    with pytest.raises(fastpre.CancelledError):
        options.apply(streams.patient(), cancellation)
    assert time.perf_counter() - start < 3.0


def test_ctrl_c_ends_it(tmp_path: Path) -> None:
    path = tmp_path / "endless.jpg"
    path.write_bytes(streams.patient())
    code = f"""
import fastpre, os, signal, sys, threading
signal.signal(signal.SIGINT, signal.default_int_handler)
threading.Timer(0.2, os.kill, (os.getpid(), {int(signal.SIGINT)})).start()
try:
    fastpre.transcode(sys.argv[1], max_work=1 << 60)
except KeyboardInterrupt:
    print("interrupted")
"""
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "interrupted\n"
