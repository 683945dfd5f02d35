"""fastpre.augment: the draws of torchvision, v1 and v2, and the bits of its PIL path."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms as v1
from torchvision.transforms import v2

import fastpre
import fastpre.augment as fa
import streams
from pictures import MEAN, STD, photograph
from reference import assert_equal, opened

NORMAL: list[Any] = [v1.ToTensor(), v1.Normalize(MEAN, STD)]
SIZES = [(400, 300), (90, 64), (333, 700), (1000, 111), (500, 500), (60, 1000), (224, 224), (31, 33)]
JPEGS = [photograph(*size, seed=i) for i, size in enumerate(SIZES)]
EVERY = list(enumerate(streams.varied()))


def expected(steps: list[Any], jpegs: list[bytes], seed: int, **how: Any) -> torch.Tensor:
    """torchvision's result, image by image, after torch.manual_seed(seed)."""
    transform = v1.Compose([*steps, *NORMAL])
    torch.manual_seed(seed)
    return torch.stack([transform(opened(jpeg, **how)) for jpeg in jpegs])


def got(augment: Any, jpegs: list[bytes], seed: int, device: str = "cpu", **fields: Any) -> torch.Tensor:
    torch.manual_seed(seed)
    return fastpre.Preprocessor(fastpre.Spec(**fields), device)(jpegs, augment=augment)


@pytest.mark.parametrize("version", [v1, v2], ids=["v1", "v2"])
@pytest.mark.parametrize("device", ["cpu", "emulated"])
def test_resized_crops_and_flips(version: Any, device: str) -> None:
    augment = fa.Compose([fa.RandomResizedCrop(48), fa.RandomHorizontalFlip(), fa.RandomVerticalFlip(0.3)])
    steps = [version.RandomResizedCrop(48), version.RandomHorizontalFlip(), version.RandomVerticalFlip(0.3)]
    for seed in range(20 if device == "cpu" else 3):
        assert_equal(got(augment, JPEGS, seed, device), expected(steps, JPEGS, seed), seed)
        # The generator is where torchvision leaves it.
        after = torch.rand(3)
        torch.manual_seed(seed)
        for jpeg in JPEGS:
            v1.Compose(steps)(opened(jpeg))
        assert torch.equal(after, torch.rand(3))


RESIZED_CROPS: list[dict[str, Any]] = [
    {"size": 1},
    {"size": (40, 70), "scale": (0.001, 0.01)},
    {"size": 64, "scale": (0.9, 1.0), "ratio": (0.2, 0.25)},  # seldom fits: the fallback, by width
    {"size": 64, "scale": (0.9, 1.0), "ratio": (4.0, 5.0)},  # by height
    {"size": 300, "scale": (2.0, 3.0)},  # never fits, and the ratio is within bounds: the whole image
    {"size": 33, "interpolation": "bicubic"},
    {"size": 33, "interpolation": "nearest"},
    {"size": 33, "interpolation": "lanczos", "scale": (0.05, 0.2)},
    {"size": 33, "interpolation": "box", "scale": (0.05, 0.2)},
]


@pytest.mark.parametrize("arguments", RESIZED_CROPS, ids=str)
def test_arguments_of_resized_crops(arguments: dict[str, Any]) -> None:
    theirs = dict(arguments)
    if "interpolation" in theirs:
        theirs["interpolation"] = v1.InterpolationMode(theirs["interpolation"])
    for seed in range(5):
        want = expected([v1.RandomResizedCrop(**theirs)], JPEGS, seed)
        assert_equal(got(fa.RandomResizedCrop(**arguments), JPEGS, seed), want, seed)


def test_the_interpolation_is_the_specs_unless_said() -> None:
    want = expected([v1.RandomResizedCrop(32, interpolation=v1.InterpolationMode.BICUBIC)], JPEGS, 1)
    assert_equal(got(fa.RandomResizedCrop(32), JPEGS, 1, interpolation="bicubic"), want)


CROPS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"size": 24}, {"resize": None}),
    ({"size": 31}, {"resize": None}),
    ({"size": 32, "padding": 4}, {"resize": 32}),
    ({"size": (30, 20), "padding": (5, 0), "fill": 7}, {"resize": None}),
    ({"size": (60, 70), "padding": [1, 2, 3, 40], "fill": (255, 0, 9), "pad_if_needed": True}, {"resize": None}),
    ({"size": 400, "pad_if_needed": True, "fill": 128}, {"resize": 200}),
    ({"size": 224}, {"resize": 256}),
]


