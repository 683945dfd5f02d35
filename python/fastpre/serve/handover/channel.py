"""Short messages, and now and then a file descriptor, between two processes that share a Unix socket.

Either side sends one message and waits for one, so that a message never comes with the beginning of the next. Measured
as one hop between two processes, Python on both sides, on an otherwise quiet machine of two cores: eventfd 2 us, pipe
2 us, Unix socket 4 us, and 5 us with room for a descriptor and a timeout, as here. Only the socket says at once that
the other side has ended, and carries descriptors.
"""

from __future__ import annotations

import array
import contextlib
import enum
import socket
import struct
import threading

__all__ = ["Channel", "Gone", "Kind"]

HEADER = struct.Struct("<II")  # kind, bytes of the body
TIMEVAL = struct.Struct("ll")
CHUNK = 1 << 16
CLOSE_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)  # Linux
ROOM_FOR_ONE = socket.CMSG_SPACE(array.array("i", [0]).itemsize)


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

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(True)  # whatever the process's default is
        self._socket = end
        self._asking = threading.Lock()

    def set_timeout(self, timeout_s: float | None) -> None:
        """How long `send` and `receive` wait, at most; None: for ever."""
        # The kernel keeps the time. Python's own timeout takes another system call for every message.
        seconds = 0.0 if timeout_s is None else max(timeout_s, 1e-6)
        value = TIMEVAL.pack(int(seconds), int(seconds % 1 * 1e6))
        for option in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
            self._socket.setsockopt(socket.SOL_SOCKET, option, value)

    def send(self, kind: Kind, body: bytes = b"", fd: int | None = None) -> None:
        """Sends a message; the other side gets a descriptor of its own.

        Raises:
            Gone, TimeoutError: the message may have been sent in part.
        """
        message = HEADER.pack(kind, len(body)) + body
        try:
            if fd is None:
                sent = self._socket.send(message)
            else:
                beside = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
                sent = self._socket.sendmsg([message], beside)
            if sent < len(message):
                self._socket.sendall(memoryview(message)[sent:])
        except (BrokenPipeError, ConnectionResetError):
            raise Gone("the other side has ended") from None
        except BlockingIOError:
            raise TimeoutError("the other side does not read") from None

    def receive(self) -> tuple[int, bytes, int | None]:
        """The next message: its `Kind`, its body, and the descriptor that came with it.

        Raises:
            Gone, TimeoutError: the rest of a message may still come: this end is of no more use.
        """
        try:
            data, beside, _, _ = self._socket.recvmsg(CHUNK, ROOM_FOR_ONE, CLOSE_ON_EXEC)
            fd = None
            for level, kind_beside, value in beside:
                if (level, kind_beside) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    fd = array.array("i", value)[0]
            while len(data) < HEADER.size or len(data) < HEADER.size + HEADER.unpack_from(data)[1]:
                more = self._socket.recv(CHUNK)
                if not more:
                    raise Gone("the other side has ended")
                data += more
        except ConnectionResetError:
            raise Gone("the other side has ended") from None
        except BlockingIOError:
            raise TimeoutError("the other side does not answer") from None
        return HEADER.unpack_from(data)[0], data[HEADER.size :], fd

    def ask(self, kind: Kind, body: bytes = b"", fd: int | None = None) -> tuple[int, bytes, int | None]:
        """Sends a message and waits for the answer."""
        with self._asking:
            if self._socket.fileno() < 0:
                raise Gone("this end was closed")
            self.send(kind, body, fd)
            return self.receive()

    def end(self) -> None:
        """Lets both sides' calls end with `Gone`, those that wait included; any thread may call it."""
        with contextlib.suppress(OSError):  # it has ended already
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Closes this end, when what another thread asks has ended with `Gone`."""
        self.end()
        with self._asking:
            self._socket.close()
