"""Training input: workers fetch compressed bytes, the process that wants tensors decodes whole batches.

loader = fastpre.data.Loader(fastpre.data.ImageFolder("train"), spec, batch_size=256, num_workers=4, device="cuda")
for images, labels in loader: ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .collate import collate
from .loader import Loader

if TYPE_CHECKING:
    from .folder import ImageFolder

__all__ = ["ImageFolder", "Loader", "collate"]


def __getattr__(name: str) -> Any:
    if name == "ImageFolder":  # imports torchvision, which nothing else here needs
        from .folder import ImageFolder

        return ImageFolder
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
