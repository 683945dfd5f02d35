"""Calls that fail: what the client is told, that nothing leaks, and that the rest goes on."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

from fastpre.serve.errors import ImageRefused, ModelFailed, Overloaded, ServeError
from fastpre.serve.inference import InferRequest, InferResponse
from grpc_serving import Answer, Served, answer_at_once, served, until

Client = triton.InferenceServerClient
INFER = "/inference.GRPCInferenceService/ModelInfer"


@pytest.fixture
def channel(server: Served) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.url) as it:
        yield it


def asked(**fields: Any) -> Any:
    return service_pb2.ModelInferRequest(model_name="net", **fields)


def failure(call: Any) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value


def failing(error: Exception) -> Answer:
    async def answer(request: InferRequest) -> InferResponse:
        raise error

    return answer


def blocking() -> tuple[Answer, threading.Event]:
    """An answer that never comes, and what is set when it is cancelled."""
    cancelled = threading.Event()

    async def answer(request: InferRequest) -> InferResponse:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        raise AssertionError

    return answer, cancelled


def one_image(data: bytes = b"\1\0\0\0a") -> Any:
    tensor = {"name": "image", "datatype": "BYTES", "shape": [1]}
    return asked(inputs=[tensor], raw_input_contents=[data])


@pytest.mark.parametrize(
    ("error", "code", "trailers"),
    [
        (ImageRefused("no JPEG", index=3), "INVALID_ARGUMENT", {"error-code": "corrupt_image", "image-index": "3"}),
        (
            Overloaded("no room", retry_after_s=0.0121),
            "RESOURCE_EXHAUSTED",
            {"error-code": "overloaded", "grpc-retry-pushback-ms": "13"},
        ),
        (ModelFailed("out of memory"), "INTERNAL", {"error-code": "model_failed"}),
    ],
)
def test_errors_of_the_service(
    server: Served, channel: grpc.Channel, error: ServeError, code: str, trailers: dict[str, str]
) -> None:
    server.service.answer = failing(error)
    stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
    found = failure(lambda: stub.ModelInfer(one_image()))
    assert (found.code().name, found.details()) == (code, error.reason)
    assert dict(found.trailing_metadata()) == trailers


def test_a_fault_of_ours_is_logged_and_not_shown(
    server: Served, channel: grpc.Channel, caplog: pytest.LogCaptureFixture
) -> None:
    stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
    for error in (RuntimeError("a secret"), asyncio.CancelledError("a secret")):
        server.service.answer = failing(error)  # type: ignore[arg-type]
        with caplog.at_level(logging.ERROR):
            found = failure(lambda: stub.ModelInfer(one_image(), timeout=10))
        assert found.code() == grpc.StatusCode.INTERNAL
        assert dict(found.trailing_metadata())["error-code"] == "internal"
        assert "secret" not in str(found)
        assert "Traceback" not in str(found)
    assert "RuntimeError: a secret" in caplog.text
    server.service.answer = answer_at_once
    assert stub.ModelInfer(one_image()).outputs


def test_malformed_messages(server: Served, channel: grpc.Channel) -> None:
    raw = channel.unary_unary(INFER)
    assert failure(lambda: raw(b"\xff\xff\xff")).details() == "the message is no ModelInferRequest"
    found = failure(lambda: raw(one_image(b"\x09\0\0\0a").SerializeToString()))
    assert found.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "'image': element 0" in found.details()
    assert ("error-code", "invalid_request") in found.trailing_metadata()
    config = channel.unary_unary("/inference.GRPCInferenceService/ModelConfig")
    assert failure(lambda: config(b"\xff")).details() == "the message is no ModelConfigRequest"
    no_message = channel.stream_unary(INFER)
    assert failure(lambda: no_message(iter(()))).details() == "the call has no message"
    unknown = channel.unary_unary("/inference.GRPCInferenceService/Nothing")
    assert failure(lambda: unknown(b"")).code() == grpc.StatusCode.UNIMPLEMENTED
    assert server.service.requests == []


def test_long_reasons_fit_into_headers(server: Served, channel: grpc.Channel) -> None:
    """A tensor's name is the client's to choose, and clients close connections over long headers."""
    stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
    request = asked(inputs=[{"name": "é" * 100_000, "datatype": "FP8", "shape": [1]}], raw_input_contents=[b""])
    found = failure(lambda: stub.ModelInfer(request))
    assert found.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert found.details().endswith("é…")
    assert stub.ModelInfer(one_image()).outputs


def test_stage_times_are_in_the_trailing_metadata(channel: grpc.Channel) -> None:
    _, call = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer.with_call(one_image())
    assert ("server-timing", "queue;dur=0.250, infer;dur=1.500") in call.trailing_metadata()


def test_the_trace_context_arrives(server: Served, client: Client, image: Any) -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    client.infer("net", [image], headers={"traceparent": parent})
    assert server.service.requests[0].traceparent == parent


def test_the_earlier_of_both_deadlines_counts(server: Served, client: Client, image: Any) -> None:
    for client_timeout, timeout, seconds in ((None, 50_000_000, 50), (60, 50_000_000, 50), (40, 50_000_000, 40)):
        client.infer("net", [image], client_timeout=client_timeout, timeout=timeout)
        request = server.service.requests[-1]
        assert request.deadline is not None
        assert request.deadline - request.arrived == pytest.approx(seconds, abs=3)


def test_a_deadline_that_passes_gives_the_slot_back(server: Served, client: Client, image: Any) -> None:
    server.service.answer, cancelled = blocking()
    with pytest.raises(InferenceServerException, match="Deadline Exceeded"):
        client.infer("net", [image], client_timeout=0.05)
    assert cancelled.wait(10)
    until(lambda: server.service.running == 0)


def test_cancelling_gives_the_slot_back(server: Served, client: Client, image: Any) -> None:
    server.service.answer, cancelled = blocking()
    failed = threading.Event()
    call = client.async_infer("net", [image], lambda result, error: failed.set())
    until(lambda: server.service.running == 1)
    call.cancel()
    assert cancelled.wait(10)
    assert failed.wait(10)
    until(lambda: server.service.running == 0)


def test_a_client_that_goes_away_gives_the_slot_back(server: Served) -> None:
    server.service.answer, cancelled = blocking()
    channel = grpc.insecure_channel(server.url)
    call = channel.unary_unary(INFER).future(one_image().SerializeToString())
    until(lambda: server.service.running == 1)
    channel.close()
    assert cancelled.wait(10)
    assert call.code() == grpc.StatusCode.CANCELLED


def test_admission_comes_before_the_message(server: Served, channel: grpc.Channel) -> None:
    """What is refused is not read: the iterator never gives its message."""
    server.refusal = Overloaded("full", retry_after_s=1)
    stop = threading.Event()

    def never() -> Iterator[bytes]:
        stop.wait(10)
        yield b""

    found = failure(lambda: channel.stream_unary(INFER)(never(), timeout=10))
    assert (found.code().name, found.details()) == ("RESOURCE_EXHAUSTED", "full")
    assert ("grpc-retry-pushback-ms", "1000") in found.trailing_metadata()
    stop.set()
    assert channel.unary_unary("/inference.GRPCInferenceService/ServerLive")(b"") == b"\x08\1"


def test_a_fault_in_admission_is_not_shown(server: Served, channel: grpc.Channel) -> None:
    def fault() -> None:
        raise RuntimeError("a secret")

    server.server._state.admit = fault
    found = failure(lambda: channel.unary_unary(INFER)(one_image().SerializeToString()))
    assert (found.code().name, found.details()) == ("INTERNAL", "internal error; the server's log says more")


def test_calls_have_a_largest_number_and_probes_still_pass(image: Any) -> None:
    with served(max_calls=2) as server, Client(server.url) as client:
        server.service.answer, _ = blocking()
        calls = [client.async_infer("net", [image], lambda result, error: None) for _ in range(2)]
        until(lambda: server.service.running == 2)
        client.start_stream(lambda result, error: None)
        with pytest.raises(InferenceServerException, match="2 calls are running") as caught:
            client.infer("net", [image])
        assert caught.value.status() == "StatusCode.RESOURCE_EXHAUSTED"
        assert client.is_server_live()
        for call in calls:
            call.cancel()
        until(lambda: not server.server._state.running)
        client.stop_stream()
        server.service.answer = answer_at_once
        assert client.infer("net", [image]).as_numpy("sizes").tolist() == [1000, 2]


def test_a_message_that_does_not_arrive() -> None:
    stop = threading.Event()

    def never() -> Iterator[bytes]:
        stop.wait(10)
        yield b""

    with served(body_timeout_s=0.05) as server, grpc.insecure_channel(server.url) as channel:
        found = failure(lambda: channel.stream_unary(INFER)(never(), timeout=10))
        assert found.details() == "the request did not arrive within 0.05 s"
        assert ("error-code", "body_too_slow") in found.trailing_metadata()
        stop.set()


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_messages_have_a_largest_size_also_when_they_are_compressed(compression: grpc.Compression) -> None:
    with served(max_message_bytes=1 << 16) as server:
        with grpc.insecure_channel(server.url) as channel:
            call = channel.unary_unary(INFER)
            found = failure(lambda: call(bytes(1 << 24), compression=compression))
            assert found.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
            assert call(one_image().SerializeToString())
        assert len(server.service.requests) == 1


def test_a_port_is_taken_once(server: Served) -> None:
    began = time.monotonic()
    with pytest.raises(OSError, match=f"127.0.0.1:{server.server.port}"), served(port=server.server.port):
        pass
    assert time.monotonic() - began < 10
