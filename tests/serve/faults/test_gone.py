"""Clients that go away, or stop waiting: what they took is free again at once, however they went and how many."""

from __future__ import annotations

import contextlib
import gc
import re
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

import faulty
import grpc_calls
import pictures
from faulty import GOOD
from server_process import ServerProcess, held, infer_body, post, until

LARGE = pictures.photograph(1200, 900)
PREDICT = post("/v1/predict", GOOD)


@pytest.fixture
def busy(server: ServerProcess, hold: Path) -> Iterator[ServerProcess]:
    """The server, while its model is in a batch that does not end."""
    with held(hold), server.connect() as first:
        first.sendall(post("/v1/predict", faulty.colour(faulty.HELD)))
        until(lambda: server.places()["running"] == 1)
        yield server


def waiting(server: ServerProcess) -> int:
    places = server.places()
    return places["queued"] + places["preprocessing"] + places["ready"]


def sent(server: ServerProcess, data: bytes) -> socket.socket:
    connection = server.connect()
    connection.sendall(data)
    return connection


def leave(connection: socket.socket, how: str) -> None:
    if how == "reset":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@pytest.mark.parametrize("how", ["closed", "reset"])
def test_while_it_waits(busy: ServerProcess, how: str) -> None:
    many = busy.places()["free"] + 10  # more than there are slots: the last ones are queued
    connections = [sent(busy, PREDICT) for _ in range(many)]
    until(lambda: waiting(busy) == many)
    assert busy.places()["queued"] >= 10
    for connection in connections:
        leave(connection, how)
    until(lambda: waiting(busy) == 0)
    assert busy.places()["running"] == 1  # the model is held still


def test_in_the_middle_of_a_batch(server: ServerProcess, hold: Path) -> None:
    with held(hold):
        with sent(server, post("/v1/predict", faulty.colour(faulty.HELD))):
            until(lambda: server.places()["running"] == 1)
        assert server.infer([GOOD], parameters={"timeout": 1_000_000}).status_code == 504
    until(lambda: server.places()["running"] == 0)


def test_with_requests_one_after_the_other_on_a_connection(busy: ServerProcess) -> None:
    connections = [sent(busy, PREDICT * 5) for _ in range(4)]
    until(lambda: waiting(busy) == 4)  # each connection's first
    for connection in connections:
        connection.close()
    until(lambda: waiting(busy) == 0)


def test_after_more_requests_on_a_connection_than_a_client_has_reason_for(server: ServerProcess) -> None:
    before = server.rss_mb()
    connections = []
    for _ in range(5):
        connection = server.connect()
        connection.settimeout(5)
        with contextlib.suppress(ConnectionError):
            connection.sendall(b"GET /v2/health/live HTTP/1.1\r\n\r\n" * 30_000)
        connections.append(connection)
    assert server.client.get("/v2/health/live", timeout=2).status_code == 200
    for connection in connections:
        connection.close()
    assert server.rss_mb() - before < 40


def test_requests_one_after_the_other_are_answered_in_their_order(server: ServerProcess) -> None:
    with sent(server, PREDICT * 3 + post("/v1/predict", b"no image")) as connection:
        data = b""
        while data.count(b"HTTP/1.1 ") < 4 or not data.endswith(b"}"):
            more = connection.recv(65536)
            assert more
            data += more
    assert re.findall(rb"HTTP/1.1 (\d+)", data) == [b"200"] * 3 + [b"422"]


def test_calls_that_are_cancelled(busy: ServerProcess) -> None:
    with grpc_calls.channel(busy.grpc_port) as channel:
        calls = [grpc_calls.start(channel, grpc_calls.request([GOOD, GOOD])) for _ in range(20)]
        until(lambda: waiting(busy) == 40)
        for call in calls[:10]:
            call.cancel()
        until(lambda: waiting(busy) == 20)
        late = grpc_calls.start(channel, grpc_calls.request([GOOD]), timeout=0.5)
        with pytest.raises(grpc.RpcError):
            late.result(5)
        # Or it is refused at once: it would take longer than it can bear.
        assert late.code() in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED)
    until(lambda: waiting(busy) == 0)  # the channel is closed, and the other ten with it


def test_a_request_with_many_images_counts_as_many(busy: ServerProcess) -> None:
    free, limit = busy.places()["free"], 64
    with contextlib.ExitStack() as stack:
        for _ in range(free):
            stack.enter_context(sent(busy, PREDICT))
        until(lambda: busy.places()["free"] == 0)
        body, headers = infer_body([GOOD] * 40)
        stack.enter_context(sent(busy, post("/v2/models/faulty/infer", body, headers=headers)))
        until(lambda: busy.places()["queued"] == 40)
        response = busy.infer([GOOD] * 25)  # 24 would fit
        assert (response.status_code, response.json()["code"]) == (503, "overloaded")
        assert int(response.headers["Retry-After"]) >= 1
        with grpc_calls.channel(busy.grpc_port) as channel, pytest.raises(grpc.RpcError) as caught:
            grpc_calls.infer(channel, grpc_calls.request([GOOD] * 25))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert int(grpc_calls.trailers(caught.value)["grpc-retry-pushback-ms"]) >= 0
        body, headers = infer_body([GOOD] * 24)
        stack.enter_context(sent(busy, post("/v2/models/faulty/infer", body, headers=headers)))
        until(lambda: busy.places()["queued"] == limit)
        response = busy.predict(GOOD)  # now there is no room for a single one: it is refused before its body is read
        assert response.status_code == 503
    until(lambda: waiting(busy) == 0)


def in_the_upload(server: ServerProcess) -> socket.socket:
    return sent(server, post("/v1/predict", LARGE[: len(LARGE) // 2], length=len(LARGE)))


def in_the_headers(server: ServerProcess) -> socket.socket:
    return sent(server, b"POST /v1/predict HTTP/1.1\r\nHost: t")


def before_the_answer(server: ServerProcess) -> socket.socket:
    return sent(server, PREDICT)


def in_a_form(server: ServerProcess) -> socket.socket:
    head = b'--b\r\ncontent-disposition: form-data; name="i"; filename="i"\r\n\r\n'
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    return sent(server, post("/v1/predict", head + LARGE[:200_000], length=10_000_000, headers=kind))


WAYS: list[Callable[[ServerProcess], socket.socket]] = [in_the_upload, in_the_headers, before_the_answer, in_a_form]


def test_a_thousand_of_them_leave_nothing(server: ServerProcess) -> None:
    def some(count: int) -> None:
        for at in range(0, count, 20):
            connections = [WAYS[i % 4](server) for i in range(at, at + 20)]
            for i, connection in enumerate(connections):
                leave(connection, "reset" if i % 3 else "closed")
        until(lambda: server.process.num_fds() <= descriptors + 2)

    gc.collect()
    descriptors = server.process.num_fds()
    some(200)
    before = server.rss_mb()
    some(1000)
    assert server.rss_mb() - before < 30
    until(lambda: waiting(server) == 0)
    assert server.predict(LARGE).status_code == 200
