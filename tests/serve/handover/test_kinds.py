"""Handovers by name, and factories that another process can find."""

from __future__ import annotations

import functools
import importlib.util
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import obedient_model
from fastpre.serve.handover.kinds import open_handover
from fastpre.serve.handover.options import Options


@pytest.mark.parametrize("kind", ["", "thread", "redis", "redis:", "http://127.0.0.1:80", "shared_memory"])
def test_unknown_kinds_are_refused(kind: str) -> None:
    with pytest.raises(ValueError, match=r'a handover is "threads", "shared-memory", .* got'):
        open_handover(kind, obedient_model.make)


@pytest.mark.parametrize("kind", ["threads", "shared-memory", "redis://127.0.0.1:1", "nats://127.0.0.1:1"])
def test_nothing_starts_before_start(kind: str) -> None:
    handover = open_handover(kind, functools.partial(obedient_model.make, crop=8), instances=3)
    assert handover.instances == 3
    assert not handover.ready
    with pytest.raises(RuntimeError, match=r"start\(\) comes first"):
        _ = handover.description
    handover.close()


def test_instances_are_counted_from_one() -> None:
    with pytest.raises(ValueError, match="instances must be at least 1, got 0"):
        open_handover("threads", obedient_model.make, instances=0)


@pytest.mark.parametrize(
    ("field", "value"), [("timeout_s", 0), ("start_timeout_s", -1.0), ("max_output_bytes", 0), ("threads", -1)]
)
def test_options_are_checked(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{field} must be"):
        Options(**{field: value})


def test_each_instance_of_threads_has_a_model_of_its_own() -> None:
    made = []

    def make() -> Any:
        made.append(obedient_model.make())
        return made[-1]

    handover = open_handover("threads", make, instances=2)
    handover.start()
    assert len(made) == 2
    assert handover.ready
    handover.close()
    assert not handover.ready


@pytest.mark.parametrize("kind", ["shared-memory", "redis://127.0.0.1:1", "nats://127.0.0.1:1"])
def test_a_factory_that_cannot_be_pickled_is_refused(kind: str) -> None:
    with pytest.raises(ValueError, match="must be a function of a module"):
        open_handover(kind, lambda: obedient_model.make())


def test_a_factory_of_the_script_itself_is_refused(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
            import functools
            from fastpre.serve.handover.kinds import open_handover
            def make(depth): ...
            open_handover("shared-memory", functools.partial(make, 5))
        """)
    )
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert "ValueError: make makes the model in another process" in run.stderr
    assert "move it to a module" in run.stderr


@pytest.mark.parametrize(("kind", "package"), [("redis://127.0.0.1:1", "redis"), ("nats://127.0.0.1:1", "nats-py")])
def test_a_missing_client_is_named(monkeypatch: pytest.MonkeyPatch, kind: str, package: str) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=f"pip install {package}"):
        open_handover(kind, obedient_model.make)


def test_importing_it_brings_neither_torch_nor_clients() -> None:
    code = "import sys, fastpre.serve.handover.kinds as k; print(*{'torch', 'redis', 'nats'} & {*sys.modules})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""
