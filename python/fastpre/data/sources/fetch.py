"""Overlapped reads of remote objects through fsspec, each with its own timeout and retries."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..._backend.arguments import integer
from .optional import needed
from .reader_threads import Outcome, ReaderThreads, no_answer
from .retry import Retries

__all__ = ["Fetcher", "Part"]


class Part(NamedTuple):
    """What to read: an object, or its bytes from `begin` to `end`."""

    url: str
    begin: int | None = None
    end: int | None = None


class Fetcher:
    """Reads many objects at once: in fsspec's event loop where a file system is asynchronous, else in threads.

    It holds nothing of a process: it may be pickled, and a process that has used it may fork.

    Args:
        source: the class that asks, for messages.
        concurrency: reads under way at once.
        timeout_s: for each attempt.
        retries: attempts after the first one.
        backoff_s: see `Retries`.
        options: for fsspec.

    Raises:
        TypeError, ValueError: wrong arguments.
    """

    def __init__(
        self,
        source: str,
        *,
        concurrency: int,
        timeout_s: float,
        retries: int,
        backoff_s: float,
        options: dict[str, Any] | None,
    ) -> None:
        if not timeout_s > 0:
            raise ValueError(f"timeout_s must be above 0, got {timeout_s}")
        self._source = source
        self._concurrency = integer("concurrency", concurrency)
        self._timeout_s = timeout_s
        self._retries = Retries.checked(retries, backoff_s)
        self._options = options or {}

    def check(self, url: str) -> None:
        """Whether fsspec can open such URLs, without opening one.

        Raises:
            ImportError: fsspec, or what it needs for them, is missing.
            ValueError: there is no such protocol.
        """
        get_class = needed("fsspec", self._source).get_filesystem_class
        for link in url.split("::"):  # "simplecache::s3://bucket/name" is a chain of two
            get_class(link.partition("://")[0] if "://" in link or "::" in url else None)

    def fetch(self, parts: Sequence[Part]) -> list[Outcome]:
        """What was read, or why it was not, in the order of `parts`."""
        url_to_fs = needed("fsspec.core", self._source).url_to_fs
        outcomes: dict[int, Outcome] = {}
        awaited: dict[Any, dict[int, Any]] = {}  # by event loop
        blocking: dict[int, Callable[[], bytes]] = {}
        for number, part in enumerate(parts):
            try:
                fs, path = url_to_fs(part.url, **self._options)
            except Exception as error:  # of credentials, say
                outcomes[number] = error
                continue
            where = {} if part.begin is None else {"start": part.begin, "end": part.end}
            if fs.async_impl:
                read = functools.partial(fs._cat_file, path, **where)
                awaited.setdefault(fs.loop, {})[number] = read
            else:
                blocking[number] = functools.partial(fs.cat_file, path, **where)
        futures = [asyncio.run_coroutine_threadsafe(self._side_by_side(reads), loop) for loop, reads in awaited.items()]
        try:
            if blocking:
                threads = ReaderThreads([*blocking.values()], self._concurrency, self._timeout_s, self._retries)
                outcomes.update(zip(blocking, threads.run(), strict=True))
            for future in futures:
                outcomes.update(future.result())
        finally:
            for future in futures:
                future.cancel()  # after Ctrl-C; else they are done
        return [outcomes[number] for number in range(len(parts))]

    async def _side_by_side(self, reads: dict[int, Any]) -> dict[int, Outcome]:
        limit = asyncio.Semaphore(self._concurrency)
        return dict(zip(reads, await asyncio.gather(*(self._read(r, limit) for r in reads.values())), strict=True))

    async def _read(self, read: Any, limit: asyncio.Semaphore) -> Outcome:
        attempt = 0
        while True:
            try:
                async with limit:
                    data: bytes = await asyncio.wait_for(read(), self._timeout_s)
                return data
            except asyncio.TimeoutError:
                error: Exception = no_answer(self._timeout_s)
            except Exception as caught:
                error = caught
            pause_s = self._retries.pause_s(attempt, error)
            if pause_s is None:
                return error
            attempt += 1
            await asyncio.sleep(pause_s)