@pytest.mark.parametrize(("arguments", "spec"), CROPS, ids=str)
@pytest.mark.parametrize("device", ["cpu", "emulated"])
def test_random_crops(arguments: dict[str, Any], spec: dict[str, Any], device: str) -> None:
    steps: list[Any] = [] if spec["resize"] is None else [v2.Resize(spec["resize"])]
    steps += [v2.RandomCrop(**arguments), v2.RandomHorizontalFlip()]
    augment = [fa.RandomCrop(**arguments), fa.RandomHorizontalFlip()]
    jpegs = JPEGS if device == "cpu" else JPEGS[1::3]
    for seed in range(4 if device == "cpu" else 1):
        assert_equal(got(augment, jpegs, seed, device, **spec), expected(steps, jpegs, seed), seed)


def test_a_crop_replaces_the_specs_crop_and_a_resized_crop_its_resize_too() -> None:
    assert_equal(got(fa.RandomCrop(200), JPEGS, 3), expected([v2.Resize(256), v2.RandomCrop(200)], JPEGS, 3))
    assert_equal(got(fa.RandomResizedCrop(20), JPEGS, 3), expected([v2.RandomResizedCrop(20)], JPEGS, 3))
    flipped = expected([v2.Resize(256), v2.CenterCrop(224), v2.RandomHorizontalFlip()], JPEGS, 3)
    assert_equal(got(fa.RandomHorizontalFlip(), JPEGS, 3), flipped)


@pytest.mark.parametrize("fill", [0, 200, (1, 2, 3)])
def test_padding(fill: Any) -> None:
    steps = [v1.Resize((50, 60)), v1.Pad((1, 2, 3, 4), fill=fill), v1.RandomHorizontalFlip()]
    augment = [fa.Pad((1, 2, 3, 4), fill=fill), fa.RandomHorizontalFlip()]
    for device in ("cpu", "emulated"):
        tensor = got(augment, JPEGS, 0, device, resize=(50, 60), crop=None)
        assert_equal(tensor, expected(steps, JPEGS, 0))


@pytest.mark.parametrize("color", ["RGB", "BGR", "L"])
def test_padding_has_the_colour_of_its_channel(color: Any) -> None:
    spec = fastpre.Spec(resize=(20, 30), crop=None, dtype="uint8", color=color)
    tensor = fastpre.Preprocessor(spec)(JPEGS[:2], augment=fa.Pad(3, fill=(10, 20, 30)))
    corner = {"RGB": [10, 20, 30], "BGR": [30, 20, 10], "L": [10]}[color]
    assert tensor[:, :, 0, 0].tolist() == [corner, corner]
    assert tensor[:, :, -1, -1].tolist() == [corner, corner]


@pytest.mark.parametrize(
    ("ours", "theirs", "views"),
    [
        (fa.FiveCrop(40), v1.FiveCrop(40), 5),
        (fa.FiveCrop((41, 63)), v1.FiveCrop((41, 63)), 5),
        (fa.TenCrop(57), v1.TenCrop(57), 10),
        (fa.TenCrop((64, 64), vertical_flip=True), v1.TenCrop((64, 64), vertical_flip=True), 10),
    ],
    ids=repr,
)
def test_several_views(ours: Any, theirs: Any, views: int) -> None:
    stacked = v1.Lambda(lambda crops: torch.stack([v1.Compose(NORMAL)(crop) for crop in crops]))
    transform = v1.Compose([v1.Resize(64), theirs, stacked])
    want = torch.stack([transform(opened(jpeg)) for jpeg in JPEGS])
    for device in ("cpu", "emulated"):
        tensor = got(ours, JPEGS, 0, device, resize=64)
        assert tensor.shape[:2] == (len(JPEGS), views)
        assert_equal(tensor, want)


@pytest.mark.parametrize("version", [v1, v2], ids=["v1", "v2"])
@pytest.mark.parametrize("value", [0, 1.5, (0.1, 0.2, 0.3), "random"], ids=str)
def test_erasing(version: Any, value: Any) -> None:
    """Its draws come between those of one image's geometry and the next one's."""
    for seed in range(6):
        torch.manual_seed(seed)
        transform = v1.Compose([version.RandomResizedCrop(40), *NORMAL, version.RandomErasing(0.7, value=value)])
        want = torch.stack([transform(opened(jpeg)) for jpeg in JPEGS])
        augment = [fa.RandomResizedCrop(40), fa.RandomErasing(0.7, value=value)]
        assert_equal(got(augment, JPEGS, seed), want, seed)


