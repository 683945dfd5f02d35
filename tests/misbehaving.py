"""An HTTP server on this machine that answers as a test says: late, badly, or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

METADATA: dict[str, Any] = {
    "/v2": {"name": "misbehaving", "version": "1"},
    "/v2/repository/index": [{"name": "m"}],
    "/v2/models/m": {"name": "m", "inputs": [{"name": "image", "datatype": "BYTES", "shape": [-1]}]},
}


@dataclasses.dataclass(frozen=True)
class Arrived:
    """A request: its place among those for inference, and what it is."""

    number: int
    path: str
    headers: dict[str, str]
    body: bytes


@dataclasses.dataclass(frozen=True)
class Answer:
    """What is sent back, and how."""

    status: int = 200
    body: bytes = b"{}"
    headers: tuple[tuple[str, str], ...] = ()
    after_s: float = 0.0
    chunked: bool = False
    close: bool = False  # after the answer, announced
    unsized: bool = False  # the end of the connection is the end of the answer
    raw: bytes | None = None  # instead of all that
    drop: bool = False  # the connection, without an answer, or after `raw`


@dataclasses.dataclass
class Server:
    """What it has seen."""

    port: int = 0
    arrived: list[Arrived] = dataclasses.field(default_factory=list)
    connections: int = 0
    gone: int = 0  # clients that closed before their answer

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class Handler:
    def __init__(self, server: Server, answer: Callable[[Arrived], Answer], metadata: dict[str, Any]) -> None:
        self.server = server
        self.answer = answer
        self.metadata = metadata

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.server.connections += 1
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self.one(reader, writer):
                    pass
        finally:
            writer.close()

    async def one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answers one request; False: the connection is over."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        path = head[0].split(" ")[1]
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        if path in self.metadata:
            answer = Answer(body=json.dumps(self.metadata[path]).encode())
        else:
            request = Arrived(len(self.server.arrived), path, headers, body)
            self.server.arrived.append(request)
            answer = self.answer(request)
        if answer.after_s:
            left = asyncio.ensure_future(reader.read(1))
            done, _ = await asyncio.wait([left], timeout=answer.after_s)
            if done:
                self.server.gone += 1
                return False
            left.cancel()
            await asyncio.wait([left])
        writer.write(written(answer))
        await writer.drain()
        return not (answer.drop or answer.close or answer.unsized)


def written(answer: Answer) -> bytes:
    """The answer's bytes."""
    if answer.raw is not None or answer.drop:
        return answer.raw or b""
    lines = [f"HTTP/1.1 {answer.status} Word", *(f"{name}: {value}" for name, value in answer.headers)]
    body = answer.body
    if answer.chunked:
        lines.append("transfer-encoding: chunked")
        body = b"".join(b"1\r\n" + body[i : i + 1] + b"\r\n" for i in range(len(body))) + b"0\r\n\r\n"
    elif not answer.unsized:
        lines.append(f"content-length: {len(body)}")
    if answer.close:
        lines.append("connection: close")
    return "\r\n".join([*lines, "", ""]).encode() + body


@contextlib.contextmanager
def misbehaving(
    answer: Callable[[Arrived], Answer] = lambda request: Answer(), metadata: dict[str, Any] | None = None
) -> Iterator[Server]:
    """A server in a thread of its own, on a free port of 127.0.0.1."""
    server = Server()
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    stop = loop.create_future()

    async def main() -> None:
        handler = Handler(server, answer, METADATA if metadata is None else metadata)
        listening = await asyncio.start_server(handler.serve, "127.0.0.1", 0, backlog=1024)
        server.port = listening.sockets[0].getsockname()[1]
        ready.set()
        await stop
        listening.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()))
    thread.start()
    assert ready.wait(10)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set_result, None)
        thread.join(10)
        assert not thread.is_alive()
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()
