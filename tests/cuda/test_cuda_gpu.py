"""device="cuda" on a GPU. Everywhere else these tests are skipped, which the run's summary says."""

from __future__ import annotations

import gc
import threading
from typing import Any

import pytest
import torch

import fastpre
import streams
from fastpre import _core
from reference import assert_equal, preprocess

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not torch.cuda.is_available() or bool(_core.cuda_info()["missing"]),
        reason=f"no CUDA device: {_core.cuda_info()['missing'] or 'torch sees none'}",
    ),
]

SPECS: list[dict[str, Any]] = [
    {},
    {"interpolation": "bicubic", "dtype": "float16", "memory_format": "channels_last"},
    {"interpolation": "lanczos", "dtype": "bfloat16", "color": "BGR"},
    {"interpolation": "nearest", "dtype": "uint8"},
    {"resize": (50, 300), "crop": (64, 200), "color": "L", "exif_orientation": True},
]


def varied() -> list[bytes]:
    return [stream for _, stream in streams.varied()]


def cpu(items: list[bytes], **spec: Any) -> torch.Tensor:
    tensor: torch.Tensor = fastpre.Preprocessor(fastpre.Spec(**spec))(items)
    return tensor


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_exact_equals_the_cpu(spec: dict[str, Any]) -> None:
    items = varied()
    result = fastpre.Preprocessor(fastpre.Spec(**spec), device="cuda").run(items)
    assert result.tensor.is_cuda
    assert_equal(result.tensor.cpu(), cpu(items, **spec), spec)
    assert any(image.target == "CUDA" for image in result.images)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientations(orientation: int) -> None:
    image = streams.encode(streams.picture("RGB", 190, 333), subsampling=2, orientation=orientation)
    options: dict[str, Any] = {"resize": 100, "crop": 90, "exif_orientation": True}
    got = fastpre.Preprocessor(fastpre.Spec(**options), device="cuda")([image])[0]
    assert_equal(got.cpu(), preprocess(image, **options))


