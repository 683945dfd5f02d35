"""fuse of training transforms: torchvision's reference presets and timm's, v1 and v2, with and without targets.

The presets are those of torchvision's references/ (classification, detection, segmentation), which its wheel does not
hold, written down again from its classes.
"""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from timm.data import create_transform
from torch.utils import _pytree as pytree
from torchvision import transforms as v1
from torchvision import tv_tensors
from torchvision.transforms import v2

import fastpre
from fastpre.transforms import FusedTransform, fuse, open_image
from pictures import MEAN, STD, photograph, pil

JPEGS = [photograph(*size, seed=i) for i, size in enumerate([(400, 300), (90, 64), (333, 500), (300, 111)])]


def seed_everything(seed: int) -> None:
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  timm and users draw from it


def next_numbers() -> tuple[float, float, float]:
    """From every generator: equal only if both transforms drew the same number of times."""
    return torch.rand(1).item(), random.random(), np.random.random()  # noqa: NPY002


def leaves(sample: Any) -> list[Any]:
    return list(pytree.tree_flatten(sample)[0])


def assert_same(got: Any, want: Any) -> None:
    assert type(got) is type(want) or (isinstance(got, type(want)) and not isinstance(want, torch.Tensor))
    if isinstance(want, torch.Tensor):
        assert got.dtype == want.dtype
        assert torch.equal(got, want), f"{(got != want).sum()} of {want.numel()}"
    else:
        assert np.array_equal(np.asarray(got), np.asarray(want))


def check(transform: Any, seeds: int = 2, targets: Callable[[Any], Any] | None = None) -> FusedTransform:
    """Equal results, image by image, and the same number of draws; with `targets(image)` beside the image."""
    fused = fuse(transform, targets=targets is not None)
    for seed in range(seeds):
        for jpeg in JPEGS:
            image = pil(jpeg)
            rest = () if targets is None else (targets(image),)
            seed_everything(seed)
            want = transform(image, *rest)
            want_next = next_numbers()
            seed_everything(seed)
            got = fused(jpeg, *rest)
            assert next_numbers() == want_next
            assert pytree.tree_flatten(got)[1] == pytree.tree_flatten(want)[1]
            for one, other in zip(leaves(got), leaves(want), strict=True):
                assert_same(one, other)
    assert isinstance(fused, FusedTransform)
    return fused


def classification(backend: str, policy: str | None, erasing: float, library: Any) -> Any:
    steps: list[Any] = [library.PILToTensor()] if backend == "tensor" else []
    steps += [library.RandomResizedCrop(64, interpolation=v1.InterpolationMode.BILINEAR, antialias=True)]
    steps += [library.RandomHorizontalFlip(0.5)]
    policies: dict[str | None, list[Any]] = {
        None: [],
        "ra": [library.RandAugment(interpolation=v1.InterpolationMode.BILINEAR, magnitude=9)],
        "ta_wide": [library.TrivialAugmentWide(interpolation=v1.InterpolationMode.BILINEAR)],
        "augmix": [library.AugMix(interpolation=v1.InterpolationMode.BILINEAR, severity=3)],
        "imagenet": [library.AutoAugment(policy=v1.AutoAugmentPolicy.IMAGENET)],
    }
    steps += policies[policy]
    steps += [library.PILToTensor()] if backend == "pil" else []
    steps += [v2.ToDtype(torch.float32, scale=True) if library is v2 else v1.ConvertImageDtype(torch.float)]
    steps += [library.Normalize(mean=MEAN, std=STD)]
    steps += [library.RandomErasing(p=erasing)] if erasing else []
    steps += [v2.ToPureTensor()] if library is v2 else []
    return library.Compose(steps)


@pytest.mark.parametrize("library", [v1, v2], ids=["v1", "v2"])
@pytest.mark.parametrize("policy", [None, "ra", "ta_wide", "augmix", "imagenet"])
@pytest.mark.parametrize("backend", ["pil", "tensor"])
def test_classification_presets(library: Any, policy: str | None, backend: str) -> None:
    fused = check(classification(backend, policy, 0.5 if policy else 0.0, library))
    text = repr(fused)
    if backend == "tensor":
        assert "decoding\n" in text or "fused with decoding: PILToTensor()" in text
    else:
        first = text.split("\n")[1] if policy else text
        assert "fused with decoding: RandomResizedCrop(" in first
        assert "RandomHorizontalFlip" in first
        assert ("on decoded pixels: " in text) == (policy is not None)
        assert ("on the tensor: RandomErasing" in text) == (policy is not None)


