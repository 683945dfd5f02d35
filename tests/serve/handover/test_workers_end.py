"""Workers that die, hang, or do not get as far: said at once, and replaced."""

from __future__ import annotations

import concurrent.futures
import functools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import obedient_model
from fastpre.serve.handover import Handover, ModelRaised, WorkerDied
from fastpre.serve.handover import keeper as keeper_module
from fastpre.serve.handover.kinds import open_handover
from fastpre.serve.handover.options import Options

from .conftest import IN_WORKERS, filled, until

HUNG_S = 1.0
PATIENCE_S = 30.0


@pytest.fixture(scope="module", params=IN_WORKERS)
def handover(request: pytest.FixtureRequest, url_of: Callable[[str], str]) -> Iterator[Handover]:
    """Its workers start anew without delay, however short they live."""
    patched = pytest.MonkeyPatch()
    patched.setattr(keeper_module, "FIRST_DELAY_S", 0.0)
    found = open_handover(
        url_of(request.param), obedient_model.make, instances=2, options=Options(timeout_s=PATIENCE_S)
    )
    found.start()
    yield found
    found.close()
    patched.undo()


@pytest.fixture
def memory(handover: Handover) -> Iterator[torch.Tensor]:
    until(lambda: handover.ready)
    memory = filled(handover, 2)
    yield memory
    handover.release(memory)


def wish(memory: torch.Tensor, what: int) -> None:
    memory[:, 0, 0, 0] = what


def works(handover: Handover, memory: torch.Tensor) -> None:
    """Once it is ready again, every instance takes batches."""
    until(lambda: handover.ready)
    wish(memory, obedient_model.NOTHING)
    for instance in range(handover.instances):
        assert len(handover.run(memory, 0, 2, instance)["pid"]) == 2


def test_a_worker_that_is_killed_in_the_middle(handover: Handover, memory: torch.Tensor) -> None:
    """The other instance goes on."""
    other, stopped, failures = filled(handover, 1), threading.Event(), []

    def run() -> None:
        while not stopped.is_set():
            try:
                handover.run(other, 0, 1, 0)
            except WorkerDied as error:
                failures.append(error)
                return

    thread = threading.Thread(target=run)
    thread.start()
    wish(memory, obedient_model.KILL)
    began = time.monotonic()
    try:
        with pytest.raises(WorkerDied, match=r"worker \d was ended by signal 9"):
            handover.run(memory, 0, 2, 1)
        assert not handover.ready
        assert time.monotonic() - began < PATIENCE_S  # it was not the timeout that noticed
        until(lambda: handover.ready)
    finally:
        stopped.set()
        thread.join()
    # With Redis any worker takes a batch; the one that died may have been that of instance 0.
    assert len(failures) <= ("Redis" in type(handover).__name__)
    works(handover, memory)
    handover.release(other)


def test_a_worker_that_is_killed_between_batches(handover: Handover, memory: torch.Tensor) -> None:
    pids = [int(handover.run(memory, 0, 1, instance)["pid"][0]) for instance in range(2)]
    os.kill(pids[0], signal.SIGKILL)
    until(lambda: not handover.ready, within_s=2.0)
    works(handover, memory)
    assert pids[0] not in [int(handover.run(memory, 0, 1, instance)["pid"][0]) for instance in range(2)]


def test_a_model_that_exits() -> None:
    handover = open_handover("shared-memory", obedient_model.make)
    handover.start()
    memory = filled(handover, 1, wish=obedient_model.EXIT)
    with pytest.raises(WorkerDied, match="worker 0 ended with exit status 3"):
        handover.run(memory, 0, 1, 0)
    handover.close()


@pytest.mark.parametrize("kind", IN_WORKERS)
def test_a_worker_that_hangs_is_killed_and_replaced(url_of: Callable[[str], str], kind: str) -> None:
    handover = open_handover(url_of(kind), obedient_model.make, options=Options(timeout_s=HUNG_S))
    handover.start()
    memory = filled(handover, 2, wish=obedient_model.HANG)
    began = time.monotonic()
    with pytest.raises(WorkerDied, match="killed: it did not answer within 1 s"):
        handover.run(memory, 0, 1, 0)
    assert time.monotonic() - began >= HUNG_S
    until(lambda: not handover.ready, within_s=2.0)
    if kind == "shared-memory":
        works(handover, memory)
    handover.close()


@pytest.mark.parametrize("kind", IN_WORKERS)
def test_close_does_not_wait_for_a_batch(url_of: Callable[[str], str], kind: str) -> None:
    handover = open_handover(url_of(kind), obedient_model.make, options=Options(timeout_s=PATIENCE_S))
    handover.start()
    memory = filled(handover, 1, wish=obedient_model.HANG)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        batch = pool.submit(handover.run, memory, 0, 1, 0)
        until(batch.running)
        began = time.monotonic()
        handover.close()
        with pytest.raises(WorkerDied):
            batch.result(PATIENCE_S)
        assert time.monotonic() - began < PATIENCE_S / 2
    with pytest.raises(WorkerDied, match="the handover is closed"):
        handover.run(memory, 0, 1, 0)
    handover.release(memory)


@pytest.mark.parametrize(
    ("kind", "factory", "error", "text"),
    [
        *((kind, obedient_model.cannot_load, ModelRaised, "OSError: no weights here") for kind in IN_WORKERS),
        ("shared-memory", obedient_model.dies_while_loading, WorkerDied, "worker 0 ended with exit status 7 while it"),
    ],
)
def test_a_model_that_cannot_be_loaded(
    url_of: Callable[[str], str], kind: str, factory: Any, error: type[Exception], text: str
) -> None:
    handover = open_handover(url_of(kind), factory)
    with pytest.raises(error, match=text):
        handover.start()
    assert not handover.ready
    handover.close()


def test_a_model_that_takes_too_long_to_load() -> None:
    handover = open_handover("shared-memory", obedient_model.loads_forever, options=Options(start_timeout_s=1.0))
    with pytest.raises(WorkerDied, match="worker 0 had not loaded the model after 1 s"):
        handover.start()


def test_replacements_that_fail_come_at_a_bounded_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(keeper_module, "FIRST_DELAY_S", 0.01)
    factory = functools.partial(obedient_model.once, str(tmp_path / "loaded"))
    handover = open_handover("shared-memory", factory)
    handover.start()
    memory = filled(handover, 1, wish=obedient_model.KILL)
    with pytest.raises(WorkerDied):
        handover.run(memory, 0, 1, 0)
    until(lambda: len(caplog.records) >= 3)
    assert not handover.ready
    with pytest.raises(WorkerDied, match="worker 0 is being started"):
        handover.run(memory, 0, 1, 0)
    handover.close()
    said = [record.getMessage() for record in caplog.records]
    assert said[0].endswith("the next one starts in 0.0 s")
    assert "FileExistsError" in said[1]
    delays = [record.args[1] for record in caplog.records[:3]]  # type: ignore[index]
    assert delays == [0.0, 0.01, 0.02]
