"""What every loader must do: the Preprocessor's bits, and nothing left behind."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
import torch

import fastpre
from loading import SPEC, left_behind


@pytest.fixture(scope="module")
def want(batch: list[bytes]) -> torch.Tensor:
    return fastpre.Preprocessor(SPEC)(batch)


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """After every test: no thread of ours, no worker process."""
    yield
    if left_behind():
        gc.collect()
    assert left_behind() == []