def boxes(image: Any) -> Any:
    """What v2's detection transforms take beside an image."""
    w, h = image.size
    corners = [[1, 2, w * 0.6, h * 0.7], [w * 0.3, h * 0.2, w - 1, h - 2], [0, 0, w, h]]
    return {
        "boxes": tv_tensors.BoundingBoxes(
            torch.tensor(corners), format=tv_tensors.BoundingBoxFormat.XYXY, canvas_size=(h, w)
        ),
        "masks": tv_tensors.Mask(torch.arange(3 * h * w).reshape(3, h, w) % 5 == 0),
        "keypoints": tv_tensors.KeyPoints(torch.tensor([[[3.0, 4.0], [w / 2, h / 3]]] * 3), canvas_size=(h, w)),
        "labels": torch.tensor([1, 2, 3]),
        "image_id": 7,
        "name": "a.jpg",
    }


DETECTION: dict[str, list[Any]] = {
    "hflip": [v2.RandomHorizontalFlip(p=0.5)],
    "lsj": [
        v2.ScaleJitter(target_size=(96, 96), scale_range=(0.1, 2.0), antialias=True),
        v2.RandomCrop((96, 96), pad_if_needed=True, fill={tv_tensors.Image: 0, tv_tensors.Mask: 0, "others": 123}),
        v2.RandomHorizontalFlip(p=0.5),
    ],
    "multiscale": [v2.RandomShortestSize(min_size=(48, 64, 80), max_size=133), v2.RandomHorizontalFlip(p=0.5)],
    "ssd": [
        v2.RandomPhotometricDistort(),
        v2.RandomZoomOut(fill={tv_tensors.Image: (123.0, 117.0, 104.0), "others": 0}),
        v2.RandomIoUCrop(),
        v2.RandomHorizontalFlip(p=0.5),
    ],
    "ssdlite": [v2.RandomIoUCrop(), v2.RandomHorizontalFlip(p=0.5)],
}


@pytest.mark.filterwarnings("ignore:RandomIoUCrop:UserWarning")
@pytest.mark.parametrize("name", DETECTION)
@pytest.mark.parametrize("backend", ["pil", "tv_tensor"])
def test_detection_presets(name: str, backend: str) -> None:
    """Boxes, masks and key points follow the same draw."""
    first: list[Any] = [v2.ToImage()] if backend == "tv_tensor" else []
    then: list[Any] = [] if backend == "tv_tensor" else [v2.PILToTensor()]
    then += [v2.ToDtype(torch.float32, scale=True), v2.ConvertBoundingBoxFormat("CXCYWH"), v2.SanitizeBoundingBoxes()]

    def targets(image: Any) -> Any:
        target = boxes(image)
        if any(isinstance(step, (v2.RandomIoUCrop, v2.RandomZoomOut)) for step in DETECTION[name]):
            del target["keypoints"]
        return target

    check(v2.Compose([*first, *DETECTION[name], *then, v2.ToPureTensor()]), seeds=4, targets=targets)


@pytest.mark.parametrize("backend", ["pil", "tv_tensor"])
def test_segmentation_preset(backend: str) -> None:
    """Masks are padded with 255 where the image is padded with 0, and converted by the same step as the image."""
    steps: list[Any] = [v2.ToImage()] if backend == "tv_tensor" else []
    steps += [v2.RandomResize(min_size=40, max_size=150, antialias=True), v2.RandomHorizontalFlip(0.5)]
    steps += [v2.RandomCrop(64, pad_if_needed=True, fill={tv_tensors.Mask: 255, "others": 0})]
    steps += [v2.PILToTensor()] if backend == "pil" else []
    image, mask = (tv_tensors.Image, tv_tensors.Mask) if backend == "tv_tensor" else (torch.Tensor, tv_tensors.Mask)
    if backend == "tv_tensor":
        steps += [v2.ToDtype({image: torch.float32, mask: torch.int64, "others": None}, scale=True)]
    else:
        steps += [v2.ToDtype(torch.float32, scale=True)]
    steps += [v2.Normalize(MEAN, STD), v2.ToPureTensor()]

    def targets(image: Any) -> Any:
        width, height = image.size
        return tv_tensors.Mask(torch.arange(width * height).reshape(1, height, width) % 21)

    check(v2.Compose(steps), seeds=5, targets=targets)


