"""Which tar shards there are, and what their index says of them."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import IO, Any, TypeAlias

from . import places

__all__ = ["ShardList", "ShardPlaces"]

ShardPlace: TypeAlias = str | os.PathLike[str] | IO[bytes] | Callable[[], IO[bytes]]
ShardPlaces: TypeAlias = str | os.PathLike[str] | Sequence[ShardPlace]

ENDINGS = (".tar", ".tar.gz", ".tgz")
INDEX = "index.json"


class ShardList:
    """Shards in order.

    Args:
        shards: a folder; a path or URL, with braces or wildcards to expand; or a list of paths, URLs, open files and
            functions that open one.
        source: the class that asks, for messages.
        options: for fsspec.

    Attributes:
        places: of each shard its path, URL, open file, or what opens it.
        names: how to call each.
        folder: where all of them lie, if that is one place; None for open files.
        samples: how many are in each, by the folder's `index.json`; None without one.
        classes: what labels mean, by the same; None if it does not say.

    Raises:
        FileNotFoundError: there are none.
        ValueError: an `index.json` of another kind.
    """

    def __init__(self, shards: ShardPlaces, source: str, options: dict[str, Any]) -> None:
        self.source = source
        self.options = options
        self.places: list[Any] = places.expanded(shards, source, options)
        self.folder: str | None = None
        if len(self.places) == 1 and places.is_folder(self.places[0]):
            self.folder = self.places[0]
            index = self._index(self.folder)
            if index is None:
                found = places.listing(self.folder, source, options)
                self.places = [place for place in found if place.endswith(ENDINGS)]
            else:
                self.places = [places.joined(self.folder, shard["name"]) for shard in index["shards"]]
        else:
            folders = {places.split(place)[0] if isinstance(place, str) else None for place in self.places}
            self.folder = folders.pop() if len(folders) == 1 else None
            index = None if self.folder is None or places.is_url(self.folder) else self._index(self.folder)
        if not self.places:
            raise FileNotFoundError(f"there are no shards in {shards!r}: {', '.join(ENDINGS)} files")
        self.names = [_name(place, number) for number, place in enumerate(self.places)]
        samples = {} if index is None else {shard["name"]: shard["samples"] for shard in index["shards"]}
        self.samples = [samples[name] for name in self.names] if samples.keys() >= {*self.names} else None
        self.classes: list[str] | None = None if index is None else index.get("classes") or None

    def open(self, number: int) -> AbstractContextManager[IO[bytes]]:
        """A shard, from its beginning; what was opened here is closed in the end.

        Raises:
            Exception: whatever opening it raises.
        """
        place = self.places[number]
        if isinstance(place, str):
            return places.open_binary(place, self.source, self.options)
        if callable(place):
            return contextlib.closing(place())
        if place.seekable():
            place.seek(0)
        return contextlib.nullcontext(place)

    def is_remote(self, number: int) -> bool:
        """Whether a shard is opened by a URL or a function, which may succeed another time."""
        place = self.places[number]
        return places.is_url(place) if isinstance(place, str) else callable(place)

    def _index(self, folder: str) -> dict[str, Any] | None:
        place = places.joined(folder, INDEX)
        try:
            index = json.loads(places.read_text(place, self.source, self.options))
            kind = index["format"], index["version"]
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{place} is no index of shards: {type(error).__name__}: {error}") from error
        if kind != ("tar", 1):
            msg = f"{place} has format {kind[0]!r}, version {kind[1]}; expected 'tar', version 1"
            raise ValueError(msg + ("; make fastpre.data.Parquet(folder)" if kind[0] == "parquet" else ""))
        return index  # type: ignore[no-any-return]


def _name(place: Any, number: int) -> str:
    if isinstance(place, str):
        return places.split(place)[1]
    name = getattr(place, "name", None)
    return os.path.basename(name) if isinstance(name, str) else f"shard {number}"