def test_erasing_on_the_emulator_and_into_out() -> None:
    augment = [fa.RandomResizedCrop(40), fa.RandomErasing(1.0, value="random")]
    want = got(augment, JPEGS, 2)
    assert_equal(got(augment, JPEGS, 2, "emulated"), want)
    array = np.empty(want.shape, np.float32)
    torch.manual_seed(2)
    assert fastpre.Preprocessor()(JPEGS, augment=augment, out=array) is array
    assert_equal(torch.from_numpy(array), want)


@pytest.mark.parametrize(("number", "named"), EVERY, ids=[name for _, (name, _) in EVERY])
def test_every_kind_of_stream(number: int, named: tuple[str, bytes]) -> None:
    """Progressive, CMYK, gray, every sampling, restart markers, odd sizes: three crops and flips of each."""
    _, jpeg = named
    for seed in range(number, number + 3):
        for exif in (False, True):
            steps = [v1.RandomResizedCrop(24, scale=(0.1, 1.0)), v1.RandomHorizontalFlip(), v1.RandomVerticalFlip()]
            want = expected(steps, [jpeg], seed, exif_orientation=exif)
            augment = [fa.RandomResizedCrop(24, scale=(0.1, 1.0)), fa.RandomHorizontalFlip(), fa.RandomVerticalFlip()]
            assert_equal(got(augment, [jpeg], seed, exif_orientation=exif), want, (seed, exif))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("device", ["cpu", "emulated"])
def test_orientation_comes_first(orientation: int, device: str) -> None:
    image = streams.picture("RGB", 120, 77, seed=1)
    exif = Image.Exif()
    exif[0x0112] = orientation
    jpeg = streams.encode(image, exif=exif, quality=95)
    steps = [v1.RandomResizedCrop((24, 31)), v1.RandomHorizontalFlip(), v1.RandomVerticalFlip()]
    augment = [fa.RandomResizedCrop((24, 31)), fa.RandomHorizontalFlip(), fa.RandomVerticalFlip()]
    for seed in range(6):
        want = expected(steps, [jpeg], seed, exif_orientation=True)
        assert_equal(got(augment, [jpeg], seed, device, exif_orientation=True), want, seed)


@pytest.mark.parametrize("dtype", ["uint8", "float16", "bfloat16"])
@pytest.mark.parametrize("memory_format", ["contiguous_format", "channels_last"])
@pytest.mark.parametrize("color", ["RGB", "BGR", "L"])
def test_flips_in_every_layout(dtype: Any, memory_format: Any, color: Any) -> None:
    """A mirrored row goes another way through the store: it must be the row that is not mirrored, reversed."""
    spec = fastpre.Spec(resize=(37, 45), crop=None, dtype=dtype, memory_format=memory_format, color=color)
    plain = fastpre.Preprocessor(spec)(JPEGS)
    both = [fa.RandomHorizontalFlip(1.0), fa.RandomVerticalFlip(1.0)]
    for device in ("cpu", "emulated"):
        pre = fastpre.Preprocessor(spec, device)
        assert torch.equal(pre(JPEGS, augment=both[0]), plain.flip(3))
        assert torch.equal(pre(JPEGS, augment=both), plain.flip(2, 3))


def test_seeds_decide_alone() -> None:
    """Whatever the place in the batch, the number of threads, the device, and torch's own generator."""
    augment = fa.Compose([fa.RandomResizedCrop(40), fa.RandomHorizontalFlip(), fa.RandomErasing(0.5)])
    seeds = [2**31 + 7 * i for i in range(len(JPEGS))]
    torch.manual_seed(0)
    first = fastpre.Preprocessor(num_threads=1)(JPEGS, augment=augment, seeds=seeds)
    assert torch.equal(torch.rand(1), torch.rand(1, generator=torch.Generator().manual_seed(0)))  # untouched
    torch.manual_seed(99)
    for device, threads in (("cpu", 2), ("emulated", 2)):
        again = fastpre.Preprocessor(device=device, num_threads=threads)(
            JPEGS[::-1], augment=augment, seeds=seeds[::-1]
        )
        assert torch.equal(again.flip(0), first)
    for i, (jpeg, seed) in enumerate(zip(JPEGS, seeds, strict=True)):
        torch.manual_seed(seed)
        steps = [v1.RandomResizedCrop(40), v1.RandomHorizontalFlip(), *NORMAL, v1.RandomErasing(0.5)]
        assert_equal(first[i], v1.Compose(steps)(opened(jpeg)), i)


