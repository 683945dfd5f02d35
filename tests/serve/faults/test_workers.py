"""Workers that are killed: another takes their place, readiness says so, and every request gets an answer."""

from __future__ import annotations

import concurrent.futures
import os
import signal
import threading
from collections.abc import Iterator

import psutil
import pytest

import faulty
from faulty import GOOD
from server_process import ServerProcess, until


@pytest.fixture(scope="module")
def workers() -> Iterator[ServerProcess]:
    with ServerProcess("python:faulty:model?ms=5", "--handover", "shared-memory", "--no-grpc") as found:
        yield found


def worker(server: ServerProcess) -> psutil.Process:
    (found,) = server.process.children()
    return found


def test_one_that_is_killed_under_load(workers: ServerProcess) -> None:
    answers: list[int] = []
    stop, died = threading.Event(), threading.Event()
    ready_meanwhile: list[bool] = []

    def ask() -> None:
        while not stop.is_set():
            answers.append(workers.predict(GOOD).status_code)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        asking = [pool.submit(ask) for _ in range(8)]
        until(lambda: len(answers) > 50)
        first = worker(workers)
        first.kill()
        until(lambda: not workers.ready(), what="readiness falls")
        died.set()
        at = len(answers)
        ready_meanwhile.append(workers.client.get("/v2/models/faulty/ready").status_code == 200)
        until(lambda: workers.ready(), 60, "readiness is back")
        until(lambda: len(answers) > at + 50)
        stop.set()
        for future in asking:
            future.result(30)
    assert ready_meanwhile == [False]
    assert set(answers) == {200}  # what it had was run again, what came meanwhile has waited
    assert worker(workers).pid != first.pid


def test_they_listen_nowhere(workers: ServerProcess) -> None:
    assert workers.listens() == {("127.0.0.1", workers.port)}


def test_an_image_that_kills_it_twice_is_given_up(workers: ServerProcess) -> None:
    response = workers.predict(faulty.colour(faulty.DEADLY))
    assert (response.status_code, response.json()["code"]) == (503, "worker_lost")
    assert workers.predict(GOOD).status_code == 200


def test_a_server_that_is_killed_leaves_nothing() -> None:
    before = set(os.listdir("/dev/shm"))
    with ServerProcess("python:faulty:model", "--handover", "shared-memory", "--no-grpc") as server:
        assert server.predict(GOOD).status_code == 200
        children = server.process.children(recursive=True)
        assert children
        server.signal(signal.SIGKILL)
        server.wait()
        assert psutil.wait_procs(children, timeout=10)[1] == []
    assert {name for name in os.listdir("/dev/shm") if "fastpre" in name} <= before


def test_a_server_that_ends_leaves_nothing(workers: ServerProcess) -> None:
    children = workers.process.children(recursive=True)
    workers.signal(signal.SIGTERM)
    assert workers.wait() == 0
    assert psutil.wait_procs(children, timeout=10)[1] == []
