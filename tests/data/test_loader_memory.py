"""fastpre.data.Loader: how many batches are in memory, and that it stays so."""

from __future__ import annotations

import ctypes
import random
import sys
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import pytest

import fastpre
import fastpre.data
import streams
from fastpre.data.compressed import Compressed
from fastpre.data.decoder import Decoded, Decoder
from loading import QUIET_FORK, TIMEOUT_S, Items, load

pytestmark = QUIET_FORK

# What threads and heaps keep for themselves, however long it goes on.
SCRATCH_BYTES = 16 << 20


class Live:
    """Counts decoded batches, from the beginning of their decoding until their memory is free."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = self.most = 0
        self._lock = threading.Lock()
        attempt = Decoder.attempt

        def counted(decoder: Decoder, batch: Compressed, out: Any = None) -> Decoded:
            self._add(1)
            decoded = attempt(decoder, batch, out)
            weakref.finalize(decoded.tensor, self._add, -1)
            return decoded

        monkeypatch.setattr(Decoder, "attempt", counted)

    def _add(self, count: int) -> None:
        with self._lock:
            self.now += count
            self.most = max(self.most, self.now)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_batches_in_memory(ahead: int, workers: int, batch: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    live = Live(monkeypatch)
    left = len(batch)
    for tensor in load(batch, batch_size=1, num_workers=workers, prefetch_batches=ahead):
        left -= 1
        deadline = time.monotonic() + TIMEOUT_S
        while live.now < 1 + min(ahead, left) and time.monotonic() < deadline:
            time.sleep(0.001)
        del tensor
    assert live.most == ahead + 1
    assert live.now == 0


def resident_bytes() -> int:
    """Without what glibc's allocator keeps for later."""
    ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("workers", [0, 2])
def test_memory_is_flat_over_epochs_of_varied_sizes(workers: int) -> None:
    """Batches are large enough for the core's recycled memory; each of the last ones is of another size."""
    rng = random.Random(0)
    sizes = [(rng.randrange(60, 700), rng.randrange(60, 700)) for _ in range(35)]
    images = [streams.encode(streams.picture("RGB", *size), quality=80) for size in sizes]
    batch_bytes, ahead = 8 * 3 * 224 * 224 * 4, 2
    loader = fastpre.data.Loader(
        Items(images), fastpre.Spec(), batch_size=8, shuffle=True, num_workers=workers, prefetch_batches=ahead
    )
    before = resident_bytes()
    most = 0
    for _ in range(10):
        for _ in loader:
            most = max(most, resident_bytes() - before)
    # The loop's batch, the next one while it is given, those ahead; a leak of one an epoch would be 48 MB.
    assert most < (ahead + 2) * batch_bytes + SCRATCH_BYTES
