"""The caller's images as the core takes them: buffers without a copy, paths, or why there is neither."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..errors import ImageReadError
from . import lazy_torch, tensor_memory

DECODED = (
    "a {} is decoded already; in a batch give its file's bytes or path, as "
    "torchvision.datasets.ImageFolder(root, loader=fastpre.transforms.read_bytes) does, or give the one image to "
    "fastpre.transforms.DecodeResizeNormalize()(image)"
)


class Sources(NamedTuple):
    """A batch for the core.

    Attributes:
        items: see `source`.
        names: how to call each image in a message; None where it has no name.
    """

    items: list[Any]
    names: list[str | None]


def source(item: Any, index: int) -> Any:
    """One image as a buffer, a str path, None (there is none), or the `ImageReadError` of a file that failed.

    Raises:
        TypeError: it is of a kind that holds no compressed image.
    """
    if isinstance(item, (bytes, bytearray, memoryview, str)) or item is None:
        return item
    if isinstance(item, os.PathLike):
        return os.fsdecode(item)
    if lazy_torch.is_tensor(item):
        return _from_tensor(item, index)
    if isinstance(item, np.ndarray):
        if item.dtype != np.uint8 or item.ndim != 1:
            msg = f"image {index}: expected a 1-D uint8 array of compressed bytes, got {item.ndim}-D {item.dtype}"
            raise TypeError(_hinted(msg, item, "array"))
        return np.ascontiguousarray(item)
    if isinstance(item, Mapping):
        return _from_mapping(item, index)
    if _reads(item):
        return _from_file(item, index)
    if isinstance(item, ImageReadError):
        return ImageReadError(item.reason)  # its place and name are said apart
    if is_pil(item):
        msg = f"image {index}: expected compressed bytes or a path, got a PIL {type(item).__name__}: "
        raise TypeError(msg + DECODED.format("PIL image"))
    return item  # any other buffer; the core refuses what is neither, by index and type


def is_pil(item: object) -> bool:
    """True for PIL's images, without importing it."""
    return hasattr(item, "convert") and hasattr(item, "getbands")


def _hinted(message: str, pixels: Any, kind: str) -> str:
    return f"{message}: {DECODED.format(f'3-D {kind}')}" if pixels.ndim == 3 else message


def _from_tensor(item: Any, index: int) -> Any:
    if item.dim() != 1 or str(item.dtype) != "torch.uint8":
        msg = f"image {index}: expected a 1-D uint8 tensor of compressed bytes, got {item.dim()}-D {item.dtype}"
        raise TypeError(_hinted(msg, item, "tensor"))
    if item.device.type != "cpu":
        raise TypeError(f"image {index}: compressed bytes must be on the CPU, got a tensor on {item.device}")
    tensor_memory.of(item, f"image {index}: the tensor", TypeError)
    return item.detach().contiguous().numpy()


def _from_mapping(item: Mapping[Any, Any], index: int) -> Any:
    """What Hugging Face's `datasets.Image(decode=False)` gives: bytes if there are any, else a path."""
    if not item.keys() <= {"bytes", "path"} or not item:
        keys = ", ".join(map(repr, item)) or "nothing"
        msg = (
            f"image {index}: expected a dict of 'bytes' and 'path', got one of {keys}; of a row give the image alone, "
            "or to a Loader a tuple that begins with it: (row['image'], row['label']), as "
            "fastpre.data.Columns(dataset, 'image', 'label') does"
        )
        raise TypeError(msg)
    data = item.get("bytes")
    return source(item.get("path") if data is None else data, index)


def _reads(item: Any) -> bool:
    """True for open files and what acts like one; a mapped file is a buffer, all of which counts."""
    if not callable(getattr(item, "read", None)):
        return False
    try:
        memoryview(item)
    except TypeError:
        return True
    return False


def _from_file(item: Any, index: int) -> Any:
    try:
        data = item.read()
    except Exception as error:  # of an archive, a network, a closed file: it is this image that cannot be had
        return ImageReadError(f"cannot read: {type(error).__name__}: {error}")
    if not isinstance(data, (bytes, bytearray, memoryview)):
        msg = f"image {index}: .read() of {type(item).__name__} gave {type(data).__name__}; open files with mode 'rb'"
        raise TypeError(msg)
    return data


def sources(images: Iterable[Any]) -> Sources:
    """The batch for the core.

    Raises:
        TypeError: `images` is a single image instead of a sequence, or an item is of no known kind.
    """
    if isinstance(images, (bytes, bytearray, memoryview, str, os.PathLike, Mapping)) or _reads(images):
        raise TypeError("images must be a sequence of images; for one image pass [image]")
    if lazy_torch.is_tensor(images) or isinstance(images, np.ndarray):
        array: Any = images
        if array.ndim == 1:
            raise TypeError("images must be a sequence of images; for one image pass [image]")
    items: list[Any] = []
    names: list[str | None] = []
    for index, item in enumerate(images):
        items.append(source(item, index))
        names.append(name(item))
    return Sources(items, names)


def name(item: Any) -> str | None:
    """How to call an image in a message: the path that it is, has, or was opened from; None without one."""
    if type(item) is bytes:  # first, because it is the common case and the checks below are slow
        return None
    if isinstance(item, (str, os.PathLike)):
        return os.fsdecode(item)
    called = item.get("path") if isinstance(item, Mapping) else getattr(item, "name", None)
    return called if isinstance(called, str) else None
