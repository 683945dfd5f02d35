"""What must hold of every message that a client may send, whatever it has in it; for tests and for the fuzz target."""

from __future__ import annotations

import math

import numpy as np

from fastpre.serve.errors import BadRequest, ServeError
from fastpre.serve.inference import DTYPES, InferRequest, InputTensor
from fastpre.serve.protocol.http_request import Call, decode_request
from fastpre.serve.protocol.messages import infer_request
from fastpre.serve.protocol.regions import Regions
from fastpre.serve.protocol.schema import message, parsed

MAX_BYTES = 1 << 16


def check_grpc(raw: bytes, regions: Regions) -> InferRequest | ServeError | None:
    """Parses a ModelInferRequest as the server does: a request that is whole, or an error that says why not.

    Returns:
        None if the bytes are no message at all.
    """
    try:
        asked = parsed(message("inference.ModelInferRequest"), raw)
    except BadRequest:
        return None
    try:
        request = infer_request(asked, regions, received=1.0, max_bytes=MAX_BYTES)
    except ServeError as error:
        refusal = error
    else:
        check_request(request)
        return request
    assert 400 <= refusal.status < 500
    assert refusal.reason
    return refusal


def check_http(body: bytes, header_length: bytes | None, regions: Regions) -> InferRequest | ServeError:
    """Parses an HTTP body as the server does: a request that is whole, or an error that says why not."""
    call = Call("net", header_length=header_length, raw_input="image", received=1.0, arrived=1.0)
    try:
        request = decode_request(body, call, regions, MAX_BYTES)
    except ServeError as error:
        refusal = error
    else:
        check_request(request)
        return request
    assert 400 <= refusal.status < 500
    assert refusal.reason
    return refusal


def check_request(request: InferRequest) -> None:
    """Each input has what its datatype and shape say; names are unique; numbers are in range."""
    names = [tensor.name for tensor in request.inputs]
    assert all(names)
    assert len(set(names)) == len(names)
    for tensor in request.inputs:
        check_input(tensor)
    for output in request.outputs:
        assert output.classification >= 0
        if output.region is not None:
            assert output.region.size >= 0
            assert output.region.offset >= 0
    assert request.priority >= 0
    assert request.deadline is None or request.deadline > request.received


def check_input(tensor: InputTensor) -> None:
    count = math.prod(tensor.shape)
    if tensor.datatype == "BYTES":
        assert len(tensor.data) == count
        assert all(isinstance(element, bytes | memoryview) for element in tensor.data)
        return
    data = tensor.data
    assert isinstance(data, np.ndarray)
    assert data.dtype == DTYPES[tensor.datatype]
    assert data.shape == tensor.shape
    assert not data.flags.writeable
    assert all(isinstance(value, bool | int | float | str) for value in tensor.parameters.values())
