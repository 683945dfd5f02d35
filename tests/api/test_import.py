"""What `import fastpre` costs and does not do."""

from __future__ import annotations

import subprocess
import sys

import pytest

import fastpre


def run(code: str, stdin: bytes = b"") -> list[str]:
    """Words that a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], input=stdin, capture_output=True, check=True, timeout=120)
    return done.stdout.decode().split()


def test_import_brings_neither_torch_nor_pillow() -> None:
    code = (
        "import fastpre, sys; print(*(n for n in ('torch', 'torchvision', 'PIL', 'click', 'rich') if n in sys.modules))"
    )
    assert run(code) == []


def test_import_starts_no_thread_and_maps_no_cuda() -> None:
    code = (
        "import fastpre, os; maps = open('/proc/self/maps').read();"
        "print(len(os.listdir('/proc/self/task')), fastpre._core.pool_size(), 'libcuda' in maps, 'nvjpeg' in maps)"
    )
    threads, pool, cuda, nvjpeg = run("import numpy;" + code)
    assert (pool, cuda, nvjpeg) == ("0", "False", "False")
    assert threads == run("import numpy, os; print(len(os.listdir('/proc/self/task')))")[0]


def test_cpu_use_maps_no_cuda(photo: bytes) -> None:
    """A context would have the driver mapped, and its devices open."""
    code = """
import sys, os, fastpre
fastpre.Preprocessor(fastpre.Spec(resize=32, crop=24)).dlpack([sys.stdin.buffer.read()])
files = (f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd"))
names = [os.readlink(file) for file in files if os.path.lexists(file)]
print("libcuda" in open("/proc/self/maps").read(), any("nvidia" in name for name in names))
"""
    assert run(code, photo) == ["False", "False"]


def test_works_without_torch(photo: bytes) -> None:
    """torch is not installed: NumPy through DLPack still works, and tensors say what is missing."""
    code = """
import sys
sys.modules["torch"] = None  # makes `import torch` fail
import fastpre, numpy
spec = fastpre.Spec(resize=32, crop=24)
pre = fastpre.Preprocessor(spec)
image = sys.stdin.buffer.read()
print(numpy.from_dlpack(pre.dlpack([image])).shape[0])
print(pre([image], out=numpy.empty((1, 3, 24, 24), numpy.float32)).shape[3])
print(spec.dtype, eval(repr(spec), {"Spec": fastpre.Spec}) == spec)
try:
    pre([image])
except ImportError as error:
    print("dlpack" in str(error))
"""
    assert run(code, photo) == ["1", "24", "float32", "True", "True"]


def test_everything_exported_exists() -> None:
    for name in fastpre.__all__:
        assert getattr(fastpre, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = fastpre.nonsense


def test_version() -> None:
    major, minor, patch = fastpre.__version__.split(".")
    assert all(part.isdigit() for part in (major, minor, patch))
    assert fastpre._core.build_info()["version"] == fastpre.__version__
