"""The compiled schema is that of the .proto files, and its wire format that of the clients in use."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tritonclient.grpc.service_pb2 as triton_schema
from google.protobuf import descriptor_pb2, descriptor_pool
from tritonclient.grpc import model_config_pb2 as triton_config

from fastpre.serve.protocol import schema

ROOT = Path(__file__).parents[3]
COMPILED = ROOT / "python" / "fastpre" / "serve" / "protocol" / "oip.binpb"


def files(path: Path) -> descriptor_pb2.FileDescriptorSet:
    return descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes())


def nested(messages: Any) -> Iterator[Any]:
    for message in messages:
        yield message
        yield from nested(message.nested_types)


def ours() -> dict[str, Any]:
    """Message descriptors by full name."""
    file = schema.pool().FindFileByName("oip.proto")
    return {message.full_name: message for message in nested(file.message_types_by_name.values())}


def theirs(*files: Any) -> dict[str, Any]:
    tops = [message for file in files for message in file.message_types_by_name.values()]
    return {message.full_name: message for message in nested(tops)}


def tritons() -> dict[str, Any]:
    return theirs(triton_schema.DESCRIPTOR, triton_config.DESCRIPTOR)


def kserves() -> dict[str, Any]:
    """KServe's generated module cannot be imported where Triton's is: both register the same names."""
    code = """
import sys
from kserve.protocol.grpc import grpc_predict_v2_pb2 as generated
sys.stdout.buffer.write(generated.DESCRIPTOR.serialized_pb)
"""
    file = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file)
    return theirs(pool.FindFileByName(descriptor_pb2.FileDescriptorProto.FromString(file).name))


def wire(field: Any) -> tuple[Any, ...]:
    """All that matters to bytes, and the name."""
    kind = field.message_type or field.enum_type
    oneof = field.containing_oneof.name if field.containing_oneof else None
    return (field.name, field.number, field.type, field.is_repeated, kind.full_name if kind else None, oneof)


def test_the_compiled_schema_is_up_to_date(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("compile_protocol", ROOT / "scripts" / "compile-protocol.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.main(str(tmp_path / "new.binpb")) == 0
    assert files(tmp_path / "new.binpb") == files(COMPILED), "run scripts/compile-protocol.py"


def test_every_field_is_tritons() -> None:
    known = tritons()
    assert len(ours()) > 60
    for name, message in ours().items():
        other = {wire(field) for field in known[name].fields}
        assert {wire(field) for field in message.fields} <= other


def test_no_field_means_something_else_to_kserve() -> None:
    """Its copy of the protocol is older and has fewer fields and messages."""
    known = kserves()
    common = ours().keys() & known.keys()
    assert {"inference.ModelInferRequest.InferInputTensor", "inference.ModelInferResponse"} <= common
    for name in common:
        mine = {field.number: wire(field) for field in ours()[name].fields}
        other = {field.number: wire(field) for field in known[name].fields}
        assert {number: mine[number] for number in other if number in mine} == {
            number: other[number] for number in other if number in mine
        }
        assert other.keys() <= mine.keys()


def test_enumerations_are_tritons() -> None:
    file = schema.pool().FindFileByName("oip.proto")
    mine = dict(file.enum_types_by_name.items())
    other = dict(triton_config.DESCRIPTOR.enum_types_by_name.items())
    for name, message in ours().items():
        for enum in message.enum_types:
            mine[enum.full_name] = enum
            other[enum.full_name] = tritons()[name].enum_types_by_name[enum.name]
    assert {"DataType", "inference.ModelInput.Format"} <= mine.keys()
    for name, enum in mine.items():
        assert [(v.name, v.number) for v in enum.values] == [(v.name, v.number) for v in other[name].values]


def test_the_calls_are_tritons() -> None:
    other = triton_schema.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods_by_name
    methods = schema.service("inference.GRPCInferenceService").methods
    assert len(methods) >= 16
    for method in methods:
        its = other[method.name]
        assert method.input_type.full_name == its.input_type.full_name
        assert method.output_type.full_name == its.output_type.full_name
        assert (method.client_streaming, method.server_streaming) == (its.client_streaming, its.server_streaming)


def test_the_health_service_is_the_standard_one() -> None:
    """Numbers of https://github.com/grpc/grpc-proto/blob/master/grpc/health/v1/health.proto."""
    response = schema.message("grpc.health.v1.HealthCheckResponse").DESCRIPTOR
    assert schema.message("grpc.health.v1.HealthCheckRequest")(service="x").SerializeToString() == b"\x0a\x01x"
    assert response.fields_by_name["status"].number == 1
    statuses = [(value.name, value.number) for value in response.enum_types_by_name["ServingStatus"].values]
    assert statuses == [("UNKNOWN", 0), ("SERVING", 1), ("NOT_SERVING", 2), ("SERVICE_UNKNOWN", 3)]


def test_the_classes_are_not_the_clients() -> None:
    """In one process with both of them, each has its own."""
    mine = schema.message("inference.ModelInferRequest")
    assert mine is schema.message("inference.ModelInferRequest")
    assert mine is not triton_schema.ModelInferRequest
    assert mine.DESCRIPTOR.file.pool is not triton_schema.DESCRIPTOR.pool
    sent = triton_schema.ModelInferRequest(model_name="a", id="b").SerializeToString()
    assert mine.FromString(sent).id == "b"
