"""Semantic segmentation: a class for each pixel."""

from __future__ import annotations

from typing import Any

from ..errors import ModelUnavailable
from ..found import Outputs
from .tensors import only

__all__ = ["Segmentation"]


class Segmentation:
    """Reads (N, K, h, w) of any resolution.

    Args:
        with_logits: also `logits` FP32 (N, K, H, W): K times 4 bytes for each pixel.
    """

    def __init__(self, with_logits: bool) -> None:
        self._with_logits = with_logits

    def __call__(self, raw: Any, size: tuple[int, int]) -> Outputs:
        """`classes` (N, H, W) of the input's size, to which coarser logits are interpolated (bilinear) first.

        That is what torchvision's models do themselves, and transformers' `post_process_semantic_segmentation`.
        """
        import torch

        logits = only(raw, "segmentation", ("logits", "out"))
        if logits.dim() != 4:
            raise ModelUnavailable(f"for segmentation an output is (N, K, h, w), this model's is {tuple(logits.shape)}")
        logits = logits.float()
        if tuple(logits.shape[2:]) != size:
            logits = torch.nn.functional.interpolate(logits, size=size, mode="bilinear", align_corners=False)
        dtype = torch.uint8 if logits.shape[1] <= 256 else torch.uint16
        classes = logits.argmax(dim=1).to(dtype)
        return {"classes": classes, "logits": logits} if self._with_logits else {"classes": classes}
