"""Pillow hands a file to libjpeg in blocks of 64 KB, and where they end shows on damaged streams."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

import fastpre
import streams
from reference import assert_equal, preprocess

BLOCK = 65536
SPEC = fastpre.Spec(resize=32, crop=32)


def padded(stream: bytes, scan_ends_at: int) -> bytes:
    """`stream` with a comment that puts the end of its data, EOI not counted, at an offset."""
    missing = scan_ends_at - (len(stream) - 2)
    parts = []
    while missing > 0:
        size = min(missing, 65000)
        if 0 < missing - size < 4:
            size -= 4
        parts.append(b"\xff\xfe" + (size - 2).to_bytes(2, "big") + b"x" * (size - 4))
        missing -= size
    return stream[:2] + b"".join(parts) + stream[2:]


def same_verdict(stream: bytes) -> bool:
    """True if Pillow decodes it; fails unless fastpre does the same."""
    try:
        want = preprocess(stream, resize=32, crop=32)
    except Exception:
        with pytest.raises(fastpre.ImageError):
            fastpre.Preprocessor(SPEC, num_threads=1)([stream])
        return False
    assert_equal(fastpre.Preprocessor(SPEC, num_threads=1)([stream])[0], want, len(stream))
    return True


@pytest.mark.parametrize("before", range(4))
@pytest.mark.parametrize("stray", [b"\xff\x02", b"\xff\xc0", b"\x00\x00", b"\xff\xd8"], ids=bytes.hex)
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_what_follows_the_data_near_the_end_of_a_block(mode: str, stray: bytes, before: int) -> None:
    """What lies behind the block in which the last row is done is never seen."""
    stream = streams.encode(streams.picture(mode, 2, 2))
    body = padded(stream, BLOCK - before)[:-2]
    assert len(body) == BLOCK - before
    same_verdict(body + b"a" * 300 + stray + b"b" * 400 + b"\xff\xd9")


def test_an_invalid_marker_in_the_next_block_is_not_seen() -> None:
    stream = streams.encode(streams.picture("L", 2, 2))
    body = padded(stream, BLOCK - 1)[:-2]
    assert same_verdict(body + b"a" * 700 + b"\xff\x02" + b"\xff\xd9")


@pytest.mark.parametrize("seed", range(6))
def test_a_fill_byte_near_the_end_of_a_block(seed: int) -> None:
    """libjpeg's two Huffman decoders treat FF FF 00 differently; which one runs depends on where the block ends."""
    pixels = np.random.default_rng(seed).integers(0, 256, (400, 400, 3), dtype=np.uint8)
    stream = streams.encode(Image.fromarray(pixels), quality=95)
    found = 0
    for end in (BLOCK, 2 * BLOCK):
        at = stream.find(b"\xff\x00", end - 3000)
        while 0 <= at < end + 200:
            same_verdict(stream[:at] + b"\xff" + stream[at:])
            found += 1
            at = stream.find(b"\xff\x00", at + 1)
    assert found > 3


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 7}], ids=str)
@pytest.mark.parametrize("shift", [0, 1, 2, 500])
def test_damage_and_truncation_around_the_ends_of_blocks(options: dict[str, object], shift: int) -> None:
    pixels = np.random.default_rng(6).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    stream = streams.encode(Image.fromarray(pixels), quality=90, **options)
    assert len(stream) > BLOCK
    for at in (BLOCK - 1 - shift, BLOCK + shift):
        same_verdict(stream[:at])
        for value in (0x00, 0xFF, 0xD9):
            same_verdict(streams.patched(stream, at, bytes([value])))


def test_pillow_is_handed_blocks_of_this_size() -> None:
    """The constant that all of this stands on."""
    from PIL import ImageFile

    assert ImageFile.MAXBLOCK == BLOCK
    assert Image.open(io.BytesIO(streams.encode(Image.new("L", (2, 2))))).decodermaxblock == BLOCK  # type: ignore[attr-defined]
