"""One server for all tests that leave it as it was; tests that end servers start their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from faulty import GOOD
from server_process import ServerProcess, until


@pytest.fixture(scope="session")
def hold(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that holds the server's batches of an image of `faulty.HELD`."""
    return tmp_path_factory.mktemp("hold") / "held"


@pytest.fixture(scope="session")
def running(hold: Path) -> Iterator[ServerProcess]:
    options = ("--batch", "16", "--queue", "64", "--body-timeout", "3", "--max-body", "64", "--max-held", "200")
    with ServerProcess(f"python:faulty:model?hold={hold}", *options) as found:
        found.predict(GOOD)  # what is imported at the first request is there
        yield found


@pytest.fixture(scope="session")
def idle(running: ServerProcess) -> dict[str, int]:
    """Where its images are when there are none."""
    return running.places()


@pytest.fixture
def server(running: ServerProcess, idle: dict[str, int]) -> Iterator[ServerProcess]:
    """The server, idle before and after the test, and as quick as ever to a good image."""
    until(lambda: running.places() == idle, what="no image is left of the last test")
    yield running
    until(lambda: running.places() == idle, what="all places are empty again")
    assert running.predict(GOOD).status_code == 200
    assert running.popen.poll() is None


@pytest.fixture
def same(server: ServerProcess) -> Iterator[ServerProcess]:
    """The server, which afterwards gives a good image the same answer as before, and has grown by no body."""
    before, rss = server.predict(GOOD).json()["outputs"], server.rss_mb()
    yield server
    assert server.predict(GOOD).json()["outputs"] == before
    until(lambda: server.rss_mb() - rss < 100, what="its memory is as before")
