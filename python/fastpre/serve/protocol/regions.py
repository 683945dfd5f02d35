"""System shared memory that clients have registered.

A region is read with pread(2) and written with pwrite(2), never mapped: the client that owns it may shrink it at any
time, and a mapping would then end this process with SIGBUS, wherever it stands; no check before the access closes that
gap. The copy takes 5 µs for 100 kB (benchmarks/grpc_calls.py), and means too that no image changes between the check
of its header and its decoding.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import stat
import threading
from pathlib import Path
from typing import Any

from ..errors import BadRequest, BodyTooLarge, NotFound

__all__ = ["Regions"]

FOLDER = Path("/dev/shm")


@dataclasses.dataclass(slots=True)
class _Region:
    key: str
    offset: int
    size: int
    readable: int  # file descriptor
    writable: int = -1  # the same file, opened when the first output goes there


class Regions:
    """Regions by name. Any thread may use it.

    Args:
        limit: of regions registered at a time; 0: none are taken.
        max_bytes: of one `view`.
        reserved: beginnings of keys that are refused: what this server itself keeps in shared memory.
    """

    def __init__(
        self, limit: int = 256, max_bytes: int = 256 * 2**20, reserved: tuple[str, ...] = ("fastpre", "sem.")
    ) -> None:
        self.limit = limit
        self._max_bytes = max_bytes
        self._reserved = reserved
        self._regions: dict[str, _Region] = {}
        self._lock = threading.Lock()

    def register(self, name: str, key: str, offset: int, byte_size: int) -> None:
        """Opens shared memory that the client has made.

        Args:
            name: what requests call it.
            key: as given to shm_open(3): a file's name in /dev/shm, with one slash before it or none.
            offset: of the region in that file, in bytes.
            byte_size: of the region.

        Raises:
            BadRequest: the name is taken, the key is none, there is no such file or it is too short, or there are too
                many regions.
        """
        if not name:
            raise BadRequest("a shared memory region needs a name")
        if offset < 0 or byte_size <= 0:
            raise BadRequest(f"shared memory region {name!r}: offset {offset} or size {byte_size} is out of range")
        with self._lock:
            if name in self._regions:
                raise BadRequest(f"shared memory region {name!r} is registered already")
            if not self.limit:
                raise BadRequest("this server takes no shared memory")
            if len(self._regions) >= self.limit:
                raise BadRequest(f"{self.limit} shared memory regions are registered, and that is the most")
            descriptor = self._open(name, key)
            actual = os.fstat(descriptor).st_size
            if offset + byte_size > actual:
                os.close(descriptor)
                raise BadRequest(
                    f"shared memory region {name!r}: {byte_size} bytes at {offset} do not fit into {key!r}, "
                    f"which has {actual}"
                )
            self._regions[name] = _Region(key, offset, byte_size, descriptor)

    def unregister(self, name: str | None = None) -> None:
        """Closes one region, or with None all of them. A name that is not registered is no error, as with Triton."""
        with self._lock:
            names = list(self._regions) if name is None else [name]
            for each in names:
                region = self._regions.pop(each, None)
                if region is not None:
                    _close(region)

    def status(self, name: str | None = None) -> list[dict[str, Any]]:
        """Name, key, offset and byte_size of one region, or with None of all of them.

        Raises:
            NotFound: it is not registered.
        """
        with self._lock:
            chosen = self._regions if name is None else {name: self._find(name)}
            return [
                {"name": each, "key": region.key, "offset": region.offset, "byte_size": region.size}
                for each, region in chosen.items()
            ]

    def check(self, name: str, offset: int, size: int) -> None:
        """Refuses what `view` and `write` would refuse, before any work is done for the request.

        Raises:
            NotFound: the region is not registered.
            BadRequest: the bytes are not all inside it.
            BodyTooLarge: they are more than `max_bytes`.
        """
        with self._lock:
            self._bounds(name, offset, size)

    def view(self, name: str, offset: int, size: int) -> memoryview:
        """A private copy of `size` bytes of a region from `offset` on.

        Raises:
            NotFound, BadRequest, BodyTooLarge: as `check`; also if the file has become shorter meanwhile.
        """
        with self._lock:
            region = self._bounds(name, offset, size)
            data = _read(region.readable, region.offset + offset, size)
        if len(data) < size:
            raise BadRequest(f"shared memory region {name!r}: {region.key!r} has become shorter")
        return memoryview(data)

    def write(self, name: str, offset: int, data: bytes | memoryview) -> None:
        """Writes into a region.

        Raises:
            NotFound, BadRequest, BodyTooLarge: as `view`; also if the file may not be written to, or memory is full.
        """
        with self._lock:
            region = self._bounds(name, offset, len(data))
            try:
                if region.writable < 0:
                    # By way of /proc it is the file that was registered, whatever its name belongs to now.
                    region.writable = os.open(f"/proc/self/fd/{region.readable}", os.O_RDWR | os.O_CLOEXEC)
                # Writing past the end would make the file longer; a race is lost without harm: no longer than it was.
                if os.fstat(region.writable).st_size < region.offset + offset + len(data):
                    raise BadRequest(f"shared memory region {name!r}: {region.key!r} has become shorter")
                _write(region.writable, region.offset + offset, data)
            except OSError as error:
                raise BadRequest(f"shared memory region {name!r} cannot be written: {error.strerror}") from None

    def close(self) -> None:
        """Closes every region. The files are their clients' and stay."""
        self.unregister()

    def _open(self, name: str, key: str) -> int:
        """A descriptor for reading the file of a key, which must be an ordinary one, and no link."""
        base = key.removeprefix("/")
        if not base or "/" in base or "\0" in base or base in (".", "..") or len(base.encode(errors="replace")) > 255:
            raise BadRequest(f"shared memory region {name!r}: {key!r} is no key of shared memory")
        if base.startswith(self._reserved):
            raise BadRequest(f"shared memory region {name!r}: {key!r} is not for clients")
        try:
            # Without O_NONBLOCK, opening a pipe would wait for its other end.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
            descriptor = os.open(FOLDER / base, flags)
        except (OSError, UnicodeError) as error:
            reason = "is a link" if getattr(error, "errno", 0) == errno.ELOOP else "cannot be opened"
            detail = getattr(error, "strerror", None) or "not a name of a file"
            raise BadRequest(f"shared memory region {name!r}: {key!r} {reason}: {detail}") from None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise BadRequest(f"shared memory region {name!r}: {key!r} is no shared memory")
        return descriptor

    def _find(self, name: str) -> _Region:
        try:
            return self._regions[name]
        except KeyError:
            raise NotFound(f"there is no shared memory region {name!r}") from None

    def _bounds(self, name: str, offset: int, size: int) -> _Region:
        region = self._find(name)
        if offset < 0 or size < 0 or offset + size > region.size:
            raise BadRequest(
                f"shared memory region {name!r} has {region.size} bytes; {size} at {offset} are not inside it"
            )
        if size > self._max_bytes:
            raise BodyTooLarge(f"shared memory region {name!r}: {size} bytes; a tensor has at most {self._max_bytes}")
        return region


def _read(descriptor: int, position: int, size: int) -> bytes:
    """Up to `size` bytes; fewer if the file ends. One call reads at most 2 GiB, and may give less than it could."""
    data = os.pread(descriptor, size, position)
    if len(data) == size or not data:
        return data
    parts = [data]
    read = len(data)
    while read < size:
        data = os.pread(descriptor, size - read, position + read)
        if not data:
            break
        parts.append(data)
        read += len(data)
    return b"".join(parts)


def _write(descriptor: int, position: int, data: bytes | memoryview) -> None:
    view = memoryview(data).cast("B")
    while view:
        written = os.pwrite(descriptor, view, position)
        position += written
        view = view[written:]


def _close(region: _Region) -> None:
    os.close(region.readable)
    if region.writable >= 0:
        os.close(region.writable)
