"""The README's examples run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import streams

README = Path(__file__).parents[2] / "README.md"


def examples() -> list[str]:
    """Its Python blocks, in order."""
    if not README.exists():  # an installed package's tests
        return []
    return re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_there_are_some() -> None:
    assert len(examples()) >= 3


@pytest.mark.filterwarnings("ignore")  # of torch's workers, and a file that is left to the garbage collector
@pytest.mark.parametrize("example", [e for e in examples() if "cuda" not in e], ids=range(3))
def test_example(example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cat.jpg", "dog.jpg", "photos/cats/a.jpg", "photos/cats/b.jpg", "photos/dogs/c.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(streams.encode(streams.picture("RGB", 300, 260)))
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "example"}
    exec(compile(example, "README.md", "exec"), names)
    loader = names.get("loader")
    if loader is not None:
        assert len(list(loader)) == 1  # type: ignore[call-overload]
