"""`/v1/predict`: images as plain bodies and forms."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest

import http_serving as serving
from fastpre.serve.http import Application, Limits
from fastpre.serve.http.predictions import described
from fastpre.serve.inference import InferResponse, OutputTensor

PREDICT = "/v1/predict?model=classify"


@pytest.fixture(scope="module")
def service() -> serving.FakeService:
    return serving.FakeService()


@pytest.fixture(scope="module")
def address(service: serving.FakeService) -> Iterator[serving.Address]:
    with serving.running(Application(service, limits=Limits(max_body_bytes=50_000, max_images=4))) as found:
        yield found


@pytest.fixture
def client(address: serving.Address) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address.url, trust_env=False) as found:
        yield found


def files(*images: bytes) -> list[tuple[str, tuple[str, bytes, str]]]:
    return [("image", (f"{index}.jpg", image, "image/jpeg")) for index, image in enumerate(images)]


@pytest.mark.parametrize("kind", ["image/jpeg", "image/png", "application/octet-stream", "", "IMAGE/JPEG; x=y"])
def test_a_plain_body(client: httpx.Client, service: serving.FakeService, kind: str) -> None:
    response = client.post(PREDICT, content=b"\xff\xd8abc", headers={"content-type": kind} if kind else {})
    assert response.status_code == 200
    weights = np.exp(serving.scores(b"\xff\xd8abc"))
    document = response.json()
    assert document == {
        "model": "classify",
        "version": "2",
        "predictions": [
            {"label": "bird", "index": 2, "score": pytest.approx(weights[2] / weights.sum(), abs=1e-5)},
            {"label": "dog", "index": 1, "score": pytest.approx(weights[1] / weights.sum(), abs=1e-5)},
            {"label": "cat", "index": 0, "score": pytest.approx(weights[0] / weights.sum(), abs=1e-5)},
        ],
        "stages_ms": serving.STAGES,
    }
    assert response.headers["server-timing"].startswith("decode;dur=1.250")
    request = service.requests[-1]
    assert (request.model, request.inputs[0].shape) == ("classify", (1,))
    assert 0 < request.received <= request.arrived


def test_top(client: httpx.Client) -> None:
    response = client.post(f"{PREDICT}&top=1&version=1", content=b"abc")
    assert [prediction["label"] for prediction in response.json()["predictions"]] == ["cat"]


def test_truncated_images_may_be_asked_for(client: httpx.Client, service: serving.FakeService) -> None:
    assert client.post(f"{PREDICT}&truncated=partial", content=b"abc").status_code == 200
    assert service.requests[-1].parameters == {"truncated": "partial"}
    assert client.post(PREDICT, content=b"abc").status_code == 200
    assert service.requests[-1].parameters == {}


def test_a_form_with_one_file(client: httpx.Client) -> None:
    response = client.post(PREDICT, files=files(b"abcd"), data={"note": "a field"})
    assert response.json()["predictions"][0]["label"] == "dog"
    assert client.post(PREDICT, files=files(b"bad")).status_code == 422


def test_a_form_with_several(client: httpx.Client) -> None:
    response = client.post(PREDICT, files=files(b"abc", b"bad", b"abcde"))
    assert response.status_code == 200
    document = response.json()
    assert document["failed"] == 1
    first, second, third = document["images"]
    assert (first["name"], first["predictions"][0]["label"]) == ("0.jpg", "cat")
    assert second == {"index": 1, "name": "1.jpg", "error": "not an image", "code": "corrupt_image"}
    assert (third["index"], third["predictions"][0]["label"]) == (2, "bird")
    assert client.post(PREDICT, files=files(b"bad", b"bad")).json()["failed"] == 2


def test_a_server_without_room_answers_so(client: httpx.Client) -> None:
    mixed = client.post(PREDICT, files=files(b"full", b"abc"))
    assert (mixed.status_code, mixed.json()["images"][0]["code"]) == (200, "overloaded")
    full = client.post(PREDICT, files=files(b"full", b"full"))
    assert (full.status_code, full.json()["code"], full.headers["retry-after"]) == (503, "overloaded", "2")


def test_other_tasks(client: httpx.Client) -> None:
    document = client.post("/v1/predict?model=detect", content=b"abc").json()
    assert document["outputs"] == {"boxes": {"datatype": "FP32", "shape": [2, 4], "data": [[1.0] * 4] * 2}}


def test_which_model(client: httpx.Client) -> None:
    response = client.post("/v1/predict", content=b"abc")
    assert response.status_code == 400
    assert response.json()["error"] == "which model? Name it as ?model=NAME; there are: classify, detect, mirror"
    missing = client.post("/v1/predict?model=other", content=b"abc")
    assert (missing.status_code, missing.json()["error"]) == (404, "there is no model 'other'")
    raw = client.post("/v1/predict?model=mirror", content=b"abc")
    assert (raw.status_code, raw.json()["error"]) == (400, "model 'mirror' takes no encoded images")


class OneModel(serving.FakeService):
    def models(self) -> list[Any]:
        return [serving.MODELS["classify"]]


def test_the_only_model_needs_no_name() -> None:
    async def use() -> None:
        transport = httpx.ASGITransport(app=Application(OneModel()))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            assert (await client.post("/v1/predict", content=b"abc")).json()["model"] == "classify"

    asyncio.run(use())


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("&top=0", "query parameter 'top' is a number from 1 to 1000, not '0'"),
        ("&top=x", "query parameter 'top' is a number from 1 to 1000, not 'x'"),
        ("&tpo=3", "query parameter 'tpo': there are model, version, top and truncated"),
        ("&truncated=yes", "query parameter 'truncated' is 'partial' or not there, not 'yes'"),
        ("&a" * 20, "the query string has too many parameters"),
    ],
)
def test_queries(client: httpx.Client, query: str, reason: str) -> None:
    response = client.post(PREDICT + query, content=b"abc")
    assert (response.status_code, response.json()["error"]) == (400, reason)


def part(options: str) -> bytes:
    return f"--b\r\nContent-Disposition: form-data; {options}\r\n\r\ncat.jpg\r\n".encode()


@pytest.mark.parametrize(
    ("kind", "body", "status", "reason"),
    [
        ("application/json", b"{}", 415, "Content-Type 'application/json' is not taken"),
        ("image/jpeg", b"", 400, "the body is empty"),
        ("multipart/form-data", b"", 400, "names no boundary"),
        ("multipart/form-data; boundary=b", b"", 400, "the form is truncated"),
        ("multipart/form-data; boundary=b", b"nonsense", 400, "the form is malformed"),
        ("multipart/form-data; boundary=b", part('name="image"') + b"--b--", 400, "-F image=@NAME"),
        ("multipart/form-data; boundary=b", b"--b\r\nx: " + bytes(20_000), 400, "the form is malformed"),
        ("multipart/form-data; boundary=b", b"--b\r\n\r\n\r\n" * 70 + b"--b--", 400, "more than 64 fields"),
        ("multipart/form-data; boundary=b", part('filename="a"') * 5, 400, "more than the 4 images"),
        ("multipart/form-data; boundary=b", bytes(60_000), 413, "more than the 50000 bytes"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_it(client: httpx.Client, kind: str, body: bytes, status: int, reason: str) -> None:
    response = client.post(PREDICT, content=body, headers={"content-type": kind})
    assert response.status_code == status
    assert reason in response.json()["error"]


def predictions(array: Any, datatype: str = "FP32") -> list[float | None]:
    response = InferResponse("m", "1", [OutputTensor("scores", datatype, array)])
    found = described(serving.MODELS["classify"], response, 3)["predictions"]
    return [prediction["score"] for prediction in sorted(found, key=lambda prediction: prediction["index"])]


def test_scores() -> None:
    probabilities = np.array([[0.2, 0.5, 0.3]], np.float32)
    assert predictions(probabilities) == pytest.approx([0.2, 0.5, 0.3])
    logits = np.log(probabilities) + 7
    assert predictions(logits) == pytest.approx([0.2, 0.5, 0.3], abs=1e-5)
    assert predictions(np.array([[np.nan, 1.0, 2.0]], np.float32)) == [None, None, None]
    half = (np.array([[1.0, 2.0, 3.0]], np.float32).view(np.uint32) >> 16).astype(np.uint16)
    weights = np.exp([1.0, 2.0, 3.0])
    assert predictions(half, "BF16") == pytest.approx(list(weights / weights.sum()), abs=1e-5)


def test_large_outputs_are_only_described() -> None:
    outputs = [OutputTensor("mask", "FP32", np.zeros((1, 100, 100), np.float32))]
    document = described(serving.MODELS["detect"], InferResponse("m", "1", outputs), 5)
    assert document == {"outputs": {"mask": {"datatype": "FP32", "shape": [100, 100]}}}
