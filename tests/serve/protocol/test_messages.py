"""ModelInferRequest to a request: every way to send a tensor, and the words for every way to get it wrong."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastpre.serve.errors import BadRequest, BodyTooLarge, NotFound, ServeError
from fastpre.serve.inference import (
    DTYPES,
    InferRequest,
    InferResponse,
    OutputTensor,
    RequestedOutput,
    SharedRegion,
)
from fastpre.serve.protocol.messages import infer_request, infer_response
from fastpre.serve.protocol.regions import Regions
from fastpre.serve.protocol.schema import message

IMAGE = b"\x03\0\0\0abc"


@pytest.fixture
def regions() -> Iterator[Regions]:
    """One region, `mem`, of 100 bytes: the numbers from 0 up."""
    path = Path("/dev/shm") / f"test-messages-{uuid.uuid4().hex}"
    path.write_bytes(bytes(range(100)))
    it = Regions()
    it.register("mem", path.name, 0, 100)
    yield it
    it.close()
    path.unlink()


def asked(**fields: Any) -> Any:
    return message("inference.ModelInferRequest")(model_name="net", **fields)


def read(request: Any, regions: Regions | None = None, max_bytes: int = 1000) -> InferRequest:
    return infer_request(request, regions or Regions(), received=10.0, max_bytes=max_bytes)


def shared(size: Any = 4, **more: Any) -> dict[str, Any]:
    values = {"shared_memory_region": "mem", "shared_memory_byte_size": size, **more}
    return {key: {"string_param" if isinstance(v, str) else "int64_param": v} for key, v in values.items()}


def image(**more: Any) -> dict[str, Any]:
    return {"name": "image", "datatype": "BYTES", "shape": [1], **more}


def test_a_request_in_full() -> None:
    found = read(
        asked(
            model_version="3",
            id="id",
            parameters={
                "priority": {"uint64_param": 2},
                "timeout": {"int64_param": 500_000},
                "sequence_id": {"int64_param": 7},
                "b": {"bool_param": True},
                "d": {"double_param": 0.5},
                "s": {"string_param": "t"},
            },
            inputs=[image(parameters={"k": {"int64_param": -1}}), {"name": "n", "datatype": "INT16", "shape": [2, 1]}],
            outputs=[{"name": "scores", "parameters": {"classification": {"int64_param": 5}, "o": {"int64_param": 1}}}],
            raw_input_contents=[IMAGE, b"\1\0\xff\xff"],
        )
    )
    assert (found.model, found.version, found.id, found.priority) == ("net", "3", "id", 2)
    assert (found.received, found.arrived, found.deadline) == (10.0, 10.0, 10.5)
    assert found.parameters == {"b": True, "d": 0.5, "s": "t"}
    first, second = found.inputs
    assert [bytes(element) for element in first.data] == [b"abc"]
    assert first.parameters == {"k": -1}
    assert isinstance(second.data, np.ndarray)
    assert second.data.tolist() == [[1], [-1]]
    assert list(found.outputs) == [RequestedOutput("scores", 5, None, {"o": 1})]


@pytest.mark.parametrize(
    ("datatype", "field", "values"),
    [
        ("BOOL", "bool_contents", [True, False]),
        ("UINT8", "uint_contents", [0, 255]),
        ("UINT16", "uint_contents", [0, 65535]),
        ("UINT32", "uint_contents", [0, 2**32 - 1]),
        ("UINT64", "uint64_contents", [0, 2**64 - 1]),
        ("INT8", "int_contents", [-128, 127]),
        ("INT16", "int_contents", [-(2**15), 2**15 - 1]),
        ("INT32", "int_contents", [-(2**31), 2**31 - 1]),
        ("INT64", "int64_contents", [-(2**63), 2**63 - 1]),
        ("FP32", "fp32_contents", [0.5, -1.5]),
        ("FP64", "fp64_contents", [0.1, float("inf")]),
        ("BYTES", "bytes_contents", [b"abc", b""]),
    ],
)
def test_typed_contents(datatype: str, field: str, values: list[Any]) -> None:
    tensor = {"name": "x", "datatype": datatype, "shape": [2], "contents": {field: values}}
    data = read(asked(inputs=[tensor])).inputs[0].data
    if datatype != "BYTES":
        assert isinstance(data, np.ndarray)
        assert data.dtype == DTYPES[datatype]
        assert not data.flags.writeable
    assert list(data) == values


def test_inputs_in_shared_memory_have_no_raw_entry(regions: Regions) -> None:
    pixels = {"name": "p", "datatype": "UINT8", "shape": [2, 2], "parameters": shared(4, shared_memory_offset=10)}
    found = read(asked(inputs=[pixels, image()], raw_input_contents=[IMAGE]), regions)
    assert isinstance(found.inputs[0].data, np.ndarray)
    assert found.inputs[0].data.tolist() == [[10, 11], [12, 13]]
    assert found.inputs[0].parameters == {}
    assert [bytes(element) for element in found.inputs[1].data] == [b"abc"]


def test_outputs_in_shared_memory_are_checked_before_any_work(regions: Regions) -> None:
    found = read(asked(outputs=[{"name": "o", "parameters": shared(60, shared_memory_offset=40)}]), regions)
    assert found.outputs[0].region == SharedRegion("mem", 40, 60)
    with pytest.raises(BadRequest, match="not inside"):
        read(asked(outputs=[{"name": "o", "parameters": shared(61, shared_memory_offset=40)}]), regions)


number = {"name": "n", "datatype": "UINT8", "shape": [2]}
MALFORMED: list[tuple[dict[str, Any], type[ServeError], str]] = [
    ({"inputs": [image()]}, BadRequest, "'image' has 0 elements"),
    ({"inputs": [image(name="")], "raw_input_contents": [IMAGE]}, BadRequest, "no name"),
    ({"inputs": [image(), image()], "raw_input_contents": [IMAGE, IMAGE]}, BadRequest, "'image' is there twice"),
    ({"inputs": [image(shape=[-1])], "raw_input_contents": [IMAGE]}, BadRequest, "'image' has the shape"),
    ({"inputs": [image(datatype="FP8")], "raw_input_contents": [IMAGE]}, BadRequest, "'image' has the datatype"),
    ({"inputs": [image(), number], "raw_input_contents": [IMAGE]}, BadRequest, "'n' has no entry"),
    ({"inputs": [image()], "raw_input_contents": [IMAGE, IMAGE]}, BadRequest, "has 2 entries; 1 inputs"),
    ({"raw_input_contents": [IMAGE]}, BadRequest, "has 1 entries; 0 inputs"),
    (
        {"inputs": [image(contents={"bytes_contents": [b"a"]})], "raw_input_contents": [IMAGE]},
        BadRequest,
        "'image' has contents although",
    ),
    ({"inputs": [image(contents={"fp32_contents": [1]})]}, BadRequest, "'image' of BYTES has fp32_contents"),
    ({"inputs": [number | {"contents": {"uint_contents": [1]}}]}, BadRequest, "'n' has 1 elements; UINT8 .2. takes 2"),
    ({"inputs": [number | {"contents": {"uint_contents": [1, 256]}}]}, BadRequest, "'n' has elements that UINT8"),
    ({"inputs": [number | {"datatype": "FP16"}]}, BadRequest, "'n' of FP16 must be in raw_input_contents"),
    ({"inputs": [number | {"parameters": {"k": {}}}]}, BadRequest, "'k' of input 'n' has no value"),
    (
        {"inputs": [number | {"parameters": shared(2, shared_memory_region=1)}]},
        BadRequest,
        "shared_memory_region is text",
    ),
    ({"inputs": [number | {"parameters": shared(0)}]}, BadRequest, "'n' has 0 bytes; UINT8 .2. takes 2"),
    (
        {"inputs": [number | {"parameters": {"shared_memory_region": {"string_param": "mem"}}}]},
        BadRequest,
        "'n': shared_memory_byte_size is a whole number from 0, not null",
    ),
    (
        {"inputs": [number | {"parameters": shared(-1)}]},
        BadRequest,
        "'n': shared_memory_byte_size is a whole number from 0, not -1",
    ),
    ({"inputs": [number | {"parameters": shared("2")}]}, BadRequest, "'n': shared_memory_byte_size is .*, not '2'"),
    ({"inputs": [number | {"parameters": shared(3)}]}, BadRequest, "'n' has 3 bytes; UINT8 .2. takes 2"),
    ({"inputs": [number | {"parameters": shared(2, shared_memory_offset=99)}]}, BadRequest, "2 at 99 are not inside"),
    ({"inputs": [number | {"parameters": shared(2, shared_memory_region="x")}]}, NotFound, "region 'x'"),
    ({"inputs": [number | {"parameters": shared(20)}]}, BodyTooLarge, "more than 10 bytes"),
    (
        {"inputs": [number | {"parameters": shared(2), "contents": {"uint_contents": [1, 2]}}]},
        BadRequest,
        "'n' is in shared memory and has contents",
    ),
    ({"outputs": [{"name": "o"}, {"name": "o"}]}, BadRequest, "'o' is asked for twice"),
    (
        {"outputs": [{"name": "o", "parameters": shared(2) | {"classification": {"int64_param": 1}}}]},
        BadRequest,
        "'o' cannot be both",
    ),
    (
        {"outputs": [{"name": "o", "parameters": {"classification": {"bool_param": True}}}]},
        BadRequest,
        "'o': classification .* not True",
    ),
    ({"outputs": [{"name": "o", "parameters": shared(2, shared_memory_region="x")}]}, NotFound, "region 'x'"),
    ({"parameters": {"timeout": {"int64_param": -5}}}, BadRequest, "the request: timeout .* not -5"),
    ({"parameters": {"priority": {"string_param": "high"}}}, BadRequest, "the request: priority .* not 'high'"),
    ({"parameters": {str(i): {"bool_param": True} for i in range(65)}}, BadRequest, "has 65 parameters"),
    ({"inputs": [image(name=str(i)) for i in range(65)]}, BadRequest, "has 65 inputs"),
    ({"outputs": [{"name": str(i)} for i in range(65)]}, BadRequest, "asks for 65 outputs"),
]


@pytest.mark.parametrize(("fields", "kind", "reason"), MALFORMED, ids=[reason for _, _, reason in MALFORMED])
def test_malformed_requests_say_what_is_wrong(
    fields: dict[str, Any], kind: type[ServeError], reason: str, regions: Regions
) -> None:
    with pytest.raises(kind, match=reason):
        read(asked(**fields), regions, max_bytes=10)


def test_many_small_views_of_a_large_region_are_bounded(regions: Regions) -> None:
    """A message of a few hundred bytes cannot make the server copy gigabytes."""
    inputs = [number | {"name": str(i), "parameters": shared(2)} for i in range(6)]
    with pytest.raises(BodyTooLarge, match="more than 10 bytes"):
        read(asked(inputs=inputs), regions, max_bytes=10)


def response(**fields: Any) -> InferResponse:
    outputs = (
        OutputTensor("scores", "FP32", np.array([[1, 2]], np.float32), {"scale": 0.5}),
        OutputTensor("names", "BYTES", np.array([[b"ab"]], np.object_)),
    )
    return InferResponse("net", "3", outputs, id="i", **fields)


def test_a_response_in_full() -> None:
    found = infer_response(response(parameters={"b": False, "i": -1, "f": 0.5, "s": "t"}), (), (), Regions())
    assert (found.model_name, found.model_version, found.id) == ("net", "3", "i")
    sent = {key: getattr(value, value.WhichOneof("parameter_choice")) for key, value in found.parameters.items()}
    assert sent == {"b": False, "i": -1, "f": 0.5, "s": "t"}
    assert [(o.name, o.datatype, list(o.shape)) for o in found.outputs] == [
        ("scores", "FP32", [1, 2]),
        ("names", "BYTES", [1, 1]),
    ]
    assert found.outputs[0].parameters["scale"].double_param == 0.5
    assert list(found.raw_output_contents) == [np.array([1, 2], np.float32).tobytes(), b"\2\0\0\0ab"]


def test_outputs_come_as_they_are_asked_for(regions: Regions) -> None:
    wanted = [RequestedOutput("names", region=SharedRegion("mem", 4, 20)), RequestedOutput("scores", 1)]
    found = infer_response(response(), wanted, ("a", "b"), regions)
    assert [output.name for output in found.outputs] == ["names", "scores"]
    assert list(found.raw_output_contents) == [b"", b"\x0c\0\0\0002.000000:1:b"]
    assert bytes(regions.view("mem", 3, 8)) == b"\3\2\0\0\0ab\x0a"
    told = found.outputs[0].parameters
    assert told["shared_memory_region"].string_param == "mem"
    assert (told["shared_memory_offset"].int64_param, told["shared_memory_byte_size"].int64_param) == (4, 6)


@pytest.mark.parametrize(
    ("wanted", "kind", "reason"),
    [
        (RequestedOutput("boxes"), BadRequest, "'net' has no output 'boxes'; it has scores, names"),
        (
            RequestedOutput("scores", region=SharedRegion("mem", 0, 7)),
            BadRequest,
            "'scores' has 8 bytes; .* room for 7",
        ),
        (RequestedOutput("scores", region=SharedRegion("x", 0, 8)), NotFound, "region 'x'"),
        (RequestedOutput("names", 1), BadRequest, "'names' of BYTES"),
    ],
)
def test_outputs_that_cannot_be_given(
    wanted: RequestedOutput, kind: type[ServeError], reason: str, regions: Regions
) -> None:
    with pytest.raises(kind, match=reason):
        infer_response(response(), [wanted], (), regions)


def test_views_are_of_the_message_and_not_copied() -> None:
    """100 MB in one message are not held twice over for each element."""
    raw = b"".join([IMAGE] * 3)
    elements = read(asked(inputs=[image(shape=[3])], raw_input_contents=[raw])).inputs[0].data
    assert len({id(element.obj) for element in elements if isinstance(element, memoryview)}) == 1
    assert [bytes(element) for element in elements] == [b"abc"] * 3
