"""torchvision's and timm's transforms, fused with decoding."""

from __future__ import annotations

from typing import Any

from ..interop import torchvision
from ..spec import Spec
from .fused import FusedTransform
from .module import DecodeResizeNormalize

__all__ = ["fuse"]


def fuse(
    transform: Any, *, num_threads: int | None = None, targets: bool = False
) -> DecodeResizeNormalize | FusedTransform:
    """The same transform, fused with decoding: takes a JPEG where the original takes a PIL image.

    A transform without random steps that a `Spec` expresses (classification presets, `Compose` of Resize, CenterCrop,
    ToTensor, Normalize and the like: `Spec.from_torchvision`) becomes a `DecodeResizeNormalize`. Every other one, of
    torchvision v1 or v2, or timm, becomes a `FusedTransform`: the same draws from the same generators, crops
    decoded as far as they reach, photometric steps as they are. `print(fuse(transform))` shows what is fused.

    The result equals the original's on `PIL.Image.open(f).convert("RGB")`. Without that conversion the original may
    resize a CMYK image as CMYK and differ.

    Args:
        num_threads: threads for one image. None: 1 inside a DataLoader worker, else the CPUs that this process may use.
        targets: True: it will be called with targets beside the image; always gives a `FusedTransform`.

    Raises:
        ValueError: an empty transform.
        TypeError: no transform of torchvision or timm at all.

    Warns:
        InexactFusionWarning: a transform without random steps resizes a tensor, not a PIL image.
    """
    parts = torchvision.parts(transform)
    if not targets and parts.fields is not None:
        try:
            return DecodeResizeNormalize(Spec(**torchvision.fields(transform)), num_threads=num_threads)
        except ValueError:
            pass
    return FusedTransform(parts, num_threads)
