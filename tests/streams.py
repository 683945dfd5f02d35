"""JPEG streams made on the spot, so that exactness is shown without any file."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

ORIENTATION = 0x0112
FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0..SOF15


def picture(mode: str, width: int, height: int, seed: int = 0) -> Image.Image:
    """Gradients, edges and noise, different in every channel."""
    rng = np.random.default_rng([seed, width, height])
    y, x = np.mgrid[:height, :width]
    planes = []
    for band in range(len(Image.new(mode, (1, 1)).getbands())):
        wave = 127 + 90 * np.sin(x / (5 + 3 * band) + y / (11 - 2 * band))
        edges = 60 * ((x // 13 + y // (7 + band)) % 2)
        planes.append(np.clip(wave + edges + rng.normal(0, 14, (height, width)), 0, 255).astype(np.uint8))
    return Image.merge(mode, [Image.fromarray(p) for p in planes])


def encode(image: Image.Image, **options: Any) -> bytes:
    """`image` as a JPEG stream; `orientation` (1..8) writes an EXIF block."""
    orientation = options.pop("orientation", None)
    if orientation is not None:
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        options["exif"] = exif
    out = io.BytesIO()
    image.save(out, "JPEG", **options)
    return out.getvalue()


def laborious(scans: int = 20_000) -> bytes:
    """A progressive stream that takes many seconds: its last scan over and over, with nothing in it."""
    stream = encode(picture("L", 1200, 1200), progressive=True, quality=60)
    last = stream.rindex(b"\xff\xda")
    length = int.from_bytes(stream[last + 2 : last + 4], "big")
    return stream[:-2] + stream[last : last + 2 + length] * scans + stream[-2:]


def patient(side: int = 8192) -> bytes:
    """A progressive stream that takes many seconds and breaks no rule: every bit of every coefficient, all zero.

    A DC scan, then each AC coefficient's bits from the highest down, a scan each (T.81 G.1.1.1), whose blocks end
    together in runs of about 32,000 (EOB14).
    """
    blocks = (side // 8) ** 2
    small = encode(Image.new("L", (8, 8)), progressive=True)
    head = resized_frame(small[: small.index(b"\xff\xc4")], side, side)

    def table(slot: int, symbol: int) -> bytes:  # of one symbol, whose code is 0
        return b"\xff\xc4" + struct.pack(">HB16BB", 20, slot, 1, *[0] * 15, symbol)

    def scan(first: int, bits: int, data: str) -> bytes:
        padded = data + "1" * (-len(data) % 8)
        coded = int(padded, 2).to_bytes(len(padded) // 8, "big").replace(b"\xff", b"\xff\0")
        return b"\xff\xda" + struct.pack(">H6B", 8, 1, 1, 0, first, first, bits) + coded

    count = -(-blocks // 32767)
    runs = [blocks // count + (i < blocks % count) for i in range(count)]
    ends = "".join(f"0{run - (1 << 14):014b}" for run in runs)
    refined = [(low + 1 if low < 13 else 0) << 4 | low for low in range(13, -1, -1)]
    scans = b"".join(scan(k, bits, ends) for k in range(1, 64) for bits in refined)
    return head + table(0, 0) + scan(0, 0, "0" * blocks) + table(0x10, 0xE0) + scans + b"\xff\xd9"


def segments(stream: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, begin, end) of each segment up to and including the first SOS; `begin` is the 0xFF."""
    at = 2
    while True:
        marker, length = stream[at + 1], struct.unpack_from(">H", stream, at + 2)[0]
        yield marker, at, at + 2 + length
        if marker == 0xDA:
            return
        at += 2 + length


def frame(stream: bytes) -> int:
    """Offset of the frame header's (SOF's) 0xFF."""
    return next(begin for marker, begin, _ in segments(stream) if marker in FRAME_MARKERS)


def patched(stream: bytes, offset: int, value: bytes) -> bytes:
    """`stream` with some bytes replaced."""
    return stream[:offset] + value + stream[offset + len(value) :]


def resized_frame(stream: bytes, width: int, height: int) -> bytes:
    """The same entropy-coded data under a header that claims another size."""
    return patched(stream, frame(stream) + 5, struct.pack(">HH", height, width))


def adobe_transform(stream: bytes, transform: int) -> bytes:
    """Changes the Adobe marker's colour transform: 0 RGB or CMYK, 1 YCbCr, 2 YCCK."""
    return patched(stream, stream.index(b"Adobe") + 11, bytes([transform]))


