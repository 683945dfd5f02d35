"""EXIF and XMP orientation as Pillow reads it, on blocks that cameras, editors and accidents write."""

from __future__ import annotations

import io
import struct

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

import fastpre
import streams

BASE = streams.encode(Image.new("L", (8, 16)))
SHORT, LONG, SIGNED_BYTE, SIGNED_SHORT, SIGNED_LONG = 3, 4, 6, 8, 9
BYTE, ASCII, UNDEFINED = 1, 2, 7
MAKE = 0x010F


def with_segments(*payloads: bytes) -> bytes:
    """The base image with APP1 segments right after SOI."""
    segments = b"".join(b"\xff\xe1" + struct.pack(">H", len(p) + 2) + p for p in payloads)
    return BASE[:2] + segments + BASE[2:]


def tiff(order: str, entries: list[tuple[int, int, int, int]], offset: int = 8, claimed: int | None = None) -> bytes:
    """An Exif payload of one directory; entries are (tag, type, count, value)."""
    out = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", offset) + bytes(offset - 8)
    out += struct.pack(order + "H", len(entries) if claimed is None else claimed)
    for tag, kind, count, value in entries:
        out += struct.pack(order + "HHI", tag, kind, count)
        out += {2: struct.pack(order + "Hxx", value), 4: struct.pack(order + "I", value)}.get(
            {SHORT: 2, SIGNED_SHORT: 2, LONG: 4, SIGNED_LONG: 4}.get(kind, 1), bytes([value, 0, 0, 0])
        )
    return b"Exif\0\0" + out + bytes(4)


def xmp(text: str) -> bytes:
    return b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta>" + text.encode() + b"</x:xmpmeta>"


def pillows(stream: bytes) -> int | None:
    """The orientation that `exif_transpose` acts on; None if Pillow raises."""
    try:
        value = Image.open(io.BytesIO(stream)).getexif().get(streams.ORIENTATION, 1)
    except Exception:
        return None
    return value if value in range(2, 9) else 1


def ours(stream: bytes) -> int:
    return fastpre.plan(stream).header["orientation"]


entries = st.tuples(
    st.sampled_from((streams.ORIENTATION, streams.ORIENTATION, MAKE)),
    st.sampled_from((SHORT, SHORT, SHORT, LONG, SIGNED_BYTE, SIGNED_SHORT, SIGNED_LONG, BYTE, ASCII, UNDEFINED)),
    st.sampled_from((1, 1, 1, 0, 2)),
    st.integers(0, 11),
)
xmp_texts = st.builds(
    lambda form, value: form.format(value),
    st.sampled_from(
        (
            'tiff:Orientation="{}"',
            "<tiff:Orientation>{}</tiff:Orientation>",
            "tiff:Orientation='{}'",
            'tiff:Orientation = "{}"',
            'exif:Orientation="{}"',
            'tiff:Orientation="" tiff:Orientation="{}"',
        )
    ),
    st.integers(0, 11),
)


@given(
    order=st.sampled_from("<>"),
    directory=st.lists(entries, max_size=4),
    offset=st.sampled_from((8, 8, 8, 10, 26)),
    claimed=st.none() | st.integers(0, 6),
    sidecar=st.none() | xmp_texts,
    sidecar_first=st.booleans(),
)
def test_any_directory(
    order: str,
    directory: list[tuple[int, int, int, int]],
    offset: int,
    claimed: int | None,
    sidecar: str | None,
    sidecar_first: bool,
) -> None:
    payloads = [tiff(order, directory, offset, claimed)]
    if sidecar is not None:
        payloads.insert(0 if sidecar_first else 1, xmp(sidecar))
    stream = with_segments(*payloads)
    want = pillows(stream)
    assume(want is not None)
    assert ours(stream) == want


@given(text=xmp_texts)
def test_xmp_alone(text: str) -> None:
    stream = with_segments(xmp(text))
    assert ours(stream) == pillows(stream)


@pytest.mark.parametrize(
    "magic", [b"II*\0", b"MM\0*", b"MM*\0", b"II\0*", b"II+\0", b"MM\0+", b"II\0\0", b"XX*\0", b"ii*\0"]
)
@pytest.mark.parametrize("sidecar", [[], [xmp('tiff:Orientation="6"')]], ids=["alone", "with XMP"])
def test_magic(magic: bytes, sidecar: list[bytes]) -> None:
    """Pillow takes either order of TIFF's 42, and finds no orientation under anything else."""
    order = "<" if magic.startswith((b"II", b"ii")) else ">"
    block = tiff(order, [(streams.ORIENTATION, SHORT, 1, 3)])
    stream = with_segments(b"Exif\0\0" + magic + block[10:], *sidecar)
    assert ours(stream) == pillows(stream)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_what_pillow_writes(orientation: int) -> None:
    assert ours(streams.encode(Image.new("RGB", (9, 5)), orientation=orientation)) == orientation


def test_no_exif() -> None:
    assert ours(BASE) == 1
    assert ours(with_segments(b"Exif\0\0")) == 1
    assert ours(with_segments(b"Exif\0\0II*\0")) == 1
