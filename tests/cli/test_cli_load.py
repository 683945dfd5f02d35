"""`fastpre load`: what it sends, says and writes, and how it ends."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from hdrh.histogram import HdrHistogram

from command_line import call
from misbehaving import METADATA, Answer, Arrived, Server, misbehaving

SHORT = ("--requests", 20, "--warmup", 0)


def answer(request: Arrived) -> Answer:
    """Every tenth request is refused; JPEGs are fine, all else is corrupt."""
    if request.number % 10 == 9:
        return Answer(503, b'{"code": "overloaded"}', (("Retry-After", "1"),))
    length = int(request.headers.get("inference-header-content-length", 0))
    data = request.body[length + 4 if length else 0 :]
    if data[:2] != b"\xff\xd8" or data[-2:] != b"\xff\xd9":
        return Answer(422, b'{"code": "corrupt_image"}')
    return Answer(headers=(("Server-Timing", "decode;dur=1.25"),))


@pytest.fixture
def server() -> Iterator[Server]:
    with misbehaving(answer) as found:
        yield found


@pytest.fixture
def good(folder: Path) -> Path:
    (folder / "deep" / "bad.jpg").unlink()
    return folder


def load(server: Server, *args: object) -> Result:
    return call("load", server.url, *args)


def test_the_report_says_what_happened(server: Server, good: Path) -> None:
    result = load(server, good, *SHORT, "--max-errors", 0.1)
    assert result.exit_code == 0, result.output
    lines = {line.split(" ")[0]: line for line in result.stdout.splitlines()}
    assert "closed loop, 1 client, seed 0; v2-http to http://127.0.0.1:" in lines["asked"]
    assert "model m (misbehaving 1)" in lines["asked"]
    assert "20 of the 20 requests that were due" in lines["sent"]
    assert "ok 18 · refused 2 (2 with Retry-After); goodput" in lines["answers"]
    assert lines["failures"] == "failures  refused: overloaded 2"
    assert lines["stages"].startswith("stages    decode 1.25 ms (Server-Timing; medians of 18 answers)")
    assert "too few requests" in lines["-:"]
    assert "of a core" in result.stdout
    assert "skipped: 1 other file" in result.stderr
    assert "sending 5 images" in result.stderr
    assert {a.path for a in server.arrived} == {"/v2/models/m/infer"}


def test_errors_above_the_bound_are_exit_code_1(server: Server, good: Path) -> None:
    assert load(server, good, *SHORT).exit_code == 1
    assert load(server, good, *SHORT, "--max-errors", 0.05).exit_code == 1
    assert load(server, good, "--requests", 5, "--warmup", 0).exit_code == 0


def test_all_options_reach_the_plan(server: Server, good: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("Timestamp\n" + "\n".join(str(i // 3) for i in range(400)))
    out, log = tmp_path / "deep" / "out.json", tmp_path / "out.hdr"
    result = load(
        *(
            server,
            good,
            "--rate",
            100,
            "--arrivals",
            trace,
            "--cv",
            3,
            "--duration",
            1,
            "--requests",
            50,
            "--warmup",
            0.1,
        ),
        *("--seed", 7, "--batch", 2, "--mix", "deep=1", "--bad-fraction", 0.1, "--limit", 5, "--protocol", "predict"),
        *("--model", "x", "--timeout", 3, "--max-outstanding", 9, "--header", "X-A: b: c", "--api-key", "key"),
        *("--json", out, "--histogram", log, "--max-errors", 1, "--quiet"),
    )
    assert result.exit_code == 0, result.output
    report = json.loads(out.read_text())
    assert report["plan"] == {
        "url": server.url,
        "protocol": "predict",
        "model": "x",
        "rate": 100,
        "concurrency": None,
        "arrivals": str(trace),
        "cv": 3,
        "seed": 7,
        "duration_s": 1,
        "requests": 50,
        "warmup_s": 0.1,
        "timeout_s": 3,
        "batch": 2,
        "mix": {"deep": 1},
        "bad_fraction": 0.1,
        "max_outstanding": 9,
        "headers": ["X-A"],
    }
    assert report["due"] == 50
    assert list(report["sizes"]) == ["deep"]
    assert "multipart/form-data" in server.arrived[0].headers["content-type"]
    assert server.arrived[0].headers["x-a"] == "b: c"
    assert server.arrived[0].headers["authorization"] == "Bearer key"
    assert server.arrived[0].path == "/v1/predict?model=x"
    tags = [line.split(",") for line in log.read_text().splitlines() if line.startswith("Tag=latency")]
    assert sum(HdrHistogram.decode(line[4]).get_total_count() for line in tags) == 50


def test_damaged_images_are_said_apart(server: Server, good: Path) -> None:
    result = load(server, good, "--requests", 8, "--warmup", 0, "--bad-fraction", 0.25)
    assert result.exit_code == 0, result.output  # they got the 4xx that they should get
    assert "bad       2 of the requests had a damaged image: client errors (4xx) 2" in result.stdout
    assert "failures  client errors (4xx): corrupt_image 2" in result.stdout


def test_json_on_stdout_is_all_of_it(server: Server, good: Path) -> None:
    result = load(server, good, *SHORT, "--json", "-", "--max-errors", 1)
    assert json.loads(result.stdout)["outcomes"]["ok"] == 18


def test_percentiles_as_a_file(server: Server, good: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.hgrm"
    assert load(server, good, "--requests", 5, "--warmup", 0, "--histogram", out).exit_code == 0
    assert out.read_text().splitlines()[0].split() == ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]


def test_falling_behind_is_said_loudly_in_every_mode(server: Server, good: Path) -> None:
    behind = (server, good, "--rate", 1e6, "--duration", 0.1, "--warmup", 0, "--max-errors", 1)
    words = "FELL BEHIND: the results are the generator's, not the server's: "
    assert words in load(*behind).stdout
    assert words in load(*behind, "--quiet").stderr
    result = load(*behind, "--json", "-")
    assert words in result.stderr
    assert json.loads(result.stdout)["generator"]["fell_behind"] is True


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--rate", 1, "--concurrency", 1), "give one of them"),
        (("--rate", -1), "rate must be above 0"),
        (("--arrivals", "uniform"), "none of constant, poisson, gamma"),
        (("--mix", "small"), "'small' is not NAME=SHARE"),
        (("--mix", "small=x"), "'small=x' is not NAME=SHARE"),
        (("--mix", "nowhere=1"), "mix: nowhere is neither a folder (deep) nor one of"),
        (("--header", "x"), "'x' is not 'Name: value'"),
        (("--histogram", "a.txt"), "neither in .hdr nor in .hgrm"),
        (("--json", "/dev/null"), "is a device"),
        (("--protocol", "v2-grpc"), "does not go with http://"),
        (("--max-outstanding", 10_000_000), "files open (ulimit -Hn)"),
    ],
)
def test_wrong_usage_is_exit_code_2(
    server: Server, good: Path, args: tuple[object, ...], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
    result = load(server, good, *args)
    assert result.exit_code == 2, result.output
    assert message in " ".join(result.stderr.split())
    assert server.arrived == []


def test_a_server_that_is_not_there_is_exit_code_2(server: Server, good: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    result = call("load", "http://127.0.0.1:1", good, "--json", out)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith("Error: http://127.0.0.1:1: ")
    assert list(tmp_path.glob("out*")) == []


def test_a_trace_that_is_not_there_is_exit_code_2(server: Server, good: Path) -> None:
    result = load(server, good, "--arrivals", "none.csv")
    assert result.exit_code == 2
    assert "none.csv" in result.stderr


def test_the_soft_limit_of_open_files_is_raised(server: Server, good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[Any] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 4096))
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: limits.append(pair))
    assert load(server, good, "--requests", 1, "--warmup", 0, "--max-outstanding", 1000).exit_code == 0
    assert limits == [(1064, 4096)]


@pytest.mark.parametrize("missing", ["hdrh", "httptools"])
def test_what_is_missing_is_said(server: Server, good: Path, missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("fastpre.load", "hdrh"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    result = load(server, good)
    assert result.exit_code == 2
    assert "pip install 'fastpre[serve]'" in result.stderr


def test_what_servers_say_is_no_code_for_the_terminal(good: Path) -> None:
    words = {**METADATA, "/v2": {"name": "\x1b[2Jgone", "version": "[red]1"}}
    with misbehaving(lambda _: Answer(400, b'{"code": "\\u001b[31m[bold]"}'), words) as server:
        result = load(server, good, *SHORT)
    assert "\x1b" not in result.output
    assert "(\\x1b[2Jgone [red]1)" in result.stdout
    assert "client errors (4xx): \\x1b[31m[bold] 20" in result.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_gives_the_report_so_far(server: Server, good: Path, tmp_path: Path, number: int) -> None:
    out = tmp_path / "out.json"
    command = [sys.executable, "-m", "fastpre", "load", server.url, str(good), "--rate", "200", "--duration", "600"]
    process = subprocess.Popen(
        [*command, "--warmup", "0", "--json", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "100"},
    )
    until = time.monotonic() + 30
    while len(server.arrived) < 20 and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(number)
    begun = time.monotonic()
    stdout, stderr = process.communicate(timeout=20)
    assert time.monotonic() - begun < 10
    assert process.returncode == 128 + number, stderr
    assert f"stopped by {signal.Signals(number).name}" in stderr
    assert "STOPPED after" in stdout
    report = json.loads(out.read_text())
    assert report["stopped"] is True
    assert 18 <= report["outcomes"]["ok"] <= report["due"]
