"""How a server ends: what was begun is finished, the rest is refused, and within the bound nothing is left."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

import faulty
import grpc_calls
from fastpre.serve.protocol.schema import message
from faulty import GOOD
from server_process import ServerProcess, held, post, until

HELD = faulty.colour(faulty.HELD)
DRAIN_S = 1.5


@pytest.fixture
def ending(tmp_path: Path) -> Iterator[tuple[ServerProcess, Path]]:
    """A server of its own, with a batch that does not end while the file is there."""
    hold = tmp_path / "held"
    with ServerProcess(f"python:faulty:model?hold={hold}", "--drain", f"{DRAIN_S:g}", "--drain-delay", "0.3") as found:
        yield found, hold


def answer(connection: socket.socket) -> bytes:
    """All that comes until the connection is closed."""
    connection.settimeout(15)
    data = b""
    with contextlib.suppress(ConnectionError):
        while more := connection.recv(65536):
            data += more
    return data


def stream(channel: grpc.Channel, requests: Iterator[bytes]) -> Any:
    return channel.stream_stream(f"{grpc_calls.SERVICE}/ModelStreamInfer")(requests)


def test_what_was_begun_is_finished(ending: tuple[ServerProcess, Path]) -> None:
    server, hold = ending
    idle = server.connect()  # a connection that sends nothing
    kept = server.connect()  # one that is kept alive between two requests
    kept.sendall(post("/v1/predict", GOOD))
    assert kept.recv(65536).startswith(b"HTTP/1.1 200")
    with grpc_calls.channel(server.grpc_port) as channel, held(hold):
        in_model = server.connect()
        in_model.sendall(post("/v1/predict", HELD))
        until(lambda: server.places()["running"] == 1)
        call = grpc_calls.start(channel, grpc_calls.request([GOOD]))
        until(lambda: server.places()["ready"] == 1)
        responses = stream(channel, iter([grpc_calls.request([GOOD])]))
        until(lambda: server.places()["ready"] == 2)
        upload = server.connect()
        upload.sendall(post("/v1/predict", GOOD)[:-100])
        begun = time.monotonic()
        server.signal(signal.SIGTERM)
        until(lambda: not server.ready(), what="readiness falls")
        assert server.predict(GOOD, top="1x").status_code == 400  # requests are taken still
        assert not server.client.get("/v2/models/faulty/ready").json()["ready"]
        with pytest.raises((ConnectionError, OSError)), server.connect() as late:  # noqa: PT012
            while time.monotonic() < begun + 10:
                late.close()
                late = server.connect()  # until nothing listens any more
        hold.unlink()
        upload.sendall(post("/v1/predict", GOOD)[-100:])
        assert answer(in_model).startswith(b"HTTP/1.1 200")
        assert answer(upload).startswith(b"HTTP/1.1 200")
        assert call.result(10)
        first = message("inference.ModelStreamInferResponse").FromString(next(responses))
        assert first.error_message == ""
    assert server.wait(DRAIN_S + 3) == 0
    assert time.monotonic() - begun < DRAIN_S + 3
    assert answer(idle) == b""
    answer(kept)  # is closed, too


def test_the_bound_holds_whatever_clients_do(ending: tuple[ServerProcess, Path]) -> None:
    server, hold = ending
    with grpc_calls.channel(server.grpc_port) as channel, held(hold), contextlib.ExitStack() as stack:
        hanging = stack.enter_context(server.connect())
        hanging.sendall(post("/v1/predict", HELD))
        until(lambda: server.places()["running"] == 1)
        queued = [stack.enter_context(server.connect()) for _ in range(20)]
        for connection in queued:
            connection.sendall(post("/v1/predict", GOOD))
        slow = [stack.enter_context(server.connect()) for _ in range(10)]
        for connection in slow:
            connection.sendall(post("/v1/predict", GOOD)[:-10])
        calls = [grpc_calls.start(channel, grpc_calls.request([GOOD])) for _ in range(5)]
        watch = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"")
        assert message("grpc.health.v1.HealthCheckResponse").FromString(next(watch)).status == 1
        until(lambda: server.places()["ready"] == 25)
        begun = time.monotonic()
        server.signal(signal.SIGINT)
        assert message("grpc.health.v1.HealthCheckResponse").FromString(next(watch)).status == 2
        assert server.wait(DRAIN_S + 6) == 0
        assert time.monotonic() - begun < DRAIN_S + 5
        for connection in (hanging, *queued):
            data = answer(connection)
            assert b" 503 " in data.split(b"\r\n")[0]
            assert b'"code":"draining"' in data
        for call in calls:
            assert call.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.INTERNAL)
    assert "Traceback" not in server.log


def test_a_second_signal_ends_it_at_once(ending: tuple[ServerProcess, Path]) -> None:
    server, hold = ending
    with held(hold), server.connect() as connection:
        connection.sendall(post("/v1/predict", HELD))
        until(lambda: server.places()["running"] == 1)
        server.signal(signal.SIGTERM)
        until(lambda: not server.ready())
        begun = time.monotonic()
        server.signal(signal.SIGINT)
        assert server.wait() == -signal.SIGINT
        assert time.monotonic() - begun < 1


def test_ctrl_c_while_it_loads_its_model(tmp_path: Path) -> None:
    file = tmp_path / "loading"
    (tmp_path / "loads_slowly.py").write_text(
        f"import time\ndef model():\n    open({str(file)!r}, 'w')\n    time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "fastpre", "serve", "--model", "python:loads_slowly:model", "--port", "0", "--no-grpc"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])},
        stderr=subprocess.PIPE,
    )
    until(file.exists, 30)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=10)
    assert process.returncode == 130
    assert b"Traceback" not in said
