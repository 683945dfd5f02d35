"""fastpre.serve.ray on a real Ray cluster of this machine: two replicas, one of them killed under load."""

from __future__ import annotations

import collections
import concurrent.futures
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

import pictures
from ray_cluster import descendants, local_cluster

ray = pytest.importorskip("ray", reason='Ray is not installed: pip install "ray[serve]"')
pytest.importorskip("ray.serve", reason='Ray Serve is not complete: pip install "ray[serve]"')

from fastpre.serve.engine import Settings  # noqa: E402
from fastpre.serve.ray import application  # noqa: E402

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning:ray", "ignore::ResourceWarning"
)
IMAGE = pictures.photograph(300, 200)


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with local_cluster(num_cpus=2):
        ray.serve.start(http_options={"host": "127.0.0.1", "port": port}, logging_config={"log_level": "ERROR"})
        ray.serve.run(application(["builtin:tiny"], settings=Settings(threads=1), replicas=2, cpus=0.5))
        yield f"http://127.0.0.1:{port}"
        ray.serve.shutdown()


def replicas() -> list[int]:
    """The replicas' processes."""
    found = []
    for process in descendants(os.getpid()):
        try:
            with open(f"/proc/{process}/cmdline", encoding="utf-8") as file:
                title = file.read()
        except OSError:
            continue
        if title.startswith("ray::ServeReplica"):
            found.append(process)
    return found


def test_the_protocol_and_a_bad_image(url: str) -> None:
    with httpx.Client(base_url=url, timeout=30) as client:
        assert client.get("/v2/health/ready").status_code == 200
        good = client.post("/v1/predict", content=IMAGE, headers={"content-type": "image/jpeg"})
        assert good.status_code == 200
        assert len(good.json()["predictions"]) == 5
        bad = client.post("/v1/predict", content=b"no image", headers={"content-type": "image/jpeg"})
        assert (bad.status_code, bad.json()["code"]) == (422, "corrupt_image")
        assert client.get("/v2/models/tiny").json()["inputs"][0]["datatype"] == "BYTES"


def test_a_replica_that_is_killed_under_load_loses_no_request_silently(url: str) -> None:
    outcomes: collections.Counter[int | str] = collections.Counter()
    stop = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=url, timeout=30) as client:
            while not stop.is_set():
                outcomes["asked"] += 1
                try:
                    answer = client.post("/v1/predict", content=IMAGE, headers={"content-type": "image/jpeg"})
                except httpx.HTTPError as error:  # the connection broke: the client knows, too
                    outcomes[type(error).__name__] += 1
                else:
                    outcomes[answer.status_code] += 1

    until(lambda: len(replicas()) == 2)
    victim = replicas()[0]
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        clients = [pool.submit(ask) for _ in range(3)]
        until(lambda: outcomes[200] >= 20)
        os.kill(victim, signal.SIGKILL)
        killed = outcomes[200]
        until(lambda: outcomes[200] >= killed + 20)  # the other one goes on
        until(lambda: len(replicas()) == 2 and victim not in replicas())  # and there is a new one
        stop.set()
        for client in clients:
            client.result(60)
    asked = outcomes.pop("asked")
    assert sum(outcomes.values()) == asked  # each has its answer, or an error that says that it has none
    assert outcomes[200] >= asked - 3 * 3  # of each client what it had under way, at most a few times


def test_numbers_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="replicas must be from 1 to max_replicas, got 3 and 2"):
        application(["builtin:tiny"], replicas=3, max_replicas=2)


def test_what_ray_is_told() -> None:
    told: Any = application(["builtin:tiny"], replicas=1, max_replicas=4, target_ongoing_requests=5, gpus=0.25)
    deployment = told._bound_deployment
    scaling = deployment._deployment_config.autoscaling_config
    assert (scaling.min_replicas, scaling.max_replicas, scaling.target_ongoing_requests) == (1, 4, 5)
    assert deployment.ray_actor_options["num_gpus"] == 0.25
