"""The types of the public calls, for annotations and type checkers.

`SpecFields` is the one definition of what `Spec` and every call that makes one take:
`def load(**fields: Unpack[SpecFields])`.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, TypedDict

import numpy as np


class Readable(Protocol):
    """An open file, or what acts like one."""

    def read(self) -> bytes:
        """All that is left of it."""


if TYPE_CHECKING:
    import torch
    from typing_extensions import Buffer

    TorchDtype: TypeAlias = torch.dtype
    TorchMemoryFormat: TypeAlias = torch.memory_format
    Image: TypeAlias = (
        Buffer
        | np.ndarray[Any, np.dtype[np.uint8]]
        | torch.Tensor
        | str
        | os.PathLike[str]
        | Readable
        | Mapping[str, bytes | str | None]
        | None
    )
else:  # without torch, and for what evaluates annotations at run time
    TorchDtype = TorchMemoryFormat = Image = Any

__all__ = [
    "Color",
    "DtypeName",
    "Fidelity",
    "Image",
    "Images",
    "Interpolation",
    "MemoryFormatName",
    "Metadata",
    "OnError",
    "PassOrder",
    "PerChannel",
    "Readable",
    "Rescale",
    "Size",
    "SpecFields",
    "Truncated",
]

# What a batch is given as. For type checkers a str is a batch of paths; the call refuses it.
Images: TypeAlias = Iterable[Image]
Size: TypeAlias = int | tuple[int, int]
Interpolation: TypeAlias = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
DtypeName: TypeAlias = Literal["float32", "float16", "bfloat16", "uint8"]
MemoryFormatName: TypeAlias = Literal["contiguous_format", "channels_last"]
Color: TypeAlias = Literal["RGB", "BGR", "L"]
Fidelity: TypeAlias = Literal["exact", "fast"]
Rescale: TypeAlias = Literal["divide", "multiply"]
PassOrder: TypeAlias = Literal["auto", "horizontal_first", "adaptive"]
Truncated: TypeAlias = Literal["error", "partial"]
Metadata: TypeAlias = Literal["none", "icc", "all"]
OnError: TypeAlias = Literal["raise", "fill", "skip"]
PerChannel: TypeAlias = Literal["imagenet"] | float | Sequence[float] | None


class SpecFields(TypedDict, total=False):
    """The fields of `Spec` as keyword arguments; `Spec` says what they mean and what their defaults are."""

    resize: int | Sequence[int] | None
    crop: int | Sequence[int] | None
    interpolation: Interpolation | enum.Enum
    mean: PerChannel
    std: PerChannel
    dtype: TorchDtype | DtypeName
    memory_format: TorchMemoryFormat | MemoryFormatName
    color: Color
    exif_orientation: bool
    fidelity: Fidelity
    max_pixels: int
    max_output_pixels: int
    max_bytes: int
    max_work: int
    max_size: int | None
    rescale: Rescale
    pass_order: PassOrder
    truncated: Truncated
