"""LMDB databases with an image for each key."""

from __future__ import annotations

import contextlib
import itertools
import os
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from torch.utils.data import Dataset

from ...errors import ImageReadError
from ..compressed import with_first
from .files import labels_of
from .lost import blank_like
from .named import named
from .optional import needed
from .texts import Texts

__all__ = ["Lmdb"]


class Lmdb(Dataset[Any]):
    """The values of an LMDB database, each a compressed image or what `unpack` makes of it.

    Samples are (image, label), or images alone without labels; or what `unpack` returns.

    Args:
        path: of the database: a folder, or a file.
        labels: one for each key, in the order of `keys`; or a mapping or a function of keys; None: images alone.
        keys: which ones, in which order; None: all, sorted, but for those that begin and end with "__", as "__len__".
        unpack: a function of (key, value) for values that are not images: it returns the sample or the image. The value
            is a read-only memoryview that is valid until the function returns: what it returns must be a copy, as
            `pickle.loads` makes one. It must be importable for workers that are spawned.

    Every process opens the database for itself when it first reads, for reading only and without locks; so nothing may
    write to it meanwhile. A key that is gone, or a value that `unpack` fails on, is the error of that one image, which
    names the key.

    Raises:
        FileNotFoundError: there is no such database.
        TypeError, ValueError: wrong arguments.
        ImportError: lmdb is missing.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        labels: Sequence[Any] | Mapping[str, Any] | Callable[[str], Any] | None = None,
        *,
        keys: Iterable[str | bytes] | None = None,
        unpack: Callable[[str, memoryview], Any] | None = None,
    ) -> None:
        self.path = os.fsdecode(path)
        if not os.path.exists(self.path):
            raise FileNotFoundError(f"there is no LMDB database {self.path!r}")
        self._unpack = unpack
        self._environment: _Environment | None = None
        self.keys: Sequence[str] = Texts(self._listing() if keys is None else map(_text, keys))
        if isinstance(labels, Mapping):
            self.labels: Sequence[Any] | None = [labels[key] for key in self.keys]
        elif callable(labels):
            self.labels = [labels(key) for key in self.keys]
        else:
            self.labels = labels_of("keys", self.keys, labels)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_environment": None}

    def __repr__(self) -> str:
        return f"Lmdb({self.path!r}, {len(self)} keys{'' if self.labels is None else ' with labels'})"

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> Any:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> list[Any]:
        """A batch, in one transaction; how DataLoader fetches."""
        with self._opened().begin(buffers=True) as transaction:
            return [self._sample(transaction, range(len(self))[index]) for index in indices]

    def _sample(self, transaction: Any, index: int) -> Any:
        key = self.keys[index]
        name = f"{os.path.basename(self.path.rstrip('/'))}: {key}"
        value = transaction.get(_bytes(key))
        sample: Any
        if value is None:
            sample = self._lost(transaction, ImageReadError("there is no such key", name=name))
        elif self._unpack is None:
            sample = named(bytes(value), name)  # the memory is the transaction's
        else:
            try:
                sample = self._unpack(key, value)
            except Exception as error:  # of the user's function
                fault = ImageReadError(f"cannot be unpacked: {type(error).__name__}: {error}", name=name)
                sample = self._lost(transaction, fault)
            if isinstance(sample, (tuple, list)) and sample:
                sample = with_first(sample, named(sample[0], name))
            else:
                sample = named(sample, name)
        return sample if self.labels is None else (sample, self.labels[index])

    def _lost(self, transaction: Any, error: ImageReadError) -> Any:
        """The error as a sample, arranged as what `unpack` makes of others."""
        if self._unpack is None or self.labels is not None:
            return error
        for key in itertools.islice(self.keys, 100):
            with contextlib.suppress(Exception):
                model = self._unpack(key, transaction.get(_bytes(key)))
                if isinstance(model, (tuple, list)) and model:
                    return with_first(blank_like(model), error)
                return error
        return error

    def _listing(self) -> list[str]:
        with self._opened().begin() as transaction, transaction.cursor() as cursor:
            return [_text(key) for key in cursor.iternext(keys=True, values=False) if not _is_metadata(key)]

    def _opened(self) -> Any:
        if self._environment is None:
            self._environment = _Environment.of(self.path)
        return self._environment.opened()


class _Environment:
    """An open database. LMDB allows one in a process, and none that was opened before a fork."""

    _all: ClassVar[weakref.WeakValueDictionary[str, _Environment]] = weakref.WeakValueDictionary()

    def __init__(self, path: str) -> None:
        self._path = path
        self._process = 0
        self._opened: Any = None

    @classmethod
    def of(cls, path: str) -> _Environment:
        """The one that all datasets of this process share."""
        path = os.path.realpath(path)
        environment = cls._all.get(path)
        if environment is None:
            environment = cls._all[path] = cls(path)
        return environment

    def opened(self) -> Any:
        """What `lmdb.open` gives, in this process."""
        if self._process != os.getpid():
            if self._opened is not None:
                self._opened.close()  # what the parent has open: the library counts it as this process's too
            self._opened = needed("lmdb", "Lmdb").open(
                self._path, subdir=os.path.isdir(self._path), readonly=True, lock=False, readahead=False, meminit=False
            )
            self._process = os.getpid()
        return self._opened


def _text(key: str | bytes) -> str:
    return key if isinstance(key, str) else key.decode("utf-8", "surrogateescape")


def _bytes(key: str) -> bytes:
    return key.encode("utf-8", "surrogateescape")


def _is_metadata(key: bytes) -> bool:
    return key.startswith(b"__") and key.endswith(b"__")
