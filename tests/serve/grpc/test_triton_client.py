"""What the unmodified tritonclient gets: descriptions, inference, shared memory."""

from __future__ import annotations

import asyncio
import queue
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from tritonclient.utils import InferenceServerException, shared_memory

from fastpre.serve.inference import InferRequest, InferResponse, OutputTensor
from grpc_serving import CLASSES, Served, scores, served

Client = triton.InferenceServerClient


def test_state(server: Served, client: Client) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("net")
    assert client.is_model_ready("net", "1")
    server.service.ready = False
    assert client.is_server_live()
    assert not client.is_server_ready()
    assert not client.is_model_ready("net")


def test_descriptions(client: Client) -> None:
    metadata = client.get_server_metadata()
    assert (metadata.name, metadata.version) == ("fastpre", "9.9")
    assert {"statistics", "model_configuration", "classification", "system_shared_memory"} <= {*metadata.extensions}
    model = client.get_model_metadata("net")
    assert (model.name, list(model.versions), model.platform) == ("net", ["1"], "torchvision")
    assert [(t.name, t.datatype, list(t.shape)) for t in model.inputs] == [
        ("image", "BYTES", [-1]),
        ("pixels", "FP32", [-1, 3, 4, 4]),
    ]
    assert [(t.name, t.datatype, list(t.shape)) for t in model.outputs] == [
        ("scores", "FP32", [-1, CLASSES]),
        ("sizes", "INT64", [-1]),
    ]


def test_configuration_and_statistics(client: Client) -> None:
    config = client.get_model_config("net").config
    assert (config.name, config.max_batch_size, config.input[0].optional) == ("net", 8, True)
    assert config.input[0].data_type == 13
    assert list(config.output[0].dims) == [CLASSES]
    assert config.dynamic_batching.max_queue_delay_microseconds == 500
    for (found,) in (client.get_inference_statistics().model_stats, client.get_inference_statistics("net").model_stats):
        assert (found.name, found.inference_count, found.execution_count) == ("net", 3, 2)
        assert found.inference_stats.success.ns == 4_000_000
        assert found.batch_stats[0].compute_infer.count == 1


def test_the_index_of_models(server: Served, client: Client) -> None:
    (model,) = client.get_model_repository_index().models
    assert (model.name, model.version, model.state) == ("net", "1", "READY")
    server.service.ready = False
    (model,) = client.get_model_repository_index().models
    assert model.state == "UNAVAILABLE"


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.get_model_metadata("nothing"),
        lambda client: client.get_model_config("net", "2"),
        lambda client: client.get_inference_statistics("nothing"),
        lambda client: client.is_model_ready("nothing"),
        lambda client: client.infer("nothing", []),
    ],
)
def test_models_that_are_not_there(client: Client, ask: Callable[[Client], Any]) -> None:
    with pytest.raises(InferenceServerException, match="there is no model") as caught:
        ask(client)
    assert caught.value.status() == "StatusCode.NOT_FOUND"


def test_inference(server: Served, client: Client, image: Any) -> None:
    result = client.infer("net", [image], model_version="1", request_id="r7", priority=3, parameters={"rung": "low"})
    assert result.as_numpy("sizes").tolist() == [1000, 2]
    np.testing.assert_array_equal(result.as_numpy("scores"), scores(2))
    response = result.get_response()
    assert (response.model_name, response.model_version, response.id) == ("net", "1", "r7")
    assert response.parameters["rung"].int64_param == 0
    (request,) = server.service.requests
    assert (request.version, request.priority, request.deadline) == ("1", 3, None)
    assert request.parameters == {"rung": "low"}
    assert 0 < request.received <= request.arrived


def test_pixels_and_compression(client: Client) -> None:
    pixels = triton.InferInput("pixels", [2, 3, 4, 4], "FP32")
    pixels.set_data_from_numpy(np.zeros((2, 3, 4, 4), np.float32))
    for algorithm in (None, "gzip", "deflate"):
        result = client.infer("net", [pixels], compression_algorithm=algorithm)
        assert result.as_numpy("sizes").tolist() == [48, 48]


def test_chosen_outputs_and_classes(client: Client, image: Any) -> None:
    wanted = [triton.InferRequestedOutput("scores", class_count=2)]
    result = client.infer("net", [image], outputs=wanted)
    assert result.as_numpy("sizes") is None
    assert result.as_numpy("scores").tolist() == [
        [b"1.500000:0:zero", b"-1.000000:1:one"],
        [b"1.500000:1:one", b"-0.000000:0:zero"],
    ]
    with pytest.raises(InferenceServerException, match="no output 'boxes'"):
        client.infer("net", [image], outputs=[triton.InferRequestedOutput("boxes")])


def test_strings_as_outputs(server: Served, client: Client) -> None:
    async def answer(request: InferRequest) -> InferResponse:
        words = np.array([[b"cat", b""], [b"dog\0", b"\xff"]], np.object_)
        return InferResponse("net", "1", (OutputTensor("words", "BYTES", words),))

    server.service.answer = answer
    result = client.infer("net", [])
    assert result.as_numpy("words").tolist() == [[b"cat", b""], [b"dog\0", b"\xff"]]


