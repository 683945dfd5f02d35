"""The GPU suite where there is no GPU: its arithmetic, its parsers, its verdicts, and a dry run."""

from __future__ import annotations

import contextlib
import ctypes
import json
import math
import pathlib
import shutil
import subprocess
import sys
import time
import types
from collections.abc import Iterator
from typing import Any

import gpu_suite.sections
import numpy as np
import pytest
from gpu_suite import (
    arithmetic,
    bench,
    build,
    device_tests,
    exercise,
    kernel,
    memory_growth,
    nvjpeg_alone,
    nvjpeg_entrant,
    pictures,
    sanitizer,
    summary,
    supervise,
    verdicts,
)
from gpu_suite.sections import Context, Section

pytestmark = pytest.mark.filterwarnings("default")

ROOT = pathlib.Path(__file__).resolve().parents[1]


def context(tmp_path: pathlib.Path, **changes: Any) -> Context:
    values: dict[str, Any] = {"device": "cuda", "seconds": 100.0, "quick": True, "out": tmp_path}
    return Context(**(values | {"partial": tmp_path / "partial.json"} | changes))


# --- arithmetic ---


def test_published_paths_are_no_machines() -> None:
    from gpu_suite.build import public

    assert public("/home/me/venv/lib/python3.12/site-packages/nvidia/cu13/lib/libnvjpeg.so.13") == (
        "site-packages/nvidia/cu13/lib/libnvjpeg.so.13"
    )
    assert public("/opt/secret/libnvjpeg.so.13") == ".../libnvjpeg.so.13"


def test_differences() -> None:
    d = arithmetic.Differences()
    expected = np.array([[10, 20, 30, 40]], np.uint8)
    d.add("same", expected, expected)
    d.add("other", np.array([[10, 22, 27, 50]], np.uint8), expected)  # 0, 2, 3 and 10 steps
    report = d.as_json()
    assert (report["images"], report["equal_images"], report["max_difference"]) == (2, 1, 10)
    assert report["within_2_percent"] == 75.0  # 6 of 8
    assert report["mean_difference"] == 15 / 8
    assert report["psnr_db"] == pytest.approx(10 * math.log10(255**2 * 8 / 113), abs=1e-3)
    assert report["worst_psnr_db"] == pytest.approx(10 * math.log10(255**2 * 4 / 113), abs=1e-3)
    assert report["worst_image"] == "other"
    joined = arithmetic.Differences()
    joined.join(d)
    joined.join(d)
    assert joined.as_json() == report | {"images": 4, "equal_images": 2}


def test_steps_do_not_wrap_around() -> None:
    d = arithmetic.Differences()
    d.add("black and white", np.zeros((3, 2), np.uint8), np.full((3, 2), 255, np.uint8))
    assert d.as_json()["psnr_db"] == 0.0
    assert arithmetic.Differences().as_json()["within_2_percent"] is None
    assert math.isinf(arithmetic.psnr_db(0, 5))


def test_agreement_is_in_steps_of_pixels() -> None:
    import torch
    from gpu_suite.entrants import agreement

    expected = torch.zeros(2, 3, 4, 4)
    got = expected.clone()
    got[1, 0] = 3 / (255 * 0.229)  # three steps of red
    db, equal = agreement(got, expected)
    assert equal == 1
    assert db == pytest.approx(10 * math.log10(255**2 * 6 / 9), abs=1e-4)
    with pytest.raises(ValueError, match=r"\(2, 3, 4\)"):
        agreement(got[..., 0], expected)


# --- parsers ---


def test_sanitizer_output() -> None:
    assert sanitizer.summary("") == {"errors": None, "batches": None, "wrong_batches": None}
    clean = "========= COMPUTE-SANITIZER\nexercise: 12 batches, 0 wrong\n========= ERROR SUMMARY: 0 errors\n"
    assert sanitizer.summary(clean) == {"errors": 0, "batches": 12, "wrong_batches": 0}
    bad = (
        "========= COMPUTE-SANITIZER\n========= Invalid __global__ read of size 1 bytes\n"
        "=========     at ResampleKernel+0x70\n========= \n========= ERROR SUMMARY: 3 errors\n"
    )
    found = sanitizer.summary(bad)
    assert found["errors"] == 3
    assert found["first"] == ["Invalid __global__ read of size 1 bytes", "at ResampleKernel+0x70"]
    one = sanitizer.summary("========= ERROR SUMMARY: 1 error\n")
    assert one["errors"] == 1
    races = sanitizer.summary("========= RACECHECK SUMMARY: 3 hazards displayed (1 error, 2 warnings)\n")
    assert (races["errors"], races["warnings"]) == (1, 2)


