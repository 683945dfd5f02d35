"""Where nvJPEG may be: the `nvidia-nvjpeg` wheel, a CUDA toolkit; the core tries these before the loader's path."""

from __future__ import annotations

import functools
import importlib.util
import os
from pathlib import Path

from . import _core

# CUDA 13's wheels share one folder; earlier ones had one for each library.
WHEEL_FOLDERS = ("cu13/lib", "nvjpeg/lib")
SONAMES = ("libnvjpeg.so.13", "libnvjpeg.so.12")


def _wheels() -> list[Path]:
    try:
        spec = importlib.util.find_spec("nvidia")  # a namespace package, which importing would run nothing of
    except (ImportError, ValueError):
        return []
    roots = list(spec.submodule_search_locations or []) if spec is not None else []
    return [Path(root) / folder for root in roots for folder in WHEEL_FOLDERS]


def _toolkits() -> list[Path]:
    homes = [os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), "/usr/local/cuda"]
    return [Path(home) / folder for home in homes if home for folder in ("lib64", "targets/x86_64-linux/lib", "lib")]


def candidates() -> list[str]:
    """Paths of libraries that exist, best first; the core adds the names that the loader may know."""
    paths = [folder / name for folder in (*_wheels(), *_toolkits()) for name in SONAMES]
    return list(dict.fromkeys(str(path) for path in paths if path.is_file()))


@functools.cache
def announce() -> None:
    """Tells the core, once a process."""
    _core.set_nvjpeg_candidates(candidates())