def arithmetic(stream: bytes) -> bytes:
    """The same data under a frame header of arithmetic coding, to which any bits are a picture, here of noise."""
    at = frame(stream) + 1
    return patched(stream, at, bytes([{0xC0: 0xC9, 0xC2: 0xCA}[stream[at]]]))


def luma_sampling(stream: bytes, horizontal: int, vertical: int) -> bytes:
    """Changes the first component's sampling factors.

    Legal where an MCU keeps its number of blocks and the image its number of MCUs, as from 2x2 to
    4x1 at 64 x 64 pixels: the blocks then land elsewhere, but every one is still coded.
    """
    return patched(stream, frame(stream) + 11, bytes([horizontal << 4 | vertical]))


def scan_headers(stream: bytes) -> Iterator[bytes]:
    """Payloads of all SOS segments."""
    at = stream.find(b"\xff\xda")
    while at >= 0:
        (length,) = struct.unpack_from(">H", stream, at + 2)
        yield stream[at + 4 : at + 2 + length]
        at = stream.find(b"\xff\xda", at + 2)


def lacks_scans(stream: bytes) -> bool:
    """True for a progressive stream that never sends some low-frequency bits (of coefficients 0..9).

    libjpeg then smooths between blocks (jdcoefct.c, smoothing_ok).
    """
    begin = frame(stream)
    if stream[begin + 1] not in (0xC2, 0xCA):
        return False
    count = stream[begin + 9]
    missing = {stream[begin + 10 + 3 * i]: [1] * 10 for i in range(count)}
    for payload in scan_headers(stream):
        components = payload[0]
        if len(payload) < 4 + 2 * components:
            continue
        first, last, bits = payload[1 + 2 * components : 4 + 2 * components]
        for i in range(components):
            known = missing.get(payload[1 + 2 * i])
            if known is not None:
                known[first : last + 1] = [bits & 15] * len(known[first : last + 1])
    return any(any(known) for known in missing.values())


def resampled() -> Iterator[tuple[str, bytes]]:
    """Luma samplings that Pillow cannot write."""
    square = picture("RGB", 64, 64, seed=3)
    yield "440", luma_sampling(encode(square, subsampling=1), 1, 2)
    yield "411", luma_sampling(encode(square, subsampling=2), 4, 1)
    yield "1x4", luma_sampling(encode(square, subsampling=2), 1, 4)


def coloured() -> Iterator[tuple[str, bytes]]:
    """Colour spaces: gray, CMYK, YCCK, RGB, and each under the other's Adobe marker."""
    yield "gray", encode(picture("L", 83, 61))
    yield "gray-progressive", encode(picture("L", 40, 77), progressive=True)
    cmyk = encode(picture("CMYK", 57, 70), quality=85)
    yield "cmyk", cmyk
    yield "ycck", adobe_transform(cmyk, 2)
    rgb = encode(picture("RGB", 66, 45), keep_rgb=True)
    yield "rgb", rgb
    yield "rgb-as-ycc", adobe_transform(rgb, 1)


def coded() -> Iterator[tuple[str, bytes]]:
    """Ways of coding the same colours."""
    for subsampling, name in enumerate(("444", "422", "420")):
        for quality in (10, 75, 100):
            image = picture("RGB", 90 + 7 * subsampling, 75 + quality // 9, seed=quality)
            yield f"{name}-q{quality}", encode(image, subsampling=subsampling, quality=quality)
        image = picture("RGB", 111, 94, seed=9)
        yield f"{name}-progressive", encode(image, subsampling=subsampling, progressive=True)
        yield f"{name}-optimized", encode(image, subsampling=subsampling, optimize=True)
        yield f"{name}-restart", encode(image, subsampling=subsampling, restart_marker_blocks=3)
        yield (
            f"{name}-progressive-restart",
            encode(image, subsampling=subsampling, progressive=True, restart_marker_blocks=2),
        )


def shaped() -> Iterator[tuple[str, bytes]]:
    """Sizes at and around block and MCU borders, and extreme aspects."""
    for width, height in (
        (1, 1),
        (1, 2),
        (7, 8),
        (8, 7),
        (9, 17),
        (16, 16),
        (33, 31),
        (1, 300),
        (300, 1),
        (2, 500),
        (70, 3),
    ):
        yield f"{width}x{height}", encode(picture("RGB", width, height), subsampling=2)


def varied() -> list[tuple[str, bytes]]:
    """The hermetic set: (name, stream)."""
    return [*coded(), *coloured(), *resampled(), *shaped()]
