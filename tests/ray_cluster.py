"""A local Ray cluster for tests, of which nothing is left afterwards."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import tempfile
import time
import unittest.mock
from collections.abc import Iterator
from pathlib import Path
from typing import Any

GONE_WITHIN_S = 20.0
TOKEN = secrets.token_hex(16)  # Ray reads it once in a process, so all clusters of one have the same


@contextlib.contextmanager
def local_cluster(**resources: Any) -> Iterator[None]:
    """Starts a cluster on this machine; nothing is sent anywhere. All of its processes have ended at the end."""
    import ray

    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # the paths of sockets must be short
    # A token in the environment keeps Ray from writing one to the home directory.
    settings = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_TOKEN": TOKEN}
    before, handler = descendants(os.getpid()), signal.getsignal(signal.SIGTERM)
    started: set[int] = set()
    with unittest.mock.patch.dict(os.environ, settings):  # Ray changes more of it, which is undone as well
        try:
            ray.init(
                object_store_memory=100 << 20,
                include_dashboard=False,
                log_to_driver=False,
                logging_level="ERROR",
                _temp_dir=folder,
                **resources,
            )
            yield
        finally:
            started = descendants(os.getpid()) - before
            ray.shutdown()
            signal.signal(signal.SIGTERM, handler)
            left = still_there(started)
            shutil.rmtree(folder, ignore_errors=True)
    assert bool(started) == Path("/proc/self").exists()
    assert left == []


def parents() -> dict[int, int]:
    """The parent of each process that is no zombie; empty where there is no /proc."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[:2]
        except OSError:  # it has ended
            continue
        if state != "Z":
            found[int(stat.parent.name)] = int(parent)
    return found


def descendants(process: int) -> set[int]:
    """Its children and theirs: Ray's daemons, and the workers that these start."""
    tree, found = parents(), {process}
    while more := {child for child, parent in tree.items() if parent in found} - found:
        found |= more
    return found - {process}


def still_there(processes: set[int]) -> list[int]:
    """Those of the processes that have not ended, after some waiting."""
    end = time.monotonic() + GONE_WITHIN_S
    while (left := processes & parents().keys()) and time.monotonic() < end:
        time.sleep(0.05)
    return sorted(left)
