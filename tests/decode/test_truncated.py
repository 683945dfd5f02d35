"""truncated="partial": what arrived of an image, as Pillow gives it under LOAD_TRUNCATED_IMAGES."""

from __future__ import annotations

import io
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from PIL import Image, ImageFile
from torchvision import transforms

import fastpre
import streams
from fastpre import augment
from parity import OLDER_THAN_PILLOWS, PILLOWS_LIBRARIES, SMALL, assert_partial_parity, record
from pictures import MEAN, STD, photograph
from reference import assert_equal, preprocess

BLOCK = 65536
TIMEOUT_S = 120
DEVICES = ["cpu", "emulated"]

# Streams that an older libjpeg-turbo smooths otherwise are in SMOOTHED alone.
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "420": ("RGB", {"subsampling": 2}),
    "422": ("RGB", {"subsampling": 1}),
    "444": ("RGB", {"subsampling": 0}),
    "gray": ("L", {}),
    "cmyk": ("CMYK", {}),
    "rgb": ("RGB", {"keep_rgb": True}),
    "restart": ("RGB", {"restart_marker_blocks": 2}),
    "gray-restart": ("L", {"restart_marker_blocks": 1}),
    "progressive": ("RGB", {"subsampling": 0, "progressive": True}),
    "gray-progressive": ("L", {"progressive": True}),
    "cmyk-progressive": ("CMYK", {"progressive": True}),
    "progressive-restart": ("RGB", {"subsampling": 1, "progressive": True, "restart_marker_blocks": 3}),
}
SMOOTHED: dict[str, tuple[str, dict[str, Any]]] = {
    "420-progressive": ("RGB", {"subsampling": 2, "progressive": True}),
    "420-progressive-restart": ("RGB", {"subsampling": 2, "progressive": True, "restart_marker_blocks": 2}),
}


def made(kind: str, width: int, height: int, quality: int = 75) -> bytes:
    mode, options = {**KINDS, **SMOOTHED}[kind]
    return streams.encode(streams.picture(mode, width, height), quality=quality, **options)


def scan_begin(stream: bytes) -> int:
    """Offset of the first entropy-coded byte."""
    return [end for _, _, end in streams.segments(stream)][-1]


def cuts(stream: bytes, count: int, seed: int) -> list[bytes]:
    """Cut at random places behind the header, and near the end."""
    rng = random.Random(seed)
    places = [rng.randrange(scan_begin(stream), len(stream)) for _ in range(count)]
    return [stream[:at] for at in [*places, len(stream) - 2, len(stream) - 1, len(stream)]]


def truncated(images: list[fastpre.ImageResult]) -> list[bool]:
    return [image.truncated for image in images]


def check_every_byte(stream: bytes, width: int, height: int) -> None:
    """All pixels, cut behind every byte from the scan's header on, and here and there before."""
    begin = scan_begin(stream) - 14
    items = [stream[:at] for at in [*range(0, begin, 17), *range(begin, len(stream) + 1)]]
    images = assert_partial_parity(items, resize=None, crop=(height, width), dtype=torch.uint8)
    states = [(image.ok, image.truncated) for image in images]
    # Errors in the header, then parts, then, from somewhere in the last bytes on, the whole.
    assert states == sorted(states, key=[(False, False), (True, True), (True, False)].index)
    assert set(states) == {(False, False), (True, True), (True, False)}


def check_random_places(kind: str, seed: int) -> None:
    """Through resizing and cropping, normalized; and crops above, at and below the cut."""
    stream = made(kind, 170, 210)
    parts = cuts(stream, 8, seed)
    for options in (SMALL, {"resize": None, "crop": (24, 40)}, {"resize": (70, 250), "crop": (70, 30)}):
        images = assert_partial_parity(parts, **options)
        assert any(truncated(images))
        assert not images[-1].truncated


@pytest.mark.parametrize("kind", KINDS)
def test_every_byte(kind: str) -> None:
    check_every_byte(made(kind, 34, 21, quality=30), 34, 21)


@pytest.mark.parametrize("kind", KINDS)
def test_random_places(kind: str) -> None:
    check_random_places(kind, seed=1)


# One test each, so that another process can run them.
@pytest.mark.skipif(OLDER_THAN_PILLOWS, reason="libjpeg-turbo before 3.0 smooths otherwise")
@pytest.mark.parametrize("kind", SMOOTHED)
def test_smoothed_streams(kind: str) -> None:
    check_every_byte(made(kind, 34, 21, quality=30), 34, 21)
    check_random_places(kind, seed=2)


