"""Short messages, and now and then a file descriptor, between two processes.

Messages go through a pipe for each direction, which takes half of the time that a Unix socket takes
(benchmarks/hops.py). Descriptors go through a Unix socket, which also says at once that the other process has ended.
Either side sends one message and waits for one, so that a message never comes with the beginning of the next.
"""

from __future__ import annotations

import contextlib
import enum
import os
import select
import socket
import struct
import threading

__all__ = ["Channel", "Gone", "Kind"]

HEADER = struct.Struct("<BBxxI")  # kind, descriptors that come with it, bytes of the body
CHUNK = 1 << 16
CLOSE_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)  # Linux


class Kind(enum.IntEnum):
    """What a message is about."""

    JOB = 0  # to the worker: sys.path, then what to load and how to get batches
    READY = 1  # from the worker: its model's description
    MAP = 2  # to the worker: memory of slots, with its descriptor
    FORGET = 3  # to the worker: that memory is not used any more
    RUN = 4  # to the worker: some of its slots
    DONE = 5  # from the worker: to MAP and FORGET
    OUTPUTS = 6  # from the worker: to RUN, with a descriptor if the memory that they are in is new
    RAISED = 7  # from the worker: to JOB and RUN


class Gone(ConnectionError):
    """The other side has ended or closed its end."""


class Channel:
    """One end."""

    def __init__(self, descriptors: socket.socket, read: int, write: int) -> None:
        descriptors.setblocking(True)  # whatever the process's default is
        self._socket = descriptors
        self._read = read
        self._write = write
        self._poll: select.poll | None = None
        self._timeout_ms: float | None = None
        self._asking = threading.Lock()

    @classmethod
    def pair(cls) -> tuple[Channel, Channel]:
        """Both ends."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        (there_read, there_write), (back_read, back_write) = os.pipe(), os.pipe()
        return cls(ours, back_read, there_write), cls(theirs, there_read, back_write)

    @classmethod
    def inherited(cls, *fds: int) -> Channel:
        """The end that a process was started with: `fds` of it there."""
        return cls(socket.socket(fileno=fds[0]), *fds[1:])

    @property
    def fds(self) -> tuple[int, int, int]:
        """What a process has to inherit."""
        return self._socket.fileno(), self._read, self._write

    def set_timeout(self, timeout_s: float) -> None:
        """How long `send` and `receive` wait. Without, they also wait for a side that is gone, if it left a child."""
        self._timeout_ms = 1000 * timeout_s
        if self._poll is None:
            os.set_blocking(self._write, False)
            self._poll = select.poll()
            self._poll.register(self._read, select.POLLIN)
            self._poll.register(self._socket, 0)  # its end is always reported

    def send(self, kind: Kind, body: bytes = b"", fd: int | None = None) -> None:
        """Sends a message; the other side gets a descriptor of its own.

        Raises:
            Gone, TimeoutError: the message may have been sent in part.
        """
        message = HEADER.pack(kind, fd is not None, len(body)) + body
        try:
            if fd is not None:
                socket.send_fds(self._socket, [b"\0"], [fd])
            sent = self._written(message)
            while sent < len(message):
                sent += self._written(message[sent : sent + CHUNK])
        except (BrokenPipeError, ConnectionResetError):
            raise Gone("the other side has ended") from None

    def _written(self, part: bytes) -> int:
        """Bytes that there was room for."""
        try:
            return os.write(self._write, part)
        except BlockingIOError:
            if not select.select([self._socket], [self._write], [], (self._timeout_ms or 0) / 1000)[1]:
                raise TimeoutError("the other side does not read") from None
            return 0

    def receive(self) -> tuple[int, bytes, int | None]:
        """The next message: its `Kind`, its body, and the descriptor that came with it.

        Raises:
            Gone, TimeoutError: the rest of a message may still come: this end is of no more use.
        """
        data = self._some()
        while len(data) < HEADER.size:
            data += self._some()
        kind, descriptors, size = HEADER.unpack_from(data)
        while len(data) < HEADER.size + size:
            data += self._some()
        fd = None
        if descriptors:
            _, (fd,), _, _ = socket.recv_fds(self._socket, 1, 1, CLOSE_ON_EXEC)
        return kind, data[HEADER.size :], fd

    def _some(self) -> bytes:
        """What there is to read."""
        if self._poll is not None:
            found = self._poll.poll(self._timeout_ms)
            if not found:
                raise TimeoutError("the other side does not answer")
            if all(fd != self._read for fd, _ in found):
                raise Gone("the other side has ended")
        data = os.read(self._read, CHUNK)
        if not data:
            raise Gone("the other side has ended")
        return data

    def ask(self, kind: Kind, body: bytes = b"", fd: int | None = None) -> tuple[int, bytes, int | None]:
        """Sends a message and waits for the answer."""
        with self._asking:
            if self._write < 0:
                raise Gone("this end was closed")
            self.send(kind, body, fd)
            return self.receive()

    def close(self) -> None:
        """Closes this end, after what another thread asks, with a timeout, has ended with `Gone`."""
        with contextlib.suppress(OSError):  # it has ended already
            self._socket.shutdown(socket.SHUT_RDWR)
        with self._asking:
            self.let_go()

    def let_go(self) -> None:
        """Closes this process's descriptors of an end that another process has inherited."""
        if self._write >= 0:
            self._socket.close()
            os.close(self._read)
            os.close(self._write)
            self._read = self._write = -1
