"""The numbers of the live page: what is counted in which second, and what is kept."""

from __future__ import annotations

import contextlib
import gc
import http.client
import json
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton

import pictures
from fastpre.serve.errors import ImageRefused, Overloaded, ServeError
from fastpre.serve.observing.bottleneck import Flow, verdict
from fastpre.serve.observing.counting import outcome_of
from fastpre.serve.observing.live import HISTORY_S, Live
from fastpre.serve.observing.recorder import REQUEST_STAGES
from fastpre.serve.service import EngineService
from live_server import ask, live, running, served, until
from serving import Means

STAGES_MS = {stage: float(i + 1) for i, stage in enumerate(REQUEST_STAGES)}


class Clock:
    """Seconds that a test lets pass, in the steps that the loop's timer has."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self.now = 1000.0

    def run(self, seconds: float = 1.0, late_s: float = 0.0) -> None:
        for _ in range(round(seconds * 10)):
            self.now += 0.1
            self.live.sample(late_s, self.now)


def document(live: Live, after: int = -1) -> Any:
    return json.loads(live.document(after))


def answer(service: EngineService, count: int, seconds: float = 0.028) -> None:
    for _ in range(count):
        service.recorders["means"].answered(seconds, STAGES_MS)


def test_each_second_has_what_happened_in_it() -> None:
    with served() as service:
        answer(service, 5)  # before there was a page
        found = Live(service)
        clock = Clock(found)
        recorder = service.recorders["means"]
        answer(service, 3)
        clock.run(late_s=0.004)
        recorder.failed(Overloaded("full"), 0.0, "")
        recorder.failed(ImageRefused("bad"), 0.0, "")
        recorder.abandoned(0.1)
        recorder.batch(4, 0.5, 0)
        clock.run(2)
        rows = document(found)["history"]
        assert [row["n"] for row in rows] == [0, 1, 2]
        assert [row["seconds"] for row in rows] == pytest.approx([1, 1, 1])
        first, second, third = (row["models"]["means"] for row in rows)
        assert first["answered"] == 3
        assert first["stages_ms"] == STAGES_MS
        assert first["p50"] == first["p99"] == pytest.approx(28)
        assert rows[0]["lag_ms"] == pytest.approx(4)
        assert (second["refused"], second["rejected"], second["gone"]) == (1, 1, 1)
        assert "answered" not in second
        assert "p50" not in second
        assert second["batches"] == [[4, 1]]
        assert not {"refused", "batches", "answered"} & third.keys()
        recent = document(found)["models"]["means"]
        assert recent["per_s"]["answered"] == pytest.approx(1.0)
        assert recent["busy"]["inference"] == pytest.approx(0.5 / 3, abs=1e-3)
        assert sum(recent["stages_ms"].values()) == pytest.approx(28)


def test_a_reader_gets_what_it_does_not_have() -> None:
    with served() as service:
        found = Live(service)
        clock = Clock(found)
        assert document(found)["history"] == []
        clock.run(5)
        assert [row["n"] for row in document(found, 2)["history"]] == [3, 4]
        assert document(found, 4)["history"] == document(found, 10**11)["history"] == []
        assert document(found)["run"] != document(Live(service))["run"]


def test_memory_and_answers_are_bounded() -> None:
    with served() as service:
        found = Live(service)
        clock = Clock(found)
        for second in range(HISTORY_S + 20):
            answer(service, 5)
            service.recorders["means"].batch(second % 16 + 1, 0.01, 0)
            service.recorders["means"].failed(ImageRefused("x" * 10**5), 0.0, "y" * 10**5)
            clock.run()
        rows = document(found)["history"]
        assert [rows[0]["n"], rows[-1]["n"], len(rows)] == [20, HISTORY_S + 19, HISTORY_S]
        assert len(found.document()) < 500 * HISTORY_S
        assert len(found.document(HISTORY_S + 18)) < 10_000


def test_a_flood_of_one_kind_hides_no_other() -> None:
    with served() as service:
        recorder = service.recorders["means"]
        recorder.failed(ImageRefused("the one to find"), 0.0, "a")
        for i in range(1000):
            recorder.failed(Overloaded(f"full {i}"), 0.0, "")
        found = recorder.last_failures(5)
        assert [failure.reason for failure in found] == [
            "full 999",
            "full 998",
            "full 997",
            "full 996",
            "the one to find",
        ]


@pytest.mark.parametrize(
    ("code", "group"),
    [("ok", "answered"), ("overloaded", "refused"), ("deadline_exceeded", "late"), ("corrupt_image", "rejected"),
     ("unauthorized", "rejected"), ("internal", "failed"), ("worker_lost", "failed"), ("client_gone", "gone")],
)  # fmt: skip
def test_outcomes_are_grouped(code: str, group: str) -> None:
    assert outcome_of(code) == group


def flow(**fields: Any) -> Flow:
    stages = {"queue": 1.0, "preprocess": 6.0, "batch": 1.0, "inference": 3.0}
    usual = Flow(100, 0, 10.0, stages, preprocess_busy=0.3, inference_busy=0.2, threads=2, instances=1)
    return usual._replace(**fields)


def test_the_verdict_names_what_holds_requests_back() -> None:
    assert verdict(flow(answered=0)).state == "idle"
    assert verdict(flow())[:2] == ("fine", "preprocess")
    waiting = {"queue": 50.0, "preprocess": 6.0, "batch": 1.0, "inference": 3.0}
    # The queue is the longest; its cause is the busier one of the two that work.
    assert verdict(flow(stages_ms=waiting, inference_busy=0.97))[:2] == ("busy", "inference")
    assert verdict(flow(stages_ms=waiting, preprocess_busy=0.99, inference_busy=0.97))[:2] == ("busy", "preprocess")
    over = verdict(flow(stages_ms=waiting, turned_away=300, inference_busy=1.02))
    assert over[:2] == ("overloaded", "inference")
    assert over.text.startswith(
        "75% of the requests are turned away, the others wait 51 of 60 ms. The model's 1 instance"
    )
    assert "is 100% busy" in over.text
    assert verdict(flow(turned_away=1))[:2] == ("overloaded", "")
    assert verdict(flow(answered=0, turned_away=5, stages_ms={}, inference_busy=1))[:2] == ("overloaded", "inference")


def test_over_http_failures_are_counted_once_wherever_they_happen() -> None:
    image = pictures.photograph(32, 24, seed=1)
    with served() as service, running(service, grpc_port=0) as server:
        assert ask(server.port, "/v1/predict", image)[0] == 200
        assert ask(server.port, "/v1/predict", image[:200])[0] == 422  # inside the engine
        assert ask(server.port, "/v2/models/means/infer", b"{")[0] == 400  # before the service
        assert ask(server.port, "/v2/models/other/infer", b"{}")[0] == 404  # no model of that name
        assert ask(server.port, "/v1/predict", b"")[0] == 400
        outcomes = service.recorders["means"].outcomes
        assert outcomes == {"ok": 1, "corrupt_image": 1, "invalid_request": 1}
        assert service.refusals.outcomes == {"not_found": 1, "invalid_request": 1}
        found = until(lambda: (numbers := live(server.port))["history"] and numbers)
        assert found["models"]["means"]["totals"] == outcomes
        assert {failure["code"] for failure in found["models"]["means"]["failures"]} == {
            "corrupt_image",
            "invalid_request",
        }
        service.draining = True
        assert live(server.port)["draining"]
        assert not live(server.port)["ready"]


def test_the_page_can_be_left_out_and_its_files_are_in_the_package() -> None:
    with served() as service:
        with running(service, page=False) as server:
            assert ask(server.port, "/")[0] == ask(server.port, "/v1/live")[0] == 404
            assert ask(server.port, "/metrics")[0] == 200
        service.draining = False
        for engine in service.engines.values():
            engine.start()
        with running(service) as server:
            for path, kind in (("/", "html"), ("/page/live.css", "css"), ("/page/live.js", "javascript")):
                status, headers, body = ask(server.port, path)
                assert (status, len(body) > 1000) == (200, True)
                assert kind in headers["content-type"]
                assert "script-src 'self'" in headers["content-security-policy"]
                assert headers["x-content-type-options"] == "nosniff"


def test_two_models_have_a_place_each() -> None:
    other = Means()
    other.name = "other"
    with served(Means(), other) as service:
        found = Live(service)
        service.recorders["other"].answered(0.028, STAGES_MS)
        service.refused(ServeError("x"))
        Clock(found).run()
        said = document(found)
        assert said["models"].keys() == said["server"]["models"].keys() == {"means", "other"}
        assert "answered" not in said["history"][0]["models"]["means"]
        assert said["history"][0]["models"]["other"]["answered"] == 1
        assert (said["history"][0]["refused"], said["totals"]) == (1, {"internal": 1})


def test_threads_that_models_share_are_as_busy_as_all_of_them_make_them() -> None:
    other = Means()
    other.name = "other"
    with served(Means(), other) as service:
        first, second = service.engines.values()
        found = Live(service)
        clock = Clock(found)
        for recorder in service.recorders.values():
            recorder.stages["preprocess"].add(0.6)
        clock.run()
        busy = [model["busy"]["preprocess"] for model in document(found)["models"].values()]
        assert busy == pytest.approx([0.3, 0.3])  # 0.6 of the second of two threads each
        own, second.pool = second.pool, first.pool
        clock.run()
        busy = [model["busy"]["preprocess"] for model in document(found)["models"].values()]
        assert busy == pytest.approx([0.3, 0.3])
        second.pool = own


@pytest.mark.parametrize("kind", ["answered", "rejected", "refused"])
def test_a_request_leaves_nothing_to_the_garbage_collector(kind: str) -> None:
    image = pictures.photograph(32, 24, seed=1)
    with served() as service, running(service) as server:
        if kind == "refused":
            service.engines["means"].scheduler.queue_limit = 0
        body = image[:200] if kind == "rejected" else image
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        for counted in (False, True):  # the first requests import, and fill caches
            gc.collect()
            gc.disable()
            try:
                for _ in range(20):
                    connection.request("POST", "/v1/predict", body)
                    connection.getresponse().read()
                if counted:
                    assert gc.collect() < 20  # of 20 requests; a full collection stops all others for some 100 ms
            finally:
                gc.enable()
        connection.close()


def test_over_grpc_they_are_counted_once_too() -> None:
    image = pictures.photograph(32, 24, seed=1)
    with served() as service, running(service, grpc_port=0) as server:
        client = triton.InferenceServerClient(f"127.0.0.1:{server.grpc_port}")
        for model, body in (("means", image), ("means", image[:200]), ("other", image)):
            tensor = triton.InferInput("IMAGE", [1], "BYTES")
            tensor.set_data_from_numpy(np.array([body], dtype=object))
            with (
                contextlib.nullcontext()
                if body == image and model == "means"
                else pytest.raises(triton.InferenceServerException)
            ):
                client.infer(model, [tensor])
        client.close()
        assert service.recorders["means"].outcomes == {"ok": 1, "corrupt_image": 1}
        assert service.refusals.outcomes == {"not_found": 1}
