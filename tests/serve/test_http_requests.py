"""HTTP bodies to requests, and responses to HTTP bodies: what is right, and how what is wrong is called."""

from __future__ import annotations

import base64
import struct
from typing import Any

import numpy as np
import orjson
import pytest

from fastpre.serve.errors import BadRequest, BodyTooLarge, ImageRefused, Overloaded, ServeError
from fastpre.serve.inference import DTYPES, InferRequest, InferResponse, OutputTensor, RequestedOutput
from fastpre.serve.protocol import http_request
from fastpre.serve.protocol.http_request import Call, decode_request
from fastpre.serve.protocol.http_response import encode_error, encode_response, server_timing


def request(body: Any, binary: bytes = b"", **call: Any) -> InferRequest:
    head = body if isinstance(body, bytes) else orjson.dumps(body)
    if binary:
        call.setdefault("header_length", b"%d" % len(head))
    return decode_request(head + binary, Call("m", **call))


def tensor(**fields: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "x", "shape": [2], "datatype": "INT32", **fields}]}


def packed(*elements: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(element)) + element for element in elements)


def test_binary_data_is_not_copied() -> None:
    images = packed(b"one", b"", b"three")
    numbers = np.arange(4, dtype="<f4")
    document = {
        "id": "a",
        "inputs": [
            {"name": "n", "shape": [2, 2], "datatype": "FP32", "parameters": {"binary_data_size": 16}},
            {"name": "i", "shape": [3], "datatype": "BYTES", "parameters": {"binary_data_size": len(images), "k": 1}},
        ],
    }
    for blanks in range(4):  # so that each alignment is met
        head = orjson.dumps(document) + b" " * blanks
        body = head + numbers.tobytes() + images
        found = decode_request(body, Call("m", "7", header_length=b"%d" % len(head)))
        assert (found.model, found.version, found.id) == ("m", "7", "a")
        first, second = found.inputs
        assert isinstance(first.data, np.ndarray)
        np.testing.assert_array_equal(first.data, numbers.reshape(2, 2))
        assert first.data.flags.aligned
        assert not first.data.flags.writeable
        aligned = (np.frombuffer(body, np.uint8).ctypes.data + len(head)) % 4 == 0
        assert np.shares_memory(first.data, np.frombuffer(body, np.uint8)) == aligned
        assert [bytes(element) for element in second.data] == [b"one", b"", b"three"]
        assert all(isinstance(element, memoryview) and element.obj is body for element in second.data)
        assert second.parameters == {"k": 1}


@pytest.mark.parametrize("datatype", sorted(set(DTYPES) - {"FP16", "BF16"}))
@pytest.mark.parametrize("nested", [True, False])
def test_json_data(datatype: str, nested: bool) -> None:
    array = np.arange(6).reshape(1, 2, 3).astype(DTYPES[datatype])
    data = array.tolist() if nested else array.ravel().tolist()
    found = request(tensor(shape=[1, 2, 3], datatype=datatype, data=data)).inputs[0].data
    assert isinstance(found, np.ndarray)
    assert found.dtype == DTYPES[datatype]
    np.testing.assert_array_equal(found, array)
    assert not found.flags.writeable


@pytest.mark.parametrize("datatype", ["FP16", "BF16"])
def test_half_precision_is_binary(datatype: str) -> None:
    body = tensor(datatype=datatype, parameters={"binary_data_size": 4})
    found = request(body, b"\x00\x3c\x00\x40").inputs[0].data
    assert isinstance(found, np.ndarray)
    assert found.tobytes() == b"\x00\x3c\x00\x40"
    with pytest.raises(BadRequest, match=f"input 'x': {datatype} cannot be sent as JSON"):
        request(tensor(datatype=datatype, data=[1, 2]))


def test_strings() -> None:
    assert request(tensor(datatype="BYTES", data=["cat", "ä"])).inputs[0].data == [b"cat", "ä".encode()]
    encoded = [base64.b64encode(data).decode() for data in (b"\xff\xd8", b"\x00")]
    body = tensor(datatype="BYTES", data=encoded, parameters={"content_type": "base64"})
    assert request(body).inputs[0].data == [b"\xff\xd8", b"\x00"]


def test_a_body_that_is_one_image() -> None:
    found = request(b"\xff\xd8", header_length=b"0", raw_input="image")
    assert (found.inputs[0].name, found.inputs[0].shape) == ("image", (1,))
    assert list(found.inputs[0].data) == [b"\xff\xd8"]
    with pytest.raises(BadRequest, match="the model has no BYTES input"):
        request(b"\xff\xd8", header_length=b"0")


