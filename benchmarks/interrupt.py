"""How long a call goes on after a signal: milliseconds from the timer to the exception, worst of some rounds.

python benchmarks/interrupt.py
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from machine import describe
from PIL import Image

import fastpre

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import streams

ROUNDS = 5


class TimeUpError(Exception):
    """What the handler raises."""


def cases() -> Iterator[tuple[str, list[bytes], int]]:
    """(name, images, threads); each takes longer than the timer."""
    gray = streams.encode(streams.picture("L", 64, 64), progressive=True)
    last = gray.rindex(b"\xff\xda")
    giant = streams.resized_frame(gray[:-2] + gray[last:-2] * 499 + gray[-2:], 13_300, 13_300)
    yield "gray progressive, 177 MP x 505 scans, 1 thread", [giant], 1
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (5000, 5000, 3), dtype=np.uint8))
    baseline, progressive = (streams.encode(noise, quality=95, progressive=p) for p in (False, True))
    yield "8 x baseline 25 MP noise, 2 threads", [baseline] * 8, 2
    yield "8 x progressive 25 MP noise, 2 threads", [progressive] * 8, 2
    yield "1 x baseline 25 MP noise, 2 threads on it", [baseline], 2


def latency_ms(images: list[bytes], threads: int, delay_s: float) -> float:
    """From the signal to the exception; infinite if the call ended first."""

    def handler(*_: object) -> None:
        raise TimeUpError

    pre = fastpre.Preprocessor(fastpre.Spec(max_work=1 << 60), num_threads=threads)
    before = signal.signal(signal.SIGALRM, handler)
    due = time.perf_counter() + delay_s
    signal.setitimer(signal.ITIMER_REAL, delay_s)
    try:
        pre.run(images, on_error="fill")
    except TimeUpError:
        return (time.perf_counter() - due) * 1e3
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return float("inf")


def main() -> None:
    """Prints one line a case."""
    print(describe())
    fastpre.Preprocessor(fastpre.Spec()).run([streams.encode(streams.picture("RGB", 9, 9))])  # imports torch
    for name, images, threads in cases():
        found = [latency_ms(images, threads, 0.05 + 0.013 * i) for i in range(ROUNDS)]
        print(f"{name:<50} median {sorted(found)[ROUNDS // 2]:5.1f} ms, worst {max(found):5.1f} ms")


if __name__ == "__main__":
    main()
