"""Which decoder runs, why, and that neither this nor the number of threads shows in the pixels."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import subprocess
import sys
from typing import Any

import pytest
import torch

import fastpre
import reference
import streams

SPEC = fastpre.Spec()
TIMEOUT_S = 60


def large(**options: Any) -> bytes:
    """Enough MCUs that several threads share one image."""
    return streams.encode(streams.picture("RGB", 1900, 1400), quality=85, **options)


@pytest.mark.parametrize(
    ("options", "declined"),
    [
        ({}, ""),
        ({"subsampling": 0}, ""),
        ({"restart_marker_blocks": 3}, ""),
        ({"progressive": True}, "progressive"),
    ],
)
def test_plan_and_result_say_which_and_why(options: dict[str, Any], declined: str) -> None:
    stream = streams.encode(streams.picture("RGB", 300, 260), **options)
    plan = fastpre.plan(stream)
    image = fastpre.Preprocessor(SPEC).run([stream]).images[0]
    assert plan.decoder == image.decoder == ("libjpeg-turbo" if declined else "fastpre")
    assert plan.declined == image.declined == declined


def test_damage_goes_to_libjpeg_turbo() -> None:
    """Only a warning to Pillow: a few bytes too many at the end of a restart interval."""
    stream = bytearray(streams.encode(streams.picture("RGB", 300, 260), restart_marker_blocks=5))
    stream[(at := stream.index(b"\xff\xd3", len(stream) // 2)) : at] = b"abc"
    assert fastpre.plan(bytes(stream)).decoder == "fastpre"  # a plan does not read the data
    image = fastpre.Preprocessor(SPEC).run([bytes(stream)]).images[0]
    assert image.ok
    assert image.decoder == "libjpeg-turbo"
    assert image.declined
    reference.assert_exact(bytes(stream))


def test_libjpeg_turbo_can_be_forced(tmp_path: Any) -> None:
    path = tmp_path / "image.jpg"
    path.write_bytes(streams.encode(streams.picture("RGB", 300, 260)))
    script = (
        "import fastpre, sys; r = fastpre.Preprocessor(fastpre.Spec()).run([sys.argv[1]]);"
        "p = fastpre.plan(sys.argv[1]);"
        "print(r.images[0].decoder, r.images[0].declined, p.decoder, p.declined, r.tensor.double().sum().item())"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", script, str(path)],
            env={**os.environ, **extra},
            capture_output=True,
            text=True,
            check=True,
            timeout=TIMEOUT_S,
        ).stdout.split()
        for extra in ({}, {"FASTPRE_DECODER": "libjpeg-turbo"})
    ]
    assert said[0][:2] == ["fastpre", "fastpre"]
    assert said[1][:4] == ["libjpeg-turbo", "FASTPRE_DECODER"] * 2
    assert said[0][-1] == said[1][-1]


# Restart markers are split at; without them threads decode speculatively.
@pytest.mark.parametrize("options", [{}, {"restart_marker_rows": 1}, {"restart_marker_blocks": 7}, {"subsampling": 0}])
def test_threads_share_one_image(options: dict[str, Any]) -> None:
    stream = large(**options)
    reference.assert_exact(stream)  # one thread
    want = fastpre.Preprocessor(SPEC, num_threads=1)([stream])
    for threads in (2, 3, 8):
        for _ in range(3):
            assert torch.equal(fastpre.Preprocessor(SPEC, num_threads=threads)([stream]), want), threads


def test_optimized_tables_and_gray() -> None:
    for stream in (large(optimize=True), streams.encode(streams.picture("L", 1900, 1400), quality=85)):
        one, four = (fastpre.Preprocessor(SPEC, num_threads=n)([stream]) for n in (1, 4))
        assert torch.equal(one, four)


def test_many_callers_share_helpers() -> None:
    streams_ = [large(), large(restart_marker_rows=2)]
    want = fastpre.Preprocessor(SPEC, num_threads=1)(streams_)
    shared = fastpre.Preprocessor(SPEC, num_threads=6)
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        tensors = list(pool.map(lambda _: shared(streams_), range(24), timeout=TIMEOUT_S))
    assert all(torch.equal(t, want) for t in tensors)


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("where", [0.1, 0.5, 0.9])
def test_damage_in_a_shared_image(threads: int, where: float) -> None:
    """Cut short it is refused, with noise in it it is what libjpeg-turbo makes of it."""
    stream = bytearray(large())
    at = int(len(stream) * where)
    with pytest.raises(fastpre.CorruptImage, match="truncated"):
        fastpre.Preprocessor(SPEC, num_threads=threads)([bytes(stream[:at])])
    for i in range(at, at + 300):
        if 0xFF not in stream[i - 1 : i + 1]:
            stream[i] = 0
    want = reference.preprocess(bytes(stream))
    assert torch.equal(fastpre.Preprocessor(SPEC, num_threads=threads)([bytes(stream)])[0], want)


@pytest.mark.parametrize("distance", [20_000, 200_000])
def test_damage_that_pillow_never_reads(distance: int) -> None:
    """A marker in the scan ends it; an unusable one behind it counts only in the block that Pillow has read."""
    stream = bytearray(large(subsampling=0))
    at = 83_000
    segment = b"\xff\xe4\x00\x02" + bytes(distance) + b"\xff\x81"
    stream[at : at + len(segment)] = segment
    try:
        want = reference.preprocess(bytes(stream))
    except OSError:
        want = None
    assert (want is None) == (distance < 65_536 - at % 65_536)
    image = fastpre.Preprocessor(SPEC).run([bytes(stream)], on_error="fill")
    assert image.images[0].ok == (want is not None), image.images[0].error
    if want is not None:
        assert torch.equal(image.tensor[0], want)


def _child(stream: bytes, queue: Any) -> None:
    queue.put(fastpre.Preprocessor(SPEC, num_threads=3).run([stream]).images[0].decoder)


@pytest.mark.skipif(sys.platform != "linux", reason="fork")
def test_after_a_fork() -> None:
    stream = large()
    fastpre.Preprocessor(SPEC, num_threads=3)([stream])  # helpers exist, and do not survive the fork
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_child, args=(stream, queue))
    child.start()
    assert queue.get(timeout=TIMEOUT_S) == "fastpre"
    child.join(TIMEOUT_S)
    assert child.exitcode == 0
