"""The unmodified HTTP clients of Triton, synchronous and asyncio's, against the server."""

from __future__ import annotations

import asyncio
import os
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import http_serving as serving
from fastpre.serve.http import Application
from fastpre.serve.inference import DTYPES
from fastpre.serve.protocol.regions import Regions

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # theirs, at import
    import tritonclient.http as triton
    import tritonclient.http.aio as triton_aio
    import tritonclient.utils.shared_memory as shared_memory
    from tritonclient.utils import InferenceServerException


@pytest.fixture(scope="module")
def service() -> serving.FakeService:
    return serving.FakeService()


@pytest.fixture(scope="module")
def regions() -> Iterator[Regions]:
    found = Regions()
    yield found
    found.close()


@pytest.fixture(scope="module")
def address(service: serving.FakeService, regions: Regions) -> Iterator[serving.Address]:
    with serving.running(Application(service, regions=regions)) as found:
        yield found


@pytest.fixture
def client(address: serving.Address) -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with triton.InferenceServerClient(f"{address.host}:{address.port}") as found:
            yield found


def image_input(images: list[bytes], *, binary: bool = True) -> Any:
    tensor = triton.InferInput("image", [len(images)], "BYTES")
    tensor.set_data_from_numpy(np.array(images, object), binary_data=binary)
    return tensor


def expected(images: list[bytes]) -> np.ndarray[Any, Any]:
    return np.array([serving.scores(image) for image in images], np.float32)


@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
@pytest.mark.parametrize("answer", [None, "gzip", "deflate"])
def test_triton_binary(client: Any, service: serving.FakeService, compression: Any, answer: Any) -> None:
    images = [b"\xff\xd8one" * 100, b"\xff\xd8three"]
    result = client.infer(
        "classify",
        [image_input(images)],
        request_id="r7",
        request_compression_algorithm=compression,
        response_compression_algorithm=answer,
    )
    np.testing.assert_array_equal(result.as_numpy("scores"), expected(images))
    assert result.get_response()["id"] == "r7"
    assert result.get_response()["model_version"] == "2"
    assert [bytes(element) for element in service.requests[-1].inputs[0].data] == images


@pytest.mark.parametrize("answer", ["gzip", "deflate"])
def test_triton_answers_that_are_worth_compressing(client: Any, answer: str) -> None:
    array = np.zeros((1, 5000), np.float32)
    tensor = triton.InferInput("x", [1, 5000], "FP32")
    tensor.set_data_from_numpy(array)
    result = client.infer("mirror", [tensor], response_compression_algorithm=answer)
    np.testing.assert_array_equal(result.as_numpy("x"), array)


def test_triton_json(client: Any) -> None:
    outputs = [triton.InferRequestedOutput("scores", binary_data=False)]
    result = client.infer("classify", [image_input([b"abcd"], binary=False)], outputs=outputs, model_version="2")
    np.testing.assert_array_equal(result.as_numpy("scores"), expected([b"abcd"]))
    assert "parameters" not in result.get_output("scores")


@pytest.mark.parametrize("datatype", ["BOOL", "UINT8", "INT16", "UINT64", "INT64", "FP16", "FP32", "FP64"])
@pytest.mark.parametrize("binary", [True, False])
def test_triton_datatypes(client: Any, datatype: str, binary: bool) -> None:
    dtype = DTYPES[datatype]
    array = np.arange(6).reshape(2, 3).astype(dtype)
    tensor = triton.InferInput("x", [2, 3], datatype)
    tensor.set_data_from_numpy(array, binary_data=binary)
    outputs = [triton.InferRequestedOutput("x", binary_data=binary)]
    if datatype == "FP16" and not binary:
        with pytest.raises(InferenceServerException, match="input 'x': FP16 cannot be sent as JSON"):
            client.infer("mirror", [tensor], outputs=outputs)
        return
    result = client.infer("mirror", [tensor], outputs=outputs)
    np.testing.assert_array_equal(result.as_numpy("x"), array)
    assert result.as_numpy("x").dtype == dtype


def test_triton_classification(client: Any) -> None:
    outputs = [triton.InferRequestedOutput("scores", class_count=2)]
    result = client.infer("classify", [image_input([b"abcd"])], outputs=outputs)
    assert result.as_numpy("scores").tolist() == [[b"2.000000:1:dog", b"0.200000:2:bird"]]


def test_triton_parameters(client: Any, service: serving.FakeService) -> None:
    client.infer(
        "classify",
        [image_input([b"abcd"])],
        priority=3,
        timeout=2_000_000,
        sequence_id=9,
        sequence_start=True,
        parameters={"note": "kept", "weight": 0.5},
        headers={"traceparent": "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"},
    )
    request = service.requests[-1]
    assert request.priority == 3
    assert request.deadline == pytest.approx(request.received + 2.0)
    assert request.parameters == {"note": "kept", "weight": 0.5, "binary_data_output": True}
    assert request.traceparent == "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"
    assert 0 < request.received <= request.arrived


