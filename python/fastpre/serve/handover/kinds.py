"""The kinds of handover by their names."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

from ..model import Model
from . import Handover
from .options import Options

__all__ = ["open_handover"]


def open_handover(
    kind: str, factory: Callable[[], Model], *, instances: int = 1, options: Options | None = None
) -> Handover:
    """A way to a model; `start` loads it.

    Args:
        kind: "threads": in this process; "shared-memory": in processes of its own; "redis://host:port/database" or
            "nats://host:port": the same, with a broker in between.
        factory: makes the model. Every worker process calls it once, and so does "threads" for every instance. For
            another process it is a function of a module, or functools.partial of one.
        instances: how many batches run at a time, and how many worker processes there are.
        options: of worker processes.

    Raises:
        ValueError: there is no such kind, or another process could not import the factory.
        ImportError: the broker's client is not installed; the message says what to install.
    """
    if instances < 1:
        raise ValueError(f"instances must be at least 1, got {instances}")
    if kind == "threads":
        from .threads import Threads

        return Threads(factory, instances=instances)
    if kind == "shared-memory":
        from .shared_memory import SharedMemory

        return SharedMemory(factory, instances=instances, options=options)
    scheme, separator, _ = kind.partition("://")
    if separator and scheme in ("redis", "rediss"):
        demand("redis", "redis")
        from .redis import RedisStreams

        return RedisStreams(kind, factory, instances=instances, options=options)
    if separator and scheme in ("nats", "tls"):
        demand("nats", "nats-py")
        from .nats import Nats

        return Nats(kind, factory, instances=instances, options=options)
    raise ValueError(
        f'a handover is "threads", "shared-memory", "redis://host:port" or "nats://host:port", got {kind!r}'
    )


def demand(module: str, package: str) -> None:
    """Says what to install, if it is not there."""
    if importlib.util.find_spec(module) is None:
        raise ImportError(f"this kind of handover needs {package}: pip install {package}")
