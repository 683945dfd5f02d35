"""Objects in remote storage, many of them read at once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

from torch.utils.data import Dataset

from ...errors import ImageReadError
from .fetch import Fetcher, Part
from .files import labels_of
from .reader_threads import Outcome
from .texts import Texts

__all__ = ["Remote", "read_image"]


class Remote(Dataset[Any]):
    """Images by URL, whatever fsspec opens: `s3://`, `gs://`, `https://`, `hf://`, ...

    DataLoader and `Loader` ask for a batch at once, and its objects are read side by side; workers overlap batches.
    Samples are (image, label), or images alone without labels. An object that cannot be had in the end is the error of
    that one image, which names its URL and costs none of the others.

    Args:
        urls: of the objects.
        labels: one for each URL, of any kind that `default_collate` takes; None: images alone.
        concurrency: reads under way at once, in each worker.
        timeout_s: for one attempt to read an object.
        retries: further attempts; there are none where an object is missing or access is denied.
        backoff_s: the longest pause before the second attempt; it doubles for each that follows (up to 30 s), and is
            drawn at random below that.
        storage_options: what fsspec needs to open the URLs.

    Raises:
        TypeError, ValueError: wrong arguments, or a protocol that fsspec does not know.
        ImportError: fsspec, or what it needs for the first URL's protocol, is missing.
    """

    def __init__(
        self,
        urls: Iterable[str],
        labels: Sequence[Any] | None = None,
        *,
        concurrency: int = 32,
        timeout_s: float = 30.0,
        retries: int = 3,
        backoff_s: float = 0.5,
        storage_options: dict[str, Any] | None = None,
    ) -> None:
        if isinstance(urls, (str, bytes, os.PathLike)):
            raise TypeError(f"urls must be a list of URLs, got the {type(urls).__name__} {os.fsdecode(urls)!r}")
        self.urls: Sequence[str] = Texts(urls)
        self.labels = labels_of("urls", self.urls, labels)
        self._fetcher = Fetcher(
            "Remote",
            concurrency=concurrency,
            timeout_s=timeout_s,
            retries=retries,
            backoff_s=backoff_s,
            options=storage_options,
        )
        if self.urls:
            self._fetcher.check(self.urls[0])

    def __repr__(self) -> str:
        return f"Remote({len(self)} URLs{'' if self.labels is None else ' with labels'})"

    def __len__(self) -> int:
        return len(self.urls)

    def __getitem__(self, index: int) -> Any:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> list[Any]:
        """A batch; how DataLoader fetches."""
        urls = [self.urls[index] for index in indices]
        outcomes = self._fetcher.fetch([Part(url) for url in urls])
        images = [read_image(outcome, url) for outcome, url in zip(outcomes, urls, strict=True)]
        if self.labels is None:
            return images
        return [(image, self.labels[index]) for image, index in zip(images, indices, strict=True)]


def read_image(outcome: Outcome, name: str) -> Any:
    """What was read as an image that has a name, or as the error of that image."""
    if isinstance(outcome, Exception):
        return ImageReadError(f"cannot read: {type(outcome).__name__}: {outcome}", name=name)
    return {"bytes": outcome, "path": name}