def test_a_pair_as_one_argument_and_other_nestings() -> None:
    transform = v2.Compose(
        [v2.RandomResizedCrop(20), v2.RandomHorizontalFlip(), v2.ToImage(), v2.ToDtype(torch.float32)]
    )
    fused = fuse(transform, targets=True)
    for make in (
        lambda image, target: (image, target),
        lambda image, target: {"image": image, "target": target, "index": 3},
        lambda image, target: [3, {"deep": (image, target)}],
    ):
        image = pil(JPEGS[0])
        torch.manual_seed(0)
        want = transform(make(image, boxes(image)))
        torch.manual_seed(0)
        got = fused(make(JPEGS[0], boxes(image)))
        assert type(got) is type(want)
        for one, other in zip(leaves(got), leaves(want), strict=True):
            assert_same(one, other)


TIMM: list[dict[str, Any]] = [
    {},
    {"no_aug": True},
    {"interpolation": "random", "color_jitter": None},
    {"interpolation": "bicubic", "vflip": 0.5, "color_jitter": None},
    {"auto_augment": "rand-m9-mstd0.5-inc1"},
    {"auto_augment": "original-mstd0.5"},
    {"auto_augment": "augmix-m5-w4-d2"},
    {"auto_augment": "3a", "color_jitter": 0.3},
    {"train_crop_mode": "rkrc"},
    {"train_crop_mode": "rkrr", "interpolation": "random"},
    {"re_prob": 0.6, "re_mode": "pixel", "re_count": 3},
    {"re_prob": 0.6, "re_mode": "const"},
    {"grayscale_prob": 0.4, "gaussian_blur_prob": 0.4, "color_jitter_prob": 0.5},
    {"use_prefetcher": True},
    {"normalize": False},
    {"scale": (0.3, 0.9), "ratio": (0.8, 1.25), "hflip": 0.0},
]


@pytest.mark.parametrize("options", TIMM, ids=str)
def test_timms_training_transforms(options: dict[str, Any]) -> None:
    transform = create_transform(64, is_training=True, **options)
    if options.get("no_aug"):
        jpeg = JPEGS[0]
        assert torch.equal(fuse(transform)(jpeg), transform(pil(jpeg)))
        return
    check(transform)


@pytest.mark.parametrize("options", [{}, {"crop_pct": 1.0}, {"crop_mode": "squash"}, {"interpolation": "bicubic"}])
def test_timms_evaluation_transforms(options: dict[str, Any]) -> None:
    transform = create_transform(64, is_training=False, **options)
    for jpeg in JPEGS:
        assert torch.equal(fuse(transform)(jpeg), transform(pil(jpeg)))


def test_timms_separate_transforms() -> None:
    """The primary one gives a PIL image, which the secondary one may be given in another place."""
    parts = create_transform(64, is_training=True, separate=True, auto_augment="rand-m5")
    fused = fuse(parts[0])
    for jpeg in JPEGS:
        seed_everything(1)
        want = parts[2](parts[1](parts[0](pil(jpeg))))
        seed_everything(1)
        assert torch.equal(parts[2](parts[1](fused(jpeg))), want)


class Shift(torch.nn.Module):
    """A user's own step, with its own generator."""

    def __init__(self) -> None:
        super().__init__()
        self.random = random.Random(3)

    def forward(self, image: Any) -> Any:
        left = self.random.randint(0, 20)
        return image.crop((left, 5, left + 30, 40))


def test_a_users_own_steps() -> None:
    steps = [Shift(), v1.RandomApply([v1.ColorJitter(0.4)], 0.5), v1.RandomChoice([v1.Resize(9), v1.Resize(12)])]
    make = lambda: v1.Compose([*pickle.loads(pickle.dumps(steps)), v1.ToTensor(), v1.Normalize(MEAN, STD)])  # noqa: E731
    transform, fused = make(), fuse(make())
    for seed in range(5):
        for jpeg in JPEGS:
            torch.manual_seed(seed)
            random.seed(seed)
            want = transform(pil(jpeg))
            torch.manual_seed(seed)
            random.seed(seed)
            assert torch.equal(fused(jpeg), want)


