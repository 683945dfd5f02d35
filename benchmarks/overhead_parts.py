"""The parts of a request, each measured alone with all cores at work: what `ceiling_model` needs."""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import machine
import numpy as np
import overhead_cases as cases
import torch
from PIL import Image
from quiet import tree_cpu_s

from fastpre import Preprocessor

NOTHING = cases.Task("nothing", "builtin:sleep?ms=0", "no computation")
NULL_SIZE = 16  # pixels a side of the image that stands for none
BODIES = (2_000, 400_000)  # bytes of the requests that give the fixed and the proportional cost
SEGMENT = 65_533  # the most that a JPEG's APP segment holds


def together(work: Callable[[int], int], seconds: float, threads: int) -> float:
    """Pieces a second of some threads that do the same for a while; `work` is given its thread's turn."""
    done, stop = [0] * threads, threading.Event()

    def thread(number: int) -> None:
        turn = number
        while not stop.is_set():
            done[number] += work(turn)
            turn += threads

    running = [threading.Thread(target=thread, args=(i,)) for i in range(threads)]
    began = time.perf_counter()
    for each in running:
        each.start()
    time.sleep(seconds)
    stop.set()
    for each in running:
        each.join()
    return sum(done) / (time.perf_counter() - began)


def preprocessed_s(images: list[bytes], spec: Any, seconds: float) -> float:
    """Images a second of fastpre, a thread for each core."""
    preprocessor = Preprocessor(spec, num_threads=1)
    outs = [preprocessor([images[0]]) for _ in range(machine.cores())]

    def work(turn: int) -> int:
        preprocessor.run([images[turn % len(images)]], out=outs[turn % len(outs)])
        return 1

    return together(work, seconds, machine.cores())


def inferred_s(model: Any, batch: int, seconds: float, threads: int) -> float:
    """Images a second of the model alone, in batches of some size."""
    images = torch.rand(batch, model.spec.channels, *model.spec.output_size)
    images = images.contiguous(memory_format=getattr(torch, model.spec.memory_format_name))

    def work(turn: int) -> int:
        model(images)
        return batch

    return together(work, seconds, threads)


def copied_bytes_s(seconds: float) -> float:
    """Bytes read and written a second by copies of 32 MB, all cores."""
    size = 32 << 20
    pairs = [(np.zeros(size, np.uint8), np.zeros(size, np.uint8)) for _ in range(machine.cores())]

    def work(turn: int) -> int:
        source, target = pairs[turn % len(pairs)]
        np.copyto(target, source)
        return 2 * size

    return together(work, seconds, machine.cores())


def null_image(size: int) -> bytes:
    """A JPEG of 16 x 16 pixels and about so many bytes: what is sent is large, what is decoded is nothing."""
    stream = io.BytesIO()
    Image.new("RGB", (NULL_SIZE, NULL_SIZE), (90, 120, 60)).save(stream, "JPEG")
    data = stream.getvalue()
    padding, left = b"", max(0, size - len(data))
    while left > 4:
        length = min(left - 4, SEGMENT)
        padding += b"\xff\xef" + (length + 2).to_bytes(2, "big") + bytes(length)
        left -= length + 4
    return data[:2] + padding + data[2:]


def request_core_s(server: cases.Server, size: int, spec: Any, seconds: float) -> tuple[float, float]:
    """(bytes, core seconds) of a request in which nothing is computed: client, protocol, scheduling, hand-over.

    Its image is next to nothing; what preprocessing that takes is measured, too, and left out.
    """
    image = null_image(size)
    cases.load(server.url, [image], max(cases.CLIENTS), seconds / 4, 0.0)
    before = tree_cpu_s(os.getpid())
    report = cases.load(server.url, [image], max(cases.CLIENTS), seconds, 0.0)
    used = tree_cpu_s(os.getpid()) - before
    own = machine.cores() / preprocessed_s([image], spec, seconds / 4)
    return len(image), max(0.0, used / max(1, report.outcomes.get("ok", 0)) - own)
