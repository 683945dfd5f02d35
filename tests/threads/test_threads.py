"""Threads, forks and workers: the same bits, no deadlock, no growth."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch

import fastpre
import streams

SPEC = fastpre.Spec(resize=64, crop=56)
TIMEOUT_S = 60  # a deadlock shows as a timeout; nothing here takes a second


def test_any_number_of_threads(batch: list[bytes]) -> None:
    want = fastpre.Preprocessor(SPEC, num_threads=1)(batch)
    for threads in (2, 3, 8, 64, None):
        assert torch.equal(fastpre.Preprocessor(SPEC, num_threads=threads)(batch), want), threads


def test_many_callers_at_once(batch: list[bytes]) -> None:
    want = fastpre.Preprocessor(SPEC, num_threads=1)(batch)
    shared = fastpre.Preprocessor(SPEC, num_threads=2)
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        tensors = list(pool.map(lambda _: shared(batch), range(120), timeout=TIMEOUT_S))
    assert all(torch.equal(t, want) for t in tensors)


def test_the_pool_does_not_grow(batch: list[bytes]) -> None:
    """At most the largest call's helpers, however many callers there are."""
    fastpre.Preprocessor(SPEC, num_threads=70)(batch * 6)
    size = fastpre._core.pool_size()
    assert size >= 64 or size == len(batch) * 6 - 1
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        list(
            pool.map(lambda n: fastpre.Preprocessor(SPEC, num_threads=1 + n % 40)(batch), range(100), timeout=TIMEOUT_S)
        )
    assert fastpre._core.pool_size() == size


@pytest.mark.parametrize("threads", [0, -1])
def test_too_few_threads(threads: int) -> None:
    with pytest.raises(ValueError, match="num_threads must be at least 1"):
        fastpre.Preprocessor(SPEC, num_threads=threads)


@pytest.mark.parametrize("threads", ["2", 1.5])
def test_threads_of_a_wrong_type(threads: Any) -> None:
    with pytest.raises(TypeError, match="num_threads must be an integer"):
        fastpre.Preprocessor(SPEC, num_threads=threads)


def test_default_is_what_this_process_may_use() -> None:
    """In a process of its own, pinned to one CPU before the first question."""
    assert 1 <= fastpre._core.available_threads() <= len(os.sched_getaffinity(0))
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "import fastpre; print(fastpre._core.available_threads())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=TIMEOUT_S)
    assert run.stdout.split() == [b"1"]


def test_the_gil_is_released() -> None:
    """Another Python thread counts on while one call decodes for a good part of a second."""
    image = streams.encode(streams.picture("RGB", 700, 700), quality=95)
    pre = fastpre.Preprocessor(SPEC, num_threads=1)
    seen = 0
    stop = threading.Event()

    def count() -> None:
        nonlocal seen
        while not stop.is_set():
            seen += 1
            time.sleep(0.001)

    counter = threading.Thread(target=count)
    counter.start()
    try:
        while seen == 0:
            time.sleep(0.001)
        before, began = seen, time.perf_counter()
        pre([image] * 60)
        during, took_s = seen - before, time.perf_counter() - began
    finally:
        stop.set()
        counter.join()
    # With the GIL held, the counter could step only before and after the call.
    assert during > 3, f"{during} steps in {took_s:.3f} s"


def child_status(work: Callable[[], bool]) -> int:
    """Exit status of a forked child: 0 if `work` returned True there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # "multi-threaded, fork may deadlock": that is the test
        pid = os.fork()
    if pid == 0:
        try:
            os._exit(0 if work() else 1)
        finally:
            os._exit(2)
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    raise AssertionError("the child of a fork hangs")


def test_fork(batch: list[bytes]) -> None:
    """NumPy only: torch's own threads are not what is tested."""
    spec = SPEC.replace(dtype="uint8")
    pre = fastpre.Preprocessor(spec, num_threads=4)
    want = pre.dlpack(batch)
    want_bytes = torch.from_dlpack(want).numpy().tobytes()
    assert fastpre._core.pool_size() > 0

    def work() -> bool:
        import numpy as np

        return (
            fastpre._core.pool_size() == 0
            and np.from_dlpack(pre.dlpack(batch)).tobytes() == want_bytes
            and fastpre._core.pool_size() >= 3
        )

    assert child_status(work) == 0


def test_fork_in_the_middle_of_a_call(batch: list[bytes]) -> None:
    pre = fastpre.Preprocessor(SPEC.replace(dtype="uint8"), num_threads=3)
    stop = threading.Event()

    def keep_busy() -> None:
        while not stop.is_set():
            pre.dlpack(batch)

    callers = [threading.Thread(target=keep_busy) for _ in range(3)]
    for caller in callers:
        caller.start()
    try:
        for _ in range(5):
            assert child_status(lambda: pre.dlpack(batch) is not None) == 0
    finally:
        stop.set()
        for caller in callers:
            caller.join()


class Streams(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """Decodes in the worker; also says how many threads a call would take there."""

    def __init__(self, items: list[bytes]) -> None:
        self.items = items
        self.pre = fastpre.Preprocessor(SPEC)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        from fastpre._backend.arguments import thread_count

        return self.pre([self.items[index]])[0], thread_count(None)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_loader_workers(method: str, batch: list[bytes]) -> None:
    want = fastpre.Preprocessor(SPEC, num_threads=4)(batch)
    loader = torch.utils.data.DataLoader(
        Streams(batch),
        batch_size=4,
        num_workers=2,
        multiprocessing_context=multiprocessing.get_context(method),
        timeout=TIMEOUT_S,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        tensors, threads = zip(*loader, strict=True)
    assert torch.equal(torch.cat(tensors), want)
    assert torch.cat(threads).tolist() == [1] * len(batch)


@pytest.mark.skipif(getattr(sys, "_is_gil_enabled", lambda: True)(), reason="needs free-threaded CPython")
def test_free_threaded(batch: list[bytes]) -> None:
    """Importing fastpre leaves the GIL off, and concurrent calls agree."""
    want = fastpre.Preprocessor(SPEC, num_threads=1)(batch)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        tensors = list(pool.map(lambda _: fastpre.Preprocessor(SPEC)(batch), range(200), timeout=TIMEOUT_S))
    assert all(torch.equal(t, want) for t in tensors)
    assert not sys._is_gil_enabled()  # type: ignore[attr-defined]
