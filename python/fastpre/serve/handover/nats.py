"""The model in processes of its own, which answer requests by NATS.

Plain NATS, which stores nothing: what is lost with a worker or with the server is reported to the engine, which knows
whether to send it again, so that JetStream's storage would only cost time. Each worker has a subject of its own. A
server takes messages of at most `max_payload` bytes (1 MiB unless it is configured), so that batches and outputs are
sent in parts of that size; NATS keeps their order, and any lost part is a batch that is not answered in time. What the
server has to buffer for a worker is a batch, which should be less than its `max_pending` (64 MiB).
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import struct
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from ..model import Model
from . import WorkerDied
from .broker import Broker, end_with, new_name, place, reply_to
from .channel import Channel
from .options import Options
from .tensors import BATCH_HEADER_BYTES

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg

__all__ = ["Nats"]

log = logging.getLogger("fastpre.serve")

T = TypeVar("T")
PART = struct.Struct("<QII")  # number of the request, of the part, and of all parts
CONNECT_S = 10.0
PROBE_S = 0.5
RETRY_S = 0.2
NO_RESPONDERS = "503"


def parts(number: int, pieces: list[bytes | memoryview], most_bytes: int) -> Iterator[bytes]:
    """A request or reply as messages of at most so many bytes each."""
    whole = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    room = most_bytes - PART.size
    count = max(1, -(-len(whole) // room))
    view = memoryview(whole)
    for part in range(count):
        yield PART.pack(number, part, count) + view[part * room : (part + 1) * room]


class Joined:
    """Puts the parts of one request or reply after another together."""

    def __init__(self) -> None:
        self._number = 0
        self._parts: list[memoryview] = []

    def add(self, message: bytes) -> tuple[int, bytes | memoryview] | None:
        """The number and the whole, with its last part; None before that, or where a part is missing."""
        number, part, count = PART.unpack_from(message)
        if part == 0:
            self._number, self._parts = number, []
        if number != self._number or part != len(self._parts):
            self._number = 0
            return None
        self._parts.append(memoryview(message)[PART.size :])
        if part + 1 < count:
            return None
        found, self._parts = self._parts, []
        return number, found[0] if count == 1 else b"".join(found)


async def connected_client(url: str, **events: Any) -> Client:
    """A client that connects, and connects again, for as long as it takes."""
    import nats

    return await nats.connect(
        url,
        connect_timeout=int(CONNECT_S),
        reconnect_time_wait=RETRY_S,
        max_reconnect_attempts=-1,
        **events,
    )


async def quiet(error: Exception) -> None:
    """What went wrong is known from what did not get an answer."""
    log.debug("NATS: %s", error)


class Nats(Broker):
    """Worker processes, one for each instance, behind `nats://host:port`."""

    def __init__(
        self, url: str, factory: Callable[[], Model], *, instances: int = 1, options: Options | None = None
    ) -> None:
        options = options or Options()
        self._url = url
        name = new_name().translate(str.maketrans(":", ".", "{}"))
        self._subjects = [f"{name}.{instance}" for instance in range(instances)]
        self._inbox = f"{name}.replies"
        self._connected = False
        self._client: Client | None = None
        self._loop: asyncio.AbstractEventLoop  # from `connect` on, in a thread of its own
        self._thread: threading.Thread | None = None
        self._waiting: dict[int, tuple[int, asyncio.Future[bytes | memoryview]]] = {}  # by instance
        self._joined = [Joined() for _ in range(instances)]
        self._probe: asyncio.Task[None] | None = None
        transports = [NatsTransport(url, subject, options.max_output_bytes) for subject in self._subjects]
        super().__init__(factory, transports, options)

    @property
    def connected(self) -> bool:
        """True if the server is there, and workers have answered since it came back."""
        return self._connected

    def _on_loop(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Runs it in the thread of the connection, and waits."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise WorkerDied("the handover is being closed") from None
        except BaseException:
            future.cancel()
            raise

    def connect(self) -> None:
        """Connects, and listens to replies.

        Raises:
            WorkerDied: the server is away, or refuses.
        """
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fastpre-nats", daemon=True)
        self._thread.start()
        self._on_loop(self._connect())

    async def _connect(self) -> None:
        import nats.errors

        first_error: asyncio.Future[Exception] = self._loop.create_future()

        async def note(error: Exception) -> None:
            if not first_error.done():
                first_error.set_result(error)
            await quiet(error)

        connecting = self._loop.create_task(
            connected_client(
                self._url, error_cb=note, disconnected_cb=self._disconnected, reconnected_cb=self._reconnected
            )
        )
        either: set[asyncio.Future[Any]] = {connecting, first_error}
        await asyncio.wait(either, timeout=CONNECT_S, return_when=asyncio.FIRST_COMPLETED)
        try:
            if not connecting.done():
                connecting.cancel()
                raise first_error.result() if first_error.done() else TimeoutError("no answer")
            self._client = connecting.result()
            for instance in range(self.instances):
                await self._client.subscribe(f"{self._inbox}.{instance}", cb=self._heard, pending_bytes_limit=0)
            await self._client.flush(int(CONNECT_S))
        except (OSError, asyncio.TimeoutError, nats.errors.Error) as error:
            raise WorkerDied(f"NATS at {place(self._url)}: {str(error) or type(error).__name__}") from error
        self._connected = True

    async def _heard(self, message: Msg) -> None:
        """Part of a reply, or the server's word that no worker listens."""
        instance = int(message.subject.rpartition(".")[2])
        if message.headers and message.headers.get("Status") == NO_RESPONDERS:
            self._fail(instance, f"worker {instance} does not listen to NATS at {place(self._url)}")
            self._look_for_workers()
            return
        whole = self._joined[instance].add(message.data)
        if whole is not None and instance in self._waiting:
            number, future = self._waiting[instance]
            if number == whole[0] and not future.done():
                future.set_result(whole[1])

    def _fail(self, instance: int, why: str) -> None:
        """Lets the batch of an instance fail, if it has one."""
        if instance in self._waiting and not self._waiting[instance][1].done():
            self._waiting[instance][1].set_exception(WorkerDied(why))

    async def _disconnected(self) -> None:
        if self._connected:
            log.warning("NATS at %s is away", place(self._url))
        self._connected = False
        for instance in list(self._waiting):
            self._fail(instance, f"NATS at {place(self._url)} is away")

    async def _reconnected(self) -> None:
        self._look_for_workers()

    def _look_for_workers(self) -> None:
        """Is not ready until all have answered: they connect again by themselves, sooner or later than this process."""
        self._connected = False
        if self._probe is None or self._probe.done():
            self._probe = self._loop.create_task(self._all_answer())

    async def _all_answer(self) -> None:
        import nats.errors

        client = self._client
        assert client is not None
        for subject in self._subjects:
            while True:
                try:
                    await client.request(subject, b"", timeout=PROBE_S)
                    break
                except (asyncio.TimeoutError, nats.errors.Error):
                    await asyncio.sleep(RETRY_S)
        self._connected = client.is_connected

    def exchange(self, number: int, header: bytes, elements: memoryview, instance: int) -> bytes | memoryview:
        """Publishes a batch to the instance's worker, and waits for the parts of the reply."""
        if not self._connected:
            raise WorkerDied(f"NATS at {place(self._url)} is away")
        try:
            return self._on_loop(self._exchange(number, [header, elements], instance))
        except asyncio.TimeoutError:
            with contextlib.suppress(WorkerDied):
                self.workers.lose(instance, self.workers.get(instance), kill=True)
            raise WorkerDied(
                f"worker {instance} was killed: it did not answer within {self.options.timeout_s:g} s"
            ) from None

    async def _exchange(self, number: int, pieces: list[bytes | memoryview], instance: int) -> bytes | memoryview:
        import nats.errors

        client = self._client
        assert client is not None
        future: asyncio.Future[bytes | memoryview] = self._loop.create_future()
        self._waiting[instance] = number, future
        inbox = f"{self._inbox}.{instance}"
        try:
            self.workers.get(instance)  # it may have ended before this batch was noted, unseen by `worker_ended`
            for part in parts(number, pieces, client.max_payload):
                await client.publish(self._subjects[instance], part, reply=inbox)
            return await asyncio.wait_for(future, self.options.timeout_s)
        except nats.errors.Error as error:
            raise WorkerDied(f"NATS at {place(self._url)}: {error}") from error
        finally:
            del self._waiting[instance]

    def worker_ended(self, number: int, end: str) -> None:
        """Lets its batch fail."""
        self._loop.call_soon_threadsafe(self._fail, number, f"worker {number} {end}")

    def disconnect(self) -> None:
        """Leaves the server, which keeps nothing."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._on_loop(self._leave())
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()
            self._loop.close()

    async def _leave(self) -> None:
        self._connected = False
        for instance in list(self._waiting):
            self._fail(instance, "the handover is being closed")
        if self._probe is not None:
            self._probe.cancel()
        if self._client is not None:
            await self._client.close()


class NatsTransport:
    """The worker's side."""

    def __init__(self, url: str, subject: str, max_output_bytes: int) -> None:
        self._url = url
        self._subject = subject
        self._max_output_bytes = max_output_bytes

    def connect(self, model: Model, channel: Channel) -> Callable[[], None]:
        """Waits for the server, if it is away just now; the start's time is the bound."""
        end_with(channel)
        runner = asyncio.new_event_loop()
        listening = runner.run_until_complete(self._listen(model))
        return lambda: runner.run_until_complete(listening)

    async def _listen(self, model: Model) -> Coroutine[Any, Any, None]:
        client = await connected_client(self._url, error_cb=quiet)
        subscription = await client.subscribe(self._subject, pending_bytes_limit=0)
        await client.flush(int(CONNECT_S))
        return self._serve(client, subscription.messages, model)

    async def _serve(self, client: Client, messages: Any, model: Model) -> None:
        joined = Joined()
        async for message in messages:
            if not message.data:  # a question whether this worker is there
                await client.publish(message.reply, b"")
                continue
            whole = joined.add(message.data)
            if whole is None:
                continue
            number, request = whole
            view = memoryview(request)
            # The model keeps this loop from running. Nothing else has to be done meanwhile.
            answer = reply_to(
                model, bytes(view[:BATCH_HEADER_BYTES]), view[BATCH_HEADER_BYTES:], self._max_output_bytes
            )
            for part in parts(number, [answer], client.max_payload):
                await client.publish(message.reply, part)
