"""Sixteen Python threads that do everything at once; `make sanitize` runs it under the thread sanitizer as well."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np

import fastpre
import streams

THREADS = 16
ROUNDS = 3
TIMEOUT_S = 120
SPEC = fastpre.Spec(resize=48, crop=40)


def test_sixteen_threads(batch: list[bytes], tmp_path: Path) -> None:
    """Batches, files, outputs of the caller's, bad images, plans and a large image that idle threads help with."""
    large = [streams.encode(streams.picture("RGB", 1600, 1200), quality=92)]
    paths = [tmp_path / f"{i}.jpg" for i in range(len(batch))]
    for path, stream in zip(paths, batch, strict=True):
        path.write_bytes(stream)
    bad = [batch[0], b"no jpeg", batch[1][: len(batch[1]) // 2], batch[2]]
    shared = fastpre.Preprocessor(SPEC, num_threads=3)
    fast = fastpre.Preprocessor(SPEC.replace(fidelity="fast", dtype="float16"), num_threads=2)

    def into_ours() -> np.ndarray:
        out = np.empty((len(batch), 3, 40, 40), np.float32)
        shared(batch, out=out)
        return out

    work: list[Callable[[], np.ndarray]] = [
        lambda: np.from_dlpack(shared.dlpack(batch)),
        lambda: np.from_dlpack(shared.dlpack(paths)),
        lambda: np.from_dlpack(shared.dlpack(bad, on_error="fill")),
        lambda: np.from_dlpack(shared.dlpack(large)),
        lambda: np.from_dlpack(fast.dlpack(batch)),
        lambda: np.array([fastpre.plan(stream, SPEC).rectangle for stream in batch]),
        into_ours,
    ]
    want = [task() for task in work]
    start = threading.Barrier(THREADS, timeout=TIMEOUT_S)

    def caller(number: int) -> list[int]:
        """The tasks that gave something else than when they ran alone."""
        start.wait()
        order = [(number + k) % len(work) for k in range(ROUNDS * len(work))]
        return [k for k in order if not np.array_equal(work[k](), want[k])]

    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        wrong = list(pool.map(caller, range(THREADS), timeout=TIMEOUT_S))
    assert wrong == [[]] * THREADS
