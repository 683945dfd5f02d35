"""What the GPU suite's sections do, where there is no GPU: on the emulator, and with a stand-in for nvJPEG."""

from __future__ import annotations

import ctypes
import pathlib
import shutil
import subprocess
from typing import Any

import photographs
import pytest
import torch
from difference import Difference, Reference
from gpu_suite import device, difference, kernels, soak, throughput
from gpu_suite.context import Context
from implementations import nvjpeg
from photographs import Photographs

import fastpre

pytestmark = pytest.mark.filterwarnings("default")

ROOT = pathlib.Path(__file__).resolve().parents[1]
TINY = Photographs("tiny", ["a", "b"], [photographs.encode(60, 50), photographs.encode(50, 71, subsampling="4:4:4")])


@pytest.fixture
def context(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    monkeypatch.setenv("FASTPRE_NVJPEG", "/no/nvjpeg")
    monkeypatch.setenv("FASTPRE_CUDA_DECODER", "auto")  # sections set it, and it is to be put back
    monkeypatch.setattr(photographs, "load", lambda name, count=None: TINY)
    return Context("emulated", 20.0, True, tmp_path / "result.json", skip=("fastpre-hybrid",))


def test_throughput(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throughput, "CELLS", (("natural", 3), ("one 12 MP", 1)))
    throughput.run(context)
    assert context.result["absent"]["fastpre-hybrid"] == "ended the process in an earlier try"
    assert "fastpre-copied" in context.result["cells"][0]["absent"]  # asks for pinned memory
    for cell in context.result["cells"]:
        rows = {row["key"]: row for row in cell["rows"]}
        assert set(rows) == {"fastpre-exact", "fastpre-fast", "fastpre-coefficients"}
        assert rows["fastpre-exact"]["agreement"]["equal"] == rows["fastpre-exact"]["agreement"]["images"] > 0
        assert cell["decoders"]["fastpre-exact"] == {"fastpre": cell["batch"]}
        # Without engines it would be a second measurement of something else.
        assert "no image took that decoder: {'fastpre': " in cell["absent"]["fastpre-hardware"]
    assert "running" not in context.result


def test_wrong_results_are_not_timed(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = throughput.ready(context)
    wrong = next(e for e in entries if e.key == "fastpre-exact")
    monkeypatch.setattr(type(wrong.run), "__call__", lambda self, images: torch.zeros(len(images), 3, 224, 224))
    cell: dict[str, Any] = {"set": "natural", "batch": 2, "rows": [], "absent": {}}
    throughput.measure(context, [wrong], cell, TINY.images, 1.0)
    assert cell["rows"] == []
    assert "refused: PSNR" in cell["absent"]["fastpre-exact"]


def test_passes() -> None:
    images = [bytes([i]) for i in range(10)]
    assert throughput.in_batches(images, 1) == images
    assert throughput.in_batches(images, 8) == [*images, *images[:6]]
    assert len(throughput.in_batches(images, 64)) == 64
    small = photographs.encode(40, 30)
    assert throughput.single("one 12 MP", {"large": Photographs("", [], [TINY.images[0], small])})[0] == TINY.images[0]


def test_difference(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    difference.run(context)
    exact = context.result["exact"]["natural"]
    assert (exact["equal"], exact["different"]) == (2, 0)
    assert context.result["fast"]["coefficients"]["ran"]
    assert not context.result["fast"]["hardware"]["ran"]
    assert context.result["fast"]["auto"]["published"]["images"] == 6
    right = difference.Right(TINY)
    right.pixels[1] ^= 8
    report, found = difference.fast(TINY, right, "emulated", "coefficients")
    assert (found.images, found.equal, report["worst_image"]) == (2, 1, "b")


def test_soak(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    context.seconds = 4.0
    soak.run(context)
    assert all(m["batches"] >= soak.THREADS for m in context.result["threads"].values())
    assert all((m["different"], m["errors"]) == (0, []) for m in context.result["threads"].values())
    for name, value in (("BATCHES", 30), ("EARLY", 10), ("LARGEST_BATCH", 2), ("LARGEST_SIDE", 60)):
        monkeypatch.setattr(soak, name, value)
    context.seconds = 1e6
    soak.memory(context)
    memory = context.result["memory"]
    assert [s["batches"] for s in memory["samples"]] == list(range(10, 31, 2))
    assert memory["growth_bytes"]["fastpre_device"] == 0
    samples = [{"batches": n, "device": d} for n, d in ((100, 7), (600, 9), (1100, 8))]
    assert soak.growth(samples) == {"growth_bytes": {"device": 1}, "highest_growth_bytes": {"device": 2}}
    assert soak.growth(samples[:1])["growth_bytes"] is None


def test_wrong_results_of_a_device_are_noticed(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    real = fastpre.Preprocessor
    other = fastpre.Spec(resize=300)
    monkeypatch.setattr(
        fastpre, "Preprocessor", lambda *_, device="cpu": real(other if device != "cpu" else None, device)
    )
    found = difference.exact(TINY, "emulated")
    assert (found["equal"], found["different"], found["first_different"][0]["image"]) == (0, 2, "a")
    monkeypatch.setattr(fastpre, "Preprocessor", lambda *_: lambda batch: torch.rand(1))
    assert soak.threads(context, "exact", "auto", [TINY.images], 0.1)["different"] > 0


def test_a_gpu_that_is_not_used_is_told_from_none() -> None:
    state = device.gpu_state("no NVIDIA driver was found")
    assert state == {"usable": False, "present": torch.cuda.is_available(), "why": "no NVIDIA driver was found"}
    assert device.public("/home/me/lib/python3.12/site-packages/nvidia/lib/libnvjpeg.so.13") == (
        "site-packages/nvidia/lib/libnvjpeg.so.13"
    )
    assert device.public("/opt/secret/libnvjpeg.so.13") == ".../libnvjpeg.so.13"


def test_kernel_times() -> None:
    name = "fastpre::cuda::(anonymous namespace)::ResampleKernel(fastpre::cuda::ResampleLaunch)"
    copy = {"cat": "gpu_memcpy", "name": "Memcpy HtoD (Pinned -> Device)", "dur": 20.0, "args": {"bytes": 1000}}
    events: list[dict[str, Any]] = [
        {"cat": "kernel", "name": name, "dur": 400.0},
        {"cat": "kernel", "name": name, "dur": 600.0},
        {"cat": "kernel", "name": "another library's", "dur": 50.0},
        *(copy, {"cat": "cpu_op", "name": "aten::empty", "dur": 7.0}, {"name": "no category"}),
    ]
    found = kernels.sums(events, 2)
    assert found["kernels"] == {"ResampleKernel": {"ms_a_batch": 0.5, "launches_a_batch": 1.0}}
    assert found["other_kernels"]["all"] == {"ms_a_batch": 0.025, "launches_a_batch": 0.5}
    assert found["copies"] == {"HtoD": {"ms_a_batch": 0.01, "bytes_a_batch": 500.0}}


def test_copies_are_timed(context: Context) -> None:
    assert kernels.copy_bandwidth(context, 1 << 20) > 1e6


def test_bytes_of_a_kernel() -> None:
    # 256 x 256 is not resized: the crop's 224 x 224 samples of luma and a quarter of them of each chroma.
    data = photographs.encode(256, 256, subsampling="4:2:0")
    assert kernels.bytes_of(data) == 224 * 224 * (1 + 0.25 + 0.25) + 4 * 3 * 224 * 224
    assert kernels.bytes_of(photographs.encode(256, 256, mode="L")) == 224 * 224 + 4 * 3 * 224 * 224


class Allocator(ctypes.Structure):
    """nvjpegDevAllocatorV2_t and nvjpegPinnedAllocatorV2_t."""

    ALLOCATE = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p), ctypes.c_size_t, ctypes.c_void_p
    )
    FREE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)
    _fields_ = (("allocate", ALLOCATE), ("free", FREE), ("context", ctypes.c_void_p))


@pytest.fixture(scope="module")
def fake_nvjpeg(tmp_path_factory: pytest.TempPathFactory) -> str:
    compiler = shutil.which("c++")
    library = tmp_path_factory.mktemp("nvjpeg") / "libfake_nvjpeg.so"
    command = [str(compiler), "-std=c++20", "-O1", "-shared", "-fPIC", f"-I{ROOT / 'csrc'}"]
    command += [str(ROOT / "tests" / "cpp" / "fake_nvjpeg.cpp"), "-ljpeg", "-o", str(library)]
    if compiler is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs a C++ compiler and libjpeg's headers")
    return str(library)


def test_nvjpeg_alone(fake_nvjpeg: str) -> None:
    kept: dict[int, Any] = {}

    def allocate(_: Any, memory: Any, count: int, __: Any) -> int:
        block = ctypes.create_string_buffer(count)
        kept[ctypes.addressof(block)] = block
        memory[0] = ctypes.addressof(block)
        return 0

    def free(_: Any, memory: int, __: int, ___: Any) -> int:
        kept.pop(memory, None)
        return 0

    class OnHost(nvjpeg.Engines):
        def _create(self, backend: int, flags: Any, handle: Any) -> None:
            memory = Allocator(Allocator.ALLOCATE(allocate), Allocator.FREE(free), None)
            self.kept = memory
            self._call("CreateExV2", backend, ctypes.byref(memory), ctypes.byref(memory), flags, handle)

    engines = OnHost(fake_nvjpeg, "cpu")
    refused = [b"no JPEG", photographs.encode(64, 48, progressive=True)]
    images = [photographs.encode(63, 50, subsampling="4:2:0"), photographs.encode(40, 33, mode="L")]
    images.append(photographs.encode(70, 31, subsampling="4:2:2"))
    assert engines.taken([*refused, *images]) == images
    planes = engines.batch(images).planes
    assert [(p.width, p.height, p.pitch) for p in planes[0]] == [(63, 50, 64), (32, 25, 64), (32, 25, 64)]
    assert len({p.offset for image in planes for p in image}) == 7
    nothing = Reference(torch.empty(0), torch.empty(0))
    for _ in range(2):
        found = Difference()
        engines.check(found, images, nothing)
        assert (found.images, found.equal) == (3, 3)
    with pytest.raises(ValueError, match="none of these images"):
        engines(refused)
