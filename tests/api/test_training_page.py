"""The examples of docs/training.md run as they stand, one after the other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import streams

PAGE = Path(__file__).parents[2] / "docs" / "training.md"


@pytest.mark.filterwarnings("ignore")  # of torch's workers, and a file that is left to the garbage collector
def test_the_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not PAGE.exists():  # an installed package's tests
        pytest.skip("docs/training.md is not here")
    examples = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(examples) >= 4
    for name in ("cat.jpg", "dog.jpg", *(f"photos/{kind}/{i}.jpg" for kind in ("cats", "dogs") for i in range(3))):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(streams.encode(streams.picture("RGB", 400, 300)))
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "example"}
    for number, example in enumerate(examples):
        exec(compile(example, f"training.md, example {number}", "exec"), names)
        loader = names.pop("loader", None)
        if loader is not None:
            # The page leaves its last one at the end of an epoch.
            assert len([*loader, *loader]) > 0  # type: ignore[misc]
