"""scripts/check-includes.py, which keeps the arrows of docs/design.md, finds what it is there to find."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGE = """```
jpeg → core
plan → core
core →
```
"""
GOOD = {
    "core/image.h": "#pragma once\n",
    "jpeg/header.h": '#include <array>\n\n#include "core/image.h"\n',
    "jpeg/turbo.cpp": '#include <jpeglib.h>\n\n#include "jpeg/header.h"\n',
    "plan/plan.h": '#include "core/image.h"\n',
}


def check(root: Path, changes: dict[str, str]) -> subprocess.CompletedProcess[str]:
    (root / "docs").mkdir()
    (root / "docs" / "design.md").write_text(PAGE, encoding="utf-8")
    for name, text in {**GOOD, **changes}.items():
        path = root / "csrc" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    command = [sys.executable, ROOT / "scripts" / "check-includes.py", root]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_repository_follows_its_own_page() -> None:
    command = [sys.executable, ROOT / "scripts" / "check-includes.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_what_follows_the_arrows_passes(tmp_path: Path) -> None:
    done = check(tmp_path, {})
    assert (done.returncode, done.stdout) == (0, "4 files follow the arrows of docs/design.md\n")


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("plan/plan.h", '#include "jpeg/header.h"\n', 'csrc/plan/plan.h: "jpeg/header.h" is against the arrows'),
        ("core/image.h", '#include "plan/plan.h"\n', "against the arrows"),
        ("jpeg/bits.h", '#include "jpeg/bit.h"\n', '"jpeg/bit.h" is not in csrc/'),
        ("jpeg/bits.h", "#include <jpeglib.h>\n", "<jpeglib.h> belongs in"),
        ("plan/spec.cpp", "#include <pybind11/pybind11.h>\n", "<pybind11/pybind11.h> belongs in"),
        ("png/header.h", '#include "core/image.h"\n', "no arrow for csrc/png"),
        ("core/image.h", '#include "core/image.h"\n', "core/image.h → core/image.h"),
    ],
)
def test_what_does_not_is_named(tmp_path: Path, name: str, text: str, problem: str) -> None:
    done = check(tmp_path, {name: text})
    assert done.returncode == 1
    assert problem in done.stdout
