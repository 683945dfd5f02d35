"""Random geometry in loaders: a seed for each sample, whatever the batches, workers, threads and devices."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader
from torchvision import transforms as v1

import fastpre
import fastpre.augment as fa
import fastpre.data
from loading import QUIET_FORK, TIMEOUT_S
from pictures import MEAN, STD, photograph, pil

pytestmark = QUIET_FORK

AUGMENT = fa.Compose([fa.RandomResizedCrop(24), fa.RandomHorizontalFlip(), fa.RandomErasing(0.5)])
JPEGS = [photograph(60 + 7 * i, 110 - 4 * i, seed=i) for i in range(11)]
SAMPLES = [(jpeg, i) for i, jpeg in enumerate(JPEGS)]


def by_label(loader: Any) -> dict[int, torch.Tensor]:
    """An epoch's images."""
    return {int(label): image for images, labels in loader for image, label in zip(images, labels, strict=True)}


def same(one: dict[int, torch.Tensor], other: dict[int, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[label], other[label]) for label in one)


def make(**how: Any) -> fastpre.data.Loader:
    options: dict[str, Any] = {"batch_size": 4, "augment": AUGMENT, "seed": 3, "timeout": 0} | how
    options["timeout"] = TIMEOUT_S if options.get("num_workers") else 0
    return fastpre.data.Loader(SAMPLES, **options)


def test_draws_depend_on_seed_epoch_and_sample_alone() -> None:
    first = by_label(make())
    for how in (
        {"batch_size": 7},
        {"num_workers": 2},
        {"num_threads": 1, "prefetch_batches": 0},
        {"device": "emulated"},
        {"shuffle": True},
        {"sampler": list(range(11))[::-1]},
    ):
        assert same(by_label(make(**how)), first), how
    assert not same(by_label(make(seed=4)), first)
    loader = make()
    epochs = [by_label(loader) for _ in range(2)]
    assert same(epochs[0], first)
    assert not same(epochs[1], first)
    loader.set_epoch(0)
    assert same(by_label(loader), first)


def test_without_a_seed_torchs_generator_decides() -> None:
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(by_label(make(seed=None, shuffle=True)))
    assert same(results[0], results[1])
    assert not same(results[0], results[2])


def test_a_resumed_epoch_draws_what_it_would_have_drawn() -> None:
    whole = [batch for batch, _ in make(shuffle=True)]
    loader = make(shuffle=True)
    iterator = iter(loader)
    assert torch.equal(next(iterator)[0], whole[0])
    state = loader.state_dict()
    del iterator
    resumed = make(shuffle=True, num_threads=1)
    resumed.load_state_dict(state)
    for got, want in zip([batch for batch, _ in resumed], whole[1:], strict=True):
        assert torch.equal(got, want)


def test_a_bad_sample_changes_no_draw_of_the_others() -> None:
    good = by_label(make())
    for bad in (b"no JPEG", None, JPEGS[5][:400], JPEGS[5][: len(JPEGS[5]) // 2]):
        samples = [(bad, 5) if i == 5 else sample for i, sample in enumerate(SAMPLES)]
        loader = fastpre.data.Loader(samples, batch_size=4, augment=AUGMENT, seed=3, on_error="skip")
        found = by_label(loader)
        assert same(found, {label: image for label, image in good.items() if label != 5})
        assert [entry.dataset_index for entry in loader.report()] == [5]


def test_several_views_and_other_sizes() -> None:
    spec = fastpre.Spec(resize=40, crop=None)
    loader = fastpre.data.Loader(JPEGS, spec, batch_size=4, augment=fa.FiveCrop(24))
    assert [tuple(batch.shape) for batch in loader] == [(4, 5, 3, 24, 24), (4, 5, 3, 24, 24), (3, 5, 3, 24, 24)]
    assert "FiveCrop" in repr(fastpre.data.collate(spec, augment=fa.FiveCrop(24)))


@pytest.mark.parametrize("workers", [0, 2])
def test_collate_draws_as_torchvision_does(workers: int) -> None:
    """From torch's generator, which DataLoader seeds in each worker."""
    steps = [v1.RandomResizedCrop(24), v1.RandomHorizontalFlip(), v1.ToTensor(), v1.Normalize(MEAN, STD)]
    transform = v1.Compose([*steps, v1.RandomErasing(0.5)])

    class Theirs(torch.utils.data.Dataset[Any]):
        def __getitem__(self, index: int) -> Any:
            return transform(pil(JPEGS[index])), index

        def __len__(self) -> int:
            return len(JPEGS)

    results = []
    for dataset, function in ((Theirs(), None), (SAMPLES, fastpre.data.collate(augment=AUGMENT))):
        torch.manual_seed(8)
        loader: Any = DataLoader(
            dataset,  # type: ignore[arg-type]
            4,
            shuffle=True,
            num_workers=workers,
            collate_fn=function,
            timeout=TIMEOUT_S if workers else 0,
        )
        results.append(list(loader))
    for got, want in zip(*results, strict=True):
        assert torch.equal(got[1], want[1])
        assert torch.equal(got[0], want[0])
