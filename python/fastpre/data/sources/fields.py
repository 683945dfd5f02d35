"""Which files of a shard's samples are wanted, and what becomes of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Final

from ...errors import ImageReadError
from .lost import LOST, LOST_LABEL
from .tar import Entry

__all__ = ["DEFAULT_FIELDS", "Fields"]

DEFAULT_FIELDS: Final = ("jpg;jpeg", "cls")


def _number(data: bytes) -> int:
    return int(data.decode("ascii", "replace"))


def _text(data: bytes) -> str:
    return data.decode("utf-8")


def _bytes(data: bytes) -> bytes:
    return data


# By the last part of an ending, as WebDataset; what each gives, and what stands for it in a sample that was lost.
KINDS: dict[str, tuple[Callable[[bytes], Any], Any]] = {
    **dict.fromkeys(("cls", "cls2", "class", "count", "index", "inx", "id"), (_number, LOST_LABEL)),
    **dict.fromkeys(("txt", "text", "transcript"), (_text, "")),
    **dict.fromkeys(("json", "jsn"), (json.loads, LOST)),
}
OF_THE_SAMPLE: Final = ("__key__", "__url__")


class Fields:
    """The fields of samples: an image, and what follows it.

    Args:
        fields: for each field the endings of its file, the first that a sample has counts: "jpg;jpeg". The first field
            is the image. Of the others "cls" gives an int, "json" what it holds, "txt" a str, other endings bytes;
            "__key__" and "__url__" give the sample's key and its shard's name.

    Raises:
        TypeError, ValueError: they are no such sequence, or there are none.
    """

    def __init__(self, fields: Sequence[str]) -> None:
        if isinstance(fields, str) or not all(isinstance(field, str) for field in fields):
            raise TypeError(f"fields must be a tuple of endings such as {DEFAULT_FIELDS}, got {fields!r}")
        self.fields = tuple(fields)
        self._endings = [[end.lower().lstrip(".") for end in field.replace(";", " ").split()] for field in fields]
        if not self._endings or not all(self._endings):
            raise ValueError(f"fields must be endings such as {DEFAULT_FIELDS}, got {self.fields}")
        self._wanted = frozenset(ending for endings in self._endings for ending in endings)

    def wants(self, ending: str) -> bool:
        """Whether a file with this ending is in a field."""
        return ending in self._wanted

    def complete(self, entry: Entry) -> bool:
        """Whether nothing is missing."""
        return all(self._find(endings, entry) is not None for endings in self._endings)

    def sample(self, entry: Entry, shard: str) -> Any:
        """(image, *targets), or the image alone if it is the only field.

        Where something is wrong with any of them the image is an `ImageReadError`.
        """
        name = f"{shard}: {entry.key}"
        found = [self._find(endings, entry) for endings in self._endings]
        missing = [field for field, ending in zip(self.fields, found, strict=True) if ending is None]
        if missing or entry.doubled:
            return self.lost(name, _fault(missing, entry))
        targets = []
        for ending in found[1:]:
            assert ending is not None
            try:
                targets.append(self._target(ending, entry, shard))
            except (ValueError, RecursionError) as error:
                return self.lost(name, f"its .{ending} cannot be read: {error}")
        assert found[0] is not None
        image = {"bytes": entry.files[found[0]], "path": name}
        return (image, *targets) if targets else image

    def lost(self, name: str, reason: str) -> Any:
        """A sample that could not be had."""
        error = ImageReadError(reason, name=name)
        blanks = [_kind(endings[0])[1] for endings in self._endings[1:]]
        return (error, *blanks) if blanks else error

    def _find(self, endings: list[str], entry: Entry) -> str | None:
        return next((e for e in endings if e in entry.files or e in OF_THE_SAMPLE), None)

    def _target(self, ending: str, entry: Entry, shard: str) -> Any:
        if ending in OF_THE_SAMPLE:
            return entry.key if ending == "__key__" else shard
        return _kind(ending)[0](entry.files[ending])


def _kind(ending: str) -> tuple[Callable[[bytes], Any], Any]:
    if ending in OF_THE_SAMPLE:
        return _text, ""
    return KINDS.get(ending.rpartition(".")[2], (_bytes, b""))


def _fault(missing: list[str], entry: Entry) -> str:
    if entry.doubled:
        return f"it has two .{entry.doubled[0]} files"
    endings = ", ".join(f".{ending}" for ending in sorted([*entry.files, *entry.others]))
    return f"it has no {' and no '.join('.' + field for field in missing)} file, only {endings or 'none'}"
