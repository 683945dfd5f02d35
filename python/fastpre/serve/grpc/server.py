"""A grpc.aio server around a `Service`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc

from ..errors import ServeError
from ..holding import Holding
from ..inference import Service
from ..protocol.regions import Regions
from .descriptions import Descriptions
from .health import Health
from .inference import Inference
from .router import Router
from .state import Limits, State

__all__ = ["GrpcServer", "start"]


class GrpcServer:
    """A server that listens. Hold on to it: gRPC ends a server that is no longer referred to.

    Attributes:
        port: where, also if 0 was asked for.
    """

    def __init__(self, server: Any, state: State, port: int) -> None:
        self._server = server
        self._state = state
        self.port = port

    async def drain(self, grace_s: float) -> None:
        """Ends the server: it reports itself not ready and takes no new calls; those that run have `grace_s` seconds.

        Streams end as soon as they have answered what they have read. Returns when everything has ended, or at most
        two seconds after the grace.
        """
        self._state.draining.set()
        # Watchers and idle streams hear of it before connections are told to go.
        await asyncio.sleep(0)
        # A call that was cancelled and has not ended a second later is left behind.
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._server.stop(grace_s), grace_s + 1)
        # What the grace has cut off has been cancelled, which takes a moment; the loop may be closed after this.
        if self._state.running:
            await asyncio.wait(self._state.running, timeout=1)
            await asyncio.sleep(0)


async def start(
    service: Service,
    regions: Regions,
    host: str = "127.0.0.1",
    port: int = 8001,
    *,
    tls: tuple[str | os.PathLike[str], str | os.PathLike[str]] | None = None,
    api_key: str | None = None,
    admit: Callable[[], ServeError | None] = lambda: None,
    max_message_bytes: int = 64 * 2**20,
    body_timeout_s: float = 30.0,
    max_streamed: int = 32,
    max_calls: int = 1024,
    refused: Callable[[ServeError], None] = lambda _: None,
    holding: Holding | None = None,
) -> GrpcServer:
    """Serves in the running event loop.

    Args:
        service: what answers.
        regions: shared memory that clients register; the same as HTTP's.
        host: an address or name of this machine.
        port: 0 takes a free one.
        tls: files of the certificate chain and the private key, in PEM.
        api_key: what callers must send, as `authorization: Bearer KEY` or `x-api-key: KEY`; health needs none.
        admit: called for each inference before its message is read; what it returns is the call's answer.
        max_message_bytes: of one message that arrives; also of one request's inputs in shared memory.
        body_timeout_s: seconds from a call's headers to the end of its message.
        max_streamed: requests of one stream that are worked on at a time.
        max_calls: inferences and streams at a time, half of them streams at most; more get RESOURCE_EXHAUSTED.
        refused: told of each error that an inference gets as its answer.
        holding: of all messages that are worked on; None: 1 GiB. As many bytes of answers may wait for their clients.

    Raises:
        OSError: the port cannot be bound, or a file of `tls` cannot be read.
        ValueError: the files of `tls` are no certificate and key.
    """
    limits = Limits(max_message_bytes, body_timeout_s, max_streamed, max_calls)
    holding = Holding(1 << 30) if holding is None else holding
    state = State(service, admit, limits, holding, Holding(holding.limit), refused)
    router = Router(Inference(regions, state), Descriptions(service, regions, state), Health(state), state, api_key)
    server = grpc.aio.server(
        options=(
            ("grpc.max_receive_message_length", max_message_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),  # or a second server would share the port, and take some of the calls
            ("grpc.server_handshake_timeout_ms", 10_000),
            # A client whose machine is gone sends no word of it: its streams would stay for two hours.
            ("grpc.keepalive_time_ms", 60_000),
            ("grpc.keepalive_timeout_ms", 20_000),
            # gRPC itself closes connections of clients that ask more than every five minutes.
            ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ),
    )
    server.add_generic_rpc_handlers((router,))
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        if tls is None:
            bound = server.add_insecure_port(address)
        else:
            bound = server.add_secure_port(address, _credentials(*tls))
    except RuntimeError as error:
        raise OSError(f"gRPC cannot listen on {address}: {error}") from None
    await server.start()
    return GrpcServer(server, state, bound)


def _credentials(chain: str | os.PathLike[str], key: str | os.PathLike[str]) -> Any:
    try:
        # gRPC itself says of wrong files only that it could not bind. A password would be asked for on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(chain, key, password=lambda: "")
    except ssl.SSLError as error:
        raise ValueError(f"{chain} and {key} are no certificate chain and its key: {error.reason or error}") from None
    return grpc.ssl_server_credentials([(Path(key).read_bytes(), Path(chain).read_bytes())])
