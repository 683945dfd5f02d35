"""Disturbance is noticed, and what was disturbed is measured again."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
import quiet

BURN = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def burn() -> None:
    subprocess.run([sys.executable, "-c", BURN], check=True)


def test_a_tree_counts_children_that_have_ended() -> None:
    before = quiet.tree_cpu_s(os.getpid())
    burn()
    assert quiet.tree_cpu_s(os.getpid()) - before >= 0.25
    assert quiet.machine_cpu_s() >= quiet.tree_cpu_s(os.getpid())


def test_what_is_disturbed_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tree is hidden, so that the children's time is that of others."""
    monkeypatch.setattr(quiet, "PAUSE_S", 0)
    monkeypatch.setattr(quiet, "tree_cpu_s", lambda root: 0.0)
    times = iter([100.0, 101.0, 200.0, 200.5, 300.0, 300.0])
    monkeypatch.setattr(quiet, "machine_cpu_s", lambda: next(times))
    runs = iter("abc")

    def run() -> str:
        time.sleep(0.01)
        return next(runs)

    assert quiet.undisturbed(run) == ("c", 0.0)


def test_the_quietest_counts_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quiet, "PAUSE_S", 0)
    monkeypatch.setattr(quiet, "tree_cpu_s", lambda root: 0.0)
    times = iter([0.0, 9.0, 10.0, 11.0, 20.0, 25.0])
    monkeypatch.setattr(quiet, "machine_cpu_s", lambda: next(times))
    runs = iter("abc")
    value, others = quiet.undisturbed(lambda: next(runs), tries=3)
    assert value == "b"
    assert others > 0.03