def test_parameters() -> None:
    body = {
        **tensor(data=[1, 2]),
        "id": 12,
        "parameters": {
            "priority": 2,
            "timeout": 500_000,
            "sequence_id": 4,
            "binary_data_output": True,
            "other": "kept",
        },
        "outputs": [{"name": "y", "parameters": {"classification": 3, "binary_data": False}}, {"name": "z"}],
        "model_name": "ignored, as what the protocol does not know",
    }
    found = request(body, received=100.0, arrived=101.0)
    assert found.id == "12"
    assert (found.priority, found.deadline, found.received, found.arrived) == (2, 100.5, 100.0, 101.0)
    assert found.parameters == {"binary_data_output": True, "other": "kept"}
    assert [(output.name, output.classification) for output in found.outputs] == [("y", 3), ("z", 0)]
    nothing = request({**tensor(data=[1, 2]), "id": None, "parameters": None, "outputs": None})
    assert (nothing.id, nothing.deadline, nothing.outputs) == ("", None, [])


WRONG: list[tuple[Any, bytes, str]] = [
    (b"", b"", "the JSON part, 0 bytes, cannot be read"),
    (b"{", b"", "cannot be read"),
    (b"[]", b"", "the JSON part is a JSON object"),
    (b"\xff\xfe", b"", "cannot be read"),
    (b'{"inputs":' + b"[" * 100_000, b"", "cannot be read"),
    (b'{"id": NaN}', b"", "cannot be read"),
    ({}, b"", "the request has no inputs"),
    ({"inputs": []}, b"", "the request has no inputs"),
    ({"inputs": {}}, b"", "inputs is a list"),
    ({"inputs": [1]}, b"", r"inputs\[0\] is a JSON object"),
    ({"inputs": [{}] * 65}, b"", "65 tensors; at most 64"),
    ({"inputs": [{}]}, b"", r"inputs\[0\]: its name is text"),
    ({"inputs": [{"name": "n" * 257}]}, b"", "its name is text"),
    ({"inputs": [*tensor(data=[1, 2])["inputs"] * 2]}, b"", "'x' is there twice"),
    (tensor(data=[1, 2], datatype="FP8"), b"", "input 'x': its datatype is BYTES or one of .*, not 'FP8'"),
    (orjson.dumps(tensor(datatype="?")).replace(b'"?"', b"[" * 900 + b"]" * 900), b"", "not a list"),
    (tensor(data=[1, 2], datatype=None), b"", "input 'x': its datatype is BYTES or one of"),
    (tensor(data=[1, 2], shape=2), b"", "input 'x': its shape is a list"),
    (tensor(data=[1, 2], shape=[True]), b"", "input 'x': its shape is a list of whole numbers"),
    (tensor(data=[1, 2], shape=[-1]), b"", "input 'x' has the shape .*negative"),
    (tensor(data=[1, 2], shape=[2**62]), b"", "input 'x' has the shape .*too large"),
    (tensor(data=[1, 2], shape=[2.0]), b"", "input 'x': its shape is a list of whole numbers"),
    (tensor(data=[1, 2], shape=[1] * 9), b"", "input 'x' has 9 dimensions"),
    (tensor(), b"", "input 'x': has one of data, binary_data_size and shared_memory_region"),
    (tensor(data=[1, 2], parameters={"binary_data_size": 8}), b"", "input 'x': has one of"),
    (tensor(data=[1, 2], parameters=[]), b"", "input 'x': parameters is a JSON object"),
    (tensor(data=[1, 2], parameters={"k": [1]}), b"", "input 'x': parameter 'k' is a boolean"),
    (tensor(data=[1, 2, 3]), b"", r"input 'x': 3 values, but its shape \[2\] has 2"),
    (tensor(data=[[1, 2]]), b"", "input 'x': the lists of data do not nest"),
    (tensor(data=[[1, 2], [3]], shape=[2, 2]), b"", "do not nest"),
    (tensor(data=[[1], 2], shape=[2, 1]), b"", "do not nest"),
    (tensor(data=[[[1]], [[2]]], shape=[2, 1]), b"", "whole numbers, not lists"),
    (tensor(data={}), b"", "input 'x': data is a list"),
    (tensor(data=[1, 1.5]), b"", "input 'x': values of INT32 are whole numbers, not fractions"),
    (tensor(data=["1", None]), b"", "whole numbers, not null, strings"),
    (tensor(data=[True, 1]), b"", "whole numbers, not booleans"),
    (tensor(data=[1, 2**31]), b"", "values of INT32 lie between -2147483648 and 2147483647"),
    (tensor(data=[-1, 0], datatype="UINT8"), b"", "values of UINT8 lie between 0 and 255"),
    (tensor(data=[1, 2], datatype="BOOL"), b"", "values of BOOL are true and false"),
    (tensor(data=[1e300, 0], datatype="FP32"), b"", "a value is too large for its datatype"),
    (tensor(data=["1", "2"], datatype="FP32"), b"", "values are numbers, not strings"),
    (tensor(data=[1, 2], datatype="BYTES"), b"", "values of BYTES are strings, not integers"),
    (tensor(data=["?", "?"], datatype="BYTES", parameters={"content_type": "base64"}), b"", "is no base64"),
    (tensor(data=["a"] * 20_000, datatype="BYTES", shape=[20_000]), b"", "20000 elements; at most"),
    (tensor(parameters={"binary_data_size": -8}), b"12345678", "binary_data_size is a whole number from 0, not -8"),
    (tensor(parameters={"binary_data_size": True}), b"12345678", "binary_data_size is a whole number from 0"),
    (tensor(parameters={"binary_data_size": 9}), b"12345678", "binary_data_size is 9, but 8 bytes are left"),
    (tensor(parameters={"binary_data_size": 2**60}), b"12345678", "binary_data_size is a whole number"),
    (tensor(parameters={"binary_data_size": 8}), b"123456789", "1 bytes follow the binary data of the inputs"),
    (tensor(parameters={"binary_data_size": 8}), b"", "binary_data_size is 8, but 0 bytes are left"),
    (tensor(parameters={"binary_data_size": 4}), b"1234", r"input 'x' has 4 bytes; INT32 \[2\] takes 8"),
    (tensor(datatype="BOOL", parameters={"binary_data_size": 2}), b"\1\2", "BOOL and has bytes other than 0 and 1"),
    (tensor(datatype="BYTES", parameters={"binary_data_size": 8}), packed(b"1234"), "1 elements; its shape says 2"),
    (tensor(datatype="BYTES", parameters={"binary_data_size": 4}), b"\xff" * 4, "element 0 says it has 4294967295"),
    (tensor(datatype="BYTES", parameters={"binary_data_size": 9}), packed(b"", b"") + b"1", "1 bytes after its last"),
    (tensor(parameters={"shared_memory_region": "r"}), b"", "input 'x': this server takes no shared memory"),
    ({**tensor(data=[1, 2]), "id": []}, b"", "the request's id is text"),
    ({**tensor(data=[1, 2]), "parameters": {"priority": -1}}, b"", "priority is a whole number from 0"),
    ({**tensor(data=[1, 2]), "parameters": {"timeout": 0.5}}, b"", "timeout is a whole number from 0"),
    ({**tensor(data=[1, 2]), "parameters": {"binary_data_output": 1}}, b"", "binary_data_output is true or false"),
    ({**tensor(data=[1, 2]), "outputs": [{"name": "y"}] * 2}, b"", "'y' is there twice"),
    ({**tensor(data=[1, 2]), "outputs": [{"name": "y", "parameters": {"binary_data": "no"}}]}, b"", "true or false"),
    ({**tensor(data=[1, 2]), "outputs": [{"name": "y", "parameters": {"classification": -1}}]}, b"", "classification"),
]


