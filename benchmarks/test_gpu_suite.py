"""The GPU suite around its sections: processes, targets, the table, what others have left, a dry run."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import pytest
import targets
from gpu_suite import checks, sections, summary
from gpu_suite.targets import TARGETS

pytestmark = pytest.mark.filterwarnings("default")

ROOT = pathlib.Path(__file__).resolve().parents[1]

JUNIT = """<?xml version="1.0"?><testsuites><testsuite tests="5">
<testcase classname="tests.test_cuda" name="test_a" time="0.1" />
<testcase classname="tests.test_cuda" name="test_b"><failure message="assert 1 == 2&#10;more">trace</failure></testcase>
<testcase classname="tests.test_cuda" name="test_c"><skipped message="no GPU" type="pytest.skip" /></testcase>
<testcase classname="" name="tests.test_cuda_x"><error message="collection failure">trace</error></testcase>
</testsuite></testsuites>"""
CLEAN = "========= COMPUTE-SANITIZER\n12 passed in 3.1s\n========= ERROR SUMMARY: 0 errors\n"
BAD = (
    "========= COMPUTE-SANITIZER\n========= Invalid __global__ read of size 1 bytes\n"
    "=========     at ResampleKernel+0x70\n========= \n1 failed, 11 passed\n========= ERROR SUMMARY: 3 errors\n"
)
RACES = "2 passed\n========= RACECHECK SUMMARY: 3 hazards displayed (1 error, 2 warnings)\n"


def test_checks(tmp_path: pathlib.Path) -> None:
    assert checks.read(tmp_path) == {}
    (tmp_path / "tests.xml").write_text(JUNIT, encoding="utf-8")
    for name, text in (("memcheck", BAD), ("racecheck", RACES), ("initcheck", CLEAN), ("synccheck", "")):
        (tmp_path / f"sanitizer-{name}.txt").write_text(text, encoding="utf-8")
    found = checks.read(tmp_path)
    failures = ["tests.test_cuda::test_b: assert 1 == 2", "::tests.test_cuda_x: collection failure"]
    assert found["tests"] == {"passed": 1, "failed": 2, "skipped": 1, "failures": failures}
    first = ["Invalid __global__ read of size 1 bytes", "at ResampleKernel+0x70"]
    assert found["sanitizer"]["memcheck"] == {"errors": 3, "passed": 11, "failed": 1, "first": first}
    assert found["sanitizer"]["initcheck"] == {"errors": 0, "passed": 12, "failed": 0, "first": []}
    assert (found["sanitizer"]["racecheck"]["errors"], found["sanitizer"]["synccheck"]["errors"]) == (1, None)


def row(key: str, ms: float, part: bool = False) -> dict[str, Any]:
    return {"key": key, "label": key, "ms": {"median": ms}, "part": part}


def made_up_report(device: str = "cuda") -> dict[str, Any]:
    """As from a GPU; every figure in it is invented."""
    published = {"images": 3, "within_2_percent": 99.95, "psnr_db": 44.0}
    rows = [row("fastpre-fast", 0.3), row("fastpre-exact", 0.36), row("fastpre-hardware", 0.36)]
    rows += [row("slow", 10.0), row("quick", 0.6), row("nvjpeg-alone", 0.1, part=True)]
    found: dict[str, Any] = {
        "device": {"cuda": {"devices": [{"name": "a GPU", "engines": 7}]}},
        "checks": {"tests": checks.of_tests(JUNIT), "sanitizer": {}},
        "difference": {
            "exact": {"natural": {"equal": 9, "refused_alike": 1, "different": 0, "first_different": []}},
            "fast": {
                "auto": {"published": published | {"psnr_db": None}, "ran": True},
                "hardware": {"published": published, "ran": True},
                "hybrid": {"published": published | {"psnr_db": 1.0}, "ran": False},
            },
        },
        "throughput": {
            "cells": [
                {"set": "natural", "batch": 256, "absent": {}, "rows": rows},
                {"set": "one natural", "batch": 1, "absent": {}, "rows": [row("fastpre-fast", 1.4)]},
                {"set": "small", "batch": 1, "absent": {}, "rows": [], "note": "not reached: no time left"},
            ],
        },
        "soak": {
            "threads": {"exact, auto": {"batches": 9, "different": 0, "errors": []}},
            "memory": {"batches": 500, "growth_bytes": {"fastpre_device": 0, "device_beside_torch": 3 << 20}},
        },
        "kernels": {"status": "timed out after 9 s"},
    }
    found = {name: {"status": "done", "device": device, "seconds": 1.0} | section for name, section in found.items()}
    gpu = {"usable": device == "cuda", "why": "no GPU"}
    report = {"date": "", "commit": None, "quick": False, "sections": found, "gpu": gpu}
    return report | {"targets": targets.judge(TARGETS, report)}


def test_targets() -> None:
    found = {t["text"]: (t["value"], t["verdict"]) for t in made_up_report()["targets"]}
    assert found == {
        "tests/test_cuda*.py that fail": (2, "MISSED"),
        "exact on cuda: images that differ from the CPU": (0, "met"),
        "fast: values within 2/255 of exact": (99.95, "met"),
        "fast: PSNR to exact": (44.0, "MISSED"),  # of what ran
        "natural, 256: fast / best other implementation": (2.0, "met"),
        "natural, 256: fast / engines only": (1.2, "MISSED"),
        "natural, 256: exact / fast": (0.8333, "met"),
        "one natural image, fast": (1.4, "met"),
        "one 12 MP image, fast": (None, "not measured"),
        "kernels' time / nvJPEG alone": (None, "not measured"),
        "kernel's bytes/s / device copy's": (None, "not measured"),
        "4 threads: batches that differ or fail": (0, "met"),
        "memory growth, fastpre's own": (0.0, "met"),
        "memory growth, device without torch": (3.0, "MISSED"),
        "compute-sanitizer errors": (None, "not measured"),
    }
    assert {t["verdict"] for t in made_up_report("emulated")["targets"]} == {"not measured"}


def test_a_sanitizer_that_looked_at_nothing_says_nothing() -> None:
    def verdict(*logs: str) -> str:
        report = made_up_report()
        tools = {f"tool-{i}": checks.of_sanitizer(log) for i, log in enumerate(logs)}
        report["sections"]["checks"]["sanitizer"] = tools
        assert "sanitizer, tool-0" in summary.table(report)
        return next(t["verdict"] for t in targets.judge(TARGETS, report) if "sanitizer" in t["text"])

    empty = "========= ERROR SUMMARY: 0 errors\n"
    assert verdict(empty, "") == "not measured"
    assert verdict(CLEAN, empty) == "met"
    assert verdict(CLEAN, BAD) == "MISSED"


def test_table() -> None:
    report = made_up_report()
    text = summary.table(report)
    assert "!! kernels: timed out after 9 s" in text
    assert "7 JPEG engines" in text
    assert "FAILED tests.test_cuda::test_b: assert 1 == 2" in text
    assert [line.split()[-2:] for line in text.splitlines() if line.startswith("fastpre-fast")] == [["3333", "1.40"]]
    assert summary.exit_code(report) == 1
    report["sections"]["kernels"]["status"] = "not run: no time left"
    assert summary.exit_code(report) == 0
    report["sections"]["throughput"]["absent"] = {f"another-{i}": "is not installed" * 5 for i in range(300)}
    text = summary.table(report)
    assert len(text) <= summary.MOST_CHARACTERS
    assert "the rest is in gpu.json" in text
    assert text.splitlines()[-1].startswith("compute-sanitizer errors")  # targets are never cut off
    report["gpu"] = {"usable": False, "present": True, "why": "this build has no CUDA"}
    assert summary.exit_code(report) == 1
    assert "THERE IS A GPU" in summary.table(report)


BAD_SECTION = """
import os, time
def run(context):
    context.result |= {"kept": True, "running": "x" if "x" not in context.skip else "y"}
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
    package = tmp_path / "made_sections"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "device.py").write_text("def run(context): pass\n", encoding="utf-8")
    (package / "bad.py").write_text(BAD_SECTION.replace("HOW", how), encoding="utf-8")
    (package / "good.py").write_text("def run(context): context.result['n'] = 1\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setattr(sections, "PACKAGE", "made_sections")
    monkeypatch.setattr(sections, "SHARES", {"device": 1.0, "bad": 1.0, "good": 1.0})
    monkeypatch.setattr(sections, "EMULATED", ("device", "bad", "good"))
    for name, seconds in (("RESERVE_S", 0.0), ("GRACE_S", 0.5), ("LEAST_S", 0.5), ("FIRST_S", 2.0)):
        monkeypatch.setattr(sections, name, seconds)
    report = sections.run(tmp_path / "out", 12.0 if status != "timed out" else 6.0)
    bad = report["sections"]["bad"]
    assert bad["status"].startswith(status)
    assert bad["kept"] is True
    assert report["sections"]["good"]["status"] == "done"
    assert json.loads((tmp_path / "out" / "gpu.json").read_text(encoding="utf-8"))["sections"]["good"]["n"] == 1
    if status.startswith("died"):
        assert bad["crashed"] == {"x": status, "y": status}  # each left out of the next try
    assert summary.exit_code(report) == 1


def test_dry_run(tmp_path: pathlib.Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), "--out", str(tmp_path), "--quick"]
    command += ["--corpus", "generated", "--only", "difference", "throughput", "--minutes", "3"]
    environment = {"PATH": "/usr/bin:/bin", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))
    assert report["measured"].startswith("not measured: no GPU")
    assert report["sections"]["throughput"] == {"status": "not measured: no GPU"}
    difference = report["sections"]["difference"]
    assert (difference["status"], difference["device"]) == ("done", "emulated")
    assert difference["images"]["natural"] == {"source": "generated", "count": 2}
    assert difference["exact"]["natural"]["equal"] == 2
    assert {t["verdict"] for t in report["targets"]} == {"not measured"}
    assert "NOT MEASURED: no GPU" in done.stdout


