"""Brokers that are away, come back empty, or keep what is out of date."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import pytest
import redis

import brokers
import obedient_model
from fastpre.serve.handover import WorkerDied
from fastpre.serve.handover.broker import outputs_in, place
from fastpre.serve.handover.kinds import open_handover
from fastpre.serve.handover.options import Options
from fastpre.serve.handover.redis import Names, answer_for, make_group

from .conftest import filled, running, until

BROKERS = ("redis", "nats")
SAYS = {"redis": "Redis", "nats": "NATS"}


@pytest.fixture(params=BROKERS)
def server(request: pytest.FixtureRequest) -> Iterator[brokers.Server]:
    """One of its own, to be stopped."""
    with running(request.param) as server:
        yield server


@pytest.fixture
def client(redis_server: brokers.Server) -> Iterator[redis.Redis]:
    with redis.Redis(port=redis_server.port, protocol=2) as client:
        yield client


def test_a_broker_that_is_away_at_the_start(server: brokers.Server) -> None:
    server.stop()
    url = f"{server.scheme}://user:secret@127.0.0.1:{server.port}"
    handover = open_handover(url, obedient_model.make)
    with pytest.raises(WorkerDied, match=f"{SAYS[server.scheme]} at 127.0.0.1:{server.port}: .") as caught:
        handover.start()
    assert "secret" not in str(caught.value)
    assert not handover.ready
    handover.close()


def test_a_broker_that_goes_away_and_comes_back(server: brokers.Server) -> None:
    handover = open_handover(server.url, obedient_model.make, options=Options(timeout_s=30.0))
    handover.start()
    memory = filled(handover, 3)
    pid = handover.run(memory, 0, 3, 0)["pid"][0]
    server.stop()
    says = f"{SAYS[server.scheme]} at 127.0.0.1:{server.port}"
    with pytest.raises(WorkerDied, match=says):
        handover.run(memory, 0, 3, 0)
    assert not handover.ready
    server.start()
    until(lambda: handover.ready)
    assert handover.run(memory, 0, 3, 0)["pid"].tolist() == [pid] * 3
    handover.close()


def test_a_broker_that_goes_away_in_the_middle(server: brokers.Server) -> None:
    handover = open_handover(server.url, obedient_model.make, options=Options(timeout_s=30.0))
    handover.start()
    memory = filled(handover, 1, wish=obedient_model.STOP_BROKER)
    memory[0, 0, 0, 1] = (server.process.pid if server.process else 0) & 0xFFF
    memory[0, 0, 0, 2] = (server.process.pid if server.process else 0) >> 12
    with pytest.raises(WorkerDied, match=SAYS[server.scheme]):
        handover.run(memory, 0, 1, 0)
    assert not handover.ready
    handover.close()


@pytest.mark.parametrize("scheme", BROKERS)
def test_batches_of_more_than_a_nats_message(opened: Any, scheme: str) -> None:
    handover = opened(scheme)
    memory = filled(handover, 4000)
    assert memory.nbytes > 2 << 20
    outputs = handover.run(memory, 1, 3999, 0)
    assert outputs["sums"].tobytes() == memory[1:].sum((1, 2, 3)).numpy().tobytes()


def test_redis_keeps_nothing_of_a_batch(opened: Any, client: redis.Redis) -> None:
    handover = opened("redis")
    memory = filled(handover, 1)
    for wish in (obedient_model.NOTHING, obedient_model.MANY):
        memory[0, 0, 0, 0] = wish
        handover.run(memory, 0, 1, 0)
    (stream,) = client.keys("fastpre:*")
    assert client.xlen(stream) == 0
    assert client.xpending(stream, "workers")["pending"] == 0


def test_a_late_reply_with_redis_is_not_taken_for_the_next(opened: Any, client: redis.Redis) -> None:
    handover = opened("redis")
    (stream,) = client.keys("fastpre:*")
    assert isinstance(stream, bytes)
    client.rpush(stream + b":0", struct.pack("<Q", 1 << 40) + b"\2too late")
    memory = filled(handover, 1)
    assert "sums" in handover.run(memory, 0, 1, 0)


def test_what_a_dead_worker_had_is_claimed_and_answered(client: redis.Redis) -> None:
    names = Names("fastpre:test", "workers")
    make_group(client, names)
    for number in range(3):
        client.xadd(names.stream, {"to": names.replies(7), "number": struct.pack("<Q", number), "elements": "x"})
    taken: Any = client.xreadgroup(names.group, "0", {names.stream: ">"}, count=2)
    (first, _), (second, _) = taken[0][1]
    client.xdel(names.stream, first)  # withdrawn by its requester
    answer_for(client, names, 1, "nothing of another worker's")
    assert client.llen(names.replies(7)) == 0
    answer_for(client, names, 0, "worker 0 has gone")
    reply = client.lpop(names.replies(7))
    assert isinstance(reply, bytes)
    assert struct.unpack_from("<Q", reply) == (1,)
    with pytest.raises(WorkerDied, match="worker 0 has gone"):
        outputs_in(reply[8:])
    assert client.xpending(names.stream, names.group)["pending"] == 0
    left: Any = client.xrange(names.stream)
    assert [entry for entry, _ in left] > [second]
    client.delete(names.stream)


def test_a_place_has_no_password() -> None:
    assert place("redis://:secret@broker.example:6379/0") == "broker.example:6379"
    assert place("nats://broker.example:4222") == "broker.example:4222"