@pytest.mark.parametrize(("body", "binary", "reason"), WRONG)
def test_what_is_wrong_is_said(body: Any, binary: bytes, reason: str) -> None:
    with pytest.raises(BadRequest, match=reason):
        request(body, binary)


@pytest.mark.parametrize("length", [b"-1", b"nan", b"", b"1e3", b"+5", b"0x5", b"5_0", b"9" * 5000, b"100000", b"\xb2"])
def test_header_length(length: bytes) -> None:
    with pytest.raises(BadRequest, match="Inference-Header-Content-Length is"):
        request(tensor(data=[1, 2]), header_length=length)


def test_large_json_is_refused_before_it_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_request, "MAX_JSON_BYTES", 10)
    with pytest.raises(BodyTooLarge, match="send tensors as binary data"):
        request(tensor(data=[1, 2]))


def response(*outputs: OutputTensor) -> InferResponse:
    return InferResponse("m", "3", outputs, parameters={"rung": 1})


def asked(*outputs: RequestedOutput, **parameters: Any) -> InferRequest:
    return InferRequest("m", (), id="i", outputs=outputs, parameters=parameters)


def strings(*elements: bytes) -> np.ndarray[Any, Any]:
    array = np.empty(len(elements), object)
    array[:] = elements
    return array


FLOATS = OutputTensor("f", "FP32", np.array([[0.1, 2.0]], np.float32), {"note": "n"})


