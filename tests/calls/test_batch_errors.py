"""One bad image never costs the batch: raise, fill and skip."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import fastpre
from reference import assert_equal, preprocess

SMALL: dict[str, Any] = {"resize": 40, "crop": 32}
PRE = fastpre.Preprocessor(fastpre.Spec(**SMALL), num_threads=3)


@pytest.fixture
def mixed(batch: list[bytes]) -> list[bytes]:
    """Good images with three bad ones among them, at 2, 5 and 6."""
    items = list(batch[:8])
    items[2] = items[2][: len(items[2]) // 2]
    items[5] = b"no image at all"
    items[6] = b""
    return items


BAD = [2, 5, 6]


def test_raise_names_the_first(mixed: list[bytes]) -> None:
    with pytest.raises(fastpre.CorruptImage, match="image 2: truncated") as caught:
        PRE(mixed)
    assert caught.value.index == 2
    assert caught.value.reason.startswith("truncated")


def test_raise_is_done_when_the_rest_is(mixed: list[bytes]) -> None:
    out = torch.full((8, 3, 32, 32), -7.0)
    with pytest.raises(fastpre.CorruptImage):
        PRE(mixed, out=out)
    for i in set(range(8)) - set(BAD):
        assert_equal(out[i], preprocess(mixed[i], **SMALL), i)


@pytest.mark.parametrize("fill", [0.0, -1.5, float("nan")])
def test_fill(mixed: list[bytes], fill: float) -> None:
    result = PRE.run(mixed, on_error="fill", fill=fill)
    assert not result.ok
    assert result.indices == list(range(8))
    assert [i for i, image in enumerate(result.images) if not image.ok] == BAD
    assert [error.index for error in result.errors] == BAD  # type: ignore[attr-defined]
    for i, image in enumerate(mixed):
        if i in BAD:
            want = torch.full((3, 32, 32), fill)
            assert torch.equal(result.tensor[i].nan_to_num(77), want.nan_to_num(77))
        else:
            assert_equal(result.tensor[i], preprocess(image, **SMALL), i)


@pytest.mark.parametrize(
    ("dtype", "fill", "want"),
    [("uint8", 300.0, 255), ("uint8", -4.0, 0), ("float16", 0.1, 0.1), ("bfloat16", 0.1, 0.1)],
)
def test_fill_in_other_dtypes(mixed: list[bytes], dtype: str, fill: float, want: float) -> None:
    tensor = fastpre.Preprocessor(fastpre.Spec(dtype=dtype, **SMALL))(mixed, on_error="fill", fill=fill)
    assert torch.equal(tensor[5], torch.full((3, 32, 32), want, dtype=getattr(torch, dtype)))


def test_skip(mixed: list[bytes]) -> None:
    result = PRE.run(mixed, on_error="skip")
    kept = [i for i in range(8) if i not in BAD]
    assert result.indices == kept
    assert len(result.images) == 8
    assert_equal(result.tensor, torch.stack([preprocess(mixed[i], **SMALL) for i in kept]))


@pytest.mark.parametrize("kind", ["torch", "numpy"])
def test_skip_with_out(mixed: list[bytes], kind: str) -> None:
    """The good images move up, and a view of the caller's first rows comes back."""
    out: Any = torch.empty(8, 3, 32, 32) if kind == "torch" else np.empty((8, 3, 32, 32), np.float32)
    tensor = PRE(mixed, out=out, on_error="skip")
    kept = [i for i in range(8) if i not in BAD]
    assert tensor.shape == (5, 3, 32, 32)
    for row, i in enumerate(kept):
        assert_equal(torch.as_tensor(out[row]), preprocess(mixed[i], **SMALL), i)
    first = tensor.data_ptr() if kind == "torch" else tensor.ctypes.data
    assert first == (out.data_ptr() if kind == "torch" else out.ctypes.data)


def test_all_bad() -> None:
    nothing = PRE.run([b"", b"x"], on_error="skip")
    assert nothing.tensor.shape == (0, 3, 32, 32)
    assert nothing.indices == []
    assert torch.equal(PRE([b"", b"x"], on_error="fill", fill=2), torch.full((2, 3, 32, 32), 2.0))


def test_all_bad_without_a_known_size() -> None:
    pre = fastpre.Preprocessor(fastpre.Spec(resize=None, crop=None))
    with pytest.raises(fastpre.CorruptImage, match="image 0"):
        pre([b"x", b"y"])


def test_empty_batch() -> None:
    assert PRE([]).shape == (0, 3, 32, 32)
    with pytest.raises(ValueError, match="empty batch has no size"):
        fastpre.Preprocessor(fastpre.Spec(crop=None))([])


def test_unknown_policy(photo: bytes) -> None:
    with pytest.raises(ValueError, match="on_error must be"):
        PRE([photo], on_error="ignore")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="cannot skip"):
        PRE.dlpack([photo], on_error="skip")


def test_sizes_that_differ(batch: list[bytes]) -> None:
    pre = fastpre.Preprocessor(fastpre.Spec(resize=None, crop=None))
    with pytest.raises(ValueError, match="outputs differ in size: image 0 gives"):
        pre(batch)


def test_records(mixed: list[bytes]) -> None:
    images = PRE.run(mixed, on_error="fill").images
    good, bad = images[0], images[5]
    plan = fastpre.plan(mixed[0], PRE.spec)
    assert (good.height, good.width) == plan.size
    assert good.error is None
    assert good.decoder == plan.decoder
    assert good.target in fastpre._core.targets()
    assert set(good.stages_us) == {"read", "header", "decode", "resample", "normalize"}
    assert good.stages_us["decode"] > 0
    assert 0 < good.scratch_bytes < 8 << 20
    assert (bad.width, bad.height, bad.decoder, bad.ok) == (0, 0, "", False)
