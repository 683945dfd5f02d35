"""Depth: a number for each pixel."""

from __future__ import annotations

from typing import Any

from ..errors import ModelUnavailable
from ..found import Outputs
from .tensors import only

__all__ = ["Depth"]


class Depth:
    """Reads (N, H, W) or (N, 1, H, W)."""

    def __call__(self, raw: Any, size: tuple[int, int]) -> Outputs:
        """`depth` FP32 (N, H, W): metres, or inverse and relative, as the model was trained; not interpolated."""
        depth = only(raw, "depth", ("predicted_depth", "depth"))
        if depth.dim() == 4 and depth.shape[1] == 1:
            depth = depth.squeeze(1)
        if depth.dim() != 3:
            raise ModelUnavailable(f"for depth an output is (N, H, W), this model's is {tuple(depth.shape)}")
        return {"depth": depth.float()}
