"""Connections: headers that do not end, in time or in bytes, and what follows an answer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

import http_serving as serving
from fastpre.serve.http import Application, Connection


class Strict(Connection):
    header_timeout_s = 0.3
    max_header_bytes = 4000
    max_dropped_bytes = 20_000


@pytest.fixture(scope="module")
def address() -> Iterator[serving.Address]:
    with serving.running(Application(serving.FakeService()), Strict, keep_alive_s=1) as found:
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
def test_headers_that_do_not_end_in_time(address: serving.Address, sent: bytes) -> None:
    with address.connect() as connection:
        connection.sendall(sent)
        got = rest(connection)
    assert got.count(b"HTTP/1.1 ") == (LIVE in sent) + (REFUSED in sent)


@pytest.mark.parametrize("sent", [b"GET /" + b"a" * 5000, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 1000, b"\r\n" * 3000])
def test_headers_of_too_many_bytes(address: serving.Address, sent: bytes) -> None:
    with address.connect() as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for at in range(0, len(sent), 500):
                connection.sendall(sent[at : at + 500])
        assert b"200" not in rest(connection)


def test_the_rest_of_a_refused_body_is_bounded(address: serving.Address) -> None:
    with address.connect() as connection:
        connection.sendall(REFUSED.replace(b"1000000", b"1000000000"))
        assert b"404" in connection.recv(65536)
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            for _ in range(1000):
                connection.sendall(bytes(1_000_000))


def test_several_requests_of_one_connection(address: serving.Address) -> None:
    with address.connect() as connection:
        connection.sendall(LIVE * 3 + LIVE[:-2])
        got = b""
        while got.count(b'{"live":true}') < 3:
            got += connection.recv(65536)
        connection.sendall(b"X: y\r\n\r\n")
        assert b'{"live":true}' in connection.recv(65536)
