"""Requests that are malformed, shared memory that goes away, and HTTP as it should not be: 4xx, and no trace of it."""

from __future__ import annotations

import concurrent.futures
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from faulty import GOOD, SIZE
from server_process import ServerProcess, first_line, infer_body, post, refused

INFER = "/v2/models/faulty/infer"
LENGTH = "Inference-Header-Content-Length"


def tensor(**fields: Any) -> dict[str, Any]:
    return {"name": "IMAGE", "shape": [1], "datatype": "BYTES", "data": ["x"], **fields}


MALFORMED: list[tuple[Any, str]] = [
    ({}, "no inputs"),
    ([], "a JSON object"),
    ({"inputs": "x"}, "a list"),
    ({"inputs": [tensor(), tensor()]}, "twice"),
    ({"inputs": [tensor(), tensor(name="PIXELS")]}, "one input"),
    ({"inputs": [tensor(name="other")]}, "no input 'other'"),
    ({"inputs": [tensor(shape=[2])]}, "shape"),
    ({"inputs": [tensor(shape=[-1])]}, "negative"),
    ({"inputs": [tensor(shape=[2**31])]}, "too large"),
    ({"inputs": [tensor(shape=[1] * 100)]}, "dimensions"),
    ({"inputs": [tensor(shape=[1, 1, 1])]}, "shape"),
    ({"inputs": [tensor(datatype="FP32", data=[1.0])]}, "must be BYTES"),
    ({"inputs": [tensor(datatype="COMPLEX")]}, "datatype"),
    ({"inputs": [tensor(name="INPUT", datatype="FP32", shape=[1, 3], data=[1, 2, 3])]}, "shape"),
    ({"inputs": [tensor(name="INPUT", datatype="FP32", shape=[1, 3, SIZE, SIZE], data=[1])]}, "shape"),
    ({"inputs": [tensor(name="PIXELS", datatype="UINT8", shape=[1, 0, 5, 3], data=[])]}, ""),
    ({"inputs": [tensor(name="PIXELS", datatype="UINT8", shape=[1, 1, 1, 3], data=[1, 2, 256])]}, "between 0 and 255"),
    ({"inputs": [tensor(name="PIXELS", datatype="UINT8", shape=[1, 1, 1, 4], data=[1, 2, 3, 4])]}, "shape"),
    ({"inputs": [tensor(shape=[0], data=[])]}, "1 to 64 images"),
    ({"inputs": [tensor(shape=[65], data=["x"] * 65)]}, "1 to 64 images"),
    ({"inputs": [tensor(parameters={"binary_data_size": 10})]}, "one of data"),
    ({"inputs": [tensor(data=None, parameters={"binary_data_size": 10})]}, "0 bytes are left"),
    ({"inputs": [tensor(data=None, parameters={"binary_data_size": -1})]}, "whole number"),
    ({"inputs": [tensor(data=None, parameters={"shared_memory_region": "nowhere"})]}, "shared_memory_byte_size"),
    ({"inputs": [tensor()], "outputs": [{"name": "other"}]}, "no output 'other'"),
    ({"inputs": [tensor()], "parameters": {"timeout": -1}}, "timeout"),
    ({"inputs": [tensor()], "parameters": {"priority": "high"}}, "priority"),
]


@pytest.mark.parametrize(("document", "word"), MALFORMED)
def test_requests_that_are_malformed(running: ServerProcess, document: Any, word: str) -> None:
    response = running.client.post(INFER, json=document)
    assert word in refused(response, 400, "invalid_request")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[" * 100_000,
        b'{"inputs":' * 50_000,
        b'{"inputs":[{"name":"INPUT","datatype":"FP32","shape":[1],"data":[NaN]}]}',
        b"\xff\xfe{}",
        b'{"inputs": [1e999]}',
        b"\0" * 1000,
    ],
)
def test_what_is_no_json(running: ServerProcess, body: bytes) -> None:
    refused(running.client.post(INFER, content=body), 400, "invalid_request")


