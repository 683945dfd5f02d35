"""Where nvJPEG may be: the `nvidia-nvjpeg` wheel, a CUDA toolkit; the core tries these before the loader's path."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path

from .. import _core

# CUDA 13's wheels share one folder; earlier ones had one for each library.
WHEEL_FOLDERS = ("cu13/lib", "nvjpeg/lib")
SONAMES = ("libnvjpeg.so.13", "libnvjpeg.so.12")


def _wheels() -> list[Path]:
    # Not through the package `nvidia`: some wheels ship a nvidia/__init__.py, which hides the folders of all others.
    return [Path(entry) / "nvidia" / folder for entry in sys.path if entry for folder in WHEEL_FOLDERS]


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