@pytest.mark.parametrize(
    "steps",
    [
        [v1.Grayscale(), v1.RandomCrop(20), v1.ToTensor(), v1.Normalize([0.5], [0.2])],
        [v1.RandomGrayscale(0.5), v1.RandomCrop(20), v1.ToTensor(), v1.Normalize(MEAN, STD)],
        [v1.RandomCrop(20), v1.ToTensor(), v1.RandomHorizontalFlip(), v1.Normalize(MEAN, STD)],
        [v1.RandomCrop(20), v1.PILToTensor()],
        [v1.RandomCrop(20)],
        [v1.RandomCrop(40, padding=4, padding_mode="reflect", pad_if_needed=True), v1.ToTensor()],
        [v1.RandomCrop(120, padding=30, fill=(1, 2, 3), pad_if_needed=True), v1.ToTensor()],
        [v1.RandomRotation(20), v1.RandomAffine(10, (0.1, 0.1)), v1.RandomPerspective(), v1.ToTensor()],
        [v1.Resize(40), v1.FiveCrop(20), v1.Lambda(lambda crops: torch.stack([v1.ToTensor()(c) for c in crops]))],
        [v1.TenCrop(20), v1.Lambda(lambda crops: torch.stack([v1.PILToTensor()(c) for c in crops]))],
        [v1.Resize(40), v1.Resize(20), v1.RandomInvert(), v1.ToTensor()],
        [v1.RandomResizedCrop(20), np.asarray],
    ],
    ids=lambda steps: "-".join(getattr(type(s), "__name__", "f") for s in steps),
)
def test_anything_else_runs_as_it_is(steps: list[Any]) -> None:
    transform = v1.Compose(steps)
    fused = fuse(transform)
    for seed in range(3):
        for jpeg in JPEGS:
            seed_everything(seed)
            want = transform(pil(jpeg))
            seed_everything(seed)
            assert_same(fused(jpeg), want)


def test_crops_alone_are_decoded_only_where_they_are() -> None:
    jpeg = photograph(640, 640, seed=4)
    draw = open_image(jpeg).crop((8, 0, 300, 200)).resize((50, 50)).draw  # type: ignore[attr-defined]
    plan = fastpre._core.plan(jpeg, fastpre.Spec().compiled(), draw=draw.compiled())
    assert plan["source"] == (0, 8, 200, 292)


def test_images_that_are_decoded_already_and_other_sources(tmp_path: Path) -> None:
    transform = v1.Compose([v1.RandomResizedCrop(20), v1.ToTensor()])
    fused = fuse(transform)
    path = tmp_path / "a.jpg"
    path.write_bytes(JPEGS[0])
    torch.manual_seed(0)
    want = transform(pil(JPEGS[0]))
    for source in (JPEGS[0], pil(JPEGS[0]), str(path), path, {"bytes": None, "path": str(path)}, path.open("rb")):
        torch.manual_seed(0)
        assert torch.equal(fused(source), want)


def test_errors_name_the_image(tmp_path: Path) -> None:
    fused = fuse(v1.Compose([v1.RandomResizedCrop(20), v1.ToTensor()]))
    path = tmp_path / "cut.jpg"
    path.write_bytes(JPEGS[0][:2000])
    with pytest.raises(fastpre.CorruptImage, match=r"^.*cut\.jpg: "):
        fused(path)
    with pytest.raises(fastpre.ImageReadError, match=r"absent\.jpg"):
        fused(tmp_path / "absent.jpg")
    with pytest.raises(TypeError, match="expected a JPEG's bytes, a path or a PIL image, got int"):
        fused(3)
    with pytest.raises(TypeError, match="expected a JPEG's bytes"):
        fuse(v2.Compose([v2.RandomResizedCrop(20), v2.ToImage()]), targets=True)((1, {"a": "b"}))


def test_it_pickles_for_spawned_workers() -> None:
    fused = fuse(classification("pil", "ra", 0.5, v2))
    torch.manual_seed(1)
    want = fused(JPEGS[0])
    torch.manual_seed(1)
    assert torch.equal(pickle.loads(pickle.dumps(fused))(JPEGS[0]), want)


def test_a_spec_is_enough_where_nothing_is_random() -> None:
    transform = v1.Compose([v1.Resize(30), v1.CenterCrop(20), v1.ToTensor(), v1.Normalize(MEAN, STD)])
    assert isinstance(fuse(transform), fastpre.transforms.DecodeResizeNormalize)
    assert isinstance(fuse(transform, targets=True), FusedTransform)
    assert torch.equal(fuse(transform, targets=True)(JPEGS[0]), fuse(transform)(JPEGS[0]))
