"""gRPC clients that do not take their answers: no client library can be such a one, so this speaks HTTP/2 by itself."""

from __future__ import annotations

import contextlib
import socket
import struct

import grpc_calls
from faulty import GOOD
from server_process import ServerProcess, until

DATA, HEADERS, SETTINGS = 0, 1, 4
END_STREAM, END_HEADERS, ACK = 1, 4, 1
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """RFC 9113, 4.1."""
    return len(payload).to_bytes(3, "big") + struct.pack(">BBI", kind, flags, stream) + payload


def field(name: bytes, value: bytes) -> bytes:
    """A header field as it is, RFC 7541, 6.2.2; both shorter than 127 bytes."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def call(stream: int, raw: bytes) -> bytes:
    """A ModelInfer."""
    fields = {
        b":method": b"POST",
        b":scheme": b"http",
        b":path": f"{grpc_calls.SERVICE}/ModelInfer".encode(),
        b":authority": b"test",
        b"te": b"trailers",
        b"content-type": b"application/grpc",
    }
    block = b"".join(field(name, value) for name, value in fields.items())
    message = b"\0" + struct.pack(">I", len(raw)) + raw
    return frame(HEADERS, END_HEADERS, stream, block) + frame(DATA, END_STREAM, stream, message)


def test_calls_whose_answers_are_not_taken() -> None:
    """Answers of 8 MB; the window of a stream is 64 KB, and the server's bound is 100 MB for all answers."""
    raw = grpc_calls.request([GOOD])
    with ServerProcess("python:faulty:model?numbers=1000000", "--max-held", "100", "--batch", "2") as server:
        server.infer([GOOD])
        before = server.rss_mb()
        with contextlib.ExitStack() as stack:
            for _ in range(4):
                connection = stack.enter_context(socket.create_connection(("127.0.0.1", server.grpc_port)))
                connection.sendall(PREFACE + frame(SETTINGS, 0, 0, b"") + frame(SETTINGS, ACK, 0, b""))
                connection.sendall(b"".join(call(2 * i + 1, raw) for i in range(20)))
            until(lambda: server.outcomes().get("ok", 0) == 81, 20)
            until(lambda: server.outcomes().get("overloaded", 0) == 80 - 100 // 8)
            assert server.rss_mb() - before < 400  # each answer is there twice
            assert server.predict(GOOD).status_code == 200  # HTTP has a bound of its own

        def answered() -> bool:
            with grpc_calls.channel(server.grpc_port) as channel, contextlib.suppress(Exception):
                return bool(grpc_calls.infer(channel, raw).model_name)
            return False

        until(answered, what="the connections are closed, and there is room again")
