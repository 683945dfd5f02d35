"""truncated="partial": what arrived of an image, as Pillow gives it under LOAD_TRUNCATED_IMAGES, to the bit."""

from __future__ import annotations

import io
import random
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile
from torchvision import transforms

import fastpre
import streams
from pictures import MEAN, STD, photograph
from reference import assert_equal

WHOLE: dict[str, Any] = {"resize": None, "crop": None, "dtype": "uint8", "truncated": "partial"}
MODERN = int(fastpre._core.build_info()["libjpeg_turbo"].split(".")[0]) >= 3


@pytest.fixture(autouse=True)
def tolerant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)


def pillow(data: bytes) -> Image.Image | None:
    """What Pillow makes of it; None if it refuses."""
    try:
        return Image.open(io.BytesIO(data)).convert("RGB")
    except (OSError, SyntaxError, ValueError):
        return None


def strict(data: bytes) -> bool:
    """True if Pillow takes it without the flag."""
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        return pillow(data) is not None
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = True


def smoothed_otherwise(data: bytes) -> bool:
    """Progressive streams that lack scans: libjpeg-turbo before 3.0 smooths them by an older rule."""
    return not MODERN and b"\xff\xc2" in data


def check(data: bytes, pre: fastpre.Preprocessor, what: Any) -> str:
    """Pillow's verdict and pixels, and the mark."""
    result = pre.run([data], on_error="fill")
    image, want = result.images[0], pillow(data)
    assert image.ok == (want is not None), (what, image.error)
    if want is None:
        return "refused"
    if not smoothed_otherwise(data):
        pixels = torch.from_numpy(np.asarray(want).copy()).permute(2, 0, 1)
        assert_equal(result.tensor[0], pixels, what)
    assert image.truncated != strict(data), what
    return "truncated" if image.truncated else "whole"


KINDS = {name: data for name, data in streams.varied() if len(data) < 6000}


@pytest.mark.parametrize("name", KINDS)
def test_cut_anywhere(name: str) -> None:
    """Small streams of every kind, cut at 60 places and at each of the last bytes."""
    data = KINDS[name]
    pre = fastpre.Preprocessor(fastpre.Spec(**WHOLE))
    choose = random.Random(name)
    places = {choose.randrange(len(data)) for _ in range(40)} | set(range(len(data) - 8, len(data) + 1))
    found = {check(data[:place], pre, (name, place)) for place in sorted(places)}
    assert found >= {"truncated", "whole"}


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}], ids=str)
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0"])
def test_cut_photographs(mode: str, options: dict[str, Any], subsampling: str) -> None:
    """Past a block of 64 KB, and before it."""
    for width, height in ((900, 700), (120, 90)):
        image = streams.picture(mode, width, height)
        data = streams.encode(image, quality=97, subsampling=subsampling, **options)
        pre = fastpre.Preprocessor(fastpre.Spec(**WHOLE))
        found = {check(data[: int(len(data) * part)], pre, part) for part in (0.3, 0.55, 0.8, 0.97, 0.999, 1.0)}
        assert found >= {"truncated", "whole"}


def test_damaged_streams() -> None:
    """Whatever Pillow makes of bytes that are wrong, under its flag."""
    choose = random.Random(3)
    pre = fastpre.Preprocessor(fastpre.Spec(**WHOLE))
    found = set()
    for number, data in enumerate([photograph(160, 120), photograph(90, 130, mode="L"), KINDS[next(iter(KINDS))]]):
        for _ in range(60):
            damaged = bytearray(data)
            for _ in range(choose.randint(1, 4)):
                damaged[choose.randrange(len(damaged) // 2, len(damaged))] = choose.randrange(256)
            found.add(check(bytes(damaged[: choose.randint(len(damaged) // 2, len(damaged))]), pre, number))
    assert "truncated" in found


@pytest.mark.parametrize("device", ["cpu", "emulated"])
@pytest.mark.parametrize("fidelity", ["exact", "fast"])
def test_the_whole_pipeline(device: str, fidelity: Any) -> None:
    """Resized and cropped; a crop above the cut too. Images that are all there keep the decoder and the bits."""
    whole = photograph(640, 480, seed=2)
    spec = fastpre.Spec(resize=300, crop=224, truncated="partial", fidelity=fidelity)
    pre = fastpre.Preprocessor(spec, device)
    parts = [whole[: int(len(whole) * part)] for part in (0.3, 0.6, 0.99)]
    result = pre.run([whole, *parts])
    steps = [transforms.Resize(300), transforms.CenterCrop(224), transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    transform = transforms.Compose(steps)
    if fidelity == "exact" or device == "emulated":
        want = torch.stack([transform(pillow(data)) for data in (whole, *parts)])
        assert_equal(result.tensor, want)
        # With fidelity="fast" the end of the stream, below the crop, is not read.
        assert [image.truncated for image in result.images] == [False, True, True, fidelity == "exact"]
        assert result.images[0].decoder == "fastpre"
        assert "3 truncated" in repr(result)
    assert torch.equal(result.tensor[0], fastpre.Preprocessor(spec.replace(truncated="error"), device)([whole])[0])
    with pytest.raises(fastpre.CorruptImage, match="truncated"):
        fastpre.Preprocessor(fastpre.Spec())(parts)


def test_random_crops_of_truncated_images() -> None:
    from fastpre import augment

    data = photograph(400, 300, seed=5)
    data = data[: len(data) // 2]
    spec = fastpre.Spec(truncated="partial")
    for seed in range(12):
        steps = [transforms.RandomResizedCrop(48), transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
        torch.manual_seed(seed)
        want = transforms.Compose(steps)(pillow(data))
        torch.manual_seed(seed)
        got = fastpre.Preprocessor(spec)([data], augment=augment.RandomResizedCrop(48))[0]
        assert_equal(got, want, seed)


def test_what_it_may_be() -> None:
    assert fastpre.Spec().truncated == "error"
    with pytest.raises(ValueError, match="truncated must be one of error, partial"):
        fastpre.Spec(truncated="gray")  # type: ignore[arg-type]
