"""How many threads a forward pass has in a server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from fastpre.serve.building import ModelChoice, build
from fastpre.serve.engine import Settings


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = torch.get_num_threads()
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def threads_with(*choices: ModelChoice) -> int:
    service = build(choices, Settings(threads=2, batch=2))
    for engine in service.engines.values():
        engine.close(0)
    return torch.get_num_threads()


@pytest.mark.usefixtures("two_threads")
def test_short_models_have_one() -> None:
    assert threads_with(ModelChoice("builtin:sleep?ms=0")) == 1


@pytest.mark.usefixtures("two_threads")
def test_a_long_one_has_the_librarys() -> None:
    assert threads_with(ModelChoice("builtin:sleep?ms=0"), ModelChoice("builtin:sleep?ms=20", {"name": "long"})) == 2


@pytest.mark.usefixtures("two_threads")
def test_what_was_asked_for_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    assert threads_with(ModelChoice("builtin:sleep?ms=0", {"num_threads": 2})) == 2
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert threads_with(ModelChoice("builtin:sleep?ms=0")) == 2
