"""Shared memory without a name, which is gone when the last process that has it is gone, however it ended.

The alternative is a file in /dev/shm that both sides open by its name. It outlives a process that is killed between
making and removing it, the next start has to tell such files from those in use, and a container's /dev/shm has 64 MB
unless told otherwise. A descriptor is passed over the Unix socket that the two processes have anyway.
"""

from __future__ import annotations

import mmap
import os
import tempfile

__all__ = ["Area"]

# All pages at once: the first batch would otherwise pay for them, fault by fault. Linux only.
POPULATE = getattr(mmap, "MAP_POPULATE", 0)


class Area:
    """Memory that this process has mapped and others can map.

    Attributes:
        fd: to pass on; closed by `close`.
        size: in bytes.
        map: its bytes. They stay mapped for as long as something refers to it, as tensors over it do.
    """

    def __init__(self, fd: int, size: int) -> None:
        """Maps a descriptor that came from another process, and keeps it."""
        self.fd = fd
        self.size = size
        self.map = mmap.mmap(fd, size, flags=mmap.MAP_SHARED | POPULATE)

    @classmethod
    def create(cls, size: int) -> Area:
        """New memory, of zeros."""
        if hasattr(os, "memfd_create"):
            fd = os.memfd_create("fastpre", os.MFD_CLOEXEC)
        else:  # macOS: a file that has no name any more
            with tempfile.TemporaryFile(prefix="fastpre-") as file:
                fd = os.dup(file.fileno())
        try:
            os.ftruncate(fd, size)
            return cls(fd, size)
        except BaseException:
            os.close(fd)
            raise

    def close(self) -> None:
        """Closes the descriptor; the mapping goes when nothing refers to it."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)
