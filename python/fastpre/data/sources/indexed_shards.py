"""Tar shards with an index: any sample at any time."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from . import places
from .fetch import Fetcher, Part
from .local_parts import LocalParts
from .reader_threads import Outcome
from .remote import read_image
from .shard_list import ShardList, ShardPlaces
from .texts import Texts

__all__ = ["IndexedShards"]


class IndexedShards(Dataset[Any]):
    """The samples of tar shards that have an index, as `fastpre pack` writes one, in any order.

    So DataLoader's `shuffle=True` and `DistributedSampler` shuffle all of them, and nothing is read but the images.
    Samples are (image, label), or images alone where the index has no labels. Local shards are read with `pread`; of
    remote ones a batch's images are read side by side, as `Remote` does.

    Args:
        shards: a folder with an `index.json`; or what `Shards` takes, but for open files and functions.
        concurrency, timeout_s, retries, backoff_s, storage_options: for URLs, as in `Remote`.

    Attributes:
        classes: what the labels mean; None if the index does not say.
        labels: of all samples, in order; None if the index has none.

    An image that cannot be read, of a shard that was cut off or is gone, is the error of that one image, which names
    shard and key.

    Raises:
        FileNotFoundError: there are no such shards, or one has no index.
        ValueError: an index of another kind.
        ImportError: fsspec or braceexpand is needed and missing.
    """

    def __init__(
        self,
        shards: ShardPlaces,
        *,
        concurrency: int = 32,
        timeout_s: float = 30.0,
        retries: int = 3,
        backoff_s: float = 0.5,
        storage_options: dict[str, Any] | None = None,
    ) -> None:
        self._list = ShardList(shards, "IndexedShards", storage_options or {})
        self._fetcher = Fetcher(
            "IndexedShards",
            concurrency=concurrency,
            timeout_s=timeout_s,
            retries=retries,
            backoff_s=backoff_s,
            options=storage_options,
        )
        self._local = LocalParts()
        tables = self._tables()
        self.keys: Sequence[str] = Texts(key for table in tables for key in table["keys"])
        self._begins = np.concatenate([np.asarray(table["offsets"], np.int64) for table in tables])
        self._sizes = np.concatenate([np.asarray(table["sizes"], np.int64) for table in tables])
        self._ends = np.cumsum([len(table["keys"]) for table in tables])  # by shard, of its samples
        self.labels = _labels(tables)

    def __repr__(self) -> str:
        where = "" if self._list.folder is None else f"{self._list.folder!r}, "
        return f"IndexedShards({where}{len(self._list.places)} shards, {len(self)} samples)"

    @property
    def classes(self) -> list[str] | None:
        """See the class."""
        return self._list.classes

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> Any:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> list[Any]:
        """A batch; how DataLoader fetches."""
        numbers = [range(len(self))[index] for index in indices]
        images = self._images(numbers)
        if self.labels is None:
            return [images[number] for number in numbers]
        return [(images[number], self.labels[number]) for number in numbers]

    def _images(self, numbers: list[int]) -> dict[int, Any]:
        outcomes: dict[int, Outcome] = {}
        remote: dict[int, Part] = {}
        for number in sorted(numbers):  # as they lie on the disk
            place = self._list.places[self._shard(number)]
            begin, size = int(self._begins[number]), int(self._sizes[number])
            if places.is_url(place):
                remote[number] = Part(place, begin, begin + size)
                continue
            try:
                outcomes[number] = self._local.read(place, begin, size)
            except (OSError, EOFError) as error:
                outcomes[number] = error
        outcomes.update(zip(remote, self._fetcher.fetch([*remote.values()]), strict=True) if remote else ())
        return {number: self._image(number, outcome) for number, outcome in outcomes.items()}

    def _image(self, number: int, outcome: Outcome) -> Any:
        if isinstance(outcome, bytes) and len(outcome) < self._sizes[number]:  # as some storages answer
            outcome = EOFError(f"the shard ends after {len(outcome)} of the image's {self._sizes[number]} bytes")
        return read_image(outcome, f"{self._list.names[self._shard(number)]}: {self.keys[number]}")

    def _shard(self, number: int) -> int:
        return int(np.searchsorted(self._ends, number, side="right"))

    def _tables(self) -> list[dict[str, Any]]:
        """What the index says of each shard's samples.

        Raises:
            FileNotFoundError: a shard has no index.
            ValueError: it is of another kind.
            Exception: whatever a remote storage raises in the end.
        """
        for place, name in zip(self._list.places, self._list.names, strict=True):
            if not isinstance(place, str):
                raise ValueError(f"{name}: open files and functions have no index; give paths or URLs")
        indices = [f"{place.removesuffix('.tar')}.idx.json" for place in self._list.places]
        remote = [index for index in indices if places.is_url(index)]
        fetched = (
            dict(zip(remote, self._fetcher.fetch([Part(index) for index in remote]), strict=True)) if remote else {}
        )
        return [_table(index, fetched.get(index)) for index in indices]


def _table(place: str, outcome: Outcome | None) -> dict[str, Any]:
    """A shard's index, which may have been read."""
    try:
        if isinstance(outcome, Exception):
            raise outcome
        text = pathlib.Path(place).read_bytes() if outcome is None else outcome
    except FileNotFoundError as error:
        msg = f"there is no index {place}, which `fastpre pack` writes beside a shard; without one, read it with Shards"
        raise FileNotFoundError(msg) from error
    try:
        table: dict[str, Any] = json.loads(text)
        counts = {len(table[column]) for column in ("keys", "offsets", "sizes")}
        counts.add(len(table.get("labels") or table["keys"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{place} is no index of a shard: {type(error).__name__}: {error}") from error
    if len(counts) > 1:
        raise ValueError(f"{place} is no index of a shard: it has not as many sizes, offsets and labels as keys")
    return table


def _labels(tables: list[dict[str, Any]]) -> Sequence[Any] | None:
    """Of all samples, where the index has them."""
    if not all(table.get("labels") for table in tables if table["keys"]):
        return None
    return [label for table in tables for label in table["labels"] or ()]