def test_triton_shared_memory(client: Any) -> None:
    array = np.arange(4, dtype=np.float32).reshape(2, 2)
    key = f"/http_clients_{os.getpid()}"
    held = shared_memory.create_shared_memory_region("both", key, 64)
    try:
        shared_memory.set_shared_memory_region(held, [array], offset=12)
        client.register_system_shared_memory("in/a", key, 56, offset=8)
        client.register_system_shared_memory("out", key, 64)
        status = client.get_system_shared_memory_status()
        assert {"name": "in/a", "key": key, "offset": 8, "byte_size": 56} in status
        assert [region["name"] for region in client.get_system_shared_memory_status("out")] == ["out"]
        tensor = triton.InferInput("x", [2, 2], "FP32")
        tensor.set_shared_memory("in/a", 16, offset=4)
        output = triton.InferRequestedOutput("x")
        output.set_shared_memory("out", 24, offset=32)
        result = client.infer("mirror", [tensor], outputs=[output])
        np.testing.assert_array_equal(shared_memory.get_contents_as_numpy(held, np.float32, (2, 2), 32), array)
        assert result.get_output("x")["parameters"] == {
            "shared_memory_region": "out",
            "shared_memory_byte_size": 16,
            "shared_memory_offset": 32,
        }
        output.set_shared_memory("out", 8)
        with pytest.raises(InferenceServerException, match="it takes 16 bytes, and 8 of region 'out' are given"):
            client.infer("mirror", [tensor], outputs=[output])
        output.set_shared_memory("out", 80)
        with pytest.raises(InferenceServerException, match="'out' has 64 bytes"):
            client.infer("mirror", [tensor], outputs=[output])
        for size, reason in ((0, "input 'x': shared_memory_byte_size is 0"), (2**27, "more than 67108864 bytes")):
            tensor.set_shared_memory("in/a", size)
            with pytest.raises(InferenceServerException, match=reason):
                client.infer("mirror", [tensor])
        tensor.set_shared_memory("in/a", 16)
        client.unregister_system_shared_memory("in/a")
        with pytest.raises(InferenceServerException, match="there is no shared memory region 'in/a'"):
            client.infer("mirror", [tensor])
        client.unregister_system_shared_memory()
        assert client.get_system_shared_memory_status() == []
        with pytest.raises(InferenceServerException, match="there is no shared memory region 'in/a'"):
            client.get_system_shared_memory_status("in/a")
    finally:
        shared_memory.destroy_shared_memory_region(held)


def test_triton_cuda_shared_memory(client: Any) -> None:
    assert client.get_cuda_shared_memory_status() == []
    client.unregister_cuda_shared_memory()
    with pytest.raises(InferenceServerException, match="takes no CUDA shared memory"):
        client.register_cuda_shared_memory("c", b"handle", 0, 64)


def test_triton_metadata(client: Any, service: serving.FakeService) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    metadata = client.get_server_metadata()
    assert (metadata["name"], metadata["version"]) == ("fake", "1.2.3")
    assert {"statistics", "binary_tensor_data", "system_shared_memory", "classification"} <= {*metadata["extensions"]}
    assert client.is_model_ready("classify")
    assert client.is_model_ready("classify", "1")
    assert not client.is_model_ready("other")
    model = client.get_model_metadata("classify")
    assert model["inputs"] == [{"name": "image", "datatype": "BYTES", "shape": [-1]}]
    assert model["outputs"] == [{"name": "scores", "datatype": "FP32", "shape": [-1, 3]}]
    assert model["versions"] == ["1", "2"]
    assert client.get_model_config("classify", "1")["max_batch_size"] == 16
    assert [stat["name"] for stat in client.get_inference_statistics()["model_stats"]] == list(serving.MODELS)
    assert [stat["name"] for stat in client.get_inference_statistics("detect")["model_stats"]] == ["detect"]
    index = client.get_model_repository_index()
    assert {"name": "mirror", "version": "2", "state": "READY", "reason": ""} in index
    service.ready = False
    try:
        assert not client.is_server_ready()
        assert not client.is_model_ready("classify")
        assert client.is_server_live()
    finally:
        service.ready = True


@pytest.mark.parametrize(
    ("model", "version", "images", "status", "reason"),
    [
        ("other", "", [b"a"], "404", "there is no model 'other'"),
        ("classify", "7", [b"a"], "404", "model 'classify' has no version '7'"),
        ("classify", "", [b"a", b"bad"], "422", "not an image"),
        ("classify", "", [b"full"], "503", "the queue is full"),
    ],
)
def test_triton_errors(client: Any, model: str, version: str, images: list[bytes], status: str, reason: str) -> None:
    with pytest.raises(InferenceServerException) as caught:
        client.infer(model, [image_input(images)], model_version=version)
    assert caught.value.status() == status
    assert caught.value.message() == reason


def test_triton_unknown_paths(client: Any) -> None:
    with pytest.raises(InferenceServerException, match="there is nothing at '/v2/repository/models/m/load'"):
        client.load_model("m")


def test_triton_asyncio(address: serving.Address) -> None:
    async def use() -> None:
        async with triton_aio.InferenceServerClient(f"{address.host}:{address.port}") as client:
            assert await client.is_server_ready()
            images = [b"\xff\xd8", b"\xff\xd8\xff"]
            for compression in (None, "gzip", "deflate"):
                result = await client.infer(
                    "classify",
                    [image_input(images)],
                    request_compression_algorithm=compression,
                    response_compression_algorithm=compression,
                )
                np.testing.assert_array_equal(result.as_numpy("scores"), expected(images))
            assert (await client.get_model_metadata("classify"))["name"] == "classify"
            with pytest.raises(InferenceServerException, match="there is no model 'other'"):
                await client.infer("other", [image_input(images)])

    asyncio.run(use())
