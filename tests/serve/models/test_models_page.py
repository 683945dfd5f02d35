from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from fastpre.serve.models.loading import SOURCES
from fastpre.serve.models.sidecar import Sidecar

PAGE = Path(__file__).parents[3] / "docs" / "models.md"


@pytest.fixture
def page() -> str:
    if not PAGE.exists():
        pytest.skip("docs/models.md is not here")
    return PAGE.read_text(encoding="utf-8")


def test_its_example_runs(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(compile(code, "models.md", "exec"), {"__name__": "example"})
    assert capsys.readouterr().out.splitlines()[-1] == "(2, 10)"


def test_it_has_every_source(page: str) -> None:
    for source in SOURCES:
        assert f"| `{source}:" in page


def test_its_sidecar_is_one(page: str, tmp_path: Path) -> None:
    (text,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    (tmp_path / "cats.onnx.json").write_text(text)
    found = Sidecar.beside(tmp_path / "cats.onnx")
    assert found.spec == {"resize": (320, 320), "crop": None}
    assert list(found.labels) == json.loads(text)["labels"]