@pytest.mark.parametrize("length", ["-1", "0x10", "1e3", "99999999999999999999", "1000000", "3", "\u00b2"])
def test_lengths_that_are_none(running: ServerProcess, length: str) -> None:
    body, _ = infer_body([GOOD])
    response = running.client.post(INFER, content=body, headers={LENGTH: length.encode("latin-1")})
    refused(response, 400, "invalid_request")


def test_elements_whose_lengths_lie(running: ServerProcess) -> None:
    body, headers = infer_body([GOOD])
    head = int(headers[LENGTH])
    for lie in (0, 1, len(GOOD) + 1, 2**32 - 1):
        lying = body[:head] + lie.to_bytes(4, "little") + body[head + 4 :]
        refused(running.client.post(INFER, content=lying, headers=headers), 400, "invalid_request")


def test_model_input_that_is_no_number(same: ServerProcess) -> None:
    """NaN is what its request gets back, and no other one."""
    array = np.full((1, 3, SIZE, SIZE), np.nan, np.float32).tobytes()
    document = {
        "inputs": [
            {
                "name": "INPUT",
                "shape": [1, 3, SIZE, SIZE],
                "datatype": "FP32",
                "parameters": {"binary_data_size": len(array)},
            }
        ],
        "parameters": {"binary_data_output": True},
    }
    head = json.dumps(document).encode()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        good = [pool.submit(same.predict, GOOD) for _ in range(20)]
        response = same.client.post(INFER, content=head + array, headers={LENGTH: str(len(head))})
    assert response.status_code == 200
    assert np.isnan(np.frombuffer(response.content[int(response.headers[LENGTH]) :], np.float32)).all()
    assert {json.dumps(each.result().json()["outputs"]) for each in good} == {
        json.dumps(same.predict(GOOD).json()["outputs"])
    }


# --- shared memory that its owner takes away ---


@pytest.fixture
def shared(running: ServerProcess) -> Iterator[Path]:
    """A region "ours" with an image, as BYTES."""
    file = Path("/dev/shm") / f"test-faults-{os.getpid()}"
    file.write_bytes(len(GOOD).to_bytes(4, "little") + GOOD)
    response = running.client.post(
        "/v2/systemsharedmemory/region/ours/register", json={"key": file.name, "byte_size": file.stat().st_size}
    )
    assert response.status_code == 200
    yield file
    running.client.post("/v2/systemsharedmemory/region/ours/unregister")
    file.unlink(missing_ok=True)


def from_region(server: ServerProcess, size: int) -> Any:
    parameters = {"shared_memory_region": "ours", "shared_memory_byte_size": size}
    return server.client.post(INFER, json={"inputs": [tensor(data=None, parameters=parameters)]})


def test_a_region_that_shrinks(same: ServerProcess, shared: Path) -> None:
    size = shared.stat().st_size
    assert from_region(same, size).status_code == 200
    os.truncate(shared, 100)
    assert "has become shorter" in refused(from_region(same, size), 400, "invalid_request")
    os.truncate(shared, 0)
    assert "has become shorter" in refused(from_region(same, size), 400, "invalid_request")
    assert "not inside it" in refused(from_region(same, size + 1), 400, "invalid_request")


def test_a_region_that_vanishes(same: ServerProcess, shared: Path) -> None:
    size = shared.stat().st_size
    shared.unlink()
    assert from_region(same, size).status_code == 200  # what was registered is there still
    same.client.post("/v2/systemsharedmemory/region/ours/unregister")
    refused(from_region(same, size), 404, "not_found")


def test_keys_that_are_none_of_a_clients(running: ServerProcess) -> None:
    for key in ("../etc/passwd", "/../etc/passwd", "", "/", ".", "\0", "x" * 300, "fastpre-slots", "nowhere"):
        response = running.client.post("/v2/systemsharedmemory/region/r/register", json={"key": key, "byte_size": 1})
        refused(response, 400, "invalid_request")


