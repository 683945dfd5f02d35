"""The bad images that a loader has met."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, overload

from ..errors import ImageError, path_as_text

__all__ = ["BadImage", "Report"]

KEPT = 1000  # entries
SHOWN = 20


class BadImage(NamedTuple):
    """An image that could not be decoded.

    Attributes:
        name: its path, or the key that came with it; None if none is known.
        dataset_index: `loader.dataset[dataset_index]` is the sample; None for iterable datasets.
        epoch: in which it was met first.
        error: the class of its error, such as "CorruptImage".
        reason: what is wrong with it, in words.
        times: how often it was met, once an epoch mostly.
    """

    name: str | None
    dataset_index: Any
    epoch: int
    error: str
    reason: str
    times: int = 1

    def __str__(self) -> str:
        index = "" if self.dataset_index is None else f"dataset index {self.dataset_index}"
        where = ", ".join(part for part in (index, path_as_text(self.name or "")) if part) or "an image"
        again = f", {self.times} times" if self.times > 1 else ""
        return f"epoch {self.epoch}: {where}: {self.error}: {self.reason}{again}"


class Report(Sequence[BadImage]):
    """The bad images of all epochs so far, in the order in which they were met; as text, a table of the first 20.

    An image that fails in several epochs is one entry, where its index or name is known. The first 1000 entries are
    kept; the counts go on.

    Attributes:
        counts: failures by the class of their error, those of images that are met again included.
    """

    def __init__(self) -> None:
        self._entries: list[BadImage] = []
        self._rows: dict[Any, int] = {}  # by index and name
        self.counts: collections.Counter[str] = collections.Counter()

    @property
    def total(self) -> int:
        """All failures."""
        return self.counts.total()

    def clear(self) -> None:
        """Forgets all of them."""
        self._entries.clear()
        self._rows.clear()
        self.counts.clear()

    @overload
    def __getitem__(self, index: int) -> BadImage: ...
    @overload
    def __getitem__(self, index: slice) -> list[BadImage]: ...
    def __getitem__(self, index: int | slice) -> BadImage | list[BadImage]:
        return self._entries[index]

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"Report({len(self)} bad images, {self.total} failures)"

    def __str__(self) -> str:
        if not self.total:
            return "no bad images"
        kinds = ", ".join(f"{count:,} {error}" for error, count in self.counts.most_common())
        lines = [f"{self.total:,} failures: {kinds}", *(f"  {entry}" for entry in self._entries[:SHOWN])]
        left = len(self) - SHOWN
        if left > 0:
            lines.append(f"  and {left:,} more: see the report's entries")
        return "\n".join(lines)

    def add(self, errors: Iterable[ImageError], epoch: int) -> None:
        """What was wrong with a batch's images."""
        for error in errors:
            kind = type(error).__name__
            self.counts[kind] += 1
            key = (repr(error.dataset_index), error.name)
            row = self._rows.get(key)
            if row is not None:
                self._entries[row] = self._entries[row]._replace(times=self._entries[row].times + 1)
            elif len(self._entries) < KEPT:
                if key != ("None", None):
                    self._rows[key] = len(self._entries)
                self._entries.append(BadImage(error.name, error.dataset_index, epoch, kind, error.reason))
