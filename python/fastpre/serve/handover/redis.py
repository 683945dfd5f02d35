"""The model in processes of its own, which get batches from a Redis stream and push outputs to lists.

One stream with one consumer group, whose consumers are the workers: a batch goes to whichever is free. What a worker
had when it ended stays pending in the group; it is claimed, and its requester told. The stream has an expiry time that
is put off while this process lives, so that it does not outlive a process that was killed for long.
"""

from __future__ import annotations

import contextlib
import logging
import struct
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ..model import Model
from . import WorkerDied
from .broker import Broker, end_with, failed, new_name, place, reply_to
from .channel import Channel
from .options import Options

if TYPE_CHECKING:
    import redis

__all__ = ["RedisStreams"]

log = logging.getLogger("fastpre.serve")

LEASE_S = 60
WATCH_S = 0.5
CONNECT_S = 5.0
BLOCK_S = 1.0  # longest of a blocking command: a connection that hangs is noticed after CONNECT_S more
NUMBER = struct.Struct("<Q")


class Names(NamedTuple):
    """The keys of one handover."""

    stream: str
    group: str

    def replies(self, instance: int) -> str:
        """The list that an instance waits at."""
        return f"{self.stream}:{instance}"


def connected_client(url: str) -> redis.Redis:
    """A client that does not repeat commands by itself: a batch would be run twice, or a reply be lost."""
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return redis.Redis.from_url(
        url,
        protocol=2,
        socket_connect_timeout=CONNECT_S,
        socket_timeout=BLOCK_S + CONNECT_S,
        retry=Retry(NoBackoff(), 0),
    )


class RedisStreams(Broker):
    """Worker processes, one for each instance, behind `redis://host:port/database`."""

    def __init__(
        self, url: str, factory: Callable[[], Model], *, instances: int = 1, options: Options | None = None
    ) -> None:
        options = options or Options()
        self._url = url
        self._names = Names(new_name(), "workers")
        # As many as can be in it; older ones, which nothing waits for, are trimmed.
        self._most = 2 * instances
        self._client: redis.Redis | None = None
        self._connected = False
        self._closing = threading.Event()
        self._waiting = [threading.Lock() for _ in range(instances)]
        self._watcher = threading.Thread(target=self._watch, name="fastpre-redis", daemon=True)
        transports = [RedisTransport(url, self._names, i, options.max_output_bytes) for i in range(instances)]
        super().__init__(factory, transports, options)

    @property
    def connected(self) -> bool:
        """True if the server answered last."""
        return self._connected

    def connect(self) -> None:
        """Makes the stream and its group.

        Raises:
            WorkerDied: the server is away, or refuses.
        """
        import redis

        self._client = connected_client(self._url)
        try:
            make_group(self._client, self._names)
        except redis.RedisError as error:
            raise WorkerDied(f"Redis at {place(self._url)}: {error}") from error
        self._connected = True
        self._watcher.start()

    def exchange(self, number: int, header: bytes, elements: memoryview, instance: int) -> bytes | memoryview:
        """Adds a batch to the stream and waits at the instance's list."""
        import redis

        try:
            with self._waiting[instance]:
                return self._exchange(number, header, elements, self._names.replies(instance))
        except redis.RedisError as error:
            if isinstance(error, (redis.ConnectionError, redis.TimeoutError)):
                self._connected = False
            raise WorkerDied(f"Redis at {place(self._url)}: {error}") from error

    def _exchange(self, number: int, header: bytes, elements: memoryview, replies: str) -> memoryview:
        client = self._client
        if client is None or not self._connected:
            raise WorkerDied(f"Redis at {place(self._url)} is away")
        deadline = time.monotonic() + self.options.timeout_s
        request: dict[Any, Any] = {b"to": replies, b"number": NUMBER.pack(number), b"header": header}
        request[b"elements"] = elements
        entry = client.xadd(self._names.stream, request, maxlen=self._most, approximate=False)
        while (remaining_s := deadline - time.monotonic()) > 0:
            if self._closing.is_set():
                raise WorkerDied("the handover is closed")
            found: Any = client.blpop([replies], timeout=max(0.01, min(BLOCK_S, remaining_s)))
            # An older number: a reply that came after its requester had given up.
            if found is not None and NUMBER.unpack_from(found[1])[0] == number:
                return memoryview(found[1])[NUMBER.size :]
        raise WorkerDied(f"{self._withdraw(client, entry)} within {self.options.timeout_s:g} s")

    def _withdraw(self, client: redis.Redis, entry: bytes | str) -> str:
        """Takes a batch back that took too long, and kills the worker that has it."""
        pending: Any = client.xpending_range(self._names.stream, self._names.group, entry, entry, 1)
        client.xack(self._names.stream, self._names.group, entry)
        client.xdel(self._names.stream, entry)
        if not pending:
            return "no worker took the batch"
        number = int(pending[0]["consumer"])
        with contextlib.suppress(WorkerDied):
            self.workers.lose(number, self.workers.get(number), kill=True)
        return f"worker {number} was killed: it did not answer"

    def worker_ended(self, number: int, end: str) -> None:
        """Answers for it."""
        import redis

        if self._client is not None:
            try:
                answer_for(self._client, self._names, number, f"worker {number} {end}")
            except redis.RedisError as error:  # the next worker does it when it is there
                log.warning("Redis at %s: %s", place(self._url), error)

    def _watch(self) -> None:
        """Puts the expiry off, and notices when the server comes back, with or without what it had."""
        import redis

        client = connected_client(self._url)
        while not self._closing.wait(WATCH_S):
            try:
                if not client.expire(self._names.stream, LEASE_S):
                    make_group(client, self._names)
            except redis.RedisError as error:
                if self._connected and not self._closing.is_set():
                    log.warning("Redis at %s: %s", place(self._url), error)
                self._connected = False
            else:
                if not self._connected:
                    log.warning("Redis at %s answers again", place(self._url))
                self._connected = True
        client.close()

    def disconnect(self) -> None:
        """Removes the stream and the lists, if the server is there."""
        import redis

        self._closing.set()
        if self._watcher.ident is not None:
            self._watcher.join()
        self._connected = False
        for waiting in self._waiting:  # they give up within `BLOCK_S`; closing a connection in use is no way to end it
            with waiting:
                pass
        client, self._client = self._client, None
        if client is not None:
            keys = [self._names.stream, *(self._names.replies(instance) for instance in range(self.instances))]
            with contextlib.suppress(redis.RedisError):
                client.delete(*keys)
            client.close()