@pytest.mark.skipif(not OLDER_THAN_PILLOWS, reason="this library smooths as Pillow's does")
def test_smoothed_streams_with_pillows_library() -> None:
    """Our code is not to blame for the difference: with Pillow's own library in the process there is none."""
    found = sorted(PILLOWS_LIBRARIES.glob("libjpeg*.so*"))
    if not found:
        pytest.skip("this Pillow is no wheel that brings its libraries")
    preloaded = " ".join(filter(None, [os.environ.get("LD_PRELOAD"), str(found[0])]))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k", "test_smoothed_streams"]
    done = subprocess.run(
        command, env={**os.environ, "LD_PRELOAD": preloaded}, capture_output=True, text=True, timeout=TIMEOUT_S
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert f"{len(SMOOTHED)} passed, 1 skipped" in done.stdout


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_arithmetic_coding(mode: str, progressive: bool) -> None:
    """Its decoder cannot wait for more bytes, so that it breaks off: black, where others give gray."""
    options = {"progressive": progressive, "subsampling": 0} if mode == "RGB" else {"progressive": progressive}
    stream = streams.arithmetic(streams.encode(streams.picture(mode, 60, 44), **options))
    images = assert_partial_parity(cuts(stream, 40, seed=3), resize=None, crop=(44, 60), dtype=torch.uint8)
    assert any(truncated(images))
    assert not images[-1].truncated


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    "options",
    [
        {"interpolation": "bicubic", "color": "BGR"},
        {"color": "L", "mean_std": ((0.4,), (0.2,))},
        {"exif_orientation": True, "dtype": torch.float16},
        {"resize": None, "crop": (60, 130), "exif_orientation": True},
        {"interpolation": "nearest", "dtype": torch.uint8},
    ],
    ids=str,
)
def test_the_whole_pipeline(device: str, options: dict[str, Any]) -> None:
    items = [part for kind in KINDS for part in cuts(made(kind, 120, 90), 2, seed=len(kind))]
    turned = streams.encode(streams.picture("RGB", 120, 90), orientation=6)
    images = assert_partial_parity([*items, *cuts(turned, 4, seed=4)], device=device, **{**SMALL, **options})
    assert {image.decoder for image in images} == {"fastpre", "libjpeg-turbo"}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("progressive", [False, True])
def test_damage(device: str, progressive: bool) -> None:
    """Not cut, but broken: one byte changed at a time. What is an error in the header stays one."""
    stream = streams.encode(streams.picture("RGB", 32, 24), quality=40, subsampling=0, progressive=progressive)
    rng = random.Random(5)
    places = rng.sample(range(2, len(stream)), 150)
    items = [streams.patched(stream, at, bytes([rng.choice((0x00, 0xFF, stream[at] ^ 0x10))])) for at in places]
    images = assert_partial_parity(items, device=device, **SMALL)
    assert {(image.ok, image.truncated) for image in images} == {(True, False), (True, True), (False, False)}


def test_every_byte_changed() -> None:
    stream = streams.encode(streams.picture("RGB", 20, 17), quality=30, subsampling=0)
    items = [streams.patched(stream, at, bytes([0xFF - value])) for at, value in enumerate(stream)]
    images = assert_partial_parity(items, resize=None, crop=(17, 20), dtype=torch.uint8)
    assert any(truncated(images))


def between_scans() -> Iterator[tuple[str, bytes]]:
    """Ends that are no end of coded data."""
    stream = streams.encode(streams.picture("L", 40, 40), progressive=True)
    last = stream.rindex(b"\xff\xda")
    yield "before a scan", stream[:last]
    for count in range(1, 10):
        yield f"{count} bytes into a scan's header", stream[: last + count]
    comment = b"\xff\xfe\x00\x40"
    # The EOI that Pillow makes up is skipped as part of the comment, so that all is lost.
    yield "inside a comment", stream[:last] + comment + b"x" * 10
    yield "at the last byte but two of a comment", stream[:last] + comment + b"x" * 60
    yield "at the end of a comment", stream[:last] + comment + b"x" * 62
    for marker in (0xC4, 0xDB, 0xDD, 0xDA, 0xE1, 0xC0, 0xC2):
        for length in (b"", b"\x00", b"\x00\x04", b"\x10\x00"):
            yield f"inside FF{marker:X}{length.hex()}", stream[:last] + bytes([0xFF, marker]) + length
    yield "fill bytes", stream[:last] + b"\xff" * 300
    yield "an escaped byte", stream[:-2] + b"\xff\x00"
    yield "half a marker", stream[:-1]
    yield "a restart marker", stream[:-2] + b"\xff\xd0"
    yield "a second stream", stream[:-2] + stream
    yield "zeros", stream[:last] + bytes(500)
    yield "nothing but zeros", stream[: scan_begin(stream)] + bytes(70_000)


def test_ends_between_scans() -> None:
    items = [stream for _, stream in between_scans()]
    assert all(truncated(assert_partial_parity(items, resize=None, crop=(40, 40), dtype=torch.uint8)))


