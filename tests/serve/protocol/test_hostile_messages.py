"""Messages that no client would send: each is a whole request or an error, and nothing else."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from fastpre.serve.errors import ServeError
from fastpre.serve.inference import DTYPES, InferRequest
from fastpre.serve.protocol.regions import Regions
from fastpre.serve.protocol.schema import message
from protocol_check import check_grpc

NAMES = st.sampled_from(["", "image", "pixels", "\0", "é" * 50]) | st.text(max_size=5)
DATATYPES = st.sampled_from(["BYTES", *DTYPES, "", "bytes", "FP8"])
SIZES = st.sampled_from([0, 1, 2, 3, -1, 2**31 - 1, 2**31, 2**62, -(2**63), 2**63 - 1])
SHAPES = st.lists(SIZES, max_size=10)
WHOLE = st.sampled_from([0, 1, 4, 8, 99, 100, 101, -1, 2**63 - 1])
PARAMETER = st.one_of(
    st.fixed_dictionaries({"int64_param": WHOLE}),
    st.fixed_dictionaries({"uint64_param": st.sampled_from([0, 1, 2**64 - 1])}),
    st.fixed_dictionaries({"string_param": st.sampled_from(["mem", "", "x"])}),
    st.fixed_dictionaries({"bool_param": st.booleans()}),
    st.fixed_dictionaries({"double_param": st.floats()}),
    st.just({}),
)
KEYS = st.sampled_from(
    [
        "shared_memory_region",
        "shared_memory_byte_size",
        "shared_memory_offset",
        "classification",
        "priority",
        "timeout",
        "other",
    ]
)
PARAMETERS = st.dictionaries(KEYS, PARAMETER, max_size=4) | st.fixed_dictionaries(
    {
        "shared_memory_region": st.just({"string_param": "mem"}),
        "shared_memory_byte_size": st.fixed_dictionaries({"int64_param": WHOLE}),
    }
)
INT32 = st.sampled_from([0, 1, 127, 128, 256, -129, -(2**31), 2**31 - 1])
CONTENTS = st.fixed_dictionaries(
    {},
    optional={
        "bool_contents": st.lists(st.booleans(), max_size=4),
        "int_contents": st.lists(INT32, max_size=4),
        "uint_contents": st.lists(INT32.filter(lambda value: value >= 0), max_size=4),
        "fp32_contents": st.lists(st.floats(width=32), max_size=4),
        "bytes_contents": st.lists(st.binary(max_size=4), max_size=4),
    },
)
INPUT = st.fixed_dictionaries(
    {"name": NAMES, "datatype": DATATYPES, "shape": SHAPES},
    optional={"parameters": PARAMETERS, "contents": CONTENTS},
)
OUTPUT = st.fixed_dictionaries({"name": NAMES}, optional={"parameters": PARAMETERS})
RAW = st.sampled_from([b"", b"\1\0\0\0a", b"\1\0\0\0a\2\0\0\0bc", b"\xff\xff\xff\xff", bytes(8)]) | st.binary(
    max_size=20
)
REQUEST = st.fixed_dictionaries(
    {"model_name": NAMES},
    optional={
        "inputs": st.lists(INPUT, max_size=3),
        "outputs": st.lists(OUTPUT, max_size=3),
        "raw_input_contents": st.lists(RAW, max_size=3),
        "parameters": PARAMETERS,
    },
)


@pytest.fixture(scope="module")
def regions() -> Iterator[Regions]:
    path = Path("/dev/shm") / f"test-hostile-{uuid.uuid4().hex}"
    path.write_bytes(bytes(100))
    it = Regions()
    it.register("mem", path.name, 0, 100)
    yield it
    it.close()
    path.unlink()


@hypothesis.given(REQUEST)
def test_a_message_of_hostile_values(regions: Regions, fields: dict[str, Any]) -> None:
    outcome = check_grpc(message("inference.ModelInferRequest")(**fields).SerializeToString(), regions)
    assert isinstance(outcome, InferRequest | ServeError)
    hypothesis.event(type(outcome).__name__)


@hypothesis.given(REQUEST, st.data())
def test_a_message_that_is_damaged(regions: Regions, fields: dict[str, Any], data: st.DataObject) -> None:
    raw = bytearray(message("inference.ModelInferRequest")(**fields).SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        if raw:
            raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(raw)))
    check_grpc(bytes(raw[:cut]), regions)
    check_grpc(bytes(raw), regions)