def make_group(client: redis.Redis, names: Names) -> None:
    """Makes the stream and its group, unless they are there."""
    import redis

    try:
        client.xgroup_create(names.stream, names.group, id="0", mkstream=True)
    except redis.ResponseError as error:
        if not str(error).startswith("BUSYGROUP"):
            raise
    client.expire(names.stream, LEASE_S)


def answer_for(client: redis.Redis, names: Names, number: int, end: str) -> None:
    """Claims the batches that a worker took and did not answer, and tells those who wait for them."""
    pending: Any = client.xpending_range(names.stream, names.group, "-", "+", 16, consumername=str(number))
    if not pending:
        return
    entries = [each["message_id"] for each in pending]
    claimed: Any = client.xclaim(names.stream, names.group, str(number), 0, entries)
    for entry, request in claimed:
        if request:  # it may have been withdrawn meanwhile
            reply(client, names, entry, request, failed(end))


def reply(client: redis.Redis, names: Names, entry: Any, request: Mapping[bytes, bytes], answer: bytes) -> None:
    """Pushes an answer to where its requester waits, and takes the batch off the stream."""
    with client.pipeline(transaction=True) as together:
        together.rpush(request[b"to"], request[b"number"] + answer)
        together.expire(request[b"to"], LEASE_S)
        together.xack(names.stream, names.group, entry)
        together.xdel(names.stream, entry)
        together.execute()


class RedisTransport:
    """The worker's side."""

    def __init__(self, url: str, names: Names, number: int, max_output_bytes: int) -> None:
        self._url = url
        self._names = names
        self._number = number
        self._max_output_bytes = max_output_bytes

    def connect(self, model: Model, channel: Channel) -> Callable[[], None]:
        """Waits for the server, if it is away just now; the start's time is the bound."""
        end_with(channel)
        client = connected_client(self._url)
        self._persistently(lambda: client.ping())
        return lambda: self._persistently(lambda: self._serve(client, model))

    def _persistently(self, call: Callable[[], object]) -> None:
        """Until it has been done: the server may go away and come back, empty as well."""
        import redis

        while True:
            try:
                call()
                return
            except (redis.ConnectionError, redis.TimeoutError):
                time.sleep(0.2)
            except redis.ResponseError as error:
                if not str(error).startswith("NOGROUP"):
                    raise
                time.sleep(0.05)  # the other side makes it anew

    def _serve(self, client: redis.Redis, model: Model) -> None:
        # Given to a worker of this number, and not answered.
        answer_for(client, self._names, self._number, f"worker {self._number} has ended, or lost its connection")
        wanted: dict[Any, Any] = {self._names.stream: ">"}
        block_ms = int(1000 * BLOCK_S)
        while True:
            found: Any = client.xreadgroup(self._names.group, str(self._number), wanted, count=1, block=block_ms)
            for _, entries in found or ():
                for entry, request in entries:
                    answer = reply_to(model, request[b"header"], request[b"elements"], self._max_output_bytes)
                    reply(client, self._names, entry, request, answer)