def test_results_say_what_was_drawn(tmp_path: Path) -> None:
    paths = []
    for i, jpeg in enumerate(JPEGS):
        paths.append(tmp_path / f"{i}.jpg")
        paths[-1].write_bytes(jpeg)
    torch.manual_seed(5)
    drawn = []
    for jpeg in JPEGS:
        image = opened(jpeg)
        drawn.append((v1.RandomResizedCrop.get_params(image, (0.08, 1.0), (3 / 4, 4 / 3)), bool(torch.rand(1) < 0.5)))
    torch.manual_seed(5)
    result = fastpre.Preprocessor().run(paths, augment=[fa.RandomResizedCrop(40), fa.RandomHorizontalFlip()])
    assert [(image.crop, image.flipped) for image in result.images] == drawn
    again = pickle.loads(pickle.dumps(result.images[0]))
    assert again.crop == result.images[0].crop
    assert fastpre.Preprocessor().run(paths).images[0].crop is None


def test_crop_of_a_crop_and_of_padding() -> None:
    """`crop` is in pixels of the displayed image, before any flip."""
    draw = fa.Draw.of(100, 200).flipped_by(False, True).cropped(10, 20, 50, 60)
    assert draw.crop == (10, 200 - 20 - 60, 50, 60)
    assert draw.flipped == (False, True)
    assert fa.Draw.of(100, 200).cropped(-4, -5, 108, 210).crop == (-4, -5, 108, 210)
    assert fa.Draw.of(100, 200).resized_to(50, 100, "bilinear").cropped(5, 10, 20, 30).crop == (10, 20, 40, 60)


