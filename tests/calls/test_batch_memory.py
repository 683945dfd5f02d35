"""Large results live in recycled memory: never shared by two live tensors, and ordinary in every other way."""

from __future__ import annotations

import os
import pickle
import threading
import warnings

import numpy as np
import pytest
import torch

import fastpre
import streams

PHOTOS = [streams.encode(streams.picture("RGB", 90, 70, seed=i)) for i in range(4)]
LARGE = PHOTOS * 3  # 12 images of 600 KB: over the threshold
PRE = fastpre.Preprocessor()


@pytest.fixture(scope="module")
def expected() -> torch.Tensor:
    out = torch.empty(len(LARGE), 3, 224, 224)
    return PRE(LARGE, out=out)


def test_live_results_never_share_memory(expected: torch.Tensor) -> None:
    held = [PRE(LARGE) for _ in range(5)]
    views = [PRE(LARGE)[3:5] for _ in range(5)]
    for tensor in held:
        assert torch.equal(tensor, expected)
    for view in views:
        assert torch.equal(view, expected[3:5])
    assert len({t.data_ptr() for t in held} | {v.data_ptr() for v in views}) == 10


def test_released_memory_is_used_again() -> None:
    addresses = set()
    for _ in range(20):
        addresses.add(PRE(LARGE).data_ptr())
    assert len(addresses) <= 3


def test_what_was_there_before_does_not_show(expected: torch.Tensor) -> None:
    PRE(LARGE).fill_(float("nan"))
    result = PRE.run([*LARGE[:-1], b"no jpeg"], on_error="fill", fill=5.0)
    assert torch.equal(result.tensor[:-1], expected[:-1])
    assert (result.tensor[-1] == 5).all()


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("memory_format", ["contiguous_format", "channels_last"])
def test_it_is_an_ordinary_tensor(dtype: str, memory_format: str) -> None:
    spec = fastpre.Spec(dtype=dtype, memory_format=memory_format)
    tensor = fastpre.Preprocessor(spec)(PHOTOS * 6)
    assert tensor.dtype == getattr(torch, dtype)
    assert tensor.is_contiguous(memory_format=getattr(torch, memory_format))
    assert torch.equal(pickle.loads(pickle.dumps(tensor)), tensor)
    assert torch.equal(tensor.clone().share_memory_(), tensor)
    before = tensor.clone()
    assert torch.equal(tensor.add_(1), before + 1)


def test_many_threads(expected: torch.Tensor) -> None:
    wrong: list[int] = []

    def work() -> None:
        for i in range(10):
            if not torch.equal(fastpre.Preprocessor(num_threads=1)(LARGE), expected):
                wrong.append(i)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


class Batches(torch.utils.data.Dataset[torch.Tensor]):
    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> torch.Tensor:
        return PRE(LARGE)


def test_results_travel_from_workers(expected: torch.Tensor) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python 3.12+ warns of fork() in a process with threads
        for batch in torch.utils.data.DataLoader(Batches(), batch_size=None, num_workers=2):
            assert torch.equal(batch, expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_has_its_own(expected: torch.Tensor) -> None:
    parents = PRE(LARGE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        child = os.fork()
    if child == 0:  # NumPy only: torch's OpenMP threads did not survive the fork
        parents.numpy()[:] = 0
        os._exit(0 if np.array_equal(PRE(LARGE).numpy(), expected.numpy()) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert torch.equal(parents, expected)


def test_numpy_too() -> None:
    array = np.from_dlpack(PRE.dlpack(LARGE))
    again = np.from_dlpack(PRE.dlpack(LARGE))
    assert np.array_equal(array, again)
    assert not np.shares_memory(array, again)
