"""The command line in the test's own process, and readers of what it writes."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import safetensors
import safetensors.numpy
from click.testing import CliRunner, Result

from fastpre.cli import main

# The usable files of the `folder` fixture, in the order of the tensor's rows.
GOOD = ["a.jpg", "b.JPEG", "e.jfif", "deep/c.Jpg", "deep/d.jpe"]


def call(*args: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in args])


@contextlib.contextmanager
def largest_file(size_bytes: int) -> Iterator[None]:
    """Files of this process cannot grow beyond that, as if the disk were full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def metadata(path: Path) -> dict[str, str]:
    with safetensors.safe_open(path, framework="numpy") as f:
        return f.metadata()  # type: ignore[no-any-return]


def images(path: Path) -> Any:
    return safetensors.numpy.load_file(path)["images"]
