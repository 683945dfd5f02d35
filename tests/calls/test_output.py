"""Where results go: the caller's memory, any layout, and what is refused; and DLPack."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import fastpre
from reference import assert_equal

SHAPE = (3, 3, 24, 32)


def preprocessor(**options: Any) -> fastpre.Preprocessor:
    return fastpre.Preprocessor(fastpre.Spec(resize=40, crop=(24, 32), **options), num_threads=2)


@pytest.fixture(scope="module")
def images(batch: list[bytes]) -> list[bytes]:
    return batch[:3]


@pytest.fixture(scope="module")
def want(images: list[bytes]) -> torch.Tensor:
    return preprocessor()(images)


LAYOUTS: dict[str, Callable[[], torch.Tensor]] = {
    "contiguous": lambda: torch.empty(SHAPE),
    "channels_last": lambda: torch.empty(SHAPE, memory_format=torch.channels_last),
    "rows of a larger batch": lambda: torch.empty(9, 3, 24, 32)[2:8:2],
    "channels of more": lambda: torch.empty(3, 7, 24, 32)[:, 1:6:2],
    "a window": lambda: torch.empty(3, 3, 50, 90)[:, :, 7:31, 11:43],
    "every other column": lambda: torch.empty(3, 3, 24, 64)[..., ::2],
    "width before height": lambda: torch.empty(3, 3, 32, 24).transpose(2, 3),
    "batch last": lambda: torch.empty(3, 24, 32, 3).permute(3, 0, 1, 2),
    "channels_last window": lambda: torch.empty(3, 50, 90, 3)[:, 7:31, 11:43].permute(0, 3, 1, 2),
    "four channels, the last unused": lambda: torch.empty(3, 24, 32, 4)[..., :3].permute(0, 3, 1, 2),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout(layout: str, images: list[bytes], want: torch.Tensor) -> None:
    out = LAYOUTS[layout]().fill_(-9)
    assert out.shape == SHAPE
    assert preprocessor()(images, out=out) is out
    assert_equal(out, want, layout)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.uint8], ids=str)
def test_nothing_around_a_window_is_touched(dtype: torch.dtype, images: list[bytes]) -> None:
    pre = preprocessor(dtype=dtype)
    memory = torch.full((5, 5, 40, 50), 77, dtype=dtype)
    window = memory[1:4, 1:4, 9:33, 8:40]
    pre(images, out=window)
    assert_equal(window, pre(images))
    window.fill_(77)
    assert (memory == 77).all()


def test_out_of_the_one_call_form(images: list[bytes], want: torch.Tensor) -> None:
    out = torch.empty(SHAPE)
    assert fastpre.decode_resize_normalize(images, resize=40, crop=(24, 32), out=out) is out
    assert_equal(out, want)


@pytest.mark.parametrize("flips", [(1, 1, 1, -1), (1, 1, -1, 1), (1, -1, 1, 1), (-1, 1, -1, -1)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8"])
def test_numpy_with_negative_strides(flips: tuple[int, ...], dtype: str, images: list[bytes]) -> None:
    pre = preprocessor(dtype=dtype)
    out = np.zeros(SHAPE, dtype)[tuple(slice(None, None, step) for step in flips)]
    assert pre(images, out=out) is out
    assert_equal(torch.from_numpy(out.copy()), pre(images))


def read_only() -> np.ndarray:
    array = np.zeros(SHAPE, np.float32)
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    ("out", "message"),
    [
        (torch.empty(2, 3, 24, 32), r"out has shape \(2, 3, 24, 32\), but this batch needs \(3, 3, 24, 32\)"),
        (torch.empty(3, 24, 32, 3), "out has shape"),
        (torch.empty(3, 3, 24), "out has shape"),
        (torch.empty(SHAPE, dtype=torch.float64), "out has dtype float64, but the spec says float32"),
        (np.empty(SHAPE, np.uint8), "out has dtype uint8"),
        (torch.empty(SHAPE, device="meta"), "out is on meta"),
        (torch.empty(SHAPE, requires_grad=True), "must not require grad"),
        (torch.empty(SHAPE).to_sparse(), "must be a strided tensor"),
        (torch.empty(1, 3, 24, 32).expand(SHAPE), "overlapping"),
        (torch.empty(1).expand(SHAPE), "overlapping"),
        (torch.empty(3 * 3 * 24 * 32).as_strided(SHAPE, (3 * 24 * 31, 24 * 31, 31, 1)), "overlapping"),
        (read_only(), "read-only"),
        (np.ndarray(SHAPE, np.float32, bytearray(4 * 3 * 3 * 24 * 34), strides=(9225, 3075, 128, 4)), "no multiples"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_refused_outputs(out: Any, message: str, images: list[bytes]) -> None:
    with pytest.raises(ValueError, match=message):
        preprocessor()(images, out=out)


@pytest.mark.parametrize("out", [[], "x", bytearray(27648), 3])
def test_outputs_of_a_wrong_type(out: Any, images: list[bytes]) -> None:
    with pytest.raises(TypeError, match="out must be a torch tensor or a NumPy array"):
        preprocessor()(images, out=out)


@pytest.mark.parametrize("spec", [{"resize": None, "crop": None}, {"resize": (50, 20), "crop": None}], ids=str)
def test_sizes_without_a_crop(spec: dict[str, Any], photo: bytes) -> None:
    tensor = fastpre.decode_resize_normalize([photo, photo], **spec)
    assert tensor.shape == (2, 3, *(spec["resize"] or (240, 320)))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_pinned_memory_needs_cuda(images: list[bytes]) -> None:
    with pytest.raises(fastpre.BackendUnavailable, match="pin_memory=True needs CUDA"):
        fastpre.decode_resize_normalize(images, pin_memory=True)


@pytest.mark.skipif(not fastpre._core.build_info()["cuda_missing"], reason="CUDA works here")
@pytest.mark.parametrize("device", ["cuda", "cuda:1", torch.device("cuda", 0)], ids=str)
def test_cuda_says_what_is_missing(device: Any, images: list[bytes]) -> None:
    """Whether this build has no CUDA, or this machine no device."""
    with pytest.raises(fastpre.BackendUnavailable, match=r"no CUDA backend|driver") as caught:
        fastpre.decode_resize_normalize(images, device=device)
    assert fastpre._core.build_info()["cuda_missing"] in str(caught.value)


@pytest.mark.parametrize("device", ["gpu", "mps", ""])
def test_unknown_devices(device: str) -> None:
    with pytest.raises(ValueError, match="device must be 'cpu' or 'cuda'"):
        fastpre.Preprocessor(device=device)


@pytest.mark.parametrize("memory_format", ["contiguous_format", "channels_last"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8"])
def test_dlpack(dtype: str, memory_format: str, images: list[bytes]) -> None:
    pre = preprocessor(dtype=dtype, memory_format=memory_format)
    want = pre(images)
    host = pre.dlpack(images)
    assert host.shape == list(SHAPE)
    assert host.__dlpack_device__() == (1, 0)
    array, tensor = np.from_dlpack(host), torch.from_dlpack(host)
    assert array.ctypes.data == tensor.data_ptr() == host.data_ptr
    assert tensor.stride() == want.stride()
    assert_equal(tensor, want)
    assert array.dtype == dtype
    np.testing.assert_array_equal(array, want.numpy())


def test_dlpack_bfloat16(images: list[bytes]) -> None:
    pre = preprocessor(dtype="bfloat16")
    assert_equal(torch.from_dlpack(pre.dlpack(images)), pre(images))


def test_dlpack_outlives_its_maker(images: list[bytes]) -> None:
    arrays = [np.from_dlpack(preprocessor().dlpack(images)) for _ in range(4)]
    unused = preprocessor().dlpack(images).__dlpack__()
    del unused
    gc.collect()
    for array in arrays:
        np.testing.assert_array_equal(array, preprocessor()(images).numpy())


def test_dlpack_reports_bad_images(images: list[bytes]) -> None:
    with pytest.raises(fastpre.CorruptImage, match="image 1"):
        preprocessor().dlpack([images[0], b"x"])
    array = np.from_dlpack(preprocessor().dlpack([images[0], b"x"], on_error="fill", fill=4))
    assert (array[1] == 4).all()


def test_a_view_past_its_array(photo: bytes) -> None:
    spec = fastpre.Spec(resize=8, crop=8)
    small = np.zeros(100, np.float32)
    beyond = np.lib.stride_tricks.as_strided(small, (1, 3, 8, 8), (768, 256, 32, 4))
    with pytest.raises(ValueError, match="past the array"):
        fastpre.Preprocessor(spec)([photo], out=beyond)
    large = np.zeros(300, np.float32)
    within = np.lib.stride_tricks.as_strided(large[50:], (1, 3, 8, 8), (768, 256, 32, 4))[:, ::-1, ::-1]
    assert np.array_equal(fastpre.Preprocessor(spec)([photo], out=within), fastpre.Preprocessor(spec)([photo]))
    assert not large[:50].any()
    assert not large[242:].any()


def test_an_array_that_lies_about_itself(photo: bytes) -> None:
    class Liar(np.ndarray):  # type: ignore[type-arg]
        shape = property(lambda self: (1, 3, 8, 8))  # type: ignore[assignment]
        strides = property(lambda self: (768, 256, 32, 4))  # type: ignore[assignment]

    with pytest.raises(ValueError, match="shape"):
        fastpre.Preprocessor(fastpre.Spec(resize=8, crop=8))([photo], out=np.zeros(4, np.float32).view(Liar))