@pytest.fixture
def memory() -> Iterator[Any]:
    """Two regions of shared memory that a client has made: for inputs and for outputs."""
    made = [shared_memory.create_shared_memory_region(name, f"/t-{uuid.uuid4().hex}", 4096) for name in ("in", "out")]
    yield made
    for handle in made:
        shared_memory.destroy_shared_memory_region(handle)


def key(handle: Any) -> str:
    return str(handle._shm_key)


def test_shared_memory_in_and_out(server: Served, client: Client, memory: Any) -> None:
    source, target = memory
    client.register_system_shared_memory("in", key(source), 4096)
    client.register_system_shared_memory("out", key(target), 4000, offset=96)
    pixels = np.ones((2, 3, 4, 4), np.float32)
    shared_memory.set_shared_memory_region(source, [pixels], offset=8)
    image = triton.InferInput("pixels", [2, 3, 4, 4], "FP32").set_shared_memory("in", pixels.nbytes, offset=8)
    wanted = [triton.InferRequestedOutput("sizes"), triton.InferRequestedOutput("scores")]
    wanted[1].set_shared_memory("out", 1000, offset=4)
    result = client.infer("net", [image], outputs=wanted)
    assert server.service.requests[0].inputs[0].data[1, 2, 3, 3] == 1
    assert result.as_numpy("sizes").tolist() == [48, 48]
    output = result.get_output("scores")
    assert output.parameters["shared_memory_region"].string_param == "out"
    assert output.parameters["shared_memory_byte_size"].int64_param == 2 * CLASSES * 4
    np.testing.assert_array_equal(
        shared_memory.get_contents_as_numpy(target, np.float32, [2, CLASSES], offset=100), scores(2)
    )


def test_encoded_images_and_strings_in_shared_memory(client: Client, memory: Any) -> None:
    source, target = memory
    client.register_system_shared_memory("in", key(source), 4096)
    client.register_system_shared_memory("out", key(target), 4096)
    raw = triton.serialize_byte_tensor(np.array([b"one", b"three"], np.object_))
    shared_memory.set_shared_memory_region(source, [raw])
    image = triton.InferInput("image", [2], "BYTES").set_shared_memory("in", len(raw.item()))
    wanted = [triton.InferRequestedOutput("sizes")]
    wanted[0].set_shared_memory("out", 16)
    client.infer("net", [image], outputs=wanted)
    assert shared_memory.get_contents_as_numpy(target, np.int64, [2]).tolist() == [3, 5]


def test_shared_memory_by_name(client: Client, memory: Any) -> None:
    client.register_system_shared_memory("in", key(memory[0]), 4096)
    client.register_system_shared_memory("out", key(memory[1]), 96, offset=4000)
    regions = client.get_system_shared_memory_status().regions
    assert {name: (r.name, r.key, r.offset, r.byte_size) for name, r in regions.items()} == {
        "in": ("in", key(memory[0]), 0, 4096),
        "out": ("out", key(memory[1]), 4000, 96),
    }
    assert list(client.get_system_shared_memory_status("out").regions) == ["out"]
    client.unregister_system_shared_memory("out")
    client.unregister_system_shared_memory("out")
    with pytest.raises(InferenceServerException, match="no shared memory region 'out'"):
        client.get_system_shared_memory_status("out")
    client.unregister_system_shared_memory()
    assert not client.get_system_shared_memory_status().regions
    with pytest.raises(InferenceServerException, match="no key of shared memory"):
        client.register_system_shared_memory("x", "/../etc/passwd", 4096)


def test_cuda_shared_memory_is_not_offered(client: Client) -> None:
    assert not client.get_cuda_shared_memory_status().regions
    client.unregister_cuda_shared_memory()
    with pytest.raises(InferenceServerException, match="CUDA shared memory is not offered") as caught:
        client.register_cuda_shared_memory("x", b"aGFuZGxl", 0, 64)
    assert caught.value.status() == "StatusCode.UNIMPLEMENTED"


def test_the_asynchronous_client(image: Any) -> None:
    async def use(url: str) -> None:
        async with triton_aio.InferenceServerClient(url) as client:
            assert await client.is_server_ready()
            assert (await client.get_model_config("net")).config.max_batch_size == 8
            results = await asyncio.gather(*(client.infer("net", [image], request_id=str(i)) for i in range(20)))
            assert [result.get_response().id for result in results] == [str(i) for i in range(20)]
            with pytest.raises(InferenceServerException, match="no model 'x'"):
                await client.infer("x", [image])

    with served() as server:
        asyncio.run(use(server.url))
        assert len(server.service.requests) == 21


def test_callbacks_of_the_synchronous_client(server: Served, client: Client, image: Any) -> None:
    found: queue.Queue[Any] = queue.Queue()
    for index in range(5):
        client.async_infer("net", [image], lambda result, error: found.put((result, error)), request_id=str(index))
    answers = [found.get(timeout=10) for _ in range(5)]
    assert {result.get_response().id for result, _ in answers} == set("01234")
    assert all(error is None for _, error in answers)
