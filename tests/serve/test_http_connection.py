"""Connections: headers that do not end, in time or in bytes, and what follows an answer."""

from __future__ import annotations

import contextlib
import json
import select
from collections.abc import Iterator
from typing import Any

import pytest

import http_serving as serving
from fastpre.serve.http import Application, Connection


class Hasty(Connection):
    header_timeout_s = 0.3


class Strict(Connection):
    max_header_bytes = 4000
    max_dropped_bytes = 20_000
    drain_timeout_s = 0.3


@pytest.fixture(scope="module")
def hasty() -> Iterator[serving.Address]:
    with serving.running(Application(serving.FakeService()), Hasty, keep_alive_s=1) as found:
        yield found


@pytest.fixture(scope="module")
def strict() -> Iterator[serving.Address]:
    with serving.running(Application(serving.FakeService()), Strict) as found:
        yield found


def rest(connection: Any) -> bytes:
    """All that comes until the connection is closed; without that, a timeout."""
    got = b""
    with contextlib.suppress(ConnectionResetError):
        while data := connection.recv(65536):
            got += data
    return got


LIVE = b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
REFUSED = b"POST /v2/nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HT",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: ",
        LIVE + b"GET /",
        b"\r\n\r\n",
        REFUSED,
        REFUSED + bytes(100),
    ],
)
def test_headers_that_do_not_end_in_time(hasty: serving.Address, sent: bytes) -> None:
    with hasty.connect() as connection:
        connection.sendall(sent)
        got = rest(connection)
    assert got.count(b"HTTP/1.1 ") == (LIVE in sent) + (REFUSED in sent)


@pytest.mark.parametrize("sent", [b"GET /" + b"a" * 5000, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 1000, b"\r\n" * 3000])
def test_headers_of_too_many_bytes(strict: serving.Address, sent: bytes) -> None:
    with strict.connect() as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for at in range(0, len(sent), 500):
                connection.sendall(sent[at : at + 500])
        assert b"200" not in rest(connection)


def test_the_rest_of_a_refused_body_is_bounded(strict: serving.Address) -> None:
    with strict.connect() as connection:
        connection.sendall(REFUSED.replace(b"1000000", b"1000000000"))
        assert b"404" in connection.recv(65536)
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            connection.sendall(bytes(1_000_000_000))


def test_an_answer_that_is_not_taken(strict: serving.Address) -> None:
    pixels = bytes(8_000_000)
    tensor = {"name": "x", "shape": [1, 2_000_000], "datatype": "FP32", "parameters": {"binary_data_size": len(pixels)}}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}})
    with strict.connect() as connection:
        connection.sendall(
            b"POST /v2/models/mirror/infer HTTP/1.1\r\nHost: localhost\r\nInference-Header-Content-Length: "
            + f"{len(head)}\r\nContent-Length: {len(head) + len(pixels)}\r\n\r\n{head}".encode()
            + pixels
        )
        poll = select.poll()
        poll.register(connection, 0)
        assert poll.poll(10_000), "the connection is still there"
        assert len(rest(connection)) < len(pixels)


class Unsent:
    """A transport whose client has left some bytes at each look."""

    def __init__(self, *left: int) -> None:
        self.left = list(left)
        self.aborted = False

    def get_write_buffer_size(self) -> int:
        return self.left[0]

    def abort(self) -> None:
        self.aborted = True

    def get_extra_info(self, name: str) -> Any:
        return self

    def setsockopt(self, *arguments: Any) -> None:
        assert not self.aborted


class Timers:
    """A loop whose timers go off when the test says so."""

    def __init__(self) -> None:
        self.due: list[Any] = []

    def call_later(self, seconds: float, call: Any, *arguments: Any) -> object:
        self.due.append(lambda: call(*arguments))
        return object()


@pytest.mark.parametrize(
    ("left", "aborted"),
    [
        ((200_000, 100_000, 30_000, 0), False),
        ((200_000, 199_000), True),
        ((200_000, 100_000, 99_000), True),
        ((30_000, 20_000), True),
    ],
)
def test_slow_readers_are_let_go_on(left: tuple[int, ...], aborted: bool) -> None:
    connection = Connection.__new__(Connection)
    transport, timers = Unsent(*left), Timers()
    connection.transport, connection.loop = transport, timers  # type: ignore[assignment]
    connection._watch_draining()
    for _ in left[1:]:
        connection._watch_draining()  # a second call changes nothing
        (due,) = timers.due
        timers.due.clear()
        transport.left.pop(0)
        due()
    assert transport.aborted == aborted
    assert not timers.due


def test_several_requests_of_one_connection(strict: serving.Address) -> None:
    with strict.connect() as connection:
        connection.sendall(LIVE * 3 + LIVE[:-2])
        got = b""
        while got.count(b'{"live":true}') < 3:
            got += connection.recv(65536)
        connection.sendall(b"X: y\r\n\r\n")
        assert b'{"live":true}' in connection.recv(65536)
