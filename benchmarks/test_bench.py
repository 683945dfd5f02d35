"""The same tasks for pytest-benchmark, on a few images: `pytest benchmarks --benchmark-only`.

For watching a change, with `--benchmark-compare`; the published figures are `run.py`'s, whose rounds interleave.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import comparison
import machine
import photographs
import pytest
import torch
from implementations import ALL
from implementations.base import Implementation
from tasks import TASKS, Task

pytest.importorskip("pytest_benchmark")
pytestmark = pytest.mark.filterwarnings("default")  # what other libraries warn of is theirs

IMAGES = {"natural": 8, "large": 2, "small": 8}


@functools.cache
def images_of(photos: str) -> list[bytes]:
    if photographs.folder() is None:
        pytest.skip("no corpus: set FASTPRE_CORPUS or put it at ../shared/corpus")
    return photographs.load(photos, IMAGES[photos]).images


@pytest.fixture(autouse=True)
def one_core() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with machine.pinned_to_one_core():
        yield
    torch.set_num_threads(threads)


ENTRIES = [
    pytest.param(task, i, id=f"{task.name}-{i.key}", marks=pytest.mark.benchmark(group=task.name))
    for task in TASKS.values()
    if task.kind == "images"
    for i in ALL
    if "cpu" in i.devices and i.does(task.job)
]


@pytest.mark.parametrize(("task", "implementation"), ENTRIES)
def test_one_call_an_image(benchmark: Any, task: Task, implementation: Implementation) -> None:
    missing = implementation.missing()
    if missing:
        pytest.skip(missing)
    run = implementation.make(task.job, "cpu", 1)
    images = run.taken(images_of(task.photos))
    entry = comparison.Entry(implementation.key, implementation.label, implementation, run)
    difference = comparison.check(task.job, [entry], comparison.singly(images))[entry.key]
    assert difference.refusal is None
    benchmark.extra_info |= {"images": len(images), "equal": difference.equal}
    benchmark(comparison.pass_over(run, images, 1))
