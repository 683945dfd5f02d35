"""Training input: workers fetch compressed bytes, the process that wants tensors decodes whole batches.

loader = fastpre.data.Loader(fastpre.data.ImageFolder("train"), spec, batch_size=256, num_workers=4, device="cuda")
for images, labels in loader: ...

Sources, whose samples `Loader`, `collate` and DataLoader take: `ImageFolder`, `Files`, `IndexedShards`, `Columns`,
`Parquet`, `Lmdb` and `Remote` have random access; `Shards`, `Parquet.stream` and `Stream` are iterable.

The way of a batch: `reading` begins an epoch, whose indices `order` gives (or whose place in an iterable dataset
`stream` finds); `source` hands over what workers have read and packed; `decoder` decodes it, in the thread of
`prefetch`; `epoch` counts it as delivered, for `state`, `report` and `stats`; `batches` gives it to the loop.

The way of an error: a source gives an `ImageReadError` for an image that it cannot have, `compressed` carries it (or an
unreadable file) as a value, `decoder` skips or fills the images that failed, `prefetch` keeps what else a worker or the
device raised, and `batches` raises it in its batch's place.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .collate import collate
from .loader import Loader
from .report import BadImage, Report
from .sources.columns import Columns
from .sources.files import Files
from .sources.indexed_shards import IndexedShards
from .sources.lmdb import Lmdb
from .sources.parquet import Parquet, ParquetStream
from .sources.remote import Remote
from .sources.shards import Shards
from .sources.stream import Stream
from .stats import Stats

if TYPE_CHECKING:
    from .folder import IgnoredImagesWarning, ImageFolder

__all__ = [
    "BadImage",
    "Columns",
    "Files",
    "IgnoredImagesWarning",
    "ImageFolder",
    "IndexedShards",
    "Lmdb",
    "Loader",
    "Parquet",
    "ParquetStream",
    "Remote",
    "Report",
    "Shards",
    "Stats",
    "Stream",
    "collate",
]


def __getattr__(name: str) -> Any:
    if name in ("IgnoredImagesWarning", "ImageFolder"):  # import torchvision, which nothing else here needs
        return getattr(importlib.import_module(".folder", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
