"""Fuzzes what the server reads of its clients: each input is a whole request or an error that says why it is none.

usage: fuzz_protocol.py [libFuzzer options] [CORPUS...]

The first byte of an input chooses one of `TARGETS`, the rest is its own. Anything but the errors of `serve.errors`, and
any request that does not hold what its header says (tests/protocol_check.py), is a finding.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import atheris

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests")]

with atheris.instrument_imports(include=["fastpre.serve.protocol", "protocol_check"]):
    import protocol_check
    from fastpre.serve.inference import DTYPES
    from fastpre.serve.protocol.regions import Regions
    from fastpre.serve.protocol.schema import message

DATATYPES = ("BYTES", *DTYPES, "FP8", "")
KEYS = ("shared_memory_region", "shared_memory_byte_size", "shared_memory_offset", "classification", "timeout", "other")
SIZES = (0, 1, 2, 3, 4, 100, -1, 2**31 - 1, 2**31, 2**62, 2**63 - 1, -(2**63))
CONTENTS = ("bool_contents", "int_contents", "uint_contents", "int64_contents", "fp32_contents", "bytes_contents")


def shared_region() -> Regions:
    """One region, `mem`, of 100 bytes."""
    path = Path("/dev/shm") / f"fuzz-{uuid.uuid4().hex}"
    path.write_bytes(bytes(range(100)))
    regions = Regions()
    regions.register("mem", path.name, 0, 100)
    path.unlink()  # libFuzzer ends the process without another word; the region stays open
    return regions


REGIONS = shared_region()


def grpc_message(data: bytes) -> None:
    """The bytes of a ModelInferRequest."""
    protocol_check.check_grpc(data, REGIONS)


def grpc_fields(data: bytes) -> None:
    """Decisions about the fields of a ModelInferRequest, so that mutations are of values and not of their encoding."""
    choices = atheris.FuzzedDataProvider(data)
    asked = message("inference.ModelInferRequest")(model_name="net")
    parameters(choices, asked.parameters)
    for _ in range(choices.ConsumeIntInRange(0, 3)):
        tensor = asked.inputs.add(name=choices.PickValueInList(["image", "pixels", ""]))
        tensor.datatype = choices.PickValueInList(list(DATATYPES))
        tensor.shape.extend(choices.PickValueInList(list(SIZES)) for _ in range(choices.ConsumeIntInRange(0, 9)))
        parameters(choices, tensor.parameters)
        if choices.ConsumeBool():
            contents(choices, tensor.contents)
    for _ in range(choices.ConsumeIntInRange(0, 2)):
        parameters(choices, asked.outputs.add(name=choices.PickValueInList(["scores", ""])).parameters)
    for _ in range(choices.ConsumeIntInRange(0, 3)):
        asked.raw_input_contents.append(choices.ConsumeBytes(choices.ConsumeIntInRange(0, 40)))
    protocol_check.check_grpc(asked.SerializeToString(), REGIONS)


def parameters(choices: Any, entries: Any) -> None:
    for _ in range(choices.ConsumeIntInRange(0, 4)):
        value = entries[choices.PickValueInList(list(KEYS))]
        kind = choices.ConsumeIntInRange(0, 4)
        if kind == 0:
            value.int64_param = choices.PickValueInList(list(SIZES))
        elif kind == 1:
            value.string_param = choices.PickValueInList(["mem", "", "x"])
        elif kind == 2:
            value.bool_param = choices.ConsumeBool()
        elif kind == 3:
            value.double_param = choices.ConsumeFloat()


def contents(choices: Any, typed: Any) -> None:
    field = choices.PickValueInList(list(CONTENTS))
    for _ in range(choices.ConsumeIntInRange(0, 5)):
        if field == "bytes_contents":
            typed.bytes_contents.append(choices.ConsumeBytes(3))
        elif field == "fp32_contents":
            typed.fp32_contents.append(choices.ConsumeFloat())
        else:
            getattr(typed, field).append(choices.ConsumeIntInRange(0, 1 if field == "bool_contents" else 2**31 - 1))


def http_body(data: bytes) -> None:
    """The length of the JSON part (2 bytes, little-endian; 65535: no such header), then a body."""
    length = int.from_bytes(data[:2], "little")
    protocol_check.check_http(data[2:], None if length == 0xFFFF else b"%d" % length, REGIONS)


TARGETS: tuple[Callable[[bytes], None], ...] = (grpc_message, grpc_fields, http_body)


def one_input(data: bytes) -> None:
    if data:
        TARGETS[data[0] % len(TARGETS)](data[1:])


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