def test_sanitizer_section(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "compute-sanitizer"
    tool.write_text('#!/bin/sh\necho "$*" >>"$0.log"\necho "========= ERROR SUMMARY: 0 errors"\n', encoding="utf-8")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    c = context(tmp_path, quick=False)
    sanitizer.run(c)
    assert {name: t["errors"] for name, t in c.result["tools"].items()} == dict.fromkeys(
        [run[0] for run in sanitizer.RUNS], 0
    )
    commands = pathlib.Path(f"{tool}.log").read_text(encoding="utf-8").splitlines()
    assert len(commands) == len(sanitizer.RUNS)
    assert commands[0].startswith("--tool memcheck --kernel-name kns=fastpre")
    assert not list(tmp_path.glob("sanitizer-*.txt"))  # nothing to read in them


JUNIT = """<?xml version="1.0"?><testsuites><testsuite tests="5">
<testcase classname="tests.test_cuda" name="test_a" time="0.1" />
<testcase classname="tests.test_cuda" name="test_b"><failure message="assert 1 == 2&#10;more">trace</failure></testcase>
<testcase classname="tests.test_cuda" name="test_c"><skipped message="no GPU" type="pytest.skip" /></testcase>
<testcase classname="tests.test_cuda" name="test_d"><skipped message="no GPU" type="pytest.skip" /></testcase>
<testcase classname="" name="tests.test_cuda_x"><error message="collection failure">trace</error></testcase>
</testsuite></testsuites>"""


def test_junit_counts() -> None:
    counts = device_tests.junit_counts(JUNIT)
    expected = {"tests": 5, "passed": 1, "failed": 1, "errors": 1, "skipped": 2}
    assert {key: counts[key] for key in expected} == expected
    assert counts["failures"] == [
        "tests.test_cuda::test_b: assert 1 == 2",
        "::tests.test_cuda_x: collection failure",
    ]
    assert counts["skip_reasons"] == {"no GPU": 2}


def test_counts_of_a_killed_pytest() -> None:
    text = (
        "tests/test_cuda.py::test_a[1 x] PASSED     [ 20%]\ntests/test_cuda.py::test_b FAILED [ 40%]\n"
        "tests/test_cuda.py::test_c SKIPPED (no GPU) [60%]\ntests/test_cuda.py::test_d "
    )
    counts = device_tests.output_counts(text)
    assert (counts["tests"], counts["passed"], counts["failed"], counts["skipped"]) == (3, 1, 1, 1)
    assert counts["failures"] == ["tests/test_cuda.py::test_b"]


def test_kernel_times() -> None:
    name = "fastpre::cuda::(anonymous namespace)::ResampleKernel(fastpre::cuda::ResampleLaunch)"
    events = [
        {"cat": "kernel", "name": name, "dur": 400.0},
        {"cat": "kernel", "name": name, "dur": 600.0},
        {"cat": "kernel", "name": "somebody's", "dur": 50.0},
        {"cat": "gpu_memcpy", "name": "Memcpy HtoD (Pinned -> Device)", "dur": 20.0, "args": {"bytes": 1000}},
        {"cat": "cpu_op", "name": "aten::empty", "dur": 7.0},
        {"name": "no category"},
    ]
    found = kernel.sums(events, 2)
    assert found["kernels"] == {"ResampleKernel": {"ms_a_batch": 0.5, "launches_a_batch": 1.0}}
    assert found["other_kernels"] == {"ms_a_batch": 0.025, "launches_a_batch": 0.5}
    assert found["copies"] == {"HtoD": {"ms_a_batch": 0.01, "bytes_a_batch": 500.0}}


def test_bytes_of_a_kernel() -> None:
    # 256 x 256 is not resized: the crop's 224 x 224 samples of luma and a quarter of them of each chroma.
    data = pictures.encode(256, 256, subsampling="4:2:0")
    assert kernel.bytes_of(data) == 224 * 224 * (1 + 0.25 + 0.25) + 4 * 3 * 224 * 224
    assert kernel.bytes_of(pictures.encode(256, 256, mode="L")) == 224 * 224 + 4 * 3 * 224 * 224


def test_memory_samples() -> None:
    assert memory_growth.milestones(1100) == {200, 300, 400, 500, 600, 700, 800, 900, 1000, 1100}
    assert memory_growth.milestones(80) == set()
    samples = [{"batches": n, "device": d} for n, d in ((10, 5), (100, 7), (600, 9), (1100, 8))]
    assert memory_growth.growth(samples) == {"growth_bytes": {"device": 1}, "highest_growth_bytes": {"device": 2}}
    assert memory_growth.growth(samples[:2])["growth_bytes"] is None


def test_passes() -> None:
    images = [bytes([i]) for i in range(10)]
    assert [len(batch) for batch in bench.batches_of(images, 1)] == [1] * 10
    assert bench.batches_of(images, 8) == [images[:8], [*images[8:], *images[:6]]]
    assert [len(batch) for batch in bench.batches_of(images, 64)] == [64]


# --- verdicts and the table ---


def row(key: str, speed: float, role: str = "ours") -> dict[str, Any]:
    return {"key": key, "label": key, "role": role, "images_per_second": speed}


def made_up_report(device: str = "cuda") -> dict[str, Any]:
    """As from a GPU; every figure in it is invented."""
    published = {"images": 3, "within_2_percent": 99.95, "psnr_db": 44.0}
    cell = {
        "set": "natural",
        "batch": 256,
        "absent": {},
        "rows": [
            *(row("fastpre-auto", 3000.0), row("fastpre-exact", 2400.0), row("fastpre-hardware", 2500.0)),
            *(row("slow", 100.0, "peer"), row("quick", 1500.0, "peer"), row("nvjpeg-alone", 9000.0, "ceiling")),
        ],
    }
    latency = {"key": "fastpre-auto", "label": "", "role": "ours"}
    sections: dict[str, Any] = {
        "tests": {"tests": 9, "passed": 8, "failed": 0, "errors": 1, "skipped": 0, "stopped_early": False}
        | {"failures": ["tests.test_cuda::test_x: broken"]},
        "difference": {
            "exact": {"natural": {"equal": 9, "refused_alike": 1, "different": 0, "first_different": []}},
            "fast": {
                "auto": {"published": published | {"psnr_db": None}, "ran": True},
                "hardware": {"published": published, "ran": True},
                "hybrid": {"published": published | {"psnr_db": 1.0}, "ran": False},
            },
        },
        "bench": {
            "cells": [cell, {"set": "small", "batch": 1, "note": "not reached: no time left"}],
            "latency": [
                latency | {"what": "natural", "ms": {"median": 1.4}},
                latency | {"what": "12 MP", "error": "x"},
            ],
        },
        "memory": {"batches": 500, "growth_bytes": {"fastpre_device": 0, "device_beside_torch": 3 << 20}},
        "kernel": {"status": "timed out after 9 s"},
    }
    for section in sections.values():
        section |= {"device": device, "seconds": 1.0} | ({} if "status" in section else {"status": "done"})
    sections["build"] = {"status": "done", "device": device, "seconds": 1.0, "cuda_device": {"engines": 7}}
    report = {"date": "", "commit": None, "quick": False, "sections": sections, "gpu": {"usable": device == "cuda"}}
    return report | {"targets": verdicts.judge(report)}


def test_verdicts() -> None:
    found = {t["text"]: (t["value"], t["verdict"]) for t in made_up_report()["targets"]}
    assert found["natural, 256: fast auto / best peer"] == (2.0, "met")
    assert found["natural, 256: fast auto / engines only"] == (1.2, "MISSED")
    assert found["natural, 256: exact / fast auto"] == (0.8, "met")
    assert found["one natural image, fast auto"] == (1.4, "met")
    assert found["one 12 MP image, fast auto"] == (None, "not measured")
    assert found["fast: values within 2/255 of exact"] == (99.95, "met")
    assert found["fast: PSNR to exact"] == (44.0, "MISSED")  # of what ran
    assert found["exact on cuda: images that differ from the CPU"] == (0, "met")
    assert found["tests/test_cuda*.py that fail"] == (1, "MISSED")
    assert found["memory growth, fastpre's own"] == (0.0, "met")
    assert found["memory growth, device without torch"] == (3.0, "MISSED")
    assert found["compute-sanitizer errors"] == (None, "not measured")


def test_a_sanitizer_that_looked_at_nothing_says_nothing() -> None:
    def verdict(**tools: dict[str, Any]) -> str:
        report = made_up_report()
        report["sections"]["sanitizer"] = {"device": "cuda", "status": "done", "seconds": 1.0, "tools": tools}
        report["targets"] = verdicts.judge(report)
        assert "sanitizer, " in summary.table(report)
        return next(t["verdict"] for t in report["targets"] if t["text"] == "compute-sanitizer errors")

    clean, empty = {"errors": 0, "batches": 5}, {"errors": 0, "batches": None}
    failed, unknown = {"errors": 2, "batches": None, "first": ["Device not supported"]}, {"errors": None}
    assert verdict(a=empty, b=unknown) == "not measured"
    assert verdict(a=clean, b=empty) == "met"
    assert verdict(a=clean, b=failed) == "MISSED"


def test_the_emulator_meets_no_target() -> None:
    assert {t["verdict"] for t in made_up_report("emulated")["targets"]} == {"not measured"}


def test_table() -> None:
    report = made_up_report()
    text = summary.table(report)
    assert "!! kernel: timed out after 9 s" in text
    assert "7 JPEG engines" in text
    assert "FAILED tests.test_cuda::test_x: broken" in text
    assert summary.exit_code(report) == 1
    report["sections"]["kernel"]["status"] = "not run: no time left"
    assert summary.exit_code(report) == 0
    report["sections"]["bench"]["absent"] = {f"peer-{i}": "is not installed" * 5 for i in range(300)}
    text = summary.table(report)
    assert len(text) <= summary.MOST_CHARACTERS
    assert "the rest is in gpu.json" in text
    assert text.splitlines()[-1].startswith("compute-sanitizer errors")  # targets are never cut off


# --- processes ---


def test_time_is_shared() -> None:
    a, b, c = (Section(name, name, share) for name, share in (("a", 1), ("b", 2), ("c", 1)))
    assert gpu_suite.sections.seconds_for(a, [b, c], 100) == 25
    assert gpu_suite.sections.seconds_for(c, [], 60) == 60


BAD_SECTIONS = """
import os, time
def run(context):
    context.result["kept"] = True
    context.result["running"] = "x" if "x" not in context.skip else "y"
    context.save()
    HOW
"""


@pytest.mark.parametrize(
    ("how", "status"),
    [
        ("raise ValueError('broken')", "failed"),
        ("time.sleep(60)", "timed out"),
        ("os.abort()", "died (SIGABRT)"),
        ("os._exit(3)", "died (exit status 3)"),
    ],
)
def test_a_bad_section(how: str, status: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bad_section.py").write_text(BAD_SECTIONS.replace("HOW", how), encoding="utf-8")
    (tmp_path / "good_section.py").write_text("def run(context): context.result['n'] = 1\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    sections = (Section("bad", "bad_section", 1, emulated=True), Section("good", "good_section", 1, emulated=True))
    monkeypatch.setattr(supervise, "SECTIONS", sections)
    for name, seconds in (("RESERVE_S", 0.0), ("GRACE_S", 0.5), ("LEAST_S", 0.5)):
        monkeypatch.setattr(supervise, name, seconds)
    report = supervise.run(tmp_path / "out", 4.0 if status == "timed out" else 12.0)
    bad = report["sections"]["bad"]
    assert bad["status"].startswith(status)
    assert bad["kept"] is True
    assert report["sections"]["good"]["status"] == "done"
    assert json.loads((tmp_path / "out" / "gpu.json").read_text(encoding="utf-8"))["sections"]["good"]["n"] == 1
    if status.startswith("died"):
        assert [c["entrant"] for c in bad["crashed"]] == ["x", "y"]  # each left out of the next try
    assert summary.exit_code(report) == 1


def test_dry_run(tmp_path: pathlib.Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), "--out", str(tmp_path), "--quick"]
    command += ["--corpus", "generated", "--only", "difference", "bench", "--minutes", "3"]
    environment = {"PATH": "/usr/bin:/bin", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))
    assert report["measured"].startswith("not measured: no GPU")
    assert report["sections"]["bench"] == {"status": "not measured: no GPU"}
    difference = report["sections"]["difference"]
    assert (difference["status"], difference["device"]) == ("done", "emulated")
    assert difference["images"]["natural"] == {"source": "generated", "count": 2}
    assert difference["exact"]["natural"]["equal"] == 2
    assert {t["verdict"] for t in report["targets"]} == {"not measured"}
    assert "NOT MEASURED: no GPU" in done.stdout[-10_000:]


@pytest.mark.parametrize("bad", [["--corpus", "/nowhere"], ["--only", "nothing"], ["--minutes", "0"], ["--wheel", "x"]])
def test_bad_arguments(bad: list[str], tmp_path: pathlib.Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), "--out", str(tmp_path / "out"), *bad]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert bad[0] in done.stderr
    assert not (tmp_path / "out").exists()