@pytest.mark.parametrize("bad", [["--corpus", "/nowhere"], ["--only", "nothing"], ["--minutes", "0"]])
def test_bad_arguments(bad: list[str], tmp_path: pathlib.Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), "--out", str(tmp_path / "out"), *bad]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert bad[0] in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("script", ["gpu-suite.sh", "gpu-sanitizer.sh"])
def test_scripts_usage(script: str) -> None:
    done = subprocess.run([ROOT / "scripts" / script], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "usage:" in done.stderr
    assert "set -eu" not in done.stderr


def test_sanitizer_script(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "compute-sanitizer"
    tool.write_text('#!/bin/sh\necho "$*" >>"$0.log"\necho "1 passed"\necho "========= ERROR SUMMARY: 0 errors"\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    command = [str(ROOT / "scripts" / "gpu-sanitizer.sh"), sys.executable, str(tmp_path / "out"), "60"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    tools = checks.read(tmp_path / "out")["sanitizer"]
    assert {name: (t["errors"], t["passed"]) for name, t in tools.items()} == dict.fromkeys(
        ["memcheck", "memcheck-nvjpeg", "racecheck", "synccheck", "initcheck"], (0, 1)
    )
    commands = pathlib.Path(f"{tool}.log").read_text(encoding="utf-8").splitlines()
    assert len(commands) == 5
    assert commands[0].startswith("--tool memcheck --error-exitcode 3 --kernel-name kns=fastpre")
    tool.write_text("#!/bin/sh\nexit 3\n")
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1
