"""Raw bytes to tensors and back, against tritonclient's own functions; and the classification extension."""

from __future__ import annotations

from typing import Any

import hypothesis
import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import strategies as st
from tritonclient.utils import deserialize_bytes_tensor, np_to_triton_dtype, serialize_byte_tensor

from fastpre.serve.errors import BadRequest
from fastpre.serve.inference import DTYPES, OutputTensor
from fastpre.serve.protocol import tensors
from fastpre.serve.protocol.classification import classified


@hypothesis.given(st.lists(st.binary(max_size=40), max_size=8))
def test_bytes_elements_are_tritonclients(elements: list[bytes]) -> None:
    array = np.array(elements, dtype=np.object_)
    raw = serialize_byte_tensor(array).item() if elements else b""
    assert tensors.to_raw("BYTES", array) == raw
    found = tensors.from_raw("x", "BYTES", (len(elements),), raw)
    assert [bytes(element) for element in found] == elements
    if elements:
        assert deserialize_bytes_tensor(tensors.joined_elements(elements)).tolist() == elements


@hypothesis.given(st.data())
def test_numbers_are_tritonclients(data: st.DataObject) -> None:
    datatype = data.draw(st.sampled_from([name for name in DTYPES if name != "BF16"]))
    shape = arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3)
    array = data.draw(arrays.arrays(DTYPES[datatype], shape))
    assert np_to_triton_dtype(array.dtype) == datatype
    raw = tensors.to_raw(datatype, array)
    assert raw == array.tobytes()
    found = tensors.from_raw("x", datatype, array.shape, raw)
    assert isinstance(found, np.ndarray)
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    assert found.tobytes() == raw
    assert not found.flags.writeable
    with pytest.raises(BadRequest, match="'x' has"):
        tensors.from_raw("x", datatype, array.shape, raw + b"\0")


def test_bytes_elements_are_views() -> None:
    """An image of a request is not copied."""
    raw = tensors.joined_elements([b"first", b"second"])
    found = tensors.from_raw("x", "BYTES", (1, 2), raw)
    assert all(isinstance(element, memoryview) and element.obj is raw for element in found)


@pytest.mark.parametrize(
    ("datatype", "shape", "raw", "reason"),
    [
        ("BYTES", (2,), b"\1\0\0\0a", "has 1 elements; its shape says 2"),
        ("BYTES", (1,), b"\1\0\0\0ab", "1 bytes after its last"),
        ("BYTES", (1,), b"\xff\xff\xff\xffa", "says it has 4294967295 bytes; 1 follow"),
        ("BYTES", (1,), b"\1\0\0", "has 0 elements"),
        ("BYTES", (0,), b"\0", "after its last"),
        ("BYTES", (16_385,), b"", "the most is 16384"),
        ("BYTES", (2**30, 2**30), b"", "the most is 16384"),
        ("FP32", (2,), b"\0" * 7, "has 7 bytes; FP32 .2. takes 8"),
        ("FP8", (1,), b"\0", "datatype 'FP8'; known are BYTES, BOOL"),
        ("", (1,), b"\0", "datatype ''"),
        ("BOOL", (2,), b"\1\2", "other than 0 and 1"),
        ("UINT8", (0, 2**30, 2**30, 2**30), b"", "too large"),
    ],
)
def test_what_does_not_fit_is_refused(datatype: str, shape: tuple[int, ...], raw: bytes, reason: str) -> None:
    with pytest.raises(BadRequest, match=reason) as caught:
        tensors.from_raw("pixels", datatype, shape, raw)
    assert "'pixels'" in caught.value.reason


@pytest.mark.parametrize("shape", [(-1,), (2**31,), (1,) * 9])
def test_shapes_that_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(BadRequest, match="'x' has"):
        tensors.checked_shape("x", shape)


def strings(output: OutputTensor) -> list[list[str]]:
    return [[string.decode() for string in row] for row in output.array]


def scores(*rows: Any, dtype: Any = np.float32) -> OutputTensor:
    return OutputTensor("scores", "FP32", np.array(rows, dtype=dtype))


def test_classes_come_best_first_equal_ones_by_number() -> None:
    found = classified(scores([0.5, 2, 0.5, -1], [0, 0, 0, 7]), 3, ("a", "b"))
    assert (found.name, found.datatype, found.array.shape) == ("scores", "BYTES", (2, 3))
    assert strings(found) == [
        ["2.000000:1:b", "0.500000:0:a", "0.500000:2"],
        ["7.000000:3", "0.000000:0:a", "0.000000:1:b"],
    ]


def test_there_are_no_more_classes_than_scores() -> None:
    assert strings(classified(scores([1, 2]), 10)) == [["2.000000:1", "1.000000:0"]]
    assert classified(scores(np.zeros(0)), 1).array.shape == (1, 0)
    assert classified(OutputTensor("scores", "FP32", np.zeros((0, 5), np.float32)), 2).array.shape == (0, 2)


def test_a_nan_is_the_worst() -> None:
    assert strings(classified(scores([np.nan, -5, np.inf]), 3)) == [["inf:2", "-5.000000:1", "nan:0"]]


@pytest.mark.parametrize(
    "output",
    [
        OutputTensor("scores", "FP32", np.zeros(3, np.float32)),
        OutputTensor("scores", "BYTES", np.array([[b"a"]], np.object_)),
    ],
)
def test_what_has_no_classes_is_refused(output: OutputTensor) -> None:
    with pytest.raises(BadRequest, match=r"'scores' of .* has no classes"):
        classified(output, 1)
