"""Training with Lightning and accelerate: a Loader is no DataLoader, and they take it as any iterable with a state."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import accelerate
import lightning
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader, DistributedSampler

import fastpre
import fastpre.data
from loading import QUIET_FORK, SPEC, Items, load
from training import Loop, decoded, network, numbered

pytestmark = [QUIET_FORK, pytest.mark.filterwarnings("ignore::UserWarning")]  # advice of Lightning's


class Module(lightning.LightningModule):
    """The small model; remembers what it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.model = network()
        self.seen: list[tuple[int, list[int], float]] = []

    def training_step(self, batch: Any, _: int) -> torch.Tensor:
        images, labels = batch
        loss = torch.nn.functional.cross_entropy(self.model(images), labels)
        self.seen.append((self.current_epoch, labels.tolist(), loss.item()))
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.05)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    yield
    logger.setLevel(level)


def trainer(folder: Path, **options: Any) -> lightning.Trainer:
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    return lightning.Trainer(accelerator="cpu", default_root_dir=folder, **quiet, **options)


def fit(folder: Path, loader: Any, checkpoint: str | None = None) -> list[Any]:
    """Three epochs, with a checkpoint after every step and every epoch."""
    saving: list[Any] = []
    if checkpoint is None:
        saving = [
            ModelCheckpoint(folder, "{step}", save_top_k=-1, every_n_train_steps=1),
            ModelCheckpoint(folder, "{epoch}-end", save_top_k=-1, every_n_epochs=1, save_on_train_epoch_end=True),
        ]
    module = Module()
    options = {"callbacks": saving, "enable_checkpointing": bool(saving)}
    trainer(folder, max_epochs=3, **options).fit(module, loader, ckpt_path=checkpoint, weights_only=False)
    return module.seen


@pytest.mark.parametrize("workers", [0, 1])
def test_lightning(workers: int, batch: list[bytes], tmp_path: Path) -> None:
    """Wherever it was stopped it goes on, with the same losses; a loader with a seed also at an epoch's end."""

    def loader() -> fastpre.data.Loader:
        return load(numbered(batch), batch_size=4, shuffle=True, seed=3, num_workers=workers)

    whole = fit(tmp_path, loader())
    assert [epoch for epoch, _, _ in whole] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    for epoch in range(3):
        assert sorted(sum((labels for e, labels, _ in whole if e == epoch), [])) == list(range(12))  # noqa: RUF017
    plain = Loop()
    for epoch in range(3):
        order = (torch.randperm(12, generator=torch.Generator().manual_seed(3 + epoch))).tolist()
        rows = [torch.cat(parts) for parts in zip(*decoded([batch[i] for i in order], 4), strict=True)]
        plain.run(zip(rows[0].split(4), torch.tensor(order).split(4), strict=True))
    assert [loss for _, _, loss in whole] == plain.losses
    for name, steps in (("step=2", 2), ("step=3", 3), ("epoch=0-end", 3), ("step=4", 4)):
        assert fit(tmp_path, loader(), str(tmp_path / f"{name}.ckpt")) == whole[steps:], name


def test_lightning_without_a_seed(batch: list[bytes], tmp_path: Path) -> None:
    """In the middle of an epoch the place alone is enough."""
    torch.manual_seed(1)
    whole = fit(tmp_path, load(numbered(batch), batch_size=4, shuffle=True))
    torch.manual_seed(2)
    resumed = fit(tmp_path, load(numbered(batch), batch_size=4, shuffle=True), str(tmp_path / "step=5.ckpt"))
    assert resumed[0] == whole[5]


class Distributed(Module):
    """Makes its loader when the processes know each other. Lightning adds no sampler to what is no DataLoader."""

    def __init__(self, batch: list[bytes], folder: str) -> None:
        super().__init__()
        self.batch, self.folder = batch, folder

    def train_dataloader(self) -> fastpre.data.Loader:
        dataset = Items(numbered(self.batch))
        sampler: Any = DistributedSampler(dataset, self.trainer.world_size, self.trainer.global_rank, seed=1)
        return fastpre.data.Loader(dataset, SPEC, batch_size=2, sampler=sampler)

    def on_train_end(self) -> None:
        seen = [(epoch, labels) for epoch, labels, _ in self.seen]
        Path(self.folder, f"{self.trainer.global_rank}.json").write_text(json.dumps(seen))


def test_lightning_in_two_processes(batch: list[bytes], tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # OpenMP's threads are lost in a fork
    try:
        how: dict[str, Any] = {"strategy": "ddp_fork", "devices": 2, "max_epochs": 2, "enable_checkpointing": False}
        trainer(tmp_path, **how).fit(Distributed(batch, str(tmp_path)))
    finally:
        torch.set_num_threads(threads)
    ranks = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    epochs = [
        sorted(label for rank in ranks for e, labels in rank if e == epoch for label in labels) for epoch in (0, 1)
    ]
    assert epochs == [list(range(12))] * 2
    assert [labels for _, labels in ranks[0][:3]] != [labels for _, labels in ranks[0][3:]]


@pytest.mark.parametrize("workers", [0, 1])
def test_accelerate(workers: int, batch: list[bytes], tmp_path: Path) -> None:
    """`prepare` gives it back as it is, and checkpoints take it in once they are told."""

    def prepared() -> tuple[accelerate.Accelerator, Loop, fastpre.data.Loader]:
        accelerator = accelerate.Accelerator(cpu=True)
        loop = Loop()
        sampler: Any = DistributedSampler(
            Items(numbered(batch)), accelerator.num_processes, accelerator.process_index, seed=4
        )
        given = load(numbered(batch), batch_size=2, sampler=sampler, num_workers=workers)
        loop.model, loop.optimizer, loader = accelerator.prepare(loop.model, loop.optimizer, given)
        assert loader is given
        accelerator.register_for_checkpointing(loader)
        return accelerator, loop, loader

    accelerator, whole, loader = prepared()
    for step, loaded in enumerate(loader):
        whole.run([loaded])
        if step == 3:
            accelerator.save_state(str(tmp_path))
    whole.run(loader)
    accelerator.free_memory()
    accelerator, resumed, loader = prepared()
    accelerator.load_state(str(tmp_path))
    resumed.run(loader)
    resumed.run(loader)
    assert resumed.labels == whole.labels[4:]
    assert resumed.losses == whole.losses[4:]


def test_accelerate_with_a_data_loader(batch: list[bytes]) -> None:
    """Which it takes apart and shards: `collate` decodes in there."""
    accelerator = accelerate.Accelerator(cpu=True)
    given = DataLoader(Items(numbered(batch)), batch_size=4, collate_fn=fastpre.data.collate(SPEC))
    loader = accelerator.prepare(given)
    assert loader is not given
    assert Loop().run(loader).losses == Loop().run(decoded(batch, 4)).losses
