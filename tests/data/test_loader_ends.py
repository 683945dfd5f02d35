"""fastpre.data.Loader: it reads ahead no further than asked, and ends when its iteration does."""

from __future__ import annotations

import gc
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

import fastpre
import fastpre.data
import streams
from fastpre.data import prefetch
from loading import ARRANGEMENTS, QUIET_FORK, SPEC, TIMEOUT_S, Items, left_behind, load

pytestmark = QUIET_FORK


@pytest.mark.parametrize("how", ["break", "drop", "close", "cycle"])
@pytest.mark.parametrize(("workers", "ahead"), ARRANGEMENTS)
def test_abandoned_half_way(how: str, workers: int, ahead: int, batch: list[bytes]) -> None:
    loader = load(batch * 4, batch_size=2, num_workers=workers, prefetch_batches=ahead)
    before = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
    for _ in range(3):
        if how == "break":
            for _ in loader:
                break
        else:
            batches: Any = iter(loader)
            next(batches)
            assert left_behind() or (workers, ahead) == (0, 0)
            if how == "close":
                batches.close()
                batches.close()
                assert list(batches) == []
            elif how == "cycle":
                cycle: list[Any] = [batches]
                cycle.append(cycle)
                del cycle
            del batches
            if how == "cycle":
                gc.collect()
        assert left_behind() == []
    gc.collect()
    assert sys.platform != "linux" or len(os.listdir("/proc/self/fd")) <= before + 2  # torch opens some once


class Waiting(Items):
    """Its second batch takes as long as it takes."""

    def __init__(self, items: list[Any]) -> None:
        super().__init__(items)
        self.go_on = multiprocessing.get_context("fork").Event()

    def __getitem__(self, index: int) -> Any:
        if index >= 2:
            self.go_on.wait(TIMEOUT_S)
        return super().__getitem__(index)


def test_abandoned_while_a_worker_hangs(batch: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetch, "STUCK_S", 0.1)
    dataset = Waiting(batch)
    loader = fastpre.data.Loader(dataset, SPEC, batch_size=2, num_workers=1, multiprocessing_context="fork")
    batches = iter(loader)
    next(batches)
    began = time.monotonic()
    batches.close()
    assert time.monotonic() - began < TIMEOUT_S / 4
    assert left_behind() != []
    dataset.go_on.set()
    deadline = time.monotonic() + TIMEOUT_S
    while left_behind() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert left_behind() == []


@pytest.mark.parametrize(("workers", "persistent"), [(0, False), (2, False), (2, True)])
def test_interpreter_exit(workers: int, persistent: bool, photo: bytes) -> None:
    """With an iteration under way, more to come, and everything reachable from the module."""
    code = f"""
import sys, fastpre, fastpre.data
items = [sys.stdin.buffer.read()] * 4000
loader = fastpre.data.Loader(items, batch_size=50, num_workers={workers}, persistent_workers={persistent})
batches = iter(loader)
print(len(next(batches)))
"""
    done = subprocess.run([sys.executable, "-c", code], input=photo, capture_output=True, timeout=TIMEOUT_S)
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, [b"50"], b"")


def test_decodes_ahead_and_no_further(batch: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    loader = load(batch, batch_size=1, prefetch_batches=3)
    threads: list[int] = []
    run = loader._decoder.preprocessor._run

    def counted(*args: Any, **options: Any) -> Any:
        threads.append(threading.get_ident())
        return run(*args, **options)

    monkeypatch.setattr(loader._decoder.preprocessor, "_run", counted)
    batches = iter(loader)
    for taken in (1, 2):
        next(batches)
        deadline = time.monotonic() + TIMEOUT_S
        while len(threads) < taken + 3 and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.05)
        assert len(threads) == taken + 3
    assert threading.get_ident() not in threads


def test_closing_does_not_wait_for_a_batch_that_takes_long() -> None:
    """What is being decoded is cancelled."""
    spec = fastpre.Spec(resize=32, crop=32, max_work=1 << 60)
    batches = iter(fastpre.data.Loader([streams.laborious()] * 4, spec, batch_size=4))
    taker = threading.Thread(target=lambda: next(batches, None))
    taker.start()
    time.sleep(0.2)  # it is under way
    start = time.perf_counter()
    batches.close()
    assert time.perf_counter() - start < 3
    taker.join(TIMEOUT_S)
    assert not taker.is_alive()
