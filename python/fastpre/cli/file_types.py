"""What a file is, by its first bytes: the only thing that a name cannot get wrong."""

from __future__ import annotations

import os
import stat

__all__ = ["JPEG", "OTHER", "UNREADABLE", "file_type", "special_type", "special_type_at"]

JPEG = "JPEG"
OTHER = "other"
UNREADABLE = "unreadable"

LONGEST = 16  # bytes that are read

# (offset, bytes): what all files of a type have there, by their specifications.
SIGNATURES: tuple[tuple[str, tuple[tuple[int, bytes], ...]], ...] = (
    (JPEG, ((0, b"\xff\xd8\xff"),)),
    ("PNG", ((0, b"\x89PNG\r\n\x1a\n"),)),
    ("WebP", ((0, b"RIFF"), (8, b"WEBP"))),
    ("GIF", ((0, b"GIF8"),)),
    ("TIFF", ((0, b"II*\0"),)),
    ("TIFF", ((0, b"MM\0*"),)),
    ("TIFF", ((0, b"II+\0"),)),
    ("TIFF", ((0, b"MM\0+"),)),
    ("AVIF", ((4, b"ftypavif"),)),
    ("AVIF", ((4, b"ftypavis"),)),
    *(("HEIF", ((4, b"ftyp" + brand),)) for brand in (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")),
    ("JPEG 2000", ((0, b"\0\0\0\x0cjP  \r\n\x87\n"),)),
    ("JPEG 2000", ((0, b"\xff\x4f\xff\x51"),)),
    ("JPEG XL", ((0, b"\0\0\0\x0cJXL \r\n\x87\n"),)),
    ("JPEG XL", ((0, b"\xff\x0a"),)),
    ("BMP", ((0, b"BM"), (6, b"\0\0\0\0"))),
    ("ICO", ((0, b"\0\0\1\0"),)),
    ("PSD", ((0, b"8BPS"),)),
)


def _of_bytes(head: bytes) -> str:
    for name, parts in SIGNATURES:
        if all(head.startswith(part, offset) for offset, part in parts):
            return name
    return OTHER


def file_type(path: str) -> str:
    """What type a regular file is: an image format, "other" or "unreadable"."""
    try:
        # Non-blocking: what was a regular file a moment ago could be a FIFO now.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError:
        return UNREADABLE
    try:
        return special_type(os.fstat(fd).st_mode) or _of_bytes(os.read(fd, LONGEST))
    except OSError:
        return UNREADABLE
    finally:
        os.close(fd)


def special_type(mode: int) -> str | None:
    """What a file that is neither regular nor a folder is called; None for those two."""
    for name, is_so in (
        ("FIFO", stat.S_ISFIFO),
        ("socket", stat.S_ISSOCK),
        ("device", stat.S_ISCHR),
        ("device", stat.S_ISBLK),
    ):
        if is_so(mode):
            return name
    return None


def special_type_at(path: str) -> str | None:
    """The same for the file that a path leads to, without opening it, which can block or move a tape.

    Raises:
        OSError: there is none.
    """
    return special_type(os.stat(path).st_mode)
