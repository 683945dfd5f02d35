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


def long_entry(tag: int, kind: int, count: int, offset: int) -> bytes:
    """A big-endian entry whose values lie elsewhere."""
    return struct.pack(">HHII", tag, kind, count, offset)


def short_entry(value: int) -> bytes:
    return struct.pack(">HHIHxx", streams.ORIENTATION, SHORT, 1, value)


def directory(*entries: bytes, after: bytes = bytes(4)) -> bytes:
    block = b"MM\0*" + struct.pack(">IH", 8, len(entries)) + b"".join(entries) + after
    return with_segments(b"Exif\0\0" + block)


@pytest.mark.parametrize(
    ("entries", "after"),
    [
        # A tag that cannot be read ends the directory: it has what came before.
        ([long_entry(MAKE, ASCII, 20, 5000), short_entry(6)], bytes(40)),
        ([short_entry(6), long_entry(MAKE, ASCII, 20, 5000)], bytes(40)),
        ([long_entry(MAKE, ASCII, 20, 30), short_entry(6)], bytes(40)),
        # One that claims more than there is is passed over, and so are all later ones that lie elsewhere.
        ([long_entry(streams.ORIENTATION, SHORT, 2**31, 30), short_entry(6)], bytes(40)),
        ([long_entry(MAKE, ASCII, 5000, 30), short_entry(6)], bytes(40)),
        ([long_entry(MAKE, ASCII, 60, 10), long_entry(MAKE + 1, ASCII, 60, 5000), short_entry(8)], bytes(4)),
        # The first that can be read counts.
        ([short_entry(3), short_entry(6)], bytes(4)),
        ([long_entry(streams.ORIENTATION, SHORT, 3, 40), short_entry(6)], bytes(40)),
    ],
    ids=range(8),
)
def test_tags_that_lie_elsewhere(entries: list[bytes], after: bytes) -> None:
    stream = directory(*entries, after=after)
    assert ours(stream) == pillows(stream)


@given(
    cut=st.integers(0, 400),
    entries=st.lists(
        st.builds(
            long_entry,
            st.sampled_from((MAKE, MAKE + 1, 0x0132)),
            st.sampled_from((ASCII, SHORT, 5)),
            st.integers(0, 70),
            st.integers(0, 300),
        )
        | st.builds(short_entry, st.integers(1, 8)),
        max_size=6,
    ),
)
def test_blocks_that_are_cut_short(cut: int, entries: list[bytes]) -> None:
    """What a transfer that broke off, or an editor that did not know the block, leaves."""
    block = b"MM\0*" + struct.pack(">IH", 8, len(entries)) + b"".join(entries) + bytes(150)
    stream = with_segments(b"Exif\0\0" + block[:cut])
    want = pillows(stream)
    assume(want is not None)
    assert ours(stream) == want


@pytest.mark.parametrize("length", range(9))
def test_less_than_a_header_and_xmp(length: int) -> None:
    """Anything at all in the EXIF segment, and Pillow does not ask XMP."""
    stream = with_segments(b"Exif\0\0" + b"MM\0*\0\0\0\x08"[:length], xmp('tiff:Orientation="6"'))
    without_density = stream.replace(b"JFIF\0\1\1\0\0\1\0\1", b"JFIX\0\1\1\0\0\1\0\1")
    want = pillows(without_density)
    assert want is not None
    assert ours(without_density) == want
    assert ours(stream) == want


@pytest.mark.parametrize("orientation", range(1, 9))
def test_what_pillow_writes(orientation: int) -> None:
    assert ours(streams.encode(Image.new("RGB", (9, 5)), orientation=orientation)) == orientation


def test_no_exif() -> None:
    assert ours(BASE) == 1
    assert ours(with_segments(b"Exif\0\0")) == 1
    assert ours(with_segments(b"Exif\0\0II*\0")) == 1
