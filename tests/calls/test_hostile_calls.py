"""Calls that are wrong, unlucky or meant badly: an exception, never a crash and never wrong pixels."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, UnidentifiedImageError

import fastpre
import streams

PHOTO = streams.encode(streams.picture("RGB", 64, 48))
SMALL = fastpre.Spec(resize=32, crop=24)


def test_the_default_device_of_torch_is_not_asked() -> None:
    expected = fastpre.Preprocessor(SMALL)([PHOTO])
    with torch.device("meta"):
        got = fastpre.Preprocessor(SMALL)([PHOTO])
    assert got.device.type == "cpu"
    assert torch.equal(got, expected)


def test_paths_that_no_file_can_have(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(PHOTO)
    with pytest.raises(ValueError, match="surrogates"):
        fastpre.decode_resize_normalize([PHOTO, "\ud800.jpg"])
    with pytest.raises(ValueError, match="null byte"):
        fastpre.decode_resize_normalize([str(tmp_path / "a.jpg\0.png")])


def test_a_directory_is_a_read_error(tmp_path: Path) -> None:
    with pytest.raises(fastpre.ImageReadError, match="directory") as info:
        fastpre.decode_resize_normalize([tmp_path])
    assert info.value.name == str(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    large = streams.encode(streams.picture("RGB", 300, 200), quality=95)
    assert len(large) > 8192  # more than one read
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = subprocess.Popen(
        [sys.executable, "-c", "import sys; open(sys.argv[1], 'wb').write(sys.stdin.buffer.read())", str(pipe)],
        stdin=subprocess.PIPE,
    )
    assert writer.stdin is not None
    writer.stdin.write(large)
    writer.stdin.close()
    got = fastpre.decode_resize_normalize([pipe], num_threads=1)
    assert writer.wait(30) == 0
    assert torch.equal(got, fastpre.decode_resize_normalize([large]))


@pytest.mark.parametrize("crop", [14000, 100_000, 2**30])
def test_an_output_over_the_limit_is_refused_before_memory_is_asked_for(crop: int) -> None:
    with pytest.raises(ValueError, match="max_output_pixels"):
        fastpre.Spec(crop=crop)
    assert fastpre.Spec(crop=crop, max_output_pixels=crop * crop).crop == crop


def test_an_image_that_is_made_larger_has_a_limit() -> None:
    """65500 pixels that would become 0.8 GB of floats."""
    strip = streams.resized_frame(streams.encode(streams.picture("L", 8, 8)), 65_500, 1)
    with pytest.raises(fastpre.LimitExceeded, match=r"2096000x32 .* max_output_pixels=33554432"):
        fastpre.decode_resize_normalize([strip], resize=32, crop=None)
    assert fastpre.plan(strip, fastpre.Spec(resize=32, crop=32)).output == (32, 32)
    spec = fastpre.Spec(resize=32, crop=None, max_output_pixels=2_096_000 * 32)
    assert fastpre.plan(strip, spec).output == (32, 2_096_000)


def test_an_output_as_large_as_its_image_has_none() -> None:
    spec = fastpre.Spec(resize=None, crop=None, max_output_pixels=100)
    assert fastpre.Preprocessor(spec)([PHOTO]).shape == (1, 3, 48, 64)


def test_max_pixels_is_about_the_input() -> None:
    assert fastpre.decode_resize_normalize([PHOTO], max_pixels=64 * 48).shape == (1, 3, 224, 224)
    with pytest.raises(fastpre.LimitExceeded, match="max_pixels=3071"):
        fastpre.decode_resize_normalize([PHOTO], max_pixels=64 * 48 - 1)


def test_fill_is_a_number_where_pixels_are() -> None:
    pre = fastpre.Preprocessor(fastpre.Spec(crop=8, dtype="uint8"))
    with pytest.raises(ValueError, match="fill"):
        pre([b""], on_error="fill", fill=float("nan"))
    for fill, level in ((-3.0, 0), (1e9, 255), (float("inf"), 255), (float("-inf"), 0), (7.9, 7)):
        assert pre([b""], on_error="fill", fill=fill).eq(level).all()
    assert fastpre.decode_resize_normalize([b""], on_error="fill", fill=float("nan")).isnan().all()


def test_a_null_address_is_refused_by_the_core_too() -> None:
    compiled = fastpre.Spec(crop=8).compiled()
    with pytest.raises(ValueError, match="no memory"):
        fastpre._core.run(compiled, [PHOTO], 0, (8, 8), (192, 64, 8, 1), 1, 0.0)
    with pytest.raises(ValueError, match="no memory"):
        fastpre._core.run_pixels(compiled, np.zeros((9, 9, 3), np.uint8), 0, (8, 8), (64, 8, 1))
    assert fastpre._core.run(compiled, [], 0, (8, 8), (192, 64, 8, 1), 1, 0.0) == []


def test_a_size_that_overflows_is_out_of_memory() -> None:
    with pytest.raises(MemoryError):
        fastpre._core.HostTensor(shape=[2**31, 2**31, 2**31], strides=[1, 1, 1], dtype="float32")
    spec = fastpre.Spec(crop=2**30, dtype="uint8", max_output_pixels=2**61)
    with pytest.raises(MemoryError):
        fastpre.Preprocessor(spec).dlpack([PHOTO] * 16, on_error="fill")


def test_a_side_beyond_any_row_is_refused() -> None:
    spec = fastpre.Spec(resize=(1, 2**30), crop=8)
    with pytest.raises(fastpre.LimitExceeded, match="side"):
        fastpre.Preprocessor(spec)([PHOTO])


@pytest.mark.parametrize("on_error", ["raise", "fill"])
def test_no_size_at_all_but_an_output(on_error: fastpre.spec.OnError) -> None:
    out = torch.empty(2, 3, 48, 64)
    pre = fastpre.Preprocessor(fastpre.Spec(resize=None, crop=None))
    if on_error == "raise":
        with pytest.raises(fastpre.CorruptImage) as info:
            pre([b"no", b"jpeg"], out=out)
        assert info.value.index == 0
    else:
        assert pre([b"no", b"jpeg"], out=out, on_error="fill", fill=7.0) is out
        assert (out == 7).all()


def test_outputs_that_cannot_be_written_as_they_look() -> None:
    raw = np.zeros(3 * 24 * 24 * 4 + 1, np.uint8)[1:].view(np.float32).reshape(1, 3, 24, 24)
    with pytest.raises(ValueError, match="aligned"):
        fastpre.Preprocessor(SMALL)([PHOTO], out=raw)
    with pytest.raises(ValueError, match="negated"):
        fastpre.Preprocessor(SMALL)([PHOTO], out=torch._neg_view(torch.zeros(1, 3, 24, 24)))


def test_dlpack_says_no_to_what_it_does_not_do() -> None:
    tensor = fastpre.Preprocessor(SMALL).dlpack([PHOTO])
    with pytest.raises(BufferError):
        tensor.__dlpack__(copy=True)
    with pytest.raises(BufferError):
        tensor.__dlpack__(dl_device=(2, 0))
    assert np.from_dlpack(tensor).shape == (1, 3, 24, 24)


@pytest.mark.parametrize("fields", [{"std": 1e-50}, {"mean": 1e300}, {"std": float("nan")}])
def test_numbers_that_float32_cannot_hold(fields: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="float32"):
        fastpre.Spec(**fields)


@pytest.mark.parametrize("threads", [0, -1, 2**31, 2**70])
def test_thread_counts(threads: int) -> None:
    with pytest.raises(ValueError, match="num_threads"):
        fastpre.Preprocessor(SMALL, num_threads=threads)


def test_a_limit_on_processes_costs_speed_only() -> None:
    """Threads that cannot be started are done without."""
    code = """
