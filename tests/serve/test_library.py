"""The engine in other people's applications; what importing costs."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import pictures

EXAMPLE = Path(__file__).parents[2] / "examples" / "serve_fastapi.py"


def test_an_application_of_ten_lines() -> None:
    testclient = pytest.importorskip("fastapi.testclient")
    spec = importlib.util.spec_from_file_location("serve_fastapi", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["serve_fastapi"] = module  # where FastAPI looks for the annotations' names
    try:
        spec.loader.exec_module(module)
        with testclient.TestClient(module.app) as client:
            answer = client.post("/classify", content=pictures.photograph(300, 200))
            assert answer.status_code == 200
            assert answer.json()["label"] in module.engine.model.labels
            assert set(answer.json()["stages_ms"]) == {"queue", "preprocess", "batch", "inference"}
            bad = client.post("/classify", content=b"no image")
            assert bad.status_code == 422
            assert "not a JPEG" in bad.json()["detail"]
    finally:
        del sys.modules["serve_fastapi"]


@pytest.mark.parametrize(
    ("imported", "absent"),
    [
        ("fastpre", "fastpre.serve torch uvicorn grpc"),
        ("fastpre.serve", "torch uvicorn grpc starlette onnxruntime transformers"),
        ("fastpre.serve.inference, fastpre.serve.errors", "torch uvicorn grpc"),
    ],
)
def test_importing_brings_nothing_that_is_not_needed(imported: str, absent: str) -> None:
    code = f"import sys, {imported}; print([name for name in {absent.split()!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_there_is_nothing_else() -> None:
    import fastpre.serve

    with pytest.raises(AttributeError, match="no attribute 'Motor'"):
        _ = fastpre.serve.Motor
    for name in fastpre.serve.__all__:
        assert getattr(fastpre.serve, name).__name__ == name
