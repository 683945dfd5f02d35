"""ModelStreamInfer with the unmodified tritonclient: each request for itself, and an end in every case."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from tritonclient.grpc import service_pb2, service_pb2_grpc

from fastpre.serve.errors import ImageRefused, Overloaded
from fastpre.serve.inference import InferRequest, InferResponse
from grpc_serving import Served, answer_at_once, served, until

Client = triton.InferenceServerClient


def input_of(data: bytes) -> Any:
    it = triton.InferInput("image", [1], "BYTES")
    it.set_data_from_numpy(np.array([data], np.object_))
    return it


class Answers:
    """What a stream's callback has had, in order."""

    def __init__(self) -> None:
        self._queue: queue.Queue[tuple[Any, Any]] = queue.Queue()

    def __call__(self, result: Any, error: Any) -> None:
        self._queue.put((result, error))

    def next(self) -> tuple[Any, Any]:
        return self._queue.get(timeout=10)

    def ids(self, count: int) -> list[str]:
        return [self.next()[0].get_response().id for _ in range(count)]


@pytest.fixture
def answers(client: Client) -> Iterator[Answers]:
    """An open stream."""
    it = Answers()
    client.start_stream(it)
    yield it
    client.stop_stream(cancel_requests=True)


def send(client: Client, *ids: str, **options: Any) -> None:
    for each in ids:
        client.async_stream_infer("net", [input_of(each.encode())], request_id=each, **options)


def test_every_request_is_answered(client: Client, answers: Answers) -> None:
    ids = [str(index) for index in range(100)]
    send(client, *ids)
    assert sorted(answers.ids(100)) == sorted(ids)


def test_a_slow_request_holds_no_other_back(server: Served, client: Client, answers: Answers) -> None:
    released = asyncio.Event()

    async def answer(request: InferRequest) -> InferResponse:
        if request.id == "slow":
            await released.wait()
        return await answer_at_once(request)

    server.service.answer = answer
    send(client, "slow", "a", "b")
    assert sorted(answers.ids(2)) == ["a", "b"]
    server.loop.call_soon_threadsafe(released.set)
    assert answers.ids(1) == ["slow"]


def test_errors_are_in_the_stream_and_do_not_end_it(server: Served, client: Client, answers: Answers) -> None:
    async def answer(request: InferRequest) -> InferResponse:
        if request.id == "bad":
            raise ImageRefused("no JPEG", index=0)
        if request.id == "fault":
            raise RuntimeError("a secret")
        if request.id == "cancelled":
            raise asyncio.CancelledError
        return await answer_at_once(request)

    server.service.answer = answer
    for each, reason in (("bad", "no JPEG"), ("fault", "internal error"), ("cancelled", "cancelled inside")):
        send(client, each)
        result, error = answers.next()
        assert result is None
        assert reason in error.message()
        assert "secret" not in error.message()
    client.async_stream_infer("nothing", [], request_id="x")
    assert "no model 'nothing'" in answers.next()[1].message()
    send(client, "good")
    assert answers.ids(1) == ["good"]


def test_a_failed_response_says_for_machines_what_failed(server: Served) -> None:
    """tritonclient shows only the text; other clients see which request it was, and why."""
    server.refusal = Overloaded("full", retry_after_s=0.5)
    with grpc.insecure_channel(server.url) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        (found,) = stub.ModelStreamInfer(iter([service_pb2.ModelInferRequest(model_name="net", id="r")]))
    assert (found.error_message, found.infer_response.id, found.infer_response.model_name) == ("full", "r", "net")
    assert found.infer_response.parameters["error_code"].string_param == "overloaded"
    assert found.infer_response.parameters["retry_after_s"].double_param == 0.5


def test_bytes_that_are_no_message_do_not_end_the_stream(server: Served) -> None:
    with grpc.insecure_channel(server.url) as channel:
        call = channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")
        found = [service_pb2.ModelStreamInferResponse.FromString(raw) for raw in call(iter([b"\xff", b"\xff"]))]
    assert [each.error_message for each in found] == ["the message is no ModelInferRequest"] * 2


def test_the_last_response_says_so_if_asked(client: Client, answers: Answers) -> None:
    send(client, "a", enable_empty_final_response=True)
    response = answers.next()[0].get_response()
    assert response.id == "a"
    assert response.parameters["triton_final_response"].bool_param


def test_a_stream_has_a_bounded_number_of_requests_at_work() -> None:
    most = 0
    full = asyncio.Event()

    async def answer(request: InferRequest) -> InferResponse:
        nonlocal most
        most = max(most, server.service.running)
        if most == 3:
            full.set()
        await full.wait()
        return await answer_at_once(request)

    with served(max_streamed=3) as server, Client(server.url) as client:
        server.service.answer = answer
        answers = Answers()
        client.start_stream(answers)
        send(client, *"abcdefghijkl")
        assert sorted(answers.ids(12)) == list("abcdefghijkl")
        client.stop_stream()
    assert most == 3


def waiting(server: Served) -> list[str]:
    """Makes the service wait for ever; the ids of what was cancelled."""
    cancelled: list[str] = []

    async def answer(request: InferRequest) -> InferResponse:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.append(request.id)
            raise
        raise AssertionError

    server.service.answer = answer
    return cancelled


def test_a_client_that_goes_away_gives_its_slots_back(server: Served, client: Client) -> None:
    cancelled = waiting(server)
    client.start_stream(Answers())
    send(client, "a", "b", "c")
    until(lambda: server.service.running == 3)
    client.stop_stream(cancel_requests=True)
    until(lambda: server.service.running == 0)
    assert sorted(cancelled) == ["a", "b", "c"]


def test_the_deadline_of_the_stream_is_each_requests(server: Served, client: Client) -> None:
    answers = Answers()
    client.start_stream(answers, stream_timeout=50)
    send(client, "a")
    assert answers.ids(1) == ["a"]
    deadline = server.service.requests[0].deadline
    assert deadline is not None
    assert deadline - server.service.requests[0].arrived == pytest.approx(50, abs=3)
    client.stop_stream()


def test_the_asynchronous_client() -> None:
    async def requests() -> AsyncIterator[dict[str, Any]]:
        for each in ("a", "b"):
            yield {"model_name": "net", "inputs": [input_of(each.encode())], "request_id": each}
        yield {"model_name": "nothing", "inputs": []}

    async def use(url: str) -> None:
        async with triton_aio.InferenceServerClient(url) as client:
            found = [each async for each in client.stream_infer(requests())]
        assert sorted(result.get_response().id for result, _ in found if result) == ["a", "b"]
        assert ["no model 'nothing'" in error.message() for _, error in found if error] == [True]

    with served() as server:
        asyncio.run(use(server.url))


def test_many_streams_at_a_time(server: Served) -> None:
    failures: list[str] = []

    def use(name: str) -> None:
        answers = Answers()
        with Client(server.url) as client:
            client.start_stream(answers)
            send(client, *(f"{name}{index}" for index in range(20)))
            found = answers.ids(20)
            client.stop_stream()
        if {each[0] for each in found} != {name}:
            failures.append(name)

    threads = [threading.Thread(target=use, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == []
    assert len(server.service.requests) == 80
