"""Fixtures and switches that all tests share."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

import corpus
import fastpre
import streams

SUMMARY = pytest.StashKey[list[str]]()

hypothesis.settings.register_profile("default", deadline=None, max_examples=150)
hypothesis.settings.register_profile("ci", deadline=None, max_examples=150, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "default")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "corpus: runs on the corpus of real JPEG files")
    config.stash[SUMMARY] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash[SUMMARY]:
        terminalreporter.write_line(line)


@pytest.fixture
def summary(request: pytest.FixtureRequest) -> list[str]:
    """Lines added here are printed after the run."""
    return request.config.stash[SUMMARY]


@pytest.fixture(autouse=True)
def quiet_pillow() -> Iterator[None]:
    """Pillow warns about odd metadata and large images; the pixels are what is compared."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture(scope="session")
def corpus_root() -> Path:
    """The folder of real JPEG files; skips where there is none."""
    root = corpus.root()
    if root is None:
        pytest.skip(corpus.ABSENT)
    return root


@pytest.fixture(scope="session")
def photo() -> bytes:
    """An ordinary baseline 4:2:0 photograph-like JPEG, 320 x 240."""
    return streams.encode(streams.picture("RGB", 320, 240), quality=90)


@pytest.fixture(scope="session")
def batch() -> list[bytes]:
    """Twelve streams of different sizes, modes and samplings."""
    return [stream for _, stream in streams.varied()][:12]


@pytest.fixture
def restore_target() -> Iterator[None]:
    """Goes back to the kernels that were active before the test."""
    before = fastpre._core.active_target()
    yield
    fastpre._core.set_target(before)
