"""torchvision's reference training loop, on torchvision's ImageFolder and on fastpre's: one import differs.

python examples/train_resnet.py                     # both: equal losses, and how long their epochs took
python examples/train_resnet.py --input fastpre --data photos/train --epochs 90 --model resnet50

The transform is that of torchvision's classification reference (RandomResizedCrop, flip, normalize, RandomErasing;
--auto-augment for its policies). Without --data it makes a folder of its own: crops of photographs that scikit-image,
scikit-learn and matplotlib ship, where they are installed, and made ones. Weights are random and labels mean nothing:
the point is that the losses are the same numbers, to the last bit, at every step.
"""

from __future__ import annotations

import argparse
import io
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader
from torchvision import transforms

from fastpre.cli.photographs import generated, shipped

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
INPUTS = ("torchvision", "fastpre")


def image_folder(name: str) -> Any:
    """The one import that changes."""
    if name == "fastpre":
        from fastpre.data import ImageFolder
    else:
        from torchvision.datasets import ImageFolder
    return ImageFolder


def training_transform(size: int, policy: str | None) -> Any:
    """The reference's, with its defaults for ResNet."""
    policies = {None: [], "ra": [transforms.RandAugment()], "ta_wide": [transforms.TrivialAugmentWide()]}
    return transforms.Compose(
        [
            transforms.RandomResizedCrop(size),
            transforms.RandomHorizontalFlip(),
            *policies[policy],
            transforms.PILToTensor(),
            transforms.ConvertImageDtype(torch.float),
            transforms.Normalize(MEAN, STD),
            transforms.RandomErasing(0.1),
        ]
    )


class SmallNet(nn.Module):
    """Some convolutions: the epoch takes as long as its input does."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 8, 8), nn.ReLU(), nn.Conv2d(8, 16, 4, 4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
        self.head = nn.Linear(16, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.layers(images))


def make_model(name: str, classes: int) -> nn.Module:
    return SmallNet(classes) if name == "small" else torchvision.models.get_model(name, num_classes=classes)


def make_folder(root: Path, count: int, classes: int = 4) -> None:
    """A folder for each class, of JPEGs of about half a megapixel and less."""
    rng = np.random.default_rng(0)
    sources = [Image.open(path).convert("RGB") for path in shipped()]
    sources += [Image.open(io.BytesIO(data)).convert("RGB") for data in generated(4, 600, 800)]
    for i in range(count):
        image = sources[i % len(sources)]
        width, height = (int(side * rng.uniform(0.6, 1.0)) for side in image.size)
        left, top = int(rng.integers(image.width - width + 1)), int(rng.integers(image.height - height + 1))
        part = image.crop((left, top, left + width, top + height))
        part.thumbnail((640, 640))
        path = root / f"class{i % classes}" / f"{i:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        part.save(path, quality=90)


class Training:
    """A model, its optimizer and its input; `epoch()` trains for one, as the reference's train_one_epoch does."""

    def __init__(self, kind: str, arguments: argparse.Namespace, model_name: str, root: Path) -> None:
        torch.manual_seed(arguments.seed)
        random.seed(arguments.seed)
        dataset = image_folder(kind)(str(root), training_transform(arguments.size, arguments.auto_augment))
        self.loader = DataLoader(
            dataset,
            batch_size=arguments.batch_size,
            shuffle=True,
            num_workers=arguments.workers,
            drop_last=True,
            generator=torch.Generator().manual_seed(arguments.seed),
        )
        self.model = make_model(model_name, len(dataset.classes))
        self.criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
        self.losses: list[float] = []
        self.seconds: list[float] = []

    def epoch(self, number: int, seed: int) -> None:
        """One pass over the folder. Seeded, so that two trainings can be run epoch by epoch in turn."""
        torch.manual_seed(seed * 1000 + number)
        random.seed(seed * 1000 + number)
        start = time.perf_counter()
        self.model.train()
        for images, target in self.loader:
            loss = self.criterion(self.model(images), target)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.losses.append(loss.item())
        self.seconds.append(time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", choices=[*INPUTS, "both"], default="both")
    parser.add_argument("--data", type=Path, help="a folder with a folder for each class")
    parser.add_argument("--model", help="of torchvision.models, or 'small'; by default both cases: small and resnet18")
    parser.add_argument("--auto-augment", choices=["ra", "ta_wide"])
    parser.add_argument("--images", type=int, default=256, help="of a made folder")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.use_deterministic_algorithms(True)
    with tempfile.TemporaryDirectory() as made:
        root = arguments.data or Path(made)
        if arguments.data is None:
            make_folder(root, arguments.images)
        names = INPUTS if arguments.input == "both" else [arguments.input]
        for model in [arguments.model] if arguments.model else ["small", "resnet18"]:
            compare(model, names, arguments, root)


def compare(model: str, names: Any, arguments: argparse.Namespace, root: Path) -> None:
    """Trains with each input, an epoch of each in turn, and says what came of it."""
    trainings = {name: Training(name, arguments, model, root) for name in names}
    for number in range(arguments.epochs):
        for training in trainings.values():
            training.epoch(number, arguments.seed)
    for name, training in trainings.items():
        times = ", ".join(f"{s:.2f}" for s in training.seconds)
        print(f"{model} on {name}: losses {training.losses[0]:.6f} ... {training.losses[-1]:.6f}; epochs {times} s")
    if len(trainings) == 2:
        theirs, ours = trainings.values()
        same = "the same to the last bit" if ours.losses == theirs.losses else "DIFFERENT"
        ratio = statistics.median(t / o for t, o in zip(theirs.seconds, ours.seconds, strict=True))
        print(f"{model}: {len(ours.losses)} losses, {same}; an epoch is {ratio:.2f} times as fast")
        if ours.losses != theirs.losses:
            raise SystemExit(1)


if __name__ == "__main__":
    main()