def test_script_usage() -> None:
    script = str(ROOT / "scripts" / "gpu-suite.sh")
    assert subprocess.run([script], capture_output=True, check=False).returncode == 2
    asked = subprocess.run([script, "-h"], capture_output=True, text=True, check=True)
    assert asked.stdout.startswith("Measures fastpre")
    assert "set -eu" not in asked.stdout


def test_no_gpu_is_said_plainly() -> None:
    state = build.gpu_state({"missing": "no NVIDIA driver was found"})
    assert state == {"usable": False, "present": False, "why": "no NVIDIA driver was found"}
    assert supervise.measured(state) == "not measured: no GPU (no NVIDIA driver was found)"
    unused = {"usable": False, "present": True, "why": "this build has no CUDA"}
    assert supervise.measured(unused) == "not measured: fastpre cannot use this GPU (this build has no CUDA)"
    assert supervise.measured({"usable": True, "present": True, "why": ""}) == "on the GPU"


def test_an_unused_gpu_is_a_failure() -> None:
    report = made_up_report("emulated")
    report["sections"].pop("kernel")
    assert summary.exit_code(report) == 0
    report["gpu"] = {"usable": False, "present": True, "why": "this build has no CUDA"}
    assert summary.exit_code(report) == 1
    assert "THERE IS A GPU" in summary.table(report)


