"""device="cuda" in worker processes: refused where it cannot work, with what to do instead, and nowhere else."""

from __future__ import annotations

import multiprocessing
from typing import Any

import pytest
from torch.utils.data import DataLoader, Dataset

import fastpre
from fastpre._backend.forks import refuse_forked_worker

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # DataLoader's own, on newer Pythons

TIMEOUT_S = 120


def refusal() -> str:
    """What a CUDA device says here; empty if nothing."""
    try:
        refuse_forked_worker()
    except fastpre.BackendUnavailable as error:
        return str(error)
    return ""


def answer(connection: Any) -> None:
    connection.send(refusal())


class Refusals(Dataset[Any]):
    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> str:
        return refusal()


def asked_in_process(method: str) -> str:
    context: Any = multiprocessing.get_context(method)
    here, there = context.Pipe()
    process = context.Process(target=answer, args=(there,))
    process.start()
    assert here.poll(TIMEOUT_S)
    said: str = here.recv()
    process.join()
    here.close()
    there.close()
    return said


def asked_in_loader(method: str | None, workers: int = 1) -> str:
    loader = DataLoader(Refusals(), num_workers=workers, multiprocessing_context=method, collate_fn=list)
    ((said,),) = loader
    return str(said)


def test_cuda_is_refused_in_forked_workers() -> None:
    refusals = [asked_in_loader("fork")]
    if multiprocessing.get_start_method() == "fork":
        refusals.append(asked_in_loader(None))
    for said in refusals:
        assert "fastpre.data.Loader" in said
        assert "spawn" in said


def test_cuda_is_not_refused_elsewhere() -> None:
    assert refusal() == ""
    assert asked_in_loader(None, workers=0) == ""
    assert asked_in_process("spawn") == ""
    assert asked_in_loader("spawn") == ""
    assert asked_in_loader("forkserver") == ""


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_cuda_is_not_refused_under_another_default(method: str) -> None:
    """Workers are then plain `Process` objects, as forked ones are under the usual default."""
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method(method, force=True)
    try:
        assert asked_in_loader(None) == ""
    finally:
        multiprocessing.set_start_method(before, force=True)
