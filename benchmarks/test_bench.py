"""The same tasks for pytest-benchmark, on a few images: `pytest benchmarks --benchmark-only`.

For watching a change, with `--benchmark-compare`; the published figures are `run.py`'s, whose rounds interleave.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import check
import measure
import parts
import photographs
import pytest
from competitors import COMPETITORS, Competitor
from parts import Part
from tasks import TASKS, Task

pytest.importorskip("pytest_benchmark")
pytestmark = pytest.mark.filterwarnings("default")  # what the peers warn of is theirs

IMAGES = {"natural": 8, "large": 2, "small": 8}


@functools.cache
def images_of(photos: str) -> list[bytes]:
    if photographs.folder() is None:
        pytest.skip("no corpus: set FASTPRE_CORPUS or put it at ../shared/corpus")
    return photographs.load(photos).first(IMAGES[photos]).images


@pytest.fixture(autouse=True)
def one_core() -> Iterator[None]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with measure.pinned_to_one_core():
        yield
    torch.set_num_threads(threads)


ENTRIES = [
    pytest.param(task, cls, id=f"{task.name}-{cls.key}", marks=pytest.mark.benchmark(group=task.name))
    for task in TASKS.values()
    if task.kind == "images"
    for cls in COMPETITORS
    if cls.enters(task.job)
]


@pytest.mark.parametrize(("task", "cls"), ENTRIES)
def test_one_call_an_image(benchmark: Any, task: Task, cls: type[Competitor]) -> None:
    missing = cls.missing()
    if missing:
        pytest.skip(missing)
    images = images_of(task.photos)
    if issubclass(cls, Part):
        declined = parts.declined(images)
        images = [data for i, data in enumerate(images) if i not in declined]
    competitor = cls(task.job)
    agreement = check.agreements(task.job, [competitor], images)[cls.key]
    assert agreement.refusal is None
    if cls.key == "fastpre-exact" or issubclass(cls, Part):
        assert agreement.equal == len(images)

    def every_image() -> None:
        for data in images:
            competitor.run([data])

    benchmark.extra_info |= {"images": len(images), "equal": agreement.equal}
    benchmark(every_image)
