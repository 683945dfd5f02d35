"""Every kind of handover, over a model that does what it is told."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import pytest
import torch

import brokers
import obedient_model
from fastpre.serve.handover import Handover
from fastpre.serve.handover.kinds import open_handover
from fastpre.serve.handover.options import Options

IN_WORKERS = ("shared-memory", "redis", "nats")
KINDS = ("threads", *IN_WORKERS)


class Opener(Protocol):
    def __call__(
        self, kind: str, factory: Callable[[], Any] = ..., *, instances: int = ..., **options: Any
    ) -> Handover: ...


@contextlib.contextmanager
def running(scheme: str) -> Iterator[brokers.Server]:
    """A broker; skips where it is not installed."""
    if reason := brokers.missing(scheme):
        pytest.skip(f"NOT TESTED: {reason}")
    with brokers.running(scheme) as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[brokers.Server]:
    with running("redis") as server:
        yield server


@pytest.fixture(scope="session")
def nats_server() -> Iterator[brokers.Server]:
    with running("nats") as server:
        yield server


@pytest.fixture(scope="session")
def url_of(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """A kind as `open_handover` takes it; its broker has been started."""

    def find(kind: str) -> str:
        if kind in brokers.COMMANDS:
            url: str = request.getfixturevalue(f"{kind}_server").url
            return url
        return kind

    return find


@pytest.fixture(scope="module")
def opened(url_of: Callable[[str], str]) -> Iterator[Opener]:
    """Opens and starts handovers, the same one for the same arguments, and closes them after the module's tests."""
    found: dict[Any, Handover] = {}

    def start(
        kind: str, factory: Callable[[], Any] = obedient_model.make, *, instances: int = 1, **options: Any
    ) -> Handover:
        key = kind, repr(factory), instances, *options.items()
        if key not in found:
            handover = open_handover(url_of(kind), factory, instances=instances, options=Options(**options))
            handover.start()
            found[key] = handover
        return found[key]

    yield start
    for handover in found.values():
        handover.close()


def with_fields(**fields: Any) -> Callable[[], Any]:
    return functools.partial(obedient_model.make, **fields)


def shape_of(handover: Handover) -> tuple[int, int, int]:
    spec = handover.description.spec
    return spec.channels, obedient_model.SIZE, obedient_model.SIZE


def filled(handover: Handover, slots: int, seed: int = 0, wish: int = obedient_model.NOTHING) -> torch.Tensor:
    """Memory with random numbers; the first of each slot is the wish."""
    memory = handover.allocate(slots, shape_of(handover), handover.description.spec.dtype)
    values = torch.randint(20, 250, memory.shape, generator=torch.Generator().manual_seed(seed)).float()
    if memory.dtype != torch.uint8:
        values = values / 3
    memory.copy_(values)
    memory[:, 0, 0, 0] = wish
    return memory


def until(condition: Callable[[], bool], within_s: float = 20.0) -> None:
    """Waits for something that has to happen."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)
