"""Training in plain torch loops: DataLoader's workers, torchdata's StatefulDataLoader, DistributedSampler."""

from __future__ import annotations

import importlib
import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed
from torch.utils.data import DataLoader, DistributedSampler
from torchvision import transforms

import fastpre
import fastpre.data
from fastpre.transforms import fuse
from loading import QUIET_FORK, SPEC, Items, load
from training import Loop, Transformed, decoded, network, numbered

pytestmark = QUIET_FORK

STEPS = [
    transforms.Resize(40),
    transforms.CenterCrop(32),
    transforms.ToTensor(),
    transforms.Normalize(SPEC.mean, SPEC.std),
]


def arranged(way: str, batch: list[bytes]) -> tuple[Any, dict[str, Any]]:
    """A dataset and how a DataLoader takes it."""
    if way == "collate":
        return Items(numbered(batch)), {"collate_fn": fastpre.data.collate(SPEC)}
    return Transformed(numbered(batch), fuse(transforms.Compose(STEPS))), {}


@pytest.mark.parametrize("way", ["collate", "fuse"])
@pytest.mark.parametrize(("method", "persistent"), [(None, False), ("fork", False), ("fork", True), ("spawn", True)])
def test_data_loader(method: str | None, persistent: bool, way: str, batch: list[bytes]) -> None:
    dataset, how = arranged(way, batch)
    loader = DataLoader(
        dataset,
        batch_size=4,
        num_workers=0 if method is None else 1,
        multiprocessing_context=method,
        persistent_workers=persistent,
        **how,
    )
    loop, want = Loop(), Loop()
    for _ in range(2):
        loop.run(loader)
        want.run(decoded(batch, 4))
    assert loop.labels == want.labels
    assert loop.losses == want.losses
    assert loop.losses[3] < loop.losses[0]  # of the same batch


@pytest.mark.parametrize("workers", [0, 1])
def test_loader(workers: int, batch: list[bytes]) -> None:
    loop, want = Loop(), Loop()
    loader = load(numbered(batch), batch_size=4, num_workers=workers)
    for _ in range(2):
        loop.run(loader)
        want.run(decoded(batch, 4))
    assert loop.losses == want.losses


@pytest.fixture
def stateful() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates what torchdata calls
        return importlib.import_module("torchdata.stateful_dataloader").StatefulDataLoader


@pytest.mark.filterwarnings("ignore:.*set_vital.*")
@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("way", ["collate", "fuse"])
def test_stateful_data_loader(way: str, workers: int, batch: list[bytes], stateful: Any) -> None:
    def loader() -> Any:
        dataset, how = arranged(way, batch)
        return stateful(dataset, batch_size=2, shuffle=True, num_workers=workers, **how)

    torch.manual_seed(4)
    first = loader()
    whole = Loop()
    for step, loaded in enumerate(first):
        whole.run([loaded])
        if step == 1:
            saved = first.state_dict()
            model = {name: value.clone() for name, value in whole.model.state_dict().items()}
    resumed = Loop()
    resumed.model.load_state_dict(model)
    second = loader()
    second.load_state_dict(saved)
    resumed.run(second)
    assert resumed.labels == whole.labels[2:]
    assert resumed.losses == whole.losses[2:]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_script_that_saves_and_goes_on(workers: int, batch: list[bytes], tmp_path: Path) -> None:
    """With the model, torch's generator (which dropout asks) and the loader in one file."""
    path = tmp_path / "checkpoint.pt"

    def loop() -> Loop:
        return Loop(torch.nn.Sequential(torch.nn.Dropout(0.3), network()))

    def loader() -> fastpre.data.Loader:
        return load(numbered(batch), batch_size=2, shuffle=True, num_workers=workers)

    torch.manual_seed(6)
    whole, first = loop(), loader()
    for step, loaded in enumerate(first):
        whole.run([loaded])
        if step == 3:
            states = (whole.model.state_dict(), torch.get_rng_state(), first.state_dict())
            torch.save(dict(zip(("model", "generator", "loader"), states, strict=True)), path)
    whole.run(first)
    saved = torch.load(path, weights_only=True)
    torch.manual_seed(7)
    resumed, second = loop(), loader()
    resumed.model.load_state_dict(saved["model"])
    second.load_state_dict(saved["loader"])
    torch.set_rng_state(saved["generator"])
    resumed.run(second)
    resumed.run(second)
    assert resumed.labels == whole.labels[4:]
    assert resumed.losses == whole.losses[4:]


def rank(rank: int, folder: str, batch: list[bytes]) -> None:
    """One of two processes: two epochs in all, the second one resumed in its middle."""
    torch.set_num_threads(1)  # OpenMP's threads are lost in a fork
    torch.distributed.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
    dataset = Items(numbered(batch))

    def loader() -> fastpre.data.Loader:
        return fastpre.data.Loader(dataset, SPEC, batch_size=2, sampler=DistributedSampler(dataset, seed=2))

    loop = Loop(torch.nn.parallel.DistributedDataParallel(network()))
    first = loader()
    loop.run(first)
    loop.run(first, steps=1)
    second = loader()
    second.load_state_dict(first.state_dict())
    loop.run(second)
    weights = sum(parameter.sum().item() for parameter in loop.model.parameters())
    Path(folder, f"{rank}.json").write_text(json.dumps([loop.labels, weights]))
    torch.distributed.destroy_process_group()


def test_two_processes(batch: list[bytes], tmp_path: Path) -> None:
    torch.multiprocessing.start_processes(rank, (str(tmp_path), batch), nprocs=2, start_method="fork")
    (labels_0, weights_0), (labels_1, weights_1) = (
        json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)
    )
    assert weights_0 == weights_1
    epochs = []
    for begin in (0, 3):
        epoch = [label for labels in (labels_0, labels_1) for step in labels[begin : begin + 3] for label in step]
        assert sorted(epoch) == list(range(12))
        epochs.append(epoch)
    assert epochs[0] != epochs[1]
    assert len(labels_0) == len(labels_1) == 6
