"""The whole server over real sockets, in a thread of the test."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fastpre.serve.engine import Engine, Settings
from fastpre.serve.models.info import model_info
from fastpre.serve.observing.recorder import Recorder
from fastpre.serve.server import Listen, Server
from fastpre.serve.service import EngineService
from serving import Means


def until(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    """What the condition gives, once it is true."""
    ends = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.01)


@contextlib.contextmanager
def served(*models: Means, **settings: Any) -> Iterator[EngineService]:
    """A service of some models, each with an engine that is started."""
    engines, recorders = {}, {}
    for model in models or (Means(),):
        recorders[model.name] = Recorder()
        knobs = Settings(**{"threads": 2, "batch": 8, **settings})
        engines[model.name] = Engine(model, knobs, observe=recorders[model.name]).start()
    infos = {name: model_info(engine.model, max_batch=16) for name, engine in engines.items()}
    try:
        yield EngineService("fastpre", "1.2.3", engines, infos, recorders)
    finally:
        for engine in engines.values():
            engine.close(0)


@contextlib.contextmanager
def running(service: EngineService, **listen: Any) -> Iterator[Server]:
    """The server, which listens; afterwards it has drained."""
    started = threading.Event()
    found: list[tuple[Server, asyncio.AbstractEventLoop]] = []
    failed: list[BaseException] = []

    async def run() -> None:
        server = Server(service, Listen(**{"port": 0, "grpc_port": None, "drain_s": 1.0, **listen}))
        found.append((server, asyncio.get_running_loop()))
        await server.run(lambda _: started.set())

    def thread() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:
            failed.append(error)
            started.set()

    running_ = threading.Thread(target=thread)
    running_.start()
    try:
        assert started.wait(20)
        assert not failed, failed
        yield found[0][0]
    finally:
        for server, loop in found:
            with contextlib.suppress(RuntimeError):  # it has ended by itself
                loop.call_soon_threadsafe(server.stop)
        running_.join(20)
        assert not running_.is_alive()


def ask(
    port: int, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> tuple[int, Mapping[str, str], bytes]:
    """One request: status, headers by lower-case name, body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET" if body is None else "POST", path, body, dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def live(port: int, after: int | None = None) -> Any:
    """The page's numbers."""
    status, _, body = ask(port, "/v1/live" if after is None else f"/v1/live?after={after}")
    assert status == 200
    return json.loads(body)
