"""Plain calls of the Open Inference Protocol over gRPC, without a client library that tidies them up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc

from fastpre.serve.protocol.schema import message

SERVICE = "/inference.GRPCInferenceService"


def channel(port: int, **credentials: Any) -> grpc.Channel:
    """A channel with a connection of its own."""
    options = (
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_receive_message_length", -1),
        ("grpc.enable_retries", 0),
    )
    if credentials:
        return grpc.secure_channel(f"localhost:{port}", grpc.ssl_channel_credentials(**credentials), options)
    return grpc.insecure_channel(f"127.0.0.1:{port}", options)


def request(images: Sequence[bytes], model: str = "faulty", **parameters: str) -> bytes:
    """A ModelInferRequest with encoded images."""
    asked = message("inference.ModelInferRequest")(model_name=model)
    tensor = asked.inputs.add(name="IMAGE", datatype="BYTES", shape=[len(images)])
    tensor.contents.bytes_contents.extend(images)
    for name, value in parameters.items():
        asked.parameters[name].string_param = value
    return bytes(asked.SerializeToString())


def infer(calls: grpc.Channel, raw: bytes, **options: Any) -> Any:
    """The ModelInferResponse; raises grpc.RpcError."""
    answer = calls.unary_unary(f"{SERVICE}/ModelInfer")(raw, timeout=30, **options)
    return message("inference.ModelInferResponse").FromString(answer)


def start(calls: grpc.Channel, raw: bytes, **options: Any) -> Any:
    """The future of a call."""
    return calls.unary_unary(f"{SERVICE}/ModelInfer").future(raw, **options)


def trailers(error: Any) -> dict[str, str]:
    """What a failed call says for machines."""
    return dict(error.trailing_metadata())
