"""Batches, outputs and errors as bytes, parts of them, and the channel between two processes."""

from __future__ import annotations

import os
import threading
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fastpre.serve.handover.channel import Channel, Gone, Kind
from fastpre.serve.handover.job import failure_from, failure_of
from fastpre.serve.handover.nats import PART, Joined, parts
from fastpre.serve.handover.tensors import DTYPES, BatchLayout, Outputs, outputs_at

names = st.text(max_size=60).filter(lambda name: len(name.encode(errors="replace")) < 256 and name.isprintable())
dtypes = st.sampled_from(["?", "u1", "<u2", "<i4", "<i8", "<f2", "<f4", "<f8", "<c8", "U3", "S5", "<M8[s]"])
shapes = st.lists(st.integers(0, 5), max_size=4).map(tuple)


@given(st.dictionaries(names, st.tuples(dtypes, shapes), max_size=6), st.randoms())
def test_outputs_come_back(kinds: dict[str, tuple[str, tuple[int, ...]]], random: Any) -> None:
    sent: dict[str, np.ndarray[Any, Any]] = {}
    for name, (dtype, shape) in kinds.items():
        empty: np.ndarray[Any, Any] = np.zeros(shape, dtype)
        sent[name] = np.frombuffer(random.randbytes(empty.nbytes) or b"", empty.dtype).reshape(shape)
        if dtype in ("U3", "?"):  # of which not all bytes are values
            sent[name] = empty
    outputs = Outputs(sent)
    room = bytearray(outputs.size + 100)
    outputs.write(room)
    found = outputs_at(outputs.table, room)
    room[:] = bytes(len(room))
    assert list(found) == list(sent)
    for name, array in sent.items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        assert found[name].tobytes() == array.tobytes()
    assert outputs_at(outputs.table, outputs.to_bytes()).keys() == sent.keys()


def test_arrays_that_are_not_contiguous_or_big_endian() -> None:
    sent = {"turned": np.arange(12).reshape(3, 4).T, "every other": np.arange(9)[::2], "big": np.arange(3, dtype=">i4")}
    outputs = Outputs(sent)
    for name, array in outputs_at(outputs.table, outputs.to_bytes()).items():
        np.testing.assert_array_equal(array, sent[name], strict=True)


@pytest.mark.parametrize(
    ("output", "text"),
    [
        (np.array([{}]), "output 'x' is object"),
        (np.zeros(2, [("a", "f4")]), r"output 'x' is \[\('a', '<f4'\)\]"),
        (torch.zeros(2), "output 'x' is Tensor"),
        (1.5, "output 'x' is float"),
    ],
)
def test_other_things_are_no_outputs(output: Any, text: str) -> None:
    with pytest.raises(TypeError, match=text):
        Outputs({"x": output})


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("memory_format", ["contiguous_format", "channels_last"])
@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 4, 5), (3, 1, 1)])
def test_a_layout_is_that_of_torch(dtype: str, memory_format: str, shape: tuple[int, int, int]) -> None:
    expected = torch.empty((6, *shape), dtype=getattr(torch, dtype), memory_format=getattr(torch, memory_format))
    layout = BatchLayout.of(6, shape, expected.dtype, memory_format=memory_format)
    assert BatchLayout.parse(layout.header()) == layout
    found = layout.tensor(bytearray(6 * layout.slot_bytes))
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    assert layout.slot_bytes == expected.nbytes // 6
    assert found.is_contiguous(memory_format=getattr(torch, memory_format))
    assert found[2:3].data_ptr() - found.data_ptr() == 2 * layout.slot_bytes


def test_an_error_keeps_its_type_text_and_place() -> None:
    try:
        raise KeyError("a\0b \ud800")
    except KeyError as error:
        found = failure_from(failure_of(error))
    assert str(found) == r"KeyError: 'a\x00b \ud800'"
    assert "test_an_error_keeps" in found.traceback
    assert str(failure_from(failure_of(MemoryError()))) == "MemoryError"
    assert len(str(failure_from(failure_of(ValueError("x" * 1_000_000))))) < 100_000


@given(st.binary(max_size=400), st.integers(PART.size + 1, 100), st.booleans())
def test_parts_join(whole: bytes, most_bytes: int, split: bool) -> None:
    pieces: list[bytes | memoryview] = [whole[:7], memoryview(whole)[7:]] if split else [whole]
    messages = list(parts(5, pieces, most_bytes))
    assert max(map(len, messages)) <= most_bytes
    joined = Joined()
    *before, last = (joined.add(message) for message in messages)
    assert before == [None] * (len(messages) - 1)
    assert last is not None
    assert (last[0], bytes(last[1])) == (5, whole)


def test_a_missing_part_spoils_its_own_request_only() -> None:
    one, other = list(parts(1, [b"abcdef"], PART.size + 2)), list(parts(2, [b"ghijkl"], PART.size + 2))
    for lost in range(3):
        joined = Joined()
        for message in one[:lost] + one[lost + 1 :]:
            assert joined.add(message) is None
        *_, found = (joined.add(message) for message in other)
        assert found is not None
        assert bytes(found[1]) == b"ghijkl"


def test_a_channel_carries_long_messages_and_descriptors() -> None:
    ours, theirs = Channel.pair()
    body = os.urandom(1 << 20)
    read, write = os.pipe()

    def answer() -> None:
        kind, found, fd = theirs.receive()
        assert fd is not None
        os.write(fd, b"here")
        os.close(fd)
        theirs.send(Kind.DONE, found[::-1] if kind == Kind.MAP else b"")

    thread = threading.Thread(target=answer)
    thread.start()
    assert ours.ask(Kind.MAP, body, write) == (Kind.DONE, body[::-1], None)
    thread.join()
    assert os.read(read, 9) == b"here"
    for fd in (read, write):
        os.close(fd)
    theirs.close()
    with pytest.raises(Gone):
        ours.ask(Kind.RUN)
    ours.close()
    with pytest.raises(Gone):
        ours.ask(Kind.RUN)


def test_a_channel_does_not_wait_for_ever() -> None:
    ours, theirs = Channel.pair()
    ours.set_timeout(0.05)
    with pytest.raises(TimeoutError):
        ours.ask(Kind.RUN)
    ours.close()
    theirs.close()


def test_closing_a_channel_ends_what_waits_at_it() -> None:
    ours, theirs = Channel.pair()
    ours.set_timeout(60.0)
    ended: list[BaseException] = []

    def ask() -> None:
        try:
            ours.ask(Kind.RUN)
        except Gone as error:
            ended.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    theirs.receive()  # it is waiting now
    ours.close()
    thread.join(5.0)
    assert len(ended) == 1
    theirs.close()
