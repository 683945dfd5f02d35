"""The memory of one batch: written by `Preprocessor.run`, then read as bytes and as pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastpre import Spec
from fastpre._backend import lazy_torch

from .errors import Unusable

__all__ = ["Batch", "is_channels_last", "row_shape"]


def is_channels_last(spec: Spec) -> bool:
    """True if the channels of a pixel are neighbours in memory."""
    return lazy_torch.name_of(spec.memory_format) == "channels_last"


def row_shape(spec: Spec, size: tuple[int, int]) -> tuple[int, int, int]:
    """One image as it lies in memory: (C, H, W), or (H, W, C) for channels_last."""
    if is_channels_last(spec):
        return (*size, spec.channels)
    return (spec.channels, *size)


class Batch:
    """Room for `count` images, dense in the spec's layout.

    NumPy's on the host; torch is needed for bfloat16 alone, which NumPy lacks. For a CUDA device there is also memory
    on the device, from which `fetch` copies.

    Args:
        count: images.
        spec: gives dtype and layout.
        size: (height, width) of every output.
        device: where they are made: a name that `Preprocessor` takes.
    """

    def __init__(self, count: int, spec: Spec, size: tuple[int, int], device: str = "cpu") -> None:
        self._spec = spec
        shape = (count, *row_shape(spec, size))
        on_device = device.startswith("cuda")
        if on_device or spec.dtype_name == "bfloat16":
            try:
                torch = lazy_torch.require()
            except ImportError:
                raise Unusable("--dtype bfloat16 needs torch: pip install torch") from None
            dtype = getattr(torch, spec.dtype_name)
            self._stored: Any = torch.empty(shape, dtype=dtype)
            self._made: Any = torch.empty(shape, dtype=dtype, device=device) if on_device else self._stored
        else:
            self._stored = self._made = np.empty(shape, spec.dtype_name)
        self._channels_last = is_channels_last(spec)

    def rows(self, count: int) -> Any:
        """The first `count` images as (count, C, H, W), for `out=`."""
        rows = self._made[:count]
        if not self._channels_last:
            return rows
        return rows.permute(0, 3, 1, 2) if lazy_torch.is_tensor(rows) else rows.transpose(0, 3, 1, 2)

    def fetch(self, count: int) -> None:
        """Brings the first `count` images to the host, once they are made."""
        if self._made is not self._stored:
            self._stored[:count].copy_(self._made[:count])

    def raw(self, count: int) -> npt.NDArray[np.uint8]:
        """The first `count` images' bytes, 1-D, without a copy."""
        flat = self._stored[:count].reshape(-1)
        if lazy_torch.is_tensor(flat):
            return flat.view(lazy_torch.require().uint8).numpy()  # type: ignore[no-any-return]
        return flat.view(np.uint8)  # type: ignore[no-any-return]

    def picture(self, index: int) -> npt.NDArray[np.uint8]:
        """One image denormalized: uint8 (H, W, 3) RGB or (H, W) gray."""
        row = self._stored[index]
        array: npt.NDArray[Any] = row.float().numpy() if lazy_torch.is_tensor(row) else row
        if not self._channels_last:
            array = array.transpose(1, 2, 0)
        if array.dtype != np.uint8:
            array = array.astype(np.float32)
            if self._spec.mean is not None:
                array = array * np.asarray(self._spec.std, np.float32) + np.asarray(self._spec.mean, np.float32)
            array = np.clip(np.rint(array * 255), 0, 255).astype(np.uint8)
        if self._spec.color == "L":
            return array[..., 0]
        return array[..., ::-1] if self._spec.color == "BGR" else array
