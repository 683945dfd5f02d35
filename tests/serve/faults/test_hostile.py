"""Bodies and connections that mean harm: each is bounded, refused with a reason, and leaves no trace."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import gzip
import socket
import time
import zlib
from typing import Any

import grpc
import pytest

import grpc_calls
import pictures
from faulty import GOOD
from server_process import ServerProcess, first_line, infer_body, post, refused, until

MB = 1 << 20
INFER = "/v2/models/faulty/infer"
LENGTH = "Inference-Header-Content-Length"


# --- what grows ---


def zeros(encoding: str, size: int) -> bytes:
    if encoding == "gzip":
        return gzip.compress(bytes(size), 6)
    return zlib.compress(bytes(size), 6)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_body_that_grows(same: ServerProcess, encoding: str) -> None:
    bomb = zeros(encoding, 70 * MB)
    assert len(bomb) < MB

    def send(path: str) -> Any:
        return same.client.post(path, content=bomb, headers={"Content-Encoding": encoding})

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for response in pool.map(send, [INFER, "/v1/predict"] * 2):
            assert "grows to more" in refused(response, 413, "body_too_large")


def test_a_message_that_grows(same: ServerProcess) -> None:
    raw = grpc_calls.request([bytes(70 * MB)])
    with grpc_calls.channel(same.grpc_port) as channel, pytest.raises(grpc.RpcError) as caught:
        grpc_calls.infer(channel, raw, compression=grpc.Compression.Gzip)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_body_that_is_announced_as_huge_is_not_read(same: ServerProcess) -> None:
    for length in (65 * MB, 10**12, 10**18):
        with same.connect() as connection:
            connection.sendall(post(INFER, b"", length=length))
            assert first_line(connection) == b"HTTP/1.1 413 Request Entity Too Large"


def test_a_body_without_end(same: ServerProcess) -> None:
    with same.connect() as connection:
        connection.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = b"%x\r\n%b\r\n" % (MB, bytes(MB))
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 200:
                connection.sendall(chunk)
                sent += 1
        assert 60 < sent < 200
        assert first_line(connection) in (b"HTTP/1.1 413 Request Entity Too Large", b"")  # it may have been too late


def test_bodies_that_are_large_together(same: ServerProcess) -> None:
    """The server's bound is 200 MB: 3 of these, and not 8."""
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(same.connect()) for _ in range(8)]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:

            def upload(connection: socket.socket) -> None:
                with contextlib.suppress(ConnectionError):
                    connection.sendall(post("/v1/predict", bytes(60_000_000), length=60_000_001))

            list(pool.map(upload, connections))
            for connection in connections:
                with contextlib.suppress(ConnectionError):
                    connection.sendall(b"\0")
            lines = list(pool.map(first_line, connections))
    assert lines.count(b"HTTP/1.1 422 Unprocessable Entity") <= 3
    assert lines.count(b"HTTP/1.1 503 Service Unavailable") >= 3
    assert same.rss_mb() < 2000


# --- what is slow ---


def test_bodies_that_come_byte_by_byte(same: ServerProcess) -> None:
    """The server's bound is 3 s from the headers on."""
    with contextlib.ExitStack() as stack:
        begun = time.monotonic()
        connections = [stack.enter_context(same.connect()) for _ in range(50)]
        for connection in connections:
            connection.sendall(post("/v1/predict", GOOD[:10], length=len(GOOD)))
        while time.monotonic() < begun + 2.5:
            for connection in connections:
                connection.sendall(b"x")
            assert same.predict(GOOD).status_code == 200  # others are served
            time.sleep(0.2)
        with concurrent.futures.ThreadPoolExecutor(50) as pool:
            assert set(pool.map(first_line, connections)) == {b"HTTP/1.1 408 Request Timeout"}
        assert time.monotonic() < begun + 8


