"""The file that a command writes: its path is checked before any work, and it is complete before it has its name."""

from __future__ import annotations

import contextlib
import os
import secrets
from typing import BinaryIO

import click

from .file_types import special_type_at
from .files import printable

__all__ = ["PartialFile", "refuse_special_file"]


def refuse_special_file(path: str, option: str) -> None:
    """Nothing but a regular file may be replaced: a device would be destroyed, a FIFO's reader left alone.

    Raises:
        click.UsageError: there is something else, or a link to something else.
        OSError: it cannot be known.
    """
    try:
        kind = "folder" if os.path.isdir(path) else special_type_at(path)
    except FileNotFoundError:
        return
    if kind is not None:
        raise click.UsageError(f"{option} {printable(path)} is a {kind}; it takes the name of a regular file")


class PartialFile:
    """A file under a name of its own until it is complete; whatever happens before, `discard` removes it.

    A link is written through: it stays, and what it points at is replaced.

    Args:
        path: of the finished file, which may exist.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._target = os.path.realpath(path)
        # Unlike a fixed name it cannot be taken: by a second run, or by something that waits there to be overwritten.
        self.partial = f"{self._target}.{secrets.token_hex(4)}.partial"
        self._stream: BinaryIO | None = None

    def open(self) -> BinaryIO:
        """Begins the file, and its folder if there is none.

        Raises:
            OSError: it cannot be written.
        """
        os.makedirs(os.path.dirname(self._target), exist_ok=True)
        self._stream = open(self.partial, "x+b")  # noqa: SIM115 (closed by publish or discard)
        return self._stream

    def close(self) -> None:
        """Writes what is buffered."""
        if self._stream is not None:
            self._stream.close()

    def publish(self) -> None:
        """Gives the file its name."""
        self.close()
        os.replace(self.partial, self._target)

    def discard(self) -> None:
        """Removes the file, unless it has been published or never begun."""
        with contextlib.suppress(OSError):  # on a full disk what is buffered cannot be written, and need not be
            self.close()
        if os.path.lexists(self.partial):
            os.remove(self.partial)
