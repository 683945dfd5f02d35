"""The real perf_analyzer against the real server: HTTP, gRPC, and a gRPC stream.

Its binary needs glibc 2.38. Where pip installs a placeholder instead, scripts/perf-analyzer.sh makes a place for it,
and FASTPRE_PERF_ANALYZER has the command. /tmp must be the same folder for both.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import pictures


def command() -> list[str]:
    """How to run it."""
    found = os.environ.get("FASTPRE_PERF_ANALYZER") or shutil.which("perf_analyzer")
    if found is None:
        pytest.skip(
            "NOT RUN: no perf_analyzer (pip install perf-analyzer, or scripts/perf-analyzer.sh on older systems)"
        )
    words = shlex.split(found)
    try:
        asked = subprocess.run([*words, "--version"], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"NOT RUN: perf_analyzer does not run here ({error}); see scripts/perf-analyzer.sh")
    if "Perf Analyzer Version" not in asked.stdout + asked.stderr:
        pytest.skip("NOT RUN: this perf_analyzer is pip's placeholder; see scripts/perf-analyzer.sh")
    return words


@pytest.fixture(scope="module")
def analyzer() -> list[str]:
    return command()


@pytest.fixture(scope="module")
def ports(analyzer: list[str]) -> Iterator[dict[str, str]]:
    """A server's HTTP and gRPC addresses."""
    serve = [sys.executable, "-m", "fastpre", "serve", "--model", "builtin:tiny", "--port", "0", "--grpc-port", "0"]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(2)]
            addresses = [re.findall(r"127\.0\.0\.1:\d+", line)[0] for line in lines]
            yield dict(zip(("http", "grpc"), addresses, strict=True))
        finally:
            process.terminate()
            assert process.wait(30) == 0


@pytest.fixture(scope="module")
def inputs() -> Iterator[Path]:
    """Its input file: BYTES as they are sent, so each with its length before it."""
    images = [pictures.photograph(300 + 20 * i, 200, seed=i) for i in range(4)]
    encoded = [base64.b64encode(len(image).to_bytes(4, "little") + image).decode() for image in images]
    data = [{"IMAGE": {"content": {"b64": text}, "shape": [1]}} for text in encoded]
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        path = Path(folder) / "inputs.json"
        path.write_text(json.dumps({"data": data}), encoding="utf-8")
        yield path


@pytest.mark.parametrize(("protocol", "more"), [("http", ()), ("grpc", ()), ("grpc", ("--streaming",))])
def test_it_measures_the_server(
    analyzer: list[str], ports: dict[str, str], inputs: Path, protocol: str, more: tuple[str, ...]
) -> None:
    options = ["-m", "tiny", "-i", protocol, "-u", ports[protocol], "--input-data", str(inputs), *more]
    count = ["--measurement-mode", "count_windows", "--measurement-request-count", "20", "--max-trials", "3"]
    # -s: a test has no need of figures that are stable to the percent.
    done = subprocess.run(
        [*analyzer, *options, *count, "--concurrency-range", "2", "-s", "999"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    served = re.search(r"Successful request count: (\d+)", done.stdout)
    assert served is not None, done.stdout
    assert int(served.group(1)) >= 20
    # What it reads of the server's statistics, by stage.
    assert re.search(r"queue \d+ usec \+ compute input [1-9]\d* usec \+ compute infer [1-9]\d* usec", done.stdout)
