"""Tar shards as WebDataset writes them, read from their beginning to their end."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from typing import Any

from . import tar
from .fields import DEFAULT_FIELDS, Fields
from .indexed_shards import IndexedShards
from .pieces import Pieces
from .retry import Retries
from .shard_list import ShardList, ShardPlaces

__all__ = ["Shards"]


class Shards(Pieces):
    """The samples of tar shards, one shard after the other.

    Every rank and every DataLoader worker reads shards of its own. Samples are (image, *targets), or images alone.

    Args:
        shards: a folder; a path or URL (fsspec's: `s3://`, `https://`, ...), in which braces and wildcards are
            expanded, "train-{000..146}.tar"; or a list of paths, URLs, open files and functions that open one.
        fields: the endings of a sample's files: of its image, then of its targets. "a;b": whichever there is. "cls"
            gives an int, "json" what it holds, "txt" a str, others bytes; "__key__" the sample's key, "__url__" its
            shard.
        shuffle: samples that a shuffle buffer holds (True: 1000); shards are shuffled too. False: all in order. Where
            there is an index, `indexed()` and DataLoader's shuffle mix better and hold nothing.
        seed: the order is one of `seed` and of the epoch that `set_epoch` sets. None: without `set_epoch` it is drawn
            from torch's generators for every iteration, as with `DataLoader(shuffle=True)`.
        rank, world_size: None: those of `torch.distributed`, if it is initialised.
        retries, backoff_s: a URL or a function whose reading fails is opened again, and read up to where it was; as in
            `Remote`.
        storage_options: what fsspec needs to open URLs.

    Attributes:
        classes: what the labels mean, if the shards have an index that says so; else None.

    A shard that cannot be opened or read on gives the samples before that point, then one `ImageReadError` in place of
    the others, which names the shard; so does one that holds fewer samples than its index says. A sample without one
    of the fields, or with two files of the same ending, is its own error, which names shard and key. The targets of
    such errors are -100 (what torch's losses ignore), empty, or made like their neighbours'.

    Raises:
        FileNotFoundError: there are no such shards.
        TypeError, ValueError: wrong arguments; an `index.json` of another kind.
        ImportError: fsspec or braceexpand is needed and missing.
    """

    _unit = "shards"

    def __init__(
        self,
        shards: ShardPlaces,
        fields: Sequence[str] = DEFAULT_FIELDS,
        *,
        shuffle: bool | int = False,
        seed: int | None = None,
        rank: int | None = None,
        world_size: int | None = None,
        retries: int = 3,
        backoff_s: float = 0.5,
        storage_options: dict[str, Any] | None = None,
    ) -> None:
        self._list = ShardList(shards, "Shards", storage_options or {})
        self._fields = Fields(fields)
        self._retries = Retries.checked(retries, backoff_s)
        super().__init__(len(self._list.places), shuffle=shuffle, seed=seed, rank=rank, world_size=world_size)

    def __repr__(self) -> str:
        known = "" if self._list.samples is None else f", {sum(self._list.samples)} samples"
        where = "" if self._list.folder is None else f"{self._list.folder!r}, "
        return f"Shards({where}{self._count} shards{known}, fields={self._fields.fields}, shuffle={self._buffer_size})"

    @property
    def classes(self) -> list[str] | None:
        """See the class."""
        return self._list.classes

    def __len__(self) -> int:
        """Samples of this rank in an epoch.

        Raises:
            TypeError: there is no index that would tell.
        """
        if self._list.samples is None:
            raise TypeError("shards without an index.json have no length; it is known once they are read")
        return sum(self._list.samples[piece] for piece in self._of_this_rank())

    def indexed(self) -> IndexedShards:
        """The same shards by their index, for all ranks: any sample at any time, so that samplers shuffle all of them.

        Raises:
            FileNotFoundError: a shard has no index.
            ValueError: fields that are not in an index.
        """
        targets = self._fields.fields[1:]
        if targets not in ((), ("cls",)):
            raise ValueError(f"an index has images and their labels, as of fields=('jpg', 'cls'), and not {targets}")
        view = IndexedShards(self._list.places, storage_options=self._list.options)
        view.labels = view.labels if targets else None
        return view

    def _read(self, piece: int) -> Iterator[Any]:
        count = 0
        for attempt in itertools.count():
            cause: BaseException | None = None
            fault = ""
            try:
                for entry in itertools.islice(self._entries(piece), count, None):
                    count += 1
                    yield self._fields.sample(entry, self._list.names[piece])
            except tar.DamagedShard as error:
                cause, fault = error.__cause__, f"{error}; {count} samples were read"
            except Exception as error:  # of a file system, a network, the user's function
                cause, fault = error, f"cannot be opened: {type(error).__name__}: {error}"
            pause_s = self._pause_s(piece, attempt, cause)
            if pause_s is None:
                break
            time.sleep(pause_s)
        expected = 0 if self._list.samples is None else self._list.samples[piece]
        if not fault and count < expected:
            fault = f"it has {count} samples, and {expected} by its index"
        if fault:
            yield self._lost(piece, fault)

    def _entries(self, piece: int) -> Iterator[tar.Entry]:
        with self._list.open(piece) as stream:
            yield from tar.entries(stream, self._fields.wants, self._fields.complete)

    def _pause_s(self, piece: int, attempt: int, cause: BaseException | None) -> float | None:
        """Seconds until a shard is opened again; None: it is not, because it is local, whole, or damaged itself."""
        if cause is None or isinstance(cause, tar.DAMAGE) or not self._list.is_remote(piece):
            return None
        return self._retries.pause_s(attempt, cause)

    def _lost(self, piece: int, reason: str) -> Any:
        return self._fields.lost(self._list.names[piece], reason)
