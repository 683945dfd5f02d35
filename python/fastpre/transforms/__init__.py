"""Drop-ins for torchvision: one image in, one (C, H, W) tensor out.

dataset = torchvision.datasets.ImageFolder(root, transform=fuse(transform), loader=read_bytes)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ..interop.torchvision import InexactFusionWarning
from .files import read_bytes
from .module import DecodeResizeNormalize

if TYPE_CHECKING:
    from .fused import FusedTransform
    from .fusing import fuse
    from .lazy_image import LazyImage, open_image

__all__ = [
    "DecodeResizeNormalize",
    "FusedTransform",
    "InexactFusionWarning",
    "LazyImage",
    "fuse",
    "open_image",
    "read_bytes",
]

# These need Pillow, which torchvision brings.
LAZY = {"fuse": ".fusing", "FusedTransform": ".fused", "LazyImage": ".lazy_image", "open_image": ".lazy_image"}


def __getattr__(name: str) -> Any:
    if name in LAZY:
        return getattr(importlib.import_module(LAZY[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
