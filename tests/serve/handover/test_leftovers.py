"""What is there while a handover runs is gone when it was closed, and when its process was killed."""

from __future__ import annotations

import contextlib
import gc
import mmap
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

import obedient_model
from fastpre.serve.handover.area import Area
from fastpre.serve.handover.kinds import open_handover

from .conftest import IN_WORKERS, filled, until

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

# Prints its worker's process, and waits for a batch that takes a minute.
PARENT = """
import sys
import obedient_model
from fastpre.serve.handover.kinds import open_handover
if __name__ == "__main__":
    handover = open_handover(sys.argv[1], obedient_model.make)
    handover.start()
    memory = handover.allocate(1, (3, 8, 8), handover.description.spec.dtype).zero_()
    print(handover.run(memory, 0, 1, 0)["pid"][0], flush=True)
    memory[0, 0, 0, 0] = obedient_model.HANG
    try:
        handover.run(memory, 0, 1, 0)
    finally:
        handover.close()
"""


def alive(pid: int) -> bool:
    """A process that has ended and was not waited for is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def keys(url: str) -> set[str]:
    """What Redis holds. Were its owner killed, it would not stay for long."""
    if not url.startswith("redis:"):
        return set()
    with redis.Redis.from_url(url, decode_responses=True) as client:
        found = {str(key) for key in client.scan_iter()}
        assert all(0 < client.ttl(key) <= 60 for key in found)
    return found


def open_files() -> list[str]:
    found = []
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # that of the listing itself
            found.append(os.readlink(f"/proc/self/fd/{fd}").partition(":")[0])
    return sorted(found)


def mapped_file(address: int) -> str:
    """The file behind an address."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        first, _, last = line.split()[0].partition("-")
        if int(first, 16) <= address < int(last, 16):
            return line.split(maxsplit=5)[5]
    raise AssertionError("not mapped")


@linux
@pytest.mark.parametrize("kind", IN_WORKERS)
def test_close_leaves_nothing(url_of: Callable[[str], str], kind: str) -> None:
    url = url_of(kind)
    keys_before = keys(url)
    gc.collect()
    before = open_files()
    handover = open_handover(url, obedient_model.make)
    handover.start()
    assert len(keys(url) - keys_before) == (kind == "redis")
    memory = filled(handover, 2, wish=obedient_model.LARGE)
    handover.run(memory, 0, 2, 0)
    memory[0, 0, 0, 0] = obedient_model.NOTHING
    pid = int(handover.run(memory, 0, 1, 0)["pid"][0])
    assert alive(pid)
    assert len(open_files()) > len(before)
    handover.close()
    assert not alive(pid)
    assert not handover.ready
    assert keys(url) == keys_before
    handover.release(memory)
    del memory
    gc.collect()
    assert open_files() == before
    handover.close()


@linux
@pytest.mark.parametrize("kind", IN_WORKERS)
def test_a_process_that_is_killed_takes_its_workers_along(url_of: Callable[[str], str], kind: str) -> None:
    pid = end_in_the_middle(url_of(kind), signal.SIGKILL)
    until(lambda: not alive(pid), within_s=5.0)


@linux
def test_control_c_ends_at_once_and_leaves_no_worker(url_of: Callable[[str], str]) -> None:
    pid = end_in_the_middle("shared-memory", signal.SIGINT)
    assert not alive(pid)


def end_in_the_middle(kind: str, number: signal.Signals) -> int:
    """Starts a process with a worker that is busy, signals its process group, and waits for its end; the worker."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, kind],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        start_new_session=True,
    )
    with parent:
        assert parent.stdout is not None
        assert parent.stderr is not None
        pid = int(parent.stdout.readline() or parent.stderr.read())
        assert parent.stdout.readline() == b"hanging\n"
        os.killpg(parent.pid, number)
        parent.wait(5.0)
    assert parent.returncode == -number
    return pid


@linux
def test_shared_memory_has_no_name(url_of: Callable[[str], str]) -> None:
    handover = open_handover("shared-memory", obedient_model.make)
    handover.start()
    memory = filled(handover, 1)
    assert mapped_file(memory.data_ptr()).startswith("/memfd:fastpre (deleted)")
    handover.close()
    assert (memory[0, 0, 0, 1:] >= 20 / 3).all()  # it is there for as long as the tensor is


@linux
def test_shared_memory_has_no_name_without_memfd_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create")
    area = Area.create(1 << 16)
    address = mapped_file(address_of(area.map))
    assert address.endswith("(deleted)")
    assert "memfd" not in address
    ours, theirs = socket.socketpair()
    with ours, theirs:
        socket.send_fds(ours, [b"x"], [area.fd])
        other = Area(socket.recv_fds(theirs, 1, 1)[1][0], area.size)
    other.map[7] = 8
    assert area.map[7] == 8
    other.close()
    area.close()


def address_of(mapping: mmap.mmap) -> int:
    import numpy as np

    return int(np.frombuffer(mapping, np.uint8).ctypes.data)
