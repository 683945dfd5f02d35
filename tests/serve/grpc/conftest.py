"""A server and an unmodified client of Triton's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton

import grpc_serving


@pytest.fixture
def server() -> Iterator[grpc_serving.Served]:
    with grpc_serving.served() as it:
        yield it


@pytest.fixture
def client(server: grpc_serving.Served) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(server.url) as it:
        yield it


@pytest.fixture
def image() -> Any:
    """An input of two images."""
    it = triton.InferInput("image", [2], "BYTES")
    it.set_data_from_numpy(np.array([b"a" * 1000, b"bb"], np.object_))
    return it
