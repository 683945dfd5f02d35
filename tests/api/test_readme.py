"""The examples in the README and in docs/loader.md run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import streams

ROOT = Path(__file__).parents[2]


def examples(page: str) -> list[str]:
    """Its Python blocks, in order."""
    path = ROOT / page
    if not path.exists():  # an installed package's tests
        return []
    return re.findall(r"^```python\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture
def photographs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cat.jpg", "dog.jpg", "photos/cats/a.jpg", "photos/cats/b.jpg", "photos/dogs/c.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(streams.encode(streams.picture("RGB", 300, 260)))
    monkeypatch.chdir(tmp_path)


def test_there_are_some() -> None:
    assert len(examples("README.md")) >= 3
    assert len(examples("docs/loader.md")) >= 3


@pytest.mark.usefixtures("photographs")
@pytest.mark.filterwarnings("ignore")  # of torch's workers, and a file that is left to the garbage collector
@pytest.mark.parametrize("example", [e for e in examples("README.md") if "cuda" not in e], ids=range(3))
def test_example(example: str) -> None:
    names: dict[str, object] = {"__name__": "example"}
    exec(compile(example, "README.md", "exec"), names)
    loader = names.get("loader")
    if loader is not None:
        assert len(list(loader)) == 1  # type: ignore[call-overload]


@pytest.mark.usefixtures("photographs")
def test_the_page_of_the_loader(capsys: pytest.CaptureFixture[str]) -> None:
    """Each example goes on from the one before."""
    names: dict[str, object] = {"__name__": "example"}
    printed = []
    for example in examples("docs/loader.md"):
        exec(compile(example, "docs/loader.md", "exec"), names)
        printed.append(capsys.readouterr().out.splitlines())
    assert [line[:2] for line in printed[0]] == ["0 ", "0 ", "1 ", "1 "]
    assert len(re.findall("tensor", printed[1][0])) == 1
    assert printed[2][0] == "no bad images"