@pytest.mark.parametrize("kind", ["420", "progressive", "restart"])
def test_around_the_ends_of_blocks(kind: str) -> None:
    """Pillow hands over 64 KB at a time, and the EOI that it makes up after the last block."""
    stream = made(kind, 300, 300, quality=97)
    assert len(stream) > BLOCK + 600
    items = [stream[: BLOCK + shift] for shift in (-600, -3, -2, -1, 0, 1, 2, 3, 600)]
    images = assert_partial_parity(items, resize=None, crop=(300, 300), dtype=torch.uint8)
    assert all(truncated(images))


def test_header_errors_stay_errors(photo: bytes) -> None:
    """The same as without the option, for what is no image at all too."""
    spec = fastpre.Spec(truncated="partial")
    for stream in (b"", b"\xff\xd8\xff", photo[: scan_begin(photo) - 1], b"not a JPEG", photo[:300]):
        error, partial = record(stream, fastpre.Spec()).error, record(stream, spec).error
        assert type(partial) is type(error) is fastpre.CorruptImage
        assert str(partial) == str(error)


def test_limits_stay_limits() -> None:
    stream = streams.laborious(300)
    spec = fastpre.Spec(truncated="partial", max_work=20_000_000)
    assert isinstance(record(stream, spec).error, fastpre.LimitExceeded)
    assert isinstance(record(stream[:-9], spec).error, fastpre.LimitExceeded)


def test_an_error_is_the_default(photo: bytes) -> None:
    assert fastpre.Spec().truncated == "error"
    image = record(photo[: len(photo) // 2], fastpre.Spec())
    assert isinstance(image.error, fastpre.CorruptImage)
    assert not image.truncated


def test_complete_streams_keep_their_decoder(photo: bytes) -> None:
    for stream in (photo, streams.encode(streams.picture("L", 99, 50))):
        partial = fastpre.Preprocessor(fastpre.Spec(truncated="partial")).run([stream])
        assert partial.images[0].decoder == "fastpre"
        assert not partial.images[0].truncated
        assert torch.equal(partial.tensor, fastpre.Preprocessor(fastpre.Spec())([stream]))


@pytest.mark.parametrize("device", DEVICES)
def test_a_crop_above_the_cut(device: str) -> None:
    """Its pixels are the whole image's; that the stream is truncated below them is known in exact fidelity alone."""
    stream = streams.encode(streams.picture("RGB", 64, 400), quality=80)
    cut = stream[: scan_begin(stream) + (len(stream) - scan_begin(stream)) * 3 // 4]
    options: dict[str, Any] = {"resize": None, "crop": (16, 64), "dtype": torch.uint8}
    (image,) = assert_partial_parity([cut], device=device, **options)
    assert image.truncated
    assert_equal(
        fastpre.Preprocessor(fastpre.Spec(truncated="partial", **options), device)([cut])[0],
        preprocess(stream, **options),
    )
    fast = fastpre.Spec(truncated="partial", fidelity="fast", **options)
    result = fastpre.Preprocessor(fast).run([cut])
    assert not result.images[0].truncated
    assert_equal(result.tensor[0], preprocess(stream, **options))


@pytest.mark.parametrize("device", DEVICES)
def test_fast_fidelity_is_exact_where_the_image_is_truncated(device: str) -> None:
    stream = streams.encode(streams.picture("RGB", 900, 700))
    exact, fast = (fastpre.Spec(**SMALL, truncated="partial", fidelity=f) for f in ("exact", "fast"))
    parts = cuts(stream, 5, seed=7)[:-3]
    result = fastpre.Preprocessor(fast, device).run(parts)
    assert all(truncated(result.images))
    assert torch.equal(result.tensor, fastpre.Preprocessor(exact)(parts))
    whole = fastpre.Preprocessor(fast).run([stream])
    assert whole.images[0].decoder == "fastpre"
    assert not torch.equal(whole.tensor, fastpre.Preprocessor(exact)([stream]))  # reduced


@pytest.mark.parametrize("threads", [1, 4])
def test_a_large_image_on_several_threads(threads: int) -> None:
    stream = streams.encode(streams.picture("RGB", 1900, 1400), quality=85)
    cut = stream[: len(stream) // 3]
    spec = fastpre.Spec(truncated="partial")
    result = fastpre.Preprocessor(spec, num_threads=threads).run([stream, cut])
    assert truncated(result.images) == [False, True]
    (image,) = assert_partial_parity([cut], resize=256, crop=224)
    assert image.declined == result.images[1].declined != ""


def test_random_crops_of_truncated_images(monkeypatch: pytest.MonkeyPatch) -> None:
    data = photograph(400, 300, seed=5)
    data = data[: len(data) // 2]
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    for seed in range(12):
        steps = [transforms.RandomResizedCrop(48), transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
        torch.manual_seed(seed)
        want = transforms.Compose(steps)(Image.open(io.BytesIO(data)).convert("RGB"))
        torch.manual_seed(seed)
        pre = fastpre.Preprocessor(fastpre.Spec(truncated="partial"))
        assert_equal(pre([data], augment=augment.RandomResizedCrop(48))[0], want, seed)
