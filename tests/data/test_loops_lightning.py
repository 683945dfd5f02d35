"""Training with Lightning and accelerate: what they make of a Loader, and of a DataLoader with a fused transform."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

import fastpre.data
from fastpre.transforms import DecodeResizeNormalize
from loading import QUIET_FORK, SPEC, load
from training import Loop, Transformed, decoded, network, numbered

pytestmark = [QUIET_FORK, pytest.mark.filterwarnings("ignore")]  # both libraries warn of much that is not ours

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import accelerate
    import lightning


class Module(lightning.LightningModule):
    """The loop of `training.Loop`, as Lightning wants it."""

    def __init__(self) -> None:
        super().__init__()
        self.model = network()
        self.losses: list[float] = []
        self.labels: list[list[int]] = []

    def training_step(self, batch: Any, number: int) -> torch.Tensor:
        images, labels = batch
        loss = torch.nn.functional.cross_entropy(self.model(images), labels)
        self.losses.append(loss.item())
        self.labels.append(labels.tolist())
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.05)


def trainer(folder: Path, **options: Any) -> lightning.Trainer:
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    return lightning.Trainer(accelerator="cpu", devices=1, default_root_dir=folder, **quiet, **options)


@pytest.mark.parametrize("workers", [0, 1])
def test_lightning_trains_on_a_loader(workers: int, batch: list[bytes], tmp_path: Path) -> None:
    module, want = Module(), Loop()
    loader = load(numbered(batch), batch_size=4, num_workers=workers)
    trainer(tmp_path, max_epochs=2, enable_checkpointing=False).fit(module, train_dataloaders=loader)
    for _ in range(2):
        want.run(decoded(batch, 4))
    assert module.labels == want.labels
    assert module.losses == want.losses


def test_lightning_shuffles_each_epoch_by_the_loaders_seed(batch: list[bytes], tmp_path: Path) -> None:
    module = Module()
    loader = load(numbered(batch), batch_size=4, shuffle=True, seed=5)
    trainer(tmp_path, max_epochs=2, enable_checkpointing=False).fit(module, train_dataloaders=loader)
    want = Loop()
    again = load(numbered(batch), batch_size=4, shuffle=True, seed=5)
    for _ in range(2):
        want.run(again)
    assert module.labels == want.labels
    assert module.labels[:3] != module.labels[3:]


def test_lightning_goes_on_where_a_checkpoint_was_written(batch: list[bytes], tmp_path: Path) -> None:
    """In the middle of an epoch: Lightning asks loaders for their state."""

    def loader() -> fastpre.data.Loader:
        return load(numbered(batch), batch_size=2, shuffle=True, seed=6)

    whole = Module()
    saving = lightning.pytorch.callbacks.ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=3, save_top_k=-1)
    trainer(tmp_path, max_epochs=1, callbacks=[saving]).fit(whole, train_dataloaders=loader())
    resumed = Module()
    trainer(tmp_path, max_epochs=1, enable_checkpointing=False).fit(
        resumed, train_dataloaders=loader(), ckpt_path=tmp_path / "step=3.ckpt", weights_only=False
    )
    assert resumed.labels == whole.labels[3:]
    assert resumed.losses == whole.losses[3:]


def test_accelerate_leaves_a_loader_as_it_is(batch: list[bytes]) -> None:
    """`prepare` knows DataLoaders alone: a Loader puts its batches on the device itself."""
    accelerator = accelerate.Accelerator(cpu=True)
    loop, want = Loop(), Loop()
    loader = load(numbered(batch), batch_size=4, device=accelerator.device)
    loop.model, loop.optimizer, prepared = accelerator.prepare(loop.model, loop.optimizer, loader)
    assert prepared is loader
    for _ in range(2):
        loop.run(prepared)
        want.run(decoded(batch, 4))
    assert loop.losses == want.losses


@pytest.mark.parametrize("way", ["collate", "transform"])
def test_accelerate_prepares_data_loaders(way: str, batch: list[bytes]) -> None:
    accelerator = accelerate.Accelerator(cpu=True)
    loop, want = Loop(), Loop()
    samples = numbered(batch)
    how: dict[str, Any] = {"collate_fn": fastpre.data.collate(SPEC)} if way == "collate" else {}
    dataset: Any = samples if way == "collate" else Transformed(samples, DecodeResizeNormalize(SPEC))
    loader: Any = DataLoader(dataset, batch_size=4, num_workers=1, **how)
    loop.model, loop.optimizer, loader = accelerator.prepare(loop.model, loop.optimizer, loader)
    assert isinstance(loader, DataLoader)
    for _ in range(2):
        loop.run(loader)
        want.run(decoded(batch, 4))
    assert loop.labels == want.labels
    assert loop.losses == want.losses