def test_a_bad_image_changes_no_draw_of_the_others(tmp_path: Path) -> None:
    augment = fa.Compose([fa.RandomResizedCrop(40), fa.RandomHorizontalFlip()])
    good = fastpre.Preprocessor()(JPEGS, augment=augment, seeds=list(range(8)))
    broken: list[Any] = [b"no JPEG", None, tmp_path / "absent.jpg", JPEGS[0][:300], JPEGS[1][: len(JPEGS[1]) // 2]]
    items = [*JPEGS[:4], *broken, *JPEGS[4:]]
    seeds = [0, 1, 2, 3, 90, 91, 92, 93, 94, 4, 5, 6, 7]
    result = fastpre.Preprocessor().run(items, augment=augment, seeds=seeds, on_error="skip")
    assert torch.equal(result.tensor, good)
    assert [image.index for image in result.images if not image.ok] == [4, 5, 6, 7, 8]
    assert "absent.jpg" in str(result.errors[2])
    filled = fastpre.Preprocessor().run(items, augment=augment, seeds=seeds, on_error="fill", fill=7)
    assert (filled.tensor[4:9] == 7).all()


def test_an_image_that_is_too_small_is_an_error_of_its_own() -> None:
    pre = fastpre.Preprocessor(fastpre.Spec(resize=None, crop=None))
    with pytest.raises(fastpre.UnsupportedImage, match=r"image 1: RandomCrop of 70x70 is larger than the image, 64x90"):
        pre(JPEGS, augment=fa.RandomCrop(70), seeds=range(8))
    result = pre.run(JPEGS, augment=fa.RandomCrop(70), seeds=range(8), on_error="skip")
    assert result.indices == [i for i, size in enumerate(SIZES) if min(size) >= 70]
    with pytest.raises(fastpre.UnsupportedImage, match=r"FiveCrop of 70x70 is larger"):
        pre(JPEGS, augment=fa.FiveCrop(70))


def test_outputs_of_different_sizes_are_refused() -> None:
    pre = fastpre.Preprocessor(fastpre.Spec(resize=None, crop=None))
    with pytest.raises(ValueError, match=r"image 0 gives 300x400, image 1 gives 64x90"):
        pre(JPEGS, augment=fa.RandomHorizontalFlip())


def test_no_images_and_no_good_ones() -> None:
    augment = fa.RandomResizedCrop(40)
    with pytest.raises(ValueError, match="empty batch"):
        fastpre.Preprocessor(fastpre.Spec(crop=None))([], augment=augment)
    result = fastpre.Preprocessor().run([b"x", b"y"], augment=augment, on_error="skip")
    assert len(result.tensor) == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: fa.Compose([v1.RandomHorizontalFlip()]),
            r"fastpre\.augment's steps, got RandomHorizontalFlip; .*fuse",
        ),
        (lambda: fa.Compose([fa.RandomErasing(), fa.RandomHorizontalFlip()]), "geometry comes first"),
        (lambda: fa.Compose([fa.FiveCrop(3), fa.TenCrop(3)]), "at most one FiveCrop"),
        (lambda: fa.RandomResizedCrop(0), "size must be at least 1"),
        (lambda: fa.RandomResizedCrop(8, scale=(0.5, 0.1)), "scale must be"),
        (lambda: fa.RandomResizedCrop(8, ratio=(0.0, 1.0)), "ratio must be"),
        (lambda: fa.RandomResizedCrop(8, interpolation="cubic"), "interpolation must be one of"),  # type: ignore[arg-type]
        (lambda: fa.RandomHorizontalFlip(1.5), r"p must be in \[0, 1\]"),
        (lambda: fa.Pad(-1), "padding must be"),
        (lambda: fa.Pad((1, 2, 3)), "padding must be"),
        (lambda: fa.Pad(1, fill=256), "fill must be"),
        (lambda: fa.RandomErasing(value="noise"), "value must be"),  # type: ignore[arg-type]
    ],
)
def test_wrong_arguments_are_named(make: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        make()


def test_seeds_are_counted() -> None:
    with pytest.raises(ValueError, match="1 seeds, 8 images"):
        fastpre.Preprocessor()(JPEGS, augment=fa.RandomHorizontalFlip(), seeds=[1])
    with pytest.raises(ValueError, match="seeds are for augment"):
        fastpre.Preprocessor()(JPEGS, seeds=[1] * 8)


def test_steps_are_values() -> None:
    one, other = (fa.Compose([fa.RandomResizedCrop(224), fa.RandomErasing(value=(1, 2, 3))]) for _ in range(2))
    assert one == other
    assert hash(one) == hash(other)
    assert pickle.loads(pickle.dumps(one)) == one
    assert eval(repr(one), vars(fa)) == one
    assert fa.Compose([one.steps[0]]) != one


def test_drawing_works_without_torchvision_and_decoded_images_too() -> None:
    """A transform with `augment` draws the same for bytes, PIL images and tensors."""
    from fastpre.transforms import DecodeResizeNormalize

    transform = DecodeResizeNormalize(augment=[fa.RandomResizedCrop(40), fa.RandomHorizontalFlip(), fa.RandomErasing()])
    for jpeg in JPEGS:
        results = []
        for image in (jpeg, opened(jpeg), v1.PILToTensor()(opened(jpeg))):
            torch.manual_seed(4)
            results.append(transform(image))
        assert torch.equal(results[0], results[1])
        assert torch.equal(results[0], results[2])
    views = DecodeResizeNormalize(resize=64, augment=fa.FiveCrop(40))
    assert torch.equal(views(JPEGS[0]), views(opened(JPEGS[0])))
    with pytest.raises(fastpre.UnsupportedImage, match="larger than the image"):
        DecodeResizeNormalize(resize=None, crop=None, augment=fa.RandomCrop(1000))(opened(JPEGS[0]))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ([fa.Pad(4, fill=128), fa.RandomCrop(32)], [v2.Pad(4, fill=128), v2.RandomCrop(32)]),
        ([fa.RandomCrop(36, padding=9, fill=7), fa.RandomCrop(33)], [v2.RandomCrop(36, 9, fill=7), v2.RandomCrop(33)]),
    ],
)
def test_padding_keeps_its_colour_in_later_crops(ours: Any, theirs: Any) -> None:
    for seed in range(6):
        want = expected([v1.Resize((32, 32)), *theirs], JPEGS, seed)
        assert_equal(got(ours, JPEGS, seed, resize=(32, 32)), want, seed)