def test_json_answer() -> None:
    headers, chunks = encode_response(response(FLOATS, OutputTensor("s", "BYTES", strings(b"a", b"bc"))), asked())
    assert headers == [(b"content-type", b"application/json")]
    assert orjson.loads(b"".join(chunks)) == {
        "model_name": "m",
        "model_version": "3",
        "id": "i",
        "parameters": {"rung": 1},
        "outputs": [
            {"name": "f", "datatype": "FP32", "shape": [1, 2], "data": [0.1, 2.0], "parameters": {"note": "n"}},
            {"name": "s", "datatype": "BYTES", "shape": [2], "data": ["a", "bc"]},
        ],
    }


def test_binary_answer() -> None:
    outputs = (FLOATS, OutputTensor("s", "BYTES", strings(b"a", b"bc")), OutputTensor("e", "INT64", np.zeros((0, 2))))
    headers, chunks = encode_response(
        response(*outputs),
        asked(RequestedOutput("s"), RequestedOutput("f"), RequestedOutput("e"), binary_data_output=True),
    )
    fields = dict(headers)
    assert fields[b"content-type"] == b"application/octet-stream"
    body = b"".join(chunks)
    length = int(fields[b"inference-header-content-length"])
    assert body[length:] == packed(b"a", b"bc") + FLOATS.array.tobytes()
    sizes = [output["parameters"]["binary_data_size"] for output in orjson.loads(body[:length])["outputs"]]
    assert sizes == [11, 8, 0]


def test_an_output_can_be_asked_for_otherwise_than_the_rest() -> None:
    wanted = (RequestedOutput("f", parameters={"binary_data": False}),)
    _, chunks = encode_response(response(FLOATS), asked(*wanted, binary_data_output=True))
    assert orjson.loads(b"".join(chunks))["outputs"][0]["data"] == [0.1, 2.0]


@pytest.mark.parametrize(
    ("output", "wanted", "reason"),
    [
        (FLOATS, "g", "output 'g': the model has none of this name; it has f"),
        (OutputTensor("f", "FP16", np.ones(1, np.float16)), "f", "output 'f': FP16 cannot be sent as JSON"),
        (OutputTensor("f", "BF16", np.ones(1, np.uint16)), "f", "output 'f': BF16 cannot be sent as JSON"),
        (OutputTensor("f", "FP32", np.array([np.nan], np.float32)), "f", "output 'f': it holds NaN"),
        (OutputTensor("f", "BYTES", strings(b"\xff")), "f", "output 'f': an element is no UTF-8 text"),
    ],
)
def test_what_json_cannot_hold_is_refused(output: OutputTensor, wanted: str, reason: str) -> None:
    with pytest.raises(BadRequest, match=reason):
        encode_response(response(output), asked(RequestedOutput(wanted)))


@pytest.mark.parametrize(
    ("error", "document", "more"),
    [
        (BadRequest("r"), {"error": "r", "code": "invalid_request"}, []),
        (ImageRefused("r", index=3), {"error": "r", "code": "corrupt_image", "index": 3}, []),
        (Overloaded("r", retry_after_s=0.02), {"error": "r", "code": "overloaded"}, [(b"retry-after", b"1")]),
        (Overloaded("r", retry_after_s=2.1), {"error": "r", "code": "overloaded"}, [(b"retry-after", b"3")]),
    ],
)
def test_errors(error: ServeError, document: dict[str, Any], more: list[tuple[bytes, bytes]]) -> None:
    headers, body = encode_error(error)
    assert headers == [(b"content-type", b"application/json"), *more]
    assert orjson.loads(body) == document


def test_server_timing() -> None:
    assert server_timing({"decode": 1.23456, "model": 2}) == b"decode;dur=1.235, model;dur=2.000"
