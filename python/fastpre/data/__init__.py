"""Training input: workers fetch compressed bytes, the process that wants tensors decodes whole batches.

loader = fastpre.data.Loader(fastpre.data.ImageFolder("train"), spec, batch_size=256, num_workers=4, device="cuda")
for images, labels in loader: ...

The way of an error: `compressed` carries an unreadable file as a value, `decoder` skips or fills the images that
failed, `prefetch` keeps what else a worker or the device raised, and `batches` raises it in its batch's place.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .collate import collate
from .loader import Loader

if TYPE_CHECKING:
    from .folder import IgnoredImagesWarning, ImageFolder

__all__ = ["IgnoredImagesWarning", "ImageFolder", "Loader", "collate"]


def __getattr__(name: str) -> Any:
    if name in ("IgnoredImagesWarning", "ImageFolder"):  # import torchvision, which nothing else here needs
        return getattr(importlib.import_module(".folder", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
