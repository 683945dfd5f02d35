"""Calls that end early: signals, cancellation from another thread, deadlines; and files that make them wait."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import fastpre
import streams

SPEC = fastpre.Spec(resize=32, crop=32, max_work=1 << 60)
# A call that ignores what should end it takes many seconds; one that does not, a tenth of one. Slow machines are far
# from either.
SECONDS = 3.0


class HandlerError(Exception):
    """What the handler raises."""


@pytest.fixture(scope="module")
def endless() -> bytes:
    return streams.laborious()


@pytest.fixture
def alarm() -> Iterator[Callable[[float], None]]:
    """Arms SIGALRM, whose handler raises."""

    def raise_it(*_: Any) -> None:
        raise HandlerError

    before = signal.signal(signal.SIGALRM, raise_it)
    yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds) and None
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("device", ["cpu", "emulated"])
@pytest.mark.parametrize(("count", "threads"), [(1, 1), (1, 4), (3, 2)])
def test_a_signal_ends_the_call(
    endless: bytes, alarm: Callable[[float], None], count: int, threads: int, device: str, photo: bytes
) -> None:
    """Between rows of MCUs of an image, also when it is another thread's."""
    pre = fastpre.Preprocessor(SPEC, device=device, num_threads=threads)
    out = torch.zeros(count, 3, 32, 32)
    start = time.perf_counter()
    alarm(0.1)
    with pytest.raises(HandlerError):
        pre.run([endless] * count, out=out)
    assert time.perf_counter() - start < SECONDS
    out.fill_(1.0)  # no thread writes to it any more
    assert torch.equal(pre([photo]), fastpre.Preprocessor(SPEC)([photo]))
    assert out.eq(1.0).all()


