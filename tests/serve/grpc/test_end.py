"""Draining: readiness falls, running calls are answered, everything else ends within the bound."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import grpc
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from fastpre.serve.inference import InferRequest, InferResponse
from fastpre.serve.protocol.schema import message
from grpc_serving import Served, answer_at_once, served, until

Client = triton.InferenceServerClient
WATCH = "/grpc.health.v1.Health/Watch"
SERVING, NOT_SERVING = 1, 2


def hold(server: Served) -> asyncio.Event:
    """Makes the service answer when the event is set."""
    released = asyncio.Event()

    async def answer(request: InferRequest) -> InferResponse:
        await released.wait()
        return await answer_at_once(request)

    server.service.answer = answer
    return released


def begin(client: Client, image: Any) -> list[Any]:
    """A call that runs; its result or error comes into the list."""
    found: list[Any] = []
    client.async_infer("net", [image], lambda result, error: found.append(error or result))
    return found


def test_running_calls_are_answered(server: Served, client: Client, image: Any) -> None:
    released = hold(server)
    found = begin(client, image)
    until(lambda: server.service.running == 1)
    draining = threading.Thread(target=server.drain, args=(10,))
    draining.start()
    until(lambda: server.server._state.draining.is_set())
    with Client(server.url) as other, pytest.raises(InferenceServerException) as refused:
        other.infer("net", [image], client_timeout=5)
    assert refused.value.status() == "StatusCode.UNAVAILABLE"
    server.loop.call_soon_threadsafe(released.set)
    draining.join(10)
    assert not draining.is_alive()
    until(lambda: len(found) == 1)
    assert found[0].as_numpy("sizes").tolist() == [1000, 2]


def test_calls_that_do_not_end_are_cut_off_after_the_grace(server: Served, client: Client, image: Any) -> None:
    hold(server)
    found = begin(client, image)
    until(lambda: server.service.running == 1)
    assert 0.2 <= server.drain(0.2) < 2
    assert server.service.running == 0
    until(lambda: len(found) == 1)
    assert found[0].status() == "StatusCode.UNAVAILABLE"


def test_idle_connections_and_streams_do_not_hold_it_up(server: Served, client: Client) -> None:
    errors: list[Any] = []
    client.start_stream(lambda result, error: errors.append(error))
    assert client.is_server_ready()
    with Client(server.url) as idle:
        assert idle.is_server_live()
        assert server.drain(20) < 5
        until(lambda: len(errors) == 1)
    assert "open a new stream" in errors[0].message()
    assert errors[0].status() == "StatusCode.UNAVAILABLE"


def test_a_stream_answers_what_it_has_read(server: Served, client: Client, image: Any) -> None:
    released = hold(server)
    found: list[Any] = []
    client.start_stream(lambda result, error: found.append(error or result))
    client.async_stream_infer("net", [image], request_id="a")
    until(lambda: server.service.running == 1)
    draining = threading.Thread(target=server.drain, args=(10,))
    draining.start()
    until(lambda: server.server._state.draining.is_set())
    server.loop.call_soon_threadsafe(released.set)
    draining.join(10)
    until(lambda: len(found) == 2)
    assert found[0].get_response().id == "a"
    assert "open a new stream" in found[1].message()


def health(channel: grpc.Channel, service: str = "") -> int:
    raw = channel.unary_unary("/grpc.health.v1.Health/Check")(asked(service))
    return int(message("grpc.health.v1.HealthCheckResponse").FromString(raw).status)


def asked(service: str = "") -> bytes:
    return bytes(message("grpc.health.v1.HealthCheckRequest")(service=service).SerializeToString())


def test_health_is_readiness(server: Served) -> None:
    with grpc.insecure_channel(server.url) as channel:
        assert health(channel) == SERVING
        assert health(channel, "inference.GRPCInferenceService") == SERVING
        server.service.ready = False
        assert health(channel) == NOT_SERVING
        with pytest.raises(grpc.RpcError) as caught:
            health(channel, "other")
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary("/grpc.health.v1.Health/Check")(b"\xff")
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_watchers_hear_of_changes_and_of_the_end(server: Served) -> None:
    with grpc.insecure_channel(server.url) as channel:
        (unknown,) = (next(iter(channel.unary_stream(WATCH)(asked("other")))),)
        assert unknown == b"\x08\x03"
        watched = channel.unary_stream(WATCH)(asked(), timeout=20)
        assert next(watched) == b"\x08\1"
        server.service.ready = False
        assert next(watched) == b"\x08\2"
        server.service.ready = True
        assert next(watched) == b"\x08\1"
        assert server.drain(10) < 5
        assert list(watched) == [b"\x08\2"]


def test_draining_twice_is_no_error() -> None:
    with served() as server:
        server.drain()
        server.drain()
