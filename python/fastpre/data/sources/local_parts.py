"""Bytes from the middle of local files."""

from __future__ import annotations

import collections
import os

__all__ = ["LocalParts"]

MOST_OPEN = 128  # of the 1024 that a process has by default


class LocalParts:
    """Reads parts of files, and keeps the files that were read last open.

    `pread` has no position that processes could share: forked workers may go on with what is open.
    """

    def __init__(self) -> None:
        self._open: collections.OrderedDict[str, _Descriptor] = collections.OrderedDict()

    def __getstate__(self) -> dict[str, object]:
        return {"_open": collections.OrderedDict()}

    def read(self, path: str, begin: int, size: int) -> bytes:
        """`size` bytes from `begin` on.

        Raises:
            OSError: the file cannot be opened or read.
            EOFError: it ends before.
        """
        file = self._open.get(path)
        if file is None:
            file = self._open[path] = _Descriptor(path)
            if len(self._open) > MOST_OPEN:
                self._open.popitem(last=False)
        else:
            self._open.move_to_end(path)
        data = os.pread(file.number, size, begin)
        while len(data) < size:  # Linux reads 2 GiB at most, and network file systems less
            more = os.pread(file.number, size - len(data), begin + len(data))
            if not more:
                raise EOFError(f"the file ends at byte {begin + len(data)}, {size - len(data)} bytes before the image")
            data += more
        return data


class _Descriptor:
    """An open file, until nothing holds it: another thread may still read from one that is no longer kept."""

    def __init__(self, path: str) -> None:
        self.number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def __del__(self) -> None:
        if hasattr(self, "number"):
            os.close(self.number)
