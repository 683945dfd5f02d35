"""Starts message brokers that are installed, on a port of their own, without anything on disk."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator

COMMANDS = {
    "redis": ("redis-server", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port"),
    "nats": ("nats-server", "-a", "127.0.0.1", "-p"),
}
START_S = 10.0


@dataclasses.dataclass
class Server:
    """A broker that can be stopped and started again."""

    scheme: str
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns once it listens."""
        self.process = subprocess.Popen(
            [*COMMANDS[self.scheme], str(self.port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/"
        )
        deadline = time.monotonic() + START_S
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1.0):
                return
            assert time.monotonic() < deadline, f"{self.scheme} does not listen"
            assert self.process.poll() is None, f"{self.scheme} ended at once"
            time.sleep(0.02)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


def missing(scheme: str) -> str | None:
    """What to install, if it is not there."""
    command = COMMANDS[scheme][0]
    if shutil.which(command) is None:
        return f"{command} is not installed (scripts/test-packages.sh; Debian, Ubuntu: apt install {command})"
    return None


@contextlib.contextmanager
def running(scheme: str) -> Iterator[Server]:
    """A server for as long as it is needed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        server = Server(scheme, free.getsockname()[1])
    try:
        server.start()
        yield server
    finally:
        server.stop()
