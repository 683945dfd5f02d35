"""Draws docs/gallery.md: what the model sees of a photograph, by torchvision or timm and by fastpre, for each preset.

usage: gallery.py PHOTOGRAPHS      a folder as scripts/photographs.py fills it

Each row is one draw: the photograph with the drawn crop, what the preset makes of it with Pillow, what it makes with
fastpre, and where the two differ (black: nowhere, which is also checked).
"""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import timm.data
import torch
import torchvision
from PIL import Image, ImageDraw
from torchvision import transforms as v1
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.utils import draw_bounding_boxes

import fastpre.augment as fa
from fastpre import Preprocessor, Spec
from fastpre.transforms import LazyImage, fuse, open_image

DOCS = Path(__file__).resolve().parents[1] / "docs"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
TENSOR: list[Any] = [v1.PILToTensor(), v1.ConvertImageDtype(torch.float32), v1.Normalize(MEAN, STD)]
SIDE = 150  # pixels of a picture on the page
GAP = 6

# Public domain and CC0, out of scikit-image's wheel: an astronaut, a cat, a launch, a cup of coffee.
NAMES = ("astronaut_png_q90.jpg", "chelsea_png_q90.jpg", "rocket.jpg", "coffee_png_q90.jpg")

PRESETS: dict[str, tuple[str, Any]] = {
    "resnet50-evaluation": (
        "`ResNet50_Weights.DEFAULT.transforms()`",
        torchvision.models.ResNet50_Weights.DEFAULT.transforms(),
    ),
    "classification-training": (
        "torchvision's reference training: RandomResizedCrop, flip, RandomErasing",
        v1.Compose([v1.RandomResizedCrop(224), v1.RandomHorizontalFlip(), *TENSOR, v1.RandomErasing(0.5)]),
    ),
    "trivial-augment": (
        "the same with TrivialAugment, which works on decoded pixels",
        v1.Compose([v1.RandomResizedCrop(224), v1.RandomHorizontalFlip(), v1.TrivialAugmentWide(), *TENSOR]),
    ),
    "random-crop": (
        "Resize and RandomCrop with padding",
        v1.Compose([v1.Resize(200), v1.RandomCrop(224, pad_if_needed=True, fill=(124, 116, 104)), *TENSOR]),
    ),
    "timm-randaugment": (
        "timm's training transform with `auto_augment='rand-m9-mstd0.5-inc1', re_prob=0.25`",
        timm.data.create_transform(224, is_training=True, auto_augment="rand-m9-mstd0.5-inc1", re_prob=0.25),
    ),
}


def seed_everything(seed: int) -> None:
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002


def shown(tensor: torch.Tensor) -> Image.Image:
    """A normalized tensor as a picture."""
    mean, std = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]
    pixels = ((tensor.as_subclass(torch.Tensor) * std + mean).clamp(0, 1) * 255).round().to(torch.uint8)
    return Image.fromarray(pixels.permute(1, 2, 0).numpy())


