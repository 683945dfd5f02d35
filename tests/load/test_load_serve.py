"""Against `fastpre serve` itself, in a process of its own: the load generator finds its model and reads its words."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

import pictures
from fastpre.load import Plan, Unreachable, run

KEY = "a key"


@pytest.fixture(scope="module")
def addresses() -> Iterator[dict[str, str]]:
    """URLs by scheme."""
    command = [sys.executable, "-m", "fastpre", "serve", "--model", "builtin:tiny"]
    process = subprocess.Popen(
        [*command, "--port", "0", "--grpc-port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "FASTPRE_API_KEY": KEY},
    )
    assert process.stdout is not None
    try:
        http, grpc = (process.stdout.readline().split()[-1] for _ in range(2))
        yield {"http": http, "grpc": f"grpc://{grpc}"}
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        process.stdout.close()


@pytest.fixture(scope="module")
def images() -> list[bytes]:
    return [pictures.photograph(320, 240, seed) for seed in range(4)]


@pytest.mark.parametrize(
    ("scheme", "protocol", "batch"),
    [
        ("http", "v2-http", 1),
        ("http", "v2-http", 4),
        ("grpc", "v2-grpc", 1),
        ("grpc", "v2-grpc", 4),
        ("http", "predict", 1),
    ],
)
def test_one_bad_image_in_sixteen(
    addresses: dict[str, str], images: list[bytes], scheme: str, protocol: str, batch: int
) -> None:
    plan = Plan(
        url=addresses[scheme],
        protocol=protocol,
        concurrency=2,
        requests=64,
        warmup_s=0,
        batch=batch,
        bad_fraction=1 / 16,
        api_key=KEY,
    )
    report = run(plan, images)
    assert {kind: count for kind, count in report.outcomes.items() if count} == {"ok": 60, "client_error": 4}
    assert report.bad_images == {"client_error": 4}
    assert report.codes["client_error"] == {"corrupt_image": 2, "unsupported_image": 2}
    assert report.error_share == 0
    assert {"preprocess", "inference"} <= report.stages_ms.keys()
    assert report.stages_from == 60
    if protocol != "predict":
        assert report.target.model == "tiny"
        assert report.target.server.startswith("fastpre ")


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_without_the_key_the_server_says_why(addresses: dict[str, str], images: list[bytes], scheme: str) -> None:
    with pytest.raises(Unreachable, match="API key"):
        run(Plan(url=addresses[scheme], requests=1), images)