def test_clients_that_do_not_take_their_answers() -> None:
    """Answers of 8 MB; the server's bound is 100 MB for all of them."""
    options = ("--no-grpc", "--max-held", "100", "--batch", "2")
    body, headers = infer_body([GOOD], parameters={"binary_data_output": True})
    with ServerProcess("python:faulty:model?numbers=1000000", *options) as server, contextlib.ExitStack() as stack:
        server.infer([GOOD])
        before = server.rss_mb()
        connections = [stack.enter_context(server.connect()) for _ in range(60)]
        for connection in connections:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(post(INFER, body, headers=headers))
        until(lambda: server.outcomes().get("ok", 0) == 61)
        assert server.rss_mb() - before < 400
        assert server.client.get("/v2/health/live", timeout=2).status_code == 200
        lines = [connection.recv(100).split(b"\r\n")[0] for connection in connections]
        assert set(lines) == {b"HTTP/1.1 200 OK", b"HTTP/1.1 503 Service Unavailable"}
        assert lines.count(b"HTTP/1.1 200 OK") >= 100 // 8
        for connection in connections:
            connection.close()
        with server.connect() as connection:
            connection.sendall(post(INFER, body, headers=headers))
            assert first_line(connection) == b"HTTP/1.1 200 OK"
        until(lambda: server.rss_mb() - before < 100, what="its memory is as before")


@pytest.mark.slow
def test_headers_that_come_byte_by_byte(same: ServerProcess) -> None:
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(same.connect()) for _ in range(200)]
        begun = time.monotonic()
        for byte in b"POST /v1/predict HTTP/1.1\r\nHost: somewhere\r\nX-Filler: " + b"x" * 1000:
            assert time.monotonic() < begun + 15
            assert same.client.get("/v2/health/live").status_code == 200
            try:
                for connection in connections:
                    connection.sendall(bytes([byte]))
            except ConnectionError:
                break
            time.sleep(0.1)
        assert time.monotonic() - begun > 8


def test_headers_without_end(same: ServerProcess) -> None:
    with same.connect() as connection:
        sent = 0
        with contextlib.suppress(ConnectionError):
            connection.sendall(b"GET /v2 HTTP/1.1\r\n")
            while sent < 100 * MB:
                connection.sendall(b"X-Filler: " + b"x" * 8000 + b"\r\n")
                sent += 8000
        assert sent < 50 * MB


def test_a_thousand_connections(same: ServerProcess) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(1000):
            stack.enter_context(same.connect())
        assert same.predict(GOOD).status_code == 200
        until(lambda: same.process.num_fds() > 1000)
    until(lambda: same.process.num_fds() < 200)


def test_streams_that_say_nothing(same: ServerProcess) -> None:
    """Half of the calls may be streams, so that idle ones do not keep inferences out."""

    async def ask() -> None:
        options = (("grpc.use_local_subchannel_pool", 1),)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{same.grpc_port}", options) as channel:
            streams = [channel.stream_stream(f"{grpc_calls.SERVICE}/ModelStreamInfer")() for _ in range(520)]
            infer = channel.unary_unary(f"{grpc_calls.SERVICE}/ModelInfer")
            for _ in range(10):
                assert await infer(grpc_calls.request([GOOD]), timeout=10)
            refused = [stream for stream in streams if stream.done()]
            assert len(refused) == 8
            assert {await stream.code() for stream in refused} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
            for stream in streams:
                stream.cancel()

    asyncio.run(ask())


def test_images_that_are_large_do_not_hold_up_others(same: ServerProcess) -> None:
    """What the event loop does with a photograph of 20 MP, or with a body of 60 MB, is short."""
    photograph = pictures.photograph(5200, 3900)
    padded = GOOD + bytes(60_000_000)
    many_markers = GOOD[:2] + b"\xff\xe1\x00\x02" * 10_000_000 + GOOD[2:]
    worst: list[float] = []
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        for body in (photograph, padded, many_markers):
            same.predict(GOOD)
            sent = [pool.submit(same.predict, body) for _ in range(3)]
            taken: list[float] = []
            while not all(future.done() for future in sent):
                begun = time.monotonic()
                assert same.client.get("/v2/health/live").status_code == 200
                taken.append(time.monotonic() - begun)
            assert {future.result().status_code for future in sent} == {200}
            worst.append(max(taken))
    assert max(worst) < 0.5, worst