# --- what talks to devices, with stand-ins ---


def test_exercise_on_the_emulator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTPRE_NVJPEG", "/no/nvjpeg")
    monkeypatch.setenv("FASTPRE_CUDA_DECODER", "auto")
    specs = exercise.specs()
    assert len(specs) == 4 * 2 * 6 * 2
    assert {s["color"] for s in specs} == {"RGB", "BGR", "L"}
    count, wrong = exercise.run("emulated", ["auto"], math.inf, limit=12)
    assert (count, wrong) == (12, [])


@pytest.fixture
def cuda_on_the_emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever is put on "cuda" stays on the CPU, and fastpre's device is the emulator."""
    import torch
    from torch.overrides import TorchFunctionMode

    from fastpre._backend import devices

    class OnCpu(TorchFunctionMode):
        def __torch_function__(self, function: Any, kinds: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = {key: "cpu" if value == "cuda" else value for key, value in (kwargs or {}).items()}
            if getattr(function, "__name__", "") == "to":
                args = tuple("cpu" if isinstance(a, str) and a == "cuda" else a for a in args)
            return function(*args, **kwargs)

    stream = types.SimpleNamespace(cuda_stream=0, synchronize=lambda: None)
    stand_ins = {
        "synchronize": lambda: None,
        "current_stream": lambda: stream,
        "Stream": lambda: stream,
        "stream": lambda _: contextlib.nullcontext(),
        "current_device": lambda: -1,
        "device_count": lambda: 1,
        "mem_get_info": lambda: (1 << 20, 3 << 20),
        "memory_reserved": lambda: 1 << 20,
    }
    for name, value in stand_ins.items():
        monkeypatch.setattr(torch.cuda, name, value)
    resolve = devices.resolve
    monkeypatch.setattr(devices, "resolve", lambda d: devices.Emulated() if str(d).startswith("cuda") else resolve(d))
    monkeypatch.setenv("FASTPRE_NVJPEG", "/no/nvjpeg")
    monkeypatch.setenv("FASTPRE_CUDA_DECODER", "auto")
    monkeypatch.setattr(pictures, "load", lambda name, quick=False: pictures.Pictures("tiny", ["a", "b"], TINY))
    with OnCpu():
        yield


TINY = [pictures.encode(60, 50), pictures.encode(50, 71, subsampling="4:4:4")]


@pytest.mark.usefixtures("cuda_on_the_emulator")
def test_bench(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "CELLS", (("natural", 3), ("large", 1)))
    c = context(tmp_path, seconds=20.0, skip=("torchvision",))
    bench.run(c)
    assert c.result["absent"]["torchvision"] == "ended the process in an earlier try"
    assert "nvjpeg-alone" in c.result["absent"]
    first, second = c.result["cells"]
    assert (first["set"], first["batch"], second["batch"]) == ("natural", 3, 1)
    rows = {r["key"]: r for r in first["rows"]}
    ours = {"fastpre-exact", "fastpre-auto", "fastpre-coefficients"}
    assert set(rows) == ours
    assert rows["fastpre-exact"]["equal"] == 3
    assert rows["fastpre-exact"]["decoders"] == {"fastpre": 3}
    assert rows["fastpre-exact"]["batch_ms"]["median"] == pytest.approx(
        3e3 / rows["fastpre-exact"]["images_per_second"], rel=0.01
    )
    assert "fastpre-cpu" in first["absent"]  # asks for pinned memory
    # Without engines it would be a second measurement of something else.
    assert first["absent"]["fastpre-hardware"] == "no image took that decoder: {'fastpre': 3}"
    assert {(r["what"], r["key"]) for r in c.result["latency"] if "ms" in r} >= {("12 MP", key) for key in ours}


@pytest.mark.usefixtures("cuda_on_the_emulator")
def test_memory_and_threads(tmp_path: pathlib.Path) -> None:
    from gpu_suite import threads

    c = context(tmp_path, seconds=4.0)
    threads.run(c)
    assert all(m["batches"] >= threads.THREADS for m in c.result["modes"].values())
    assert all(m["different"] == 0 and m["errors"] == [] for m in c.result["modes"].values())
    assert memory_growth._sample(__import__("torch"))["device_beside_torch"] == 1 << 20


# --- nvJPEG's interface, with the library that stands for it in tests ---


@pytest.fixture(scope="module")
def fake_nvjpeg(tmp_path_factory: pytest.TempPathFactory) -> str:
    compiler = shutil.which("c++")
    library = tmp_path_factory.mktemp("nvjpeg") / "libfake_nvjpeg.so"
    command = [str(compiler), "-std=c++20", "-O1", "-shared", "-fPIC", f"-I{ROOT / 'csrc'}"]
    command += [str(ROOT / "tests" / "cpp" / "fake_nvjpeg.cpp"), "-ljpeg", "-o", str(library)]
    if compiler is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs a C++ compiler and libjpeg's headers")
    return str(library)


@pytest.fixture
def allocator() -> nvjpeg_alone.NvjpegAllocator:
    kept: dict[int, Any] = {}

    def allocate(_: Any, memory: Any, count: int, __: Any) -> int:
        block = ctypes.create_string_buffer(count)
        kept[ctypes.addressof(block)] = block
        memory[0] = ctypes.addressof(block)
        return 0

    def free(_: Any, memory: int, __: int, ___: Any) -> int:
        kept.pop(memory, None)
        return 0

    kinds = nvjpeg_alone.NvjpegAllocator
    return kinds(kinds.ALLOCATE(allocate), kinds.FREE(free), None)


def test_nvjpeg_alone(fake_nvjpeg: str, allocator: nvjpeg_alone.NvjpegAllocator) -> None:
    library = nvjpeg_alone.NvjpegAlone(fake_nvjpeg, (allocator, allocator))
    assert library.engines() == 2
    assert not library.supports(b"no JPEG")
    assert not library.supports(pictures.encode(64, 48, progressive=True))
    images = [pictures.encode(63, 50, subsampling="4:2:0"), pictures.encode(40, 33, mode="L")]
    images.append(pictures.encode(70, 31, subsampling="4:2:2"))
    assert all(map(library.supports, images))
    memory: list[np.ndarray[Any, Any]] = []

    def allocate(count: int) -> tuple[Any, int]:
        memory.append(np.zeros(count, np.uint8))
        return memory[-1], memory[-1].ctypes.data

    batch = library.batch(images, allocate)
    assert [(p.width, p.height, p.pitch) for p in batch.planes[0]] == [(63, 50, 64), (32, 25, 64), (32, 25, 64)]
    for _ in range(2):
        library.decode(batch, 0)
    for data, planes in zip(images, batch.planes, strict=True):
        p = planes[0]
        rows = memory[0][p.offset : p.offset + p.height * p.pitch].reshape(p.height, p.pitch)[:, : p.width]
        assert np.array_equal(rows, nvjpeg_entrant.luma(data))


def test_partial_results_are_whole(tmp_path: pathlib.Path) -> None:
    c = context(tmp_path)
    c.result["when"] = time.time()
    c.save()
    assert gpu_suite.sections.read_json(c.partial) == c.result
    assert gpu_suite.sections.read_json(tmp_path / "none.json") == {}
