"""Many strings in little memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

import numpy as np

__all__ = ["Texts"]


class Texts(Sequence[str]):
    """A sequence of strings in two buffers.

    A list of ten million paths is ten million objects, whose reference counts a forked worker changes as it looks at
    them; so each worker would end up with a copy of them all. A buffer stays shared.

    Args:
        texts: strings and paths; any file name comes back as it was, also one that is no UTF-8.
    """

    def __init__(self, texts: Iterable[str | os.PathLike[str]] = ()) -> None:
        encoded = [os.fsdecode(text).encode("utf-8", "surrogateescape") for text in texts]
        self._bytes = b"".join(encoded)
        self._ends = np.cumsum([len(text) for text in encoded], dtype=np.int64)

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int) -> str:  # type: ignore[override]  # no slices
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} of {len(self)}")
        index %= len(self)
        begin = self._ends[index - 1] if index else 0
        return self._bytes[begin : self._ends[index]].decode("utf-8", "surrogateescape")
