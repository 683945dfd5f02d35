"""More requests than a server can answer: the rest is refused at once, and what it can do is done."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import grpc
import numpy as np
import pytest

import grpc_calls
from faulty import GOOD
from server_process import ServerProcess, post

BATCH, SLEEP_S, QUEUE = 4, 0.1, 16
CAPACITY = BATCH / SLEEP_S  # images per second, if the server adds nothing


@pytest.fixture(scope="module")
def small() -> Iterator[ServerProcess]:
    """A server with little capacity, so that little load is too much."""
    options = ("--batch", f"{BATCH}", "--queue", f"{QUEUE}", "--target-p99", "1000")
    with ServerProcess(f"python:faulty:model?ms={SLEEP_S * 1e3:g}", *options) as found:
        yield found


class Answer(NamedTuple):
    """Seconds after the begin of the test at which it was sent and answered."""

    sent: float
    answered: float
    status: int
    retry_after: str


async def open_loop(server: ServerProcess, times: Sequence[float]) -> tuple[list[Answer], list[int]]:
    """Requests at their times, whatever becomes of the earlier ones; and how many images waited, now and then."""
    begun = time.monotonic()
    depths: list[int] = []
    free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(at: float) -> Answer:
        await asyncio.sleep(begun + at - time.monotonic())
        sent = time.monotonic() - begun
        reader, writer = free.pop() if free else await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(post("/v1/predict", GOOD))
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
        fields = dict(re.findall(r"([\w-]+): (.*)\r", head.decode()))
        await reader.readexactly(int(fields["content-length"]))
        free.append((reader, writer))
        return Answer(sent, time.monotonic() - begun, int(head[9:12]), fields.get("retry-after", ""))

    async def look() -> None:
        while True:
            depths.append((await asyncio.to_thread(server.places))["queued"])
            await asyncio.sleep(0.1)

    looking = asyncio.create_task(look())
    answers = await asyncio.gather(*map(ask, times))
    looking.cancel()
    for _, writer in free:
        writer.close()
        await writer.wait_closed()
    return answers, depths


def test_two_and_a_half_times_its_capacity(small: ServerProcess) -> None:
    seconds = 2.5
    times = np.arange(0, seconds, 1 / (2.5 * CAPACITY)).tolist()
    answers, depths = asyncio.run(open_loop(small, times))
    assert {answer.status for answer in answers} == {200, 503}
    served = [answer for answer in answers if answer.status == 200]
    refused = [answer for answer in answers if answer.status == 503]
    # Between the first and the last answer it did nothing but serve.
    goodput = len(served) / (max(answer.answered for answer in served) - served[0].sent)
    assert goodput > 0.8 * CAPACITY
    assert all(int(answer.retry_after) >= 1 for answer in refused)
    assert max(depths) <= QUEUE
    # What is taken is answered within what the queue and the slots hold; what is not, at once.
    holds = (QUEUE + small.places()["free"] + BATCH) / CAPACITY
    assert np.percentile([answer.answered - answer.sent for answer in served], 95) < holds + 0.5
    assert np.median([answer.answered - answer.sent for answer in refused]) < 0.1


def test_calls_are_told_when_to_come_again(small: ServerProcess) -> None:
    with grpc_calls.channel(small.grpc_port) as channel:
        calls = [grpc_calls.start(channel, grpc_calls.request([GOOD])) for _ in range(100)]
        codes = [call.code() for call in calls]
    assert set(codes) == {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
    refused = [call for call in calls if call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED]
    assert all(int(grpc_calls.trailers(call)["grpc-retry-pushback-ms"]) > 0 for call in refused)
    assert all(grpc_calls.trailers(call)["error-code"] == "overloaded" for call in refused)


@pytest.mark.parametrize("shape", [1.0, 0.25], ids=["Poisson", "bursts"])
def test_uneven_arrivals_below_its_capacity_are_all_taken(small: ServerProcess, shape: float) -> None:
    rate = 0.6 * CAPACITY
    gaps = np.random.default_rng(1).gamma(shape, 1 / (rate * shape), int(2.5 * rate))  # shape 1: exponential
    answers, _ = asyncio.run(open_loop(small, np.cumsum(gaps).tolist()))
    assert {answer.status for answer in answers} == {200}


def test_a_request_that_cannot_be_in_time_is_not_begun(small: ServerProcess) -> None:
    with grpc_calls.channel(small.grpc_port) as channel:
        ahead = [grpc_calls.start(channel, grpc_calls.request([GOOD] * 8)) for _ in range(2)]
        begun = time.monotonic()
        while small.places()["running"] + small.places()["ready"] < 8:
            assert time.monotonic() < begun + 5
        response = small.infer([GOOD], parameters={"timeout": 10_000})
        assert (response.status_code, response.json()["code"]) == (503, "overloaded")
        assert "longer than the request's timeout" in response.json()["error"]
        assert all(call.result(10) for call in ahead)