def test_a_handler_that_does_not_raise_changes_nothing(photo: bytes) -> None:
    calls = []
    before = signal.signal(signal.SIGALRM, lambda *_: calls.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    try:
        pre = fastpre.Preprocessor(fastpre.Spec(resize=32, crop=32), num_threads=2)
        want = pre([photo])
        end = time.perf_counter() + 0.3
        while time.perf_counter() < end:
            assert torch.equal(pre([photo] * 20)[19:], want)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert calls


def test_keyboard_interrupt(endless: bytes) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    timer = threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    start = time.perf_counter()
    try:
        with pytest.raises(KeyboardInterrupt):
            fastpre.Preprocessor(SPEC)([endless])
    finally:
        signal.signal(signal.SIGINT, before)
    timer.join()
    assert time.perf_counter() - start < SECONDS


@pytest.mark.parametrize("device", ["cpu", "emulated"])
def test_deadline(endless: bytes, photo: bytes, device: str) -> None:
    """An image that is begun is finished; the others say that they were not begun."""
    slow = streams.laborious(1500)
    pre = fastpre.Preprocessor(SPEC, device=device, num_threads=1)
    r = pre.run([slow, photo, photo], on_error="fill", fill=7.0, deadline_s=0.05)
    # The costliest first, and one after the other.
    assert [image.ok for image in r.images] == [True, False, False]
    for image in r.images[1:]:
        assert isinstance(image.error, fastpre.DeadlineExceeded)
        assert "not begun" in str(image.error)
    assert r.tensor[1:].eq(7.0).all()
    with pytest.raises(fastpre.DeadlineExceeded, match="image 1"):
        pre([slow, photo], deadline_s=0.05)


@pytest.mark.parametrize("device", ["cpu", "emulated"])
def test_a_deadline_that_has_passed(photo: bytes, device: str) -> None:
    r = fastpre.Preprocessor(SPEC, device=device).run([photo] * 3, on_error="skip", deadline_s=0)
    assert r.tensor.shape[0] == 0
    assert all(isinstance(image.error, fastpre.DeadlineExceeded) for image in r.images)
    assert all(image.width == 0 for image in r.images)


@pytest.mark.parametrize("deadline_s", [60, 1e300, float("inf"), None])
def test_a_deadline_far_away(photo: bytes, deadline_s: float | None) -> None:
    assert fastpre.Preprocessor(SPEC).run([photo], deadline_s=deadline_s).ok


@pytest.mark.parametrize("deadline_s", [-1, float("nan")])
def test_no_deadline_at_all(photo: bytes, deadline_s: float) -> None:
    with pytest.raises(ValueError, match="deadline_s"):
        fastpre.Preprocessor(SPEC).run([photo], deadline_s=deadline_s)


def test_cancellation_from_another_thread(endless: bytes) -> None:
    cancellation = fastpre._core.Cancellation()
    timer = threading.Timer(0.1, cancellation.cancel)
    timer.start()
    out = torch.zeros(1, 3, 32, 32)
    start = time.perf_counter()
    with pytest.raises(fastpre.CancelledError):
        fastpre._core.run(
            SPEC.compiled(), [endless], out.data_ptr(), (32, 32), out.stride(), 1, 0.0, None, cancellation
        )
    timer.join()
    assert time.perf_counter() - start < SECONDS


def test_a_signal_while_a_pipe_is_empty(tmp_path: Path, alarm: Callable[[float], None]) -> None:
    """No writer ever opens it."""
    pipe = tmp_path / "x.jpg"
    os.mkfifo(pipe)
    start = time.perf_counter()
    alarm(0.1)
    with pytest.raises(HandlerError):
        fastpre.Preprocessor(SPEC)([pipe])
    assert time.perf_counter() - start < SECONDS


@pytest.mark.parametrize("device", ["cpu", "emulated"])
@pytest.mark.parametrize("crop", [32, None])
def test_a_pipe_without_a_writer_and_a_deadline(tmp_path: Path, photo: bytes, crop: int | None, device: str) -> None:
    """In a server's thread, which no signal reaches."""
    pipe = tmp_path / "x.jpg"
    os.mkfifo(pipe)
    pre = fastpre.Preprocessor(fastpre.Spec(resize=32, crop=crop), device=device, num_threads=1)
    results: list[Any] = []
    caller = threading.Thread(
        target=lambda: results.append(pre.run([photo, pipe], on_error="fill", deadline_s=0.2)), daemon=True
    )
    caller.start()
    caller.join(SECONDS)
    assert not caller.is_alive()
    assert isinstance(results[0].images[1].error, fastpre.DeadlineExceeded)


@pytest.mark.skipif(not hasattr(fcntl, "F_SETLEASE"), reason="leases are Linux's")
def test_a_file_under_a_lease(tmp_path: Path, photo: bytes) -> None:
    """As Samba and NFS servers take them: opening waits until they let go."""
    path = tmp_path / "x.jpg"
    path.write_bytes(photo)
    code = """
import fcntl, os, signal, sys, time
fd = os.open(sys.argv[1], os.O_RDWR)
def let_go(*_):
    time.sleep(0.2)
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    sys.exit()
signal.signal(signal.SIGIO, let_go)
fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("leased", flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        if holder.stdout.readline() != b"leased\n":
            pytest.skip("this file system gives no leases")
        assert fastpre.Preprocessor(SPEC, num_threads=1).run([path], on_error="fill").ok


def test_an_interrupt_does_not_spoil_the_callers_cancellation(endless: bytes, alarm: Callable[[float], None]) -> None:
    cancellation = fastpre._core.Cancellation()
    out = torch.zeros(1, 3, 32, 32)
    arguments = (out.data_ptr(), (32, 32), out.stride(), 1, 0.0, None, cancellation)
    alarm(0.1)
    with pytest.raises(HandlerError):
        fastpre._core.run(SPEC.compiled(), [endless], *arguments)
    assert fastpre._core.run(SPEC.compiled(), [streams.encode(streams.picture("L", 9, 9))], *arguments)[0].ok


def test_signals_during_a_slow_read(tmp_path: Path, photo: bytes) -> None:
    """EINTR is no fault of the file."""
    pipe = tmp_path / "x.jpg"
    os.mkfifo(pipe)

    def write() -> None:
        with open(pipe, "wb", buffering=0) as file:
            for at in range(0, len(photo), 1 + len(photo) // 20):
                file.write(photo[at : at + 1 + len(photo) // 20])
                time.sleep(0.01)

    calls = []
    before = signal.signal(signal.SIGALRM, lambda *_: calls.append(1))
    writer = threading.Thread(target=write)
    writer.start()
    signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
    try:
        got = fastpre.Preprocessor(SPEC, num_threads=1)([pipe])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        writer.join()
    assert torch.equal(got, fastpre.Preprocessor(SPEC)([photo]))
    assert len(calls) > 3


def test_a_file_that_is_cut_meanwhile_is_an_error(tmp_path: Path) -> None:
    """Paths are read, not mapped: a SIGBUS would end the process."""
    path = tmp_path / "x.jpg"
    stream = streams.encode(streams.picture("RGB", 2000, 1500), quality=95)
    stop = threading.Event()

    def cut_and_restore() -> None:
        while not stop.is_set():
            os.truncate(path, 100)
            path.write_bytes(stream)

    path.write_bytes(stream)
    thread = threading.Thread(target=cut_and_restore)
    thread.start()
    try:
        for _ in range(20):
            image = fastpre.Preprocessor(SPEC, num_threads=1).run([path], on_error="fill").images[0]
            assert image.ok or isinstance(image.error, fastpre.ImageError)
    finally:
        stop.set()
        thread.join()
