"""Pipelines through every protocol and every handover, with real clients."""

from __future__ import annotations

import asyncio
import contextlib
import json
import queue
import threading
import urllib.request
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import brokers
import fastpre
import pictures
from fastpre.serve.building import ModelChoice, build
from fastpre.serve.engine import Settings
from fastpre.serve.inference import InferRequest, InputTensor
from fastpre.serve.models.loading import load
from fastpre.serve.pipeline.pipeline import Pipeline
from fastpre.serve.server import Listen, Server
from fastpre.serve.service import EngineService

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # theirs, at import
    import tritonclient.grpc as triton_grpc
    import tritonclient.http as triton_http

IMAGES = [pictures.photograph(120, 90, seed=1), pictures.photograph(200, 160, seed=2)]
MOST = 5
SPOT = Pipeline("spot", "det", "cls", threshold=0.5, most=MOST)
DETECTOR = "builtin:detector?rows=2&columns=3&grow=1.3"


def service(first: str = "", second: str = "") -> EngineService:
    choices = [
        ModelChoice(DETECTOR, {"name": "det", "max_detections": 6}, first),
        ModelChoice("builtin:tiny", {"name": "cls"}, second),
    ]
    return build(choices, Settings(threads=2, batch=8), pipelines=[SPOT])


def closed(found: EngineService) -> None:
    for engine in found.engines.values():
        engine.close(0)


@contextlib.contextmanager
def listening(found: EngineService) -> Iterator[Server]:
    """The server in a thread, on free ports of the loopback."""
    started: queue.Queue[Server] = queue.Queue()
    loops: list[asyncio.AbstractEventLoop] = []

    async def run() -> None:
        loops.append(asyncio.get_running_loop())
        await Server(found, Listen(port=0, grpc_port=0)).run(started.put)

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    server = started.get(timeout=20)
    try:
        yield server
    finally:
        loops[0].call_soon_threadsafe(server.stop)
        thread.join()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    found = service()
    with listening(found) as running:
        yield running
    closed(found)


@pytest.fixture(scope="module")
def expected() -> list[dict[str, np.ndarray[Any, Any]]]:
    """By Pillow and the models alone."""
    first, second = load(DETECTOR, max_detections=6), load("builtin:tiny")
    answers = []
    for data in IMAGES:
        image = pictures.pil(data)
        found = first(fastpre.Preprocessor(first.spec)([data]))
        keep = found["scores"][0] >= SPOT.threshold
        boxes = found["boxes"][0][keep][:MOST]
        answer = {
            "boxes": np.zeros((MOST, 4), np.float32),
            "crop_logits": np.zeros((MOST, 10), np.float32),
            "num_detections": np.int32(len(boxes)),
        }
        for i, box in enumerate(boxes):
            x0, y0, x1, y1 = (float(value) for value in box)
            corners = (x0 * image.width, y0 * image.height, x1 * image.width, y1 * image.height)
            crop = np.asarray(image.crop(corners))  # type: ignore[arg-type]
            answer["boxes"][i] = box
            answer["crop_logits"][i] = second(fastpre.Preprocessor(second.spec).run_pixels(crop)[None])["logits"]
        answers.append(answer)
    assert {int(answer["num_detections"]) for answer in answers} & set(range(1, MOST + 1))
    return answers


def check(outputs: dict[str, np.ndarray[Any, Any]], expected: list[dict[str, np.ndarray[Any, Any]]]) -> None:
    for row, want in enumerate(expected):
        count = int(want["num_detections"])
        assert outputs["num_detections"][row] == count
        np.testing.assert_array_equal(outputs["boxes"][row], want["boxes"])
        # A model's sums depend on the size of the batch.
        np.testing.assert_allclose(outputs["crop_logits"][row], want["crop_logits"], rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(outputs["crop_classes"][row][:count], want["crop_logits"][:count].argmax(axis=-1))


NAMES = ("boxes", "scores", "classes", "num_detections", "crop_logits", "crop_classes")


def test_over_http(server: Server, expected: Any) -> None:
    with triton_http.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
        assert client.is_server_ready()
        assert client.is_model_ready("spot")
        metadata = client.get_model_metadata("spot")
        assert [output["name"] for output in metadata["outputs"]] == list(NAMES)
        assert [tensor["name"] for tensor in metadata["inputs"]] == ["IMAGE", "PIXELS"]
        tensor = triton_http.InferInput("IMAGE", [2], "BYTES")
        tensor.set_data_from_numpy(np.array(IMAGES, object))
        result = client.infer("spot", [tensor])
        check({name: result.as_numpy(name) for name in NAMES}, expected)
        only = client.infer("spot", [tensor], outputs=[triton_http.InferRequestedOutput("crop_classes")])
        assert [output["name"] for output in only.get_response()["outputs"]] == ["crop_classes"]
        (statistics,) = client.get_inference_statistics("spot")["model_stats"]
        assert statistics["inference_count"] >= 4
        assert statistics["inference_stats"]["compute_infer"]["ns"] > 0
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics") as answer:
        text = answer.read().decode()
    assert 'fastpre_requests_total{code="ok",model="spot"}' in text
    for model in ("det", "cls", "spot"):
        assert f'fastpre_stage_seconds_count{{model="{model}",stage="inference"}}' in text


def test_over_grpc(server: Server, expected: Any) -> None:
    with triton_grpc.InferenceServerClient(f"127.0.0.1:{server.grpc_port}") as client:
        assert client.is_model_ready("spot")
        config = client.get_model_config("spot").config
        assert config.platform == "ensemble"
        assert [step.model_name for step in config.ensemble_scheduling.step] == ["det", "cls"]
        assert config.parameters["most"].string_value == "5"
        tensor = triton_grpc.InferInput("IMAGE", [2], "BYTES")
        tensor.set_data_from_numpy(np.array(IMAGES, object))
        result = client.infer("spot", [tensor])
        check({name: result.as_numpy(name) for name in NAMES}, expected)


def test_the_live_page_knows_the_models_behind_it(server: Server) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/v1/live") as answer:
        assert json.loads(answer.read())["models"].keys() == {"det", "cls"}


def test_a_plain_image(server: Server) -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}/v1/predict?model=spot", IMAGES[0], {"Content-Type": "image/jpeg"}
    )
    with urllib.request.urlopen(request) as answer:
        assert "second.inference;dur=" in answer.headers["Server-Timing"]
        assert b'"num_detections"' in answer.read()


@pytest.mark.parametrize("kind", ["shared-memory", "redis", "nats"])
def test_crops_go_through_every_handover(kind: str, expected: Any) -> None:
    """They travel to the second model's process as any batch does."""
    with contextlib.ExitStack() as stack:
        way = stack.enter_context(brokers.running(kind)).url if kind in brokers.COMMANDS else kind
        found = service(second=way)
        stack.callback(closed, found)
        request = InferRequest("spot", (InputTensor("IMAGE", "BYTES", (2,), tuple(IMAGES)),))
        for _ in range(2):
            response = asyncio.run(found.infer(request))
            check({output.name: output.array for output in response.outputs}, expected)