# --- what is odd: HTTP ---

GET = "GET /v2/health/live HTTP/1.1\r\n"
ODD: list[tuple[bytes, bytes]] = [
    (f"{GET}\r\n".encode(), b"200"),  # without a Host
    (f"{GET}Host: {'x' * 1000}\r\n\r\n".encode(), b"200"),
    (f"{GET}Host: a\r\nHost: b\r\n\r\n".encode(), b"200"),  # nothing depends on it
    (b"GET /v2/health/live HTTP/1.0\r\n\r\n", b"200"),
    (b"HEAD /v2/health/live HTTP/1.1\r\nHost: t\r\n\r\n", b"200"),
    (b"HEAD /v1/predict HTTP/1.1\r\nHost: t\r\n\r\n", b"405"),
    (b"GET /v1/predict HTTP/1.1\r\nHost: t\r\n\r\n", b"405"),
    (b"PUT /v2/models/faulty/infer HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n", b"405"),
    (b"GET /nowhere HTTP/1.1\r\nHost: t\r\n\r\n", b"404"),
    (b"GET /../../etc/passwd HTTP/1.1\r\nHost: t\r\n\r\n", b"404"),
    (b"GET /v2/models/%2e%2e%2f%00 HTTP/1.1\r\nHost: t\r\n\r\n", b"404"),
    (b"POST /v2/models/other/infer HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\n{}", b"404"),
    (b"BREW /v2 HTTP/1.1\r\nHost: t\r\n\r\n", b"400"),
    (b"GET /v2\r\n\r\n", b"200"),  # HTTP/0.9
    (b"GET /v2 HTTP/9.9\r\n\r\n", b"400"),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"400"),  # TLS
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"400"),
    (f"{GET}A: b\nC: d\r\n\r\n".encode(), b"400"),
    (f"{GET}A\0: b\r\n\r\n".encode(), b"400"),
    # Bodies whose end two servers may see at different places.
    (post("/v1/predict", b"0\r\n\r\n", headers={"Transfer-Encoding": "chunked"}), b"400"),
    (post("/v1/predict", b"abc", headers={"Content-Length": "4"}), b"400"),
    (b"POST /v1/predict HTTP/1.1\r\nHost: t\r\nContent-Length: +3\r\n\r\nabc", b"400"),
    (b"POST /v1/predict HTTP/1.1\r\nHost: t\r\nContent-Length: -3\r\n\r\nabc", b"400"),
    (b"POST /v1/predict HTTP/1.1\r\nHost: t\r\nContent-Length: 3, 3\r\n\r\nabc", b"400"),
    (b"POST /v1/predict HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"400"),
    (b"POST /v1/predict HTTP/1.1\r\nHost: t\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", b"400"),
    (b"POST /v1/predict HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", b"400"),
    (b"POST /v1/predict HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", b"400"),
]


@pytest.mark.parametrize(("data", "status"), ODD)
def test_what_is_odd(running: ServerProcess, data: bytes, status: bytes) -> None:
    with running.connect() as connection:
        connection.sendall(data)
        line = first_line(connection)
    assert re.match(rb"HTTP/1.1 (\d+)", line), line
    assert line.split(b" ")[1] == status


def test_a_client_that_waits_to_be_told_to_go_on(running: ServerProcess) -> None:
    with running.connect() as connection:
        connection.sendall(post("/v1/predict", b"", length=len(GOOD), headers={"Expect": "100-continue"}))
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(GOOD)
        assert first_line(connection) == b"HTTP/1.1 200 OK"
    with running.connect() as connection:
        connection.sendall(post("/v1/predict", b"", length=10**12, headers={"Expect": "100-continue"}))
        assert first_line(connection) == b"HTTP/1.1 413 Request Entity Too Large"  # and is not
