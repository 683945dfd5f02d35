"""The core's resampling taps as a matrix."""

from __future__ import annotations

import numpy as np

import fastpre

TAP_BITS = 22


def matrix(interpolation: str, in_size: int, out_size: int) -> np.ndarray:
    """The taps as a dense (out_size, in_size) matrix of integers."""
    taps = fastpre._core.taps(interpolation, in_size, out_size, 0, out_size)
    dense = np.zeros((out_size, in_size), np.int64)
    for position, (start, weights) in enumerate(zip(taps["start"], taps["weights"], strict=True)):
        assert start >= 0
        assert start + len(weights) <= in_size
        dense[position, start : start + len(weights)] = weights
    return dense
