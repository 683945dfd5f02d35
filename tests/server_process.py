"""`fastpre serve` as its users run it: a process, and clients over real sockets."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import psutil
from typing_extensions import Self

TESTS = Path(__file__).parent
START_S = 60.0


def until(condition: Callable[[], object], seconds: float = 10.0, what: str = "") -> None:
    """Waits for what another process does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s{': ' if what else ''}{what}"
        time.sleep(0.005)


class ServerProcess:
    """A server that listens.

    Args:
        model: for `--model`.
        options: more of the command line.
        environment: more variables.
    """

    def __init__(
        self, model: str = "python:faulty:model", *options: str, environment: Mapping[str, str] | None = None
    ) -> None:
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115
        ports = () if "--port" in options else ("--port", "0")
        if "--no-grpc" not in options:
            ports += ("--grpc-port", "0")
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "fastpre", "serve", "--model", model, "--threads", "2", *ports, *options],
            stdout=subprocess.PIPE,
            stderr=self._log,
            stdin=subprocess.DEVNULL,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(TESTS), *filter(None, sys.path)]),
                **(environment or {}),
            },
            text=True,
        )
        self.process = psutil.Process(self.popen.pid)
        self.scheme, self.port, self.grpc_port = "http", 0, 0
        self._said: list[str] = []
        killer = threading.Timer(START_S, self.popen.kill)
        killer.start()
        try:
            self._wait_until_it_listens("--no-grpc" not in options)
        except BaseException:
            self.close()
            raise
        finally:
            killer.cancel()
        self.client = httpx.Client(
            base_url=self.url, timeout=30, verify=False, limits=httpx.Limits(max_connections=None), trust_env=False
        )

    def _wait_until_it_listens(self, grpc: bool) -> None:
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            self._said.append(line)
            found = re.search(r"(https?)://[^ ]*:(\d+)$", line.strip())
            if found:
                self.scheme, self.port = found[1], int(found[2])
            found = re.search(r"gRPC at .*:(\d+)$", line.strip())
            if found:
                self.grpc_port = int(found[1])
            if self.port and (self.grpc_port or not grpc):
                return
        raise AssertionError(f"the server did not start: {self.popen.wait()}\n{self.log}")

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        self._log.seek(0)
        return self._log.read()

    # --- requests ---

    def predict(self, data: bytes, **parameters: Any) -> httpx.Response:
        return self.client.post("/v1/predict", content=data, params=parameters)

    def infer(self, images: Sequence[bytes], model: str = "faulty", **document: Any) -> httpx.Response:
        body, headers = infer_body(images, **document)
        return self.client.post(f"/v2/models/{model}/infer", content=body, headers=headers)

    def ready(self) -> bool:
        return self.client.get("/v2/health/ready").status_code == 200

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    # --- what it says of itself ---

    def metrics(self) -> dict[str, float]:
        """Every sample by its name with labels."""
        samples: dict[str, float] = {}
        for line in self.client.get("/metrics").text.splitlines():
            if not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                samples[name] = float(value)
        return samples

    def places(self, model: str = "faulty") -> dict[str, int]:
        """Images by where they are, and free slots."""
        samples = self.metrics()
        found = {
            place: int(samples[f'fastpre_images_now{{model="{model}",place="{place}"}}'])
            for place in ("queued", "preprocessing", "ready", "running")
        }
        found["free"] = int(samples[f'fastpre_slots_free{{model="{model}"}}'])
        return found

    def outcomes(self) -> dict[str, int]:
        """Requests by code."""
        found = {}
        for name, value in self.metrics().items():
            matched = re.match(r'fastpre_requests_total\{code="(\w+)"', name)
            if matched:
                found[matched[1]] = int(value)
        return found

    def listens(self) -> set[tuple[str, int]]:
        """Where it, or a process that it started, listens."""
        ask = "net_connections" if hasattr(self.process, "net_connections") else "connections"  # psutil 6, 5
        return {
            (connection.laddr.ip.removeprefix("::ffff:"), connection.laddr.port)  # gRPC: IPv6 with IPv4 in it
            for each in (self.process, *self.process.children(recursive=True))
            for connection in getattr(each, ask)("all")
            if connection.status == psutil.CONN_LISTEN
        }

    def rss_mb(self) -> float:
        return float(self.process.memory_info().rss) / 1e6

    # --- its end ---

    def signal(self, number: int = signal.SIGTERM) -> None:
        self.popen.send_signal(number)

    def wait(self, seconds: float = 15.0) -> int:
        """Its exit status."""
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it has not ended after {seconds} s\n{self.log}") from None

    def close(self) -> None:
        with contextlib.suppress(AttributeError):
            self.client.close()
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()
        assert self.popen.stdout is not None
        self.popen.stdout.close()
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def infer_body(images: Sequence[bytes], **document: Any) -> tuple[bytes, dict[str, str]]:
    """Body and headers of a v2 request with encoded images as binary data."""
    binary = b"".join(len(image).to_bytes(4, "little") + image for image in images)
    tensor = {
        "name": "IMAGE",
        "shape": [len(images)],
        "datatype": "BYTES",
        "parameters": {"binary_data_size": len(binary)},
    }
    head = json.dumps({"inputs": [tensor], **document}).encode()
    return head + binary, {"Inference-Header-Content-Length": str(len(head))}


def post(path: str, body: bytes, *, length: int | None = None, headers: Mapping[str, str] | None = None) -> bytes:
    """A POST as it goes over the wire; `length` is what it announces."""
    lines = [f"POST {path} HTTP/1.1", "Host: test", f"Content-Length: {len(body) if length is None else length}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Holds batches of `faulty` with an image of `HELD` while the block runs."""
    path.touch()
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def refused(response: Any, status: int, code: str) -> str:
    assert (response.status_code, response.json()["code"]) == (status, code)
    return str(response.json()["error"])


def first_line(connection: socket.socket) -> bytes:
    connection.settimeout(10)
    data = b""
    with contextlib.suppress(ConnectionError):
        while b"\r\n" not in data and (more := connection.recv(65536)):
            data += more
    return data.split(b"\r\n")[0]
