"""Which files a command works on, and what to call them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

__all__ = ["SUFFIXES", "Found", "find", "printable"]

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif")


@dataclasses.dataclass(frozen=True)
class Found:
    """One file: its path, and its name in results."""

    path: str
    name: str


def find(paths: Sequence[str]) -> tuple[list[Found], list[OSError]]:
    """The JPEG files among `paths`, each of which is a file (taken whatever its suffix) or a folder.

    Folders are searched recursively by suffix, in any case, in sorted order; links to folders are
    not followed. Names are relative to the folder if it is the only argument, else they start
    with the argument.

    Returns:
        The files, and one error for each folder that could not be listed.
    """
    found: list[Found] = []
    unreadable: list[OSError] = []
    for path in paths:
        if not os.path.isdir(path):
            found.append(Found(path, path))
            continue
        for folder, folders, names in os.walk(path, onerror=unreadable.append):
            folders.sort()
            for name in sorted(names):
                if name.lower().endswith(SUFFIXES):
                    full = os.path.join(folder, name)
                    found.append(Found(full, os.path.relpath(full, path) if len(paths) == 1 else full))
    return found, unreadable


def printable(name: str) -> str:
    """A file name that any terminal takes: bytes that are no UTF-8, and control characters, are escaped."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
