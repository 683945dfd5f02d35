"""The caller's images as the core takes them: buffers without a copy, or paths."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from . import _memory, _torch


def source(item: Any, index: int) -> Any:
    """One image as a buffer or a str path."""
    if isinstance(item, (bytes, bytearray, memoryview, str)):
        return item
    if isinstance(item, os.PathLike):
        return os.fsdecode(item)
    if _torch.is_tensor(item):
        return _from_tensor(item, index)
    if isinstance(item, np.ndarray):
        if item.dtype != np.uint8 or item.ndim != 1:
            msg = f"image {index}: expected a 1-D uint8 array of compressed bytes, got {item.ndim}-D {item.dtype}"
            raise TypeError(msg)
        return np.ascontiguousarray(item)
    return item  # any other buffer; the core refuses what has none, by index and type


def _from_tensor(item: Any, index: int) -> Any:
    if item.dim() != 1 or str(item.dtype) != "torch.uint8":
        msg = f"image {index}: expected a 1-D uint8 tensor of compressed bytes, got {item.dim()}-D {item.dtype}"
        raise TypeError(msg)
    if item.device.type != "cpu":
        raise TypeError(f"image {index}: compressed bytes must be on the CPU, got a tensor on {item.device}")
    _memory.of(item, f"image {index}: the tensor", TypeError)
    return item.detach().contiguous().numpy()


def sources(images: Iterable[Any]) -> list[Any]:
    """The batch as a list for the core.

    Raises:
        TypeError: `images` is a single image instead of a sequence, or an item is of no known kind.
    """
    if isinstance(images, (bytes, bytearray, memoryview, str, os.PathLike)):
        raise TypeError("images must be a sequence of images; for one image pass [image]")
    if _torch.is_tensor(images) or isinstance(images, np.ndarray):
        array: Any = images
        if array.ndim == 1:
            raise TypeError("images must be a sequence of images; for one image pass [image]")
    return [source(item, i) for i, item in enumerate(images)]


def name(item: Any) -> str | None:
    """How to call an image in a message: its path, if it has one."""
    return item if isinstance(item, str) else None
