"""The HTTP application behind uvicorn: errors, bounds, keys, refusals before the body, clients that go away."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import logging
import re
import struct
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import http_serving as serving
from fastpre.serve.errors import Draining, Overloaded, ServeError
from fastpre.serve.http import Application, Limits, exchange
from fastpre.serve.http.infer import model_of

LIMITS = Limits(max_body_bytes=100_000)
INFER = "/v2/models/classify/infer"


def admit(headers: Mapping[bytes, bytes]) -> ServeError | None:
    if b"x-refuse" in headers:
        return Overloaded("no room", retry_after_s=3)
    return Draining("stopping") if b"x-stop" in headers else None


@pytest.fixture(autouse=True)
def short_linger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "_LINGER_S", 0.2)


@pytest.fixture(scope="module")
def service() -> serving.FakeService:
    return serving.FakeService()


@pytest.fixture(scope="module")
def address(service: serving.FakeService) -> Iterator[serving.Address]:
    async def extra(request: Any) -> PlainTextResponse:
        return PlainTextResponse("extra")

    app = Application(
        service,
        admit=admit,
        limits=LIMITS,
        metrics=lambda accept: (f"metrics for {accept}".encode(), "text/plain; version=1.0.0"),
        routes=[Route("/page", extra)],
    )
    with serving.running(app) as found:
        yield found


@pytest.fixture
def client(address: serving.Address) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address.url, trust_env=False) as found:
        yield found


def images(*elements: bytes) -> dict[str, Any]:
    """A request to infer, as httpx takes it."""
    data = b"".join(struct.pack("<I", len(element)) + element for element in elements)
    tensor = {
        "name": "image",
        "shape": [len(elements)],
        "datatype": "BYTES",
        "parameters": {"binary_data_size": len(data)},
    }
    head = json.dumps({"inputs": [tensor]}).encode()
    return {"content": head + data, "headers": {"Inference-Header-Content-Length": str(len(head))}}


def raw(path: str, *lines: str) -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: localhost", *lines, "", ""]).encode()


def answer(connection: Any) -> tuple[int, dict[str, Any]]:
    """Status and JSON of the next answer on a connection."""
    response = httpx_read(connection)
    return response[0], json.loads(response[1])


def httpx_read(connection: Any) -> tuple[int, bytes]:
    got = b""
    while b"\r\n\r\n" not in got:
        got += take(connection)
    head, _, body = got.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head)
    assert length is not None
    while len(body) < int(length[1]):
        body += take(connection)
    return int(head.split(b" ")[1]), body


def take(connection: Any) -> bytes:
    data: bytes = connection.recv(65536)
    assert data, "the connection was closed"
    return data


def test_stage_times(client: httpx.Client) -> None:
    response = client.post(INFER, **images(b"abc"))
    assert response.status_code == 200
    assert response.headers["server-timing"] == "decode;dur=1.250, queue;dur=0.500, model;dur=2.000"


@pytest.mark.parametrize(
    ("sent", "status", "document"),
    [
        ((b"ok", b"bad"), 422, {"error": "not an image", "code": "corrupt_image", "index": 1}),
        ((b"full",), 503, {"error": "the queue is full", "code": "overloaded"}),
    ],
)
def test_errors_of_the_service(client: httpx.Client, sent: Any, status: int, document: dict[str, Any]) -> None:
    response = client.post(INFER, **images(*sent))
    assert response.status_code == status
    assert response.json() == document
    assert response.headers.get("retry-after") == ("2" if status == 503 else None)
    assert client.post(INFER, **images(b"next")).status_code == 200


def test_one_image_as_the_whole_body(client: httpx.Client, service: serving.FakeService) -> None:
    response = client.post(INFER, content=b"jpeg", headers={"Inference-Header-Content-Length": "0"})
    assert response.status_code == 200
    assert [bytes(element) for element in service.requests[-1].inputs[0].data] == [b"jpeg"]


@pytest.mark.parametrize("path", [INFER, "/v1/predict?model=classify"])
def test_a_bug_is_logged_and_not_told(client: httpx.Client, path: str, caplog: pytest.LogCaptureFixture) -> None:
    sent = images(b"bug") if path == INFER else {"content": b"bug"}
    with caplog.at_level(logging.ERROR, "fastpre.serve.http"):
        response = client.post(path, **sent)
    assert response.status_code == 500
    document = response.json()
    assert document["code"] == "internal"
    assert "secret" not in response.text
    assert "Traceback" not in response.text
    assert document["request_id"] in caplog.text
    assert "a secret of the server" in caplog.text


def test_other_paths(client: httpx.Client) -> None:
    missing = client.get("/v2/nothing")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    for method, path in (("GET", INFER), ("PUT", "/v1/predict"), ("POST", "/v2/health/live")):
        wrong = client.request(method, path)
        assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")
        assert wrong.headers["allow"]
    assert client.get("/page").text == "extra"
    assert client.get("/v2/models").json() == {"models": list(serving.MODELS)}
    assert client.head("/v2/health/ready").status_code == 200


def test_metrics(client: httpx.Client) -> None:
    response = client.get("/metrics", headers={"accept": "text/x"})
    assert response.text == "metrics for text/x"
    assert response.headers["content-type"] == "text/plain; version=1.0.0"


def test_documentation(client: httpx.Client) -> None:
    page = client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert not re.search(r"<script|<link|<img|src=|url\(|https?://|@import", page.text)
    document = client.get("/openapi.json").json()
    for path in document["paths"]:
        assert path in page.text


def test_small_bodies_of_the_other_paths(client: httpx.Client) -> None:
    assert client.post("/v2/repository/index", content=b"[1]").status_code == 400
    assert client.post("/v2/repository/index", content=b'{"ready": 1}').status_code == 400
    assert client.post("/v2/repository/index", content=bytes(70_000)).status_code == 413
    refused = client.post("/v2/systemsharedmemory/region/r/register", json={"key": "k", "byte_size": 1})
    assert refused.json() == {"error": "this server takes no shared memory", "code": "invalid_request"}
    assert client.get("/v2/systemsharedmemory/status").json() == []
    assert "system_shared_memory" not in client.get("/v2").json()["extensions"]


def test_refused_by_its_headers(address: serving.Address, service: serving.FakeService) -> None:
    before = len(service.requests)
    with address.connect() as connection:
        # No byte of the body is there yet.
        connection.sendall(raw(INFER, "X-Refuse: 1", "Content-Length: 1000"))
        assert answer(connection) == (503, {"error": "no room", "code": "overloaded"})
        # It may come now, and the connection serves on.
        connection.sendall(bytes(1000) + raw(INFER, "X-Refuse: 1", "Content-Length: 0"))
        assert answer(connection)[0] == 503
    with address.connect() as connection:
        connection.sendall(raw(INFER, "Content-Length: 50000000") + bytes(100_000))
        status, document = answer(connection)
        assert (status, document["code"]) == (413, "body_too_large")
        connection.sendall(bytes(100_000))  # without the time to take notice this would be a reset
        assert_closed(connection)
    with address.connect() as connection:
        connection.sendall(raw("/v2/models/other/infer", "Content-Length: 1000"))
        assert answer(connection) == (404, {"error": "there is no model 'other'", "code": "not_found"})
    assert len(service.requests) == before


def assert_closed(connection: Any) -> None:
    with contextlib.suppress(ConnectionResetError):
        assert connection.recv(1000) == b""


def test_draining_closes_the_connection(client: httpx.Client) -> None:
    response = client.post(INFER, headers={"x-stop": "1"})
    assert (response.status_code, response.json()["code"]) == (503, "draining")
    assert response.headers["connection"] == "close"


def test_endless_bodies(address: serving.Address) -> None:
    with address.connect() as connection:
        connection.sendall(raw(INFER, "Transfer-Encoding: chunked"))
        for _ in range(11):
            connection.sendall(b"2710\r\n" + bytes(10_000) + b"\r\n")
        status, document = answer(connection)
        assert (status, document["error"]) == (413, "the body has more than the 100000 bytes that are taken")


@pytest.mark.parametrize("path", [INFER, "/v1/predict?model=classify"])
def test_slow_bodies(path: str) -> None:
    app = Application(serving.FakeService(), limits=Limits(body_timeout_s=0.2))
    with serving.running(app) as address, address.connect() as connection:
        connection.sendall(raw(path, "Content-Length: 1000") + b"{")
        status, document = answer(connection)
        assert (status, document["code"]) == (408, "body_too_slow")
        assert_closed(connection)


def test_decompression_bomb(client: httpx.Client) -> None:
    headers = {"content-encoding": "gzip"}
    for path in (INFER, "/v1/predict?model=classify"):
        response = client.post(path, content=gzip.compress(bytes(5_000_000)), headers=headers)
        assert (response.status_code, response.json()["code"]) == (413, "body_too_large")
    response = client.post(INFER, content=b"x", headers={"content-encoding": "br"})
    assert (response.status_code, response.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("path", [INFER, "/v1/predict?model=classify"])
def test_a_client_that_goes_away(address: serving.Address, service: serving.FakeService, path: str) -> None:
    waiting, cancelled = service.waiting, service.cancelled
    sent = images(b"wait")
    lines = [f"Content-Length: {len(sent['content'])}"]
    body = sent["content"]
    if path == INFER:
        lines += [f"{name}: {value}" for name, value in sent["headers"].items()]
    else:
        body = b"wait".ljust(len(body))
    with address.connect() as connection:
        connection.sendall(raw(path, *lines) + body)
        serving.until(lambda: service.waiting > waiting)
    serving.until(lambda: service.cancelled > cancelled)


def test_a_client_that_goes_away_while_it_sends(address: serving.Address, service: serving.FakeService) -> None:
    before = len(service.requests)
    with address.connect() as connection:
        connection.sendall(raw(INFER, "Content-Length: 1000") + b"{")
    with httpx.Client(base_url=address.url, trust_env=False) as client:
        assert client.post(INFER, **images(b"next")).status_code == 200
    assert len(service.requests) == before + 1


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": "Bearer wrong"}, 401),
        ({"authorization": "Basic key"}, 401),
        ({"authorization": "Bearer key"}, 200),
        ({"authorization": "bearer  key"}, 200),
        ({"x-api-key": "key"}, 200),
        ({"x-api-key": "k\u00e9y".encode()}, 401),
    ],
)
def test_api_key(headers: dict[str, Any], status: int) -> None:
    app = Application(serving.FakeService(), api_key="key")

    async def use() -> None:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers) as client:
            assert (await client.get("/v2/health/live")).status_code == 200
            assert (await client.get("/v2/health/ready")).status_code == 200
            for path in ("/v2", "/v2/models/classify", "/metrics", "/docs"):
                found = (await client.get(path)).status_code
                assert found == (404 if status == 200 and path == "/metrics" else status)
            response = await client.post(INFER, **images(b"abc"))
            assert response.status_code == status
            if status == 401:
                assert response.json()["code"] == "unauthorized"
                assert (await client.post("/v1/predict?model=classify", content=b"x")).status_code == 401

    asyncio.run(use())


def test_behind_a_prefix() -> None:
    app = Application(serving.FakeService())

    async def use() -> None:
        transport = httpx.ASGITransport(app=app, root_path="/vision")
        async with httpx.AsyncClient(transport=transport, base_url="http://test/vision") as client:
            assert (await client.post(INFER, **images(b"abc"))).status_code == 200
            assert (await client.get("/v2/models/classify/ready")).json() == {"name": "classify", "ready": True}

    asyncio.run(use())


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/v2/models/m/infer", ("m", "")),
        ("/v2/models/m/versions/3/infer", ("m", "3")),
        ("/v2/models/timm:org/name/infer", ("timm:org/name", "")),
        ("/v2/models/org/name/versions/1/infer", ("org/name", "1")),
        ("/v2/models//infer", None),
        ("/v2/models/infer", None),
        ("/v2/models/m/ready", None),
        ("/v2/models/m/infer/x", None),
    ],
)
def test_names_of_models(path: str, named: Any) -> None:
    assert model_of(path) == named
