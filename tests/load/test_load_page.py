"""The examples of docs/load.md work as they stand."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from fastpre.cli.load import load
from misbehaving import misbehaving

PAGE = Path(__file__).parents[2] / "docs" / "load.md"


@pytest.fixture(scope="module")
def page() -> str:
    if not PAGE.exists():  # an installed package's tests
        pytest.skip("docs/load.md is not here")
    return PAGE.read_text(encoding="utf-8")


def test_the_python_example(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photo: bytes) -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "cat.jpg").write_bytes(photo)
    monkeypatch.chdir(tmp_path)
    example = example.replace(
        "assert not report.generator.fell_behind", "assert report"
    )  # that is the machine's matter
    with misbehaving() as server:
        names: dict[str, object] = {}
        exec(compile(example.replace("http://127.0.0.1:8000", server.url), str(PAGE), "exec"), names)
    assert len(server.arrived) > 50


def test_the_command_lines(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)
    lines = [line for line in page.splitlines() if line.startswith("fastpre load ")]
    assert len(lines) >= 3
    for line in lines:
        context = load.make_context("load", shlex.split(line)[2:])
        assert isinstance(context, click.Context)


def test_every_option_named_is_one(page: str) -> None:
    options = {name for parameter in load.params for name in parameter.opts}
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", page))
    assert named
    assert named <= options
