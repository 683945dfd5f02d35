"""The cost model of Ray Data, on made clocks and costs."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from ray_model import BLOCK, TARGET_BLOCK_BYTES, Cluster, Costs, actors_rate, bounds, per_image, steady_rate

COSTS = Costs(
    worker_s=1e-3,
    worker_cpu_s=0.8e-3,
    daemons_cpu_s=0.1e-3,
    driver_cpu_s=BLOCK * 0.1e-3,
    read_cpu_s=0.1e-3,
    bytes_in=100e3,
    bytes_out=600e3,
)
CLUSTER = Cluster(cores=10, network_bytes_s=1e9, storage_bytes_s=2e9, shipped=0.5)


def clocks(*actors: tuple[float, float, int]) -> tuple[np.ndarray, np.ndarray]:
    """Ends of batches of two images by actors of (first end, seconds a batch, batches), in order of time."""
    rows = [
        (first + step * n, number)
        for number, (first, step, batches) in enumerate(actors)
        for n in range(batches)
        for _ in range(2)
    ]
    ended, actor = zip(*sorted(rows), strict=True)
    return np.array(actor), np.array(ended)


def test_one_actor() -> None:
    actor, ended = clocks((5.0, 0.5, 11))
    assert per_image(actor, ended) == pytest.approx(0.25)
    assert steady_rate(actor, ended) == pytest.approx(4)


def test_actors_that_start_late_count_from_there_on() -> None:
    actor, ended = clocks((1.0, 0.5, 41), (11.0, 0.25, 41))
    assert per_image(actor, ended) == pytest.approx((20 + 10) / (2 * (40 + 40)))
    assert steady_rate(actor, ended) == pytest.approx(4 + 8)


def test_actors_are_bound_by_themselves_and_then_by_the_cores() -> None:
    assert actors_rate(COSTS, 1, 2) == pytest.approx(1000)
    assert actors_rate(COSTS, 2, 2) == pytest.approx(2000)
    assert actors_rate(COSTS, 3, 2) == pytest.approx(2 / 1e-3)


def test_what_bounds_a_cluster() -> None:
    two = bounds(COSTS, CLUSTER, 2)
    assert two["cores"] == pytest.approx(2 * 10 / 1e-3)
    assert two["receiving"] == pytest.approx(2 * 1e9 / 100e3)
    assert two["sending"] == pytest.approx(2 * 1e9 / 300e3)
    assert two["storage"] == pytest.approx(2e9 / 100e3)
    assert two["driver"] == pytest.approx(TARGET_BLOCK_BYTES / 600e3 / (BLOCK * 0.1e-3))
    four = bounds(COSTS, CLUSTER, 4)
    assert (four["storage"], four["driver"]) == (two["storage"], two["driver"])
    assert bounds(COSTS, dataclasses.replace(CLUSTER, shipped=0), 2)["sending"] == math.inf