@pytest.mark.parametrize("decoder", ["auto", "hardware", "hybrid", "coefficients", "pixels"])
def test_fast_is_near(decoder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound that docs/exactness.md states: 99.9% of values within 2 levels of exact, PSNR 45 dB."""
    monkeypatch.setenv("FASTPRE_CUDA_DECODER", decoder)
    items = [
        streams.encode(streams.picture("RGB", 300 + 8 * i, 280, seed=i), quality=90, subsampling=i % 3)
        for i in range(12)
    ]
    spec = {"dtype": "uint8", "resize": 256, "crop": 224}
    result = fastpre.Preprocessor(fastpre.Spec(fidelity="fast", **spec), device="cuda").run(items)
    gap = (result.tensor.cpu().int() - cpu(items, **spec).int()).abs()
    assert (gap <= 2).double().mean() >= 0.999
    assert 10 * torch.log10(255**2 / (gap.double() ** 2).mean()) >= 45
    assert not [image.retried for image in result.images if image.retried]


def test_current_stream_is_honoured() -> None:
    """What a stream is still busy with comes before, what follows on it comes after."""
    items = varied()[:8]
    pre = fastpre.Preprocessor(device="cuda")
    want = cpu(items)
    out = torch.zeros((8, 3, 224, 224), device="cuda")
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        torch.cuda._sleep(200_000_000)  # cycles; a tenth of a second
        out.fill_(7.0)
        result = pre(items, out=out)
        doubled = result * 2
    side.synchronize()
    assert_equal(doubled.cpu(), want * 2)


def test_slots_are_reused_only_when_drained() -> None:
    """Many calls on a stream that is kept busy: none may see another's samples."""
    batches = [varied()[i : i + 4] for i in range(0, 16, 4)]
    pre = fastpre.Preprocessor(device="cuda")
    want = [cpu(items) for items in batches]
    torch.cuda._sleep(100_000_000)
    got = [pre(batches[i % 4]) for i in range(40)]
    for i, tensor in enumerate(got):
        assert_equal(tensor.cpu(), want[i % 4], i)


@pytest.mark.parametrize("strides", ["channels_last", "slice", "transposed"])
def test_out(strides: str) -> None:
    items = varied()[:6]
    want = cpu(items, resize=64, crop=48)
    memory = torch.full((6, 3, 48, 60), 5.0, device="cuda")
    out = {
        "channels_last": torch.empty((6, 3, 48, 48), device="cuda", memory_format=torch.channels_last),
        "slice": memory[..., 5:53],
        "transposed": torch.empty((6, 3, 48, 48), device="cuda").transpose(2, 3),
    }[strides]
    result = fastpre.Preprocessor(fastpre.Spec(resize=64, crop=48), device="cuda")(items, out=out)
    assert result is out
    assert_equal(out.cpu().contiguous(), want)
    assert (memory[..., :5] == 5.0).all()
    assert (memory[..., 53:] == 5.0).all()


def test_out_elsewhere_is_refused() -> None:
    pre = fastpre.Preprocessor(device="cuda")
    with pytest.raises(ValueError, match="out is on cpu"):
        pre(varied()[:1], out=torch.empty((1, 3, 224, 224)))


def test_inference_mode_and_threads() -> None:
    items = varied()
    pre = fastpre.Preprocessor(device="cuda")
    want = cpu(items)
    wrong: list[int] = []

    def work(number: int) -> None:
        with torch.inference_mode(), torch.cuda.stream(torch.cuda.Stream()):
            for _ in range(5):
                if not torch.equal(pre(items).cpu(), want):
                    wrong.append(number)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_cuda_graph_around_the_consumer() -> None:
    items = varied()[:4]
    pre = fastpre.Preprocessor(device="cuda")
    static = torch.zeros((4, 3, 224, 224), device="cuda")
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        (static * 3).sum()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = static * 3
    pre(items, out=static)
    graph.replay()
    assert_equal(result.cpu(), cpu(items) * 3)

    with pytest.raises(RuntimeError, match="CUDA graph"), torch.cuda.graph(torch.cuda.CUDAGraph()):
        pre(items, out=static)


def test_bad_images_and_the_next_call() -> None:
    items = varied()[:5]
    items[2] = items[2][:200]
    result = fastpre.Preprocessor(device="cuda").run(items, on_error="fill", fill=-3.0)
    assert [image.ok for image in result.images] == [True, True, False, True, True]
    assert (result.tensor[2] == -3.0).all()
    good = [0, 1, 3, 4]
    assert_equal(result.tensor[good].cpu(), cpu([items[i] for i in good]))


def test_memory_is_flat() -> None:
    pre = fastpre.Preprocessor(fastpre.Spec(fidelity="fast"), device="cuda")
    items = varied()

    def used() -> int:
        return sum(kind["used_bytes"] for kind in _core.cuda_memory(torch.cuda.current_device()).values())

    for i in range(100):
        pre(items[i % 7 :: 1 + i % 5])
    before = used()
    for i in range(200):
        pre(items[i % 7 :: 1 + i % 5])
    gc.collect()
    assert used() == before


def test_other_devices() -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("one device")
    items = varied()[:4]
    for index in range(torch.cuda.device_count()):
        tensor = fastpre.Preprocessor(device=f"cuda:{index}")(items)
        assert tensor.device.index == index
        assert_equal(tensor.cpu(), cpu(items))
    assert torch.cuda.current_device() == 0


def test_giant_image() -> None:
    """More than a staging buffer may hold: the CPU decodes it, and the batch's others are not held up."""
    image = streams.encode(streams.picture("L", 60, 60).resize((15000, 11000)), quality=60)
    items = [image, *varied()[:3]]
    assert_equal(fastpre.Preprocessor(device="cuda")(items).cpu(), cpu(items))