def fitted(image: Image.Image) -> Image.Image:
    image = image.convert("RGB")
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    canvas = Image.new("RGB", (SIDE, SIDE), "white")
    canvas.paste(image, ((SIDE - image.width) // 2, (SIDE - image.height) // 2))
    return canvas


def with_crop(path: Path, crop: tuple[float, float, float, float] | None) -> Image.Image:
    """The photograph with what was drawn."""
    image = Image.open(path).convert("RGB")
    if crop is not None:
        top, left, height, width = crop
        corners = (left, top, left + width - 1, top + height - 1)
        ImageDraw.Draw(image).rectangle(corners, outline=(255, 40, 40), width=max(image.size) // 60)
    return image


def drawn_crop(transform: Any, path: Path) -> tuple[float, float, float, float] | None:
    """What the geometric steps leave of the photograph; None where the preset is no list of steps."""
    image: Any = open_image(path)
    crop = None
    for step in getattr(transform, "transforms", []):
        image = step(image)
        if not isinstance(image, LazyImage) or image.draw is None:
            break
        crop = image.draw.crop
    return crop


def row(transform: Any, path: Path, seed: int) -> list[Image.Image]:
    seed_everything(seed)
    crop = drawn_crop(transform, path)
    seed_everything(seed)
    theirs = transform(Image.open(path).convert("RGB"))
    seed_everything(seed)
    ours = fuse(transform)(path)
    if not torch.equal(theirs, ours):
        raise SystemExit(f"{path}: the two differ")
    levels = np.abs(np.asarray(shown(ours)).astype(int) - np.asarray(shown(theirs))).astype(np.uint8)
    pictures = (with_crop(path, crop), shown(theirs), shown(ours), Image.fromarray(levels))
    return [fitted(image) for image in pictures]


def sheet(rows: list[list[Image.Image]], target: Path) -> None:
    """Two draws of four pictures beside each other on a line."""
    lines = [rows[i] + rows[i + 1] for i in range(0, len(rows), 2)] if len(rows[0]) == 4 else rows
    columns = len(lines[0])
    page = Image.new("RGB", (columns * (SIDE + GAP) - GAP, len(lines) * (SIDE + GAP) - GAP), "white")
    for y, line in enumerate(lines):
        for x, image in enumerate(line):
            page.paste(image, (x * (SIDE + GAP), y * (SIDE + GAP)))
    page.save(target, quality=85)


def detection(path: Path, seed: int) -> list[Image.Image]:
    """A box and a mask that follow the image's draw."""
    image = Image.open(path).convert("RGB")
    w, h = image.size
    box = torch.tensor([[w * 0.3, h * 0.15, w * 0.7, h * 0.8]])
    yy, xx = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    mask = ((xx - w * 0.5) / (w * 0.2)) ** 2 + ((yy - h * 0.47) / (h * 0.32)) ** 2 < 1
    target = {
        "boxes": tv_tensors.BoundingBoxes(box, format="XYXY", canvas_size=(h, w)),
        "mask": tv_tensors.Mask(mask[None]),
    }
    steps = [v2.RandomResize(160, 260), v2.RandomHorizontalFlip(), v2.RandomCrop(200, pad_if_needed=True)]
    transform = v2.Compose([*steps, v2.PILToTensor()])
    pages = [_marked(v2.functional.pil_to_tensor(image), target)]
    for apply, source in ((transform, image), (fuse(transform, targets=True), path)):
        seed_everything(seed)
        pages.append(_marked(*apply(source, target)))
    difference = Image.fromarray(np.abs(np.asarray(pages[1]).astype(int) - np.asarray(pages[2])).astype(np.uint8))
    if np.asarray(difference).any():
        raise SystemExit(f"{path}: the two differ")
    return [fitted(page) for page in (*pages, difference)]


def _marked(image: torch.Tensor, target: dict[str, Any]) -> Image.Image:
    pixels = image.as_subclass(torch.Tensor).clone()
    pixels[0][target["mask"][0].as_subclass(torch.Tensor)] = 255
    width = max(pixels.shape) // 60
    marked = draw_bounding_boxes(pixels, target["boxes"].as_subclass(torch.Tensor), colors="yellow", width=width)
    return Image.fromarray(marked.permute(1, 2, 0).numpy())


def views(path: Path) -> list[Image.Image]:
    """fastpre.augment.FiveCrop."""
    tensor = Preprocessor(Spec(resize=280))([path], augment=fa.FiveCrop(200))[0]
    return [fitted(image) for image in (Image.open(path), *map(shown, tensor))]


def main(photographs: Path) -> None:
    paths = [photographs / name for name in NAMES]
    folder = DOCS / "gallery"
    folder.mkdir(exist_ok=True)
    sections = []
    for name, (title, transform) in PRESETS.items():
        sheet([row(transform, path, seed) for seed, path in enumerate(paths)], folder / f"{name}.jpg")
        sections.append((name, title))
    sheet([detection(path, seed + 3) for seed, path in enumerate(paths)], folder / "targets.jpg")
    boxes = "Boxes and masks follow the image: `fuse(transform, targets=True)(path, target)`"
    sections.append(("targets", boxes))
    sheet([views(path) for path in paths[:2]], folder / "five-crop.jpg")
    sections.append(("five-crop", "`fastpre.augment.FiveCrop(200)` of `Spec(resize=280)`"))
    write(sections)


def write(sections: list[tuple[str, str]]) -> None:
    libraries = {"torchvision": torchvision.__version__.split("+")[0], "timm": timm.__version__}
    versions = ", ".join(f"{name} {v}" for name, v in {**libraries, "Pillow": Image.__version__}.items())
    lines = ["# What the model sees", ""]
    lines += ["Four draws a preset. Of each: the photograph with the crop that was drawn; what the preset makes of"]
    lines += ["it with Pillow; what it makes of it with fastpre, from the same seed; where the two differ: black,"]
    lines += ["nowhere, which `scripts/gallery.py` also checks before it draws this page. Photographs: out of"]
    lines += ["scikit-image's wheel, public domain or CC0.", f"({versions}.)", ""]
    for name, title in sections:
        lines += [f"## {title}", "", f"![{name}](gallery/{name}.jpg)", ""]
    (DOCS / "gallery.md").write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
