"""device="cuda", as far as it goes without a GPU: kernels run on the host, refusals, nvJPEG's library.

The C++ tests (tests/cpp/device_test.cpp and others) go further into every filter, layout and fault.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import torch

import corpus
import fastpre
import streams
from fastpre import _core
from fastpre._backend import nvjpeg
from reference import assert_equal, preprocess

FILTERS = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")


def emulated(**spec: Any) -> fastpre.Preprocessor:
    return fastpre.Preprocessor(fastpre.Spec(**spec), device="emulated", num_threads=2)


@pytest.mark.parametrize("interpolation", FILTERS)
def test_ragged_batch_equals_pillow_and_torchvision(interpolation: str) -> None:
    options: dict[str, Any] = {"resize": 48, "crop": 40, "interpolation": interpolation}
    items = [stream for _, stream in streams.varied()]
    result = emulated(**options).run(items)
    for (name, stream), got in zip(streams.varied(), result.tensor, strict=True):
        assert_equal(got, preprocess(stream, **options), name)
    assert {image.target for image in result.images if image.decoder == "fastpre"} == {"CUDA"}
    assert {image.decoder for image in result.images} == {"fastpre", "libjpeg-turbo"}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientations(orientation: int) -> None:
    image = streams.encode(streams.picture("RGB", 90, 133), subsampling=2, orientation=orientation)
    options: dict[str, Any] = {"resize": 60, "crop": 50, "exif_orientation": True}
    assert_equal(emulated(**options)([image])[0], preprocess(image, **options))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "uint8"])
@pytest.mark.parametrize("memory_format", ["contiguous_format", "channels_last"])
@pytest.mark.parametrize("color", ["RGB", "BGR", "L"])
def test_outputs(dtype: str, memory_format: str, color: str, batch: list[bytes]) -> None:
    spec = fastpre.Spec(resize=40, crop=(35, 61), dtype=dtype, memory_format=memory_format, color=color)
    got = fastpre.Preprocessor(spec, device="emulated")(batch)
    want = fastpre.Preprocessor(spec)(batch)
    assert_equal(got, want)
    assert got.stride() == want.stride()


def test_many_small_pieces_of_memory(batch: list[bytes]) -> None:
    """Every second slot of a larger tensor, flipped: nothing else is touched."""
    spec = fastpre.Spec(resize=32, crop=24)
    memory = np.full((2 * len(batch), 3, 24, 30), 5.0, np.float32)
    out = memory[::2, ::-1, ::-1, 3:27]
    result = fastpre.Preprocessor(spec, device="emulated").run(batch, out=out)
    assert result.tensor is out
    assert np.array_equal(out, fastpre.Preprocessor(spec)(batch).numpy())
    assert (memory[1::2] == 5.0).all()
    assert (memory[..., :3] == 5.0).all()
    assert (memory[..., 27:] == 5.0).all()


def test_errors_are_the_cpus(batch: list[bytes]) -> None:
    items = list(batch[:6])
    items[1] = items[1][: len(items[1]) // 2]
    items[4] = b"no image"
    options: dict[str, Any] = {"resize": 40, "crop": 32}
    want = fastpre.Preprocessor(fastpre.Spec(**options)).run(items, on_error="fill", fill=-2.0)
    got = emulated(**options).run(items, on_error="fill", fill=-2.0)
    assert_equal(got.tensor, want.tensor)
    assert [str(e) for e in got.errors] == [str(e) for e in want.errors]
    skipped = emulated(**options).run(items, on_error="skip")
    assert skipped.indices == [0, 2, 3, 5]
    assert_equal(skipped.tensor, want.tensor[[0, 2, 3, 5]])
    with pytest.raises(fastpre.CorruptImage) as caught:
        emulated(**options)(items)
    assert caught.value.index == 1


@pytest.mark.parametrize("decoder", ["auto", "pixels"])
def test_what_a_device_does_not_take_is_exact_in_fast_fidelity(
    decoder: str, monkeypatch: pytest.MonkeyPatch, batch: list[bytes]
) -> None:
    """On the CPU fast fidelity would reduce this one while decoding; on a device it is nvJPEG that is fast."""
    monkeypatch.setenv("FASTPRE_CUDA_DECODER", decoder)
    items = [streams.encode(streams.picture("RGB", 900, 700), quality=92), *batch]
    spec = fastpre.Spec(resize=64, crop=56, fidelity="fast")
    assert fastpre.plan(items[0], spec).decode_scale != (8, 8)
    result = fastpre.Preprocessor(spec, device="emulated").run(items)
    assert_equal(result.tensor, fastpre.Preprocessor(spec.replace(fidelity="exact"))(items))
    if decoder == "pixels":
        assert {image.target for image in result.images} == {_core.active_target()}


def test_empty_batch_and_sizes() -> None:
    assert emulated(resize=8, crop=8)([]).shape == (0, 3, 8, 8)
    image = streams.encode(streams.picture("RGB", 30, 20))
    assert emulated(resize=None, crop=None)([image]).shape == (1, 3, 20, 30)
    assert_equal(emulated(resize=8, crop=20)([image])[0], preprocess(image, resize=8, crop=20))  # padded


def test_paths_and_tensors(tmp_path: Any, batch: list[bytes]) -> None:
    path = tmp_path / "image.jpg"
    path.write_bytes(batch[0])
    items = [path, torch.frombuffer(bytearray(batch[1]), dtype=torch.uint8), tmp_path / "missing.jpg"]
    result = emulated(resize=30, crop=24).run(items, on_error="fill")
    assert [image.ok for image in result.images] == [True, True, False]
    assert isinstance(result.images[2].error, fastpre.ImageReadError)


def test_huge_reductions() -> None:
    """By 100 on the device; by so much that shared memory cannot hold the taps, on the CPU."""
    for width, height, to in ((1600, 1600, 16), (12000, 9, 1)):
        image = streams.encode(streams.picture("RGB", width, height), subsampling=2)
        options: dict[str, Any] = {"resize": (to, to), "crop": None, "interpolation": "lanczos"}
        result = emulated(**options).run([image])
        assert_equal(result.tensor[0], preprocess(image, **options))


@pytest.mark.corpus
@pytest.mark.parametrize("name", ["natural", "small", "odd"])
def test_corpus(name: str, corpus_root: Any) -> None:
    items = [entry.path.read_bytes() for entry in corpus.entries(corpus_root, name)]
    items = [item for item in items if len(item) < 2_000_000][:: 1 if name == "small" else 4]
    options: dict[str, Any] = {"exif_orientation": True}
    want = fastpre.Preprocessor(fastpre.Spec(**options)).run(items, on_error="fill")
    got = emulated(**options).run(items, on_error="fill")
    assert_equal(got.tensor, want.tensor, name)
    assert [str(e) for e in got.errors] == [str(e) for e in want.errors]


def test_threads_share_a_device(batch: list[bytes]) -> None:
    from concurrent.futures import ThreadPoolExecutor

    pre = emulated(resize=32, crop=24)
    want = fastpre.Preprocessor(fastpre.Spec(resize=32, crop=24))(batch)
    with ThreadPoolExecutor(6) as pool:
        for got in pool.map(lambda _: pre(batch), range(24)):
            assert_equal(got, want)
    memory = _core.cuda_memory(_core.EMULATED)
    assert memory["device"]["peak_bytes"] <= memory["device"]["bound_bytes"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here: test_cuda_gpu.py")
def test_without_a_gpu_it_says_why() -> None:
    for device in ("cuda", "cuda:1", torch.device("cuda")):
        with pytest.raises(fastpre.BackendUnavailable, match="device='cuda"):
            fastpre.Preprocessor(device=device)
    info = _core.cuda_info()
    assert info["devices"] == []
    assert info["missing"]


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "cuda:-1", "mps", "", None])
def test_no_such_device(device: Any) -> None:
    with pytest.raises(ValueError, match="device must be"):
        fastpre.Preprocessor(device=device)


def test_pinned_results_are_the_cpus() -> None:
    with pytest.raises(ValueError, match="pin_memory"):
        fastpre.Preprocessor(device="emulated", pin_memory=True)


def test_unknown_decoder(monkeypatch: pytest.MonkeyPatch, photo: bytes) -> None:
    monkeypatch.setenv("FASTPRE_CUDA_DECODER", "nonsense")
    with pytest.raises(ValueError, match="FASTPRE_CUDA_DECODER must be one of auto"):
        emulated(resize=8, crop=8)([photo])


@pytest.mark.skipif(sys.platform != "linux", reason="the wheel is for Linux")
def test_nvjpeg_wheel_is_found() -> None:
    """The nvidia-nvjpeg wheel's library loads, here without a driver, and its version is read."""
    paths = nvjpeg.candidates()
    if not paths:
        pytest.skip("no nvidia-nvjpeg wheel and no toolkit with nvJPEG")
    nvjpeg.announce()
    info = _core.nvjpeg_info()
    assert info["missing"] == ""
    assert info["path"] in [str(p) for p in map(_realpath, paths)]
    assert int(info["version"].split(".")[0]) in (12, 13)


def _realpath(path: str) -> str:
    from pathlib import Path

    return str(Path(path).resolve())
