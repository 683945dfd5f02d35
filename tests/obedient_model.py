"""A model that says what it was given and where it ran, and does what the first number of a batch tells it to."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from typing import Any

import numpy as np
import torch

import fastpre
from fastpre.serve.inference import TensorInfo

# First numbers.
NOTHING, RAISE, KILL, HANG, EXIT, LARGE, MANY, ODD, SMALLEST, STOP_BROKER = range(10)
SIZE = 8
LARGE_VALUES = 1 << 20  # 8 MB for an image


class Obedient:
    """Its outputs: the batch's bytes, strides, process and number of torch's threads."""

    name = "obedient"
    platform = "python"
    task = "other"
    device = "cpu"
    outputs: tuple[TensorInfo, ...] = (TensorInfo("pixels", "UINT8", (-1, -1)),)
    labels: tuple[str, ...] = ("one", "two")
    max_batch = 0

    def __init__(self, **fields: Any) -> None:
        self.spec = fastpre.Spec(resize=None, crop=SIZE, **fields)

    def __call__(self, batch: torch.Tensor) -> Any:
        count = len(batch)
        wish = int(batch[0, 0, 0, 0])
        if wish == RAISE:
            raise ValueError("no such class: \N{SNOWMAN}")
        if wish == KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        if wish == HANG:
            os.write(1, b"hanging\n")
            ctypes.PyDLL(None).sleep(60)  # and keeps the interpreter: no other thread of the process runs
        if wish == EXIT:
            sys.exit(3)
        if wish == LARGE:
            return {"large": np.arange(count * LARGE_VALUES, dtype=np.int64).reshape(count, LARGE_VALUES)}
        if wish == MANY:
            return {f"output {i}": np.full((count, i % 3, 2), i, np.int16) for i in range(300)}
        if wish == ODD:
            return [1.0]
        if wish == STOP_BROKER:  # its process, in two numbers that float32 can hold
            os.kill(int(batch[0, 0, 0, 1]) + (int(batch[0, 0, 0, 2]) << 12), signal.SIGKILL)
            time.sleep(0.2)
        if wish == SMALLEST:
            return {}
        return {
            "pixels": batch.permute(0, 2, 3, 1).reshape(count, -1).view(torch.uint8).numpy().copy(),
            "sums": batch.float().sum((1, 2, 3)).numpy(),
            "strides": np.array([batch.stride()] * count),
            "pid": np.full(count, os.getpid()),
            "threads": np.full(count, torch.get_num_threads(), np.uint8),
            "yes": np.ones((count, 1), np.bool_),
            "names": np.array([["a", "\N{SNOWMAN}bc"]] * count),
        }


def make(**fields: Any) -> Obedient:
    """What workers are told to call."""
    return Obedient(**fields)


def cannot_load() -> Obedient:
    raise OSError("no weights here")


def dies_while_loading() -> Obedient:
    os._exit(7)


def loads_forever() -> Obedient:
    while True:
        signal.pause()


def once(path: str) -> Obedient:
    """Loads the first time, and not again."""
    with open(path, "x"):
        return Obedient()
