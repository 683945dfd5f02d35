"""Where data lies: local paths, and URLs through fsspec."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from typing import IO, Any

from .optional import needed

__all__ = ["expanded", "is_folder", "is_url", "joined", "listing", "open_binary", "read_text", "split"]


def is_url(place: str) -> bool:
    """Whether fsspec is to open it: "s3://bucket/a.tar", "simplecache::https://..."."""
    return "://" in place or "::" in place


def is_folder(place: object) -> bool:
    """Whether it names a folder: of URLs those that end with a slash."""
    return isinstance(place, str) and (place.endswith("/") if is_url(place) else os.path.isdir(place))


def open_binary(place: str, source: str, options: dict[str, Any]) -> IO[bytes]:
    """The opened file."""
    if not is_url(place):
        return open(place, "rb")
    opened: IO[bytes] = needed("fsspec", source).open(place, "rb", **options).open()
    return opened


def read_text(place: str, source: str, options: dict[str, Any]) -> str:
    """A small file."""
    with open_binary(place, source, options) as file:
        return file.read().decode("utf-8")


def split(place: str) -> tuple[str, str]:
    """(folder, name)."""
    if not is_url(place):
        return os.path.split(place)
    folder, _, name = place.rpartition("/")
    return folder, name


def joined(folder: str, name: str) -> str:
    """The opposite of `split`."""
    return f"{folder.rstrip('/')}/{name}" if is_url(folder) else os.path.join(folder, name)


def listing(folder: str, source: str, options: dict[str, Any]) -> list[str]:
    """What lies in a folder, by name.

    Raises:
        OSError: there is no such folder.
    """
    if not is_url(folder):
        return [os.path.join(folder, name) for name in sorted(os.listdir(folder))]
    fs, path = needed("fsspec.core", source).url_to_fs(folder, **options)
    return sorted(fs.unstrip_protocol(name) for name in fs.ls(path, detail=False))


def expanded(places: str | os.PathLike[str] | Iterable[Any], source: str, options: dict[str, Any]) -> list[Any]:
    """A list of places; of a single one its braces and wildcards are expanded.

    Raises:
        FileNotFoundError: nothing matches the wildcards.
    """
    if isinstance(places, os.PathLike):
        return [os.fsdecode(places)]
    if not isinstance(places, str):
        return [os.fsdecode(p) if isinstance(p, (str, os.PathLike)) else p for p in places]
    if os.path.exists(places):  # whatever is in its name
        return [places]
    patterns = list(needed("braceexpand", source).braceexpand(places)) if "{" in places else [places]
    return [place for pattern in patterns for place in _matches(pattern, source, options)]


def _matches(pattern: str, source: str, options: dict[str, Any]) -> list[str]:
    if not glob.has_magic(pattern):
        return [pattern]
    if is_url(pattern):
        fs, path = needed("fsspec.core", source).url_to_fs(pattern, **options)
        found = sorted(fs.unstrip_protocol(name) for name in fs.glob(path))
    else:
        found = sorted(glob.glob(pattern))
    if not found:
        raise FileNotFoundError(f"nothing matches {pattern!r}")
    return found
