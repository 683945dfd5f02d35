"""The ASGI application: inference on the shortest way, everything else through Starlette."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence

from starlette.applications import Starlette
from starlette.routing import BaseRoute
from starlette.types import Lifespan

from ..errors import Draining, ServeError
from ..holding import Holding
from ..inference import Service
from ..protocol.memory import SharedMemory
from . import access
from .answers import failed, refused
from .exchange import Answer, ClientGone, Exchange, Receive, Scope, Send
from .infer import Inference, model_of
from .limits import Limits
from .predict import Prediction
from .routes import routes as protocol_routes
from .routes import starlette_handlers

__all__ = ["Admit", "Application", "Metrics"]

Admit = Callable[[Mapping[bytes, bytes]], "ServeError | None"]
Metrics = Callable[[str], "tuple[bytes, str]"]


class Application:
    """The server's HTTP side, for any ASGI server.

    Args:
        service: what answers.
        regions: system shared memory; None: none is taken.
        metrics: the body and Content-Type of `/metrics` for an Accept header; None: there is no such path.
        admit: asked with a request's headers (by lower-case name) before its body is read; what it returns is the
            answer.
        api_key: needed for every path but the health of the server, and `open_paths`.
        limits: of one request.
        routes: more of them, which go before the protocol's.
        open_paths: those of `routes` that need no key.
        refused: told of each error that a request for inference gets as its answer, and of the model in its path, if
            there is one.
        lifespan: as Starlette has it: a context for the time between start and shutdown.
        holding: of all requests' bodies; None: they have no common bound.
    """

    def __init__(
        self,
        service: Service,
        *,
        regions: SharedMemory | None = None,
        metrics: Metrics | None = None,
        admit: Admit | None = None,
        api_key: str | None = None,
        limits: Limits | None = None,
        routes: Sequence[BaseRoute] = (),
        open_paths: Collection[str] = (),
        refused: Callable[[ServeError, str], None] | None = None,
        lifespan: Lifespan[Starlette] | None = None,
        holding: Holding | None = None,
    ) -> None:
        limits = Limits() if limits is None else limits
        self._infer = Inference(service, regions, limits)
        self._predict = Prediction(service, limits)
        self._admit = admit
        self._holding = holding
        self._open_paths = access.OPEN_PATHS.union(open_paths)
        self._refused = refused
        self._api_key = None if api_key is None else api_key.encode()
        self._rest = Starlette(
            routes=[*routes, *protocol_routes(service, regions, metrics, limits, guarded=api_key is not None)],
            exception_handlers=starlette_handlers(),
            lifespan=lifespan,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection's request, or the server's start and shutdown."""
        if scope["type"] != "http":
            await self._rest(scope, receive, send)
            return
        path: str = scope["path"]
        root: str = scope.get("root_path", "")
        if root:
            path = path.removeprefix(root)
        named, predicting = None, False
        if scope["method"] == "POST":
            named = model_of(path)
            predicting = path == "/v1/predict"
        exchange = Exchange(scope, receive, send, self._holding)
        answer: Answer | None = None
        try:
            if self._api_key is not None and path not in self._open_paths:
                access.check(self._api_key, exchange.headers)
            refusal = None
            if self._admit is not None and (named is not None or predicting):
                refusal = self._admit(exchange.headers)
            if refusal is not None:
                answer = self._error(refusal, named)
            elif named is not None:
                answer = await self._infer(exchange, *named)
            elif predicting:
                answer = await self._predict(exchange)
        except ClientGone:
            return
        except ServeError as error:
            answer = self._error(error, named)
        except asyncio.CancelledError:  # the server is being stopped by force
            answer = refused(Draining("the server is shutting down"))  # and the task ends, as it was asked to
        except Exception:
            answer = failed(path)
        finally:
            exchange.release()
        if answer is None:
            await self._rest(scope, receive, send)
            return
        try:
            exchange.hold(sum(map(len, answer.chunks)))
        except ServeError as error:
            answer = self._error(error, named)
        try:
            await exchange.answer(*answer)
        finally:
            exchange.release()

    def _error(self, error: ServeError, named: tuple[str, str] | None) -> Answer:
        """The answer that an error is, to a request for a model or another."""
        if self._refused is not None:
            self._refused(error, "" if named is None else named[0])
        return refused(error)
