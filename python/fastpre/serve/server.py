"""The process: HTTP and gRPC in one event loop, from the first socket to the last answer."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import ipaddress
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import uvicorn

from .holding import Holding
from .http.app import Application
from .http.connection import Connection
from .http.limits import Limits
from .observing import page
from .observing.live import Live
from .observing.loop_lag import LoopLag
from .observing.prometheus import metrics, registry
from .protocol.regions import Regions
from .service import EngineService

__all__ = ["Listen", "Server"]

log = logging.getLogger("fastpre.serve")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Listen:
    """Where a server listens, and what it takes.

    Attributes:
        host: of HTTP and gRPC; loopback unless told otherwise.
        port: of HTTP; 0 takes a free one.
        grpc_port: of gRPC; 0 takes a free one, None: no gRPC.
        api_key: that every request needs but those for health; None: none.
        certificate, key: PEM files for TLS; None: plain.
        limits: of a request.
        max_held_bytes: of all requests' bodies at a time; more are refused.
        drain_s: how long requests that were begun may take after a signal to stop.
        drain_delay_s: how long requests are still taken after readiness has fallen, for load balancers to notice.
        shared_memory: clients may register shared memory of this machine, which is any that this process may open, and
            not only their own; None: they may if only this machine can connect.
        page: the live page is at `/`, and its numbers at `/v1/live`.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    grpc_port: int | None = 8001
    api_key: str | None = None
    certificate: str | None = None
    key: str | None = None
    limits: Limits = dataclasses.field(default_factory=Limits)
    max_held_bytes: int = 1 << 30
    drain_s: float = 10.0
    drain_delay_s: float = 0.0
    shared_memory: bool | None = None
    page: bool = True

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("TLS needs a certificate and a key")

    def shares_memory(self, address: str) -> bool:
        """True if clients may register shared memory of a server that listens on the address."""
        return ipaddress.ip_address(address).is_loopback if self.shared_memory is None else self.shared_memory


class Http(uvicorn.Server):
    """Uvicorn without its signal handlers: gRPC and the engines have to hear of a signal too."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves them alone."""
        yield


class Server:
    """Serves models over HTTP and gRPC until it is told to stop.

    Args:
        service: with engines that are started already.
        listen: where.
        routes: more Starlette routes.
    """

    def __init__(self, service: EngineService, listen: Listen, routes: Sequence[Any] = ()) -> None:
        self.service = service
        self.listen = listen
        self.port = 0
        self.grpc_port: int | None = None
        self._routes = routes
        self._stop = asyncio.Event()

    async def run(self, started: Callable[[Server], None] | None = None) -> None:
        """Serves until `stop`, or a signal: SIGTERM, SIGINT.

        Args:
            started: called once everything listens; `port` and `grpc_port` are known then.

        Raises:
            OSError: a port cannot be bound.
        """
        listen = self.listen
        listener = _listener(listen.host, listen.port)
        self.port = listener.getsockname()[1]
        regions = Regions() if listen.shares_memory(listener.getsockname()[0]) else Regions(limit=0)
        holding = Holding(listen.max_held_bytes)
        live = Live(self.service) if listen.page else None
        lag = LoopLag(None if live is None else live.sample)
        recorders = {**self.service.recorders, "": self.service.refusals}
        collected = registry(self.service.engines, recorders, lag)
        app = Application(
            self.service,
            regions=regions if regions.limit else None,
            metrics=lambda accept: metrics(collected, accept),
            admit=lambda _: self.service.admit(),
            api_key=listen.api_key,
            limits=listen.limits,
            routes=[*self._routes, *([] if live is None else page.routes(live))],
            open_paths=page.OPEN_PATHS if listen.page else (),
            refused=self.service.refused,
            holding=holding,
        )
        http = Http(_uvicorn(app, listen))
        lag.start()
        grpc = None
        try:
            if listen.grpc_port is not None:
                grpc = await self._start_grpc(regions, holding)
                self.grpc_port = grpc.port
            serving = asyncio.create_task(http.serve(sockets=[listener]))
            while not http.started and not serving.done():
                await asyncio.sleep(0.005)
            with self._signals():
                if started is not None:
                    started(self)
                await asyncio.wait([serving, asyncio.create_task(self._stop.wait())], return_when="FIRST_COMPLETED")
                await self._drain(http, serving, grpc)
        finally:
            lag.stop()
            listener.close()
            regions.unregister(None)

    def stop(self) -> None:
        """Begins to drain; `run` returns once that is done. For the loop's own thread."""
        self._stop.set()

    async def _start_grpc(self, regions: Regions, holding: Holding) -> Any:
        from .grpc import start

        listen = self.listen
        assert listen.grpc_port is not None
        tls = None if listen.certificate is None or listen.key is None else (listen.certificate, listen.key)
        return await start(
            self.service,
            regions,
            listen.host,
            listen.grpc_port,
            tls=tls,
            api_key=listen.api_key,
            admit=self.service.admit,
            max_message_bytes=listen.limits.max_body_bytes,
            body_timeout_s=listen.limits.body_timeout_s,
            refused=self.service.refused,
            holding=holding,
        )

    async def _drain(self, http: Http, serving: asyncio.Task[None], grpc: Any) -> None:
        """Readiness falls; then no connection is taken; then what was begun is finished, within the bound."""
        self.service.draining = True
        log.info("draining: not ready any more")
        await asyncio.sleep(self.listen.drain_delay_s)
        http.should_exit = True
        latest = time.monotonic() + self.listen.drain_s
        ends = [serving] if grpc is None else [serving, asyncio.create_task(grpc.drain(self.listen.drain_s))]
        await asyncio.wait(ends)
        for engine in self.service.engines.values():
            await asyncio.to_thread(engine.close, max(0.0, latest - time.monotonic()))
        for end in ends:
            end.result()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGTERM, SIGINT and SIGHUP stop; a second one does so at once, as if there were no handler."""
        loop = asyncio.get_running_loop()
        numbers = [signal.SIGTERM, signal.SIGINT]
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup
            numbers.append(signal.SIGHUP)

        def stop(number: int) -> None:
            if not self._stop.is_set():
                self.stop()
                return
            log.warning("stopped at once by a second %s", signal.Signals(number).name)
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

        try:
            for number in numbers:
                loop.add_signal_handler(number, stop, number)
        except (ValueError, RuntimeError):  # not the main thread: an application that stops it by itself
            yield
            return
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)


def _uvicorn(app: Application, listen: Listen) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=max(1, round(listen.drain_s)),
        ssl_certfile=listen.certificate,
        ssl_keyfile=listen.key,
    )


def _listener(host: str, port: int) -> socket.socket:
    """A socket that listens on one address.

    Raises:
        OSError: there is no such address, or the port is taken; the message has both.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(1024)
    except OSError as error:
        raise OSError(error.errno, f"cannot listen on {host} port {port}: {error.strerror}") from None
    listener.setblocking(False)
    return listener
