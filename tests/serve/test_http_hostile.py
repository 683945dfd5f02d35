"""Bodies by hypothesis: each becomes a request or gets an error of its own, never anything else."""

from __future__ import annotations

import contextlib
import gzip
import struct
import zlib
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastpre.serve.errors import BadRequest, BodyTooLarge, UnsupportedMediaType
from fastpre.serve.http.form import FormFiles
from fastpre.serve.inference import DTYPES, InferRequest
from fastpre.serve.protocol.compression import accepted, compress, decompress
from fastpre.serve.protocol.regions import Regions
from protocol_check import check_http

REGIONS = Regions()

numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
leaves = st.none() | st.booleans() | numbers | st.text(max_size=8)
trees = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
)
sizes = st.integers(-2, 12) | st.sampled_from([2**31, 2**63, 2**64]) | leaves
parameters = st.dictionaries(
    st.sampled_from(
        ["binary_data_size", "shared_memory_region", "shared_memory_offset", "shared_memory_byte_size", "binary_data",
         "classification", "content_type", "priority", "timeout", "binary_data_output", "sequence_id", "x"]
    ),
    sizes,
    max_size=3,
)  # fmt: skip
tensors = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["a", "b"]) | leaves,
        "shape": st.lists(sizes, max_size=4) | leaves,
        "datatype": st.sampled_from(["BYTES", *DTYPES]) | leaves,
        "parameters": parameters | leaves,
        "data": trees,
    },
)
documents = st.fixed_dictionaries(
    {"inputs": st.lists(tensors, max_size=3) | trees},
    optional={"outputs": st.lists(tensors, max_size=2) | trees, "id": leaves, "parameters": parameters | trees},
)


def decoded(body: bytes, length: bytes | None) -> InferRequest | None:
    found = check_http(body, length, REGIONS)
    return found if isinstance(found, InferRequest) else None


@given(st.binary(max_size=200), st.none() | st.integers(-5, 300).map(lambda n: b"%d" % n) | st.binary(max_size=8))
def test_any_bytes(body: bytes, length: bytes | None) -> None:
    decoded(body, length)


@given(documents, st.binary(max_size=40), st.integers(-3, 3) | st.none())
def test_any_json(document: Any, binary: bytes, off: int | None) -> None:
    try:
        head = orjson.dumps(document)
    except orjson.JSONEncodeError:  # integers of more than 64 bits: as text they are what a client may send
        head = repr(document).replace("'", '"').replace("None", "null").encode()
    decoded(head + binary, None if off is None else b"%d" % max(0, len(head) + off))


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=5), st.data())
def test_one_byte_off(elements: list[bytes], data: st.DataObject) -> None:
    binary = b"".join(struct.pack("<I", len(element)) + element for element in elements)
    tensor = {
        "name": "a",
        "shape": [len(elements)],
        "datatype": "BYTES",
        "parameters": {"binary_data_size": len(binary)},
    }
    head = orjson.dumps({"inputs": [tensor]})
    length = b"%d" % len(head)
    right = decoded(head + binary, length)
    assert right is not None
    assert [bytes(element) for element in right.inputs[0].data] == elements
    body = bytearray(head + binary)
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    decoded(bytes(body), length)
    decoded(bytes(body[: data.draw(st.integers(0, len(body)))]), length)


@given(st.binary(max_size=300), st.sampled_from(["gzip", "deflate", "x-gzip", " GZIP "]), st.data())
def test_compressed_bodies(plain: bytes, encoding: str, data: st.DataObject) -> None:
    packed = zlib.compress(plain) if encoding == "deflate" else gzip.compress(plain)
    assert decompress(packed, encoding, 300) == plain
    damaged = bytearray(packed)
    damaged[data.draw(st.integers(0, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
    for body in (bytes(damaged), packed[: data.draw(st.integers(0, len(packed) - 1))], packed + b"x", plain):
        with contextlib.suppress(BadRequest, BodyTooLarge):
            assert len(decompress(body, encoding, 300)) <= 300


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_bomb_is_stopped_at_the_limit(encoding: str) -> None:
    bomb = compress([bytes(50_000_000)], encoding)
    assert len(bomb) < 300_000
    with pytest.raises(BodyTooLarge, match="grows to more than 1000 bytes"):
        decompress(bomb, encoding, 1000)


def test_encodings() -> None:
    assert decompress(b"as it is", "identity", 1) == b"as it is"
    with pytest.raises(UnsupportedMediaType, match="'br' is not taken"):
        decompress(b"", "br", 1)
    with pytest.raises(BadRequest, match="truncated"):
        decompress(gzip.compress(b"some bytes")[:-1], "gzip", 100)
    with pytest.raises(BadRequest, match="follow"):
        decompress(gzip.compress(b"a") * 2, "gzip", 100)


@pytest.mark.parametrize(
    ("header", "encoding"),
    [
        ("", ""),
        ("gzip", "gzip"),
        ("deflate", "deflate"),
        ("GZIP, deflate", "gzip"),
        ("gzip;q=0.5, deflate;q=0.8", "deflate"),
        ("gzip;q=0", ""),
        ("br, identity", ""),
        ("gzip;q=high", ""),
        ("*", ""),
    ],
)
def test_accept_encoding(header: str, encoding: str) -> None:
    assert accepted(header) == encoding


BOUNDARY = b"multipart/form-data; boundary=b"


@given(st.binary(max_size=300), st.integers(1, 50))
def test_any_form(body: bytes, step: int) -> None:
    for begun in (body, b"--b\r\n" + body, b'--b\r\ncontent-disposition: form-data; filename="a"\r\n\r\n' + body):
        with contextlib.suppress(BadRequest):
            form = FormFiles(BOUNDARY, 4)
            for at in range(0, len(begun), step):
                form.feed(begun[at : at + step])
            assert 1 <= len(form.finish()) <= 4


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=4), st.integers(1, 40))
def test_forms(files: list[bytes], step: int) -> None:
    part = b'--b\r\ncontent-disposition: form-data; name="i"; filename="%d.jpg"\r\n\r\n%b\r\n'
    files = [file.replace(b"--b", b"") for file in files]
    body = b"".join(part % (index, file) for index, file in enumerate(files)) + b"--b--\r\n"
    form = FormFiles(BOUNDARY, 4)
    for at in range(0, len(body), step):
        form.feed(body[at : at + step])
    assert form.finish() == [(f"{index}.jpg", file) for index, file in enumerate(files)]