import os, resource, sys
import numpy
import fastpre
stream = sys.stdin.buffer.read()
pre = fastpre.Preprocessor(fastpre.Spec(resize=32, crop=24), num_threads=40)
resource.setrlimit(resource.RLIMIT_NPROC, (4, 4))
if os.getuid() == 0:
    os.setuid(65534)  # the limit does not bind root
for _ in range(20):
    batch = numpy.from_dlpack(pre.dlpack([stream] * 64))
print(bool((batch == batch[0]).all()), fastpre._core.pool_size() < 39)
"""
    run = subprocess.run([sys.executable, "-c", code], input=PHOTO, capture_output=True, timeout=120, check=False)
    assert run.stdout.split() == [b"True", b"True"], run.stderr.decode()


def segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


@pytest.mark.parametrize(
    "extra",
    [
        segment(0xE2, b"ICC_PROFILE\0"),
        segment(0xE2, b"ICC_PROFILE\0\1"),
        segment(0xE2, b"ICC_PROFILE\0\1\1"),
        segment(0xE2, b"ICC_PROFILE\0\1\1profile") + segment(0xE2, b"ICC_PROFILE\0\2"),
        segment(0xED, b"Photoshop 3.0\0" + b"8BIM\x04\x04"),
        segment(0xED, b"Photoshop 3.0\0" + b"8BIM\x04\x04\0"),
        segment(0xED, b"Photoshop 3.0\0" + b"8BIM\x03\xed\0\0" + struct.pack(">I", 2) + b"\0\0" + b"8BIM\x04\x04"),
        segment(0xED, b"Photoshop 3.0\0" + b"8BIM\x03\xee\0\0" + struct.pack(">I", 2) + b"\0\0" + b"8BIM\x04\x04"),
    ],
)
def test_odd_metadata_is_judged_as_pillow_does(extra: bytes) -> None:
    stream = PHOTO[:2] + extra + PHOTO[2:]
    try:
        Image.open(io.BytesIO(stream)).load()
        decodes = True
    except UnidentifiedImageError:
        decodes = False
    result = fastpre.Preprocessor(SMALL).run([stream], on_error="fill")
    assert result.images[0].ok == decodes
