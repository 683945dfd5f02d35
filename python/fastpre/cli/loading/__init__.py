"""Parts of `fastpre load`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fastpre import ImageReadError

from ..errors import Unusable
from ..files import Failure, find, list_failures, printable
from . import limits

if TYPE_CHECKING:
    from fastpre.load import LoadImage

__all__ = ["limits", "read_images"]

MOST_BYTES = 1 << 30  # in memory twice: as images, and as the requests that hold them


def read_images(paths: Sequence[str], limit: int) -> list[LoadImage]:
    """The images of the files and folders, `limit` at most, evenly spread."""
    from fastpre.load import LoadImage

    search = find(paths)
    search.say_skipped()
    failures = list(search.failures)
    images: list[LoadImage] = []
    count = min(limit, len(search.files))
    total = 0
    for i in range(count):
        file = search.files[i * len(search.files) // count]
        try:
            with open(file.path, "rb") as stream:
                images.append(LoadImage(file.name, stream.read()))
        except OSError as e:
            failures.append(Failure(file.name, ImageReadError.__name__, f"cannot open: {e.strerror}"))
            continue
        total += len(images[-1].data)
        if total > MOST_BYTES:
            raise Unusable(f"the first {len(images):,} images have more than 1 GiB: set --limit")
    list_failures(failures)
    if not images:
        raise Unusable(f"not one file of {', '.join(map(printable, paths))} can be read")
    return images
